//! A sandboxed start of `/bin/true`, spawn to exit, beside `bwrap --unshare-all`, taking turns.
//!
//! `cargo run --release -p toft-sandbox --example bench_start [ROUNDS]`. `cargo xtask bench start`
//! measures the same through the whole spawner; this is the bare crate, for work on it.

#![expect(clippy::print_stdout, reason = "it prints its table")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use rustix::pipe::{PipeFlags, pipe_with};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use toft_model::instance::{InstanceSpec, LogSpec, Stop};
use toft_model::message::SpawnSpec;
use toft_model::sandbox::{Calls, Limits, Mode, Mount, Network, SandboxSpec, Source};
use toft_model::unit::Bytes;
use toft_model::{Generation, InstanceId};
use toft_sandbox::cgroup::{Tree, parent_name};
use toft_sandbox::{Input, view};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const LINKS: [(&str, &str); 4] = [
    ("/bin", "usr/bin"),
    ("/sbin", "usr/sbin"),
    ("/lib", "usr/lib"),
    ("/lib64", "usr/lib64"),
];

/// What each side is called; the second and third are measured by the helper.
const SIDES: [&str; 4] = [
    "no sandbox",
    "sandbox",
    "sandbox, memory and pids",
    "bwrap --unshare-all",
];
const WARM_UP: usize = 5;
/// As the first argument: this is the helper.
const HELPER: &str = "spawner";

fn main() -> Result<()> {
    let first = std::env::args().nth(1);
    if first.as_deref() == Some(HELPER) {
        return serve();
    }
    let rounds: usize = first.map_or(Ok(300), |text| text.parse())?;
    let mut helper = Helper::start()?;
    let mut samples = vec![(Vec::new(), Vec::new()); SIDES.len()];
    for round in 0..rounds + WARM_UP {
        for (side, sample) in samples.iter_mut().enumerate() {
            let (wall, cpu) = match side {
                0 => measure(|| run(&mut Command::new("/bin/true")))?,
                1 | 2 => helper.ask(side)?,
                _ => measure(|| run(&mut bubblewrap()))?,
            };
            if round >= WARM_UP {
                sample.0.push(wall);
                sample.1.push(cpu);
            }
        }
    }
    table(&mut samples);
    Ok(())
}

