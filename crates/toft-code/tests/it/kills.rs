//! A sync and a collection that are killed at any moment, again and again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use toft_code::copy::{Changes, collect, prune, sync};

/// Set for the process that is killed: the folder in which it works.
const WORKER: &str = "TOFT_TEST_KILLED_IN";
const KILLS: u32 = 40;

/// Not a test of its own: what the killed process does.
#[test]
fn worker() {
    let Some(top) = std::env::var_os(WORKER).map(PathBuf::from) else {
        return;
    };
    for round in 0_u32.. {
        // Words for the one who kills; he may be gone already.
        let _ = writeln!(std::io::stdout(), "round {round}");
        edit(&top.join("project"), round);
        sync(&top.join("project"), &top.join("work"), None).unwrap();
        let made = collect(&top.join("work"), &top.join("store"), &[], false).unwrap();
        if round % 3 == 2 {
            prune(&top.join("store"), &[made.hash]).unwrap();
        }
    }
}

/// Files come, change, go and become folders.
fn edit(project: &Path, round: u32) {
    for number in 0..20 {
        let path = project.join(format!("d{}/f{number}", number % 3));
        match (round + number) % 4 {
            0 => drop(std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path))),
            1 => drop(std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path))),
            _ => {
                if path.is_dir() {
                    std::fs::remove_dir_all(&path).unwrap();
                }
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, format!("{number} in {round} ").repeat(200)).unwrap();
            }
        }
    }
}

fn contents(top: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = if path.is_dir() {
                None
            } else {
                Some(std::fs::read(&path).unwrap())
            };
            found.insert(path.strip_prefix(top).unwrap().to_owned(), text);
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_wrong() {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    std::fs::create_dir(at("project")).unwrap();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["kills::worker", "--exact", "--nocapture"])
            .env(WORKER, top.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let rounds = 1 + kill % 4;
        let mut seen = 0;
        while seen < rounds {
            seen += u32::from(
                lines
                    .next()
                    .expect("the worker works")
                    .unwrap()
                    .contains("round "),
            );
        }
        // Somewhere within a round: each time a little later.
        for _ in 0..kill * 3_000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever stands under a tree's name is that tree, and no file lacks its end.
        for tree in std::fs::read_dir(at("store/trees")).into_iter().flatten() {
            whole(&tree.unwrap().path(), &at("check"));
        }
        sync(&at("project"), &at("work"), None).unwrap();
        assert_eq!(
            contents(&at("work")),
            contents(&at("project")),
            "after kill {kill}"
        );
        assert_eq!(
            sync(&at("project"), &at("work"), None).unwrap(),
            Changes::default()
        );
        let made = collect(&at("work"), &at("store"), &[], false).unwrap();
        assert_eq!(
            contents(&made.path),
            contents(&at("project")),
            "after kill {kill}"
        );
        prune(&at("store"), std::slice::from_ref(&made.hash)).unwrap();
        assert_eq!(
            std::fs::read_dir(at("store/tmp")).unwrap().count(),
            1,
            "only the clock"
        );
    }
}

/// Collects a tree anew, elsewhere: its name must come out again.
fn whole(tree: &Path, store: &Path) {
    let again = collect(tree, store, &[], false).unwrap();
    assert_eq!(again.hash, tree.file_name().unwrap().to_str().unwrap());
}
