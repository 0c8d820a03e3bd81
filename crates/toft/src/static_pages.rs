//! A small server of static pages: what `toft static` runs inside a sandbox.
//!
//! It reads one folder and nothing else: a path is resolved by the kernel beneath that folder
//! (`RESOLVE_BENEATH`), links that lead out of it are not there, and names that begin with a dot are
//! not shown. A thread serves each connection; the router in front keeps few of them.

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = 16 << 10;
const IDLE: Duration = Duration::from_secs(75);
const STACK_BYTES: usize = 256 << 10;

/// Content types by the end of a name; what is not here is sent as bytes.
const TYPES: [(&str, &str); 29] = [
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/plain; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("ico", "image/x-icon"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("pdf", "application/pdf"),
    ("wasm", "application/wasm"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("zip", "application/zip"),
];

/// Serves the folder `root` on `port` until the process is ended.
pub(crate) fn run(root: &Path, port: u16) -> io::Result<()> {
    serve(&TcpListener::bind(("0.0.0.0", port))?, root)
}

fn serve(listener: &TcpListener, root: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root: Arc<OwnedFd> = Arc::new(rustix::fs::open(root, flags, Mode::empty())?);
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        // A visitor who left before he was let in.
        let Ok(stream) = stream else { continue };
        let (root, open) = (Arc::clone(&root), Counted::new(&open));
        if open.0.load(Ordering::Relaxed) > CONNECTIONS_MAX {
            continue;
        }
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        // Without a thread for him the visitor finds the connection closed and comes again.
        let _ = thread.spawn(move || {
            let _open = open;
            // How a connection ended is the visitor's own affair.
            let _ = converse(stream, &root);
        });
    }
    Ok(())
}

/// One of the open connections.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn converse(mut stream: TcpStream, root: &OwnedFd) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let Some(head) = read_head(&mut stream, &mut buffer)? else {
            return Ok(());
        };
        let request = std::str::from_utf8(&head).ok().and_then(Request::parse);
        let Some(request) = request else {
            return Answer::words(400, "Bad Request").send(&mut stream, false, false);
        };
        answer(&request, root).send(&mut stream, request.method == "HEAD", request.keep)?;
        if !request.keep {
            return Ok(());
        }
    }
}

/// Bytes up to the empty line; what follows stays in the buffer.
fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let mut chunk = [0; 4096];
    loop {
        let end = buffer.windows(4).position(|four| four == b"\r\n\r\n");
        if end.unwrap_or(buffer.len()) > HEAD_BYTES_MAX {
            Answer::words(431, "Request Header Fields Too Large").send(stream, false, false)?;
            linger(stream)?;
            return Ok(None);
        }
        if let Some(end) = end {
            let head = buffer[..end].to_vec();
            buffer.drain(..end + 4);
            return Ok(Some(head));
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Throws away what is still on its way, for a while: a socket that is closed over unread bytes
/// resets the connection, and the answer with it.
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut chunk = [0; 4096];
    for _ in 0..64 {
        if stream.read(&mut chunk)? == 0 {
            break;
        }
    }
    Ok(())
}

struct Request<'a> {
    method: &'a str,
    /// Path and query as they came.
    target: &'a str,
    if_none_match: Option<&'a str>,
    if_range: Option<&'a str>,
    range: Option<&'a str>,
    keep: bool,
}

impl<'a> Request<'a> {
    fn parse(head: &'a str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (method, target, version) = (first.next()?, first.next()?, first.next()?);
        let keep = match (version, first.next()) {
            ("HTTP/1.1", None) => true,
            ("HTTP/1.0", None) => false,
            _ => return None,
        };
        let mut request = Self {
            method,
            target,
            if_none_match: None,
            if_range: None,
            range: None,
            keep,
        };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "if-none-match" => request.if_none_match = Some(value),
                "if-range" => request.if_range = Some(value),
                "range" => request.range = Some(value),
                "connection" if value.eq_ignore_ascii_case("close") => request.keep = false,
                // A body is nothing that this server reads: the connection cannot go on behind it.
                "content-length" if value != "0" => request.keep = false,
                "transfer-encoding" => request.keep = false,
                _ => {}
            }
        }
        target.starts_with('/').then_some(request)
    }
}

