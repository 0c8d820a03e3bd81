//! Files that were not declared, by every road that leads to them.

use crate::raw::{self, Arg, c_path};
use crate::runner::{Miss, Outcome, Probe, file_says, seen};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use toft_testkit::probe::{SECRET, Targets};

const CAP_DAC: &str = "open_by_handle_at needs CAP_DAC_READ_SEARCH";
const DEVICES: &str = "the machine's devices are root's";

pub(crate) const PROBES: &[Probe] = &[
    Probe {
        name: "read-file",
        tries: "read an undeclared file",
        right: "",
        act: |t| file_says(&t.secret, SECRET),
    },
    Probe {
        name: "read-dotdot",
        tries: "read it through ..",
        right: "",
        act: read_dotdot,
    },
    Probe {
        name: "read-proc-root",
        tries: "read it through /proc/PID/root",
        right: "",
        act: |t| through_proc(t, "root"),
    },
    Probe {
        name: "read-proc-cwd",
        tries: "read it through /proc/PID/cwd",
        right: "",
        act: |t| through_proc(t, "cwd"),
    },
    Probe {
        name: "read-proc-fd",
        tries: "read it through another's open file",
        right: "",
        act: read_proc_fd,
    },
    Probe {
        name: "read-own-symlink",
        tries: "read it through a link of one's own",
        right: "",
        act: own_symlink,
    },
    Probe {
        name: "read-hardlink",
        tries: "give it another name",
        right: "",
        act: hardlink,
    },
    Probe {
        name: "read-by-handle",
        tries: "open_by_handle_at, on the same filesystem",
        right: CAP_DAC,
        act: by_handle,
    },
    Probe {
        name: "read-inherited-folder",
        tries: "read it through a descriptor from before the start",
        right: "",
        act: inherited,
    },
    Probe {
        name: "list-folder",
        tries: "list an undeclared folder",
        right: "",
        act: |t| Ok(fs::read_dir(&t.closet).map(drop)?),
    },
    Probe {
        name: "stat-file",
        tries: "see size and owner of the file",
        right: "",
        act: |t| Ok(fs::metadata(&t.secret).map(drop)?),
    },
    Probe {
        name: "watch-file",
        tries: "watch it with inotify",
        right: "",
        act: watch,
    },
    Probe {
        name: "write-file",
        tries: "write to an undeclared file",
        right: "",
        act: |t| Ok(fs::write(&t.spare, "spoiled")?),
    },
    Probe {
        name: "truncate-file",
        tries: "truncate it",
        right: "",
        act: truncate,
    },
    Probe {
        name: "chmod-file",
        tries: "change its mode",
        right: "",
        act: chmod,
    },
    Probe {
        name: "utimes-file",
        tries: "change its times",
        right: "",
        act: utimes,
    },
    Probe {
        name: "xattr-file",
        tries: "set an attribute on it",
        right: "",
        act: xattr,
    },
    Probe {
        name: "rename-file",
        tries: "rename it",
        right: "",
        act: rename,
    },
    Probe {
        name: "make-file",
        tries: "make a file in an undeclared folder",
        right: "",
        act: |t| make_in(&t.closet),
    },
    Probe {
        name: "write-app",
        tries: "change the app's own code",
        right: "",
        act: |t| make_in(&t.app),
    },
    Probe {
        name: "write-etc",
        tries: "make a file in /etc",
        right: "/etc is root's",
        act: |_| make_in(Path::new("/etc")),
    },
    Probe {
        name: "write-root",
        tries: "make a file in /",
        right: "/ is root's",
        act: |_| make_in(Path::new("/")),
    },
    Probe {
        name: "open-device",
        tries: "read a device of the machine",
        right: DEVICES,
        act: device,
    },
    Probe {
        name: "make-device",
        tries: "make a device of one's own",
        right: "mknod needs CAP_MKNOD",
        act: make_device,
    },
    Probe {
        name: "see-sysfs",
        tries: "look around in /sys",
        right: "",
        act: |_| seen(Path::new("/sys/kernel").exists()),
    },
    Probe {
        name: "see-home",
        tries: "look around in /root and /home",
        right: "",
        act: see_homes,
    },
];

fn read_dotdot(t: &Targets) -> Outcome {
    let up = "../".repeat(t.writable.components().count() + 8);
    let below = t.secret.strip_prefix("/").unwrap_or(&t.secret);
    file_says(&t.writable.join(up).join(below), SECRET)
}

/// Numbers of all processes that can be seen, and of the victim even when it cannot.
pub(crate) fn pids(t: &Targets) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    pids.push(t.victim);
    pids
}

/// The best that any process gives.
fn through_any(t: &Targets, look: impl Fn(u32) -> Outcome) -> Outcome {
    let mut last = Err(Miss::Errno(libc::ENOENT));
    for pid in pids(t) {
        match look(pid) {
            Ok(()) => return Ok(()),
            // A refusal says more than an absence.
            Err(Miss::Errno(libc::ENOENT | libc::ESRCH | libc::ENOTDIR)) => {}
            miss => last = miss,
        }
    }
    last
}

fn through_proc(t: &Targets, link: &str) -> Outcome {
    let inside = if link == "root" {
        t.secret.strip_prefix("/").unwrap_or(&t.secret)
    } else {
        Path::new("secret")
    };
    through_any(t, |pid| {
        file_says(
            &PathBuf::from(format!("/proc/{pid}/{link}")).join(inside),
            SECRET,
        )
    })
}

