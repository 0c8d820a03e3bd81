//! What belongs to one instance alone in its file tree, made before it is cloned: terminals, shared
//! memory, `/tmp`, `/run/toft`, and the volumes and scratch of its order.

use crate::error::Error;
use crate::mount::{self, RDONLY};
use crate::{userns, view};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use toft_model::machine::is_plain;
use toft_model::message::SpawnSpec;
use toft_model::sandbox::{Mode, Mount, Source};
use toft_model::unit::Bytes;

/// Size of `/tmp` when the order says nothing.
const TMP_BYTES: u64 = 256 << 20;
/// Size of `/dev/shm`.
const SHM_BYTES: u64 = 64 << 20;

/// A detached tree and where it goes.
pub(crate) struct Own {
    pub(crate) tree: OwnedFd,
    pub(crate) target: PathBuf,
    pub(crate) folder: bool,
    pub(crate) writable: bool,
    /// Below a rule for all of /dev already.
    pub(crate) device: bool,
}

/// What every instance gets alike, and so can be made before its order comes.
struct Kit {
    terminals: Own,
    shared_memory: Own,
    tmp: Own,
}

static SPARE: Mutex<Option<Kit>> = Mutex::new(None);

impl Kit {
    fn new() -> Result<Self, Error> {
        let memory =
            |target, bytes| scratch(Path::new(target), Bytes(bytes), false, Access::Everyone);
        Ok(Self {
            terminals: terminals()?,
            shared_memory: memory("/dev/shm", SHM_BYTES)?,
            tmp: memory("/tmp", TMP_BYTES)?,
        })
    }
}

/// Makes the next instance's kit when there is none.
pub(crate) fn warm() {
    let Ok(mut spare) = SPARE.lock() else { return };
    if spare.is_none() {
        *spare = Kit::new().ok();
    }
}

/// Makes all of them, parents first.
pub(crate) fn prepare(spec: &SpawnSpec, mode: Mode) -> Result<Vec<Own>, Error> {
    let sandbox = &spec.instance.sandbox;
    let user = if mode == Mode::Root { spec.uid } else { 0 };
    let inner = if mode == Mode::Root {
        spec.uid
    } else {
        crate::INNER_UID
    };
    let kit = match SPARE.lock().ok().and_then(|mut spare| spare.take()) {
        Some(kit) => kit,
        None => Kit::new()?,
    };
    let mut list = vec![kit.terminals, kit.shared_memory, run_files(spec, inner)?];
    if !sandbox
        .own
        .iter()
        .any(|mount| mount.target == Path::new("/tmp"))
    {
        list.push(kit.tmp);
    }
    let mut asked: Vec<&Mount> = sandbox.own.iter().collect();
    asked.sort_by_key(|mount| mount.target.components().count());
    for mount in asked {
        list.push(one(mount, user, mode)?);
    }
    Ok(list)
}

/// Who may write at the top of a scratch folder.
enum Access {
    Everyone,
    User(u32),
}

fn one(mount: &Mount, user: u32, mode: Mode) -> Result<Own, Error> {
    let Mount { target, source } = mount;
    if !is_plain(target) || target == Path::new("/") {
        let text = format!("`{}` cannot be the place of a mount", target.display());
        return Err(Error::Spec(text));
    }
    match source {
        Source::Scratch { size, exec } if target == Path::new("/tmp") => {
            scratch(target, *size, *exec, Access::Everyone)
        }
        Source::Scratch { size, exec } => scratch(target, *size, *exec, Access::User(user)),
        Source::Bind {
            path,
            write,
            exec,
            owner,
        } => {
            let failed = |errno| Error::Bind {
                target: target.clone(),
                source_path: path.clone(),
                errno,
            };
            let tree = view::bind_tree(path, *write, *exec).map_err(failed)?;
            if let (Some(owner), Mode::Root) = (owner, mode) {
                map_owner(&tree, *owner, user).map_err(|error| error.unwrap_or_else(failed))?;
            }
            let folder = mount::is_folder(tree.as_fd()).map_err(failed)?;
            Ok(Own {
                tree,
                target: target.clone(),
                folder,
                writable: *write,
                device: false,
            })
        }
        Source::File { .. } | Source::Link { .. } | Source::Dir => Err(Error::Spec(format!(
            "{} belongs to the file tree that all instances share",
            target.display()
        ))),
    }
}

