//! Budgets: control groups of version 2, of version 1 where a machine still has them, or none.
//!
//! A keeper has one parent group below its own current one, named after its process id and start
//! time ([`parent_name`]), so that what a killed keeper left can be told from what lives
//! ([`sweep_stale`]). Instances are groups below it. Whether there are groups to be had is found
//! out by making one, not by asking who we are.

mod v1;
mod v2;

use crate::error::Error;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toft_model::sandbox::{Enforcer, Limits};

/// The groups of one keeper.
#[derive(Debug)]
pub enum Tree {
    /// Version 2: one folder.
    V2(V2),
    /// Version 1: a folder for each controller.
    V1(V1),
    /// There is none, with the reason in words.
    None(String),
}

/// A parent group of version 2.
#[derive(Debug)]
pub struct V2 {
    folder: PathBuf,
    controllers: Vec<String>,
}

/// Parent groups of version 1, one for each controller that can be used.
#[derive(Debug)]
pub struct V1 {
    folders: Vec<(String, PathBuf)>,
}

/// One instance's group, ready to be entered.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    /// Version 2: its folder, for `CLONE_INTO_CGROUP`.
    pub(crate) folder: Option<OwnedFd>,
    /// Version 1: its `tasks` files, into which the child writes itself.
    pub(crate) tasks: Vec<OwnedFd>,
}

/// What an instance's groups counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Kills for want of memory.
    pub oom_kills: u64,
    /// Highest memory use in bytes.
    pub memory_peak: Option<u64>,
}

/// The controllers that budgets need.
const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];
/// How long an emptied group is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const PREFIX: &str = "toft-";

/// The name of a keeper's parent group: `toft-PID-STARTTIME`.
pub fn parent_name(pid: u32) -> Option<String> {
    Some(format!(
        "{PREFIX}{pid}-{}",
        crate::process::start_time(pid)?
    ))
}

/// How groups of this machine are found; tests give their own.
struct Place {
    cgroup: String,
    mountinfo: String,
}

impl Place {
    fn here() -> Option<Self> {
        Some(Self {
            cgroup: std::fs::read_to_string("/proc/self/cgroup").ok()?,
            mountinfo: std::fs::read_to_string("/proc/self/mountinfo").ok()?,
        })
    }

    /// The folder of our own group in the hierarchy of this controller (`""`: version 2).
    fn own_folder(&self, controller: &str) -> Option<PathBuf> {
        let path = self.cgroup.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
            let ours = if controller.is_empty() {
                number == "0" && names.is_empty()
            } else {
                names.split(',').any(|name| name == controller)
            };
            ours.then_some(path)
        })?;
        self.mountinfo.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let left: Vec<&str> = left.split(' ').collect();
            let right: Vec<&str> = right.split(' ').collect();
            let (root, point) = (left.get(3)?, left.get(4)?);
            let fits = match *right.first()? {
                "cgroup2" => controller.is_empty(),
                "cgroup" => {
                    !controller.is_empty() && right.get(2)?.split(',').any(|o| o == controller)
                }
                _ => false,
            };
            if !fits {
                return None;
            }
            let below = Path::new(path).strip_prefix(root).ok()?;
            Some(Path::new(point).join(below))
        })
    }
}

impl Tree {
    /// Makes a parent group of this name below our own current group.
    pub fn detect(parent_name: &str) -> Tree {
        let Some(place) = Place::here() else {
            return Tree::None("/proc/self/cgroup cannot be read".to_owned());
        };
        let second = match place.own_folder("").map(|own| v2::make(&own, parent_name)) {
            Some(Ok(tree)) => return Tree::V2(tree),
            Some(Err(reason)) => reason,
            None => "there is no cgroup tree of version 2".to_owned(),
        };
        match v1::make(&place, parent_name) {
            Ok(tree) => Tree::V1(tree),
            Err(reason) => Tree::None(format!("{second}; {reason}")),
        }
    }

    /// A group of version 2 that was made for us, with the controllers that it hands down.
    pub fn at(folder: PathBuf) -> Tree {
        let controllers = v2::hand_down(&folder);
        Tree::V2(V2 {
            folder,
            controllers,
        })
    }

