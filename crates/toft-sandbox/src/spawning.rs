//! Starting an instance.

use crate::child::{self, Prepared};
use crate::error::{Error, Step};
use crate::kernel::{CloneArgs, checked};
use crate::program::{self, Failure};
use crate::userns::CLONE_CLEAR_SIGHAND;
use crate::{cgroup, init, landlock, netns, own, process, sockets};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
    recvmsg, socketpair,
};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use toft_model::message::SpawnSpec;
use toft_model::sandbox::{Enforcer, Mode, Network};

/// Everything that a start needs.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The order.
    pub spec: &'a SpawnSpec,
    /// Which rights there are.
    pub mode: Mode,
    /// The prepared view.
    pub view: BorrowedFd<'a>,
    /// The program's standard input.
    pub stdin: BorrowedFd<'a>,
    /// The program's standard output.
    pub stdout: BorrowedFd<'a>,
    /// The program's standard error.
    pub stderr: BorrowedFd<'a>,
    /// Writing end of the status pipe; see [`crate::init`].
    pub status: BorrowedFd<'a>,
    /// Init's end of the control socket; see [`crate::init`].
    pub control: BorrowedFd<'a>,
    /// Descriptors that the program gets from 3 on.
    pub extra: &'a [OwnedFd],
    /// Where its control groups are made.
    pub cgroups: &'a cgroup::Tree,
}

/// An instance that runs.
#[derive(Debug)]
pub struct Spawned {
    /// Process id of its init.
    pub pid: u32,
    /// Start time of that process in clock ticks.
    pub start_time: u64,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// Its network namespace; absent for `Network::Host`.
    pub netns: Option<OwnedFd>,
    /// Receiving end of its notify socket, not blocking.
    pub notify: Option<OwnedFd>,
    /// What holds each budget.
    pub budgets: Vec<(String, Enforcer)>,
}

/// Starts an instance as a child of the *caller's parent* (`CLONE_PARENT`), which gets its
/// `SIGCHLD` and must reap it.
///
/// After [`Error::Child`] that parent has a zombie to reap: the child ran and ended. Nothing else
/// is left of a failed start.
pub fn spawn(input: &Input<'_>) -> Result<Spawned, Error> {
    start(input, true)
}

/// As [`spawn`], as a child of the caller, who must reap it.
pub fn spawn_as_child(input: &Input<'_>) -> Result<Spawned, Error> {
    start(input, false)
}

/// Makes what the next instance needs whatever its order says: a network namespace, terminals,
/// `/tmp` and shared memory. For a spawner that waits for its next order; it takes about half a
/// millisecond, once for each start.
pub fn warm() {
    netns::warm();
    own::warm();
    // The next start says what is wrong with it.
    let _ = init_file();
}

/// `CLONE_INTO_CGROUP` of clone3(2).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn start(input: &Input<'_>, for_parent: bool) -> Result<Spawned, Error> {
    check(input)?;
    let spec = input.spec;
    let host = spec.instance.sandbox.network == Network::Host;
    let own = own::prepare(spec, input.mode)?;
    let abi = landlock_abi();
    let ruleset = landlock::ruleset(abi, host)?;
    let spare = if host { None } else { netns::take() };
    let made_before = match &spare {
        Some(netns) if spec.instance.notify => Some(sockets::notify(netns.as_fd())?),
        _ => None,
    };
    // A namespace that the child makes comes back over this.
    let pair = match &spare {
        None if !host => Some(handover_pair()?),
        _ => None,
    };
    let cgroup = input
        .cgroups
        .create(&spec.cgroup, &spec.instance.sandbox.limits)?;
    let prepared = Prepared {
        own: &own,
        cgroup: &cgroup,
        ruleset: ruleset.as_fd(),
        abi,
        init: init_file()?,
        handover: pair.as_ref().map(|(_, theirs)| theirs.as_fd()),
        netns: spare.as_ref().map(AsFd::as_fd),
        capabilities: bounding_set(input.mode),
    };
    let program = child::write(input, &prepared);
    let mut pidfd = -1i32;
    let args = clone_args(
        input,
        for_parent,
        &cgroup,
        &mut pidfd,
        !host && spare.is_none(),
    );
    let result = program::run(&program, args);
    // SAFETY: when a child was made, the kernel wrote a new descriptor here, and nobody else has it.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    match (result, pidfd) {
        (Ok(pid), Some(pidfd)) => {
            let (netns, notify) = match (spare, made_before) {
                (Some(netns), notify) => (Some(netns), notify),
                (None, _) => pair
                    .as_ref()
                    .map_or((None, None), |(ours, _)| receive(ours)),
            };
            let start_time = process::start_time(pid).unwrap_or(0);
            let budgets = input.cgroups.budgets(&spec.instance.sandbox.limits);
            Ok(Spawned {
                pid,
                start_time,
                pidfd,
                netns,
                notify,
                budgets,
            })
        }
        (result, pidfd) => {
            if let (Some(pidfd), false) = (pidfd, for_parent) {
                process::reap(pidfd.as_fd());
            }
            input.cgroups.sweep(&spec.cgroup);
            Err(match result {
                Err(Failure::Step(step, errno)) => Error::Child {
                    step,
                    subject: subject(step, input, &own),
                    errno,
                },
                Err(Failure::Clone(errno)) => Error::Clone(errno),
                Ok(_) => Error::Clone(Errno::BADF),
            })
        }
    }
}

