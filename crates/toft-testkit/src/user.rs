//! Acting as a plain user, on a machine where the test itself is root.
//!
//! Nothing about the machine's rights is changed. The command gets a mount namespace of its own in
//! which the toolchain and other things that lie below a closed home are shown, readable, at a
//! neutral place; a home of its own; and an environment with nothing but `PATH`, `HOME` and `LANG`.

use anyhow::{Context, Result, bail};
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount_bind_recursive, mount_change, mount_remount,
};
use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A user without any right: what Debian calls `nobody`.
pub const NOBODY: u32 = 65534;

/// Whether this process is root outside any user namespace of its own making.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
        && fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// A plain user with a home and a toolchain.
#[derive(Debug, Clone)]
pub struct Plain {
    uid: u32,
    home: PathBuf,
    shown: PathBuf,
    binds: Vec<(CString, CString)>,
    path: Vec<PathBuf>,
}

impl Plain {
    /// A user of this id with a home below `dir`, which all may enter. Root only.
    pub fn new(dir: &Path, uid: u32) -> Result<Self> {
        if !is_root() {
            bail!("only root can act as another user");
        }
        let home = dir.join(format!("home-{uid}"));
        let shown = dir.join(format!("shown-{uid}"));
        fs::create_dir(&home).with_context(|| format!("make {}", home.display()))?;
        fs::create_dir(&shown).with_context(|| format!("make {}", shown.display()))?;
        chown(&home, Some(uid), Some(uid))?;
        let path = ["/usr/local/bin", "/usr/bin", "/bin"]
            .map(PathBuf::from)
            .to_vec();
        let mut user = Self {
            uid,
            home,
            shown,
            binds: Vec::new(),
            path,
        };
        if let Some(toolchain) = toolchain() {
            let at = user.show(&toolchain)?;
            user.path.insert(0, at.join("bin"));
        }
        Ok(user)
    }

    /// The home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The user id, which is the group id too.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Shows a file or folder, read-only, at a neutral place, which it returns.
    pub fn show(&mut self, from: &Path) -> Result<PathBuf> {
        let from = from
            .canonicalize()
            .with_context(|| format!("find {}", from.display()))?;
        let name = from.file_name().unwrap_or(OsStr::new("root"));
        let place = self.shown.join(self.binds.len().to_string());
        fs::create_dir(&place)?;
        let at = place.join(name);
        if from.is_dir() {
            fs::create_dir(&at)?;
        } else {
            fs::write(&at, "")?;
        }
        self.binds.push((c_path(&from)?, c_path(&at)?));
        Ok(at)
    }

    /// Gives the user everything below `top`.
    pub fn give(&self, top: &Path) -> Result<()> {
        lchown(top, Some(self.uid), Some(self.uid))
            .with_context(|| format!("chown {}", top.display()))?;
        if fs::symlink_metadata(top)?.is_dir() {
            for entry in fs::read_dir(top)? {
                self.give(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// A command of this user.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::join_paths(&self.path).expect("the folders hold no colon");
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home)
            .env("LANG", "C.UTF-8");
        let (uid, binds) = (self.uid, self.binds.clone());
        // SAFETY: between fork and exec the closure makes system calls only; what they point to
        // was made before, and nothing in it allocates, locks or returns through an unwind.
        unsafe { command.pre_exec(move || become_user(uid, &binds)) };
        command
    }
}

/// Runs between fork and exec.
fn become_user(uid: u32, binds: &[(CString, CString)]) -> io::Result<()> {
    // SAFETY: this child has one thread and no destructor that depends on its mounts.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    mount_change(
        c"/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    for (from, at) in binds {
        mount_bind_recursive(from.as_c_str(), at.as_c_str())?;
        mount_remount(at.as_c_str(), MountFlags::BIND | MountFlags::RDONLY, c"")?;
    }
    // SAFETY: raw calls, since the C library's wrappers would signal threads that this child has not.
    let failed = unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) != 0
            || libc::syscall(libc::SYS_setresgid, uid, uid, uid) != 0
            || libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0
    };
    if failed {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).with_context(|| format!("path {}", path.display()))
}

/// The folder of the Rust toolchain in use, the one that has `bin/rustc` and `lib/rustlib`.
fn toolchain() -> Option<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| PathBuf::from(path.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Net, Stage};

    #[test]
    fn a_plain_user_has_a_toolchain_and_no_rights() {
        if !is_root() {
            return crate::skipped("acting as another user needs root");
        }
        let stage = Stage::new(Net::Own).unwrap();
        let plain = Plain::new(stage.dir(), NOBODY).unwrap();
        let script = "id -u; id -G; grep CapEff /proc/self/status; rustc --version && test -w $HOME && ! test -w /etc && echo fine; env | wc -l";
        let output = plain.command("sh").args(["-c", script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..3],
            ["65534", "65534", "CapEff:\t0000000000000000"],
            "{text}"
        );
        assert!(
            lines[3].starts_with("rustc ") && lines[4] == "fine",
            "{text}"
        );
    }
}
