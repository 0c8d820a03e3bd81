//! Copies of the machine's files, each once in a state folder.
//!
//! They are copies and no hard links: who changes rights or owners of all that lies in a project,
//! its state included, must not change the machine's own programs by that. Trees are made of hard
//! links among the copies, so that a second one costs names only.

use super::tree::Broken;
use crate::copy::collect::hex;
use crate::{data, own};
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, fchmod, flock, futimens};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// More bytes than this are not copied where the file system cannot share them.
const COPY_MAX: u64 = 1 << 30;
/// What is left free on the disk.
const SPARE: u64 = 256 << 20;
/// Copying waits for the disk as much as for the processor.
const THREADS: usize = 2;

/// What a file of the machine is known by: another one, or a changed one, is not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: i64,
    rest: i64,
    mode: u32,
}

impl Identity {
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        std::fs::metadata(file).map(|data| Self::from(&data))
    }

    pub(super) fn words(&self) -> String {
        let Self {
            dev,
            ino,
            size,
            mtime,
            rest,
            mode,
        } = self;
        format!("{dev} {ino} {size} {mtime} {rest} {mode}")
    }

    /// The name of its copy.
    fn name(&self) -> String {
        let mut name = hex(&Sha256::digest(self.words().as_bytes()));
        name.truncate(32);
        name
    }

    /// The rights of its copy: what would give more rights to who runs it is nothing that a sandbox
    /// honours.
    fn rights(&self) -> u32 {
        self.mode & 0o777
    }

    /// Whether a file is the copy, whole and unchanged since.
    pub(super) fn is_copied_to(&self, copy: &Path) -> bool {
        std::fs::symlink_metadata(copy).is_ok_and(|data| {
            data.is_file()
                && (data.len(), data.mtime(), data.mtime_nsec())
                    == (self.size, self.mtime, self.rest)
                && data.mode() & 0o7777 == self.rights()
        })
    }
}

impl From<&Metadata> for Identity {
    fn from(data: &Metadata) -> Self {
        Self {
            dev: data.dev(),
            ino: data.ino(),
            size: data.size(),
            mtime: data.mtime(),
            rest: data.mtime_nsec(),
            mode: data.mode(),
        }
    }
}

/// The folder `sets` of a state folder, held by one process at a time: `files/` has the copies,
/// `tmp/` what is being made, everything else is a tree.
pub(super) struct Pool {
    files: PathBuf,
    pub(super) tmp: PathBuf,
    /// The file system can let two files share their data.
    shares: AtomicBool,
    _lock: OwnedFd,
}

/// A file that is to be copied.
struct Job<'a> {
    from: &'a Path,
    identity: Identity,
    to: PathBuf,
}

