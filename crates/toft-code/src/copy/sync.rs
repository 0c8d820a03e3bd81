//! Makes the folder in which builds run equal to the sources, touching only what changed.
//!
//! What the build made there stays. A ledger beside the folder tells the two apart: it names what
//! was put there from the sources, and is written before the first file is, so that nothing is
//! mistaken for the build's own after a kill.

use super::effects::{FOLDER, clear, give, is, name_of, now, same_contents, times, wanted_mode};
use super::ledger::{self, Ledger, Record};
use super::scan::{Failed, Found, Scan, open_file_below, open_folder_below, open_root};
use super::skip::Policy;
use super::stamp::Stamp;
use crate::{data, own, shown};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Uid, fchmod, fstat, futimens, mkdirat, openat, readlinkat,
    renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a sync did. Paths are relative to the folder, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Files and links that are new.
    pub added: Vec<PathBuf>,
    /// Files and links whose contents or right to be executed changed.
    pub changed: Vec<PathBuf>,
    /// Files and links that are gone.
    pub removed: Vec<PathBuf>,
    /// What was passed over, and why.
    pub notes: Vec<Note>,
}

impl Changes {
    /// Whether the build would see the same as before.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Something in the sources that is not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Relative to the folder.
    pub path: PathBuf,
    /// Why, in words.
    pub why: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", shown::path(&self.path), self.why)
    }
}

/// Why a sync failed. What it had done so far stays; the next one goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The sources cannot be read.
    #[error("cannot read {}", shown::path(path))]
    Read {
        /// Which part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The build's folder cannot be written.
    #[error("cannot write {}", shown::path(path))]
    Write {
        /// Which part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The build's folder lies in the sources where it would be copied into itself.
    #[error(
        "the build folder {} is part of the sources in {}",
        shown::path(work),
        shown::path(project)
    )]
    Nested {
        /// The sources.
        project: PathBuf,
        /// The build's folder.
        work: PathBuf,
    },
    /// It was told to.
    #[error("the copying was stopped")]
    Stopped,
}

/// What was put at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Put {
    /// The source as it was then.
    source: Stamp,
    /// The copy as it was left. Both in doubt for folders and links, which are compared as they are.
    copy: Stamp,
    kind: char,
}

impl Record for Put {
    const MAGIC: &'static str = "toft synced 1";

    fn write(&self, out: &mut String) {
        out.push(self.kind);
        out.push(' ');
        self.source.write(out);
        self.copy.write(out);
    }

    fn read<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let kind = fields.next()?.chars().next()?;
        Some(Self {
            kind,
            source: Stamp::read(fields)?,
            copy: Stamp::read(fields)?,
        })
    }
}

/// Makes `work` equal to the sources in `project` and says what changed.
///
/// Left out are version control, caches (`CACHEDIR.TAG`), a `node_modules` that an install makes
/// again, Python environments and bytecode, `.toft` and what editors write for themselves. What the
/// code may want of it, links that lead out and special files are noted. `owner` is the user and group that new files get, when the caller may give files away.
///
/// A copy has its source's modification time, so that build tools see what they would have seen,
/// except where that would deceive them: changed contents that claim to be older than the sync
/// before are given the time of now. Beside `work`, `WORK.synced` holds the ledger. One sync runs at
/// a time for one `work`.
pub fn sync(project: &Path, work: &Path, owner: Option<u32>) -> Result<Changes, SyncError> {
    sync_until(project, work, owner, &AtomicBool::new(false))
}

/// As [`sync`], ending soon with [`SyncError::Stopped`] once `stop` is set, in the middle of a long
/// file too.
pub fn sync_until(
    project: &Path,
    work: &Path,
    owner: Option<u32>,
    stop: &AtomicBool,
) -> Result<Changes, SyncError> {
    let done = Sync::open(project, work, owner, stop).and_then(Sync::run);
    match done {
        Err(_) if stop.load(Ordering::Relaxed) => Err(SyncError::Stopped),
        done => done,
    }
}

