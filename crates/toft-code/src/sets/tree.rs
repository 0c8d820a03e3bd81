//! One tree for a set of many files.
//!
//! Each mount costs every start, so that many files are bound as a few folders of a tree that is
//! made once. It is found again by a key over the stamps of all its files, so that an upgrade of the
//! machine makes a new one, and is taken only while each of its files is as it was made.

use super::SetError;
use super::parts::{Part, Parts, mount};
use super::pool::{Identity, Pool};
use crate::copy::collect::hex;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
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
    /// It would take too much; why, in words.
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
    let plan = Plan::new(parts, mountpoints).ok()?;
    let key = plan.key();
    let top = sets.join(&key);
    plan.stands_at(&top).then(|| (plan.mounts(&top), key))
}

/// Makes the tree below `state/sets`, or finds it there, and mounts that show it.
pub(super) fn make(
    parts: &Parts,
    mountpoints: &[(PathBuf, bool)],
    state: &Path,
) -> Result<Made, SetError> {
    let plan =
        Plan::new(parts, mountpoints).map_err(|(path, source)| SetError::Read { path, source })?;
    std::fs::create_dir_all(state).map_err(|source| SetError::Write {
        path: state.to_owned(),
        source,
    })?;
    let state = state.canonicalize().map_err(|source| SetError::Write {
        path: state.to_owned(),
        source,
    })?;
    let sets = state.join("sets");
    let key = plan.key();
    let top = sets.join(&key);
    match plan.build(&sets, &top) {
        Ok(()) => Ok(Made::Tree {
            mounts: plan.mounts(&top),
            key,
        }),
        Err(Broken::Room(why)) => Ok(Made::Refused(why)),
        Err(Broken::Read(path, source)) => Err(SetError::Read { path, source }),
        Err(Broken::Write(path, source)) => Err(SetError::Write { path, source }),
    }
}

/// Why a tree could not be made.
#[derive(Debug)]
pub(super) enum Broken {
    /// Nothing is wrong, but it would take too much; why, in words.
    Room(String),
    Read(PathBuf, io::Error),
    Write(PathBuf, io::Error),
}

/// What the tree is made of.
struct Plan<'a> {
    /// Where it is seen, what it is, and as what it is known.
    files: Vec<(&'a Path, &'a Path, Identity)>,
    links: Vec<(&'a Path, &'a Path)>,
    /// Whole folders, which stay binds of their own.
    folders: Vec<(&'a Path, &'a Path)>,
    /// Empty places for what is mounted inside: path, and whether it is a folder.
    places: BTreeSet<(&'a Path, bool)>,
}

impl<'a> Plan<'a> {
    fn new(
        parts: &'a Parts,
        mountpoints: &'a [(PathBuf, bool)],
    ) -> Result<Self, (PathBuf, io::Error)> {
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
                // Whoever asks could not read it without a sandbox either.
                Part::File(from) if access(from, Access::READ_OK) == Err(Errno::ACCESS) => {}
                Part::File(from) => {
                    let identity = Identity::of(from).map_err(|error| (from.clone(), error))?;
                    plan.files.push((target, from, identity));
                }
                Part::Link(to) => plan.links.push((target, to)),
                Part::Folder(from) => {
                    plan.places.insert((target, true));
                    plan.folders.push((target, from));
                }
            }
        }
        Ok(plan)
    }

    /// Changes with every file's identity and age.
    fn key(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(b"toft set 2\0");
        for (target, _, identity) in &self.files {
            hasher.update(target.as_os_str().as_bytes());
            hasher.update(format!("\0{}\0", identity.words()));
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
        key
    }

    /// Whether the tree is there and each of its files is as it was made: a power cut may leave it
    /// with empty ones, and a project's folder is full of people's scripts.
    fn stands_at(&self, top: &Path) -> bool {
        top.is_dir()
            && self
                .files
                .iter()
                .all(|(target, _, identity)| identity.is_copied_to(&below(top, target)))
    }

    fn build(&self, sets: &Path, top: &Path) -> Result<(), Broken> {
        let pool = Pool::open(sets)?;
        // Somebody else may have made it until it was our turn.
        if self.stands_at(top) {
            return Ok(());
        }
        let aside = pool.tmp.join("tree");
        let built = self.fill(&pool, &aside).and_then(|()| {
            let at = |error| Broken::Write(top.to_owned(), error);
            if top.symlink_metadata().is_ok() {
                std::fs::rename(top, pool.tmp.join("broken")).map_err(at)?;
            }
            std::fs::rename(&aside, top).map_err(at)
        });
        // What is left aside is of no use; what cannot be removed now is removed the next time.
        let _ = std::fs::remove_dir_all(&pool.tmp);
        built
    }

    fn fill(&self, pool: &Pool, aside: &Path) -> Result<(), Broken> {
        let files: Vec<(&Path, Identity)> = self
            .files
            .iter()
            .map(|(_, from, identity)| (*from, *identity))
            .collect();
        pool.copies(&files)?;
        let mut made = BTreeSet::new();
        folder(aside, &mut made)?;
        for (target, from, identity) in &self.files {
            let to = below(aside, target);
            folder(to.parent().unwrap_or(aside), &mut made)?;
            pool.link(from, *identity, &to)?;
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
        for (target, ..) in &self.files {
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

#[cfg(test)]
mod tests;
