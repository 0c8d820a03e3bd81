//! Copies what a file holds, holes kept, for as long as nobody says stop.

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is copied between two looks at the flag.
const STEP: u64 = 8 << 20;
/// What is found to be a hole while a file is hashed.
const BLOCK: usize = 4 << 10;

/// Fails once the flag is set; who set it knows what the error means.
pub(crate) fn go_on(stop: &AtomicBool) -> io::Result<()> {
    match stop.load(Ordering::Relaxed) {
        true => Err(io::Error::from(io::ErrorKind::Interrupted)),
        false => Ok(()),
    }
}

/// Whether a file takes less of the disk than it has bytes.
pub(crate) fn is_sparse(file: &File) -> io::Result<bool> {
    let data = file.metadata()?;
    Ok(data.blocks().saturating_mul(512) < data.len())
}

/// Copies all of `from` to the empty file `to`. The kernel does it, and shares the data where the
/// file system can.
pub(crate) fn copy(from: &File, to: &File, stop: &AtomicBool) -> io::Result<()> {
    if !is_sparse(from)? {
        return copy_range(from, to, u64::MAX, stop);
    }
    let mut at = 0;
    loop {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            // A file system that knows of no holes has them as zeros.
            Err(_) => at,
        };
        let end = seek(from, SeekFrom::Hole(start)).unwrap_or(u64::MAX);
        for mut file in [from, to] {
            file.seek(io::SeekFrom::Start(start))?;
        }
        copy_range(from, to, end - start, stop)?;
        if end == u64::MAX {
            return Ok(());
        }
        at = end;
    }
    to.set_len(from.metadata()?.len())
}

fn copy_range(from: &File, mut to: &File, mut left: u64, stop: &AtomicBool) -> io::Result<()> {
    while left > 0 {
        go_on(stop)?;
        let wanted = left.min(STEP);
        let copied = io::copy(&mut from.take(wanted), &mut to)?;
        left -= copied;
        if copied < wanted {
            break;
        }
    }
    Ok(())
}

/// Writes a piece of a file with holes: blocks of zeros become holes again. Ends with `set_len`.
pub(crate) fn write_sparse(mut to: &File, piece: &[u8]) -> io::Result<()> {
    for block in piece.chunks(BLOCK) {
        if block.iter().all(|byte| *byte == 0) {
            to.seek_relative(i64::try_from(block.len()).unwrap_or(0))?;
        } else {
            to.write_all(block)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn holes_stay_holes_and_a_stop_is_heard() {
        let top = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let mut options = File::options();
            options.read(true).write(true).create_new(true);
            options.open(top.path().join(name)).unwrap()
        };
        let from = open("from");
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"middle", 9 << 20).unwrap();
        from.write_all_at(b"far", 40 << 20).unwrap();
        if !is_sparse(&from).unwrap() {
            eprintln!("SKIPPED: this file system has no holes");
            return;
        }
        let to = open("to");
        let stop = AtomicBool::new(false);
        copy(&from, &to, &stop).unwrap();
        let data = to.metadata().unwrap();
        assert_eq!(data.len(), 64 << 20);
        assert!(data.blocks() * 512 < 1 << 20, "{} blocks", data.blocks());
        let mut read = [0; 6];
        to.read_exact_at(&mut read, 9 << 20).unwrap();
        assert_eq!(&read, b"middle");
        to.read_exact_at(&mut read[..3], 40 << 20).unwrap();
        assert_eq!(&read[..3], b"far");
        stop.store(true, Ordering::Relaxed);
        let error = copy(&from, &open("no"), &stop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
