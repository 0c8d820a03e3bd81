//! A small HTTP/1.1 client that hides nothing: no retry, every failure with its cause.

mod client;
mod load;

pub use client::{Client, Failure, Response, free_port, get};
pub use load::{Load, Report};
