//! Mounts as descriptors: made, given their rights, and put in place later.

use rustix::fs::CWD;
use rustix::fs::{Mode as FileMode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

pub(crate) const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
pub(crate) const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
pub(crate) const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
pub(crate) const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;

/// What mount_setattr(2) shall set, with all below when `recursive`.
pub(crate) fn set_attributes(
    tree: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    recursive: bool,
) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: clear,
        propagation: 0,
        userns_fd: 0,
    };
    apply(tree, &attributes, recursive)
}

/// Makes a tree show the owner `userns` maps.
pub(crate) fn set_id_map(tree: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.as_raw_fd() as u64,
    };
    apply(tree, &attributes, true)
}

fn apply(
    tree: BorrowedFd<'_>,
    attributes: &libc::mount_attr,
    recursive: bool,
) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let size = size_of::<libc::mount_attr>();
    let path = c"".as_ptr() as usize;
    let tree = tree.as_raw_fd() as usize;
    // SAFETY: a string and a structure of the size that is said.
    unsafe {
        let attributes = std::ptr::from_ref(attributes) as usize;
        crate::kernel::checked(
            libc::SYS_mount_setattr,
            [tree, path, flags as usize, attributes, size, 0],
        )
    }
    .map(|_| ())
}

/// A detached copy of what stands at `path`, with all mounts below. No symbolic link is followed,
/// not even on the way: an order's paths were judged as they are written, and whoever may write
/// below one of them must not be able to lead it elsewhere. The one who writes the order resolves.
pub(crate) fn clone_tree(path: &Path) -> Result<OwnedFd, Errno> {
    // Without NOFOLLOW: with it, a link at the end would be opened itself instead of refused.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let found = openat2(
        CWD,
        path,
        flags,
        FileMode::empty(),
        ResolveFlags::NO_SYMLINKS,
    )?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(found, c"", flags)
}

/// A new file system that is mounted nowhere yet.
pub(crate) fn detached(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Whether what a tree's root is, is a folder.
pub(crate) fn is_folder(tree: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(tree)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}
