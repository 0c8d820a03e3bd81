//! What a network namespace costs that no cgroup is charged for.
//!
//! Its settings and tables are in the kernel's own memory, which shows in the figures of the whole
//! machine only; a few hundred at once stand out from everything else there.

use super::meter::{self, Memory};
use anyhow::{Context, Result, ensure};
use std::fs::File;

/// How many are made: few enough for the descriptors that hold them.
const COUNT: usize = 400;

/// KiB for each network namespace with its loopback up, beyond what is charged.
pub(super) fn uncharged_kib() -> Result<f64> {
    // On a thread of its own, which ends in a network that nobody else wants.
    let measured = std::thread::spawn(measure).join();
    measured.map_err(|_| anyhow::anyhow!("making networks broke"))?
}

fn measure() -> Result<f64> {
    let memory = Memory::new("networks")?;
    let (charged, machine) = (memory.charged()?, meter::kernel_memory()?);
    let mut held = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        // SAFETY: changes which network this thread makes sockets in, and touches no memory.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        ensure!(
            done == 0,
            "unshare network: {}",
            std::io::Error::last_os_error()
        );
        toft_testkit::stage::loopback_up().context("bring up loopback")?;
        held.push(File::open("/proc/thread-self/ns/net")?);
    }
    let machine = meter::kernel_memory()?.saturating_sub(machine);
    let charged = memory.charged()?.kernel.saturating_sub(charged.kernel);
    drop(held);
    Ok(machine.saturating_sub(charged) as f64 / 1024.0 / COUNT as f64)
}
