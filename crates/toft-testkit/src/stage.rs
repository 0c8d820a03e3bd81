//! A piece of the machine where only the test's own processes act.
//!
//! With root rights the test's thread gets a mount namespace of its own (with its own empty `/tmp`,
//! a private `/run`, and `/etc` and `/var` under a layer that takes what is written), optionally a network of its own, and a cgroup of its own in each version 1
//! hierarchy, so that whatever an inventory finds there was made by the test's descendants. Mounts in
//! it are shared, so that a program that forgets to make its own private is found out.
//! Without root the machine is taken as it is, and an inventory looks at the test's own things only.

use crate::inventory::{self, Inventory, Scope, Watch};
use crate::{clock, user};
use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change};
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Which network the stage stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// The machine's.
    Machine,
    /// One of its own with nothing but loopback; the machine's without root rights.
    Own,
}

/// Folders whose contents change by others than an app platform: package managers and system logs.
const NOISY: [&str; 8] = [
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/cache",
    "/var/log",
    "/var/lib/systemd",
    "/etc/ld.so.cache",
    "/var/lib/postgresql",
    "/var/lib/ucf",
];

/// The stage; it belongs to the thread that made it, and to the threads and processes started there.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    scope: Scope,
    cgroups: Vec<PathBuf>,
    left: Vec<PathBuf>,
    of_this_thread: PhantomData<*const ()>,
}

impl Stage {
    /// Sets it up. The thread stays on it for the rest of its life.
    pub fn new(net: Net) -> Result<Self> {
        become_subreaper()?;
        let private = user::is_root();
        let mut stage = Self {
            dir: PathBuf::new(),
            scope: Scope {
                private,
                own_network: private && net == Net::Own,
                watches: Vec::new(),
                cgroups: Vec::new(),
            },
            cgroups: Vec::new(),
            left: Vec::new(),
            of_this_thread: PhantomData,
        };
        if private {
            own_mounts().context("give the test its own mounts")?;
            if net == Net::Own {
                own_network().context("give the test its own network")?;
            }
            stage.own_cgroups();
        }
        stage.dir = fresh_folder()?;
        stage.scope.watches = watches(private, &stage.dir);
        stage.scope.cgroups = inventory::cgroup_tops()?;
        Ok(stage)
    }

    /// A folder of the test's own, open to all.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether only the test's own processes act here.
    pub fn is_private(&self) -> bool {
        self.scope.private
    }

    /// Everything that is there now.
    pub fn inventory(&self) -> Result<Inventory> {
        inventory::take(&self.scope)
    }

