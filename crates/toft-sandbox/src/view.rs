//! The file tree that all instances of a release share, as a mount namespace kept by a descriptor.
//!
//! It is built by a short forked child of the (small, single-threaded) caller, because a source on
//! a dead network disk may hang for ever: the caller polls, and may give up with [`Pending::kill`].
//! An instance enters the namespace, copies it and adds what is its own; see [`crate::spawn`].
//!
//! The root is a file system in memory that is read-only once it is built. Besides what the order
//! names it has the places that every instance gets: /proc, /dev with its nodes, /tmp, /run/toft.
//! Below `/run/toft/write`, which each instance covers with a mount of its own, it keeps one link
//! per writable mount, so that a spawn can allow those in Landlock without knowing the view.
//!
//! Where the machine's root is an initramfs, `pivot_root` does not work; the tree is then mounted
//! over the root and entered with `chroot`, with the machine's mounts unreachable below it.

use crate::error::Error;
use crate::kernel::checked;
use crate::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountAttrFlags, MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_change, move_mount,
    unmount,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, WaitOptions};
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use toft_model::machine::is_plain;
use toft_model::sandbox::{Mode, Mount, Source};

/// Writable mounts that one view may have: each costs a Landlock rule at every start.
pub const WRITABLE_MAX: usize = 16;

/// Device nodes that every instance has.
pub(crate) const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Where the links to writable mounts stand.
pub(crate) const WRITE_LINKS: &str = "/run/toft/write";

/// A view that is being built. Its descriptor is readable when [`Pending::finish`] will not wait.
#[derive(Debug)]
pub struct Pending {
    socket: OwnedFd,
    builder: Option<Pid>,
    view: Vec<Mount>,
}

/// Begins to build a view.
///
/// `view` is checked first: plain absolute targets, no scratch, and in root mode no on-disk owners,
/// which differ by instance and so belong to `SandboxSpec::own`.
pub fn start(view: &[Mount], mode: Mode) -> Result<Pending, Error> {
    check(view, mode)?;
    let mut view = view.to_vec();
    view.sort_by_key(|mount| mount.target.components().count());
    let prepare = |errno| Error::Prepare {
        what: "begin to build the file tree",
        errno,
    };
    let (socket, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(prepare)?;
    // SAFETY: the C library's fork leaves a usable heap in the child; the child ends in _exit.
    match unsafe { libc::fork() } {
        -1 => Err(prepare(
            Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN),
        )),
        0 => {
            std::mem::forget(socket);
            // What hangs in here may not keep open what its caller has.
            close_all_but(&theirs);
            answer(&theirs, build(&view));
            // SAFETY: the forked child may not run its parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => Ok(Pending {
            socket,
            builder: Pid::from_raw(pid),
            view,
        }),
    }
}

/// In the forked builder, whose copies of the caller's descriptors nobody uses any more.
fn close_all_but(kept: &OwnedFd) {
    let kept = kept.as_raw_fd() as usize;
    for (first, last) in [(3, kept - 1), (kept + 1, u32::MAX as usize)] {
        if first <= last {
            // SAFETY: a call with numbers alone; no value of this process is dropped afterwards
            // that owns one of them, since it ends in _exit.
            let _ = unsafe { checked(libc::SYS_close_range, [first, last, 0, 0, 0, 0]) };
        }
    }
}

