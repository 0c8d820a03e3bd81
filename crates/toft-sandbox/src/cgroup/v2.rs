//! Control groups of version 2.

use super::{CONTROLLERS, Cgroup, Swept, V2, make_folder, read_key, read_number, remove, write};
use crate::error::Error;
use rustix::fs::{Mode, OFlags};
use std::path::Path;
use toft_model::sandbox::Limits;

/// The parent group: below our own where controllers may be handed down there, else beside it
/// (a group that has processes, as ours has, may not hand controllers down unless it is the root).
pub(super) fn make(own: &Path, name: &str) -> Result<V2, String> {
    use super::Candidates as _;
    let mut reason = "the version 2 tree has no memory and pids controllers for us".to_owned();
    for above in own.to_owned().iter_candidates() {
        let controllers = hand_down(&above);
        if !["memory", "pids"]
            .iter()
            .all(|needed| controllers.iter().any(|c| c == needed))
        {
            continue;
        }
        let folder = above.join(name);
        if make_folder(&folder).is_err() {
            reason = format!("no group may be made in {}", above.display());
            continue;
        }
        let controllers = hand_down(&folder);
        return Ok(V2 {
            folder,
            controllers,
        });
    }
    Err(reason)
}

/// Enables what can be enabled for groups below; gives what is.
pub(super) fn hand_down(folder: &Path) -> Vec<String> {
    let control = folder.join("cgroup.subtree_control");
    for controller in CONTROLLERS {
        let _ = std::fs::write(&control, format!("+{controller}"));
    }
    let enabled = std::fs::read_to_string(&control).unwrap_or_default();
    enabled.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn create(tree: &V2, name: &str, limits: &Limits) -> Result<Cgroup, Error> {
    let folder = tree.folder.join(name);
    make_folder(&folder)?;
    // Init is one more process than the app counts.
    let limits = Limits {
        pids: limits.pids.map(|pids| pids.saturating_add(1)),
        ..*limits
    };
    limit(&folder, &limits, &tree.controllers)?;
    if limits.memory.is_some() {
        // One killed process of several is a broken app: all or none.
        let _ = write(&folder.join("memory.oom.group"), "1");
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&folder, flags, Mode::empty()).map_err(|errno| Error::Cgroup {
        path: folder,
        errno,
    })?;
    Ok(Cgroup {
        folder: Some(fd),
        tasks: Vec::new(),
    })
}

pub(super) fn limit(folder: &Path, limits: &Limits, controllers: &[String]) -> Result<(), Error> {
    let has = |name: &str| controllers.iter().any(|controller| controller == name);
    if let (Some(memory), true) = (limits.memory, has("memory")) {
        write(&folder.join("memory.max"), &memory.0.to_string())?;
        // Where the kernel counts swap, it is no way around the limit.
        let _ = write(&folder.join("memory.swap.max"), "0");
    }
    if let (Some(pids), true) = (limits.pids, has("pids")) {
        write(&folder.join("pids.max"), &pids.to_string())?;
    }
    if let (Some(cpu), true) = (limits.cpu, has("cpu")) {
        let quota = u64::from(cpu.0).max(10) * 100;
        write(&folder.join("cpu.max"), &format!("{quota} 100000"))?;
    }
    Ok(())
}

pub(super) fn counters(folder: &Path) -> Swept {
    Swept {
        oom_kills: read_key(&folder.join("memory.events"), "oom_kill").unwrap_or(0),
        memory_peak: read_number(&folder.join("memory.peak")),
    }
}

pub(super) fn kill(folder: &Path) {
    // Absent before Linux 5.14; the process tree's own end has done it then.
    let _ = std::fs::write(folder.join("cgroup.kill"), "1");
}

/// Kills and removes a parent group with all below.
pub(super) fn remove_tree(folder: &Path) {
    kill(folder);
    for entry in std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    remove(folder);
}
