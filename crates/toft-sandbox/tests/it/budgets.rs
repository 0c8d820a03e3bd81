//! How much a program may use, and that nothing is left of it.

use crate::help::{self, Instance, Went, no_cgroups, part, part_view, spec, start, view_of};
use toft_model::sandbox::{Enforcer, Limits, Mode};
use toft_model::unit::{Bytes, MilliCpu};
use toft_sandbox::cgroup::{Tree, parent_name};

/// The control groups of this test, removed at its end.
struct Groups(Tree);

impl Groups {
    fn new(test: &str) -> Self {
        Self(Tree::detect(&format!(
            "{}-{test}",
            parent_name(std::process::id()).unwrap()
        )))
    }

    /// Whether there are any; says so when not.
    fn there(&self) -> bool {
        if let Tree::None(reason) = &self.0 {
            eprintln!("SKIPPED: no control groups: {reason}");
            return false;
        }
        true
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.0.remove_all();
    }
}

fn limited(name: &str, limits: Limits, cgroups: &Tree) -> Instance {
    let mut command = part(name);
    command.instance.sandbox.limits = limits;
    start(&command, &part_view(), cgroups).unwrap()
}

fn mebibytes(n: u64) -> Limits {
    Limits {
        memory: Some(Bytes(n << 20)),
        ..Limits::default()
    }
}

fn children(went: &Went) -> u32 {
    let line = went
        .said
        .lines()
        .find(|line| line.starts_with("children "))
        .expect(&went.said);
    line["children ".len()..].parse().unwrap()
}

#[test]
fn too_much_memory_is_the_end_and_is_counted() {
    if !help::walls() {
        return;
    }
    let groups = Groups::new("memory");
    if !groups.there() || groups.0.enforcer("memory").is_none() {
        return;
    }
    let instance = limited("eat", mebibytes(32), &groups.0);
    let held = instance.spawned.budgets.clone();
    assert_eq!(held.len(), 1);
    assert!(matches!(held[0].1, Enforcer::CgroupV1 | Enforcer::CgroupV2));
    let went = instance.wait();
    assert!(!went.said.contains("took"), "{}", went.said);
    let swept = groups.0.sweep("one");
    assert!(swept.oom_kills >= 1, "{swept:?}");
    assert!(
        swept.memory_peak.is_none_or(|peak| peak > 16 << 20),
        "{swept:?}"
    );
    assert_eq!(groups.0.sweep("one").oom_kills, 0, "the group is gone");
}

#[test]
fn processes_are_counted_in_a_group() {
    if !help::walls() {
        return;
    }
    let groups = Groups::new("pids");
    if !groups.there() {
        return;
    }
    let limits = Limits {
        pids: Some(20),
        ..Limits::default()
    };
    let went = limited("fork", limits, &groups.0).wait();
    // The test program is one, its test runner's thread another.
    assert!((15..20).contains(&children(&went)), "{}", went.said);
    groups.0.sweep("one");
}

#[test]
fn without_groups_each_process_has_limits() {
    if !help::walls() {
        return;
    }
    let instance = limited("eat", mebibytes(64), &no_cgroups());
    assert_eq!(
        instance.spawned.budgets,
        [("memory".to_owned(), Enforcer::Rlimit)]
    );
    let went = instance.wait();
    assert!(went.said.contains("refused after"), "{}", went.said);
    let limits = Limits {
        pids: Some(20),
        cpu: Some(MilliCpu(500)),
        ..Limits::default()
    };
    let instance = limited("fork", limits, &no_cgroups());
    let nothing = ("cpu".to_owned(), Enforcer::Nothing);
    assert_eq!(
        instance.spawned.budgets,
        [nothing, ("pids".to_owned(), Enforcer::Rlimit)]
    );
    let went = instance.wait();
    assert!((15..20).contains(&children(&went)), "{}", went.said);
}

/// Where version 2 is mounted.
fn second_version() -> Option<std::path::PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
    Some(line.split(' ').nth(1)?.into())
}

