//! One tree of hard links for a set of many files.
//!
//! Each mount costs every start, so that many files are bound as a few folders of a tree that is
//! made once. The tree shares its files' data with the machine and costs names only. It is found
//! again by a key over the stamps of all its files, so that an upgrade of the machine makes a new
//! one.

use super::SetError;
use super::parts::{Part, Parts, mount};
use crate::copy::collect::hex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use toft_model::sandbox::Mount;

/// More binds than this are made a tree.
pub(super) const BINDS_MAX: usize = 64;
/// Folders of which not the whole is bound, but each thing in them: others have something there too.
const SPLIT: [&str; 6] = ["/", "/usr", "/usr/local", "/etc", "/opt", "/run"];

pub(super) enum Made {
    Tree {
        mounts: Vec<Mount>,
        key: String,
    },
    /// The machine does not allow it; why, in words.
    Refused(String),
}

/// The mounts of a tree that was made before, and its key.
pub(super) fn find(
    parts: &Parts,
    mountpoints: &[(PathBuf, bool)],
    state: &Path,
) -> Option<(Vec<Mount>, String)> {
    let sets = state.canonicalize().ok()?.join("sets");
    if parts.iter().count() <= BINDS_MAX || !sets.is_dir() {
        return None;
    }
    let plan = Plan::new(parts, mountpoints);
    let key = plan.key().ok()?;
    let top = sets.join(&key);
    top.is_dir().then(|| (plan.mounts(&top), key))
}

/// Makes the tree below `state/sets`, or finds it there, and mounts that show it.
pub(super) fn make(
    parts: &Parts,
    mountpoints: &[(PathBuf, bool)],
    state: &Path,
) -> Result<Made, SetError> {
    let plan = Plan::new(parts, mountpoints);
    std::fs::create_dir_all(state).map_err(|source| SetError::Write {
        path: state.to_owned(),
        source,
    })?;
    let state = state.canonicalize().map_err(|source| SetError::Write {
        path: state.to_owned(),
        source,
    })?;
    let sets = state.join("sets");
    let key = plan
        .key()
        .map_err(|(path, source)| SetError::Read { path, source })?;
    let top = sets.join(&key);
    if !top.is_dir() {
        match plan.build(&sets, &key) {
            Ok(()) => {}
            Err(Broken::Link(error)) => return Ok(Made::Refused(words(&error))),
            Err(Broken::Write(path, source)) => return Err(SetError::Write { path, source }),
        }
    }
    Ok(Made::Tree {
        mounts: plan.mounts(&top),
        key,
    })
}

/// Why a tree could not be made.
enum Broken {
    /// A hard link was refused: nothing is wrong, but there will be no tree.
    Link(io::Error),
    Write(PathBuf, io::Error),
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a plain user may not make the hard links that would show only that (fs.protected_hardlinks)".to_owned()
        }
        io::ErrorKind::CrossesDevices => {
            "the hard links that would show only that cannot reach the file system of Toft's state".to_owned()
        }
        _ => format!("the hard links that would show only that were refused: {error}"),
    }
}

/// What the tree is made of.
struct Plan<'a> {
    files: Vec<(&'a Path, &'a Path)>,
    links: Vec<(&'a Path, &'a Path)>,
    /// Whole folders, which stay binds of their own.
    folders: Vec<(&'a Path, &'a Path)>,
    /// Empty places for what is mounted inside: path, and whether it is a folder.
    places: BTreeSet<(&'a Path, bool)>,
}

impl<'a> Plan<'a> {
    fn new(parts: &'a Parts, mountpoints: &'a [(PathBuf, bool)]) -> Self {
        let mut plan = Self {
            files: Vec::new(),
            links: Vec::new(),
            folders: Vec::new(),
            places: mountpoints
                .iter()
                .map(|(path, folder)| (path.as_path(), *folder))
                .collect(),
        };
        for (target, part) in parts.iter().filter(|(target, _)| !parts.covered(target)) {
            match part {
                Part::File(from) => plan.files.push((target, from)),
                Part::Link(to) => plan.links.push((target, to)),
                Part::Folder(from) => {
                    plan.places.insert((target, true));
                    plan.folders.push((target, from));
                }
            }
        }
        plan
    }

    /// Changes with every file's identity and age.
    fn key(&self) -> Result<String, (PathBuf, io::Error)> {
        let mut hasher = Sha256::new();
        hasher.update(b"toft set 1\0");
        for (target, from) in &self.files {
            let data = std::fs::metadata(from).map_err(|error| (from.to_path_buf(), error))?;
            let (dev, ino, size) = (data.dev(), data.ino(), data.size());
            let (mtime, rest, mode) = (data.mtime(), data.mtime_nsec(), data.mode());
            hasher.update(target.as_os_str().as_bytes());
            hasher.update(format!("\0{dev} {ino} {size} {mtime} {rest} {mode}\0"));
        }
        for (target, to) in &self.links {
            hasher.update(target.as_os_str().as_bytes());
            hasher.update(b"\0->");
            hasher.update(to.as_os_str().as_bytes());
            hasher.update(b"\0");
        }
        for (path, folder) in &self.places {
            hasher.update(path.as_os_str().as_bytes());
            hasher.update(if *folder { b"\0d" } else { b"\0f" });
        }
        let mut key = hex(&hasher.finalize());
        key.truncate(32);
        Ok(key)
    }

