//! The bounded log file of an instance: one writer, many readers, no locks.
//!
//! The layout and why it is safe stand in [`toft_model::frame`].

mod reader;
mod writer;

pub use reader::{Item, Reader, last_lines};
pub use writer::Writer;

use rustix::io::Errno;
use std::fs::File;
use toft_model::frame::HEADER_BYTES;

/// Reads from a logical position; a short answer means that the file ends there.
fn read_at(file: &File, capacity: u64, position: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while done < into.len() {
        let place = (position + done as u64) % capacity;
        let here = into.len() - done;
        let till_wrap = usize::try_from(capacity - place).unwrap_or(usize::MAX);
        let end = done + here.min(till_wrap);
        match rustix::io::pread(file, &mut into[done..end], HEADER_BYTES + place) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(done)
}

/// Writes at a logical position, over the end and on at the start.
fn write_at(file: &File, capacity: u64, position: u64, bytes: &[u8]) -> Result<(), Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let place = (position + done as u64) % capacity;
        let till_wrap = usize::try_from(capacity - place).unwrap_or(usize::MAX);
        let end = done + (bytes.len() - done).min(till_wrap);
        match rustix::io::pwrite(file, &bytes[done..end], HEADER_BYTES + place) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
