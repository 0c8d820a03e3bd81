//! A small keeper for tests: makes a view, starts an instance, waits for its end.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;
use toft_model::instance::{End, InstanceSpec, LogSpec, Stop};
use toft_model::message::SpawnSpec;
use toft_model::sandbox::{Calls, Limits, Mode, Mount, Network, SandboxSpec, Source};
use toft_model::{Generation, InstanceId};
use toft_sandbox::cgroup::Tree;
use toft_sandbox::{Error, Input, Spawned, Status, view};

/// A user id that nobody has.
pub(crate) const UID: u32 = 1_879_113_000;

/// Set in the run of these tests inside a plain user's namespace; see `user.rs`.
pub(crate) const INSIDE: &str = "TOFT_TEST_AS_PLAIN_USER";

/// Whether this process can build walls: as the machine's root, or inside the namespace that the
/// test of `user.rs` made. Says so loudly when not.
pub(crate) fn walls() -> bool {
    let able = mode() == Mode::Root || std::env::var_os(INSIDE).is_some();
    if !able {
        eprintln!("SKIPPED: this needs root; a_plain_user_has_the_same_walls runs it without");
    }
    able
}

/// Whether this run is the machine's root.
pub(crate) fn root() -> bool {
    let root = mode() == Mode::Root;
    if !root {
        eprintln!("SKIPPED: only root has this");
    }
    root
}

pub(crate) fn bind(path: &str) -> Mount {
    Mount {
        target: path.into(),
        source: Source::Bind {
            path: path.into(),
            write: false,
            exec: true,
            owner: None,
        },
    }
}

/// What a shell needs, as the machine has it.
pub(crate) fn base_view() -> Vec<Mount> {
    let mut list = vec![bind("/usr")];
    for name in ["bin", "sbin", "lib", "lib64", "lib32"] {
        let path = format!("/{name}");
        match std::fs::read_link(&path) {
            Ok(to) => list.push(Mount {
                target: path.into(),
                source: Source::Link { to },
            }),
            Err(_) if std::path::Path::new(&path).exists() => list.push(bind(&path)),
            Err(_) => {}
        }
    }
    list.push(Mount {
        target: "/app".into(),
        source: Source::Dir,
    });
    list
}

pub(crate) fn spec(argv: &[&str]) -> SpawnSpec {
    let instance = InstanceSpec {
        id: InstanceId {
            app: "test".parse().unwrap(),
            process: "web".parse().unwrap(),
            index: 0,
            generation: Generation(1),
        },
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        workdir: "/app".into(),
        sandbox: SandboxSpec {
            hostname: "web-0".into(),
            view: vec![],
            own: vec![],
            run_files: vec![],
            network: Network::Doors,
            calls: Calls::App,
            limits: Limits::default(),
        },
        listen: vec![],
        stop: Stop {
            signal: libc::SIGTERM,
            grace: Duration::from_secs(1),
        },
        log: LogSpec::default(),
        notify: false,
    };
    let mode = mode();
    let uid = if mode == Mode::Root { UID } else { 0 };
    SpawnSpec {
        instance,
        uid,
        cgroup: "one".into(),
        extra: 0,
        die_with_keeper: true,
    }
}

pub(crate) fn mode() -> Mode {
    // Inside the tests' own user namespace somebody is root, but not the machine's.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"];
    if whole { Mode::Root } else { Mode::User }
}

pub(crate) fn view_of(mounts: &[Mount]) -> OwnedFd {
    view::start(mounts, mode()).unwrap().finish().unwrap()
}

