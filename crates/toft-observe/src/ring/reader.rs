//! A reading end. Any number of them, in any process that may read the file.

use super::read_at;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use toft_model::frame::{
    self, ALIGN, Decoded, Frame, RING_HEADER_BYTES, RingHeader, TEXT_BYTES_MAX, frame_bytes,
};

/// How much is copied at a time; more than the largest frame.
const CHUNK_BYTES: u64 = 128 * 1024;
/// How often a header that is just being written is read again before it is given up for now.
const TRIES: u32 = 64;

/// What comes next in a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame(Frame),
    /// This many frames were overwritten or torn before they could be read.
    Lost(u64),
}

/// Reads a ring while it is being written.
#[derive(Debug)]
pub struct Reader {
    file: File,
    /// The sequence number that comes next.
    expected: u64,
    /// Position of the first byte in `buffer`; `None` before the first look.
    position: Option<u64>,
    buffer: VecDeque<u8>,
    ready: Option<Frame>,
}

impl Reader {
    /// Opens a ring and stands before its oldest frame.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?))
    }

    /// The same for a file that is open already.
    pub fn new(file: File) -> Self {
        Self {
            file,
            expected: 0,
            position: None,
            buffer: VecDeque::new(),
            ready: None,
        }
    }

    /// Goes on after the frame with this sequence number; 0 is before all of them. Frames after it
    /// that are gone are told as [`Item::Lost`].
    pub fn follow(&mut self, after_sequence: u64) {
        self.expected = after_sequence.saturating_add(1);
        self.position = None;
        self.buffer.clear();
        self.ready = None;
    }

    /// Skips everything that is in the ring now. Gives back the sequence number to follow after.
    pub fn skip_to_end(&mut self) -> io::Result<u64> {
        let after = self.header()?.map_or(0, |header| header.next_sequence - 1);
        self.follow(after);
        Ok(after)
    }

    /// What comes next; `None` when all has been read for now.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        if let Some(frame) = self.ready.take() {
            return Ok(Some(Item::Frame(frame)));
        }
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        self.place(&header);
        loop {
            let Some((frame, total)) = self.take_frame(&header) else {
                if self.fill()? {
                    continue;
                }
                return Ok(self.caught_up(&header));
            };
            self.consume(total);
            let sequence = frame.head.sequence;
            if sequence < self.expected {
                continue;
            }
            let lost = if self.expected == 0 {
                0
            } else {
                sequence - self.expected
            };
            self.expected = sequence + 1;
            if lost == 0 {
                return Ok(Some(Item::Frame(frame)));
            }
            self.ready = Some(frame);
            return Ok(Some(Item::Lost(lost)));
        }
    }

    /// Finds the position to start from, or to go on from when the writer went past.
    fn place(&mut self, header: &RingHeader) {
        let inside = |at: u64| (header.oldest..=header.end).contains(&at);
        if self.expected > header.next_sequence {
            // The ring was made anew: what we knew is of another one.
            self.expected = 0;
            self.position = None;
        }
        if self
            .position
            .is_some_and(|at| inside(at) || inside(at + self.buffer.len() as u64))
        {
            return;
        }
        self.buffer.clear();
        let at_end = self.expected == header.next_sequence;
        self.position = Some(if at_end { header.end } else { header.oldest });
        if self.expected == 0 {
            self.expected = header.oldest_sequence;
        }
    }

    /// The first frame in the buffer, after skipping what is none.
    fn take_frame(&mut self, header: &RingHeader) -> Option<(Frame, usize)> {
        self.buffer.make_contiguous();
        let mut skip = 0;
        let found = loop {
            let bytes = &self.buffer.as_slices().0[skip..];
            if bytes.is_empty() {
                break None;
            }
            let rest = header
                .end
                .saturating_sub(self.position.unwrap_or(0) + skip as u64);
            match frame::decode(bytes) {
                Decoded::Frame(head, text, total) if head.sequence < header.next_sequence => {
                    break Some((
                        Frame {
                            head,
                            text: text.to_vec(),
                        },
                        total,
                    ));
                }
                Decoded::Short(total) if total as u64 <= rest => break None,
                _ => skip += (ALIGN as usize).min(bytes.len()),
            }
        };
        self.consume(skip);
        found
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        if let Some(position) = &mut self.position {
            *position += bytes as u64;
        }
    }

    /// Copies more into the buffer; false when there is no more now.
    fn fill(&mut self) -> io::Result<bool> {
        let Some(before) = self.header()? else {
            return Ok(false);
        };
        let start = self.position.unwrap_or(before.oldest);
        let mut from = start + self.buffer.len() as u64;
        if from < before.oldest {
            self.buffer.clear();
            from = before.oldest;
            self.position = Some(from);
        }
        let largest = frame_bytes(TEXT_BYTES_MAX) as u64;
        let count = before
            .end
            .saturating_sub(from)
            .min(CHUNK_BYTES.max(largest));
        if count == 0 {
            return Ok(false);
        }
        let mut chunk = vec![0; count as usize];
        let got = read_at(&self.file, before.capacity, from, &mut chunk)?;
        let after = match self.header()? {
            Some(after) if after.capacity == before.capacity => after,
            _ => return Ok(false),
        };
        // What the writer gave up while we copied may be half overwritten.
        let gone = after.oldest.saturating_sub(from).min(got as u64) as usize;
        if gone > 0 {
            self.buffer.clear();
            self.position = Some(from + gone as u64);
        }
        self.buffer.extend(&chunk[gone..got]);
        Ok(got > 0)
    }

    /// Nothing more to read: what was counted but is not there was torn.
    fn caught_up(&mut self, header: &RingHeader) -> Option<Item> {
        let whole = self.buffer.is_empty() && self.position == Some(header.end);
        if !whole || self.expected >= header.next_sequence {
            return None;
        }
        let lost = header.next_sequence - self.expected;
        self.expected = header.next_sequence;
        Some(Item::Lost(lost))
    }

    fn header(&self) -> io::Result<Option<RingHeader>> {
        for _ in 0..TRIES {
            let mut bytes = [0; RING_HEADER_BYTES];
            let got = rustix::io::pread(&self.file, &mut bytes, 0)?;
            if got < bytes.len() {
                return Ok(None);
            }
            if let Some(header) = RingHeader::decode(&bytes) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}

/// The last `count` frames of a ring, oldest first; of one generation, or of all.
pub fn last_lines(path: &Path, generation: Option<u64>, count: usize) -> io::Result<Vec<Frame>> {
    let mut reader = Reader::open(path)?;
    let mut kept = VecDeque::with_capacity(count.min(4096));
    while let Some(item) = reader.next_item()? {
        let Item::Frame(frame) = item else { continue };
        if generation.is_some_and(|wanted| wanted != frame.head.generation) {
            continue;
        }
        kept.push_back(frame);
        if kept.len() > count {
            kept.pop_front();
        }
    }
    Ok(kept.into())
}
