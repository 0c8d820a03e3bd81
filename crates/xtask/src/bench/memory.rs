//! Memory of idle instances, with the kernel's part and their network, beside the peers; then what
//! all of an idle Toft holds.
//!
//! Charged memory is what the kernel counts in a cgroup around each side, its own part included. Most
//! of a network namespace it charges to nobody; that part is measured by itself and added to each
//! side that has one. Rounds take turns.

use super::idle;
use super::meter::{self, Memory};
use super::networks;
use super::peers::{self, Bundle, Shown};
use super::spawner::Spawner;
use super::stats::{Sample, line};
use crate::built::{self, Profile};
use crate::say::say;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use toft_testkit::inventory::processes;
use toft_testkit::wait;

/// The name of a small static server that nobody asks anything.
const PROGRAM: &str = "toft-idle";
const COMMAND: &str = "cargo xtask bench memory";

/// What a side's instances hold, in KiB each.
#[derive(Default)]
struct Held {
    charged: Sample,
    kernel: Sample,
    total: Sample,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Toft,
    Bubblewrap,
    Crun,
    Bare,
}

const SIDES: [(Side, &str); 4] = [
    (Side::Toft, "toft"),
    (Side::Bubblewrap, "bwrap"),
    (Side::Crun, "crun"),
    (Side::Bare, "no sandbox"),
];

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let count = super::number(arguments, "--instances", 40)?;
    let rounds = super::number(arguments, "--rounds", 7)?;
    let [idle] = built::binaries(Profile::Dev, [("toft-testkit", PROGRAM)])?;
    let programs = Programs {
        toft: built::toft(Profile::Release)?,
        idle,
    };
    let mut sides: Vec<(Side, &str, Held)> = Vec::new();
    for (side, name) in SIDES {
        match side {
            Side::Bubblewrap | Side::Crun if !peers::installed(name) => {
                toft_testkit::skipped(&format!("bench memory: {name} is not installed"));
            }
            _ => sides.push((side, name, Held::default())),
        }
    }
    let network = networks::uncharged_kib()?;
    for round in 0..rounds + 1 {
        for (side, name, held) in &mut sides {
            let (side, programs) = (*side, programs.clone());
            // A thread of its own: it goes into cgroups and mounts that nobody else shares.
            let measured = std::thread::spawn(move || one(side, &programs, count)).join();
            let measured = measured
                .map_err(|_| anyhow::anyhow!("the side {name} broke"))?
                .with_context(|| *name)?;
            if round > 0 {
                held.add(&measured, if side == Side::Bare { 0.0 } else { network }); // The first round pays for what all share.
            }
        }
    }
    table(&sides, count, rounds);
    say(&format!(
        "  of a network namespace {network:.0} KiB are charged to nobody, and added to each side that has one"
    ));
    say("");
    idle::print(&programs.toft)?;
    Ok(true)
}

/// What is run.
#[derive(Clone)]
struct Programs {
    toft: PathBuf,
    idle: PathBuf,
}

/// KiB for each instance.
struct Measured {
    charged: f64,
    kernel: f64,
}

impl Held {
    fn add(&mut self, measured: &Measured, network: f64) {
        self.charged.push(measured.charged);
        self.kernel.push(measured.kernel);
        self.total.push(measured.charged + network);
    }
}

fn one(side: Side, programs: &Programs, count: usize) -> Result<Measured> {
    let memory = Memory::new(&format!("{side:?}").to_lowercase())?;
    let dir = std::env::temp_dir().join(format!("toft-bench-memory-{}", std::process::id()));
    let folder = programs.idle.parent().context("a folder")?.to_owned();
    let shown = Shown {
        folders: vec![folder],
        links: Vec::new(),
    };
    let idle = programs.idle.to_str().context("a plain path")?;
    let before_start = if side == Side::Toft {
        Some(Spawner::start(&programs.toft, &shown, &[idle])?)
    } else {
        None
    };
    peers::hide_hybrid_cgroups()?;
    let measured = match before_start {
        Some(mut spawner) => with_spawner(&mut spawner, &memory, count),
        None => with_commands(
            side,
            &Around {
                shown: &shown,
                dir: &dir,
                idle,
            },
            &memory,
            count,
        ),
    };
    let _ = std::fs::remove_dir_all(&dir); // Of our own making; a leftover harms nobody.
    measured
}

fn with_spawner(spawner: &mut Spawner, memory: &Memory, count: usize) -> Result<Measured> {
    // One that comes and goes first: what the spawner itself grows by is not an instance's.
    let first = spawner.spawn()?;
    spawner.kill(first)?;
    let before = memory.charged()?;
    let running: Vec<_> = (0..count).map(|_| spawner.spawn()).collect::<Result<_>>()?;
    all_there(count)?;
    let after = memory.charged()?;
    for instance in running {
        spawner.kill(instance)?;
    }
    Ok(Measured::between(before, after, count))
}

