//! Makes an immutable tree of what a build left: files by their content, trees by theirs.
//!
//! A store is a folder with `objects/` (each file once, by SHA-256, read-only), `trees/` (each tree
//! once, made of hard links to objects), `index/` (what was hashed before) and `tmp/`. A tree
//! appears by one rename, whole or not at all; whatever a kill leaves in `tmp/` is swept by the next
//! one who takes the lock.

use super::ledger::{self, Ledger, Record};
use super::scan::{self, Found, Scan, open_file_below, open_root};
use super::skip::Policy;
use super::stamp::Stamp;
use super::store::{Store, make_folder, place};
use super::sync::Note;
use crate::paths::PathMap;
use crate::{data, own, shown};
use rustix::fs::fstat;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A tree that stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// SHA-256 over all paths, kinds, rights to execute, contents and link targets, in hex.
    pub hash: String,
    /// Where the tree stands: `STORE/trees/HASH`.
    pub path: PathBuf,
    /// Files in it.
    pub files: u64,
    /// Their bytes together.
    pub size_bytes: u64,
    /// Bytes that the store did not have before.
    pub new_bytes: u64,
    /// Whether the store had the whole tree already.
    pub known: bool,
    /// Those of `keep` that the build did not leave.
    pub missing: Vec<PathBuf>,
    /// What was passed over, and why.
    pub notes: Vec<Note>,
}

/// Why a tree could not be made. The store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// What the build left cannot be read.
    #[error("cannot read {}", shown::path(path))]
    Read {
        /// Which part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file changed each time that it was read.
    #[error("{} is still being written", shown::path(path))]
    Unsteady {
        /// Which.
        path: PathBuf,
    },
    /// The store cannot be written.
    #[error("cannot write {}", shown::path(path))]
    Store {
        /// Which part.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was told to.
    #[error("the making of the release was stopped")]
    Stopped,
}

/// A content hash in hex.
type Hash = String;

/// What was hashed before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    stamp: Stamp,
    hash: Hash,
}

impl Record for Known {
    const MAGIC: &'static str = "toft hashed 1";

    fn write(&self, out: &mut String) {
        self.stamp.write(out);
        out.push_str(&self.hash);
    }

    fn read<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Self> {
        let stamp = Stamp::read(fields)?;
        let hash = fields.next().filter(|hash| is_hash(hash))?.to_owned();
        Some(Self { stamp, hash })
    }
}

pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// One entry of a tree.
enum Entry {
    Dir,
    Link(PathBuf),
    File { hash: Hash, executable: bool },
}

/// Makes a tree of `work` in `store`, or finds that it is there already.
///
/// Caches (`CACHEDIR.TAG`) and version control stay out, except for the files named by `keep`,
/// relative to `work`. All files become readable by everybody and writable by nobody; of the rights
/// only that to execute counts. Files whose stamps are as before are not read again.
///
/// With `durable`, what was written has reached the disk before the tree appears; without it, a
/// power cut (not a kill) soon after may leave a tree of empty files.
pub fn collect(
    work: &Path,
    store: &Path,
    keep: &[PathBuf],
    durable: bool,
) -> Result<Collected, CollectError> {
    collect_until(work, store, keep, durable, &AtomicBool::new(false))
}

/// As [`collect`], ending soon with [`CollectError::Stopped`] once `stop` is set, in the middle of a
/// long file too.
pub fn collect_until(
    work: &Path,
    store: &Path,
    keep: &[PathBuf],
    durable: bool,
    stop: &AtomicBool,
) -> Result<Collected, CollectError> {
    match collect_now(work, store, keep, durable, stop) {
        Err(_) if stop.load(Ordering::Relaxed) => Err(CollectError::Stopped),
        done => done,
    }
}

fn collect_now(
    work: &Path,
    store: &Path,
    keep: &[PathBuf],
    durable: bool,
    stop: &AtomicBool,
) -> Result<Collected, CollectError> {
    let store = Store::open(store)?;
    let mut collecting = Collecting::open(&store, work, stop)?;
    collecting.scan()?;
    collecting.keep(keep);
    let hash = collecting.tree_hash();
    let path = store.path.join("trees").join(&hash);
    let known = path.exists();
    if !known {
        collecting.build(&hash, durable)?;
    }
    collecting.remember()?;
    Ok(Collected {
        hash,
        path,
        known,
        ..collecting.result
    })
}

