//! A process' identity beyond its number, and its end.

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::os::fd::BorrowedFd;

/// Start time of a process in clock ticks since boot (proc(5), field 22 of `stat`); `None` when
/// there is no such process. With the number it names one process for ever.
pub fn start_time(pid: u32) -> Option<u64> {
    field_22(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Waits for the end of a child, also of one whose exit signal is none, and takes it away.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) {
    let all = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL as u32);
    while matches!(waitid(WaitId::PidFd(pidfd), all), Err(Errno::INTR)) {}
}

/// The name in the second field may have spaces and brackets of its own: the last one ends it.
fn field_22(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_shift_the_fields() {
        let fields = (3..=52)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(field_22(&format!("1 (a b) {fields}")), Some(22));
        assert_eq!(field_22(&format!("1 (a) 9 9 (x) {fields}")), Some(22));
        assert_eq!(field_22(""), None);
        assert!(start_time(std::process::id()).is_some());
    }
}