/// What the peers' commands are made of.
struct Around<'a> {
    shown: &'a Shown,
    dir: &'a Path,
    idle: &'a str,
}

fn with_commands(
    side: Side,
    around: &Around<'_>,
    memory: &Memory,
    count: usize,
) -> Result<Measured> {
    let argv = [around.idle];
    let mut bundle = Bundle::write(around.dir, around.shown, &argv)?;
    let mut start = || -> Result<Child> {
        let mut command = match side {
            Side::Bubblewrap => peers::bubblewrap(around.shown, &argv),
            Side::Crun => bundle.run(),
            Side::Bare | Side::Toft => Command::new(around.idle),
        };
        Ok(command.spawn()?)
    };
    let first = start()?;
    all_there(1)?;
    end(first)?;
    let before = memory.charged()?;
    let mut running = Vec::new();
    let started = (0..count).try_for_each(|_| start().map(|child| running.push(child)));
    let after = started
        .and_then(|()| all_there(count))
        .and_then(|()| memory.charged());
    // Whatever came of it, nothing of it stays.
    let ended: Vec<Result<()>> = running.into_iter().map(end).collect();
    let after = after?;
    ended.into_iter().collect::<Result<()>>()?;
    Ok(Measured::between(before, after, count))
}

/// Ends a command: first what it runs, then, if need be, itself.
fn end(mut child: Child) -> Result<()> {
    for process in below(child.id())?.iter().filter(|p| p.comm == PROGRAM) {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        // It may have gone by itself.
        let _ = kill_process(pid.context("a process id")?, Signal::KILL);
    }
    let ended = wait::until(Duration::from_secs(5), "its end", || {
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    Ok(())
}

/// A process of ours and all that descend from it.
fn below(top: u32) -> Result<Vec<toft_testkit::inventory::Process>> {
    let all = processes()?;
    let mut family = vec![top];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(all.iter().filter(|p| p.parent == parent).map(|p| p.pid));
        next += 1;
    }
    Ok(all
        .into_iter()
        .filter(|p| family.contains(&p.pid))
        .collect())
}

/// Waits until as many of the programs run below this process.
fn all_there(count: usize) -> Result<()> {
    wait::until(Duration::from_secs(60), "all instances", || {
        let found = below(std::process::id()).ok()?;
        let there = found
            .iter()
            .filter(|p| p.comm == PROGRAM && p.state == 'S')
            .count();
        (there >= count).then_some(())
    })
}

impl Measured {
    fn between(before: meter::Charged, after: meter::Charged, count: usize) -> Self {
        let each = |now: u64, then: u64| (now as f64 - then as f64) / 1024.0 / count as f64;
        Self {
            charged: each(after.all, before.all),
            kernel: each(after.kernel, before.kernel),
        }
    }
}

fn table(sides: &[(Side, &str, Held)], count: usize, rounds: usize) {
    say(&format!(
        "{count} idle instances on each side, {rounds} rounds, taking turns; KiB for each, median (middle four fifths)\n"
    ));
    say(&format!(
        "{:<12} {:>18} {:>18} {:>24}",
        "side", "charged", "of it kernel", "with its whole network"
    ));
    for (_, name, held) in sides {
        let cell = |sample: &Sample| format!("{:.0} ({})", sample.median(), sample.spread());
        let (charged, kernel, total) = (cell(&held.charged), cell(&held.kernel), cell(&held.total));
        say(&format!(
            "{name:<12} {charged:>18} {kernel:>18} {total:>24}"
        ));
    }
    let find = |wanted: Side| {
        sides
            .iter()
            .find(|(side, ..)| *side == wanted)
            .map(|(.., held)| held)
    };
    if let (Some(own), Some(peer)) = (find(Side::Toft), find(Side::Bubblewrap)) {
        let ratio = own.total.ratio(&peer.total);
        say("");
        let text = "memory of an idle instance, kernel memory and its network counted: ≤ 0.5 × `bwrap --unshare-all`";
        say(&ratio.promise(text, 0.5, COMMAND));
        say(&format!(
            "  charged memory alone: {:.2} × bwrap",
            own.charged.ratio(&peer.charged).of_medians
        ));
    }
}

/// The promise about all of Toft.
pub(super) fn idle_promise(mib: f64) -> String {
    line(
        "whole idle Toft: ≤ 25 MiB PSS",
        &format!("{mib:.1} MiB"),
        "—",
        COMMAND,
        mib <= 25.0,
    )
}
