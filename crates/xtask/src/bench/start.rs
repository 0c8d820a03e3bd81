//! A sandboxed start, from the order to the exit: own mounts, process tree and network.
//!
//! The same program, `/bin/true`, and the same files on every side; on ours also a user of its own,
//! Landlock, seccomp and cgroups with limits. Removing those after the exit counts as processor
//! time and not as wall time, for nobody waits for it. Sides take turns, and all of them come
//! before other work on the machine (SCHED_FIFO): on a busy one a wake-up costs more than a start.

use super::meter::{self, Processor};
use super::peers::{self, Bundle, Shown};
use super::spawner::Spawner;
use super::stats::Sample;
use crate::built::{self, Profile};
use crate::say::say;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Instant;

const PROGRAM: &[&str] = &["/bin/true"];
const COMMAND: &str = "cargo xtask bench start";
/// What a large program beside the spawner holds.
const BALLAST_BYTES: usize = 512 << 20;

/// One side's way of starting the program and seeing its end.
struct Side<'a> {
    name: &'static str,
    /// Gives back when the exit was seen, when that was not just now.
    once: Box<dyn FnMut() -> Result<Option<Instant>> + 'a>,
    wall: Sample,
    processor: Sample,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, once: impl FnMut() -> Result<Option<Instant>> + 'a) -> Self {
        Self {
            name,
            once: Box::new(once),
            wall: Sample::default(),
            processor: Sample::default(),
        }
    }

    fn measure(&mut self, meter: &Processor) -> Result<()> {
        let used = meter.used()?;
        let start = meter::now();
        let ended = (self.once)().with_context(|| self.name)?;
        let ended = ended.unwrap_or_else(meter::now);
        self.wall.push_span(ended.duration_since(start));
        self.processor.push_span(meter.used()?.saturating_sub(used));
        Ok(())
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let rounds = super::number(arguments, "--rounds", 200)?;
    let toft = built::toft(Profile::Release)?;
    let shown = Shown::of_machine();
    if let Err(errno) = meter::before_all_others() {
        say(&format!(
            "this is not measured before all other work of the machine: {errno}"
        ));
    }
    let meter = Processor::new()?;
    let mut spawner = Spawner::start(&toft, &shown, PROGRAM)?;
    let dir = std::env::temp_dir().join(format!("toft-bench-{}", std::process::id()));
    let measured = measure(rounds, &meter, &mut spawner, &dir, &shown);
    let _ = std::fs::remove_dir_all(&dir); // Of our own making; a leftover harms nobody.
    let sides = measured?;
    table(&sides, rounds);
    promises(&sides);
    Ok(true)
}

/// Name, wall and processor time of each side.
type Measured = Vec<(&'static str, Sample, Sample)>;

fn measure(
    rounds: usize,
    meter: &Processor,
    spawner: &mut Spawner,
    dir: &std::path::Path,
    shown: &Shown,
) -> Result<Measured> {
    let mut bundle = Bundle::write(dir, shown, PROGRAM)?;
    // The spawner was started before: it still sees the whole machine.
    peers::hide_hybrid_cgroups()?;
    let spawner = std::cell::RefCell::new(spawner);
    let ballast = std::cell::RefCell::new(Vec::new());
    let mut sides = vec![
        Side::new("toft", || spawner.borrow_mut().once().map(Some)),
        Side::new("toft beside 512 MB", || {
            // Part of the side, not of its time: it stays once it is there.
            let mut held = ballast.borrow_mut();
            if held.is_empty() {
                held.resize(BALLAST_BYTES, 1u8);
            }
            spawner.borrow_mut().once().map(Some)
        }),
        Side::new("no sandbox", || ends_well(&mut Command::new(PROGRAM[0]))),
    ];
    if peers::installed("bwrap") {
        sides.push(Side::new("bwrap", || {
            ends_well(&mut peers::bubblewrap(shown, PROGRAM))
        }));
    } else {
        toft_testkit::skipped("bench start: bubblewrap is not installed");
    }
    if peers::installed("crun") {
        sides.push(Side::new("crun", || ends_well(&mut bundle.run())));
    } else {
        toft_testkit::skipped("bench start: crun is not installed");
    }
    const WARM_UP: usize = 5;
    for round in 0..rounds + WARM_UP {
        if round == WARM_UP {
            for side in &mut sides {
                (side.wall, side.processor) = (Sample::default(), Sample::default());
            }
        }
        for index in order(round, sides.len()) {
            sides[index].measure(meter)?;
        }
    }
    Ok(sides
        .into_iter()
        .map(|side| (side.name, side.wall, side.processor))
        .collect())
}

/// An order of the sides that is another one in each round, and the same in each run: what one side
/// leaves the kernel to clean up burdens whoever comes next, and that is to be everybody.
fn order(round: usize, sides: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sides).collect();
    let mut state = round as u64 + 1;
    for place in (1..sides).rev() {
        // A step of Knuth's MMIX generator; the high bits are the good ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(place, (state >> 33) as usize % (place + 1));
    }
    order
}

