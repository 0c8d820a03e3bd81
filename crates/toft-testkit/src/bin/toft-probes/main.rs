//! Tries everything that an app must not get, and says what it got.
//!
//! `toft-probes run TARGETS` prints the findings as JSON; `serve TARGETS PORT` runs the probes, then
//! answers every request with them; `victim` is what some of them aim at; `worked` and `euid` are what
//! a program says that was started by a probe. Each probe runs in a child of its own, so that a death
//! is a finding, and is bounded: nothing is changed that is not set up for it.

mod exec;
mod families;
mod files;
mod kernel;
mod network;
mod processes;
mod raw;
mod rights;
mod ring;
mod runner;
mod victim;

use runner::Probe;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use toft_testkit::probe::{Finding, Targets};

/// Exit code that says “this program ran”.
const WORKED: u8 = 42;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[1..] {
        ["worked"] => ExitCode::from(WORKED),
        ["euid"] if rustix::process::geteuid().is_root() => ExitCode::from(WORKED),
        ["euid"] => ExitCode::SUCCESS,
        ["victim", targets] => done(victim::live(targets)),
        ["run", targets] => done(run(targets).and_then(|found| print(&found))),
        ["serve", targets, port] => done(run(targets).and_then(|found| serve(&found, port))),
        _ => {
            complain("usage: toft-probes run TARGETS | serve TARGETS PORT");
            ExitCode::from(2)
        }
    }
}

fn all() -> Vec<(&'static str, &'static [Probe])> {
    vec![
        ("files", files::PROBES),
        ("programs", exec::PROBES),
        ("processes", processes::PROBES),
        ("network", network::PROBES),
        ("socket families", families::PROBES),
        ("kernel", kernel::PROBES),
        ("rights", rights::PROBES),
    ]
}

fn run(path: &str) -> std::io::Result<Vec<Finding>> {
    let targets: Targets = serde_json::from_slice(&std::fs::read(path)?)?;
    raw::adopt_orphans();
    let groups = all().into_iter();
    Ok(groups
        .flat_map(|(group, probes)| probes.iter().map(move |p| (group, p)))
        .map(|(group, probe)| runner::finding(group, probe, &targets))
        .collect())
}

fn print(findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, findings)?;
    out.write_all(b"\n")
}

/// Answers whatever is asked with the findings, one connection after the other.
fn serve(findings: &[Finding], port: &str) -> std::io::Result<()> {
    let body = serde_json::to_vec(findings)?;
    let listener = TcpListener::bind(("0.0.0.0", port.parse().unwrap_or(8080)))?;
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream?);
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|n| n > 2) {
            line.clear();
        }
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let answered = stream
            .get_mut()
            .write_all(head.as_bytes())
            .and_then(|()| stream.get_mut().write_all(&body));
        if let Err(gone) = answered {
            complain(&gone.to_string());
        }
    }
    Ok(())
}

fn done(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the words of a program for tests")]
fn complain(words: &str) {
    eprintln!("toft-probes: {words}");
}
