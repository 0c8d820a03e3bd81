//! How long a sync and a collection of many unchanged files take:
//! `cargo run --release -p toft-code --example bench_copy`.
#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(clippy::unit_arg, reason = "only the time counts")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Instant;
use toft_code::copy::{collect, sync};
use toft_code::sets::{Host, Request, resolve};

const FILES: usize = 1_000;
const ROUNDS: usize = 30;

/// Processor time of this process so far, without its children.
fn cpu_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let top = std::env::current_dir()?.join("target/bench-copy");
    let (project, work, store) = (top.join("project"), top.join("work"), top.join("store"));
    for number in 0..FILES {
        let path = project.join(format!("src/d{}/f{number}.rs", number % 40));
        std::fs::create_dir_all(path.parent().unwrap_or(&top))?;
        std::fs::write(path, format!("// file {number}\n").repeat(200))?;
    }
    let mut rows: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
    for round in 0..ROUNDS {
        let mut take =
            |name: &'static str,
             what: &mut dyn FnMut() -> Result<(), Box<dyn std::error::Error>>| {
                let (start, cpu) = (Instant::now(), cpu_ms());
                let done = what();
                let spent = (start.elapsed().as_secs_f64() * 1e3, cpu_ms() - cpu);
                match rows.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, times)) => times.push(spent),
                    None => rows.push((name, vec![spent])),
                }
                done
            };
        let first = round == 0;
        take(
            if first {
                "sync, all new"
            } else {
                "sync, one changed"
            },
            &mut || {
                std::fs::write(project.join("src/d1/f1.rs"), format!("round {round}"))?;
                Ok(drop(sync(&project, &work, None)?))
            },
        )?;
        take(
            if first {
                "collect, all new"
            } else {
                "collect, one changed"
            },
            &mut || Ok(drop(collect(&work, &store, &[], false)?)),
        )?;
        take("sync, nothing changed", &mut || {
            Ok(drop(sync(&project, &work, None)?))
        })?;
        take("collect, nothing changed", &mut || {
            Ok(drop(collect(&work, &store, &[], false)?))
        })?;
        let host = Host::here(Path::new("."), &std::env::current_exe()?);
        let uses = ["python3", "shell", "certs"].map(str::to_owned);
        take(
            if first {
                "python3 shell certs, first"
            } else {
                "python3 shell certs"
            },
            &mut || {
                Ok(drop(resolve(
                    &host,
                    &Request {
                        uses: &uses,
                        ..Request::default()
                    },
                    &top,
                )?))
            },
        )?;
        let uses = ["rust".to_owned()];
        take(if first { "rust, first" } else { "rust" }, &mut || {
            Ok(drop(resolve(
                &host,
                &Request {
                    uses: &uses,
                    ..Request::default()
                },
                &top,
            )?))
        })?;
    }
    println!("{FILES} files, milliseconds, medians of {ROUNDS}: wall, CPU");
    for (name, times) in &mut rows {
        let middle = times.len() / 2;
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        let wall = times[middle].0;
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
        println!("{name:28} {wall:8.2} {:8.2}", times[middle].1);
    }
    Ok(std::fs::remove_dir_all(top)?)
}
