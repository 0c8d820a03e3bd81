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
    Probe::new("read-file", "read an undeclared file", "", |t| {
        file_says(&t.secret, SECRET)
    }),
    Probe::new("read-dotdot", "read it through ..", "", read_dotdot),
    Probe::new(
        "read-proc-root",
        "read it through /proc/PID/root",
        "",
        |t| through_proc(t, "root"),
    ),
    Probe::new("read-proc-cwd", "read it through /proc/PID/cwd", "", |t| {
        through_proc(t, "cwd")
    }),
    Probe::new(
        "read-proc-fd",
        "read it through another's open file",
        "",
        read_proc_fd,
    ),
    Probe::new(
        "read-own-symlink",
        "read it through a link of one's own",
        "",
        own_symlink,
    ),
    Probe::new("read-hardlink", "give it another name", "", hardlink),
    Probe::new(
        "read-by-handle",
        "open_by_handle_at, on the same filesystem",
        CAP_DAC,
        by_handle,
    ),
    Probe::new(
        "read-inherited-folder",
        "read it through a descriptor from before the start",
        "",
        inherited,
    ),
    Probe::new("list-folder", "list an undeclared folder", "", |t| {
        Ok(fs::read_dir(&t.closet).map(drop)?)
    }),
    Probe::new("stat-file", "see size and owner of the file", "", |t| {
        Ok(fs::metadata(&t.secret).map(drop)?)
    }),
    Probe::new("watch-file", "watch it with inotify", "", watch),
    Probe::new("write-file", "write to an undeclared file", "", |t| {
        Ok(fs::write(&t.spare, "spoiled")?)
    }),
    Probe::new("truncate-file", "truncate it", "", truncate),
    Probe::new("chmod-file", "change its mode", "", chmod),
    Probe::new("utimes-file", "change its times", "", utimes),
    Probe::new("xattr-file", "set an attribute on it", "", xattr),
    Probe::new("rename-file", "rename it", "", rename),
    Probe::new(
        "make-file",
        "make a file in an undeclared folder",
        "",
        |t| make_in(&t.closet),
    ),
    Probe::new("write-app", "change the app's own code", "", |t| {
        make_in(&t.app)
    }),
    Probe::new("write-etc", "make a file in /etc", "/etc is root's", |_| {
        make_in(Path::new("/etc"))
    }),
    Probe::new("write-root", "make a file in /", "/ is root's", |_| {
        make_in(Path::new("/"))
    }),
    Probe::new(
        "open-device",
        "read a device of the machine",
        DEVICES,
        device,
    ),
    Probe::new(
        "make-device",
        "make a device of one's own",
        "mknod needs CAP_MKNOD",
        make_device,
    ),
    Probe::new("see-sysfs", "look around in /sys", "", |_| {
        seen(Path::new("/sys/kernel").exists())
    }),
    Probe::new("see-home", "look around in /root and /home", "", see_homes),
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
