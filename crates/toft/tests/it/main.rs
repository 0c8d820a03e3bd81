//! The whole product, as a person uses it: the real binary, in a terminal or through pipes, as root
//! and as a plain user, on a stage where everything that it leaves behind is found.

mod bad;
mod copies;
mod ends;
mod guestbook;
mod probes;
mod roles;
mod saves;
mod world;
