//! The program of an instance's first process: from the clone to the exec of init.
//!
//! The order matters; each part says why it stands where it does.

mod network;

pub(crate) use network::{free_ports, loopback_up, notify_address};

use crate::cgroup::{Cgroup, Tree};
use crate::error::Step;
use crate::landlock::{self, PathBeneath, Rights};
use crate::own::Own;
use crate::program::{Program, Slot, args};
use crate::view::{WRITABLE_MAX, WRITE_LINKS};
use crate::{INNER_UID, Input, NOTIFY_NAME, mount, seccomp};
use libc::c_long;
use rustix::io::Errno;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use toft_model::sandbox::{Limits, Mode, Network};

/// What was made for the child beforehand.
pub(crate) struct Prepared<'a> {
    pub(crate) own: &'a [Own],
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) ruleset: BorrowedFd<'a>,
    pub(crate) abi: u32,
    pub(crate) init: BorrowedFd<'a>,
    /// Where the child sends the network namespace that it makes.
    pub(crate) handover: Option<BorrowedFd<'a>>,
    /// A network namespace that was made beforehand.
    pub(crate) netns: Option<BorrowedFd<'a>>,
    /// What the bounding set may still hold.
    pub(crate) capabilities: std::ops::RangeInclusive<u32>,
}

const O_PATH: i32 = libc::O_PATH | libc::O_CLOEXEC;
const AT_HERE: i32 = libc::AT_FDCWD;

/// Writes the whole program.
pub(crate) fn write(input: &Input<'_>, prepared: &Prepared<'_>) -> Program {
    let mut p = Program::default();
    let spec = &input.spec.instance;
    // While it still has the machine's rights and its spawner's view of the cgroup files.
    for tasks in &prepared.cgroup.tasks {
        let zero = p.string("0");
        p.call(
            Step::Cgroup,
            libc::SYS_write,
            args![tasks.as_fd(), zero, 1usize],
        );
    }
    p.call(Step::Session, libc::SYS_setsid, args![]);
    let proc = own_proc(&mut p);
    if spec.sandbox.network == Network::Doors {
        if let Some(netns) = prepared.netns {
            p.call(
                Step::Network,
                libc::SYS_setns,
                args![netns, libc::CLONE_NEWNET],
            );
        } else if let Some(handover) = prepared.handover {
            network::network(&mut p, proc, spec.notify, handover);
        }
    }
    let name = &spec.sandbox.hostname;
    let hostname = p.string(name.as_str());
    p.call(
        Step::Hostname,
        libc::SYS_sethostname,
        args![hostname, name.len()],
    );
    let rights = landlock::rights(prepared.abi);
    enter_view(&mut p, input.view);
    shared_rules(&mut p, prepared.ruleset, rights);
    mounts(&mut p, proc, prepared.own);
    own_rules(&mut p, prepared, rights);
    limits(&mut p, &spec.sandbox.limits, input.cgroups);
    if input.mode == Mode::User {
        user_namespace(&mut p);
    }
    process_limit(&mut p, &spec.sandbox.limits, input.cgroups);
    identity(&mut p, input, prepared.capabilities.clone());
    let folder = p.string(spec.workdir.as_str());
    p.call(Step::Workdir, libc::SYS_chdir, args![folder]);
    p.call(
        Step::Landlock,
        libc::SYS_landlock_restrict_self,
        args![prepared.ruleset, 0usize],
    );
    execute(&mut p, input, prepared.init);
    p
}

/// A /proc of its own process tree, made while the machine's is still visible: a plain user may
/// mount one only where he already sees one whole.
fn own_proc(p: &mut Program) -> Slot {
    let (context, proc) = (p.slot(), p.slot());
    let kind = p.string("proc");
    p.call(Step::Proc, libc::SYS_fsopen, args![kind, 1usize])
        .store(context);
    // FSCONFIG_CMD_CREATE
    p.call(
        Step::Proc,
        libc::SYS_fsconfig,
        args![context, 6usize, 0usize, 0usize, 0usize],
    );
    let attributes = mount::NOSUID | mount::NODEV | mount::NOEXEC;
    p.call(
        Step::Proc,
        libc::SYS_fsmount,
        args![context, 1usize, attributes],
    )
    .store(proc);
    proc
}

