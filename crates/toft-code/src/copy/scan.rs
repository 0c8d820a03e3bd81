//! Walks a folder without following a symbolic link.

use super::skip::Policy;
use super::stamp::Stamp;
use crate::shown;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat, statat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Deeper than any code; a loop of bind mounts is not.
const DEPTH_MAX: usize = 100;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Dir,
    File(Stamp),
    Link(PathBuf),
}

/// What was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Odd {
    /// A symbolic link that leads out of the folder.
    LeadsOut(PathBuf),
    /// A socket, a pipe or a device.
    Special,
    /// Node packages that an install makes again.
    Installed,
    /// A Python environment.
    Environment,
}

impl Odd {
    /// Why it was passed over, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::LeadsOut(target) => {
                format!("a link out of the folder, to {}", shown::path(target))
            }
            Self::Special => "neither a file nor a folder".to_owned(),
            Self::Installed => {
                "left out: the install that package.json asks for makes it again".to_owned()
            }
            Self::Environment => {
                "left out: a Python environment works only where it was made".to_owned()
            }
        }
    }
}

/// What a walk found, parents before children, names in byte order.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    stop: Option<&'a AtomicBool>,
    pub(super) entries: Vec<(PathBuf, Found)>,
    pub(super) odd: Vec<(PathBuf, Odd)>,
}

/// Where and why a walk failed.
pub(super) type Failed = (PathBuf, Errno);

/// Opens the folder that a person named; its own path may have links.
pub(super) fn open_root(folder: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(folder, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
}

/// Opens something below `root` without following a link on the way; the empty path is `root`.
pub(super) fn open_below(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how)
}

pub(super) fn open_folder_below(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    open_below(root, path, FOLDER)
}

/// Opens a file for reading; never waits for the other end of a pipe.
pub(super) fn open_file_below(root: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    open_below(
        root,
        path,
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK,
    )
}

/// The names in a folder, in byte order.
pub(super) fn names(folder: impl AsFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

impl<'a> Scan<'a> {
    pub(super) fn run(
        root: impl AsFd,
        policy: Policy,
        stop: &'a AtomicBool,
    ) -> Result<Self, Failed> {
        let mut scan = Self {
            stop: Some(stop),
            ..Self::default()
        };
        let names = names(root.as_fd()).map_err(|errno| (PathBuf::new(), errno))?;
        scan.folder(root, &names, Path::new(""), policy, 0)?;
        Ok(scan)
    }

    fn folder(
        &mut self,
        folder: impl AsFd,
        names: &[OsString],
        at: &Path,
        policy: Policy,
        depth: usize,
    ) -> Result<(), Failed> {
        for name in names {
            let path = at.join(name);
            let stat = match statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                // It went between the listing and now.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err((path, errno)),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if policy.skips_folder(name) => {}
                FileType::Directory if policy.skips_installed(name, folder.as_fd()) => {
                    self.once(path, Odd::Installed);
                }
                FileType::Directory => self.subfolder(folder.as_fd(), name, path, policy, depth)?,
                FileType::RegularFile | FileType::Symlink if policy.skips_file(name) => {}
                FileType::RegularFile => self.entries.push((path, Found::File(Stamp::from(&stat)))),
                FileType::Symlink => self.link(folder.as_fd(), name, path)?,
                _ => self.odd.push((path, Odd::Special)),
            }
        }
        Ok(())
    }

    fn subfolder(
        &mut self,
        parent: impl AsFd,
        name: &OsStr,
        path: PathBuf,
        policy: Policy,
        depth: usize,
    ) -> Result<(), Failed> {
        if self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err((path, Errno::INTR));
        }
        if depth == DEPTH_MAX {
            return Err((path, Errno::LOOP));
        }
        let opened = openat(parent, name, FOLDER, Mode::empty())
            .and_then(|folder| names(&folder).map(|names| (folder, names)));
        let (folder, names) = match opened {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err((path, errno)),
        };
        if policy.skips_environment(&names) {
            self.once(path, Odd::Environment);
            return Ok(());
        }
        if policy.skips_cache(&folder, &names) {
            return Ok(());
        }
        self.entries.push((path.clone(), Found::Dir));
        self.folder(&folder, &names, &path, policy, depth + 1)
    }

    /// Notes what may be there many times: one is told for all.
    fn once(&mut self, path: PathBuf, odd: Odd) {
        if !self.odd.iter().any(|(_, other)| *other == odd) {
            self.odd.push((path, odd));
        }
    }

    fn link(&mut self, folder: impl AsFd, name: &OsStr, path: PathBuf) -> Result<(), Failed> {
        let target = match readlinkat(folder, name, Vec::new()) {
            Ok(target) => PathBuf::from(OsStr::from_bytes(target.to_bytes())),
            Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
            Err(errno) => return Err((path, errno)),
        };
        if stays_inside(&path, &target) {
            self.entries.push((path, Found::Link(target)));
        } else {
            self.odd.push((path, Odd::LeadsOut(target)));
        }
        Ok(())
    }
}

/// Whether a link at `path`, read word for word, leads to something in the same folder tree.
pub(super) fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !target.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_or_do_not() {
        let inside = |path: &str, target: &str| stays_inside(path.as_ref(), target.as_ref());
        assert!(inside("a", "b"));
        assert!(inside("d/a", "../b"));
        assert!(inside("d/e/a", "../../b/./c"));
        assert!(!inside("a", "../b"));
        assert!(!inside("d/a", "../../b"));
        assert!(!inside("d/a", "/etc/passwd"));
        assert!(!inside("d/a", "b/../../../x"));
        assert!(!inside("a", ""));
    }
}
