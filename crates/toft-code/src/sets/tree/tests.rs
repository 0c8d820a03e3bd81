//! Trees of made-up files.

use super::*;
use std::fs;
use std::os::unix::fs::MetadataExt;

struct World {
    top: tempfile::TempDir,
    parts: Parts,
}

impl World {
    fn new() -> Self {
        let world = Self {
            top: tempfile::tempdir().unwrap(),
            parts: Parts::default(),
        };
        fs::create_dir(world.at("machine")).unwrap();
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// A file of the machine, seen as a program.
    fn file(&mut self, name: &str, text: &str, mode: u32) -> PathBuf {
        let file = self.at("machine").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let target = Path::new("/usr/bin").join(name);
        self.parts.add_at(&target, Part::File(file.clone()));
        file
    }

    fn tree(&self) -> PathBuf {
        match make(&self.parts, &[], &self.at("state")).unwrap() {
            Made::Tree { key, .. } => self.at("state/sets").join(key),
            Made::Refused(why) => panic!("{why}"),
        }
    }
}

#[test]
fn a_tree_has_nothing_in_common_with_the_machine() {
    let mut w = World::new();
    let file = w.file("su", "program", 0o4755);
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
    let open = fs::File::options().write(true).open(&file).unwrap();
    open.set_modified(old).unwrap();
    // Setting times takes no rights away.
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o4755);
    let copy = w.tree().join("usr/bin/su");
    let data = fs::metadata(&copy).unwrap();
    assert_ne!(data.ino(), fs::metadata(&file).unwrap().ino());
    assert_eq!(
        (data.mode() & 0o7777, data.modified().unwrap()),
        (0o755, old)
    );
    fs::set_permissions(&copy, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&copy, "spoiled").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "program");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(fs::metadata(&file).unwrap().nlink(), 1);
}

#[test]
fn a_spoiled_tree_is_made_anew() {
    let mut w = World::new();
    w.file("a", "one", 0o755);
    w.file("b", "two", 0o644);
    let tree = w.tree();
    // As a power cut leaves it, in the tree and in the pool at once.
    fs::File::create(tree.join("usr/bin/a")).unwrap();
    fs::set_permissions(tree.join("usr/bin/b"), PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(w.tree(), tree);
    assert_eq!(fs::read_to_string(tree.join("usr/bin/a")).unwrap(), "one");
    assert_eq!(
        fs::metadata(tree.join("usr/bin/b")).unwrap().mode() & 0o777,
        0o644
    );
    assert!(!w.at("state/sets/tmp").exists());
}

#[test]
fn trees_share_their_files_until_none_needs_them() {
    let mut w = World::new();
    w.file("a", "one", 0o755);
    let one = w.tree();
    w.file("b", "two", 0o755);
    // What a kill left.
    fs::create_dir_all(w.at("state/sets/tmp/tree/usr")).unwrap();
    let two = w.tree();
    let inode =
        |tree: &Path, name: &str| fs::metadata(tree.join("usr/bin").join(name)).unwrap().ino();
    assert_ne!(one, two);
    assert_eq!(inode(&one, "a"), inode(&two, "a"));
    let copies = || fs::read_dir(w.at("state/sets/files")).unwrap().count();
    assert_eq!(copies(), 2);
    let key = one.file_name().unwrap().to_str().unwrap().to_owned();
    super::super::prune(&w.at("state"), &[key]).unwrap();
    assert!(one.is_dir() && !two.exists());
    assert_eq!(copies(), 1);
}

#[test]
fn what_would_take_too_much_is_refused() {
    let mut w = World::new();
    let file = w.file("huge", "", 0o755);
    let open = fs::File::options().write(true).open(file).unwrap();
    open.set_len(2 << 30).unwrap();
    let Made::Refused(why) = make(&w.parts, &[], &w.at("state")).unwrap() else {
        eprintln!("SKIPPED: this file system shares what files hold");
        return;
    };
    assert_eq!(why, "a copy of only that would take 2048 MiB");
}