/// The prepared view, and a copy of it that belongs to this instance.
fn enter_view(p: &mut Program, view: BorrowedFd<'_>) {
    p.call(Step::View, libc::SYS_setns, args![view, libc::CLONE_NEWNS]);
    p.call(Step::View, libc::SYS_unshare, args![libc::CLONE_NEWNS]);
}

/// A Landlock rule for the place of an `O_PATH` descriptor. What is not a folder gets a file's rights.
fn rule(p: &mut Program, ruleset: BorrowedFd<'_>, path: usize, rights: u64, file_rights: u64) {
    let number = libc::SYS_landlock_add_rule;
    let attribute = p.value(&PathBeneath {
        allowed: rights,
        parent: -1,
    });
    let as_file = p.value(&PathBeneath {
        allowed: file_rights,
        parent: -1,
    });
    let place = |attribute: *mut PathBeneath| {
        // SAFETY: both lie in the program's memory; packed, so the address is taken raw.
        Slot::at(unsafe { (&raw mut (*attribute).parent).cast() })
    };
    p.call(
        Step::Landlock,
        libc::SYS_openat,
        args![AT_HERE, path, O_PATH, 0usize],
    )
    .store(place(attribute));
    let add = |attribute: *mut PathBeneath| {
        args![ruleset, landlock::PATH_BENEATH, attribute as usize, 0usize]
    };
    p.call(Step::Landlock, number, add(attribute))
        .skip_when_done(2)
        .tolerate(Errno::INVAL, 0);
    p.call(
        Step::Landlock,
        libc::SYS_openat,
        args![AT_HERE, path, O_PATH, 0usize],
    )
    .store(place(as_file));
    p.call(Step::Landlock, number, add(as_file));
}

/// Rules for the writable mounts of the shared view, before `/run/toft` covers the links to them.
fn shared_rules(p: &mut Program, ruleset: BorrowedFd<'_>, rights: Rights) {
    const CALLS_EACH: usize = 5;
    for n in 0..WRITABLE_MAX {
        let path = p.string(format!("{WRITE_LINKS}/{n}"));
        let left = (WRITABLE_MAX - n) * CALLS_EACH - 1;
        let before = p.len();
        p.call(
            Step::Landlock,
            libc::SYS_faccessat,
            args![AT_HERE, path, libc::F_OK],
        )
        .tolerate(Errno::NOENT, left as u16);
        rule(p, ruleset, path, rights.write, rights.write_file);
        debug_assert_eq!(p.len() - before, CALLS_EACH);
    }
}

fn mounts(p: &mut Program, proc: Slot, own: &[Own]) {
    let nothing = p.string("");
    let target = p.string("/proc");
    let from_nothing = libc::MOVE_MOUNT_F_EMPTY_PATH;
    let into = args![proc, nothing, AT_HERE, target, from_nothing];
    p.call(Step::Proc, libc::SYS_move_mount, into);
    for (n, own) in own.iter().enumerate() {
        let n = n as u16;
        let place = find_or_make(p, n, &own.target, own.folder);
        let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
        let into = args![own.tree.as_fd(), nothing, place, nothing, flags];
        p.call(Step::Mount(n), libc::SYS_move_mount, into);
    }
}

/// Opens a mount point. One that the view does not have is made in its root, which all instances
/// share: it is opened for writing in this instance's copy for the moment that this takes.
fn find_or_make(p: &mut Program, n: u16, target: &Path, folder: bool) -> Slot {
    let slot = p.slot();
    let path = p.string(target.as_os_str().as_encoded_bytes());
    let parents: Vec<&Path> = target
        .ancestors()
        .skip(1)
        .filter(|a| a.parent().is_some())
        .collect();
    let making = 4 + parents.len() as u16;
    let step = Step::Place(n);
    p.call(step, libc::SYS_openat, args![AT_HERE, path, O_PATH, 0usize])
        .store(slot)
        .skip_when_done(making)
        .tolerate(Errno::NOENT, 0);
    root_attributes(p, step, 0, mount::RDONLY);
    for parent in parents.into_iter().rev() {
        let parent = p.string(parent.as_os_str().as_encoded_bytes());
        p.call(step, libc::SYS_mkdirat, args![AT_HERE, parent, 0o755usize])
            .tolerate(Errno::EXIST, 0);
    }
    if folder {
        p.call(step, libc::SYS_mkdirat, args![AT_HERE, path, 0o755usize])
    } else {
        p.call(
            step,
            libc::SYS_mknodat,
            args![AT_HERE, path, libc::S_IFREG | 0o444, 0usize],
        )
    }
    .tolerate(Errno::EXIST, 0);
    root_attributes(p, step, mount::RDONLY, 0);
    p.call(step, libc::SYS_openat, args![AT_HERE, path, O_PATH, 0usize])
        .store(slot);
    slot
}

