//! Sources, work and trees against a model of what they should be.

#[path = "tests_of_saves.rs"]
mod saves;

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct World {
    _top: tempfile::TempDir,
    project: PathBuf,
    work: PathBuf,
    store: PathBuf,
}

fn world() -> World {
    let top = tempfile::tempdir().unwrap();
    let at = |name: &str| top.path().join(name);
    let (project, work, store) = (at("project"), at("work"), at("store"));
    fs::create_dir(&project).unwrap();
    World {
        project,
        work,
        store,
        _top: top,
    }
}

impl World {
    fn write(&self, path: &str, text: &str) {
        write(&self.project, path, text);
    }
    fn sync(&self) -> Changes {
        sync(&self.project, &self.work, None).unwrap()
    }
    fn collect(&self, keep: &[&str]) -> Collected {
        let keep: Vec<PathBuf> = keep.iter().map(PathBuf::from).collect();
        collect(&self.work, &self.store, &keep, false).unwrap()
    }
}

fn write(top: &Path, path: &str, text: &str) {
    let path = top.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Everything below a folder: contents with the right to execute, link targets, folders.
fn contents(top: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(top: &Path, at: &Path, out: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let data = fs::symlink_metadata(&path).unwrap();
            let what = if data.is_dir() {
                walk(top, &path, out);
                "folder".to_owned()
            } else if data.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else {
                let kind = if data.mode() & 0o100 != 0 {
                    "program"
                } else {
                    "file"
                };
                format!("{kind} {}", fs::read_to_string(&path).unwrap())
            };
            out.insert(path.strip_prefix(top).unwrap().to_owned(), what);
        }
    }
    let mut out = BTreeMap::new();
    walk(top, top, &mut out);
    out
}

