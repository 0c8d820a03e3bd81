//! What this machine can do for a sandbox: each ability tried out, in words, with its cure.
//!
//! Nothing is guessed from versions or from who we are: a namespace is there when one can be made.
//! What is tried out is tried in a child that ends at once; nothing is left behind.

use crate::cgroup::{self, Tree};
use crate::{landlock, userns, view};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::path::Path;
use toft_model::sandbox::{Mode, Mount};

/// The abilities of this machine, in the order in which people should read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// With which rights this process would build walls.
    pub mode: Mode,
    /// The kernel's release.
    pub kernel: String,
    /// Each ability.
    pub list: Vec<Feature>,
}

/// What an ability is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Without it nothing starts.
    Wall,
    /// Without it a budget is best effort, or not held.
    Budget,
    /// Without it something that an app may ask for is refused.
    Comfort,
}

/// One ability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// A fixed name: `user_namespaces`, `landlock`, `cgroup` …
    pub name: String,
    /// What it is for.
    pub need: Need,
    /// Whether it is there.
    pub there: bool,
    /// What was found, in words: “ABI 7: files, signals, abstract sockets”.
    pub found: String,
    /// What to do when it is not there.
    pub cure: Option<String>,
}

impl Features {
    /// The ability of this name.
    pub fn get(&self, name: &str) -> Option<&Feature> {
        self.list.iter().find(|feature| feature.name == name)
    }

    /// What keeps every app from starting.
    pub fn missing_walls(&self) -> impl Iterator<Item = &Feature> {
        self.list
            .iter()
            .filter(|feature| feature.need == Need::Wall && !feature.there)
    }
}

/// Tries everything. For a process of one thread, or one that forks with care: it forks.
pub fn probe() -> Features {
    let mode = if rustix::process::geteuid().is_root() {
        Mode::Root
    } else {
        Mode::User
    };
    let mut list = vec![
        user_namespaces(mode),
        namespaces(mode),
        file_tree(mode),
        landlock_feature(),
        seccomp(),
        executable_memory(),
    ];
    list.extend(budgets());
    list.extend([idmapped(mode), transparent_proxy()]);
    let kernel = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    Features { mode, kernel, list }
}

fn feature(name: &str, need: Need, found: Result<String, String>, cure: &str) -> Feature {
    let there = found.is_ok();
    let found = found.unwrap_or_else(|why| why);
    let cure = (!there && !cure.is_empty()).then(|| cure.to_owned());
    Feature {
        name: name.to_owned(),
        need,
        there,
        found,
        cure,
    }
}

const SETUP: &str = "sudo toft setup";
const DELEGATE: &str =
    "sudo toft setup, or start toft under `systemd-run --user --scope -p Delegate=yes`";

fn user_namespaces(mode: Mode) -> Feature {
    if mode == Mode::Root {
        return feature(
            "user_namespaces",
            Need::Comfort,
            Ok("not needed: this is root".into()),
            "",
        );
    }
    let found =
        in_child(|| userns::enter_user_namespace().map_err(|e| e.errno().unwrap_or(Errno::PERM)));
    let found = found.map(|()| "a plain user can have root's rights over his own apps".to_owned());
    feature(
        "user_namespaces",
        Need::Wall,
        found.map_err(|e| why_no_userns(e).to_owned()),
        SETUP,
    )
}

/// The switch that distributions put before user namespaces.
fn why_no_userns(errno: Errno) -> &'static str {
    let says = |path: &str, value: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
    };
    if says(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        "AppArmor keeps plain users from using them (kernel.apparmor_restrict_unprivileged_userns = 1)"
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "plain users may not make them (kernel.unprivileged_userns_clone = 0)"
    } else if says("/proc/sys/user/max_user_namespaces", "0") {
        "none may be made (user.max_user_namespaces = 0)"
    } else if errno == Errno::NOSYS || errno == Errno::INVAL {
        "this kernel is built without them"
    } else {
        "a plain user may not make them here"
    }
}

/// Process, network, IPC, host name and cgroup namespaces.
fn namespaces(mode: Mode) -> Feature {
    use rustix::thread::UnshareFlags;
    let found = in_child(move || {
        if mode == Mode::User {
            userns::enter_user_namespace().map_err(|e| e.errno().unwrap_or(Errno::PERM))?;
        }
        let all = UnshareFlags::NEWPID
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWCGROUP;
        // SAFETY: the forked child has one thread; descriptors are not touched.
        unsafe { rustix::thread::unshare_unsafe(all) }
    });
    let found = found
        .map(|()| "processes, network, IPC, host name, cgroups".to_owned())
        .map_err(|errno| format!("they cannot be made: {}", text(errno)));
    feature(
        "namespaces",
        Need::Wall,
        found,
        "run outside of the container, or give it CAP_SYS_ADMIN",
    )
}

/// A view as an instance gets one.
fn file_tree(mode: Mode) -> Feature {
    let found = in_child(move || {
        userns::enter_user_namespace().map_err(|e| e.errno().unwrap_or(Errno::PERM))?;
        let empty: [Mount; 0] = [];
        let built = view::start(&empty, mode).and_then(view::Pending::finish);
        built
            .map(|_| ())
            .map_err(|e| e.errno().unwrap_or(Errno::IO))
    });
    let found = found
        .map(|()| "a file tree of its own can be built".to_owned())
        .map_err(|errno| format!("a file tree cannot be built: {}", text(errno)));
    feature(
        "file_tree",
        Need::Wall,
        found,
        "a kernel of 5.12 or newer, and rights over mounts",
    )
}

