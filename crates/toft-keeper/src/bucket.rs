//! A token bucket: so many a second, with a burst. Time is handed in.

use std::time::{Duration, Instant};

/// Lets `rate` things a second pass, and up to `burst` at once after a quiet while.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    rate: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Full at first.
    pub(crate) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self {
            rate,
            burst,
            level: burst,
            at: now,
        }
    }

    /// Takes `count`, all or nothing.
    pub(crate) fn take(&mut self, count: u32, now: Instant) -> bool {
        self.refill(now);
        let enough = self.level >= f64::from(count);
        if enough {
            self.level -= f64::from(count);
        }
        enough
    }

    fn refill(&mut self, now: Instant) {
        let span = now.saturating_duration_since(self.at);
        if span > Duration::ZERO {
            self.level = (self.level + span.as_secs_f64() * self.rate).min(self.burst);
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do as the start of a made-up time"
    )]
    fn it_lets_the_burst_pass_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        assert_eq!((0..9).filter(|_| bucket.take(1, start)).count(), 5);
        let later = start + Duration::from_millis(200);
        assert_eq!((0..9).filter(|_| bucket.take(1, later)).count(), 2);
        let much_later = start + Duration::from_secs(3600);
        assert!(!bucket.take(6, much_later));
        assert!(bucket.take(5, much_later));
        assert!(!bucket.take(1, start), "time that goes back gives nothing");
    }
}
