//! Waiting for facts, with a deadline, never for time.

use crate::clock;
use anyhow::{Result, bail};
use std::time::Duration;

/// How often a fact is looked at.
const PAUSE: Duration = Duration::from_millis(4);

/// Looks until there is something to see, at most for `within`. `what` names it in the error.
pub fn until<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let start = clock::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if clock::now().duration_since(start) > within {
            bail!("waited {within:?} in vain for {what}");
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_ends_the_wait_and_a_deadline_names_it() {
        let mut looks = 0;
        let seen = until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(seen.unwrap(), 3);
        let late = until(Duration::ZERO, "the moon", || None::<()>);
        assert!(late.unwrap_err().to_string().contains("the moon"));
    }
}