fn root_attributes(p: &mut Program, step: Step, set: u64, clear: u64) {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation: 0,
        userns_fd: 0,
    };
    let attributes = p.value(&attributes) as usize;
    let root = p.string("/");
    let size = size_of::<libc::mount_attr>();
    p.call(
        step,
        libc::SYS_mount_setattr,
        args![AT_HERE, root, 0usize, attributes, size],
    );
}

/// Rules for the whole tree and for what is this instance's own.
fn own_rules(p: &mut Program, prepared: &Prepared<'_>, rights: Rights) {
    let root = p.string("/");
    rule(p, prepared.ruleset, root, rights.read, rights.read);
    let devices = p.string("/dev");
    rule(p, prepared.ruleset, devices, rights.devices, rights.devices);
    for own in prepared
        .own
        .iter()
        .filter(|own| own.writable && !own.device)
    {
        let path = p.string(own.target.as_os_str().as_encoded_bytes());
        rule(p, prepared.ruleset, path, rights.write, rights.write_file);
    }
}

fn rlimit(p: &mut Program, resource: u32, value: u64) {
    let limit = p.value(&[value, value]) as usize;
    p.call(
        Step::Limits,
        libc::SYS_prlimit64,
        args![0usize, resource, limit, 0usize],
    );
}

fn limits(p: &mut Program, limits: &Limits, cgroups: &Tree) {
    p.call(Step::Limits, libc::SYS_umask, args![0o022usize]);
    rlimit(p, libc::RLIMIT_CORE, 0);
    if let (Some(memory), None) = (limits.memory, cgroups.enforcer("memory")) {
        rlimit(p, libc::RLIMIT_DATA, memory.0);
    }
}

/// The number of processes: counted by user, and inside a user namespace by namespace, so it is set
/// once the instance stands in its own. Init is one more than the app counts.
fn process_limit(p: &mut Program, limits: &Limits, cgroups: &Tree) {
    if let (Some(pids), None) = (limits.pids, cgroups.enforcer("pids")) {
        rlimit(p, libc::RLIMIT_NPROC, u64::from(pids) + 1);
    }
}

/// A plain user's app: a namespace below the keeper's, so that it has no right over the mounts and
/// the network around it, which belong to the keeper's.
fn user_namespace(p: &mut Program) {
    p.call(
        Step::UserNamespace,
        libc::SYS_unshare,
        args![libc::CLONE_NEWUSER],
    );
    let map = format!("{INNER_UID} 0 1");
    for (file, text) in [("setgroups", "deny"), ("uid_map", &map), ("gid_map", &map)] {
        let slot = p.slot();
        let path = p.string(format!("/proc/self/{file}"));
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        p.call(
            Step::UserNamespace,
            libc::SYS_openat,
            args![AT_HERE, path, flags, 0usize],
        )
        .store(slot);
        let length = text.len();
        let text = p.string(text);
        p.call(
            Step::UserNamespace,
            libc::SYS_write,
            args![slot, text, length],
        );
    }
}

/// Who it is, and all that it gives up for ever.
fn identity(p: &mut Program, input: &Input<'_>, capabilities: std::ops::RangeInclusive<u32>) {
    // SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP stays off, SECBIT_NO_CAP_AMBIENT_RAISE; each locked.
    const SECUREBITS: usize = 0x01 | 0x02 | 0x40 | 0x80;
    prctl(p, Step::Capabilities, libc::PR_SET_SECUREBITS, SECUREBITS);
    for capability in capabilities {
        prctl(
            p,
            Step::Capabilities,
            libc::PR_CAPBSET_DROP,
            capability as usize,
        );
    }
    prctl(
        p,
        Step::Capabilities,
        libc::PR_CAP_AMBIENT,
        libc::PR_CAP_AMBIENT_CLEAR_ALL as usize,
    );
    if input.mode == Mode::Root {
        let uid = input.spec.uid;
        p.call(Step::User, libc::SYS_setgroups, args![0usize, 0usize]);
        p.call(Step::User, libc::SYS_setresgid, args![uid, uid, uid]);
        p.call(Step::User, libc::SYS_setresuid, args![uid, uid, uid]);
    }
    // _LINUX_CAPABILITY_VERSION_3
    let header = p.value(&[0x2008_0522u32, 0]) as usize;
    let none = p.value(&[0u32; 6]) as usize;
    p.call(Step::Capabilities, libc::SYS_capset, args![header, none]);
    if input.spec.die_with_keeper {
        // After the change of user, which clears it.
        prctl(
            p,
            Step::Lifeline,
            libc::PR_SET_PDEATHSIG,
            libc::SIGKILL as usize,
        );
    }
    prctl(p, Step::Capabilities, libc::PR_SET_NO_NEW_PRIVS, 1);
}

