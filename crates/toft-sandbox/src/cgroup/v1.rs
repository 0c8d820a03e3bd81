//! Control groups of version 1, for machines that still have them.

use super::{
    CONTROLLERS, Cgroup, Place, Swept, V1, make_folder, read_key, read_number, remove, write,
};
use crate::error::Error;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use toft_model::sandbox::Limits;

pub(super) fn make(place: &Place, name: &str) -> Result<V1, String> {
    let mut folders = Vec::new();
    let mut reason = "there are none of version 1".to_owned();
    for controller in CONTROLLERS {
        let Some(own) = place.own_folder(controller) else {
            continue;
        };
        let folder = own.join(name);
        match make_folder(&folder) {
            Ok(()) => folders.push((controller.to_owned(), folder)),
            Err(_) => reason = format!("none of version 1 may be made in {}", own.display()),
        }
    }
    if folders.is_empty() {
        Err(reason)
    } else {
        Ok(V1 { folders })
    }
}

/// Groups in the hierarchies of the budgets that were asked for; others would cost and hold nothing.
pub(super) fn create(tree: &V1, name: &str, limits: &Limits) -> Result<Cgroup, Error> {
    let limits = Limits {
        pids: limits.pids.map(|pids| pids.saturating_add(1)),
        ..*limits
    };
    let mut tasks = Vec::new();
    for (controller, parent) in &tree.folders {
        let asked = match controller.as_str() {
            "memory" => limits.memory.is_some(),
            "pids" => limits.pids.is_some(),
            _ => limits.cpu.is_some(),
        };
        if !asked {
            continue;
        }
        let folder = parent.join(name);
        make_folder(&folder)?;
        limit(&folder, controller, &limits)?;
        let path = folder.join("tasks");
        let fd = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::Cgroup { path, errno })?;
        tasks.push(fd);
    }
    Ok(Cgroup {
        folder: None,
        tasks,
    })
}

pub(super) fn limit(folder: &Path, controller: &str, limits: &Limits) -> Result<(), Error> {
    match controller {
        "memory" => {
            let Some(memory) = limits.memory else {
                return Ok(());
            };
            write(&folder.join("memory.limit_in_bytes"), &memory.0.to_string())?;
            // Absent unless the kernel counts swap.
            let _ = write(
                &folder.join("memory.memsw.limit_in_bytes"),
                &memory.0.to_string(),
            );
            Ok(())
        }
        "pids" => limits.pids.map_or(Ok(()), |pids| {
            write(&folder.join("pids.max"), &pids.to_string())
        }),
        _ => {
            let Some(cpu) = limits.cpu else { return Ok(()) };
            let quota = u64::from(cpu.0).max(10) * 100;
            write(&folder.join("cpu.cfs_period_us"), "100000")?;
            write(&folder.join("cpu.cfs_quota_us"), &quota.to_string())
        }
    }
}

pub(super) fn sweep(tree: &V1, name: &str) -> Swept {
    let mut swept = Swept::default();
    for (controller, parent) in &tree.folders {
        let folder = parent.join(name);
        if controller == "memory" {
            swept = Swept {
                oom_kills: read_key(&folder.join("memory.oom_control"), "oom_kill").unwrap_or(0),
                memory_peak: read_number(&folder.join("memory.max_usage_in_bytes")),
            };
        }
        // Empty as a rule: the end of its init was the end of everything in it.
        if std::fs::remove_dir(&folder).is_err() {
            kill(&folder);
            remove(&folder);
        }
    }
    swept
}

/// Kills every process of a group, until none appears any more.
fn kill(folder: &Path) {
    for _ in 0..20 {
        let Ok(list) = std::fs::read_to_string(folder.join("cgroup.procs")) else {
            return;
        };
        let mut left = false;
        for pid in list
            .lines()
            .filter_map(|line| line.parse().ok())
            .filter_map(Pid::from_raw)
        {
            left |= kill_process(pid, Signal::KILL) != Err(Errno::SRCH);
        }
        if !left {
            return;
        }
        std::thread::yield_now();
    }
}

/// Kills and removes a parent group with all below.
pub(super) fn remove_tree(folder: &Path) {
    for entry in std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
    {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    kill(folder);
    remove(folder);
}
