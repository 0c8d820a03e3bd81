//! Prints what sets come to on this machine: `cargo run -p toft-code --example show_set -- python3 certs`.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::Path;
use toft_code::sets::{Host, Request, resolve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uses: Vec<String> = std::env::args().skip(1).collect();
    let state = std::env::temp_dir().join("toft-show-set");
    let host = Host::here(Path::new("."), &std::env::current_exe()?);
    let resolved = resolve(
        &host,
        &Request {
            uses: &uses,
            ..Request::default()
        },
        &state,
    )?;
    for mount in &resolved.mounts {
        println!("{} {:?}", mount.target.display(), mount.source);
    }
    println!(
        "PATH={} {:?} {:?} {:?}",
        resolved.path_value(),
        resolved.env,
        resolved.notes,
        resolved.tree
    );
    if resolved.tree.is_some() {
        std::fs::remove_dir_all(state)?;
    }
    Ok(())
}
