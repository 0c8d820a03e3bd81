//! What a run costs: processor time of every process in a cgroup of our own, also of those that
//! nobody waits for, and the memory that the kernel charges to it.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toft_testkit::inventory::cgroup_tops;

/// The clock of the benches.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark is a shell: it reads the clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Puts this process, and all that it starts, before all other work of the machine.
pub(crate) fn before_all_others() -> Result<(), std::io::Error> {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: reads one struct, which lives until the call returns.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// A cgroup that this process, or a thread of it, goes into; removed when dropped.
#[derive(Debug)]
struct Group {
    top: PathBuf,
    own: PathBuf,
}

impl Group {
    fn make(top: &Path, name: &str) -> Option<Self> {
        let own = top.join(format!("toft-bench-{name}-{}", std::process::id()));
        fs::create_dir(&own).ok()?;
        Some(Self {
            top: top.to_owned(),
            own,
        })
    }

    /// Moves the calling thread where threads can be moved by themselves (version 1), else all.
    fn enter(&self) -> Result<()> {
        move_to(&self.own)
    }
}

fn move_to(group: &Path) -> Result<()> {
    let file = if group.join("tasks").exists() {
        "tasks"
    } else {
        "cgroup.procs"
    };
    fs::write(group.join(file), "0").with_context(|| format!("enter {}", group.display()))
}

impl Drop for Group {
    fn drop(&mut self) {
        // What cannot be removed is empty and named after this bench; there is nobody to tell.
        let _ = move_to(&self.top);
        let _ = fs::remove_dir(&self.own);
    }
}

/// Counts processor time.
#[derive(Debug)]
pub(crate) struct Processor {
    _group: Group,
    counter: File,
    version_2: bool,
}

impl Processor {
    /// Puts this process and what it starts from now on into a cgroup that counts.
    pub(crate) fn new() -> Result<Self> {
        for top in cgroup_tops()? {
            let version_2 = top.join("cgroup.controllers").exists();
            if !version_2 && !top.join("cpuacct.usage").exists() {
                continue;
            }
            let Some(group) = Group::make(&top, "cpu") else {
                continue;
            };
            if fs::write(group.own.join("cgroup.procs"), "0").is_err() {
                continue;
            }
            let name = if version_2 {
                "cpu.stat"
            } else {
                "cpuacct.usage"
            };
            let counter = File::open(group.own.join(name))?;
            return Ok(Self {
                _group: group,
                counter,
                version_2,
            });
        }
        bail!("no cgroup that counts processor time may be made here: run this as root")
    }

    /// Everything used so far.
    pub(crate) fn used(&self) -> Result<Duration> {
        let mut text = [0; 1024];
        let length = self.counter.read_at(&mut text, 0)?;
        let text = std::str::from_utf8(&text[..length])?;
        let number = |text: &str| text.trim().parse::<u64>().context("read a counter");
        if self.version_2 {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("usage_usec "));
            Ok(Duration::from_micros(number(
                line.context("no usage_usec")?,
            )?))
        } else {
            Ok(Duration::from_nanos(number(text)?))
        }
    }
}

/// Counts memory of what one thread starts.
#[derive(Debug)]
pub(crate) struct Memory {
    group: Group,
    version_2: bool,
}

/// Bytes charged to a cgroup.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charged {
    /// All of it.
    pub(crate) all: u64,
    /// The kernel's part.
    pub(crate) kernel: u64,
}

impl Memory {
    /// Puts the calling thread, and what it starts from now on, into a cgroup that counts.
    pub(crate) fn new(name: &str) -> Result<Self> {
        for top in cgroup_tops()? {
            let version_1 = top.join("memory.usage_in_bytes").exists();
            let version_2 = fs::read_to_string(top.join("cgroup.subtree_control"))
                .is_ok_and(|on| on.contains("memory"));
            if !version_1 && !version_2 {
                continue;
            }
            if let Some(group) = Group::make(&top, name) {
                group.enter()?;
                return Ok(Self { group, version_2 });
            }
        }
        bail!("no cgroup that counts memory may be made here: run this as root")
    }

    /// What is charged now.
    pub(crate) fn charged(&self) -> Result<Charged> {
        let read = |name: &str| -> Result<u64> {
            let path = self.group.own.join(name);
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            Ok(text.trim().parse()?)
        };
        if self.version_2 {
            let stat = fs::read_to_string(self.group.own.join("memory.stat"))?;
            let kernel = stat.lines().find_map(|line| line.strip_prefix("kernel "));
            return Ok(Charged {
                all: read("memory.current")?,
                kernel: kernel
                    .context("no `kernel` in memory.stat")?
                    .trim()
                    .parse()?,
            });
        }
        Ok(Charged {
            all: read("memory.usage_in_bytes")?,
            kernel: read("memory.kmem.usage_in_bytes")?,
        })
    }
}

/// The kernel's own memory on the whole machine, in bytes: what is not charged to anybody is in it
/// too, a network namespace's above all.
pub(crate) fn kernel_memory() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let field = |name: &str| -> u64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0)
    };
    let fields = ["Slab", "Percpu", "KernelStack", "PageTables", "VmallocUsed"];
    Ok(fields.iter().map(|name| field(name)).sum::<u64>() * 1024)
}
