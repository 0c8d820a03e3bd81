//! Text in, text out.

mod tmp;
