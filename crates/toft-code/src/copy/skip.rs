//! What belongs to a working copy but not to its code.

use rustix::fs::{Mode, OFlags, openat};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// The file that marks a folder as a cache (<https://bford.info/cachedir/>).
pub(super) const TAG: &str = "CACHEDIR.TAG";
const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Folders that are left out by their name alone.
const FOLDERS: [&str; 7] = [
    ".git",
    ".hg",
    ".jj",
    ".svn",
    ".toft",
    "node_modules",
    "__pycache__",
];

/// Which of them a release leaves out too: what a build installs belongs to it.
const RELEASE_FOLDERS: [&str; 5] = [".git", ".hg", ".jj", ".svn", ".toft"];

/// Whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// What a person edits.
    Sources,
    /// What a build left.
    Release,
}

impl Policy {
    /// Whether a folder is left out for its name.
    pub(super) fn skips_folder(self, name: &OsStr) -> bool {
        let names: &[&str] = match self {
            Self::Sources => &FOLDERS,
            Self::Release => &RELEASE_FOLDERS,
        };
        names.iter().any(|other| name == *other)
    }

    /// Whether a file is left out for its name: what editors write for themselves.
    pub(super) fn skips_file(self, name: &OsStr) -> bool {
        self == Self::Sources && is_editors_own(name.as_bytes())
    }

    /// Whether a folder is left out for what it holds: a cache, or a Python environment, whose
    /// programs point at the place where it was made.
    pub(super) fn skips_contents(self, folder: impl AsFd, names: &[impl AsRef<OsStr>]) -> bool {
        let has = |file: &str| names.iter().any(|name| name.as_ref() == file);
        (self == Self::Sources && has("pyvenv.cfg")) || (has(TAG) && is_tag(folder))
    }
}

/// Swap files, backups and the probe file `4913` of Vim; locks and autosaves of Emacs; Kate's swap.
fn is_editors_own(name: &[u8]) -> bool {
    let swap = || {
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else {
            return false;
        };
        let end = &name[dot + 1..];
        name.starts_with(b".") && dot > 0 && end.len() == 3 && end.starts_with(b"sw")
    };
    name == b"4913"
        || name == b".DS_Store"
        || name.ends_with(b"~")
        || name.starts_with(b".#")
        || (name.len() > 2 && name.starts_with(b"#") && name.ends_with(b"#"))
        || name.ends_with(b".kate-swp")
        || swap()
}

fn is_tag(folder: impl AsFd) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(folder, TAG, flags, Mode::empty()) else {
        return false;
    };
    let mut head = [0; SIGNATURE.len()];
    matches!(rustix::io::read(&file, &mut head), Ok(n) if n == head.len()) && head == SIGNATURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_files_are_known() {
        for name in [
            "main.rs~",
            ".main.rs.swp",
            ".main.rs.swx",
            "4913",
            ".#main.rs",
            "#main.rs#",
        ] {
            assert!(is_editors_own(name.as_bytes()), "{name}");
        }
        for name in [
            "main.rs", ".env", ".swp", "a.swp", "#", "##", ".sweep", "~a", ".a.swift",
        ] {
            assert!(!is_editors_own(name.as_bytes()), "{name}");
        }
    }
}
