//! Fresh user ids for instances, when the keeper is root.
//!
//! Ids come in blocks from a range of Toft's own. A keeper claims a block by a lock on one byte of
//! a file that all keepers of the machine share; the lock ends with the keeper, however it ends.

use crate::system;
use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toft_model::instance::Refusal;

/// The first id of the range: high enough to be nobody's, below 2³¹ for programs that count signed.
const FIRST: u32 = 1_879_048_192;
/// Ids in the range.
const COUNT: u32 = 65_536;
/// Ids in a block.
const BLOCK: u32 = 256;
const FOLDER: &str = "/run/toft";
const FILE: &str = "uids";

/// The ids of one keeper.
#[derive(Debug)]
pub(crate) struct Uids {
    lock: File,
    path: PathBuf,
    taken: Vec<Span>,
    blocks: Vec<u32>,
    /// The one that was free longest comes first.
    free: VecDeque<u32>,
}

/// Some ids: from, how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span(u32, u32);

impl Span {
    fn meets(self, other: Span) -> bool {
        let end = |span: Span| u64::from(span.0) + u64::from(span.1);
        u64::from(self.0) < end(other) && u64::from(other.0) < end(self)
    }
}

impl Uids {
    /// Claims a first block.
    pub(crate) fn claim() -> Result<Self, Refusal> {
        const TRIES: u32 = 64;
        let path = Path::new(FOLDER).join(FILE);
        let mut last = None;
        for _ in 0..TRIES {
            let lock = match open_shared(&path) {
                Ok(lock) => lock,
                // The last keeper before us took the folder away in this moment.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(refusal(&path, &error.to_string())),
            };
            let mut uids = Self {
                lock,
                path: path.clone(),
                taken: taken_ids(),
                blocks: Vec::new(),
                free: VecDeque::new(),
            };
            let claimed = uids.claim_block();
            // The last keeper before us may have taken the file away since it was opened; then our
            // lock is on a file that nobody else will ever see.
            if !is_named(&uids.lock, &path) {
                uids.blocks.clear();
                continue;
            }
            match claimed {
                Ok(()) => return Ok(uids),
                // It may hold all of it just now, in order to take it away.
                Err(refusal) => last = Some(refusal),
            }
            std::thread::yield_now();
        }
        Err(last.unwrap_or_else(|| refusal(&path, "it is being replaced all the time")))
    }

    /// An id that no running instance has.
    pub(crate) fn take(&mut self) -> Result<u32, Refusal> {
        if self.free.is_empty() {
            self.claim_block()?;
        }
        self.free
            .pop_front()
            .ok_or_else(|| refusal(&self.path, "no user id is free"))
    }

    /// Gives it back, to be used again as late as possible.
    pub(crate) fn give_back(&mut self, uid: u32) {
        self.free.push_back(uid);
    }

    fn claim_block(&mut self) -> Result<(), Refusal> {
        for block in 0..COUNT / BLOCK {
            let span = Span(FIRST + block * BLOCK, BLOCK);
            if self.blocks.contains(&block) || self.taken.iter().any(|taken| taken.meets(span)) {
                continue;
            }
            let locked = system::lock_bytes(&self.lock, block, 1);
            if locked.map_err(|errno| refusal(&self.path, &errno.to_string()))? {
                self.blocks.push(block);
                self.free.extend(span.0..span.0 + span.1);
                return Ok(());
            }
        }
        let cause = format!("all ids from {FIRST} to {} are in use", FIRST + COUNT - 1);
        Err(refusal(&self.path, &cause))
    }
}

impl Drop for Uids {
    /// The last keeper takes the file and its folder along.
    fn drop(&mut self) {
        if self.blocks.is_empty() {
            return;
        }
        // Whoever opens the file in this moment sees that its name is gone, and starts over.
        if matches!(system::lock_bytes(&self.lock, 0, COUNT / BLOCK), Ok(true)) {
            let _ = std::fs::remove_file(&self.path);
            let _ = std::fs::remove_dir(FOLDER);
        }
    }
}

fn refusal(path: &Path, cause: &str) -> Refusal {
    Refusal {
        step: format!("claim user ids by {}", path.display()),
        cause: cause.to_owned(),
        cure: None,
    }
}

fn open_shared(path: &Path) -> std::io::Result<File> {
    match std::fs::create_dir(FOLDER) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

fn is_named(file: &File, path: &Path) -> bool {
    let identity = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => identity(ours) == identity(named),
        _ => false,
    }
}

/// Ids that the machine has given to somebody: passwd(5), group(5), subuid(5), subgid(5).
fn taken_ids() -> Vec<Span> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut taken = Vec::new();
    for path in ["/etc/passwd", "/etc/group"] {
        taken.extend(read(path).lines().filter_map(own_id));
    }
    for path in ["/etc/subuid", "/etc/subgid"] {
        taken.extend(read(path).lines().filter_map(given_span));
    }
    taken
}

/// `name:x:ID:…`
fn own_id(line: &str) -> Option<Span> {
    Some(Span(line.split(':').nth(2)?.parse().ok()?, 1))
}

/// `name:FIRST:COUNT`
fn given_span(line: &str) -> Option<Span> {
    let mut fields = line.split(':').skip(1);
    Some(Span(
        fields.next()?.parse().ok()?,
        fields.next()?.trim().parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_compared() {
        assert_eq!(own_id("root:x:0:0:root:/root:/bin/sh"), Some(Span(0, 1)));
        assert_eq!(given_span("ann:100000:65536"), Some(Span(100_000, 65_536)));
        assert_eq!(given_span("# nothing"), None);
        let block = Span(FIRST, BLOCK);
        assert!(block.meets(Span(FIRST + 255, 1)));
        assert!(!block.meets(Span(FIRST + 256, 1)));
        assert!(block.meets(Span(0, u32::MAX)));
        assert!(!block.meets(Span(100_000, 65_536)));
    }

    #[test]
    fn no_two_keepers_have_a_block_in_common() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: claiming user ids: needs root");
            return;
        }
        let held = std::sync::Mutex::new(std::collections::BTreeSet::new());
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..40 {
                        let mut uids = Uids::claim().unwrap();
                        let uid = uids.take().unwrap();
                        assert!(held.lock().unwrap().insert(uid), "{uid} twice");
                        std::thread::yield_now();
                        assert!(held.lock().unwrap().remove(&uid));
                    }
                });
            }
        });
    }
}
