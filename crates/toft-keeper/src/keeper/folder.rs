//! The state folder: its lock, the folders of the roles, log rings, the API's socket.

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use toft_model::InstanceId;
use toft_model::frame::ring_path;
use toft_model::instance::Refusal;
use toft_model::message::Role;

/// Connections to the API that wait to be accepted.
const API_BACKLOG: i32 = 128;

/// A locked state folder. The lock ends with the process.
#[derive(Debug)]
pub(crate) struct Folder {
    state: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks the folder for this keeper, and removes what a killed one left in it.
    pub(crate) fn open(state: &Path) -> Result<Self, Refusal> {
        let refuse = |cause: String, cure: Option<&str>| Refusal {
            step: format!("use {} as state folder", state.display()),
            cause,
            cure: cure.map(str::to_owned),
        };
        // Symbolic links are followed here, once: the sandbox follows none.
        let state = state
            .canonicalize()
            .map_err(|error| refuse(error.to_string(), None))?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(state.join("lock"))
            .map_err(|error| refuse(error.to_string(), None))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let cure = "end that one first, or use another --offset";
                return Err(refuse(
                    format!("pid {} uses it already", holder(&file)),
                    Some(cure),
                ));
            }
            Err(errno) => return Err(refuse(errno.to_string(), None)),
        }
        // What roles and volumes hold in it is nobody else's: whoever may write there as the owner of
        // the disk's files must not be able to leave a program for others.
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&state, closed)
            .map_err(|error| refuse(error.to_string(), None))?;
        sign(&file).map_err(|error| refuse(error.to_string(), None))?;
        let folder = Self { state, _lock: file };
        folder.clean();
        for name in ["run", "logs", "server", "edge", "doors"] {
            make(&folder.state.join(name)).map_err(|error| refuse(error.to_string(), None))?;
        }
        Ok(folder)
    }

    /// Where a role keeps its state, and the user it belongs to.
    pub(crate) fn of_role(&self, role: Role) -> std::io::Result<(PathBuf, u32)> {
        owned(self.state.join(role.as_str()))
    }

    /// Where the rings are, and the user they belong to.
    pub(crate) fn logs(&self) -> std::io::Result<(PathBuf, u32)> {
        owned(self.state.join("logs"))
    }

    /// Opens (and makes, where it is missing) the ring of an instance's place.
    pub(crate) fn ring(&self, instance: &InstanceId) -> std::io::Result<OwnedFd> {
        let path = self.state.join("logs").join(ring_path(instance));
        if let Some(parent) = path.parent() {
            make(parent)?;
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        Ok(file.into())
    }

    /// Makes the API's listening socket. Its path may be longer than a socket address: it is
    /// bound through a descriptor of its folder.
    pub(crate) fn api(&self) -> Result<(OwnedFd, PathBuf), Refusal> {
        let path = self.state.join("run/api.sock");
        let made = self.bind_api();
        made.map(|socket| (socket, path.clone()))
            .map_err(|errno| Refusal {
                step: format!("listen on {}", path.display()),
                cause: errno.to_string(),
                cure: None,
            })
    }

    fn bind_api(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let run = rustix::fs::open(self.state.join("run"), flags, Mode::empty())?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let through = format!("/proc/self/fd/{}/api.sock", run.as_raw_fd());
        rustix::net::bind(&socket, &SocketAddrUnix::new(through.as_str())?)?;
        // Nobody but the owner could reach it before: the folder is closed to others.
        rustix::fs::chmodat(
            &run,
            "api.sock",
            Mode::RUSR | Mode::WUSR,
            rustix::fs::AtFlags::empty(),
        )?;
        rustix::net::listen(&socket, API_BACKLOG)?;
        Ok(socket)
    }

    /// Removes what is of use to running processes only.
    pub(crate) fn clean(&self) {
        // What is not there need not be removed; what cannot be is met again when it is made.
        let _ = std::fs::remove_dir_all(self.state.join("run"));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.clean();
    }
}

fn make(path: &Path) -> std::io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if std::fs::symlink_metadata(path)?.is_dir() {
                Ok(())
            } else {
                Err(error)
            }
        }
        other => other,
    }
}

fn owned(path: PathBuf) -> std::io::Result<(PathBuf, u32)> {
    let owner = std::fs::symlink_metadata(&path)?.uid();
    Ok((path, owner))
}

fn sign(mut file: &File) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn holder(mut file: &File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().chars().take(20).collect(),
        _ => "unknown".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keepers_cannot_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::open(folder.path()).unwrap();
        let refusal = Folder::open(folder.path()).unwrap_err();
        assert!(
            refusal
                .cause
                .contains(&format!("pid {}", std::process::id())),
            "{refusal}"
        );
        drop(first);
        Folder::open(folder.path()).unwrap();
    }

    #[test]
    fn the_api_can_be_reached_at_a_path_of_any_length() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let opened = Folder::open(&deep).unwrap();
        let (_socket, path) = opened.api().unwrap();
        assert_eq!(
            std::fs::symlink_metadata(&path).unwrap().mode() & 0o777,
            0o600
        );
        drop(opened);
        assert!(!path.parent().unwrap().exists());
    }

    #[test]
    fn what_a_killed_keeper_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("run/api.sock");
        std::fs::create_dir(folder.path().join("run")).unwrap();
        std::fs::write(&left, "").unwrap();
        let opened = Folder::open(folder.path()).unwrap();
        assert!(!left.exists());
        opened.api().unwrap();
    }
}
