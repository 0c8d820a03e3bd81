//! The peers: bubblewrap and crun, with the same files to see as an instance of ours.

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The machine's folders and links that every side shows, read-only: what a program needs.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// Folders.
    pub(crate) folders: Vec<PathBuf>,
    /// Links, by place and target.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

impl Shown {
    /// `/usr`, and what stands for its parts in `/`.
    pub(crate) fn of_machine() -> Self {
        let mut shown = Self {
            folders: vec!["/usr".into()],
            links: Vec::new(),
        };
        for name in ["/bin", "/sbin", "/lib", "/lib64"] {
            let path = PathBuf::from(name);
            match fs::read_link(&path) {
                Ok(target) => shown.links.push((path, target)),
                Err(_) if path.is_dir() => shown.folders.push(path),
                Err(_) => {}
            }
        }
        shown
    }
}

/// `bwrap --unshare-all`, around this command.
pub(crate) fn bubblewrap(shown: &Shown, argv: &[&str]) -> Command {
    let mut command = Command::new("bwrap");
    command.args([
        "--unshare-all",
        "--die-with-parent",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
    ]);
    for folder in &shown.folders {
        command.arg("--ro-bind").arg(folder).arg(folder);
    }
    for (place, target) in &shown.links {
        command.arg("--symlink").arg(target).arg(place);
    }
    command
        .args(argv)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A bundle for crun.
#[derive(Debug)]
pub(crate) struct Bundle {
    folder: PathBuf,
    next: u32,
}

impl Bundle {
    /// Writes one that runs this command, below `dir`.
    pub(crate) fn write(dir: &Path, shown: &Shown, argv: &[&str]) -> Result<Self> {
        let folder = dir.join("bundle");
        let root = folder.join("rootfs");
        for inside in ["proc", "dev", "tmp"]
            .iter()
            .map(PathBuf::from)
            .chain(shown.folders.iter().map(|f| relative(f)))
        {
            fs::create_dir_all(root.join(inside))?;
        }
        for (place, target) in &shown.links {
            std::os::unix::fs::symlink(target, root.join(relative(place)))?;
        }
        fs::write(
            folder.join("config.json"),
            serde_json::to_vec_pretty(&config(shown, argv))?,
        )?;
        Ok(Self { folder, next: 0 })
    }

    /// The command that runs it to its end.
    pub(crate) fn run(&mut self) -> Command {
        self.next += 1;
        let mut command = Command::new("crun");
        command
            .arg("--root")
            .arg(self.folder.join("state"))
            .arg("--cgroup-manager=disabled")
            .arg("run");
        command.arg("--bundle").arg(&self.folder).arg(format!(
            "bench-{}-{}",
            std::process::id(),
            self.next
        ));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

/// The least of a runtime specification that has what `bwrap --unshare-all` has.
fn config(shown: &Shown, argv: &[&str]) -> serde_json::Value {
    let mut mounts = vec![
        serde_json::json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        serde_json::json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}),
        serde_json::json!({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}),
    ];
    for folder in &shown.folders {
        let options = ["rbind", "ro", "nosuid", "nodev"];
        mounts.push(serde_json::json!({"destination": folder, "type": "bind", "source": folder, "options": options}));
    }
    let namespaces: Vec<_> = ["pid", "ipc", "uts", "mount", "network"]
        .iter()
        .map(|kind| serde_json::json!({"type": kind}))
        .collect();
    serde_json::json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 1000, "gid": 1000},
            "args": argv,
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "bench",
        "mounts": mounts,
        "linux": {"namespaces": namespaces},
    })
}

/// Hides the version 2 hierarchy from this thread and what it starts: crun refuses to start where
/// both versions are mounted.
pub(crate) fn hide_hybrid_cgroups() -> Result<()> {
    let unified = Path::new("/sys/fs/cgroup/unified");
    if !unified.join("cgroup.controllers").exists() {
        return Ok(());
    }
    // SAFETY: changes what paths mean for this thread, and touches no memory.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    ensure!(
        done == 0,
        "unshare mounts: {}",
        std::io::Error::last_os_error()
    );
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    unmount(unified, UnmountFlags::DETACH).context("hide the version 2 hierarchy")
}

/// Whether a program is installed.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_peers_run_the_program() {
        if !toft_testkit::user::is_root() {
            return toft_testkit::skipped("the peers of the benches are run as root");
        }
        let shown = Shown::of_machine();
        if installed("bwrap") {
            assert!(
                bubblewrap(&shown, &["/bin/true"])
                    .status()
                    .unwrap()
                    .success()
            );
            assert!(
                !bubblewrap(&shown, &["/bin/false"])
                    .status()
                    .unwrap()
                    .success()
            );
        } else {
            toft_testkit::skipped("bubblewrap is not installed");
        }
        if installed("crun") {
            let dir = tempfile::tempdir().unwrap();
            let mut bundle = Bundle::write(dir.path(), &shown, &["/bin/true"]).unwrap();
            hide_hybrid_cgroups().unwrap();
            for _ in 0..2 {
                assert!(bundle.run().status().unwrap().success());
            }
        } else {
            toft_testkit::skipped("crun is not installed");
        }
    }
}
