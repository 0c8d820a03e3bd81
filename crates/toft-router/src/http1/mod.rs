//! HTTP/1.1 (RFC 9112) without sockets or clocks: bytes in, bytes and decisions out.
//!
//! The parser accepts less than the standard allows where leniency has served request smuggling:
//! one way to say where a message ends, or none. Heads are always written anew from what was
//! understood, so that what the next program reads is what was decided upon here. Any cut of the
//! input into reads gives the same output.

mod body;
mod bytes;
mod chunked;
mod exchange;
mod fields;
mod malformed;
mod page;
mod pieces;
mod request;
mod response;
mod scan;

pub use body::{Body, Writing};
pub use exchange::{Exchange, Phase};
pub use fields::{Field, Kind, Span};
pub use malformed::Malformed;
pub use page::{Cause, error_page};
pub use pieces::{Piece, Pieces};
pub use request::{Client, Framing, Request, Version, host_name, parse_request, write_request};
pub use response::{Response, parse_response};
pub use scan::HeadScan;
