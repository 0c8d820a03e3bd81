//! One instance that is watched: when to try, what was told. Pure; time is handed down.

use crate::limits::{PROBE_PAUSE_MAX, PROBE_PAUSE_MIN};
use std::time::{Duration, Instant};
use toft_model::table::{Probe, Verdict};

/// When the next try is due and what server knows.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) probe: Probe,
    pub(super) deadline: Instant,
    pause: Duration,
    words: Option<String>,
}

impl Watch {
    pub(super) fn new(probe: Probe, now: Instant) -> Self {
        // A span too long to be added is no deadline at all.
        let deadline = now
            .checked_add(probe.within)
            .unwrap_or(now + Duration::from_secs(1 << 32));
        Self {
            probe,
            deadline,
            pause: PROBE_PAUSE_MIN,
            words: None,
        }
    }

    /// The time of the next try, after one that failed now.
    pub(super) fn next_try(&mut self, now: Instant) -> Instant {
        let due = now + self.pause;
        self.pause = (self.pause * 3 / 2).min(PROBE_PAUSE_MAX);
        due.min(self.deadline)
    }

    /// What to tell when a try met this: nothing when it was told already.
    pub(super) fn not_yet(&mut self, words: String) -> Option<Verdict> {
        if self.words.as_ref() == Some(&words) {
            return None;
        }
        self.words = Some(words.clone());
        Some(Verdict::NotYet(words))
    }

    /// What to tell at the deadline.
    pub(super) fn late(&mut self, otherwise: &str) -> Verdict {
        Verdict::Late(self.words.take().unwrap_or_else(|| otherwise.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toft_model::table::Check;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test starts its time somewhere"
    )]
    fn pauses_grow_and_words_are_told_when_they_change() {
        let start = Instant::now();
        let instance = toft_model::InstanceId {
            app: "shop".parse().unwrap(),
            process: "web".parse().unwrap(),
            index: 0,
            generation: toft_model::Generation(1),
        };
        let within = Duration::from_secs(2);
        let mut watch = Watch::new(
            Probe {
                instance,
                check: Check::Notify,
                within,
            },
            start,
        );
        let mut now = start;
        let mut pauses = Vec::new();
        while now < watch.deadline {
            let next = watch.next_try(now);
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(
            pauses,
            [
                5, 7, 11, 16, 25, 37, 56, 85, 128, 192, 250, 250, 250, 250, 250, 183
            ]
        );
        let not_yet = |words: &str| Some(Verdict::NotYet(words.to_owned()));
        assert_eq!(watch.not_yet("a".to_owned()), not_yet("a"));
        assert_eq!(watch.not_yet("a".to_owned()), None);
        assert_eq!(watch.not_yet("b".to_owned()), not_yet("b"));
        assert_eq!(watch.late("nothing"), Verdict::Late("b".to_owned()));
    }
}
