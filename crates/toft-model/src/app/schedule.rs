//! When a run happens.

use super::Command;
use crate::id::{ProcessName, ScheduleName};
use crate::unit::duration_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// When a run happens, and what follows when it does not: `[schedule.digest]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// What runs.
    pub run: Command,
    /// When; `None`: only after [`ScheduleSpec::after`].
    pub when: Option<When>,
    /// Time zone of [`When::Cron`], a name of the IANA database.
    pub zone: String,
    /// What follows when a slot comes while the one before still runs.
    pub overlap: Overlap,
    /// What follows when nobody was there at a slot's time.
    pub missed: Missed,
    /// By how much a slot may be moved, always the same for the same slot.
    pub jitter: Duration,
    /// What follows a failure; `None`: nothing.
    pub retries: Option<Retries>,
    /// How long a run may take.
    pub limit: Option<Duration>,
    /// The schedule of this app that must have succeeded before.
    pub after: Option<ScheduleName>,
    /// A success is expected at least this often.
    pub expect: Option<Duration>,
    /// Whose sandbox, doors and environment it takes.
    pub like: ProcessName,
}

/// When slots are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Five fields as in crontab(5), single spaces between them.
    Cron(String),
    /// By elapsed time.
    Every(Duration),
}

/// What follows when a slot comes while the one before still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new one is left out.
    #[default]
    Skip,
    /// It waits.
    Queue,
    /// The old one is killed.
    Kill,
    /// Both run.
    Allow,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Kill => "kill",
            Self::Allow => "allow",
        })
    }
}

/// What follows when nobody was there at a slot's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// Nothing; the record says so.
    #[default]
    Never,
    /// One run makes up for all slots of this span.
    OnceWithin(Duration),
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::OnceWithin(span) => write!(f, "once within {}", duration_text(*span)),
        }
    }
}

/// What follows a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// How many more, at least 1.
    pub count: u32,
    /// The wait before the first.
    pub wait: Duration,
    /// How the wait grows.
    pub growth: RetryGrowth,
}

/// How a wait grows from one try to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryGrowth {
    /// Not at all.
    Constant,
    /// Twice the one before.
    Doubling,
}

impl fmt::Display for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.count, duration_text(self.wait))?;
        match self.growth {
            RetryGrowth::Constant => Ok(()),
            RetryGrowth::Doubling => f.write_str(" doubling"),
        }
    }
}
