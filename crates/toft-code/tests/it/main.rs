//! Against the real machine: its packages, its loader, its programs, its kills.

mod chroot;
mod kills;
mod sets;