/// The spawner is a process of its own: it gives up its bounding set, which peers need.
struct Helper {
    process: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Helper {
    fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(HELPER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let answers = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        Ok(Self { process, answers })
    }

    fn ask(&mut self, side: usize) -> Result<(Duration, Duration)> {
        let orders = self.process.stdin.as_mut().ok_or("no pipe")?;
        writeln!(orders, "{side}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (wall, cpu) = line.trim().split_once(' ').ok_or("the helper ended")?;
        Ok((
            Duration::from_nanos(wall.parse()?),
            Duration::from_nanos(cpu.parse()?),
        ))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn serve() -> Result<()> {
    let name = parent_name(std::process::id()).ok_or("no start time")?;
    let tree = Tree::detect(&format!("{name}-bench"));
    let none = Tree::None("not measured".to_owned());
    let view = shared_view()?;
    toft_sandbox::shed_bounding_set()?;
    let free = order(Limits::default());
    let held = order(Limits {
        memory: Some(Bytes(64 << 20)),
        pids: Some(64),
        ..Limits::default()
    });
    for line in std::io::stdin().lines() {
        let (spec, cgroups) = if line? == "1" {
            (&free, &none)
        } else {
            (&held, &tree)
        };
        let cpu = processor();
        let (wall, _) = measure(|| once(spec, &view, cgroups))?;
        // As the spawner does while it waits: not part of a start's time, but of what it costs.
        toft_sandbox::warm();
        println!(
            "{} {}",
            wall.as_nanos(),
            processor().saturating_sub(cpu).as_nanos()
        );
    }
    tree.remove_all();
    Ok(())
}

fn measure(work: impl FnOnce() -> Result<()>) -> Result<(Duration, Duration)> {
    let (cpu, start) = (processor(), Instant::now());
    work()?;
    Ok((start.elapsed(), processor().saturating_sub(cpu)))
}

fn table(samples: &mut [(Vec<Duration>, Vec<Duration>)]) {
    let median = |list: &mut Vec<Duration>| {
        list.sort();
        list[list.len() / 2].as_micros()
    };
    let medians: Vec<_> = samples
        .iter_mut()
        .map(|(w, c)| (median(w), median(c)))
        .collect();
    let (wall, cpu) = medians[SIDES.len() - 1];
    for (name, (w, c)) in SIDES.iter().zip(&medians) {
        let ratio = |a: u128, b: u128| a as f64 / b as f64;
        println!(
            "{name:<26} {w:>6} us {c:>6} us cpu  {:.2} {:.2}",
            ratio(*w, wall),
            ratio(*c, cpu)
        );
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{status}").into())
    }
}

fn bubblewrap() -> Command {
    let mut command = Command::new("bwrap");
    command.args([
        "--unshare-all",
        "--die-with-parent",
        "--ro-bind",
        "/usr",
        "/usr",
    ]);
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    for (place, to) in LINKS {
        command.args(["--symlink", to, place]);
    }
    command.arg("/bin/true");
    command
}

fn shared_view() -> Result<OwnedFd> {
    let usr = Source::Bind {
        path: "/usr".into(),
        write: false,
        exec: true,
        owner: None,
    };
    let mut list = vec![Mount {
        target: "/usr".into(),
        source: usr,
    }];
    for (place, to) in LINKS {
        list.push(Mount {
            target: place.into(),
            source: Source::Link { to: to.into() },
        });
    }
    Ok(view::start(&list, Mode::Root)?.finish()?)
}

fn order(limits: Limits) -> SpawnSpec {
    let sandbox = SandboxSpec {
        hostname: "bench".into(),
        view: vec![],
        own: vec![],
        run_files: vec![],
        network: Network::Doors,
        calls: Calls::App,
        limits,
    };
    let instance = InstanceSpec {
        id: InstanceId {
            app: "bench".parse().expect("a name"),
            process: "web".parse().expect("a name"),
            index: 0,
            generation: Generation(1),
        },
        argv: vec!["/bin/true".into()],
        env: vec![],
        workdir: "/".into(),
        sandbox,
        listen: vec![],
        stop: Stop {
            signal: 15,
            grace: Duration::ZERO,
        },
        log: LogSpec::default(),
        notify: false,
    };
    SpawnSpec {
        instance,
        uid: 1_879_114_000,
        cgroup: "one".into(),
        extra: 0,
        die_with_keeper: true,
    }
}

fn once(spec: &SpawnSpec, view: &OwnedFd, cgroups: &Tree) -> Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    let (status, status_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let (_control, control_end) = pipe_with(PipeFlags::CLOEXEC)?;
    let spawned = toft_sandbox::spawn_as_child(&Input {
        spec,
        mode: Mode::Root,
        view: view.as_fd(),
        stdin: null.as_fd(),
        stdout: null.as_fd(),
        stderr: null.as_fd(),
        status: status_end.as_fd(),
        control: control_end.as_fd(),
        extra: &[],
        cgroups,
    })?;
    drop(status_end);
    // SAFETY: all zero is a valid value; a place for the answer is given.
    unsafe {
        let mut info = std::mem::zeroed::<libc::siginfo_t>();
        let pidfd = spawned.pidfd.as_raw_fd() as u32;
        libc::waitid(
            libc::P_PIDFD,
            pidfd,
            &raw mut info,
            libc::WEXITED | libc::__WALL,
        );
    }
    let mut record = [0u8; 8];
    let got = rustix::io::read(&status, &mut record)?;
    cgroups.sweep(&spec.cgroup);
    match toft_sandbox::decode_status(&record[..got]).and_then(toft_sandbox::Status::code) {
        Some(0) => Ok(()),
        other => Err(format!("it ended with {other:?}").into()),
    }
}

/// Processor time of this process and the children that it has reaped.
fn processor() -> Duration {
    let mut total = Duration::ZERO;
    for who in [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN] {
        // SAFETY: all zero is a valid value; a place for the answer is given.
        let usage = unsafe {
            let mut usage = std::mem::zeroed::<libc::rusage>();
            libc::getrusage(who, &raw mut usage);
            usage
        };
        for time in [usage.ru_utime, usage.ru_stime] {
            total += Duration::from_secs(time.tv_sec as u64);
            total += Duration::from_micros(time.tv_usec as u64);
        }
    }
    total
}