    /// Waits until everything is as it was before; the error lists what differs at the deadline.
    pub fn wait_equal(&self, before: &Inventory, within: Duration) -> Result<()> {
        let start = clock::now();
        loop {
            let differs = inventory::diff(before, &self.inventory()?);
            if differs.is_empty() {
                return Ok(());
            }
            if clock::now().duration_since(start) > within {
                bail!(
                    "after {within:?} the machine is not as before:\n{}",
                    differs.join("\n")
                );
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// Goes into a new cgroup of each version 1 hierarchy. A hierarchy that refuses is left alone:
    /// there the inventory goes by names.
    fn own_cgroups(&mut self) {
        for top in inventory::cgroup_tops().unwrap_or_default() {
            if top.join("cgroup.controllers").exists() {
                continue; // A version 2 cgroup with processes could not hand controllers on.
            }
            let own = top.join(format!(
                "toft-stage-{}-{}",
                std::process::id(),
                next_number()
            ));
            if fs::create_dir(&own).is_err() {
                continue;
            }
            if fs::write(own.join("tasks"), "0").is_ok() {
                self.left.push(top);
                self.cgroups.push(own);
            } else {
                let _ = fs::remove_dir(&own); // It never held anything.
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for (top, own) in self.left.iter().zip(&self.cgroups) {
            // A failure leaves an empty cgroup that names this test; there is nobody to tell.
            let _ = fs::write(top.join("tasks"), "0");
            remove_when_empty(own);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes a cgroup of the stage's own. What was killed last may take a moment to leave it.
fn remove_when_empty(cgroup: &Path) {
    const WITHIN: Duration = Duration::from_millis(200);
    let gone = || (remove_below(cgroup) || !cgroup.exists()).then_some(());
    // What stays after that is empty or names this test; there is nobody to tell.
    let _ = crate::wait::until(WITHIN, "an empty cgroup", gone);
}

/// A killed keeper's own cgroups lie below until the next one sweeps them.
fn remove_below(cgroup: &Path) -> bool {
    for below in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&below.path());
        }
    }
    fs::remove_dir(cgroup).is_ok()
}

fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn fresh_folder() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!(
        "toft-stage-{}-{}",
        std::process::id(),
        next_number()
    ));
    fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// Where the layers over the machine's own folders lie; `work` is the kernel's workshop.
const LAYERS: &str = "/tmp/.layers";

/// What a program of ours could write to, and how closely it is looked at.
fn watches(private: bool, dir: &Path) -> Vec<Watch> {
    let mut watches = vec![Watch::whole(dir)];
    let noisy: Vec<PathBuf> = NOISY.iter().map(PathBuf::from).collect();
    for root in ["/tmp", "/run"] {
        let watch = if private {
            Watch::whole(root)
        } else {
            Watch::named(root, "toft")
        };
        let watch = sources_in_tmp()
            .iter()
            .fold(watch.without(dir), |watch, source| watch.without(source));
        watches.push(watch);
    }
    for root in ["/etc", "/var"] {
        let layer = Path::new(LAYERS).join(&root[1..]);
        if layer.exists() {
            // What was written there lies in the layer, which is part of /tmp.
            let work = layer.join("work");
            watches
                .iter_mut()
                .for_each(|watch| watch.skip.push(work.clone()));
        } else {
            watches.push(Watch {
                skip: noisy.clone(),
                ..Watch::whole(root)
            });
        }
    }
    watches.push(Watch::named("/dev/shm", "toft"));
    if let Some(home) = std::env::var_os("HOME") {
        for below in ["", ".config", ".cache", ".local/share", ".local/state"] {
            watches.push(Watch::named(Path::new(&home).join(below), "toft"));
        }
    }
    watches
}

/// Orphans of the test's processes come to the test, so that none of them can get out of sight.
fn become_subreaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

fn own_mounts() -> Result<()> {
    // SAFETY: unsharing the mount namespace (and with it root and working folder) changes what
    // paths mean for this thread and touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error()).context("unshare mounts");
    }
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    own_tmp().context("own /tmp")?;
    own_run().context("own /run")?;
    for root in ["/etc", "/var"] {
        layer(Path::new(root)).with_context(|| format!("a layer over {root}"))?;
    }
    mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )?;
    Ok(())
}

/// Folders that the tests themselves come from, as far as they lie below `/tmp`: the checkout and
/// the folder of the running test.
fn sources_in_tmp() -> Vec<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let running = std::env::current_exe().ok();
    let running = running.as_deref().and_then(Path::parent);
    let mut folders: Vec<PathBuf> = [checkout, running]
        .into_iter()
        .flatten()
        .filter(|folder| folder.starts_with("/tmp"))
        .map(Path::to_path_buf)
        .collect();
    folders.sort();
    folders.dedup_by(|below, above| below.starts_with(above));
    folders
}

/// An empty `/tmp` in which nothing but the tests' own sources are seen, where they lie there.
fn own_tmp() -> Result<()> {
    let sources = sources_in_tmp();
    let open: Vec<fs::File> = sources
        .iter()
        .map(fs::File::open)
        .collect::<Result<_, _>>()?;
    mount("tmpfs", "/tmp", "tmpfs", MountFlags::empty(), c"mode=1777")?;
    for (folder, file) in sources.iter().zip(&open) {
        fs::create_dir_all(folder)?;
        let covered = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
        mount_bind_recursive(covered.as_str(), folder.as_path())?;
    }
    Ok(())
}

/// Puts a layer over a folder that takes all that is written to it: others may install packages
/// meanwhile, and what lies in the layer is still ours alone. Where the kernel has no overlays the
/// folder stays as it is.
fn layer(root: &Path) -> Result<()> {
    let name = root.strip_prefix("/").unwrap_or(root);
    let layer = Path::new(LAYERS).join(name);
    for part in ["upper", "work"] {
        fs::create_dir_all(layer.join(part))?;
    }
    let options = format!(
        "lowerdir={0},upperdir={1}/upper,workdir={1}/work",
        root.display(),
        layer.display()
    );
    let options = std::ffi::CString::new(options)?;
    if mount(
        "overlay",
        root,
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .is_err()
    {
        fs::remove_dir_all(&layer)?;
    }
    Ok(())
}

/// An own `/run` with the machine's entries shown in it, without what Toft itself keeps there.
fn own_run() -> Result<()> {
    let aside = Path::new("/tmp/.run");
    fs::create_dir(aside)?;
    mount_bind_recursive("/run", aside)?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), c"mode=755")?;
    for entry in fs::read_dir(aside)? {
        let entry = entry?;
        let at = Path::new("/run").join(entry.file_name());
        let kind = entry.file_type()?;
        if entry.file_name() == "toft" {
            continue;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &at)?;
            continue;
        } else if kind.is_dir() {
            fs::create_dir(&at)?;
        } else {
            fs::write(&at, "")?;
        }
        mount_bind_recursive(entry.path(), &at)?;
    }
    rustix::mount::unmount(aside, rustix::mount::UnmountFlags::DETACH)?;
    fs::remove_dir(aside)?;
    Ok(())
}

