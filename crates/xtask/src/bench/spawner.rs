//! The product's own spawner, driven as the keeper drives it.

use super::meter::now;
use super::peers::Shown;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;
use toft_link::Link;
use toft_model::id::{Generation, InstanceId};
use toft_model::instance::{InstanceSpec, LogSpec, Stop};
use toft_model::message::{FromSpawner, SpawnSpec, SpawnerOrder, ToSpawner};
use toft_model::sandbox::{Calls, Limits, Mode, Mount, Network, SandboxSpec, Source};

const WITHIN_MS: u32 = 30_000;
/// First of the user ids that instances get here: far from everybody's.
const UID: u32 = 0x7000_0000;

/// A running spawner, with one view prepared.
#[derive(Debug)]
pub(crate) struct Spawner {
    child: Child,
    link: Link,
    view: OwnedFd,
    spec: SpawnSpec,
    next: u32,
}

/// One running instance, with the ends that its keeper holds.
#[derive(Debug)]
pub(crate) struct Instance {
    pid: Pid,
    cgroup: String,
    _ends: Vec<OwnedFd>,
}

impl Spawner {
    /// Starts it, and has it prepare a view of these files for instances that run `argv`.
    pub(crate) fn start(toft: &Path, shown: &Shown, argv: &[&str]) -> Result<Self> {
        let (ours, theirs) = toft_link::socket_pair()?;
        let child = start_process(toft, theirs)?;
        let mut link = Link::new(ours);
        let cgroup = format!("toft-bench-{}", std::process::id());
        link.send(
            &SpawnerOrder {
                mode: Mode::Root,
                cgroup,
                limits: Limits::default(),
                open_files: 1024,
            },
            vec![],
        )?;
        link.send(
            &ToSpawner::Prepare {
                token: 1,
                view: view(shown),
            },
            vec![],
        )?;
        let view = match receive(&mut link)? {
            (FromSpawner::Prepared { .. }, mut fds) if fds.len() == 1 => fds.remove(0),
            (other, _) => bail!("no view came: {other:?}"),
        };
        Ok(Self {
            child,
            link,
            view,
            spec: spec(argv)?,
            next: 0,
        })
    }

    /// Starts an instance.
    pub(crate) fn spawn(&mut self) -> Result<Instance> {
        self.next += 1;
        self.spec.uid = UID + self.next;
        self.spec.cgroup = format!("bench-{}", self.next);
        let null = || {
            File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .map(OwnedFd::from)
        };
        let (status, status_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (control, control_end) = toft_link::socket_pair()?;
        let fds = vec![
            self.view.try_clone()?,
            null()?,
            null()?,
            null()?,
            status_end,
            control_end,
        ];
        self.link.send(
            &ToSpawner::Spawn {
                token: 1,
                spec: Box::new(self.spec.clone()),
            },
            fds,
        )?;
        match receive(&mut self.link)? {
            (FromSpawner::Spawned { pid, .. }, mut ends) => {
                let pid = i32::try_from(pid)
                    .ok()
                    .and_then(Pid::from_raw)
                    .context("a process id")?;
                ends.extend([status, control]);
                Ok(Instance {
                    pid,
                    cgroup: self.spec.cgroup.clone(),
                    _ends: ends,
                })
            }
            (other, _) => bail!("no instance came: {other:?}"),
        }
    }

    /// Waits for an instance's end, and has everything of it removed. Gives back how it ended, and
    /// when that was seen.
    fn finish(&mut self, instance: Instance) -> Result<(Option<i32>, Instant)> {
        let status = loop {
            match waitpid(Some(instance.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => break status,
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => bail!("wait for an instance: {errno}"),
            }
        };
        let seen = now();
        self.link.send(
            &ToSpawner::Sweep {
                token: 2,
                cgroup: instance.cgroup,
            },
            vec![],
        )?;
        match receive(&mut self.link)? {
            (FromSpawner::Swept { .. }, _) => Ok((status.exit_status(), seen)),
            (other, _) => bail!("it was not swept: {other:?}"),
        }
    }

    /// Ends an instance and has everything of it removed.
    pub(crate) fn kill(&mut self, instance: Instance) -> Result<()> {
        rustix::process::kill_process(instance.pid, rustix::process::Signal::KILL)?;
        self.finish(instance).map(drop)
    }

    /// One whole start of a program that ends by itself; when that was seen.
    pub(crate) fn once(&mut self) -> Result<Instant> {
        let instance = self.spawn()?;
        let (status, seen) = self.finish(instance)?;
        ensure!(status == Some(0), "the instance ended with {status:?}");
        Ok(seen)
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // The end of the link ends it; one that does not listen is killed.
        let (ours, _) = match toft_link::socket_pair() {
            Ok(pair) => pair,
            Err(_) => return drop(self.child.kill()),
        };
        drop(std::mem::replace(&mut self.link, Link::new(ours)));
        let _ = self.child.wait();
    }
}

/// `toft spawner`, with its link at descriptor 3.
fn start_process(toft: &Path, link: OwnedFd) -> Result<Child> {
    let mut command = Command::new(toft);
    command.arg("spawner").env_clear();
    let fd = link.as_raw_fd();
    // SAFETY: one system call between fork and exec; the descriptor lives until after the start.
    unsafe {
        command.pre_exec(move || match libc::dup2(fd, 3) {
            -1 => Err(std::io::Error::last_os_error()),
            same if same == fd => {
                libc::fcntl(fd, libc::F_SETFD, 0);
                Ok(())
            }
            _ => Ok(()),
        });
    }
    let child = command
        .spawn()
        .with_context(|| format!("start {} spawner", toft.display()))?;
    drop(link);
    Ok(child)
}

fn receive(link: &mut Link) -> Result<(FromSpawner, Vec<OwnedFd>)> {
    let (message, fds) = link
        .recv_within::<FromSpawner>(WITHIN_MS)?
        .context("the spawner does not answer")?;
    if let FromSpawner::Failed { refusal, .. } = &message {
        bail!("the spawner refuses: {refusal}");
    }
    Ok((message, fds))
}

fn view(shown: &Shown) -> Vec<Mount> {
    let bind = |path: &PathBuf| Mount {
        target: path.clone(),
        source: Source::Bind {
            path: path.clone(),
            write: false,
            exec: true,
            owner: None,
        },
    };
    let link = |(target, to): &(PathBuf, PathBuf)| Mount {
        target: target.clone(),
        source: Source::Link { to: to.clone() },
    };
    shown
        .folders
        .iter()
        .map(bind)
        .chain(shown.links.iter().map(link))
        .collect()
}

fn spec(argv: &[&str]) -> Result<SpawnSpec> {
    let sandbox = SandboxSpec {
        hostname: "bench".into(),
        view: Vec::new(),
        own: Vec::new(),
        run_files: Vec::new(),
        network: Network::Doors,
        calls: Calls::App,
        limits: Limits {
            memory: Some(toft_model::unit::Bytes(256 << 20)),
            pids: Some(64),
            open_files: Some(1024),
            cpu: None,
        },
    };
    let instance = InstanceSpec {
        id: InstanceId {
            app: "bench".parse()?,
            process: "web".parse()?,
            index: 0,
            generation: Generation(1),
        },
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        workdir: "/".into(),
        sandbox,
        listen: Vec::new(),
        stop: Stop {
            signal: 15,
            grace: std::time::Duration::from_secs(1),
        },
        log: LogSpec::default(),
        notify: false,
    };
    Ok(SpawnSpec {
        instance,
        uid: UID,
        cgroup: String::new(),
        extra: 0,
        die_with_keeper: true,
    })
}