struct Collecting<'a> {
    stop: &'a AtomicBool,
    store: &'a Store,
    work_path: PathBuf,
    work: OwnedFd,
    index_path: PathBuf,
    old: Ledger<Known>,
    new: Ledger<Known>,
    entries: PathMap<Entry>,
    result: Collected,
}

impl<'a> Collecting<'a> {
    fn open(store: &'a Store, work: &Path, stop: &'a AtomicBool) -> Result<Self, CollectError> {
        let reading = |source| CollectError::Read {
            path: work.to_owned(),
            source,
        };
        let work_path = work.canonicalize().map_err(reading)?;
        let name = hex(&Sha256::digest(work_path.as_os_str().as_bytes()));
        let index_path = store.path.join("index").join(&name[..32]);
        Ok(Self {
            stop,
            store,
            work: open_root(&work_path).map_err(|e| reading(e.into()))?,
            work_path,
            old: ledger::load(&index_path),
            new: Ledger::default(),
            index_path,
            entries: PathMap::default(),
            result: Collected {
                hash: String::new(),
                path: PathBuf::new(),
                files: 0,
                size_bytes: 0,
                new_bytes: 0,
                known: false,
                missing: Vec::new(),
                notes: Vec::new(),
            },
        })
    }

    fn scan(&mut self) -> Result<(), CollectError> {
        let scan = Scan::run(&self.work, Policy::Release, self.stop)
            .map_err(|(path, errno)| self.read_error(&path, errno.into()))?;
        for (path, odd) in scan.odd {
            let why = odd.words();
            self.result.notes.push(Note { path, why });
        }
        for (path, found) in scan.entries {
            let entry = match found {
                Found::Dir => Entry::Dir,
                Found::Link(target) => Entry::Link(target),
                Found::File(stamp) => match self.hash(&path, stamp)? {
                    Some(entry) => entry,
                    None => continue,
                },
            };
            self.entries.insert(path, entry);
        }
        Ok(())
    }

    /// The hash of a file, from the index or by reading it; `None` when it has gone.
    fn hash(&mut self, path: &Path, stamp: Stamp) -> Result<Option<Entry>, CollectError> {
        let (hash, stamp) = match self.old.get(path).filter(|known| known.stamp == stamp) {
            Some(known) => (known.hash.clone(), stamp),
            None => match self.read_hash(path)? {
                Some(read) => read,
                None => return Ok(None),
            },
        };
        self.result.files += 1;
        self.result.size_bytes += stamp.size;
        let executable = stamp.is_executable();
        self.new.insert(
            path.to_owned(),
            Known {
                stamp: stamp.settled(self.store.now),
                hash: hash.clone(),
            },
        );
        Ok(Some(Entry::File { hash, executable }))
    }

