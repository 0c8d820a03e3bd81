//! A guestbook that needs nothing but Rust's standard library.
//!
//! It listens on `PORT`, keeps its entries in a file below `DATA_DIR`, and answers each connection
//! on a thread of its own.

mod book;
mod clock;
mod http;
mod json;
mod page;

use book::{Book, Entry, Refused};
use http::{Request, Response, Status};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// More visitors than this at the same moment are turned away.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may say nothing.
const IDLE: Duration = Duration::from_secs(60);

fn main() -> std::process::ExitCode {
    match serve() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guestbook: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), String> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let port: u16 = port
        .parse()
        .map_err(|_| format!("PORT is `{port}`, not a port"))?;
    let folder = PathBuf::from(std::env::var_os("DATA_DIR").unwrap_or_else(|| "data".into()));
    let book = Book::open(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let listener =
        TcpListener::bind(("0.0.0.0", port)).map_err(|error| format!("port {port}: {error}"))?;
    println!(
        "guestbook: {} entries in {}, listening on port {port}",
        book.len(),
        folder.display()
    );

    let book = Arc::new(book);
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let (book, guard) = (Arc::clone(&book), Guard::new(&open));
        if guard.number > CONNECTIONS_MAX {
            continue;
        }
        let spawned = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn(move || {
                let _guard = guard;
                converse(stream, &book);
            });
        if let Err(error) = spawned {
            eprintln!("guestbook: a visitor was turned away: {error}");
        }
    }
    Ok(())
}

/// Counts a connection for as long as it lives.
struct Guard {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Guard {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        let number = open.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            open: Arc::clone(open),
            number,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers one request after the other until the visitor leaves.
fn converse(stream: TcpStream, book: &Book) {
    // A connection whose options cannot be set is already gone.
    if stream.set_read_timeout(Some(IDLE)).is_err() || stream.set_nodelay(true).is_err() {
        return;
    }
    let mut connection = http::Connection::new(stream);
    while let Some(request) = connection.next() {
        let response = answer(&request, book);
        if !connection.send(&request, response) {
            break;
        }
    }
}

fn answer(request: &Request, book: &Book) -> Response {
    if let Some(status) = request.refused {
        return Response::page(status, &page::plain(status.words()));
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET" | "HEAD", "/") => Response::page(Status::OK, &page::book(&book.entries(), None)),
        ("GET" | "HEAD", "/healthz") => Response::text("ok\n"),
        ("GET" | "HEAD", "/entries.json") => Response::json(json::entries(&book.entries())),
        ("GET" | "HEAD", "/style.css") => Response::asset("text/css; charset=utf-8", page::STYLE),
        ("GET" | "HEAD", "/icon.svg") => Response::asset("image/svg+xml", page::ICON),
        ("POST", "/") => sign(request, book),
        ("GET" | "HEAD" | "POST", _) => {
            Response::page(Status::NOT_FOUND, &page::plain("There is no such page."))
        }
        _ => Response::page(Status::METHOD, &page::plain(Status::METHOD.words())),
    }
}

fn sign(request: &Request, book: &Book) -> Response {
    // A form on another site must not write here in a visitor's name.
    if matches!(
        request.header("sec-fetch-site"),
        Some("cross-site" | "same-site")
    ) {
        return Response::page(
            Status::FORBIDDEN,
            &page::plain("Please sign on this page itself."),
        );
    }
    let form = http::form(&request.body);
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    };
    let entry = match Entry::new(clock::now_ms(), field("name"), field("message")) {
        Ok(entry) => entry,
        Err(refused) => {
            let draft = page::Draft {
                name: field("name"),
                message: field("message"),
                refused,
            };
            return Response::page(
                Status::UNPROCESSABLE,
                &page::book(&book.entries(), Some(&draft)),
            );
        }
    };
    match book.add(entry) {
        Ok(()) => Response::see_other("/#entries"),
        Err(error) => {
            eprintln!("guestbook: an entry could not be kept: {error}");
            let draft = page::Draft {
                name: field("name"),
                message: field("message"),
                refused: Refused::NotKept,
            };
            Response::page(Status::STORAGE, &page::book(&book.entries(), Some(&draft)))
        }
    }
}
