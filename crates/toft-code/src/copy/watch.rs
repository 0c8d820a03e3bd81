//! Says that something in the sources changed, by inotify.
//!
//! What is watched is what [`sync()`](super::sync::sync) would copy. The kernel's queue is only a
//! hint: the sync that follows looks at everything itself, so that a lost event costs nothing but
//! the time until the next one, and an overflow counts as a change.
//!
//! A file that is open for writing is seen when it is closed, not at each step of a save: an editor
//! or a shell that empties it first and writes it a moment later has made one change. A writer that
//! never closes its file is not seen.

use super::scan::{names, open_root};
use super::skip::{PACKAGE, Policy, TAG, is_modules};
use crate::shown;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const MASK: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);

/// Paths that one [`Seen`] names; more are only counted as a change.
const NAMED_MAX: usize = 16;

/// Why a folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The kernel has no room for another watch.
    #[error(
        "the kernel watches no more folders for this user: fs.inotify.max_user_watches or max_user_instances is reached"
    )]
    NoRoom,
    /// Something else.
    #[error("cannot watch {}", shown::path(path))]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl WatchError {
    /// The command that helps, where there is one.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            Self::NoRoom => Some(
                "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512",
            ),
            Self::Folder { .. } => None,
        }
    }
}

/// What happened since the last look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Something changed that a sync would see.
    pub changed: bool,
    /// A few of the paths, relative to the folder, for people.
    pub paths: BTreeSet<PathBuf>,
    /// The folder itself is gone or was moved; nothing more will be seen.
    pub gone: bool,
}

/// Watches a folder of sources. Its descriptor is readable when there is something to drain.
#[derive(Debug)]
pub struct Watcher {
    queue: OwnedFd,
    root: PathBuf,
    /// Watch to folder, relative to the root, and back.
    folders: HashMap<i32, PathBuf>,
    watches: HashMap<PathBuf, i32>,
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// One event, out of the kernel's buffer.
struct Event {
    watch: i32,
    flags: ReadFlags,
    name: Option<PathBuf>,
}

impl Watcher {
    /// Begins to watch. What changes from now on is seen.
    pub fn new(project: &Path) -> Result<Self, WatchError> {
        let failed = |source| WatchError::Folder {
            path: project.to_owned(),
            source,
        };
        let root = project.canonicalize().map_err(failed)?;
        let queue = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(queue) => queue,
            Err(Errno::MFILE) => return Err(WatchError::NoRoom),
            Err(errno) => return Err(failed(errno.into())),
        };
        let mut watcher = Self {
            queue,
            root,
            folders: HashMap::new(),
            watches: HashMap::new(),
        };
        watcher.add(Path::new(""))?;
        Ok(watcher)
    }

    /// How many folders are watched.
    pub fn len(&self) -> usize {
        self.folders.len()
    }

    /// Whether nothing is watched any more.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    /// Takes what the kernel has; never waits. How long to wait for more is the caller's to say.
    pub fn drain(&mut self) -> Result<Seen, WatchError> {
        let mut seen = Seen::default();
        for event in self.read()? {
            self.take(event, &mut seen)?;
        }
        Ok(seen)
    }

