//! Programs that run inside.

use std::io::{Read, Write};
use std::process::ExitCode;

/// Does what its arguments say, one after the other.
pub(crate) fn run(words: &[String]) -> ExitCode {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            words
                .next()
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0)
        };
        match word.as_str() {
            "say" => println!("{}", words.next().map_or("", String::as_str)),
            "complain" => eprintln!("{}", words.next().map_or("", String::as_str)),
            "half" => {
                print!("{}", words.next().map_or("", String::as_str));
                let _ = std::io::stdout().flush();
            }
            "print" => print_lines(number()),
            "count" => count(number()),
            "eat" => eat(number() as usize),
            "signals" => status_lines("Sig"),
            "ids" => println!("uid {}", rustix::process::getuid().as_raw()),
            "exit" => return ExitCode::from(number() as u8),
            "abort" => std::process::abort(),
            "ignore-term" => ignore_term(),
            "hang" => loop {
                std::thread::park();
            },
            "fork" => {
                let me = std::env::current_exe().unwrap_or_else(|_| "/it".into());
                let _ = std::process::Command::new(me)
                    .args(["app", "ignore-term", "hang"])
                    .spawn();
            }
            "serve" => serve(number() as u16),
            "notify" => notify(),
            other => println!("what is {other}?"),
        }
    }
    ExitCode::SUCCESS
}

/// So many bytes in lines of 100.
fn print_lines(bytes: u64) {
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    let block = line.repeat(1000);
    let mut out = std::io::stdout().lock();
    let mut left = bytes as usize;
    while left > 0 {
        let n = left.min(block.len());
        if out.write_all(&block[..n]).is_err() {
            return;
        }
        left -= n;
    }
}

/// Takes so many MiB of memory and uses them.
fn eat(mebibytes: usize) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for n in 0..mebibytes {
        all.push(vec![n as u8 | 1; 1 << 20]);
    }
    println!("ate {} MiB", std::hint::black_box(&all).len());
}

/// So many numbered lines, slowly enough to be met by a kill in the middle.
fn count(lines: u64) {
    for n in 0..lines {
        println!("{n}");
        if n % 50 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

/// Lines of proc(5)'s `status` that start like this.
fn status_lines(start: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with(start)) {
        println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

fn ignore_term() {
    // SAFETY: ignoring a signal runs no handler.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    println!("ignoring TERM");
}

/// Answers every connection with a line.
fn serve(port: u16) {
    let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) else {
        println!("cannot listen");
        return;
    };
    println!("listening");
    for mut connection in listener.incoming().flatten() {
        let mut byte = [0];
        let _ = connection.write_all(b"hello from inside\n");
        let _ = connection.shutdown(std::net::Shutdown::Write);
        let _ = connection.read(&mut byte);
    }
}

/// Says that it is ready, as in sd_notify(3).
fn notify() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let path = std::env::var("NOTIFY_SOCKET").unwrap_or_default();
    let name = path.strip_prefix('@').unwrap_or(&path);
    let sent = SocketAddr::from_abstract_name(name)
        .and_then(|to| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &to));
    println!("notified: {sent:?}");
}
