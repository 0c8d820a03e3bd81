//! Prints what the first and the later uses of sets cost, in time, bytes and files:
//! `cargo run -p toft-code --example set_cost -- python3 node cc`.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use toft_code::sets::{Host, Request, resolve};

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let host = Host::here(Path::new("."), &std::env::current_exe()?);
    let top = std::env::temp_dir().join(format!("toft-set-cost-{}", std::process::id()));
    for name in std::env::args().skip(1) {
        // Nothing is removed between two sets: some file systems are slow to make files where they
        // just removed many.
        let state = top.join(&name);
        let uses = [name.clone()];
        let request = Request {
            uses: &uses,
            ..Request::default()
        };
        let mut times = Vec::new();
        for _ in 0..3 {
            let begin = now();
            resolve(&host, &request, &state)?;
            times.push(begin.elapsed());
        }
        let (bytes, files) = size(&state.join("sets/files"))?;
        println!("{name}: {times:?}, {bytes} bytes on disk in {files} files");
    }
    std::fs::remove_dir_all(top)?;
    Ok(())
}

/// Bytes on disk and files of a folder; none when it is not there.
fn size(folder: &Path) -> Result<(u64, u64), Failed> {
    if !folder.is_dir() {
        return Ok((0, 0));
    }
    let mut sum = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        sum.0 += entry?.metadata()?.blocks() * 512;
        sum.1 += 1;
    }
    Ok(sum)
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is what the measurement is for"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