    fn read_hash(&self, path: &Path) -> Result<Option<(Hash, Stamp)>, CollectError> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let file = match open_file_below(&self.work, path) {
                Ok(file) => File::from(file),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(self.read_error(path, errno.into())),
            };
            let read = hash_steady(&file, None, self.stop).map_err(|e| self.read_error(path, e))?;
            if read.is_some() {
                return Ok(read);
            }
        }
        Err(CollectError::Unsteady {
            path: self.work_path.join(path),
        })
    }

    /// Adds the files that are wanted although they lie in a cache.
    fn keep(&mut self, keep: &[PathBuf]) {
        for path in keep {
            let path: PathBuf = path
                .components()
                .filter(|c| *c != std::path::Component::CurDir)
                .collect();
            if self.entries.contains_key(&path) {
                continue;
            }
            let stat = scan::open_file_below(&self.work, &path).and_then(|file| fstat(&file));
            let found = match stat {
                Ok(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() => {
                    self.hash(&path, Stamp::from(&stat)).ok().flatten()
                }
                _ => None,
            };
            let Some(entry) = found else {
                self.result.missing.push(path);
                continue;
            };
            for parent in path
                .ancestors()
                .skip(1)
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                self.entries.insert_new(parent.to_owned(), Entry::Dir);
            }
            self.entries.insert(path, entry);
        }
    }

    fn tree_hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(b"toft tree 1\0");
        for (path, entry) in self.entries.iter() {
            let (kind, what): (&[u8], &[u8]) = match entry {
                Entry::Dir => (b"d", b""),
                Entry::Link(target) => (b"l", target.as_os_str().as_bytes()),
                Entry::File {
                    hash,
                    executable: false,
                } => (b"f", hash.as_bytes()),
                Entry::File {
                    hash,
                    executable: true,
                } => (b"x", hash.as_bytes()),
            };
            for part in [kind, path.as_os_str().as_bytes(), what] {
                hasher.update(part);
                hasher.update(b"\0");
            }
        }
        hex(&hasher.finalize())
    }

    /// Makes the tree aside and lets it appear.
    fn build(&mut self, hash: &str, durable: bool) -> Result<(), CollectError> {
        let aside = self.store.path.join("tmp").join(hash);
        make_folder(&aside).map_err(|e| self.store.failed(&aside, e))?;
        let entries = std::mem::take(&mut self.entries);
        for (path, entry) in entries.iter() {
            data::go_on(self.stop).map_err(|e| self.read_error(path, e))?;
            let target = aside.join(path);
            let made = match entry {
                Entry::Dir => make_folder(&target),
                Entry::Link(to) => std::os::unix::fs::symlink(to, &target),
                Entry::File { hash, executable } => {
                    self.link(path, hash, *executable, &target)?;
                    Ok(())
                }
            };
            made.map_err(|e| self.store.failed(&target, e))?;
        }
        if durable {
            let synced = File::open(&aside).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
            synced.map_err(|e| self.store.failed(&aside, e))?;
        }
        let path = self.store.path.join("trees").join(hash);
        std::fs::rename(&aside, &path).map_err(|e| self.store.failed(&path, e))
    }

    fn link(
        &mut self,
        path: &Path,
        hash: &str,
        executable: bool,
        target: &Path,
    ) -> Result<(), CollectError> {
        let object = self.store.object(hash, executable);
        match std::fs::hard_link(&object, target) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.add_object(path, hash, &object)?
            }
            // No file may have more names (ext4: 65,000): a fresh copy takes the object's place.
            Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
                self.store
                    .renew(&object)
                    .map_err(|e| self.store.failed(&object, e))?;
            }
            Err(error) => return Err(self.store.failed(target, error)),
        }
        std::fs::hard_link(&object, target).map_err(|e| self.store.failed(target, e))
    }

    fn add_object(&mut self, path: &Path, hash: &str, object: &Path) -> Result<(), CollectError> {
        let spare = self.store.path.join("tmp/object");
        let fail = |error| self.store.failed(object, error);
        let source =
            open_file_below(&self.work, path).map_err(|e| self.read_error(path, e.into()))?;
        let to = own::fresh_file(&spare).map_err(fail)?;
        let copied = hash_steady(&File::from(source), Some(&to), self.stop).map_err(fail)?;
        // It was hashed a moment ago; what is copied now must be the same.
        let Some((_, stamp)) = copied.filter(|(copied, _)| copied == hash) else {
            return Err(CollectError::Unsteady {
                path: self.work_path.join(path),
            });
        };
        self.result.new_bytes += stamp.size;
        let mode = if stamp.is_executable() { 0o555 } else { 0o444 };
        place(&to, &spare, object, mode).map_err(|error| self.store.failed(object, error))
    }

    fn remember(&self) -> Result<(), CollectError> {
        if self.old == self.new {
            return Ok(());
        }
        ledger::save(&self.index_path, &self.new)
            .map_err(|e| self.store.failed(&self.index_path, e))
    }

    fn read_error(&self, path: &Path, source: io::Error) -> CollectError {
        CollectError::Read {
            path: self.work_path.join(path),
            source,
        }
    }
}

/// Hashes a file, and copies it with its holes; `None` when it changed meanwhile.
fn hash_steady(
    mut file: &File,
    to: Option<&File>,
    stop: &AtomicBool,
) -> io::Result<Option<(Hash, Stamp)>> {
    let before = Stamp::from(&fstat(file)?);
    let sparse = data::is_sparse(file)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![
        0;
        usize::try_from(before.size)
            .unwrap_or(usize::MAX)
            .clamp(1, 256 << 10)
    ];
    loop {
        data::go_on(stop)?;
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        match to {
            Some(to) if sparse => data::write_sparse(to, &buffer[..count])?,
            Some(mut to) => to.write_all(&buffer[..count])?,
            None => {}
        }
    }
    if let Some(to) = to.filter(|_| sparse) {
        to.set_len(before.size)?;
    }
    let steady = Stamp::from(&fstat(file)?) == before;
    Ok(steady.then(|| (hex(&hasher.finalize()), before)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}