fn check(view: &[Mount], mode: Mode) -> Result<(), Error> {
    let mut writable = 0;
    for Mount { target, source } in view {
        let path = target.display();
        if !is_plain(target) || target == Path::new("/") {
            return Err(Error::Spec(format!(
                "`{path}` cannot be the place of a mount"
            )));
        }
        match source {
            Source::Scratch { .. } => {
                return Err(Error::Spec(format!(
                    "scratch at {path} belongs to one instance alone"
                )));
            }
            Source::Bind { owner: Some(_), .. } if mode == Mode::Root => {
                return Err(Error::Spec(format!(
                    "{path} with an owner of its own belongs to one instance alone"
                )));
            }
            Source::Bind { write: true, .. } => writable += 1,
            _ => {}
        }
    }
    if writable > WRITABLE_MAX {
        return Err(Error::Spec(format!(
            "{writable} writable mounts, {WRITABLE_MAX} are possible"
        )));
    }
    Ok(())
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Pending {
    /// The mount namespace. Waits when the descriptor is not readable yet.
    pub fn finish(mut self) -> Result<OwnedFd, Error> {
        let mut words = [0u8; 12];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut words)];
            match recvmsg(
                &self.socket,
                &mut slices,
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Err(Errno::INTR) => {}
                Ok(received) => break received.bytes,
                Err(_) => break 0,
            }
        };
        let namespace = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        self.reap(Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        });
        match namespace {
            Some(namespace) => Ok(namespace),
            None if received == words.len() => Err(self.failure(words)),
            None => Err(Error::ViewDied),
        }
    }

    /// Gives up. A builder that hangs in the kernel ends when the kernel lets it.
    pub fn kill(self) {
        drop(self);
    }

    fn failure(&self, words: [u8; 12]) -> Error {
        let word =
            |n: usize| i32::from_ne_bytes([words[n], words[n + 1], words[n + 2], words[n + 3]]);
        let (kind, index, errno) = (word(0), word(4) as usize, Errno::from_raw_os_error(word(8)));
        let mount = self.view.get(index);
        match (Kind::ALL.into_iter().find(|k| *k as i32 == kind), mount) {
            (
                Some(Kind::Bind),
                Some(Mount {
                    target,
                    source: Source::Bind { path, .. },
                }),
            ) => Error::Bind {
                target: target.clone(),
                source_path: path.clone(),
                errno,
            },
            (Some(Kind::Target), Some(mount)) => Error::Target {
                target: mount.target.clone(),
                errno,
            },
            (Some(Kind::Node), _) => {
                let path = Path::new("/dev").join(NODES.get(index).copied().unwrap_or("null"));
                Error::Bind {
                    target: path.clone(),
                    source_path: path,
                    errno,
                }
            }
            (Some(Kind::Namespace), _) => Error::Tree {
                what: "make a mount namespace",
                errno,
            },
            _ => Error::Tree {
                what: "make the root of the file tree",
                errno,
            },
        }
    }

    fn reap(&mut self, patience: Timespec) {
        let Some(pid) = self.builder.take() else {
            return;
        };
        let Ok(pidfd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
        else {
            return;
        };
        let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience));
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(pid) = self.builder {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            self.reap(Timespec {
                tv_sec: 0,
                tv_nsec: 200_000_000,
            });
        }
    }
}

/// What failed in the builder, as it crosses the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Kind {
    Namespace = 1,
    Root = 2,
    Bind = 3,
    Target = 4,
    Node = 5,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Namespace,
        Kind::Root,
        Kind::Bind,
        Kind::Target,
        Kind::Node,
    ];
}

struct Failed(Kind, usize, Errno);

fn at(kind: Kind, index: usize) -> impl Fn(Errno) -> Failed {
    move |errno| Failed(kind, index, errno)
}