fn prctl(p: &mut Program, step: Step, option: i32, value: usize) {
    p.call(
        step,
        libc::SYS_prctl,
        args![option, value, 0usize, 0usize, 0usize],
    );
}

/// Descriptors in their places, everything else closed, signals as a program expects them, the
/// system call filter, init.
fn execute(p: &mut Program, input: &Input<'_>, init: BorrowedFd<'_>) {
    let mut fds = vec![input.stdin, input.stdout, input.stderr];
    fds.extend(input.extra.iter().map(OwnedFd::as_fd));
    fds.extend([input.status, input.control, init]);
    let count = fds.len();
    // First out of the way: one may already stand in the place of another. Not far: the kernel's
    // table grows with the highest number, and init keeps it.
    let high: Vec<Slot> = fds
        .into_iter()
        .map(|fd| {
            let slot = p.slot();
            p.call(
                Step::Descriptors,
                libc::SYS_fcntl,
                args![fd, libc::F_DUPFD_CLOEXEC, count],
            )
            .store(slot);
            slot
        })
        .collect();
    for (place, slot) in high.into_iter().enumerate() {
        let flags = if place + 1 == count {
            libc::O_CLOEXEC
        } else {
            0
        };
        p.call(Step::Descriptors, libc::SYS_dup3, args![slot, place, flags]);
    }
    p.call(
        Step::Descriptors,
        libc::SYS_close_range,
        args![count, u32::MAX, 0usize],
    );
    if let Some(files) = input.spec.instance.sandbox.limits.open_files {
        rlimit(p, libc::RLIMIT_NOFILE, u64::from(files));
    }
    let mask = p.value(&0u64) as usize;
    let set = libc::SIG_SETMASK;
    p.call(
        Step::Execute,
        libc::SYS_rt_sigprocmask,
        args![set, mask, 0usize, 8usize],
    );
    let (arguments, environment) = words(p, input, count - 3);
    let nothing = p.string("");
    filter(p, input);
    let file = count - 1;
    let flags = libc::AT_EMPTY_PATH;
    let number: c_long = libc::SYS_execveat;
    p.call(
        Step::Execute,
        number,
        args![file, nothing, arguments, environment, flags],
    );
}

fn filter(p: &mut Program, input: &Input<'_>) {
    const SET_MODE_FILTER: usize = 1;
    let code = seccomp::filter(input.spec.instance.sandbox.calls);
    let program = libc::sock_fprog {
        len: code.len() as u16,
        filter: code.as_ptr().cast_mut(),
    };
    let program = p.value(&program) as usize;
    p.call(
        Step::Seccomp,
        libc::SYS_seccomp,
        args![SET_MODE_FILTER, 0usize, program],
    );
}

/// Init's arguments and the app's environment, as init expects them.
fn words(p: &mut Program, input: &Input<'_>, status: usize) -> (usize, usize) {
    let instance = &input.spec.instance;
    let tied = if input.spec.die_with_keeper { "d" } else { "" };
    let mut arguments = vec![
        b"toft-init".to_vec(),
        format!("{status}{tied}").into_bytes(),
    ];
    arguments.extend(instance.argv.iter().map(|word| word.clone().into_bytes()));
    let mut environment: Vec<Vec<u8>> = instance
        .env
        .iter()
        .map(|(key, value)| format!("{key}={value}").into_bytes())
        .collect();
    if instance.notify {
        environment.push(format!("NOTIFY_SOCKET=@{NOTIFY_NAME}").into_bytes());
    }
    (p.list(arguments), p.list(environment))
}
