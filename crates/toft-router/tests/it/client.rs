//! A client that sees everything.

use crate::app::find;
use crate::world::PATIENCE;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// A GET of the path, and its answer.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
        self.answer()
    }

    /// The next answer to a request that has a body in its answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer")
    }

    /// The next answer, `None` when the connection ended before it did.
    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let end = self.fill_until(|read| find(read, b"\r\n\r\n").map(|at| at + 4))?;
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if status < 200 || status == 204 || status == 304 {
            return Some(answer);
        }
        if let Some(length) = answer.field("content-length") {
            let length: usize = length.parse().unwrap();
            self.fill_until(|read| (read.len() >= length).then_some(length))?;
            answer.body = self.read.drain(..length).collect();
        } else if answer.field("transfer-encoding").is_some() {
            answer.body = self.chunks()?;
        } else {
            while self.fill() {}
            answer.body = std::mem::take(&mut self.read);
        }
        Some(answer)
    }

    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.fill_until(|read| find(read, b"\r\n").map(|at| at + 2))?;
            let line = String::from_utf8(self.read.drain(..end).collect()).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            if size == 0 {
                let end = self.fill_until(|read| find(read, b"\r\n").map(|at| at + 2))?;
                self.read.drain(..end);
                return Some(body);
            }
            self.fill_until(|read| (read.len() >= size + 2).then_some(size))?;
            body.extend(self.read.drain(..size));
            assert_eq!(&self.read[..2], b"\r\n");
            self.read.drain(..2);
        }
    }

    /// Whether the other side closed, with nothing unread before.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }

    fn fill_until(&mut self, done: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
        loop {
            if let Some(end) = done(&self.read) {
                return Some(end);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.read.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!(
                    "nothing came in time; so far {:?}",
                    String::from_utf8_lossy(&self.read)
                )
            }
            Err(_) => false,
        }
    }
}