    /// Bounds of the whole: every instance of this keeper together.
    pub fn limit(&self, limits: &Limits) -> Result<(), Error> {
        match self {
            Tree::V2(tree) => v2::limit(&tree.folder, limits, &tree.controllers),
            Tree::V1(tree) => tree
                .folders
                .iter()
                .try_for_each(|(controller, folder)| v1::limit(folder, controller, limits)),
            Tree::None(_) => Ok(()),
        }
    }

    /// Makes the groups of an instance. Nothing is left when it fails.
    pub(crate) fn create(&self, name: &str, limits: &Limits) -> Result<Cgroup, Error> {
        let made = match self {
            Tree::V2(tree) => v2::create(tree, name, limits),
            Tree::V1(tree) => v1::create(tree, name, limits),
            Tree::None(_) => return Ok(Cgroup::default()),
        };
        if made.is_err() {
            self.sweep(name);
        }
        made
    }

    /// What holds a budget of an instance here.
    pub fn enforcer(&self, controller: &str) -> Option<Enforcer> {
        match self {
            Tree::V2(tree) => tree
                .controllers
                .iter()
                .any(|name| name == controller)
                .then_some(Enforcer::CgroupV2),
            Tree::V1(tree) => tree
                .folders
                .iter()
                .any(|(name, _)| name == controller)
                .then_some(Enforcer::CgroupV1),
            Tree::None(_) => None,
        }
    }

    /// Which enforcer each budget that was asked for has, in a fixed order.
    pub fn budgets(&self, limits: &Limits) -> Vec<(String, Enforcer)> {
        let mut list = Vec::new();
        let mut add = |asked: bool, name: &str, enforcer| {
            if asked {
                list.push((name.to_owned(), enforcer));
            }
        };
        let group = |name| self.enforcer(name);
        add(
            limits.memory.is_some(),
            "memory",
            group("memory").unwrap_or(Enforcer::Rlimit),
        );
        add(
            limits.cpu.is_some(),
            "cpu",
            group("cpu").unwrap_or(Enforcer::Nothing),
        );
        add(
            limits.pids.is_some(),
            "pids",
            group("pids").unwrap_or(Enforcer::Rlimit),
        );
        add(limits.open_files.is_some(), "open_files", Enforcer::Rlimit);
        list
    }

    /// Kills what is left in an instance's groups, reads their counters and removes them.
    ///
    /// Waits for the kernel to empty them, two seconds at most; [`Tree::remove_all`] tries again.
    pub fn sweep(&self, name: &str) -> Swept {
        match self {
            Tree::V2(tree) => {
                let folder = tree.folder.join(name);
                let counted = v2::counters(&folder);
                // Empty as a rule: the end of its init was the end of everything in it.
                if std::fs::remove_dir(&folder).is_err() {
                    v2::kill(&folder);
                    remove(&folder);
                }
                counted
            }
            Tree::V1(tree) => v1::sweep(tree, name),
            Tree::None(_) => Swept::default(),
        }
    }

    /// The instances that have groups here.
    pub fn names(&self) -> Vec<String> {
        let folders: Vec<&Path> = match self {
            Tree::V2(tree) => vec![&tree.folder],
            Tree::V1(tree) => tree
                .folders
                .iter()
                .map(|(_, folder)| folder.as_path())
                .collect(),
            Tree::None(_) => vec![],
        };
        let entries = folders
            .into_iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok());
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Kills and removes every group of this keeper, and the parent itself.
    pub fn remove_all(&self) {
        match self {
            Tree::V2(tree) => v2::remove_tree(&tree.folder),
            Tree::V1(tree) => tree
                .folders
                .iter()
                .for_each(|(_, folder)| v1::remove_tree(folder)),
            Tree::None(_) => {}
        }
    }
}

/// Removes the groups of keepers that are no more: what carries a process id and start time that
/// no process has. Gives how many parents were found.
pub fn sweep_stale() -> usize {
    let Some(place) = Place::here() else { return 0 };
    let mut found = 0;
    if let Some(own) = place.own_folder("") {
        for folder in own.iter_candidates() {
            found += each_stale(&folder, v2::remove_tree);
        }
    }
    for controller in CONTROLLERS {
        if let Some(own) = place.own_folder(controller) {
            found += each_stale(&own, v1::remove_tree);
        }
    }
    found
}