fn read_proc_fd(t: &Targets) -> Outcome {
    through_any(t, |pid| {
        if pid == std::process::id() {
            return Err(Miss::Errno(libc::ENOENT));
        }
        let entries: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().collect();
        let files = entries
            .iter()
            .filter(|e| fs::metadata(e.path()).is_ok_and(|m| m.is_file()));
        let hit = files
            .map(|e| file_says(&e.path(), SECRET))
            .find(Result::is_ok);
        hit.unwrap_or(Err(Miss::Errno(libc::ENOENT)))
    })
}

fn own_symlink(t: &Targets) -> Outcome {
    let link = t.writable.join("link");
    let _ = fs::remove_file(&link); // From an earlier run.
    symlink(&t.secret, &link)?;
    file_says(&link, SECRET)
}

fn hardlink(t: &Targets) -> Outcome {
    let name = t.writable.join("other-name");
    let _ = fs::remove_file(&name); // From an earlier run.
    fs::hard_link(&t.secret, &name)?;
    let result = file_says(&name, SECRET);
    fs::remove_file(&name)?;
    result
}

fn by_handle(t: &Targets) -> Outcome {
    if t.handle.len() < 5 {
        return Err(Miss::NotHere("the filesystem gives out no handles"));
    }
    let length = u32::try_from(t.handle.len() - 4).unwrap_or_default();
    let mut handle = [&length.to_ne_bytes()[..], &t.handle].concat();
    let folder = File::open(&t.writable)?;
    let fd = raw::call_fd(
        libc::SYS_open_by_handle_at,
        [
            folder.as_raw_fd().into(),
            Arg::Out(&mut handle),
            libc::O_RDONLY.into(),
        ],
    )?;
    let mut text = vec![0; SECRET.len()];
    File::from(fd).read_exact_at(&mut text, 0)?;
    seen(text == SECRET.as_bytes())
}

/// A folder that a careless starter left open.
fn inherited(t: &Targets) -> Outcome {
    let name = t.secret.file_name().map(Path::new).unwrap_or(&t.secret);
    let mut hit = Err(Miss::Errno(libc::EBADF));
    for fd in 3..256 {
        let path = c_path(name);
        match raw::call(
            libc::SYS_openat,
            [fd.into(), Arg::from(&path), libc::O_RDONLY.into(), 0.into()],
        ) {
            Ok(_) => return Ok(()),
            Err(libc::EBADF | libc::ENOTDIR) => {}
            Err(errno) => hit = Err(Miss::Errno(errno)),
        }
    }
    hit
}

fn watch(t: &Targets) -> Outcome {
    let inotify = raw::call_fd(libc::SYS_inotify_init1, [0.into()])?;
    let path = c_path(&t.secret);
    raw::call(
        libc::SYS_inotify_add_watch,
        [
            inotify.as_raw_fd().into(),
            Arg::from(&path),
            (libc::IN_OPEN as i32).into(),
        ],
    )?;
    Ok(())
}

fn truncate(t: &Targets) -> Outcome {
    let path = c_path(&t.spare);
    raw::call(libc::SYS_truncate, [Arg::from(&path), 1.into()])?;
    Ok(())
}

fn chmod(t: &Targets) -> Outcome {
    let path = c_path(&t.spare);
    raw::call(
        libc::SYS_fchmodat,
        [libc::AT_FDCWD.into(), Arg::from(&path), 0o600.into()],
    )?;
    Ok(())
}

fn utimes(t: &Targets) -> Outcome {
    let path = c_path(&t.spare);
    raw::call(
        libc::SYS_utimensat,
        [libc::AT_FDCWD.into(), Arg::from(&path), 0.into(), 0.into()],
    )?;
    Ok(())
}

fn xattr(t: &Targets) -> Outcome {
    let path = c_path(&t.spare);
    let set = raw::call(
        libc::SYS_setxattr,
        [
            Arg::from(&path),
            Arg::Text(c"user.probe"),
            Arg::In(b"x"),
            1.into(),
            0.into(),
        ],
    );
    match set {
        Err(libc::EOPNOTSUPP) => Err(Miss::NotHere("the filesystem has no user attributes")),
        other => Ok(other.map(drop)?),
    }
}

fn rename(t: &Targets) -> Outcome {
    let away = t.closet.join("renamed");
    fs::rename(&t.spare, &away)?;
    Ok(fs::rename(&away, &t.spare)?)
}

fn make_in(folder: &Path) -> Outcome {
    let path = folder.join(format!(".toft-probe-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    Ok(fs::remove_file(&path)?)
}

fn device(t: &Targets) -> Outcome {
    let device = t
        .device
        .as_ref()
        .ok_or(Miss::NotHere("no device to aim at"))?;
    Ok(File::open(device).map(drop)?)
}

fn make_device(t: &Targets) -> Outcome {
    let at = t.writable.join("zero");
    let path = c_path(&at);
    let device = libc::makedev(1, 5) as i64;
    let mode = libc::S_IFCHR as i32 | 0o666;
    raw::call(
        libc::SYS_mknodat,
        [
            libc::AT_FDCWD.into(),
            Arg::from(&path),
            mode.into(),
            device.into(),
        ],
    )?;
    let opened = File::open(&at);
    fs::remove_file(&at)?;
    Ok(opened.map(drop)?)
}

/// Any entry of a home will do, or that there is one that is closed.
fn see_homes(_: &Targets) -> Outcome {
    let homes = ["/root", "/home"]
        .iter()
        .any(|home| Path::new(home).exists());
    seen(homes)
}