struct Sync<'a> {
    stop: &'a AtomicBool,
    project_path: PathBuf,
    work_path: PathBuf,
    project: OwnedFd,
    work: OwnedFd,
    owner: Option<u32>,
    ledger_path: PathBuf,
    spare_path: PathBuf,
    old: Ledger<Put>,
    new: Ledger<Put>,
    /// The file system's clock at the start, and at the end of the sync before.
    now: i64,
    before: Option<i64>,
    changes: Changes,
    /// The folder that was written to last, still open.
    last_parent: Option<(PathBuf, OwnedFd)>,
}

fn beside(work: &Path, suffix: &str) -> PathBuf {
    let mut path = work.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl<'a> Sync<'a> {
    fn open(
        project: &Path,
        work: &Path,
        owner: Option<u32>,
        stop: &'a AtomicBool,
    ) -> Result<Self, SyncError> {
        let reading = |source| SyncError::Read {
            path: project.to_owned(),
            source,
        };
        let writing = |source| SyncError::Write {
            path: work.to_owned(),
            source,
        };
        let project_path = project.canonicalize().map_err(reading)?;
        std::fs::create_dir_all(work.parent().unwrap_or(work)).map_err(writing)?;
        own::folder(work).map_err(writing)?;
        let work_path = work.canonicalize().map_err(writing)?;
        if let Ok(inside) = work_path.strip_prefix(&project_path)
            && !inside.iter().any(|part| Policy::Sources.skips_folder(part))
        {
            return Err(SyncError::Nested {
                project: project_path,
                work: work_path,
            });
        }
        let (ledger_path, spare_path) = (
            beside(&work_path, ".synced"),
            beside(&work_path, ".copying"),
        );
        let before = std::fs::metadata(&ledger_path).ok();
        let spare = own::fresh_file(&spare_path).map_err(writing)?;
        let now = Stamp::from(&fstat(&spare).map_err(|e| writing(e.into()))?).mtime;
        let work_fd = open_root(&work_path).map_err(|e| writing(e.into()))?;
        if let Some(owner) = owner {
            give(&work_fd, owner).map_err(|e| writing(e.into()))?;
        }
        Ok(Self {
            stop,
            project: open_root(&project_path).map_err(|e| reading(e.into()))?,
            work: work_fd,
            old: ledger::load(&ledger_path),
            before: before.map(|data| {
                use std::os::unix::fs::MetadataExt;
                data.mtime() * 1_000_000_000 + data.mtime_nsec()
            }),
            project_path,
            work_path,
            owner,
            ledger_path,
            spare_path,
            new: Ledger::default(),
            now,
            changes: Changes::default(),
            last_parent: None,
        })
    }

    fn run(mut self) -> Result<Changes, SyncError> {
        let scan = Scan::run(&self.project, Policy::Sources, self.stop)
            .map_err(|failed| self.read_error(failed))?;
        self.note(&scan);
        let todo = self.decide(scan.entries)?;
        let known: std::collections::HashSet<&OsStr> =
            todo.iter().map(|(path, _)| path.as_os_str()).collect();
        let gone: Vec<(PathBuf, Put)> = self
            .old
            .iter()
            .filter(|(path, _)| !self.new.contains_key(path) && !known.contains(path.as_os_str()))
            .map(|(path, put)| (path.to_owned(), *put))
            .collect();
        if !todo.is_empty() || !gone.is_empty() {
            self.promise(&todo)?;
            for (path, put) in gone.into_iter().rev() {
                self.remove(path, put)?;
            }
            self.changes.removed.reverse();
            for (path, found) in todo {
                self.put(path, found)?;
            }
        }
        let written = if self.old == self.new {
            // Its age says when the last sync was.
            File::options()
                .append(true)
                .open(&self.ledger_path)
                .and_then(|file| Ok(futimens(&file, &now())?))
        } else {
            ledger::save(&self.ledger_path, &self.new)
        };
        match written {
            // A folder that never had anything in it has no ledger.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.write_error(Path::new(""), error));
            }
            _ => {}
        }
        // A spare file that stays is overwritten the next time.
        let _ = std::fs::remove_file(&self.spare_path);
        Ok(self.changes)
    }

    fn note(&mut self, scan: &Scan<'_>) {
        for (path, odd) in &scan.odd {
            self.changes.notes.push(Note {
                path: path.clone(),
                why: odd.words(),
            });
        }
    }

    /// Parts what stands as it should (it goes into the new ledger) from what is to be done.
    fn decide(
        &mut self,
        entries: Vec<(PathBuf, Found)>,
    ) -> Result<Vec<(PathBuf, Found)>, SyncError> {
        let mut todo = Vec::new();
        for (path, found) in entries {
            let there = statat(&self.work, &path, AtFlags::SYMLINK_NOFOLLOW).ok();
            let put = match (&found, there) {
                (Found::Dir, Some(stat)) if is(&stat, FileType::Directory) => {
                    self.old.get(&path).map(|_| still('d'))
                }
                (Found::Link(target), Some(stat)) if is(&stat, FileType::Symlink) => {
                    let same = readlinkat(&self.work, &path, Vec::new())
                        .is_ok_and(|there| there.to_bytes() == target.as_os_str().as_bytes());
                    self.old.get(&path).filter(|_| same).map(|_| still('l'))
                }
                (Found::File(source), Some(stat)) if is(&stat, FileType::RegularFile) => {
                    self.unchanged(&path, source, Stamp::from(&stat))?
                }
                _ => None,
            };
            match put {
                Some(put) => self.new.insert(path, put),
                None => todo.push((path, found)),
            }
        }
        Ok(todo)
    }

    /// Whether a copy is what it should be: by its stamps, else by what it says.
    fn unchanged(
        &self,
        path: &Path,
        source: &Stamp,
        copy: Stamp,
    ) -> Result<Option<Put>, SyncError> {
        let Some(old) = self.old.get(path) else {
            return Ok(None);
        };
        if old.source == *source && old.copy == copy {
            return Ok(Some(*old));
        }
        if copy.size != source.size || wanted_mode(source.mode) != copy.mode & 0o7777 {
            return Ok(None);
        }
        let Ok(theirs) = open_file_below(&self.work, path) else {
            return Ok(None);
        };
        let ours = match open_file_below(&self.project, path) {
            Ok(ours) => ours,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.read_error((path.to_owned(), errno))),
        };
        let same = same_contents(ours.into(), theirs.into(), self.stop).map_err(|source| {
            SyncError::Read {
                path: self.project_path.join(path),
                source,
            }
        })?;
        let put = Put {
            source: source.settled(self.now),
            copy: copy.settled(self.now),
            kind: 'f',
        };
        Ok(same.then_some(put))
    }

    /// Writes down what is about to be put there, before it is.
    fn promise(&self, todo: &[(PathBuf, Found)]) -> Result<(), SyncError> {
        let mut ledger = self.old.clone();
        for (path, found) in todo {
            ledger.insert(path.clone(), still(found.letter()));
        }
        ledger::save(&self.ledger_path, &ledger).map_err(|e| self.write_error(Path::new(""), e))
    }

    fn put(&mut self, path: PathBuf, found: Found) -> Result<(), SyncError> {
        let kind = found.letter();
        data::go_on(self.stop).map_err(|error| self.write_error(&path, error))?;
        let put = match &found {
            Found::Dir => self.make_folder(&path).map(|()| Some(still(kind))),
            Found::Link(target) => self.make_link(&path, target).map(|()| Some(still(kind))),
            Found::File(_) => self.copy(&path),
        };
        // What went while we looked at it is as good as never seen; the next sync removes it.
        let put = put
            .map_err(|error| self.write_error(&path, error))?
            .unwrap_or(still(kind));
        if kind != 'd' {
            let list = if self.old.contains_key(&path) {
                &mut self.changes.changed
            } else {
                &mut self.changes.added
            };
            list.push(path.clone());
        }
        self.new.insert(path, put);
        Ok(())
    }

    fn parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if let Some((last, fd)) = &self.last_parent
            && last == parent
        {
            return fd.try_clone();
        }
        let fd = open_folder_below(&self.work, parent)?;
        self.last_parent = Some((parent.to_owned(), fd.try_clone()?));
        Ok(fd)
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        let parent = self.parent(path)?;
        let name = name_of(path);
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is(&stat, FileType::Directory) => return Ok(()),
            Ok(_) => unlinkat(&parent, name, AtFlags::empty())?,
            Err(_) => {}
        }
        mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
        let folder = openat(&parent, name, FOLDER, Mode::empty())?;
        // Whatever the caller's umask.
        fchmod(&folder, Mode::from_raw_mode(0o755))?;
        match self.owner {
            Some(owner) => Ok(give(folder, owner)?),
            None => Ok(()),
        }
    }

    fn make_link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let parent = self.parent(path)?;
        clear(&parent, name_of(path))?;
        symlinkat(target, &parent, name_of(path))?;
        if let Some(owner) = self.owner {
            let (user, group) = (Uid::from_raw(owner), Gid::from_raw(owner));
            rustix::fs::chownat(
                &parent,
                name_of(path),
                Some(user),
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
        }
        Ok(())
    }

    /// Copies one file by way of a spare one, so that a reader sees the old or the new one whole.
    fn copy(&mut self, path: &Path) -> io::Result<Option<Put>> {
        let source = match open_file_below(&self.project, path) {
            Ok(source) => source,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let stamp = Stamp::from(&fstat(&source)?);
        let (from, spare) = (File::from(source), self.spare()?);
        data::copy(&from, &spare, self.stop)?;
        fchmod(&spare, Mode::from_raw_mode(wanted_mode(stamp.mode)))?;
        if let Some(owner) = self.owner {
            give(&spare, owner)?;
        }
        if self.before.is_none_or(|before| stamp.mtime > before) {
            futimens(&spare, &times(stamp.mtime))?;
        }
        let parent = self.parent(path)?;
        if renameat(CWD, &self.spare_path, &parent, name_of(path)).is_err() {
            clear(&parent, name_of(path))?;
            renameat(CWD, &self.spare_path, &parent, name_of(path))?;
        }
        let after = Stamp::from(&fstat(&from)?);
        let settled = if after == stamp {
            stamp.settled(self.now)
        } else {
            Stamp::DOUBT
        };
        Ok(Some(Put {
            source: settled,
            copy: Stamp::from(&fstat(&spare)?),
            kind: 'f',
        }))
    }

    fn spare(&self) -> io::Result<File> {
        own::fresh_file(&self.spare_path)
    }

    /// Removes what came from the sources and is no longer there. A folder stays while the build
    /// has something in it.
    fn remove(&mut self, path: PathBuf, put: Put) -> Result<(), SyncError> {
        let Ok(parent) = self.parent(&path) else {
            return Ok(());
        };
        let name = name_of(&path);
        let flags = if put.kind == 'd' {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match unlinkat(&parent, name, flags) {
            Ok(()) if put.kind == 'd' => self.last_parent = None,
            Ok(()) => self.changes.removed.push(path),
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::ISDIR) => {}
            Err(errno) => return Err(self.write_error(&path, errno.into())),
        }
        Ok(())
    }

    fn read_error(&self, (path, errno): Failed) -> SyncError {
        SyncError::Read {
            path: self.project_path.join(path),
            source: errno.into(),
        }
    }

    fn write_error(&self, path: &Path, source: io::Error) -> SyncError {
        SyncError::Write {
            path: self.work_path.join(path),
            source,
        }
    }
}

impl Found {
    fn letter(&self) -> char {
        match self {
            Self::Dir => 'd',
            Self::File(_) => 'f',
            Self::Link(_) => 'l',
        }
    }
}

fn still(kind: char) -> Put {
    Put {
        source: Stamp::DOUBT,
        copy: Stamp::DOUBT,
        kind,
    }
}
