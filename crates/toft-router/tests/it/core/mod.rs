//! The HTTP/1.1 core alone: bytes in, bytes out.

mod answers;
mod desync;
mod drive;
mod mutate;
mod requests;
