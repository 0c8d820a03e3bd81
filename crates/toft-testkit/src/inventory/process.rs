//! Processes, from /proc: who descends from whom.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;

/// One process (proc(5), `/proc/PID/stat`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Name of its program, at most 15 bytes.
    pub comm: String,
    /// One letter: `R`, `S`, `Z` …
    pub state: char,
    /// Its parent.
    pub parent: u32,
    /// Clock ticks from boot to its start; with `pid` its identity.
    pub start_time: u64,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            comm,
            state,
            parent,
            start_time,
        } = self;
        write!(
            f,
            "process {pid} `{comm}` (started at {start_time}, state {state}, parent {parent})"
        )
    }
}

impl Process {
    /// Reads one; `None` when it is gone.
    pub fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        let (head, tail) = stat.rsplit_once(") ")?;
        let (pid, comm) = head.split_once(" (")?;
        let fields: Vec<&str> = tail.split(' ').collect();
        Some(Self {
            pid: pid.parse().ok()?,
            comm: comm.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            start_time: fields.get(19)?.parse().ok()?,
        })
    }
}

/// All processes that /proc shows.
pub fn processes() -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc").context("read /proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(Process::read).collect())
}

/// All living descendants of this process. Its own dead children are left out: waiting for them is
/// this process' affair.
pub fn descendants() -> Result<Vec<Process>> {
    let me = std::process::id();
    let all = processes()?;
    let mut family = BTreeSet::from([me]);
    loop {
        let before = family.len();
        family.extend(
            all.iter()
                .filter(|p| family.contains(&p.parent))
                .map(|p| p.pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    let counts =
        |p: &Process| p.pid != me && family.contains(&p.pid) && !(p.state == 'Z' && p.parent == me);
    Ok(all.into_iter().filter(counts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 345 1 2 3";
        let process = Process::parse(stat).unwrap();
        assert_eq!(
            (process.pid, process.parent, process.start_time),
            (7, 1, 345)
        );
        assert_eq!(process.comm, "a) b (c");
    }
}
