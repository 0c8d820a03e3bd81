//! One keep-alive connection, blocking, with a deadline for each request.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// The largest body that is taken.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// Where a request failed; each is a failure that a visitor would have seen.
#[derive(Debug)]
pub enum Failure {
    /// No connection.
    Connect(io::Error),
    /// The request could not be sent whole.
    Send(io::Error),
    /// The connection ended before the first byte of the answer; true when it had served before.
    Closed {
        /// Whether this connection had answered an earlier request.
        reused: bool,
    },
    /// The head of the answer could not be read.
    Head(String),
    /// The body ended early.
    Body(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(e) => write!(f, "connect: {e}"),
            Failure::Send(e) => write!(f, "send: {e}"),
            Failure::Closed { reused: true } => {
                f.write_str("a kept connection closed instead of an answer")
            }
            Failure::Closed { reused: false } => {
                f.write_str("a new connection closed instead of an answer")
            }
            Failure::Head(e) => write!(f, "head: {e}"),
            Failure::Body(e) => write!(f, "body: {e}"),
        }
    }
}

impl std::error::Error for Failure {}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Header lines as they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its whole body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client of one address that keeps its connection as long as the other side does.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    host: String,
    timeout: Duration,
    kept: Option<BufReader<TcpStream>>,
}

impl Client {
    /// For this address; `host` goes into each request.
    pub fn new(address: SocketAddr, host: &str) -> Self {
        Self {
            address,
            host: host.to_owned(),
            timeout: Duration::from_secs(10),
            kept: None,
        }
    }

    /// For `http://HOST:PORT/…`; names under `localhost` are 127.0.0.1.
    pub fn of_url(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let host = rest.split('/').next()?;
        let (name, port) = host.rsplit_once(':')?;
        let address = if name == "localhost" || name.ends_with(".localhost") {
            "127.0.0.1"
        } else {
            name
        };
        Some(Self::new(
            SocketAddr::new(address.parse().ok()?, port.parse().ok()?),
            host,
        ))
    }

    /// How long a whole request may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a connection is kept for the next request.
    pub fn has_connection(&self) -> bool {
        self.kept.is_some()
    }

    /// GET.
    pub fn get(&mut self, path: &str) -> Result<Response, Failure> {
        self.request("GET", path, &[], &[])
    }

    /// POST of a form body.
    pub fn post_form(&mut self, path: &str, body: &str) -> Result<Response, Failure> {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        self.request("POST", path, &form, body.as_bytes())
    }

    /// One request and its whole answer, on the kept connection when there is one.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Failure> {
        let reused = self.kept.is_some();
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => self.connect().map_err(Failure::Connect)?,
        };
        let request = self.head(method, path, headers, body);
        stream
            .get_mut()
            .write_all(&request)
            .map_err(|e| sending(e, reused))?;
        let (response, keep) = read_response(&mut stream, method == "HEAD", reused)?;
        if keep {
            self.kept = Some(stream);
        }
        Ok(response)
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::with_capacity(64 << 10, stream))
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        [text.as_bytes(), body].concat()
    }
}

/// One GET on a connection of its own.
pub fn get(url: &str) -> anyhow::Result<Response> {
    let mut client =
        Client::of_url(url).ok_or_else(|| anyhow::anyhow!("not a URL for tests: {url}"))?;
    let path = url.splitn(4, '/').nth(3).unwrap_or("");
    Ok(client.get(&format!("/{path}"))?)
}

/// A port of 127.0.0.1 that nobody listens on now.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn sending(error: io::Error, reused: bool) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Failure::Closed { reused },
        _ => Failure::Send(error),
    }
}

