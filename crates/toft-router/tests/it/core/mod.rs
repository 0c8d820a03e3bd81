//! The HTTP/1.1 core alone: bytes in, bytes out.

mod answers;
mod desync;
pub(crate) mod drive;
mod mutate;
mod requests;
