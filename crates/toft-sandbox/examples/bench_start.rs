//! A sandboxed start of `/bin/true`, spawn to exit, beside `bwrap --unshare-all`, taking turns.
//!
//! `cargo run --release -p toft-sandbox --example bench_start [ROUNDS]`. `cargo xtask bench start`
//! measures the same through the whole spawner; this is the bare crate, for work on it.

#![expect(clippy::print_stdout, reason = "it prints its table")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use rustix::pipe::{PipeFlags, pipe_with};
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

fn main() -> Result<()> {
    let rounds: usize = std::env::args()
        .nth(1)
        .map_or(Ok(300), |text| text.parse())?;
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
    let mut sides: Vec<Side<'_>> = vec![
        (
            "no sandbox",
            Box::new(|| run(&mut Command::new("/bin/true"))),
        ),
        ("sandbox", Box::new(|| once(&free, &view, &none))),
        (
            "sandbox, memory and pids",
            Box::new(|| once(&held, &view, &tree)),
        ),
        ("bwrap --unshare-all", Box::new(|| run(&mut bubblewrap()))),
    ];
    let mut samples = vec![(Vec::new(), Vec::new()); sides.len()];
    for round in 0..rounds + 5 {
        for (side, sample) in sides.iter_mut().zip(&mut samples) {
            let (cpu, start) = (processor(), Instant::now());
            (side.1)()?;
            if round >= 5 {
                sample.0.push(start.elapsed());
                sample.1.push(processor().saturating_sub(cpu));
            }
        }
    }
    drop(sides);
    tree.remove_all();
    table(&mut samples);
    Ok(())
}

type Side<'a> = (&'static str, Box<dyn FnMut() -> Result<()> + 'a>);

fn table(samples: &mut [(Vec<Duration>, Vec<Duration>)]) {
    let median = |list: &mut Vec<Duration>| {
        list.sort();
        list[list.len() / 2].as_micros()
    };
    let names = [
        "no sandbox",
        "sandbox",
        "sandbox, memory and pids",
        "bwrap --unshare-all",
    ];
    let medians: Vec<_> = samples
        .iter_mut()
        .map(|(w, c)| (median(w), median(c)))
        .collect();
    let (wall, cpu) = medians[names.len() - 1];
    for (name, (w, c)) in names.iter().zip(&medians) {
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