fn paths(list: &[PathBuf]) -> Vec<&str> {
    list.iter().map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn only_what_changed_is_copied() {
    let w = world();
    w.write("src/main.rs", "one");
    w.write("src/lib.rs", "lib");
    symlink("src/main.rs", w.project.join("link")).unwrap();
    assert_eq!(
        paths(&w.sync().added),
        ["link", "src/lib.rs", "src/main.rs"]
    );
    let inode = |path: &str| fs::metadata(w.work.join(path)).unwrap().ino();
    let (main, lib) = (inode("src/main.rs"), inode("src/lib.rs"));
    assert!(w.sync().is_empty());
    w.write("src/main.rs", "two");
    let changes = w.sync();
    assert_eq!(paths(&changes.changed), ["src/main.rs"]);
    assert_eq!(changes.added.len() + changes.removed.len(), 0);
    assert_ne!(inode("src/main.rs"), main);
    assert_eq!(inode("src/lib.rs"), lib);
    fs::remove_file(w.project.join("src/lib.rs")).unwrap();
    assert_eq!(paths(&w.sync().removed), ["src/lib.rs"]);
    assert_eq!(contents(&w.project), contents(&w.work));
}

#[test]
fn modification_times_are_kept_but_do_not_deceive() {
    let w = world();
    let age = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let set = |at| {
        fs::File::options()
            .append(true)
            .open(w.project.join("a"))
            .unwrap()
            .set_modified(at)
            .unwrap()
    };
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    w.write("a", "one");
    set(old);
    w.sync();
    assert_eq!(age(&w.work.join("a")), old);
    // Other contents under an old date: what was built since would look newer.
    w.write("a", "two");
    set(old);
    assert_eq!(paths(&w.sync().changed), ["a"]);
    assert!(age(&w.work.join("a")) > old);
    // The same contents under a new date: nothing to build.
    let before = age(&w.work.join("a"));
    w.write("a", "two");
    assert!(w.sync().is_empty());
    assert_eq!(age(&w.work.join("a")), before);
}

#[test]
fn what_the_build_made_stays() {
    let w = world();
    w.write("a/x", "1");
    w.sync();
    write(&w.work, "target/out", "built");
    write(&w.work, "a/generated", "built");
    fs::remove_dir_all(w.project.join("a")).unwrap();
    assert_eq!(paths(&w.sync().removed), ["a/x"]);
    let left: Vec<PathBuf> = contents(&w.work).into_keys().collect();
    assert_eq!(paths(&left), ["a", "a/generated", "target", "target/out"]);
}

#[test]
fn what_the_build_spoiled_is_put_right() {
    let w = world();
    w.write("a/x", "1");
    w.write("b", "2");
    w.sync();
    let outside = w._top.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(w.work.join("a")).unwrap();
    symlink(&outside, w.work.join("a")).unwrap();
    fs::write(w.work.join("b"), "other").unwrap();
    w.sync();
    assert_eq!(contents(&w.project), contents(&w.work));
    assert!(
        contents(&outside).is_empty(),
        "nothing is written through a link"
    );
    w.write("a/y", "3");
    fs::remove_dir_all(w.work.join("a")).unwrap();
    symlink(&outside, w.work.join("a")).unwrap();
    fs::write(outside.join("x"), "precious").unwrap();
    fs::remove_file(w.project.join("a/x")).unwrap();
    w.sync();
    assert_eq!(contents(&w.project), contents(&w.work));
    assert!(
        outside.join("x").exists(),
        "nothing is removed through a link"
    );
}

#[test]
fn what_is_no_code_stays_out() {
    let w = world();
    w.write("package.json", r#"{"dependencies": {"a": "1"}}"#);
    for path in [
        ".git/config",
        ".toft/x",
        "node_modules/a/b",
        "d/__pycache__/c.pyc",
        "v/pyvenv.cfg",
        "v/bin/x",
    ] {
        w.write(path, "");
    }
    w.write(
        "target/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    w.write("target/out", "");
    w.write("tagged/CACHEDIR.TAG", "no signature");
    w.write(".main.rs.swp", "");
    w.write("main.rs", "");
    symlink("/etc/passwd", w.project.join("out")).unwrap();
    symlink("main.rs", w.project.join("in")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        w.project.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let changes = w.sync();
    assert_eq!(
        paths(&changes.added),
        ["in", "main.rs", "package.json", "tagged/CACHEDIR.TAG"]
    );
    let notes: Vec<&str> = changes
        .notes
        .iter()
        .map(|note| note.path.to_str().unwrap())
        .collect();
    assert_eq!(notes, ["node_modules", "out", "pipe", "v"]);
    symlink("../\x1b[2J", w.project.join("o\nut")).unwrap();
    let said = w
        .sync()
        .notes
        .iter()
        .map(Note::to_string)
        .collect::<Vec<_>>();
    assert_eq!(
        said[1],
        "o\\nut: a link out of the folder, to ../\\u{1b}[2J"
    );
}

#[test]
fn a_build_folder_among_the_sources_is_refused() {
    let w = world();
    let error = sync(&w.project, &w.project.join("work"), None).unwrap_err();
    assert!(matches!(error, SyncError::Nested { .. }));
    w.write("a", "");
    sync(&w.project, &w.project.join(".toft/work"), None).unwrap();
}

#[test]
fn a_tree_is_what_the_build_left_without_its_caches() {
    let w = world();
    w.write("static/page", "hello");
    w.sync();
    write(
        &w.work,
        "target/CACHEDIR.TAG",
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    write(&w.work, "target/release/app", "binary");
    write(&w.work, "target/release/deps/app-1", "binary");
    write(&w.work, "node_modules/ws/index.js", "js");
    symlink("static/page", w.work.join("in")).unwrap();
    symlink("../../etc/passwd", w.work.join("out")).unwrap();
    fs::set_permissions(
        w.work.join("target/release/app"),
        fs::Permissions::from_mode(0o4770),
    )
    .unwrap();
    let tree = w.collect(&["./target/release/app", "target/release/none"]);
    assert_eq!(tree.missing, [PathBuf::from("target/release/none")]);
    assert_eq!((tree.files, tree.known), (3, false));
    assert_eq!(tree.notes.len(), 1);
    let there = contents(&tree.path);
    let lines: Vec<String> = there
        .iter()
        .map(|(path, what)| format!("{} {what}", path.display()))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    in link static/page
    node_modules folder
    node_modules/ws folder
    node_modules/ws/index.js file js
    static folder
    static/page file hello
    target folder
    target/release folder
    target/release/app program binary
    ");
    let mode = |path: &str| fs::metadata(tree.path.join(path)).unwrap().mode() & 0o7777;
    assert_eq!(
        (mode("target/release/app"), mode("static/page")),
        (0o555, 0o444)
    );
    let again = w.collect(&["target/release/app"]);
    assert_eq!(
        (again.hash, again.known, again.new_bytes),
        (tree.hash, true, 0)
    );
}

#[test]
fn pruning_keeps_what_is_named() {
    let w = world();
    write(&w.work, "same", "same");
    write(&w.work, "a", "one");
    let one = w.collect(&[]);
    write(&w.work, "a", "two");
    let two = w.collect(&[]);
    assert_ne!(one.hash, two.hash);
    let pruned = prune(&w.store, std::slice::from_ref(&two.hash)).unwrap();
    assert_eq!((pruned.trees, pruned.bytes), (1, 3));
    assert!(!has_tree(&w.store, &one.hash) && has_tree(&w.store, &two.hash));
    assert_eq!(contents(&two.path).len(), 2);
    write(&w.work, "a", "one");
    assert_eq!(w.collect(&[]).hash, one.hash);
    assert_eq!(contents(&one.path), contents(&w.work));
}

/// One thing that a person, an editor or a build does.
#[derive(Debug, Clone)]
enum Edit {
    Write(String, String),
    Program(String),
    Remove(String),
    Folder(String),
    Link(String, String),
    Sync,
}

fn edit() -> impl Strategy<Value = Edit> {
    let path = prop::sample::select(vec!["a", "b", "d/a", "d/b", "d/e/f", "d", "d/e", "a/x"]);
    let text = prop::sample::select(vec!["", "1", "2", "longer"]);
    let at = path.clone();
    prop_oneof![
        4 => (path.clone(), text).prop_map(|(p, t)| Edit::Write(p.into(), t.into())),
        1 => path.clone().prop_map(|p| Edit::Program(p.into())),
        2 => path.clone().prop_map(|p| Edit::Remove(p.into())),
        1 => path.clone().prop_map(|p| Edit::Folder(p.into())),
        1 => (path, at).prop_map(|(p, t)| Edit::Link(p.into(), t.into())),
        3 => Just(Edit::Sync),
    ]
}

/// Does it where it is possible.
fn apply(top: &Path, edit: &Edit) {
    let done = match edit {
        Edit::Write(path, text) => {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::write(path, text))
        }
        Edit::Program(path) => {
            let path = top.join(path);
            match fs::symlink_metadata(&path) {
                Ok(data) if data.is_file() => {
                    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                }
                _ => Ok(()),
            }
        }
        Edit::Remove(path) => {
            fs::remove_file(top.join(path)).or_else(|_| fs::remove_dir_all(top.join(path)))
        }
        Edit::Folder(path) => fs::create_dir_all(top.join(path)),
        Edit::Link(path, to) => symlink(to, top.join(path)),
        Edit::Sync => Ok(()),
    };
    drop(done);
}

/// What of the sources a sync takes over: links that lead out stay out.
fn expected(project: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = contents(project);
    all.retain(|path, what| {
        what.strip_prefix("link ")
            .is_none_or(|to| scan::stays_inside(path, Path::new(to)))
    });
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn work_and_tree_equal_the_model(edits in prop::collection::vec(edit(), 1..40)) {
        let w = world();
        fs::create_dir(&w.work).unwrap();
        write(&w.work, "built/by/build", "product");
        for edit in edits.iter().chain([&Edit::Sync]) {
            apply(&w.project, edit);
            if !matches!(edit, Edit::Sync) {
                continue;
            }
            w.sync();
            let mut wanted = expected(&w.project);
            for (path, what) in [("built", "folder"), ("built/by", "folder"), ("built/by/build", "file product")] {
                wanted.insert(path.into(), what.to_owned());
            }
            prop_assert_eq!(&contents(&w.work), &wanted);
            prop_assert!(w.sync().is_empty());
            let tree = w.collect(&[]);
            prop_assert_eq!(&contents(&tree.path), &wanted);
        }
    }

    #[test]
    fn a_build_may_do_what_it_likes(
        edits in prop::collection::vec(edit(), 1..20),
        spoils in prop::collection::vec(edit(), 1..20),
    ) {
        let w = world();
        edits.iter().for_each(|edit| apply(&w.project, edit));
        w.sync();
        spoils.iter().for_each(|edit| apply(&w.work, edit));
        w.sync();
        let there = contents(&w.work);
        for (path, what) in expected(&w.project) {
            prop_assert_eq!(there.get(&path), Some(&what), "{}", path.display());
        }
    }
}

#[test]
fn holes_stay_holes_all_the_way() {
    use std::os::unix::fs::FileExt;
    let w = world();
    let file = fs::File::create(w.project.join("image")).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(b"middle", 33 << 20).unwrap();
    let on_disk = |path: &Path| fs::metadata(path).unwrap().blocks() * 512;
    if on_disk(&w.project.join("image")) > 1 << 20 {
        eprintln!("SKIPPED: this file system has no holes");
        return;
    }
    w.sync();
    let tree = w.collect(&[]);
    for copy in [w.work.join("image"), tree.path.join("image")] {
        assert!(on_disk(&copy) < 1 << 20, "{} bytes", on_disk(&copy));
        assert!(fs::read(&copy).unwrap() == fs::read(w.project.join("image")).unwrap());
    }
}

#[test]
fn who_is_told_to_stop_stops() {
    use std::sync::atomic::AtomicBool;
    let w = world();
    w.write("a", "1");
    let stop = AtomicBool::new(true);
    let error = sync_until(&w.project, &w.work, None, &stop).unwrap_err();
    assert!(matches!(error, SyncError::Stopped));
    assert!(!w.sync().is_empty());
    assert_eq!(contents(&w.work), contents(&w.project));
    let error = collect_until(&w.work, &w.store, &[], false, &stop).unwrap_err();
    assert!(matches!(error, CollectError::Stopped));
    assert_eq!(contents(&w.collect(&[]).path), contents(&w.project));
}
