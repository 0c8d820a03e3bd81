//! The one place where this crate reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counts from the start of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell of this role reads the clock here"
    )]
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Milliseconds since the start.
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell of this role reads the clock here"
    )]
    pub(crate) fn now(&self) -> u64 {
        millis(Instant::now().duration_since(self.start))
    }

    /// The instant of a count, for a timer.
    pub(crate) fn instant(&self, at: u64) -> tokio::time::Instant {
        // A count far beyond any life of this process means “never”; a month is enough.
        let capped =
            Duration::from_millis(at).min(Duration::from_secs(86_400 * 30) + self.start.elapsed());
        tokio::time::Instant::from_std(self.start + capped)
    }

    /// Nanoseconds since 1970, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell of this role reads the clock here"
    )]
    pub(crate) fn wall_ns() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since 1970, UTC.
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell of this role reads the clock here"
    )]
    pub(crate) fn wall() -> u64 {
        millis(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
