//! One instance as the keeper holds it: what it is, how far it came, what it owns.

use super::views::Key;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use toft_model::instance::{InstanceSpec, Outcome, Running, signal_name};
use toft_model::message::Role;

/// Whose order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Server's.
    App,
    /// The keeper's own.
    Role(Role),
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its view is being made.
    Preparing,
    /// The spawner was asked for it.
    Spawning,
    /// It runs.
    Running,
    /// It was reaped; what is left of it is being swept, and its log drained.
    Ending,
}

/// What was asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    /// To end in good order.
    Stop,
    /// To end now.
    Kill,
}

/// What a running one has.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) running: Running,
    pub(crate) pidfd: OwnedFd,
    pub(crate) netns: Option<OwnedFd>,
    pub(crate) notify: Option<OwnedFd>,
    pub(crate) since: Instant,
}

/// The keeper's ends of what an instance was started with.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) out: OwnedFd,
    pub(crate) err: OwnedFd,
    pub(crate) status: OwnedFd,
    pub(crate) control: OwnedFd,
}

/// An instance from its order to its report.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The order; its view lies with the views.
    pub(crate) spec: InstanceSpec,
    pub(crate) kind: Kind,
    pub(crate) phase: Phase,
    pub(crate) view: Key,
    pub(crate) uid: Option<u32>,
    /// What the program gets from descriptor 3 on; empty once it was passed.
    pub(crate) extra: Vec<OwnedFd>,
    pub(crate) ends: Option<Ends>,
    pub(crate) life: Option<Life>,
    pub(crate) asked: Option<Asked>,
    /// Commands that run inside: our number, and the one that doors gave.
    pub(crate) runs: BTreeMap<u64, u64>,
    pub(crate) outcome: Option<Outcome>,
    /// What to say in its log about its end.
    pub(crate) note: Option<String>,
    pub(crate) swept: bool,
    pub(crate) drained: bool,
}

impl Instance {
    pub(crate) fn new(
        spec: InstanceSpec,
        kind: Kind,
        view: Key,
        uid: Option<u32>,
        extra: Vec<OwnedFd>,
    ) -> Self {
        Self {
            spec,
            kind,
            phase: Phase::Preparing,
            view,
            uid,
            extra,
            ends: None,
            life: None,
            asked: None,
            runs: BTreeMap::new(),
            outcome: None,
            note: None,
            swept: false,
            drained: false,
        }
    }

    /// Name of its cgroup: one path component, unique among what runs.
    pub(crate) fn cgroup(&self) -> String {
        let id = &self.spec.id;
        format!("{}.{}.{}.{}", id.app, id.process, id.index, id.generation.0)
    }

    /// Its life, while it runs.
    pub(crate) fn running(&self) -> Option<&Life> {
        self.life.as_ref().filter(|_| self.phase == Phase::Running)
    }

    /// Whether it was started from this order.
    pub(crate) fn is_of(&self, order: &InstanceSpec) -> bool {
        let mut bare = order.clone();
        let view = std::mem::take(&mut bare.sandbox.view);
        bare == self.spec && serde_json::to_string(&view).is_ok_and(|view| *view == *self.view)
    }

    /// Whether edge may come in.
    pub(crate) fn is_routed(&self) -> bool {
        self.kind == Kind::App && self.spec.listen.iter().any(|door| door.routed)
    }

    /// What its log says when it did not end when it was asked to.
    pub(crate) fn late_words(&self) -> String {
        let stop = self.spec.stop;
        let signal =
            signal_name(stop.signal).map_or_else(|| stop.signal.to_string(), str::to_owned);
        format!("did not end within {:?} of {signal}: killed", stop.grace)
    }
}

/// What the spawner passes on to the instance, in the order of `ToSpawner::Spawn`.
pub(crate) type Passed = Vec<OwnedFd>;

/// How much a log pipe holds, as far as the kernel lets us.
const PIPE_BYTES: usize = 256 * 1024;

/// Makes the pipes and sockets of an instance: our ends, and what goes with the order to spawn it.
pub(crate) fn make_ends(view: impl AsFd, extra: Vec<OwnedFd>) -> Result<(Ends, Passed), Errno> {
    let view = rustix::io::fcntl_dupfd_cloexec(view, 0)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    let (out, out_inside) = log_pipe()?;
    let (err, err_inside) = log_pipe()?;
    let (status, status_inside) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let flags = SocketFlags::CLOEXEC;
    let (control, control_inside) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let mut passed = vec![
        view,
        null,
        out_inside,
        err_inside,
        status_inside,
        control_inside,
    ];
    passed.extend(extra);
    Ok((
        Ends {
            out,
            err,
            status,
            control,
        },
        passed,
    ))
}

fn log_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller one is slower, not wrong.
    let _ = rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES);
    Ok((read, write))
}