/// A response before it is sent.
struct Answer {
    status: u16,
    reason: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Body,
}

enum Body {
    Words(String),
    File { file: File, from: u64, length: u64 },
    None,
}

impl Answer {
    fn new(status: u16, reason: &'static str, body: Body) -> Self {
        Self {
            status,
            reason,
            headers: Vec::new(),
            body,
        }
    }

    fn words(status: u16, reason: &'static str) -> Self {
        let body = Body::Words(format!("{status} {reason}\n"));
        Self::new(status, reason, body).with("Content-Type", "text/plain; charset=utf-8")
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn send(self, stream: &mut TcpStream, head_only: bool, keep: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = match &self.body {
            Body::Words(words) => Some(words.len() as u64),
            Body::File { length, .. } => Some(*length),
            Body::None if self.status == 304 => None,
            Body::None => Some(0),
        };
        if let Some(length) = length {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("X-Content-Type-Options: nosniff\r\n");
        head.push_str(if keep {
            "\r\n"
        } else {
            "Connection: close\r\n\r\n"
        });
        match self.body {
            Body::Words(words) if !head_only => {
                stream.write_all(format!("{head}{words}").as_bytes())
            }
            Body::File {
                mut file,
                from,
                length,
            } if !head_only => {
                stream.write_all(head.as_bytes())?;
                file.seek(SeekFrom::Start(from))?;
                let sent = io::copy(&mut file.take(length), stream)?;
                // A file that shrank meanwhile: the connection is not what it was said to be.
                if sent == length {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
            }
            _ => stream.write_all(head.as_bytes()),
        }
    }
}

fn answer(request: &Request<'_>, root: &OwnedFd) -> Answer {
    if !["GET", "HEAD"].contains(&request.method) {
        return Answer::words(405, "Method Not Allowed").with("Allow", "GET, HEAD");
    }
    let (path, query) = match request.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.target, None),
    };
    let Some(name) = decode(path) else {
        return Answer::words(400, "Bad Request");
    };
    match find(root, &name) {
        Some(Found::File(file, name)) => file_answer(request, file, &name),
        Some(Found::Folder) => {
            // Two slashes in front would name another host.
            let place = format!("/{}/", path.trim_matches('/'));
            let place = query.map_or(place.clone(), |query| format!("{place}?{query}"));
            Answer::new(301, "Moved Permanently", Body::None).with("Location", place)
        }
        None => not_found(root),
    }
}

fn not_found(root: &OwnedFd) -> Answer {
    let page = open(root, "404.html")
        .ok()
        .filter(|file| length_of(file).is_some());
    match page.and_then(|file| Some((length_of(&file)?, file))) {
        Some((length, file)) => {
            let body = Body::File {
                file,
                from: 0,
                length,
            };
            Answer::new(404, "Not Found", body).with("Content-Type", type_of("404.html"))
        }
        None => Answer::words(404, "Not Found"),
    }
}

fn file_answer(request: &Request<'_>, file: File, name: &str) -> Answer {
    let Ok(stat) = fstat(&file) else {
        return Answer::words(404, "Not Found");
    };
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    let tag = format!(
        "\"{:x}-{:x}-{:x}-{length:x}\"",
        stat.st_ino, stat.st_mtime, stat.st_mtime_nsec
    );
    let common = |answer: Answer| {
        answer
            .with("Cache-Control", "no-cache")
            .with("ETag", tag.as_str())
            .with("Accept-Ranges", "bytes")
    };
    if request
        .if_none_match
        .is_some_and(|list| matches(list, &tag))
    {
        return common(Answer::new(304, "Not Modified", Body::None));
    }
    let range = request
        .range
        .filter(|_| request.if_range.is_none_or(|known| known == tag));
    let typed = |answer: Answer| common(answer.with("Content-Type", type_of(name)));
    match range.map(|range| part(range, length)) {
        Some(Part::Some(from, count)) => {
            let span = format!("bytes {from}-{}/{length}", from + count - 1);
            let body = Body::File {
                file,
                from,
                length: count,
            };
            typed(Answer::new(206, "Partial Content", body).with("Content-Range", span))
        }
        Some(Part::Outside) => Answer::words(416, "Range Not Satisfiable")
            .with("Content-Range", format!("bytes */{length}")),
        Some(Part::Whole) | None => typed(Answer::new(
            200,
            "OK",
            Body::File {
                file,
                from: 0,
                length,
            },
        )),
    }
}

/// Whether a list of tags has this one (RFC 9110 §13.1.2: a weak comparison).
fn matches(list: &str, tag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

enum Part {
    Some(u64, u64),
    Whole,
    Outside,
}

/// One range of bytes (RFC 9110 §14.1.2); several, or none that is understood, mean the whole.
fn part(range: &str, length: u64) -> Part {
    let Some((from, to)) = range
        .strip_prefix("bytes=")
        .and_then(|span| span.split_once('-'))
    else {
        return Part::Whole;
    };
    match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), _) if from >= length => Part::Outside,
        (Ok(from), Ok(to)) if to >= from => Part::Some(from, to.min(length - 1) - from + 1),
        (Ok(from), Err(_)) if to.is_empty() => Part::Some(from, length - from),
        (Err(_), Ok(last)) if from.is_empty() && last > 0 && length > 0 => {
            let count = last.min(length);
            Part::Some(length - count, count)
        }
        (Err(_), Ok(_)) if from.is_empty() => Part::Outside,
        _ => Part::Whole,
    }
}

