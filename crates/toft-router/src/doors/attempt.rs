//! One try over a socket: connect, and for HTTP ask and read the head of the answer.

use crate::http1::{HeadScan, parse_response};
use crate::net::{self, Pending, Read};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use toft_model::unit::duration_text;

/// What came of a try: nothing yet, ready, or not ready in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Pending,
    Ready,
    Failed(String),
}

/// A try that runs.
pub(super) struct Attempt {
    pub(super) fd: OwnedFd,
    port: u16,
    /// GET this, or be content with the connection.
    path: Option<String>,
    connected: bool,
    out: Pending,
    read: Vec<u8>,
    scan: HeadScan,
}

impl Attempt {
    /// Over a blank socket that is registered with the loop.
    pub(super) fn new(fd: OwnedFd, port: u16, path: Option<String>) -> Self {
        Self {
            fd,
            port,
            path,
            connected: false,
            out: Pending::default(),
            read: Vec::new(),
            scan: HeadScan::default(),
        }
    }

    /// Begins.
    pub(super) fn begin(&mut self) -> Outcome {
        match net::connect(&self.fd, self.port) {
            Ok(()) => self.go_on(),
            Err(error) => Outcome::Failed(self.refused(error)),
        }
    }

    /// Something happened on the socket.
    pub(super) fn go_on(&mut self) -> Outcome {
        if !self.connected {
            match net::is_connected(&self.fd) {
                Ok(false) => return Outcome::Pending,
                Ok(true) => self.connected = true,
                Err(error) => return Outcome::Failed(self.refused(error)),
            }
            match &self.path {
                None => return Outcome::Ready,
                Some(path) => self.out.put(&request(path)),
            }
        }
        if self.out.flush(&self.fd).is_err() {
            return Outcome::Failed(self.asked("the connection was closed"));
        }
        self.read_answer()
    }

    fn read_answer(&mut self) -> Outcome {
        let mut buffer = [0u8; 4096];
        loop {
            match net::read(&self.fd, &mut buffer) {
                Read::Later => return Outcome::Pending,
                Read::End | Read::Broken(_) => {
                    return Outcome::Failed(self.asked("closed the connection without an answer"));
                }
                Read::Bytes(length) => self.read.extend_from_slice(&buffer[..length]),
            }
            if let Some(outcome) = self.judge() {
                return outcome;
            }
        }
    }

    fn judge(&mut self) -> Option<Outcome> {
        loop {
            let head = match self.scan.find(&self.read) {
                Ok(None) => return None,
                Ok(Some(length)) => parse_response(&self.read[..length], &mut Vec::new(), false)
                    .map(|answer| (answer.status, length)),
                Err(malformed) => Err(malformed),
            };
            match head {
                Err(malformed) => {
                    let words = format!("answered something that is not HTTP: {malformed}");
                    return Some(Outcome::Failed(self.asked(&words)));
                }
                Ok((100..=199, length)) => {
                    self.read.drain(..length);
                    self.scan = HeadScan::default();
                }
                Ok((200..=399, _)) => return Some(Outcome::Ready),
                Ok((status, _)) => {
                    return Some(Outcome::Failed(self.asked(&format!("answered {status}"))));
                }
            }
        }
    }

    /// It took too long.
    pub(super) fn late(&self, after: std::time::Duration) -> String {
        let after = duration_text(after);
        if self.connected {
            self.asked(&format!("was not answered within {after}"))
        } else {
            format!("port {} took no connection within {after}", self.port)
        }
    }

    /// Whether a connection was made, so that the program has it too.
    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    fn asked(&self, what: &str) -> String {
        let path = self.path.as_deref().unwrap_or("/");
        format!("GET {path} on port {} {what}", self.port)
    }

    fn refused(&self, error: Errno) -> String {
        match error {
            Errno::CONNREFUSED => format!("connection refused on port {}", self.port),
            other => format!("port {} cannot be reached: {other}", self.port),
        }
    }
}

fn request(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: toft-ready\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}
