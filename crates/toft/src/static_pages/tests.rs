//! A served folder, asked over its socket.

use super::*;

/// Serves a folder on a free port for as long as the test process lives.
fn served() -> (tempfile::TempDir, u16) {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("root");
    std::fs::create_dir_all(root.join("d/e")).unwrap();
    for (name, text) in [
        ("index.html", "<p>first"),
        ("d/index.html", "<p>below"),
        ("about.html", "<p>about"),
        ("a b.txt", "0123456789"),
        (".secret", "no"),
        ("empty.css", ""),
    ] {
        std::fs::write(root.join(name), text).unwrap();
    }
    std::fs::write(top.path().join("outside"), "no").unwrap();
    std::os::unix::fs::symlink("../outside", root.join("out")).unwrap();
    std::os::unix::fs::symlink("about.html", root.join("in.html")).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(&listener, &root));
    (top, port)
}

fn ask(port: u16, lines: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let lines = lines.trim().replace('\n', "\r\n");
    write!(stream, "{lines}\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn status(port: u16, lines: &str) -> String {
    ask(port, lines).split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn pages_are_served() {
    let (_top, port) = served();
    let first = ask(port, "GET / HTTP/1.1");
    assert!(
        first.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"),
        "{first}"
    );
    assert!(first.ends_with("\r\n\r\n<p>first"), "{first}");
    assert!(ask(port, "GET /d/ HTTP/1.1").ends_with("<p>below"));
    assert!(ask(port, "GET /about?x=1 HTTP/1.1").ends_with("<p>about"));
    assert!(ask(port, "GET /in.html HTTP/1.1").ends_with("<p>about"));
    assert!(ask(port, "GET /a%20b.txt HTTP/1.1").ends_with("0123456789"));
    assert!(ask(port, "HEAD / HTTP/1.1").ends_with("\r\n\r\n"));
    assert!(ask(port, "GET //d?q HTTP/1.1").contains("Location: /d/?q\r\n"));
    assert!(ask(port, "GET /empty.css HTTP/1.1").contains("Content-Length: 0\r\n"));
}

#[test]
fn nothing_else_is_served() {
    let (_top, port) = served();
    for path in [
        "/none",
        "/.secret",
        "/%2esecret",
        "/out",
        "/../outside",
        "/%2e%2e/outside",
        "/d/../../outside",
        "/d/e/",
    ] {
        assert_eq!(
            status(port, &format!("GET {path} HTTP/1.1")),
            "404",
            "{path}"
        );
    }
    assert_eq!(status(port, "GET /%zz HTTP/1.1"), "400");
    assert_eq!(status(port, "GET /%00 HTTP/1.1"), "400");
    assert_eq!(status(port, "POST / HTTP/1.1"), "405");
    assert_eq!(status(port, "nonsense"), "400");
    assert_eq!(
        status(port, &format!("GET / HTTP/1.1\nX: {}", "y".repeat(20_000))),
        "431"
    );
}

#[test]
fn what_a_browser_has_is_not_sent_again() {
    let (_top, port) = served();
    let first = ask(port, "GET /about.html HTTP/1.1");
    let tag = first
        .lines()
        .find_map(|line| line.strip_prefix("ETag: "))
        .unwrap()
        .to_owned();
    let again = ask(
        port,
        &format!("GET /about.html HTTP/1.1\nIf-None-Match: \"x\", W/{tag}"),
    );
    assert!(
        again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"),
        "{again}"
    );
    assert_eq!(
        status(port, "GET /about.html HTTP/1.1\nIf-None-Match: \"x\""),
        "200"
    );
}

#[test]
fn parts_of_a_file_are_served() {
    let (_top, port) = served();
    let range = |range: &str| ask(port, &format!("GET /a%20b.txt HTTP/1.1\nRange: {range}"));
    assert!(range("bytes=2-4").ends_with("\r\n\r\n234"));
    assert!(range("bytes=2-4").contains("Content-Range: bytes 2-4/10\r\n"));
    assert!(range("bytes=7-").ends_with("\r\n\r\n789"));
    assert!(range("bytes=-2").ends_with("\r\n\r\n89"));
    assert!(range("bytes=0-99").ends_with("\r\n\r\n0123456789"));
    assert!(range("bytes=10-").starts_with("HTTP/1.1 416 "));
    assert!(range("bytes=1-2,4-5").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_connection_serves_many_requests() {
    let (_top, port) = served();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\n\r\nHEAD /d/ HTTP/1.1\r\n\r\nGET /about HTTP/1.0\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
    assert!(text.ends_with("<p>about"));
}
