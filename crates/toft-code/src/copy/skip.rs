//! What belongs to a working copy but not to its code.

use rustix::fs::{Mode, OFlags, openat};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// The file that marks a folder as a cache (<https://bford.info/cachedir/>).
pub(super) const TAG: &str = "CACHEDIR.TAG";
const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Folders that are left out by their name alone.
const FOLDERS: [&str; 6] = [".git", ".hg", ".jj", ".svn", ".toft", "__pycache__"];
/// What `npm install` makes, and the file that says what it would install.
const MODULES: &str = "node_modules";
pub(super) const PACKAGE: &str = "package.json";
/// A package file that is longer than this is none.
const PACKAGE_MAX: u64 = 4 << 20;

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

    /// Whether a folder is left out because an install will make it again: the package file beside it
    /// names something to install. Without that it is code that somebody put there.
    pub(super) fn skips_installed(self, name: &OsStr, parent: impl AsFd) -> bool {
        self == Self::Sources && is_modules(name) && installs_something(parent).unwrap_or(false)
    }

    /// Whether a folder is left out as a Python environment, whose programs point at the place
    /// where it was made.
    pub(super) fn skips_environment(self, names: &[impl AsRef<OsStr>]) -> bool {
        self == Self::Sources && names.iter().any(|name| name.as_ref() == "pyvenv.cfg")
    }

    /// Whether a file is left out for its name: what editors write for themselves.
    pub(super) fn skips_file(self, name: &OsStr) -> bool {
        self == Self::Sources && is_editors_own(name.as_bytes())
    }

    /// Whether a folder is left out as a cache.
    pub(super) fn skips_cache(self, folder: impl AsFd, names: &[impl AsRef<OsStr>]) -> bool {
        names.iter().any(|name| name.as_ref() == TAG) && is_tag(folder)
    }
}

/// Whether this is the folder of installed Node packages.
pub(super) fn is_modules(name: &OsStr) -> bool {
    name == MODULES
}

/// Whether the package file of a folder names anything to install.
fn installs_something(folder: impl AsFd) -> Option<bool> {
    const KEYS: [&str; 4] = [
        "dependencies",
        "devDependencies",
        "optionalDependencies",
        "workspaces",
    ];
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(folder, PACKAGE, flags, Mode::empty()).ok()?);
    let mut text = Vec::new();
    file.take(PACKAGE_MAX).read_to_end(&mut text).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let names_some = |value: &serde_json::Value| match value {
        serde_json::Value::Object(map) => !map.is_empty(),
        serde_json::Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    Some(
        KEYS.iter()
            .filter_map(|key| package.get(key))
            .any(names_some),
    )
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
