//! The small grammars inside of values: quantities, names, commands, doors, paths, times.
//!
//! Each function reads one piece of text, and where it cannot, reports why at the very characters.

pub(crate) mod command;
pub(crate) mod cron;
pub(crate) mod door;
pub(crate) mod name;
pub(crate) mod path;
pub(crate) mod phrase;
pub(crate) mod quantity;
