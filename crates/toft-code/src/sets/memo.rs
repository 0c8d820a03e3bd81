//! Remembers what sets came to, for one who asks again at each save.

use super::{Host, Request, Resolved, SetError, resolve};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the machine changes when something is installed, upgraded or removed.
const RECORDS: [&str; 5] = [
    "/var/lib/dpkg/status",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/usr/bin",
    "/usr/local/bin",
];
/// Answers that are kept; one more begins anew.
const KEPT_MAX: usize = 64;

/// Answers of [`resolve`], each for as long as the machine's records and the programs are as they
/// were. Every other change of the machine is seen by the next one who starts with an empty memory.
#[derive(Debug, Default)]
pub struct Memo {
    known: HashMap<Question, Resolved>,
}

/// Everything on which an answer depends.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Question {
    uses: Vec<String>,
    mountpoints: Vec<(PathBuf, bool)>,
    state: PathBuf,
    folder: PathBuf,
    files: Vec<(PathBuf, Option<[i64; 5]>)>,
}

impl Question {
    fn new(host: &Host, request: &Request<'_>, state: &Path) -> Self {
        let toolchain =
            ["rust-toolchain.toml", "rust-toolchain"].map(|name| host.folder.join(name));
        let records = RECORDS.iter().map(PathBuf::from);
        let files = records
            .chain(toolchain)
            .chain(request.programs.iter().cloned());
        Self {
            uses: request.uses.to_vec(),
            mountpoints: request.mountpoints.to_vec(),
            state: state.to_owned(),
            folder: host.folder.clone(),
            files: files.map(stamped).collect(),
        }
    }
}

fn stamped(file: PathBuf) -> (PathBuf, Option<[i64; 5]>) {
    let stamp = stamp(&file);
    (file, stamp)
}

fn stamp(file: &Path) -> Option<[i64; 5]> {
    let data = std::fs::metadata(file).ok()?;
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    Some([
        number(data.ino()),
        number(data.size()),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime_nsec(),
    ])
}

impl Memo {
    /// As [`resolve`], from memory where that is safe.
    pub fn resolve(
        &mut self,
        host: &Host,
        request: &Request<'_>,
        state: &Path,
    ) -> Result<Resolved, SetError> {
        let question = Question::new(host, request, state);
        if let Some(known) = self.known.get(&question)
            && known
                .tree
                .as_ref()
                .is_none_or(|key| state.join("sets").join(key).is_dir())
        {
            return Ok(known.clone());
        }
        let resolved = resolve(host, request, state)?;
        if self.known.len() >= KEPT_MAX {
            self.known.clear();
        }
        self.known.insert(question, resolved.clone());
        Ok(resolved)
    }
}
