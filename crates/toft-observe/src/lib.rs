//! What running things say: log rings, following them, and lines for people.
//!
//! The logger writes each instance's lines into a [`ring`]; everybody else reads it, without locks
//! and without asking the writer. [`watch`] wakes a reader, [`render`] makes lines for people.
//! This crate prints nothing and reads no clock.

pub mod render;
pub mod ring;
pub mod watch;

pub use toft_model::frame::{Flags, Frame, Head, Stream};