fn read_response(
    stream: &mut BufReader<TcpStream>,
    no_body: bool,
    reused: bool,
) -> Result<(Response, bool), Failure> {
    let mut status_line = read_line(stream, Some(reused))?;
    let mut status = status_of(&status_line)?;
    let mut headers = read_headers(stream)?;
    while (100..200).contains(&status) && status != 101 {
        status_line = read_line(stream, None)?;
        status = status_of(&status_line)?;
        headers = read_headers(stream)?;
    }
    let find = |name: &str| {
        headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.to_ascii_lowercase())
    };
    let mut keep = status_line.starts_with("HTTP/1.1")
        && find("connection").is_none_or(|v| !v.contains("close"));
    let body = if no_body || status == 204 || status == 304 || status < 200 {
        Vec::new()
    } else if find("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
        read_chunks(stream)?
    } else if let Some(length) = find("content-length") {
        let length: u64 = length
            .parse()
            .map_err(|_| Failure::Head(format!("content-length: {length}")))?;
        read_exactly(stream, length)?
    } else {
        keep = false;
        let mut body = Vec::new();
        stream
            .take(BODY_BYTES_MAX)
            .read_to_end(&mut body)
            .map_err(Failure::Body)?;
        body
    };
    Ok((
        Response {
            status,
            headers,
            body,
        },
        keep,
    ))
}

/// One line without its end. `first`: nothing at all means a closed connection, not a bad head.
fn read_line(stream: &mut BufReader<TcpStream>, first: Option<bool>) -> Result<String, Failure> {
    let mut line = Vec::new();
    match (stream.read_until(b'\n', &mut line), first) {
        (Ok(0), Some(reused)) => return Err(Failure::Closed { reused }),
        (Err(e), Some(reused)) if e.kind() == io::ErrorKind::ConnectionReset => {
            return Err(Failure::Closed { reused });
        }
        (Err(e), _) => return Err(Failure::Head(e.to_string())),
        (Ok(_), _) if !line.ends_with(b"\r\n") => {
            return Err(Failure::Head("the connection ended within the head".into()));
        }
        (Ok(_), _) => line.truncate(line.len() - 2),
    }
    String::from_utf8(line).map_err(|e| Failure::Head(e.to_string()))
}

fn read_headers(stream: &mut BufReader<TcpStream>) -> Result<Vec<(String, String)>, Failure> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream, None)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Failure::Head(format!("header line {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn status_of(line: &str) -> Result<u16, Failure> {
    let word = line
        .split(' ')
        .nth(1)
        .filter(|_| line.starts_with("HTTP/1."));
    word.and_then(|w| w.parse().ok())
        .ok_or_else(|| Failure::Head(format!("status line {line:?}")))
}

fn read_exactly(stream: &mut BufReader<TcpStream>, length: u64) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    stream
        .take(length.min(BODY_BYTES_MAX))
        .read_to_end(&mut body)
        .map_err(Failure::Body)?;
    if body.len() as u64 != length {
        let words = format!("{} of {length} bytes came", body.len());
        return Err(Failure::Body(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            words,
        )));
    }
    Ok(body)
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream, None)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16)
            .map_err(|_| Failure::Head(format!("chunk size {line:?}")))?;
        if size == 0 {
            read_headers(stream)?;
            return Ok(body);
        }
        body.extend(read_exactly(stream, size)?);
        read_line(stream, None)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one connection with these bytes, after a request's head for each, then closes.
    fn serve(answers: Vec<&'static [u8]>) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            drop(listener); // Nobody else is served.
            let mut stream = BufReader::new(stream);
            for answer in answers {
                while read_line(&mut stream, None).is_ok_and(|line| !line.is_empty()) {}
                stream.get_mut().write_all(answer).unwrap();
            }
        });
        Client::new(address, "test")
    }

    #[test]
    fn lengths_chunks_and_the_end_frame_a_body() {
        let mut client = serve(vec![
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nthree",
        ]);
        for expected in ["one", "two", "three"] {
            assert_eq!(client.get("/").unwrap().text(), expected);
        }
        assert!(!client.has_connection());
    }

    #[test]
    fn each_failure_has_its_cause() {
        let mut client = serve(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
        client.get("/").unwrap();
        assert!(matches!(
            client.get("/"),
            Err(Failure::Closed { reused: true })
        ));
        assert!(matches!(client.get("/"), Err(Failure::Connect(_))));
        let mut client = serve(vec![b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"]);
        assert!(matches!(client.get("/"), Err(Failure::Body(_))));
        let mut client = serve(vec![b"HTTP/1.1 200"]);
        assert!(matches!(client.get("/"), Err(Failure::Head(_))));
    }
}