fn landlock_feature() -> Feature {
    let found = match landlock::abi() {
        0 => Err("not there: not built in, or not switched on at boot".to_owned()),
        abi @ 1..6 => Ok(format!(
            "ABI {abi}: files; signals are kept apart by the process tree alone"
        )),
        abi => Ok(format!("ABI {abi}: files, signals, abstract sockets")),
    };
    feature(
        "landlock",
        Need::Wall,
        found,
        "boot with `lsm=landlock,...` (kernel 5.13 or newer)",
    )
}

fn seccomp() -> Feature {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    let found = match actions {
        Ok(actions) if actions.contains("errno") && actions.contains("kill_process") => {
            Ok("system calls can be filtered".to_owned())
        }
        _ => Err("system calls cannot be filtered: the kernel is built without it".to_owned()),
    };
    feature(
        "seccomp",
        Need::Wall,
        found,
        "a kernel with CONFIG_SECCOMP_FILTER",
    )
}

/// Init is executed from memory.
fn executable_memory() -> Feature {
    let level = std::fs::read_to_string("/proc/sys/vm/memfd_noexec").unwrap_or_default();
    let found = if level.trim() == "2" {
        Err("vm.memfd_noexec = 2 forbids programs in memory, and init is one".to_owned())
    } else {
        Ok("init can be executed from memory".to_owned())
    };
    feature(
        "executable_memory",
        Need::Wall,
        found,
        "sysctl vm.memfd_noexec=1",
    )
}

/// One line for each controller; the groups that are made to find out are removed.
fn budgets() -> Vec<Feature> {
    let name = cgroup::parent_name(std::process::id()).unwrap_or_else(|| "toft-0-0".to_owned());
    let tree = Tree::detect(&format!("{name}-probe"));
    let line = |budget: &str, instead: &str| {
        let found = match (tree.enforcer(budget), &tree) {
            (Some(_), Tree::V2(_)) => Ok("cgroup version 2".to_owned()),
            (Some(_), _) => Ok("cgroup version 1".to_owned()),
            (None, Tree::None(reason)) => Err(format!("{instead}: {reason}")),
            (None, _) => Err(format!(
                "{instead}: the cgroup tree has no such controller for us"
            )),
        };
        feature(&format!("cgroup_{budget}"), Need::Budget, found, DELEGATE)
    };
    let list = vec![
        line("memory", "held for each process alone (RLIMIT_DATA)"),
        line("pids", "held by a resource limit (RLIMIT_NPROC)"),
        line("cpu", "not held"),
    ];
    tree.remove_all();
    list
}

fn idmapped(mode: Mode) -> Feature {
    if mode == Mode::User {
        let found = Ok("not needed: a plain user's apps own what he owns".to_owned());
        return feature("idmapped_mounts", Need::Comfort, found, "");
    }
    let found = userns::mapping(0, 1)
        .and_then(|userns| {
            use std::os::fd::AsFd as _;
            let tree = crate::mount::clone_tree(&std::env::temp_dir())?;
            crate::mount::set_id_map(tree.as_fd(), userns.as_fd())
        })
        .map(|()| "a volume can belong to each instance in turn".to_owned())
        .map_err(|errno| format!("volumes cannot change owners: {}", text(errno)));
    let cure = "keep volumes on ext4, xfs, btrfs or tmpfs, with Linux 5.12 or newer";
    feature("idmapped_mounts", Need::Comfort, found, cure)
}

/// What the way out of a namespace is made of. It is loaded when first used, so a file counts too.
fn transparent_proxy() -> Feature {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let loaded = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let built = std::fs::read_to_string(format!("/lib/modules/{release}/modules.builtin"));
    let index = std::fs::read_to_string(format!("/lib/modules/{release}/modules.dep"));
    let (built, index) = (built.unwrap_or_default(), index.unwrap_or_default());
    let has = |module: &str| {
        [&loaded, &built, &index]
            .iter()
            .any(|list| list.contains(module))
    };
    let netfilter = in_child(|| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open("/proc/net/netfilter", flags, FileMode::empty()).map(|_| ())
    });
    let found = match netfilter {
        Ok(()) if has("nft_tproxy") || !Path::new("/lib/modules").join(&release).exists() => {
            Ok("nftables can hand connections to a door".to_owned())
        }
        Ok(()) => Err("nftables has no tproxy".to_owned()),
        Err(_) => Err("this kernel has no netfilter".to_owned()),
    };
    feature(
        "transparent_proxy",
        Need::Comfort,
        found,
        "a kernel with CONFIG_NFT_TPROXY",
    )
}

/// Runs something in a forked child that has one thread, and gives back its errno.
fn in_child(work: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    // SAFETY: the C library's fork leaves a usable heap in the child, which ends in _exit.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::AGAIN),
        0 => {
            let code = work()
                .err()
                .map_or(0, |errno| errno.raw_os_error().clamp(1, 255));
            // SAFETY: the forked child may not run its parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
        pid => {
            let mut status = 0;
            // SAFETY: a place for the answer is given.
            while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1 {
                if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                    return Err(Errno::CHILD);
                }
            }
            match libc::WEXITSTATUS(status) {
                _ if !libc::WIFEXITED(status) => Err(Errno::INTR),
                0 => Ok(()),
                code => Err(Errno::from_raw_os_error(code)),
            }
        }
    }
}

fn text(errno: Errno) -> String {
    crate::error::errno_text(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ability_has_words_and_what_is_missing_a_cure() {
        let features = probe();
        for feature in &features.list {
            assert!(!feature.found.is_empty(), "{feature:?}");
            assert_eq!(feature.cure.is_some(), !feature.there, "{feature:?}");
        }
        assert!(features.get("landlock").is_some());
    }
}
