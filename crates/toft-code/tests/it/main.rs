//! Against the real machine: its packages, its loader, its programs, its kills.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests: they end at once and say why they skip"
)]

mod chroot;
mod kills;
mod sets;
