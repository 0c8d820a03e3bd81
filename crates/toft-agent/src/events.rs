//! The event log of this server's life: numbered, bounded, with followers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use toft_model::AppName;
use toft_model::event::{Event, What};
use tokio::sync::watch;

/// How many events are kept for those who come late.
const KEPT_MAX: usize = 10_000;

/// Events, shared between the one who writes and many who follow.
#[derive(Debug, Clone)]
pub(crate) struct EventLog {
    kept: Arc<Mutex<VecDeque<Event>>>,
    newest: watch::Sender<u64>,
}

impl EventLog {
    pub(crate) fn new() -> Self {
        Self {
            kept: Arc::default(),
            newest: watch::Sender::new(0),
        }
    }

    /// Appends one.
    pub(crate) fn add(&self, app: &AppName, at_ms: u64, what: What) {
        let number = *self.newest.borrow() + 1;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Event {
            number,
            at_ms,
            app: app.clone(),
            what,
        });
        drop(kept);
        self.newest.send_replace(number);
    }

    /// The first event after this number that is kept.
    pub(crate) fn after(&self, number: u64) -> Option<Event> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.partition_point(|event| event.number <= number);
        kept.get(at).cloned()
    }

    /// Tells when the newest number changes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}
