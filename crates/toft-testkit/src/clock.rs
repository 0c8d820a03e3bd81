//! The clock, read in one place.

use std::time::Instant;

/// The present.
#[expect(
    clippy::disallowed_methods,
    reason = "a test kit is a shell: it waits in real time"
)]
pub fn now() -> Instant {
    Instant::now()
}
