//! Mounts, cgroups and namespaces.

use super::{Process, Scope};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

struct MountLine<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    source: &'a str,
}

/// One line of mountinfo (proc(5)).
fn parse(line: &str) -> Option<MountLine<'_>> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(MountLine {
        root: left.get(3)?,
        point: left.get(4)?,
        kind: right.first()?,
        source: right.get(1)?,
    })
}

fn mountinfo() -> Result<String> {
    fs::read_to_string("/proc/thread-self/mountinfo").context("read mountinfo")
}

/// The mounts of this thread's namespace, each as often as it is there.
pub(super) fn mounts() -> Result<BTreeSet<String>> {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    let text = mountinfo()?;
    for MountLine {
        root,
        point,
        kind,
        source,
    } in text.lines().filter_map(parse)
    {
        *count
            .entry(format!("mount {point} ({kind} {source}, {root})"))
            .or_default() += 1;
    }
    Ok(count
        .into_iter()
        .map(|(line, n)| format!("{line} × {n}"))
        .collect())
}

/// The namespaces of this thread and of the given processes.
pub(super) fn namespaces(ours: &[Process]) -> BTreeSet<String> {
    let pids = ours
        .iter()
        .map(|p| p.pid.to_string())
        .chain(["thread-self".to_owned()]);
    let links = pids
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/ns")).ok())
        .flatten();
    let names = links.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    names
        .map(|name| format!("namespace {}", name.display()))
        .collect()
}

/// The folder of this thread's cgroup in each mounted hierarchy.
pub fn cgroup_tops() -> Result<Vec<PathBuf>> {
    let own = fs::read_to_string("/proc/thread-self/cgroup").context("read own cgroups")?;
    let text = mountinfo()?;
    let mut tops = Vec::new();
    for mount in text.lines().filter_map(parse) {
        let path = match mount.kind {
            "cgroup2" => own.lines().find_map(|line| line.strip_prefix("0::")),
            "cgroup" => own.lines().find_map(|line| version_1(line, mount.point)),
            _ => None,
        };
        let Some(path) = path else { continue };
        let inside = path
            .strip_prefix(mount.root)
            .unwrap_or("")
            .trim_start_matches('/');
        let top = Path::new(mount.point).join(inside);
        tops.push(if top.is_dir() {
            top
        } else {
            PathBuf::from(mount.point)
        });
    }
    Ok(tops)
}

/// The path in a line `4:memory:/path` when that hierarchy is the one mounted at `point`.
fn version_1<'a>(line: &'a str, point: &str) -> Option<&'a str> {
    let mut parts = line.splitn(3, ':').skip(1);
    let controllers = parts.next()?.trim_start_matches("name=");
    let path = parts.next()?;
    let last = Path::new(point).file_name()?.to_str()?;
    (controllers == last
        || controllers
            .split(',')
            .any(|c| last.split(',').any(|l| l == c)))
    .then_some(path)
}

/// The cgroups below the given tops. Where others act as well, only those that name Toft.
pub(super) fn cgroups(scope: &Scope) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for top in &scope.cgroups {
        let all = top
            .components()
            .next_back()
            .is_some_and(|c| c.as_os_str().to_string_lossy().starts_with("toft-stage-"));
        walk(top, &mut |path| {
            let others = !all && path.to_string_lossy().contains("toft-stage-");
            if !others && (all || path.to_string_lossy().contains("toft")) {
                found.insert(format!("cgroup {}", path.display()));
            }
        });
    }
    found
}

fn walk(top: &Path, each: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(top).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each(&entry.path());
            walk(&entry.path(), each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_by_their_controllers() {
        assert_eq!(
            version_1("4:memory:/a/b", "/sys/fs/cgroup/memory"),
            Some("/a/b")
        );
        assert_eq!(
            version_1("4:cpu,cpuacct:/x", "/sys/fs/cgroup/cpu,cpuacct"),
            Some("/x")
        );
        assert_eq!(
            version_1("9:name=systemd:/", "/sys/fs/cgroup/systemd"),
            Some("/")
        );
        assert_eq!(version_1("1:cpu:/", "/sys/fs/cgroup/cpuset"), None);
    }

    #[test]
    fn this_test_has_mounts_and_namespaces() {
        assert!(
            mounts()
                .unwrap()
                .iter()
                .any(|line| line.starts_with("mount / "))
        );
        assert!(namespaces(&[]).iter().any(|line| line.contains("pid:[")));
    }
}