fn own_network() -> Result<()> {
    // SAFETY: changes which network this thread makes sockets in and touches no memory.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error()).context("unshare network");
    }
    loopback_up().context("bring up loopback")
}

/// Brings up the loopback of the network that this thread stands in.
pub fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: `ifreq` is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which lives until the call returns.
    if unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn what_is_left_behind_is_found_and_told() {
        if !user::is_root() {
            return crate::skipped("a stage of one's own needs root");
        }
        let stage = Stage::new(Net::Own).unwrap();
        let before = stage.inventory().unwrap();
        // An orphan in namespaces of its own that listens, a mount, a cgroup, a file in three places.
        let script = "unshare -i sh -c 'exec sleep 1000' & \
            python3 -c 'import socket,time; s=socket.socket(); s.bind((\"\",8080)); s.listen(); time.sleep(1000)' & \
            echo x > /tmp/left; echo x > /run/left; echo x > $0/left; exit 0";
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script])
            .arg(stage.dir())
            .stdout(Stdio::null());
        assert!(shell.status().unwrap().success());
        mount("tmpfs", "/mnt", "tmpfs", MountFlags::empty(), None).unwrap();
        if let Some(cgroup) = stage.cgroups.first() {
            fs::create_dir(cgroup.join("left")).unwrap();
        }
        let differs = crate::wait::until(Duration::from_secs(20), "all of it", || {
            let differs = inventory::diff(&before, &stage.inventory().unwrap());
            let seen = |word: &str| {
                differs
                    .iter()
                    .any(|line| line.starts_with('+') && line.contains(word))
            };
            let words = [
                "`sleep`",
                "mount /mnt",
                "/tmp/left",
                "/run/left",
                "ipc:",
                "0.0.0.0:8080",
            ];
            words.iter().all(|word| seen(word)).then_some(differs)
        });
        let orphans = inventory::descendants().unwrap();
        for orphan in &orphans {
            let pid = rustix::process::Pid::from_raw(i32::try_from(orphan.pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        assert!(orphans.len() >= 2, "{orphans:?}");
        rustix::mount::unmount("/mnt", rustix::mount::UnmountFlags::DETACH).unwrap();
        for cgroup in stage.cgroups.iter().take(1) {
            fs::remove_dir(cgroup.join("left")).unwrap();
        }
        differs.unwrap();
        for left in [Path::new("/tmp"), Path::new("/run"), stage.dir()] {
            fs::remove_file(left.join("left")).unwrap();
        }
        stage.wait_equal(&before, Duration::from_secs(10)).unwrap();
    }
}
