//! Layout of log frames and of the ring that holds them. Pure: bytes in, bytes out.
//!
//! A ring is a file of one header page and a fixed number of data bytes. Positions are *logical*:
//! they only grow, and byte `p` of the log lies at `HEADER_BYTES + p % capacity`. A frame is a
//! 48-byte head and its text, padded to eight bytes; it may run over the end of the file and go on
//! at the start of the data. All numbers are little-endian.
//!
//! The writer first moves `oldest` in the header beyond what it is about to overwrite, then writes
//! the frames, then moves `end`. So a reader that copies bytes and afterwards still finds them
//! between `oldest` and `end` has read them whole; and because every frame carries its length and a
//! checksum, what a crash tore is found out and skipped.

use crate::id::InstanceId;
use std::path::PathBuf;

/// Bytes before the data.
pub const HEADER_BYTES: u64 = 4096;
/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 48;
/// The longest text of one frame; longer lines are cut into several.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The least capacity of a ring: two of the largest frames and some.
pub const CAPACITY_MIN: u64 = 160 * 1024;
/// Frames start at multiples of this.
pub const ALIGN: u64 = 8;

const RING_MAGIC: [u8; 8] = *b"TOFTRING";
const RING_VERSION: u32 = 1;
const RING_HEADER: usize = 64;
const FRAME_MAGIC: u32 = 0x314d_5246;

/// The header of a ring file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingHeader {
    /// Data bytes, a multiple of [`ALIGN`].
    pub capacity: u64,
    /// Position of the oldest whole frame.
    pub oldest: u64,
    /// Its sequence number.
    pub oldest_sequence: u64,
    /// Position after the newest frame.
    pub end: u64,
    /// The sequence number that the next frame gets.
    pub next_sequence: u64,
}

impl RingHeader {
    /// An empty ring. `bytes` is rounded to what a ring can be.
    pub fn new(bytes: u64) -> Self {
        Self {
            capacity: bytes.clamp(CAPACITY_MIN, 1 << 40) / ALIGN * ALIGN,
            oldest: 0,
            oldest_sequence: 1,
            end: 0,
            next_sequence: 1,
        }
    }

    /// As it stands at the start of the file.
    pub fn encode(&self) -> [u8; RING_HEADER] {
        let mut out = [0; RING_HEADER];
        out[..8].copy_from_slice(&RING_MAGIC);
        out[8..12].copy_from_slice(&RING_VERSION.to_le_bytes());
        let fields = [
            self.capacity,
            self.oldest,
            self.oldest_sequence,
            self.end,
            self.next_sequence,
        ];
        for (n, field) in fields.iter().enumerate() {
            out[16 + n * 8..24 + n * 8].copy_from_slice(&field.to_le_bytes());
        }
        let sum = checksum(&out[..56]);
        out[56..60].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads it back; `None` when it is torn, of another version or not a ring's.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..RING_HEADER)?;
        if bytes[..8] != RING_MAGIC
            || u32_at(bytes, 8) != RING_VERSION
            || u32_at(bytes, 56) != checksum(&bytes[..56])
        {
            return None;
        }
        let header = Self {
            capacity: u64_at(bytes, 16),
            oldest: u64_at(bytes, 24),
            oldest_sequence: u64_at(bytes, 32),
            end: u64_at(bytes, 40),
            next_sequence: u64_at(bytes, 48),
        };
        let held = header.end.checked_sub(header.oldest)?;
        let sound = header.capacity >= CAPACITY_MIN
            && header.capacity <= 1 << 40
            && held <= header.capacity
            && [header.capacity, header.oldest, header.end]
                .iter()
                .all(|n| n % ALIGN == 0)
            && header.oldest_sequence <= header.next_sequence;
        sound.then_some(header)
    }
}

/// How many bytes [`RingHeader::decode`] needs.
pub const RING_HEADER_BYTES: usize = RING_HEADER;

/// Which stream a line came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Toft itself: losses, restarts.
    Toft,
}

/// What is special about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// The line was longer than a frame may be and goes on in the next frame of its stream.
    pub const CUT: Flags = Flags(1);
    /// The stream ended without a newline after this.
    pub const UNENDED: Flags = Flags(2);
    /// Lines were lost here; the text says how many.
    pub const LOST: Flags = Flags(4);

    /// Whether `other` is set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a frame says about its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Grows by one with each frame of the ring.
    pub sequence: u64,
    /// Nanoseconds since 1970, UTC, when the line was read from the program.
    pub time_ns: u64,
    /// Which filling of the instance's place said it.
    pub generation: u64,
    /// By which stream.
    pub stream: Stream,
    /// What is special.
    pub flags: Flags,
}

/// One line, or a part of a long one, without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When, who, where.
    pub head: Head,
    /// The bytes as the program wrote them; any bytes at all.
    pub text: Vec<u8>,
}

/// How many bytes of a ring a frame with a text of this length takes.
pub fn frame_bytes(text: usize) -> usize {
    (HEAD_BYTES + text).next_multiple_of(ALIGN as usize)
}