fn ends_well(command: &mut Command) -> Result<Option<Instant>> {
    let status = command.status()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(None)
}

fn side<'a>(sides: &'a Measured, name: &str) -> Option<&'a (&'static str, Sample, Sample)> {
    sides.iter().find(|(found, ..)| *found == name)
}

fn table(sides: &Measured, rounds: usize) {
    say(&format!(
        "{rounds} starts of {} on each side, taking turns; microseconds, median (middle four fifths)\n",
        PROGRAM[0]
    ));
    say(&format!(
        "{:<20} {:>20} {:>20} {:>8} {:>8}",
        "side", "wall", "processor", "× bwrap", "× crun"
    ));
    for (name, wall, processor) in sides {
        let against = |peer: &str| {
            side(sides, peer).map_or("—".into(), |(_, other, _)| {
                format!("{:.2}", wall.ratio(other).of_medians)
            })
        };
        let cell = |sample: &Sample| format!("{:.0} ({})", sample.median(), sample.spread());
        let (bwrap, crun) = (against("bwrap"), against("crun"));
        say(&format!(
            "{name:<20} {:>20} {:>20} {bwrap:>8} {crun:>8}",
            cell(wall),
            cell(processor)
        ));
    }
    say("");
}

fn promises(sides: &Measured) {
    let start = "sandboxed start, spawn to exit, own network and process tree";
    let cases = [
        (
            "toft",
            "bwrap",
            0.45,
            format!("{start}: ≤ 0.45 × `bwrap --unshare-all`"),
        ),
        ("toft", "crun", 0.35, "the same: ≤ 0.35 × crun".to_owned()),
        (
            "toft beside 512 MB",
            "bwrap",
            0.45,
            "the same from a keeper beside a program of 512 MB".to_owned(),
        ),
    ];
    for (own, peer, most, text) in cases {
        if let (Some((_, own, own_cpu)), Some((_, other, other_cpu))) =
            (side(sides, own), side(sides, peer))
        {
            say(&own.ratio(other).promise(&text, most, COMMAND));
            say(&format!(
                "  processor time: {:.2} × {peer}",
                own_cpu.ratio(other_cpu).of_medians
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn everybody_follows_everybody() {
        let mut followed = [[0; 5]; 5];
        for round in 0..500 {
            let order = order(round, 5);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            for pair in order.windows(2) {
                followed[pair[0]][pair[1]] += 1;
            }
        }
        // 2,000 pairs over 20 places.
        for (first, row) in followed.iter().enumerate() {
            for (second, count) in row.iter().enumerate() {
                let fair = if first == second {
                    *count == 0
                } else {
                    (50..=150).contains(count)
                };
                assert!(fair, "{followed:?}");
            }
        }
    }
}
