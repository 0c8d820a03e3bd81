//! What an app is made of: how a folder is recognised, which parts of the machine a program needs
//! to see, and how its code becomes a release.
//!
//! Everything here reads the machine with the caller's own rights and hands back plain data; what
//! is shown to an instance is enforced elsewhere, from that data.

pub mod copy;
mod data;
pub mod detect;
pub mod own;
mod paths;
pub mod sets;
pub mod shown;
