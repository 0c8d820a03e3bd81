//! An app that does nothing: it listens on a port that is free and answers whoever comes. For benchmarks.

use std::io::Write;
use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 0))?;
    for stream in listener.incoming() {
        stream?.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")?;
    }
    Ok(())
}
