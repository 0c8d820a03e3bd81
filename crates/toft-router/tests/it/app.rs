//! Programs behind the router.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What an app saw of a request.
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A program that listens on a port of its own.
pub(crate) struct App {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl App {
    /// Gives each connection to `serve` on a thread of its own.
    pub(crate) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    pub(crate) fn on(
        listener: TcpListener,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (count, stopped, serve) =
            (Arc::clone(&connections), Arc::clone(&stop), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || serve(stream));
            }
        });
        Self {
            port,
            connections,
            requests: Arc::default(),
            stop,
        }
    }

    /// Answers each request with what `answer` writes; `false` ends the connection.
    pub(crate) fn http(
        answer: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::http_on(TcpListener::bind("127.0.0.1:0").unwrap(), answer)
    }

    pub(crate) fn http_on(
        listener: TcpListener,
        answer: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let mut app = Self::on(listener, move |mut stream| {
            let mut read = Vec::new();
            while let Some(seen) = next_request(&mut stream, &mut read) {
                count.fetch_add(1, Ordering::SeqCst);
                if !answer(&seen, &mut stream) {
                    return;
                }
            }
        });
        app.requests = requests;
        app
    }

    /// Says its name to every request.
    pub(crate) fn named(name: &str) -> Self {
        let name = name.to_owned();
        Self::http(move |_, stream| say(stream, &name))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A plain answer that keeps the connection.
pub(crate) fn say(stream: &mut TcpStream, text: &str) -> bool {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).is_ok()
}

/// Reads one request with its body; `None` at the end.
pub(crate) fn next_request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<Seen> {
    let end = fill_until(stream, read, |read| {
        find(read, b"\r\n\r\n").map(|at| at + 4)
    })?;
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    read.drain(..end);
    let mut seen = Seen {
        head,
        body: Vec::new(),
    };
    if let Some(length) = seen.field("content-length") {
        let length: usize = length.parse().unwrap();
        fill_until(stream, read, |read| {
            (read.len() >= length).then_some(length)
        })?;
        seen.body = read.drain(..length).collect();
    } else if seen.field("transfer-encoding").is_some() {
        let end = fill_until(stream, read, |read| {
            find(read, b"0\r\n\r\n").map(|at| at + 5)
        })?;
        seen.body = read.drain(..end).collect();
    }
    Some(seen)
}

fn fill_until(
    stream: &mut TcpStream,
    read: &mut Vec<u8>,
    done: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    let mut buffer = vec![0; 65536];
    loop {
        if let Some(end) = done(read) {
            return Some(end);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => read.extend_from_slice(&buffer[..length]),
        }
    }
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A port that refuses, and that nobody else is given as long as the socket is there.
pub(crate) fn silent_port() -> (OwnedFd, u16) {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap();
    (socket, address.port())
}
