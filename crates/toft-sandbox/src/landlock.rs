//! Landlock: which files may be read, executed and written, and whom signals may reach.
//!
//! The mount namespace decides what exists; this is the second wall behind it. Everything below
//! the instance's own root may be read and executed (mounts are `noexec` unless they are meant to
//! be run from), and writing is allowed below the writable mounts alone. A rule on the root of the
//! pivoted tree is needed: rules belong to inodes, and one on the machine's root does not cover it.

use crate::error::Error;
use crate::kernel::checked;
use rustix::io::Errno;
use std::os::fd::{FromRawFd as _, OwnedFd};

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

const SCOPE_ABSTRACT: u64 = 1 << 0;
const SCOPE_SIGNAL: u64 = 1 << 1;

/// `LANDLOCK_RULE_PATH_BENEATH`.
pub(crate) const PATH_BENEATH: usize = 1;
const CREATE_RULESET_VERSION: usize = 1;

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub(crate) struct PathBeneath {
    pub(crate) allowed: u64,
    pub(crate) parent: i32,
}

#[repr(C)]
struct Ruleset {
    access_fs: u64,
    access_net: u64,
    scoped: u64,
}

/// Which Landlock this kernel has; 0: none.
pub(crate) fn abi() -> u32 {
    // SAFETY: the version is asked for without a structure.
    let version = unsafe {
        checked(
            libc::SYS_landlock_create_ruleset,
            [0, 0, CREATE_RULESET_VERSION, 0, 0, 0],
        )
    };
    version.map_or(0, |version| version as u32)
}

/// The file rights that a kernel of this ABI knows (its own headers, by version).
fn known(abi: u32) -> u64 {
    match abi {
        0 => 0,
        1 => 0x1fff,
        2 => 0x3fff,
        3 | 4 => 0x7fff,
        _ => 0xffff,
    }
}

/// Rights in each kind of place, cut to what the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Everything below the root.
    pub(crate) read: u64,
    /// Below a writable mount that is a folder.
    pub(crate) write: u64,
    /// A writable mount that is a file.
    pub(crate) write_file: u64,
    /// Device nodes and terminals.
    pub(crate) devices: u64,
}

pub(crate) fn rights(abi: u32) -> Rights {
    let known = known(abi);
    Rights {
        read: known & (EXECUTE | READ_FILE | READ_DIR),
        write: known & !(EXECUTE | MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV),
        write_file: known & (READ_FILE | WRITE_FILE | TRUNCATE),
        devices: known & (READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV),
    }
}

/// A ruleset without rules yet. `host_network`: abstract sockets are shared with the machine then.
pub(crate) fn ruleset(abi: u32, host_network: bool) -> Result<OwnedFd, Error> {
    if abi == 0 {
        return Err(Error::Missing {
            feature: "Landlock, which keeps an instance from files that it may not write",
            cure: "boot with `lsm=landlock,...` or a kernel of 5.13 or newer",
        });
    }
    let scoped = match abi {
        6.. if host_network => SCOPE_SIGNAL | SCOPE_ABSTRACT,
        6.. => SCOPE_SIGNAL,
        _ => 0,
    };
    let attributes = Ruleset {
        access_fs: known(abi),
        access_net: 0,
        scoped,
    };
    let size = match abi {
        6.. => size_of::<Ruleset>(),
        4.. => 16,
        _ => 8,
    };
    // SAFETY: a structure of at least the size that is said; the result is a new descriptor.
    unsafe {
        let attributes = &raw const attributes as usize;
        checked(
            libc::SYS_landlock_create_ruleset,
            [attributes, size, 0, 0, 0, 0],
        )
        .map(|fd| OwnedFd::from_raw_fd(fd as i32))
        .map_err(|errno: Errno| Error::Prepare {
            what: "make a Landlock ruleset",
            errno,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_cut_to_what_the_kernel_knows() {
        for abi in 1..=12 {
            let rights = rights(abi);
            for mask in [rights.read, rights.write, rights.write_file, rights.devices] {
                assert_eq!(mask & !known(abi), 0, "ABI {abi}");
                assert_eq!(mask & (MAKE_CHAR | MAKE_BLOCK), 0, "ABI {abi}");
            }
            assert_eq!(rights.write & EXECUTE, 0);
        }
        assert_eq!(rights(2).write & TRUNCATE, 0);
        assert_ne!(rights(3).write & TRUNCATE, 0);
    }
}
