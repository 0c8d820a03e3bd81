//! The crash schedule: fixed, visible, tunable.

use crate::state::Millis;

/// When a program that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// First wait in milliseconds.
    pub from: Millis,
    /// Longest wait.
    pub to: Millis,
    /// A life at least this long is a good one: the count starts over.
    pub reset_after: Millis,
    /// Programs that end are not started again.
    pub never: bool,
}

impl Schedule {
    /// The wait before restart number `crashes` (from 1): `from`, then doubled each time, at most `to`.
    pub fn wait(&self, crashes: u32) -> Millis {
        let doublings = crashes.saturating_sub(1).min(63);
        self.from
            .saturating_mul(1u64.checked_shl(doublings).unwrap_or(u64::MAX))
            .min(self.to)
    }

    /// How many crashes in a row there are after one more, given how long that life was.
    pub fn crashes_after(&self, before: u32, lived: Millis) -> u32 {
        if lived >= self.reset_after {
            1
        } else {
            before.saturating_add(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_over() {
        let s = Schedule {
            from: 1_000,
            to: 300_000,
            reset_after: 300_000,
            never: false,
        };
        let waits: Vec<_> = (1..=11).map(|n| s.wait(n) / 1000).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(s.wait(u32::MAX), 300_000);
        assert_eq!(s.crashes_after(7, 10), 8);
        assert_eq!(s.crashes_after(7, 300_000), 1);
    }
}