/// An error of the mapping: of the path's own, or one that says more.
enum MapError {
    Errno(Errno),
    Known(Error),
}

impl MapError {
    fn unwrap_or_else(self, plain: impl Fn(Errno) -> Error) -> Error {
        match self {
            MapError::Errno(errno) => plain(errno),
            MapError::Known(error) => error,
        }
    }
}

fn map_owner(tree: &OwnedFd, owner: u32, user: u32) -> Result<(), MapError> {
    let userns = userns::mapping(owner, user).map_err(|errno| {
        MapError::Known(Error::Prepare {
            what: "map the owner of a volume",
            errno,
        })
    })?;
    match mount::set_id_map(tree.as_fd(), userns.as_fd()) {
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
            Err(MapError::Known(Error::Missing {
                feature: "idmapped mounts, which show a folder as the instance's own",
                cure: "keep the folder on ext4, xfs or btrfs, with Linux 5.12 or newer",
            }))
        }
        other => other.map_err(MapError::Errno),
    }
}

fn in_memory(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Error> {
    mount::detached(kind, options, attributes).map_err(|errno| Error::Prepare {
        what: "make a file system in memory",
        errno,
    })
}

fn closed() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}

fn terminals() -> Result<Own, Error> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = in_memory(
        "devpts",
        &[("ptmxmode", "0666"), ("mode", "0620")],
        attributes,
    )?;
    Ok(Own {
        tree,
        target: "/dev/pts".into(),
        folder: true,
        writable: false,
        device: true,
    })
}

fn scratch(target: &Path, size: Bytes, exec: bool, access: Access) -> Result<Own, Error> {
    // Files without contents cost kernel memory too.
    let files = (size.0 / 4096).clamp(1024, 1 << 20).to_string();
    let bytes = size.0.max(4096).to_string();
    let user = match access {
        Access::Everyone => "0".to_owned(),
        Access::User(user) => user.to_string(),
    };
    let mode = if matches!(access, Access::Everyone) {
        "1777"
    } else {
        "0755"
    };
    let options = [
        ("size", bytes.as_str()),
        ("nr_inodes", files.as_str()),
        ("mode", mode),
        ("uid", user.as_str()),
        ("gid", user.as_str()),
    ];
    let mut attributes = closed();
    if !exec {
        attributes |= MountAttrFlags::MOUNT_ATTR_NOEXEC;
    }
    let tree = in_memory("tmpfs", &options, attributes)?;
    let device = false;
    Ok(Own {
        tree,
        target: target.to_owned(),
        folder: true,
        writable: true,
        device,
    })
}

/// `/run/toft`: written here, read-only inside.
fn run_files(spec: &SpawnSpec, inner: u32) -> Result<Own, Error> {
    let options = [("mode", "0755"), ("size", "4m"), ("nr_inodes", "1024")];
    let tree = in_memory(
        "tmpfs",
        &options,
        closed() | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )?;
    for file in &spec.instance.sandbox.run_files {
        if file.name.is_empty() || file.name.contains(['/', '\0']) || file.name.starts_with('.') {
            return Err(Error::Spec(format!(
                "`{}` cannot be a file in /run/toft",
                file.name
            )));
        }
        let contents = file.contents.replace("{uid}", &inner.to_string());
        write_file(&tree, &file.name, contents.as_bytes()).map_err(|errno| Error::Prepare {
            what: "write a file of /run/toft",
            errno,
        })?;
    }
    mount::set_attributes(tree.as_fd(), RDONLY, 0, false).map_err(|errno| Error::Prepare {
        what: "close /run/toft",
        errno,
    })?;
    Ok(Own {
        tree,
        target: "/run/toft".into(),
        folder: true,
        writable: false,
        device: false,
    })
}

fn write_file(folder: &OwnedFd, name: &str, mut contents: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, FileMode::from_raw_mode(0o444))?;
    while !contents.is_empty() {
        let written = rustix::io::write(&file, contents)?;
        contents = &contents[written..];
    }
    rustix::fs::fchmod(&file, FileMode::from_raw_mode(0o444))
}
