//! The writing end. There is one for a ring at any time; the logger sees to that.

use super::{read_at, write_at};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use toft_model::frame::{
    self, Decoded, Flags, HEAD_BYTES, HEADER_BYTES, Head, RING_HEADER_BYTES, RingHeader, Stream,
};

/// How many bytes are gathered before they go into the file by themselves.
const BATCH_BYTES: usize = 128 * 1024;
/// How much of the oldest is given up in one go.
const STRIDE_BYTES: u64 = 64 * 1024;

/// Appends frames to a ring; the oldest make room.
#[derive(Debug)]
pub struct Writer {
    file: File,
    header: RingHeader,
    batch: Vec<u8>,
    batched: u64,
}

impl Writer {
    /// Goes on with the ring in `file` (open for reading and writing), or makes one of `bytes` data
    /// bytes when it is none, is damaged, or has another size. Sequence numbers go on where they
    /// can be read.
    pub fn open(file: File, bytes: u64) -> io::Result<Self> {
        let wanted = RingHeader::new(bytes);
        let mut head = [0; RING_HEADER_BYTES];
        let found = match rustix::io::pread(&file, &mut head, 0) {
            Ok(n) => RingHeader::decode(&head[..n]),
            Err(_) => None,
        };
        let header = match found {
            Some(header) if header.capacity == wanted.capacity => header,
            Some(other) => RingHeader {
                oldest_sequence: other.next_sequence,
                next_sequence: other.next_sequence,
                // Positions of the old size mean nothing in the new one: a reader that stood at
                // one is behind all of these, and starts again at the oldest.
                oldest: other.end,
                end: other.end,
                ..wanted
            },
            None => wanted,
        };
        let made = Self {
            file,
            header,
            batch: Vec::new(),
            batched: 0,
        };
        if found != Some(header) {
            rustix::fs::ftruncate(&made.file, HEADER_BYTES + header.capacity)?;
            made.write_header()?;
        }
        Ok(made)
    }

    /// Appends one frame; it is in the file after [`Writer::flush`] at the latest. Gives back its
    /// sequence number. On an error the frames gathered since the last flush are lost.
    pub fn append(
        &mut self,
        time_ns: u64,
        generation: u64,
        stream: Stream,
        flags: Flags,
        text: &[u8],
    ) -> io::Result<u64> {
        let limit = BATCH_BYTES.min(self.header.capacity as usize / 2);
        let bytes = frame::frame_bytes(text.len().min(frame::TEXT_BYTES_MAX));
        if !self.batch.is_empty() && self.batch.len() + bytes > limit {
            self.flush()?;
        }
        let sequence = self.header.next_sequence + self.batched;
        let head = Head {
            sequence,
            time_ns,
            generation,
            stream,
            flags,
        };
        frame::encode(&head, text, &mut self.batch);
        self.batched += 1;
        Ok(sequence)
    }

    /// How many frames would be lost if it all ended now.
    pub fn in_hand(&self) -> u64 {
        self.batched
    }

    /// Brings everything appended so far into the file.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = self.write_batch();
        self.batch.clear();
        self.batch.shrink_to(BATCH_BYTES);
        self.batched = 0;
        Ok(written?)
    }

    fn write_batch(&mut self) -> Result<(), Errno> {
        let end = self.header.end + self.batch.len() as u64;
        if end - self.header.oldest > self.header.capacity {
            self.make_room(end - self.header.capacity)?;
            self.write_header()?;
        }
        write_at(
            &self.file,
            self.header.capacity,
            self.header.end,
            &self.batch,
        )?;
        self.header.end = end;
        self.header.next_sequence += self.batched;
        self.write_header()
    }

    /// Moves `oldest` to the start of a frame at `least` or beyond it.
    fn make_room(&mut self, least: u64) -> Result<(), Errno> {
        let stride = STRIDE_BYTES.min(self.header.capacity / 16);
        let goal = (least + stride).min(self.header.end);
        let mut block = vec![0; 8 * 1024];
        while self.header.oldest < goal {
            let got = read_at(
                &self.file,
                self.header.capacity,
                self.header.oldest,
                &mut block,
            )?;
            let moved = self.skip_frames(&block[..got], goal);
            if moved == 0 {
                // What stands there is no frame: a crash tore it. Nothing before the end can be
                // trusted to start where we think.
                self.header.oldest = self.header.end;
                self.header.oldest_sequence = self.header.next_sequence;
            }
        }
        Ok(())
    }

    /// Skips the frames whose heads stand in `block`, up to `goal`; returns how many.
    fn skip_frames(&mut self, block: &[u8], goal: u64) -> u64 {
        let (mut at, mut skipped) = (0, 0);
        while self.header.oldest < goal && at + HEAD_BYTES <= block.len() {
            let total = match frame::decode(&block[at..]) {
                Decoded::Frame(head, _, total) if head.sequence == self.header.oldest_sequence => {
                    total
                }
                Decoded::Short(total) => total,
                _ => break,
            };
            self.header.oldest += total as u64;
            self.header.oldest_sequence += 1;
            at += total;
            skipped += 1;
        }
        skipped
    }

    fn write_header(&self) -> Result<(), Errno> {
        let bytes = self.header.encode();
        match rustix::io::pwrite(&self.file, &bytes, 0) {
            Ok(n) if n == bytes.len() => Ok(()),
            Ok(_) => Err(Errno::IO),
            Err(other) => Err(other),
        }
    }
}
