//! The one place where chores print.

use std::io::Write;

/// Prints one line, or several. A closed pipe is no reason to fail a chore.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