/// An instance with the other ends of its descriptors.
pub(crate) struct Instance {
    pub(crate) spawned: Spawned,
    pub(crate) stdout: OwnedFd,
    pub(crate) status: OwnedFd,
    pub(crate) control: OwnedFd,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Went {
    pub(crate) status: Option<Status>,
    pub(crate) said: String,
}

impl Went {
    pub(crate) fn code(&self) -> i32 {
        match self.status {
            Some(Status::Ended(End::Code(code))) => code,
            other => panic!("{other:?}: {}", self.said),
        }
    }
}

pub(crate) fn start(spec: &SpawnSpec, view: &OwnedFd, cgroups: &Tree) -> Result<Instance, Error> {
    start_with(spec, view, cgroups, &[])
}

pub(crate) fn start_with(
    spec: &SpawnSpec,
    view: &OwnedFd,
    cgroups: &Tree,
    extra: &[OwnedFd],
) -> Result<Instance, Error> {
    let (stdout, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (status, status_write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (control, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let input = Input {
        spec,
        mode: mode(),
        view: view.as_fd(),
        stdin: null.as_fd(),
        stdout: write.as_fd(),
        stderr: write.as_fd(),
        status: status_write.as_fd(),
        control: theirs.as_fd(),
        extra,
        cgroups,
    };
    let spawned = toft_sandbox::spawn_as_child(&input)?;
    Ok(Instance {
        spawned,
        stdout,
        status,
        control,
    })
}

impl Instance {
    /// Waits for its end, at most 20 seconds, and reaps it.
    pub(crate) fn wait(self) -> Went {
        let mut said = Vec::new();
        let deadline = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        if poll(
            &mut [PollFd::new(&self.spawned.pidfd, PollFlags::IN)],
            Some(&deadline),
        ) == Ok(0)
        {
            let _ = rustix::process::pidfd_send_signal(
                &self.spawned.pidfd,
                rustix::process::Signal::KILL,
            );
        }
        reap(&self.spawned.pidfd);
        std::fs::File::from(self.stdout)
            .read_to_end(&mut said)
            .unwrap();
        let mut record = Vec::new();
        std::fs::File::from(self.status)
            .read_to_end(&mut record)
            .unwrap();
        let status = toft_sandbox::decode_status(&record);
        Went {
            status,
            said: String::from_utf8_lossy(&said).into_owned(),
        }
    }

    /// Sends its init a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::pidfd_send_signal(&self.spawned.pidfd, signal).unwrap();
    }

    /// Reads from its output until this text has come.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut said = String::new();
        let deadline = Timespec {
            tv_sec: 20,
            tv_nsec: 0,
        };
        while !said.contains(text) {
            let ready = poll(
                &mut [PollFd::new(&self.stdout, PollFlags::IN)],
                Some(&deadline),
            );
            assert_eq!(ready, Ok(1), "{text:?} did not come: {said}");
            let mut buffer = [0u8; 4096];
            let got = rustix::io::read(&self.stdout, &mut buffer).unwrap();
            assert_ne!(got, 0, "{text:?} did not come: {said}");
            said.push_str(&String::from_utf8_lossy(&buffer[..got]));
        }
        said
    }
}

fn reap(pidfd: &OwnedFd) {
    // SAFETY: all zero is a valid value of it.
    let mut info = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
    let flags = libc::WEXITED | libc::__WALL;
    // SAFETY: a place for the answer is given.
    let result = unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as u32, &mut info, flags) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// The user id that programs see.
pub(crate) fn inner_uid() -> u32 {
    if mode() == Mode::Root {
        UID
    } else {
        toft_sandbox::INNER_UID
    }
}

/// An order for this test program itself to play a part of `inside.rs`.
pub(crate) fn part(name: &str) -> SpawnSpec {
    let mut spec = spec(&["/app/test", "--exact", "inside::part", "--nocapture"]);
    spec.instance
        .env
        .push((crate::inside::PART.into(), name.into()));
    spec
}

/// A view with this test program, which needs nothing else.
pub(crate) fn part_view() -> OwnedFd {
    let program = std::env::current_exe().unwrap();
    let source = Source::Bind {
        path: program,
        write: false,
        exec: true,
        owner: None,
    };
    view_of(&[Mount {
        target: "/app/test".into(),
        source,
    }])
}

pub(crate) fn no_cgroups() -> Tree {
    Tree::None("not wanted".to_owned())
}

/// Runs a shell script in a fresh instance.
pub(crate) fn shell(script: &str) -> Went {
    let view = view_of(&base_view());
    start(&spec(&["sh", "-c", script]), &view, &no_cgroups())
        .unwrap()
        .wait()
}
