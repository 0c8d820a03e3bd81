//! What is watched is what is copied.

use super::*;

/// Waits until the watcher has seen a change; the deadline is far beyond any machine's slowness.
fn wait(watcher: &mut Watcher) -> Seen {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec {
        tv_sec: 20,
        tv_nsec: 0,
    };
    loop {
        let seen = watcher.drain().unwrap();
        if seen.changed || seen.gone {
            return seen;
        }
        let ready = poll(&mut [PollFd::new(watcher, PollFlags::IN)], Some(&limit)).unwrap();
        assert!(ready > 0, "no change was seen");
    }
}

#[test]
fn a_save_is_seen_however_it_is_done() {
    let w = world();
    w.write("src/main.rs", "1");
    let mut watcher = Watcher::new(&w.project).unwrap();
    assert_eq!(watcher.drain().unwrap(), Seen::default());
    w.write("src/main.rs", "2");
    assert_eq!(
        wait(&mut watcher).paths,
        [PathBuf::from("src/main.rs")].into()
    );
    // By way of another name.
    w.write("src/.main.rs.tmp", "3");
    fs::rename(
        w.project.join("src/.main.rs.tmp"),
        w.project.join("src/main.rs"),
    )
    .unwrap();
    assert!(wait(&mut watcher).changed);
    // In a folder that is new, and in one that was moved.
    w.write("new/deep/er/file", "");
    assert!(wait(&mut watcher).changed);
    watcher.drain().unwrap();
    w.write("new/deep/er/file", "x");
    assert!(
        wait(&mut watcher)
            .paths
            .contains(Path::new("new/deep/er/file"))
    );
    fs::rename(w.project.join("new"), w.project.join("old")).unwrap();
    assert!(wait(&mut watcher).changed);
    watcher.drain().unwrap();
    w.write("old/deep/er/file", "y");
    assert_eq!(
        wait(&mut watcher).paths,
        [PathBuf::from("old/deep/er/file")].into()
    );
    fs::remove_file(w.project.join("src/main.rs")).unwrap();
    assert!(wait(&mut watcher).changed);
    fs::remove_dir_all(&w.project).unwrap();
    while !wait(&mut watcher).gone {}
}

#[test]
fn caches_and_editors_files_are_not_seen() {
    let w = world();
    w.write("a", "1");
    w.write(
        "target/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    w.write("package.json", r#"{"devDependencies": {"a": "1"}}"#);
    let mut watcher = Watcher::new(&w.project).unwrap();
    assert_eq!(watcher.len(), 1);
    w.write("target/debug/out", "");
    w.write(".toft/state", "");
    w.write("node_modules/x", "");
    w.write(".a.swp", "");
    w.write("a", "2");
    assert_eq!(wait(&mut watcher).paths, [PathBuf::from("a")].into());
    // A cache that is born while it is watched.
    w.write(
        "cache/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    wait(&mut watcher);
    while watcher.drain().unwrap().changed {}
    assert_eq!(watcher.len(), 1);
    w.write("cache/x", "");
    w.write("a", "3");
    assert_eq!(wait(&mut watcher).paths, [PathBuf::from("a")].into());
}

#[test]
fn modules_that_nothing_installs_are_code() {
    let w = world();
    w.write("node_modules/own/index.js", "js");
    w.write("tool/node_modules/a/index.js", "js");
    w.write(
        "tool/package.json",
        r#"{"name": "tool", "dependencies": {}}"#,
    );
    w.write("web/node_modules/b/index.js", "js");
    w.write("web/package.json", r#"{"dependencies": {"b": "1"}}"#);
    w.write("more/node_modules/b/index.js", "js");
    w.write("more/package.json", r#"{"workspaces": ["x"]}"#);
    let changes = w.sync();
    assert_eq!(
        paths(&changes.added),
        [
            "more/package.json",
            "node_modules/own/index.js",
            "tool/node_modules/a/index.js",
            "tool/package.json",
            "web/package.json",
        ]
    );
    let said: Vec<String> = changes.notes.iter().map(Note::to_string).collect();
    assert_eq!(
        said,
        ["more/node_modules: left out: the install that package.json asks for makes it again"]
    );
    // What is watched follows what is copied.
    let mut watcher = Watcher::new(&w.project).unwrap();
    w.write("web/node_modules/b/index.js", "changed");
    w.write("node_modules/own/index.js", "changed");
    let own = PathBuf::from("node_modules/own/index.js");
    assert_eq!(wait(&mut watcher).paths, [own].into());
    w.write("web/package.json", "{}");
    wait(&mut watcher);
    watcher.drain().unwrap();
    w.write("web/node_modules/b/index.js", "again");
    let theirs = PathBuf::from("web/node_modules/b/index.js");
    assert_eq!(wait(&mut watcher).paths, [theirs].into());
}

#[test]
fn a_save_in_steps_is_one_change() {
    use std::io::Write;
    let w = world();
    w.write("app.py", "print(1)");
    w.write("b", "");
    let mut watcher = Watcher::new(&w.project).unwrap();
    // As `sed … > app.py` does it: emptied now, written later.
    let mut file = fs::File::create(w.project.join("app.py")).unwrap();
    assert_eq!(watcher.drain().unwrap(), Seen::default());
    file.write_all(b"print(2)").unwrap();
    let mut new = fs::File::create(w.project.join("new.py")).unwrap();
    new.write_all(b"print(3)").unwrap();
    // Events come in order: what came before this one would be seen with it.
    w.write("b", "1");
    assert_eq!(wait(&mut watcher).paths, [PathBuf::from("b")].into());
    drop((file, new));
    let saved = ["app.py", "new.py"].map(PathBuf::from);
    assert_eq!(wait(&mut watcher).paths, saved.into());
}