/// Where a parent group of version 2 may stand: below our own group, or beside it.
trait Candidates {
    fn iter_candidates(&self) -> Vec<PathBuf>;
}

impl Candidates for PathBuf {
    fn iter_candidates(&self) -> Vec<PathBuf> {
        let beside = self
            .parent()
            .filter(|parent| parent.join("cgroup.procs").exists());
        std::iter::once(self.clone())
            .chain(beside.map(Path::to_owned))
            .collect()
    }
}

fn each_stale(own: &Path, remove: impl Fn(&Path)) -> usize {
    let Ok(entries) = std::fs::read_dir(own) else {
        return 0;
    };
    let stale = entries.filter_map(Result::ok).filter(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| is_stale(name).unwrap_or(false))
    });
    stale.map(|entry| remove(&entry.path())).count()
}

/// Whether a group's name is a keeper's that does not run; `None`: it is no keeper's name.
fn is_stale(name: &str) -> Option<bool> {
    let (pid, start) = name.strip_prefix(PREFIX)?.split_once('-')?;
    // Something may follow, where one process has several parents.
    let start = start.split('-').next()?;
    let (pid, start) = (pid.parse().ok()?, start.parse().ok()?);
    Some(crate::process::start_time(pid) != Some(start))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|error| Error::Cgroup {
        path: path.to_owned(),
        errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })
}

fn make_folder(path: &Path) -> Result<(), Error> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::Cgroup {
            path: path.to_owned(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        }),
        _ => Ok(()),
    }
}

fn read_number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number behind a key in a file of `key number` lines.
fn read_key(path: &Path, key: &str) -> Option<u64> {
    std::fs::read_to_string(path)
        .ok()?
        .lines()
        .find_map(|line| {
            let (name, number) = line.split_once(' ')?;
            (name == key).then(|| number.trim().parse().ok())?
        })
}

/// Removes one emptied group, waiting for what was killed in it to be gone.
fn remove(folder: &Path) {
    let step = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    while let Err(error) = std::fs::remove_dir(folder) {
        let busy = error.raw_os_error() == Some(libc::EBUSY);
        if !busy || waited >= PATIENCE {
            return;
        }
        // The kernel tells nobody when a group of version 1 empties.
        std::thread::sleep(step);
        waited += step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(cgroup: &str, mountinfo: &str) -> Place {
        Place {
            cgroup: cgroup.to_owned(),
            mountinfo: mountinfo.to_owned(),
        }
    }

    #[test]
    fn our_own_group_is_found() {
        let hybrid = place(
            "4:memory:/jobs/7\n1:cpu,cpuacct:/\n0::/\n",
            "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
             32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(
            hybrid.own_folder("memory"),
            Some("/sys/fs/cgroup/memory/jobs/7".into())
        );
        assert_eq!(hybrid.own_folder("cpu"), Some("/sys/fs/cgroup/cpu/".into()));
        assert_eq!(
            hybrid.own_folder(""),
            Some("/sys/fs/cgroup/unified/".into())
        );
        assert_eq!(hybrid.own_folder("pids"), None);
        let container = place(
            "0::/docker/abc/inner\n",
            "41 31 0:38 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        );
        assert_eq!(
            container.own_folder(""),
            Some("/sys/fs/cgroup/inner".into())
        );
    }

    #[test]
    fn only_dead_keepers_are_stale() {
        let own = parent_name(std::process::id()).unwrap();
        assert_eq!(is_stale(&own), Some(false));
        assert_eq!(
            is_stale(&format!("toft-{}-1", std::process::id())),
            Some(true)
        );
        assert_eq!(is_stale("toft-4194304-77"), Some(true));
        assert_eq!(is_stale("toft-4194304-77-test"), Some(true));
        assert_eq!(is_stale("user.slice"), None);
        assert_eq!(is_stale("toft-x-1"), None);
    }
}