/// Appends a frame to `out`. The text must not be longer than [`TEXT_BYTES_MAX`]: it is cut there.
pub fn encode(head: &Head, text: &[u8], out: &mut Vec<u8>) {
    let text = &text[..text.len().min(TEXT_BYTES_MAX)];
    let start = out.len();
    out.extend_from_slice(&FRAME_MAGIC.to_le_bytes());
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(&head.sequence.to_le_bytes());
    out.extend_from_slice(&head.time_ns.to_le_bytes());
    out.extend_from_slice(&head.generation.to_le_bytes());
    out.push(match head.stream {
        Stream::Out => 1,
        Stream::Err => 2,
        Stream::Toft => 3,
    });
    out.push(head.flags.0);
    out.extend_from_slice(&[0; 14]);
    out.extend_from_slice(text);
    out.resize(start + frame_bytes(text.len()), 0);
    let sum = checksum(&out[start..]);
    out[start + 36..start + 40].copy_from_slice(&sum.to_le_bytes());
}

/// What stands at the start of some bytes of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A frame, and how many bytes it takes.
    Frame(Head, &'a [u8], usize),
    /// The start of a frame of this many bytes; more are needed to tell.
    Short(usize),
    /// No frame: torn, overwritten, or never one.
    Not,
}

/// Reads the frame at the start of `bytes`.
pub fn decode(bytes: &[u8]) -> Decoded<'_> {
    if bytes.len() < HEAD_BYTES {
        return Decoded::Short(HEAD_BYTES);
    }
    let length = u32_at(bytes, 4) as usize;
    if u32_at(bytes, 0) != FRAME_MAGIC || length > TEXT_BYTES_MAX {
        return Decoded::Not;
    }
    let total = frame_bytes(length);
    let Some(whole) = bytes.get(..total) else {
        return Decoded::Short(total);
    };
    let stream = match whole[32] {
        1 => Stream::Out,
        2 => Stream::Err,
        3 => Stream::Toft,
        _ => return Decoded::Not,
    };
    if frame_checksum(whole) != u32_at(whole, 36) {
        return Decoded::Not;
    }
    let head = Head {
        sequence: u64_at(whole, 8),
        time_ns: u64_at(whole, 16),
        generation: u64_at(whole, 24),
        stream,
        flags: Flags(whole[33]),
    };
    Decoded::Frame(head, &whole[HEAD_BYTES..HEAD_BYTES + length], total)
}

/// Where the ring of an instance's place lies below the folder of logs: `guestbook/web.0.ring`.
///
/// All generations of a place share one ring, so the number of files stays bounded.
pub fn ring_path(instance: &InstanceId) -> PathBuf {
    PathBuf::from(instance.app.as_str()).join(format!("{}.ring", instance.short()))
}

/// The checksum of a frame, taken as if its own place held zeroes.
fn frame_checksum(whole: &[u8]) -> u32 {
    let mut head = [0; HEAD_BYTES];
    head.copy_from_slice(&whole[..HEAD_BYTES]);
    head[36..40].fill(0);
    let state = mix(SEED, &head);
    fold(mix(state, &whole[HEAD_BYTES..]), whole.len())
}

/// Finds accidents (torn and stale bytes), not forgeries; eight bytes a step.
fn checksum(bytes: &[u8]) -> u32 {
    fold(mix(SEED, bytes), bytes.len())
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut state: u64, bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        state = step(state, u64_at(word, 0));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = step(state, u64::from_le_bytes(word));
    }
    state
}

fn step(state: u64, word: u64) -> u64 {
    (state ^ word)
        .wrapping_mul(0xff51_afd7_ed55_8ccd)
        .rotate_left(29)
}

fn fold(state: u64, length: usize) -> u32 {
    let state = step(state, length as u64);
    (state ^ (state >> 32)) as u32
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Head = Head {
        sequence: 7,
        time_ns: 1_700_000_000_000_000_000,
        generation: 3,
        stream: Stream::Err,
        flags: Flags::CUT,
    };

    #[test]
    fn a_frame_comes_back_whole() {
        for length in [0, 1, 7, 8, 9, 1000, TEXT_BYTES_MAX] {
            let text = vec![b'x'; length];
            let mut bytes = Vec::new();
            encode(&HEAD, &text, &mut bytes);
            assert_eq!(bytes.len(), frame_bytes(length));
            bytes.extend_from_slice(b"what follows");
            assert_eq!(
                decode(&bytes),
                Decoded::Frame(HEAD, &text[..], frame_bytes(length))
            );
        }
    }

    #[test]
    fn every_flipped_byte_is_found_out() {
        let mut good = Vec::new();
        encode(&HEAD, b"a line of text", &mut good);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(!matches!(decode(&bad), Decoded::Frame(..)), "byte {at}");
        }
        for length in 0..good.len() {
            assert!(matches!(decode(&good[..length]), Decoded::Short(n) if n > length));
        }
    }

    #[test]
    fn a_torn_header_is_no_header() {
        let header = RingHeader {
            end: 4096,
            next_sequence: 9,
            ..RingHeader::new(1 << 20)
        };
        let good = header.encode();
        assert_eq!(RingHeader::decode(&good), Some(header));
        for at in 0..60 {
            let mut bad = good;
            bad[at] ^= 1;
            assert_eq!(RingHeader::decode(&bad), None, "byte {at}");
        }
        let impossible = RingHeader {
            oldest: 8,
            end: 0,
            ..header
        };
        assert_eq!(RingHeader::decode(&impossible.encode()), None);
    }

    #[test]
    fn a_ring_has_a_path_without_surprises() {
        let id = InstanceId {
            app: "guestbook".parse().unwrap(),
            process: "web".parse().unwrap(),
            index: 0,
            generation: crate::id::Generation(4),
        };
        assert_eq!(ring_path(&id), PathBuf::from("guestbook/web.0.ring"));
    }
}