fn type_of(name: &str) -> &'static str {
    let end = name.rsplit('.').next().unwrap_or_default();
    TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(end))
        .map_or("application/octet-stream", |(_, kind)| kind)
}

/// The path below the root that a request names, with `/` at its end where the request had one;
/// `None` for what no browser sends.
fn decode(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex = std::str::from_utf8(bytes.get(at + 1..at + 3)?).ok()?;
            out.push(
                u8::from_str_radix(hex, 16)
                    .ok()
                    .filter(|_| !hex.starts_with('+'))?,
            );
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    let text = String::from_utf8(out)
        .ok()
        .filter(|text| !text.contains('\0'))?;
    let ends = text.ends_with('/');
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    // A name that begins with a dot is not shown; so `..` leads nowhere either.
    if parts
        .iter()
        .any(|part| part.starts_with('.') && *part != ".well-known")
    {
        return Some("\u{1}".to_owned());
    }
    Some(format!(
        "{}{}",
        parts.join("/"),
        if ends && !parts.is_empty() { "/" } else { "" }
    ))
}

enum Found {
    File(File, String),
    /// A folder that was named without its slash.
    Folder,
}

/// The file itself, a folder's first page, or the page that is named without its `.html`.
fn find(root: &OwnedFd, name: &str) -> Option<Found> {
    if name.is_empty() || name.ends_with('/') {
        let index = format!("{name}index.html");
        let file = open(root, &index)
            .ok()
            .filter(|file| length_of(file).is_some())?;
        return Some(Found::File(file, index));
    }
    match open(root, name) {
        Ok(file) if length_of(&file).is_some() => Some(Found::File(file, name.to_owned())),
        Ok(file) => file.metadata().ok()?.is_dir().then_some(Found::Folder),
        Err(_) => {
            let page = format!("{name}.html");
            let file = open(root, &page)
                .ok()
                .filter(|file| length_of(file).is_some())?;
            Some(Found::File(file, page))
        }
    }
}

fn open(root: &OwnedFd, name: &str) -> Result<File, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // A pipe in the folder must not hold the thread until somebody writes to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    openat2(root, name, flags, Mode::empty(), how).map(File::from)
}

/// The length of a plain file; `None` for everything else.
fn length_of(file: &File) -> Option<u64> {
    file.metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|data| data.len())
}

#[cfg(test)]
mod tests;