    fn read(&self) -> Result<Vec<Event>, WatchError> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.queue, &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => events.push(Event {
                    watch: event.wd(),
                    flags: event.events(),
                    name: event
                        .file_name()
                        .map(|name| OsStr::from_bytes(name.to_bytes()).into()),
                }),
                Err(Errno::AGAIN) => return Ok(events),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(WatchError::Folder {
                        path: self.root.clone(),
                        source: errno.into(),
                    });
                }
            }
        }
    }

    fn take(&mut self, event: Event, seen: &mut Seen) -> Result<(), WatchError> {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            seen.changed = true;
            return self.add(Path::new(""));
        }
        if event.flags.contains(ReadFlags::IGNORED) {
            self.forget(event.watch);
            return Ok(());
        }
        let Some(folder) = self.folders.get(&event.watch).cloned() else {
            return Ok(());
        };
        let Some(name) = event.name else {
            let ends = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
            seen.gone |= folder.as_os_str().is_empty() && event.flags.intersects(ends);
            return Ok(());
        };
        let path = folder.join(&name);
        if event.flags.contains(ReadFlags::ISDIR) {
            return self.take_folder(&path, name.as_os_str(), event.flags, seen);
        }
        if name.as_os_str() == TAG && !folder.as_os_str().is_empty() {
            // What turned out to be a cache, or is none any more.
            self.remove(&folder);
            self.add(&folder)?;
        }
        if name.as_os_str() == PACKAGE {
            // What lies beside it may be code now, or be none any more.
            self.remove(&folder.join("node_modules"));
            self.add(&folder)?;
        }
        let opened = event.flags.contains(ReadFlags::CREATE) && self.will_be_closed(&path);
        if !opened && !Policy::Sources.skips_file(name.as_os_str()) {
            seen.note(path);
        }
        Ok(())
    }

    fn take_folder(
        &mut self,
        path: &Path,
        name: &OsStr,
        flags: ReadFlags,
        seen: &mut Seen,
    ) -> Result<(), WatchError> {
        if Policy::Sources.skips_folder(name) || self.is_installed(path, name) {
            return Ok(());
        }
        if flags.contains(ReadFlags::MOVED_FROM) {
            self.remove(path);
        }
        if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            self.add(path)?;
        }
        if !flags.contains(ReadFlags::ATTRIB) {
            seen.note(path.to_owned());
        }
        Ok(())
    }

    fn is_installed(&self, path: &Path, name: &OsStr) -> bool {
        is_modules(name)
            && open_folder(&self.root.join(path.parent().unwrap_or(path)))
                .is_ok_and(|parent| Policy::Sources.skips_installed(name, parent))
    }

    /// Whether a new file is one that somebody is writing: it is seen again when that is done.
    fn will_be_closed(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        std::fs::symlink_metadata(self.root.join(path))
            .is_ok_and(|data| data.is_file() && data.nlink() == 1)
    }

    /// Watches a folder and all below it. What is already watched stays so.
    fn add(&mut self, path: &Path) -> Result<(), WatchError> {
        let full = self.root.join(path);
        let watch = match inotify::add_watch(&self.queue, &full, MASK) {
            Ok(watch) => watch,
            Err(Errno::NOSPC) => return Err(WatchError::NoRoom),
            // It went again, or became something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP)
                if !path.as_os_str().is_empty() =>
            {
                return Ok(());
            }
            Err(errno) => {
                return Err(WatchError::Folder {
                    path: full,
                    source: errno.into(),
                });
            }
        };
        // The watch stands before the names are read, so that nothing falls between the two.
        let folder = if path.as_os_str().is_empty() {
            open_root(&full)
        } else {
            open_folder(&full)
        };
        let listed = folder.and_then(|folder| names(&folder).map(|names| (folder, names)));
        let Ok((folder, names)) = listed else {
            self.unwatch(watch);
            return Ok(());
        };
        if !path.as_os_str().is_empty() && is_left_out(&folder, &names) {
            // One file stays of interest, the tag itself, but not at the price of all the others.
            self.unwatch(watch);
            return Ok(());
        }
        if let Some(old) = self.folders.insert(watch, path.to_owned())
            && old != path
        {
            self.watches.remove(&old);
        }
        self.watches.insert(path.to_owned(), watch);
        for name in &names {
            if Policy::Sources.skips_folder(name) || Policy::Sources.skips_installed(name, &folder)
            {
                continue;
            }
            let stat = rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
            if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()) {
                self.add(&path.join(name))?;
            }
        }
        Ok(())
    }

    /// Stops watching a folder and all below it.
    fn remove(&mut self, path: &Path) {
        let below: Vec<i32> = self
            .watches
            .iter()
            .filter(|(folder, _)| folder.starts_with(path))
            .map(|(_, watch)| *watch)
            .collect();
        for watch in below {
            self.unwatch(watch);
            self.forget(watch);
        }
    }

    fn unwatch(&self, watch: i32) {
        // A watch that ended by itself cannot be removed, and need not be.
        let _ = inotify::remove_watch(&self.queue, watch);
    }

    fn forget(&mut self, watch: i32) {
        if let Some(folder) = self.folders.remove(&watch)
            && self.watches.get(&folder) == Some(&watch)
        {
            self.watches.remove(&folder);
        }
    }
}

impl Seen {
    fn note(&mut self, path: PathBuf) {
        self.changed = true;
        if self.paths.len() < NAMED_MAX {
            self.paths.insert(path);
        }
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(rustix::fs::CWD, path, flags, Mode::empty())
}

/// Whether a folder is left out for what it holds.
fn is_left_out(folder: &OwnedFd, names: &[std::ffi::OsString]) -> bool {
    Policy::Sources.skips_environment(names) || Policy::Sources.skips_cache(folder, names)
}