fn check(input: &Input<'_>) -> Result<(), Error> {
    let SpawnSpec {
        instance,
        uid,
        cgroup,
        ..
    } = input.spec;
    let wrong = |text: String| Err(Error::Spec(text));
    if input.mode == Mode::Root && *uid == 0 {
        return wrong("an instance never runs as root".to_owned());
    }
    if instance.argv.is_empty() || instance.argv[0].is_empty() {
        return wrong("there is no program to run".to_owned());
    }
    if instance.notify && instance.sandbox.network == Network::Host {
        return wrong("a notify socket needs a network namespace of its own".to_owned());
    }
    if cgroup.is_empty() || cgroup.starts_with('.') || cgroup.contains(['/', '\0']) {
        return wrong(format!("`{cgroup}` cannot be the name of a cgroup"));
    }
    if instance.sandbox.hostname.len() > 63 {
        return wrong("a host name has at most 63 bytes".to_owned());
    }
    let words = instance.argv.iter().chain([&instance.workdir]);
    let pairs = instance.env.iter().flat_map(|(key, value)| [key, value]);
    if words.chain(pairs).any(|text| text.contains('\0')) {
        return wrong("a NUL in an argument or in the environment".to_owned());
    }
    Ok(())
}

fn clone_args(
    input: &Input<'_>,
    for_parent: bool,
    cgroup: &cgroup::Cgroup,
    pidfd: &mut i32,
    own_network: bool,
) -> CloneArgs {
    let namespaces =
        libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
    let mut flags = (namespaces | libc::CLONE_PIDFD) as u64 | CLONE_CLEAR_SIGHAND;
    if own_network {
        flags |= libc::CLONE_NEWNET as u64;
    }
    if input.mode == Mode::Root {
        // A plain user's child leaves for a user namespace, which must not share memory.
        flags |= libc::CLONE_VM as u64;
    }
    let mut exit_signal = libc::SIGCHLD as u64;
    if for_parent {
        flags |= libc::CLONE_PARENT as u64;
        exit_signal = 0;
    }
    let mut args = CloneArgs {
        flags,
        exit_signal,
        pidfd: std::ptr::from_mut(pidfd) as u64,
        ..CloneArgs::default()
    };
    if let Some(folder) = &cgroup.folder {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = folder.as_raw_fd() as u64;
    }
    args
}

fn handover_pair() -> Result<(OwnedFd, OwnedFd), Error> {
    socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Error::Prepare {
        what: "make a socket pair",
        errno,
    })
}

/// The network namespace and the notify socket, which the child sent before it executed.
fn receive(socket: &OwnedFd) -> (Option<OwnedFd>, Option<OwnedFd>) {
    let mut byte = [0u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    if recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut byte)],
        &mut control,
        flags,
    )
    .is_err()
    {
        return (None, None);
    }
    let mut fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten();
    (fds.next(), fds.next())
}

fn subject(step: Step, input: &Input<'_>, own: &[own::Own]) -> Option<String> {
    match step {
        Step::Mount(n) | Step::Place(n) => own
            .get(n as usize)
            .map(|own| own.target.display().to_string()),
        Step::Workdir => Some(input.spec.instance.workdir.clone()),
        Step::Hostname => Some(input.spec.instance.sandbox.hostname.clone()),
        Step::User => Some(input.spec.uid.to_string()),
        _ => None,
    }
}

fn landlock_abi() -> u32 {
    static ABI: OnceLock<u32> = OnceLock::new();
    *ABI.get_or_init(landlock::abi)
}

/// Whether the caller has no bounding set that a child could inherit.
static NO_BOUNDING_SET: AtomicBool = AtomicBool::new(false);

/// Empties the caller's capability bounding set, for ever: what it holds stays, but nothing that it
/// executes gets a capability. For the spawner's first breath; starts are quicker, because as root
/// an instance then has nothing to drop there.
pub fn shed_bounding_set() -> Result<(), Error> {
    for capability in 0..=last_capability() {
        // SAFETY: a call with numbers alone.
        unsafe {
            let (option, capability) = (libc::PR_CAPBSET_DROP as usize, capability as usize);
            checked(libc::SYS_prctl, [option, capability, 0, 0, 0, 0])
        }
        .map_err(|errno| Error::Prepare {
            what: "empty the capability bounding set",
            errno,
        })?;
    }
    NO_BOUNDING_SET.store(true, Ordering::Relaxed);
    Ok(())
}

/// The capabilities that a child must drop. A new user namespace begins with all of them.
fn bounding_set(mode: Mode) -> std::ops::RangeInclusive<u32> {
    if mode == Mode::Root && NO_BOUNDING_SET.load(Ordering::Relaxed) {
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
        return 1..=0;
    }
    0..=last_capability()
}

/// The kernel's last capability: dropping one that it does not know fails.
fn last_capability() -> u32 {
    static LAST: OnceLock<u32> = OnceLock::new();
    *LAST.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
        // CAP_CHECKPOINT_RESTORE, of Linux 5.9: the last for years.
        text.trim().parse().unwrap_or(40)
    })
}

/// Init's file, made once.
fn init_file() -> Result<BorrowedFd<'static>, Error> {
    static FILE: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(file) = FILE.get() {
        return Ok(file.as_fd());
    }
    let made = init::file()?;
    Ok(FILE.get_or_init(|| made).as_fd())
}
