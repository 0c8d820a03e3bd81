//! Stable codes for what a person can meet while an app is started and runs.
//!
//! Each has a section in `docs/errors/` that says what it means and what to do. A code never
//! changes its meaning and is never used again for another. Mistakes in an app file have codes of
//! their own, beside the decoder.

use crate::event::What;
use crate::instance::{End, Outcome};
use std::fmt;

/// One code, printed as `E0201`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(&'static str);

impl Code {
    /// A step of an instance's start was refused by the kernel or by a rule.
    pub const NOT_STARTED: Self = Self("E0201");
    /// Toft itself could not start on this machine.
    pub const NO_KEEPER: Self = Self("E0202");
    /// A build ended with another code than 0.
    pub const BUILD_FAILED: Self = Self("E0301");
    /// A build was ended by a signal.
    pub const BUILD_KILLED: Self = Self("E0302");
    /// A folder of which nobody can say what it is.
    pub const NOT_RECOGNISED: Self = Self("E0303");
    /// An outside address and port that somebody else has.
    pub const PORT_TAKEN: Self = Self("E0401");
    /// An instance was not ready in time.
    pub const NOT_READY: Self = Self("E0501");
    /// An instance ended by itself, with a code.
    pub const ENDED: Self = Self("E0502");
    /// A signal ended an instance, and Toft did not send it.
    pub const KILLED: Self = Self("E0503");
    /// The kernel killed in an instance for want of memory.
    pub const OUT_OF_MEMORY: Self = Self("E0504");
    /// A release was given up; the one before it goes on.
    pub const GIVEN_UP: Self = Self("E0505");

    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The code of an event that a person should look up; `None` for what goes as it should.
    pub fn of(what: &What) -> Option<Self> {
        match what {
            What::Refused { .. } => Some(Self::NOT_STARTED),
            What::Late { .. } => Some(Self::NOT_READY),
            What::GivenUp { .. } => Some(Self::GIVEN_UP),
            What::Exited { outcome, .. } if !outcome.asked => Some(Self::of_end(outcome)),
            What::RunEnded { outcome, .. } if !outcome.asked => Self::of_build(outcome),
            _ => None,
        }
    }

    fn of_end(outcome: &Outcome) -> Self {
        match outcome.end {
            _ if outcome.oom_kills > 0 => Self::OUT_OF_MEMORY,
            End::Signal(_) => Self::KILLED,
            End::Code(_) | End::Unknown => Self::ENDED,
        }
    }

    fn of_build(outcome: &Outcome) -> Option<Self> {
        match outcome.end {
            End::Code(0) => None,
            _ if outcome.oom_kills > 0 => Some(Self::OUT_OF_MEMORY),
            End::Signal(_) => Some(Self::BUILD_KILLED),
            End::Code(_) | End::Unknown => Some(Self::BUILD_FAILED),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome(end: End, oom_kills: u64) -> Outcome {
        let lived = Duration::from_secs(1);
        Outcome {
            end,
            oom_kills,
            memory_peak: None,
            asked: false,
            lived,
        }
    }

    #[test]
    fn an_end_is_named_by_its_cause() {
        assert_eq!(Code::of_end(&outcome(End::Code(1), 0)), Code::ENDED);
        assert_eq!(Code::of_end(&outcome(End::Code(0), 0)), Code::ENDED);
        assert_eq!(Code::of_end(&outcome(End::Signal(11), 0)), Code::KILLED);
        assert_eq!(
            Code::of_end(&outcome(End::Signal(9), 1)),
            Code::OUT_OF_MEMORY
        );
    }

    #[test]
    fn a_build_that_ended_well_has_no_code() {
        assert_eq!(Code::of_build(&outcome(End::Code(0), 0)), None);
        assert_eq!(
            Code::of_build(&outcome(End::Code(101), 0)),
            Some(Code::BUILD_FAILED)
        );
        assert_eq!(
            Code::of_build(&outcome(End::Signal(9), 0)),
            Some(Code::BUILD_KILLED)
        );
    }
}