    fn build(&self, sets: &Path, key: &str) -> Result<(), Broken> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| Broken::Write(path, error)
        };
        crate::own::folder(sets).map_err(at(sets))?;
        // Old programs live on here after an upgrade: nobody else is to reach them.
        std::fs::set_permissions(sets, std::fs::Permissions::from_mode(0o700)).map_err(at(sets))?;
        let aside = sets.join(format!("{key}.{}", std::process::id()));
        let built = self.fill(&aside);
        if built.is_err() {
            // What could be made is of no use; the error that is told is the first one.
            let _ = std::fs::remove_dir_all(&aside);
            return built;
        }
        let top = sets.join(key);
        match std::fs::rename(&aside, &top) {
            // Somebody else was faster.
            Err(_) if top.is_dir() => std::fs::remove_dir_all(&aside).map_err(at(&aside)),
            other => other.map_err(at(&top)),
        }
    }

    fn fill(&self, aside: &Path) -> Result<(), Broken> {
        let mut made = BTreeSet::new();
        folder(aside, &mut made)?;
        for (target, from) in &self.files {
            let to = below(aside, target);
            // What would give rights outside is nothing that a sandbox honours.
            let data = std::fs::metadata(from)
                .map_err(|error| Broken::Write(from.to_path_buf(), error))?;
            if data.mode() & 0o6000 != 0 {
                continue;
            }
            folder(to.parent().unwrap_or(aside), &mut made)?;
            std::fs::hard_link(from, &to).map_err(Broken::Link)?;
        }
        for (target, link) in &self.links {
            let to = below(aside, target);
            folder(to.parent().unwrap_or(aside), &mut made)?;
            std::os::unix::fs::symlink(link, &to).map_err(|error| Broken::Write(to, error))?;
        }
        for (place, is_folder) in &self.places {
            let to = below(aside, place);
            if !made.contains(to.parent().unwrap_or(aside)) && self.top_of(place) == *place {
                continue;
            }
            if *is_folder {
                folder(&to, &mut made)?;
            } else if !to.exists() {
                folder(to.parent().unwrap_or(aside), &mut made)?;
                std::fs::write(&to, "").map_err(|error| Broken::Write(to, error))?;
            }
        }
        Ok(())
    }

    /// The thing that is bound when `path` is to be seen: the highest one that is not shared.
    fn top_of<'p>(&self, path: &'p Path) -> &'p Path {
        let mut tops: Vec<&Path> = path.ancestors().collect();
        tops.reverse();
        tops.into_iter()
            .find(|top| !SPLIT.iter().any(|shared| *top == Path::new(shared)))
            .unwrap_or(path)
    }

    fn mounts(&self, top: &Path) -> Vec<Mount> {
        let mut mounts: BTreeMap<PathBuf, Mount> = BTreeMap::new();
        let mut add = |target: &Path, part: Part| {
            mounts.insert(target.to_owned(), mount(target.to_owned(), &part));
        };
        for (target, _) in &self.files {
            let shown = self.top_of(target);
            add(shown, Part::Folder(below(top, shown)));
        }
        for (target, to) in &self.links {
            let shown = self.top_of(target);
            if shown == *target {
                add(target, Part::Link(to.to_path_buf()));
            } else {
                add(shown, Part::Folder(below(top, shown)));
            }
        }
        for (target, from) in &self.folders {
            add(target, Part::Folder(from.to_path_buf()));
        }
        mounts.into_values().collect()
    }
}

fn below(top: &Path, target: &Path) -> PathBuf {
    top.join(target.strip_prefix("/").unwrap_or(target))
}

/// Makes a folder and those above it, readable by everybody whatever the umask.
fn folder(path: &Path, made: &mut BTreeSet<PathBuf>) -> Result<(), Broken> {
    if made.contains(path) {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|_| !made.is_empty()) {
        folder(parent, made)?;
    }
    let done = std::fs::create_dir(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)));
    done.map_err(|error| Broken::Write(path.to_owned(), error))?;
    made.insert(path.to_owned());
    Ok(())
}

/// Removes all cached trees but those with these keys. Those in use have to be among them.
pub fn prune(state: &Path, keep: &[String]) -> io::Result<()> {
    let entries = match std::fs::read_dir(state.join("sets")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !keep.iter().any(|key| entry.file_name() == key.as_str()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