fn io_at(kind: Kind, index: usize) -> impl Fn(std::io::Error) -> Failed {
    move |error| {
        Failed(
            kind,
            index,
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    }
}

fn answer(socket: &OwnedFd, built: Result<OwnedFd, Failed>) {
    let mut words = [0u8; 12];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let namespace;
    let fds;
    match built {
        Ok(fd) => {
            namespace = fd;
            fds = [namespace.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        Err(Failed(kind, index, errno)) => {
            words[..4].copy_from_slice(&(kind as i32).to_ne_bytes());
            words[4..8].copy_from_slice(&(index as i32).to_ne_bytes());
            words[8..].copy_from_slice(&errno.raw_os_error().to_ne_bytes());
        }
    }
    // When the caller has gone, nobody is left to tell.
    let _ = sendmsg(
        socket,
        &[IoSlice::new(&words)],
        &mut control,
        SendFlags::NOSIGNAL,
    );
}

/// The builder's work, in a process of its own.
fn build(view: &[Mount]) -> Result<OwnedFd, Failed> {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let namespace = own_namespace().map_err(at(Kind::Namespace, 0))?;
    // Sources first: the new root may cover them.
    let mut trees = Vec::with_capacity(view.len());
    for (index, mount) in view.iter().enumerate() {
        trees.push(match &mount.source {
            Source::Bind {
                path, write, exec, ..
            } => Some(bind_tree(path, *write, *exec).map_err(at(Kind::Bind, index))?),
            _ => None,
        });
    }
    let mut nodes = Vec::with_capacity(NODES.len());
    for (index, name) in NODES.into_iter().enumerate() {
        nodes.push(node_tree(name).map_err(at(Kind::Node, index))?);
    }
    let root = enter_new_root().map_err(at(Kind::Root, 0))?;
    furnish(&nodes).map_err(io_at(Kind::Root, 0))?;
    let mut writable = 0;
    for (index, (mount, tree)) in view.iter().zip(&trees).enumerate() {
        place(mount, tree.as_ref()).map_err(io_at(Kind::Target, index))?;
        if matches!(mount.source, Source::Bind { write: true, .. }) {
            let link = Path::new(WRITE_LINKS).join(writable.to_string());
            symlink(&mount.target, link).map_err(io_at(Kind::Target, index))?;
            writable += 1;
        }
    }
    mount::set_attributes(root.as_fd(), RDONLY, 0, false).map_err(at(Kind::Root, 0))?;
    Ok(namespace)
}

fn own_namespace() -> Result<OwnedFd, Errno> {
    // SAFETY: the builder has one thread, and its descriptors stay as they are.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)? };
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    rustix::fs::open(
        "/proc/self/ns/mnt",
        OFlags::RDONLY | OFlags::CLOEXEC,
        FileMode::empty(),
    )
}

/// A detached copy of a source with the rights that it has inside.
pub(crate) fn bind_tree(path: &Path, write: bool, exec: bool) -> Result<OwnedFd, Errno> {
    let tree = mount::clone_tree(path)?;
    let mut set = NOSUID | NODEV;
    if !write {
        set |= RDONLY;
    }
    if !exec {
        set |= NOEXEC;
    }
    mount::set_attributes(tree.as_fd(), set, 0, true)?;
    Ok(tree)
}

fn node_tree(name: &str) -> Result<OwnedFd, Errno> {
    let tree = mount::clone_tree(&Path::new("/dev").join(name))?;
    // Devices may be written on a read-only mount; their owner and times may not.
    mount::set_attributes(tree.as_fd(), NOSUID | NOEXEC | RDONLY, 0, true)?;
    Ok(tree)
}

fn enter_new_root() -> Result<OwnedFd, Errno> {
    let options = [("mode", "0755"), ("size", "64m"), ("nr_inodes", "65536")];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let root = mount::detached("tmpfs", &options, attributes)?;
    put(root.as_fd(), Path::new("/"))?;
    rustix::process::fchdir(&root)?;
    match rustix::process::pivot_root(".", ".") {
        Ok(()) => {
            unmount(".", UnmountFlags::DETACH)?;
            rustix::process::chdir("/")?;
        }
        // An initramfs cannot be pivoted away.
        Err(Errno::INVAL) => rustix::process::chroot(".")?,
        Err(other) => return Err(other),
    }
    Ok(root)
}

/// Puts a detached tree in place; the last link of `target` is followed.
fn put(tree: BorrowedFd<'_>, target: &Path) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(tree, "", rustix::fs::CWD, target, flags)
}

/// What every instance has a place for.
fn furnish(nodes: &[OwnedFd]) -> std::io::Result<()> {
    for folder in ["/proc", "/dev/pts", "/dev/shm", "/tmp", WRITE_LINKS] {
        make_folder(Path::new(folder))?;
    }
    for (name, tree) in NODES.into_iter().zip(nodes) {
        let target = PathBuf::from("/dev").join(name);
        make_file(&target, "")?;
        put(tree.as_fd(), &target)?;
    }
    for (name, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        symlink(to, name)?;
    }
    Ok(())
}

fn place(mount: &Mount, tree: Option<&OwnedFd>) -> std::io::Result<()> {
    let target = &mount.target;
    if let Some(parent) = target.parent() {
        make_folder(parent)?;
    }
    match (&mount.source, tree) {
        (Source::Bind { .. }, Some(tree)) => {
            if !target.exists() {
                if mount::is_folder(tree.as_fd())? {
                    make_folder(target)?;
                } else {
                    make_file(target, "")?;
                }
            }
            put(tree.as_fd(), target).map_err(Into::into)
        }
        (Source::File { contents }, _) => make_file(target, contents),
        (Source::Link { to }, _) => symlink(to, target),
        _ => make_folder(target),
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
}

fn make_file(path: &Path, contents: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)?;
    file.write_all(contents.as_bytes())
}