impl Pool {
    /// Takes hold of the folder and sweeps away what a kill left.
    pub(super) fn open(sets: &Path) -> Result<Self, Broken> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| Broken::Write(path, error)
        };
        own::folder(sets).map_err(at(sets))?;
        // Old programs live on here after an upgrade: nobody else is to reach them.
        std::fs::set_permissions(sets, PermissionsExt::from_mode(0o700)).map_err(at(sets))?;
        let lock = lock(sets).map_err(at(sets))?;
        let (files, tmp) = (sets.join("files"), sets.join("tmp"));
        own::folder(&files).map_err(at(&files))?;
        clear(&tmp)
            .and_then(|()| std::fs::create_dir(&tmp))
            .map_err(at(&tmp))?;
        Ok(Self {
            files,
            tmp,
            shares: AtomicBool::new(true),
            _lock: lock,
        })
    }

    /// Makes copies of all these files, where there are none yet.
    pub(super) fn copies(&self, files: &[(&Path, Identity)]) -> Result<(), Broken> {
        let mut jobs = BTreeMap::new();
        for (from, identity) in files {
            jobs.entry(identity.name()).or_insert((*from, *identity));
        }
        let jobs: Vec<Job<'_>> = jobs
            .into_iter()
            .map(|(name, (from, identity))| Job {
                from,
                identity,
                to: self.files.join(name),
            })
            .filter(|job| !job.identity.is_copied_to(&job.to))
            .collect();
        self.has_room(&jobs)?;
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), Broken> {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.copy(job)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..THREADS).map(|_| scope.spawn(work)).collect();
            let mine = work();
            let joined = others.into_iter().map(|other| {
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.fold(mine, Result::and)
        })
    }

    /// Gives a copy one more name.
    pub(super) fn link(&self, from: &Path, identity: Identity, to: &Path) -> Result<(), Broken> {
        let copy = self.files.join(identity.name());
        let linked = match std::fs::hard_link(&copy, to) {
            // No file may have more names (ext4: 65,000): a fresh copy takes its place.
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
                self.copy(&Job {
                    from,
                    identity,
                    to: copy.clone(),
                })?;
                std::fs::hard_link(&copy, to)
            }
            other => other,
        };
        linked.map_err(|error| Broken::Write(to.to_owned(), error))
    }

    fn copy(&self, job: &Job<'_>) -> Result<(), Broken> {
        let from =
            File::open(job.from).map_err(|error| Broken::Read(job.from.to_owned(), error))?;
        self.fill(&from, &job.to, job.identity)
            .map_err(|error| match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Broken::Room("there is no room on the disk for a copy of only that".to_owned())
                }
                _ => Broken::Write(job.to.clone(), error),
            })
    }

    /// A copy gets its name at once, since it is taken for one only with its times, which come last.
    fn fill(&self, from: &File, to: &Path, identity: Identity) -> io::Result<()> {
        let to = own::fresh_file(to)?;
        if !self.share(from, &to) {
            data::copy(from, &to, &AtomicBool::new(false))?;
        }
        fchmod(&to, Mode::from_raw_mode(identity.rights()))?;
        let time = Timespec {
            tv_sec: identity.mtime,
            tv_nsec: identity.rest,
        };
        futimens(
            &to,
            &Timestamps {
                last_access: time,
                last_modification: time,
            },
        )?;
        Ok(())
    }

    /// Lets `to` share the data of `from`, where the file system can.
    fn share(&self, from: &File, to: &File) -> bool {
        if !self.shares.load(Ordering::Relaxed) {
            return false;
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => true,
            Err(errno) => {
                if matches!(errno, Errno::OPNOTSUPP | Errno::XDEV | Errno::NOTTY) {
                    self.shares.store(false, Ordering::Relaxed);
                }
                false
            }
        }
    }

    /// Whether the copies may take what they would take.
    fn has_room(&self, jobs: &[Job<'_>]) -> Result<(), Broken> {
        let cost: u64 = jobs.iter().map(|job| job.identity.size).sum();
        let disk = rustix::fs::statvfs(&self.tmp)
            .map_err(|errno| Broken::Write(self.tmp.clone(), errno.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let why = if cost > COPY_MAX {
            format!("a copy of only that would take {} MiB", cost >> 20)
        } else if cost.saturating_add(SPARE) > free {
            format!(
                "there is no room on the disk for a copy of only that, {} MiB",
                (cost >> 20) + 1
            )
        } else {
            return Ok(());
        };
        let largest = jobs.iter().max_by_key(|job| job.identity.size);
        let probe = || {
            let from = File::open(largest?.from).ok()?;
            let to = own::fresh_file(&self.tmp.join("probe")).ok()?;
            Some(self.share(&from, &to))
        };
        match probe() {
            Some(true) => Ok(()),
            _ => Err(Broken::Room(why)),
        }
    }
}

fn lock(sets: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(sets, flags, Mode::empty())?;
    flock(&folder, FlockOperation::LockExclusive)?;
    Ok(folder)
}

/// Removes a folder that may not be there.
fn clear(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes all cached trees but those with these keys, and what no tree needs any more. Those in
/// use have to be among them.
pub fn prune(state: &Path, keep: &[String]) -> io::Result<()> {
    let sets = state.join("sets");
    let _lock = match lock(&sets) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in std::fs::read_dir(&sets)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != "files" && !keep.iter().any(|key| name == key.as_str()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    let files = match std::fs::read_dir(sets.join("files")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in files {
        let entry = entry?;
        if entry.metadata()?.nlink() == 1 {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
