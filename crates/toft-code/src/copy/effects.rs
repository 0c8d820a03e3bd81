//! The small effects of a sync: each on one open file or one name in an open folder.

use super::scan::names;
use crate::data;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, fchown, openat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicBool;

pub(super) const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(super) fn is(stat: &rustix::fs::Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

pub(super) fn name_of(path: &Path) -> &OsStr {
    path.file_name().expect("a scanned path ends in a name")
}

/// The rights of a copy: those of the source, always writable by its owner, never set-uid.
pub(super) fn wanted_mode(mode: u32) -> u32 {
    (mode & 0o777) | 0o600
}

pub(super) fn times(mtime: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.div_euclid(1_000_000_000),
        tv_nsec: mtime.rem_euclid(1_000_000_000),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

pub(super) fn now() -> Timestamps {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    Timestamps {
        last_access: now,
        last_modification: now,
    }
}

pub(super) fn give(file: impl AsFd, owner: u32) -> Result<(), Errno> {
    fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))
}

pub(super) fn same_contents(mut a: File, mut b: File, stop: &AtomicBool) -> io::Result<bool> {
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        data::go_on(stop)?;
        let count = a.read(&mut left)?;
        let mut filled = 0;
        while filled < count {
            match b.read(&mut right[filled..count])? {
                0 => return Ok(false),
                more => filled += more,
            }
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
    }
}

/// Removes whatever stands at a name, a folder with all in it; no link is followed.
pub(super) fn clear(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match unlinkat(parent.as_fd(), name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::NOENT) | Ok(()) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    let folder = openat(parent.as_fd(), name, FOLDER, Mode::empty())?;
    for inner in names(&folder)? {
        clear(&folder, &inner)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}