#[test]
fn an_instance_begins_in_its_group_of_version_two() {
    if !help::walls() || !help::root() {
        return;
    }
    let Some(top) = second_version() else {
        eprintln!("SKIPPED: no cgroup tree of version 2 is mounted");
        return;
    };
    let folder = top.join(format!("{}-two", parent_name(std::process::id()).unwrap()));
    if let Err(error) = std::fs::create_dir(&folder) {
        eprintln!("SKIPPED: no group of version 2 may be made: {error}");
        return;
    }
    let groups = Groups(Tree::at(folder.clone()));
    let command = spec(&[
        "sh",
        "-c",
        "cat /proc/self/cgroup; sleep 1000 & echo up; wait",
    ]);
    let instance = start(&command, &view_of(&help::base_view()), &groups.0).unwrap();
    let said = instance.wait_for("up");
    assert!(
        said.contains("0::/\n"),
        "its own group is the root that it sees: {said}"
    );
    let inside = std::fs::read_to_string(folder.join("one/cgroup.procs")).unwrap();
    assert_eq!(inside.lines().count(), 3, "init, the shell and the sleeper");
    groups.0.sweep("one");
    assert_eq!(instance.wait().status, None, "it was killed with its group");
    assert!(!folder.join("one").exists());
    drop(groups);
    assert!(!folder.exists());
}

#[test]
fn open_files_have_a_limit() {
    if !help::walls() {
        return;
    }
    let mut command = spec(&["sh", "-c", "ulimit -n; ulimit -c"]);
    command.instance.sandbox.limits.open_files = Some(123);
    let went = start(&command, &view_of(&help::base_view()), &no_cgroups())
        .unwrap()
        .wait();
    assert_eq!(went.said, "123\n0\n");
}

#[test]
fn a_share_of_a_processor_is_written_down() {
    if !help::walls() {
        return;
    }
    let groups = Groups::new("cpu");
    if !groups.there() || groups.0.enforcer("cpu").is_none() {
        eprintln!("SKIPPED: no cpu controller");
        return;
    }
    let limits = Limits {
        cpu: Some(MilliCpu(500)),
        ..Limits::default()
    };
    let mut command = spec(&["true"]);
    command.instance.sandbox.limits = limits;
    let instance = start(&command, &view_of(&help::base_view()), &groups.0).unwrap();
    assert_eq!(instance.spawned.budgets.len(), 1);
    assert_eq!(instance.wait().code(), 0);
    groups.0.sweep("one");
}

/// Lines of a file of /proc, or entries of a folder there.
fn inventory(groups: &Tree) -> Vec<usize> {
    let lines = |path: &str| std::fs::read_to_string(path).unwrap().lines().count();
    let entries = |path: &str| std::fs::read_dir(path).unwrap().count();
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let children = children.split_whitespace().count();
    vec![
        lines("/proc/self/mountinfo"),
        entries("/proc/self/fd"),
        children,
        groups.names().len(),
    ]
}

#[test]
fn fifty_starts_leave_nothing() {
    if !help::walls() {
        return;
    }
    let groups = Groups::new("inventory");
    let view = view_of(&help::base_view());
    let mut command = spec(&["true"]);
    if help::mode() == Mode::Root {
        command.instance.sandbox.limits = mebibytes(64);
    }
    let mut run = |n: u32| {
        command.cgroup = format!("i{n}");
        assert_eq!(start(&command, &view, &groups.0).unwrap().wait().code(), 0);
        groups.0.sweep(&command.cgroup);
    };
    run(0);
    let before = inventory(&groups.0);
    (1..=50).for_each(&mut run);
    assert_eq!(inventory(&groups.0), before);
}

#[test]
fn what_a_killed_keeper_left_is_swept() {
    if !help::walls() || !help::root() {
        return;
    }
    // A process that is no more: its number with a start time that it never had.
    let tree = Tree::detect(&format!("toft-{}-1", std::process::id()));
    if matches!(tree, Tree::None(_)) {
        eprintln!("SKIPPED: no control groups");
        return;
    }
    let mut command = spec(&["sleep", "1000"]);
    command.instance.sandbox.limits = mebibytes(64);
    let instance = start(&command, &view_of(&help::base_view()), &tree).unwrap();
    // How many it finds is not ours alone: keepers may be killed elsewhere at this moment.
    toft_sandbox::cgroup::sweep_stale();
    assert_eq!(
        instance.wait().status,
        None,
        "its process was killed with its group"
    );
}
