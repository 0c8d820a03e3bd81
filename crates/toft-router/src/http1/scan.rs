//! Finds the end of a head, in any number of reads, looking at each byte once.

use super::Malformed;
use crate::limits::HEAD_BYTES_MAX;

/// How far a head was looked through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadScan {
    seen: usize,
    line: usize,
}

impl HeadScan {
    /// The length of the head with its empty line, `None` when it goes on.
    ///
    /// `input` starts where the head starts and each call sees at least what the one before saw.
    /// One empty line in front of the head is part of it (RFC 9112 §2.2).
    pub fn find(&mut self, input: &[u8]) -> Result<Option<usize>, Malformed> {
        let bounded = &input[..input.len().min(HEAD_BYTES_MAX)];
        while let Some(offset) = memchr::memchr(b'\n', &bounded[self.seen..]) {
            let end = self.seen + offset;
            if end == self.line || bounded[end - 1] != b'\r' {
                return Err(Malformed::BareLf);
            }
            let empty = end - self.line == 1;
            let first = self.line == 0;
            self.seen = end + 1;
            self.line = end + 1;
            if empty && !first {
                return Ok(Some(end + 1));
            }
        }
        self.seen = bounded.len();
        if bounded.len() == HEAD_BYTES_MAX {
            return Err(Malformed::HeadTooLarge);
        }
        Ok(None)
    }

    /// Whether nothing was seen yet but perhaps an empty line.
    pub fn is_fresh(&self) -> bool {
        self.seen == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<Option<usize>, Malformed> {
        HeadScan::default().find(text.as_bytes())
    }

    #[test]
    fn the_end_is_the_first_empty_line_behind_a_line() {
        assert_eq!(whole("GET / HTTP/1.1\r\n\r\nx"), Ok(Some(18)));
        assert_eq!(whole("\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some(20)));
        assert_eq!(whole("\r\n\r\n"), Ok(Some(4)));
        assert_eq!(whole("GET / HTTP/1.1\r\n"), Ok(None));
        assert_eq!(whole("GET / HTTP/1.1\n"), Err(Malformed::BareLf));
        assert_eq!(whole("GET / HTTP/1.1\r\n\n"), Err(Malformed::BareLf));
        assert_eq!(whole("\n"), Err(Malformed::BareLf));
        assert_eq!(
            whole(&"x".repeat(HEAD_BYTES_MAX)),
            Err(Malformed::HeadTooLarge)
        );
        assert_eq!(whole(&"x".repeat(HEAD_BYTES_MAX - 1)), Ok(None));
    }

    #[test]
    fn any_cut_gives_the_same() {
        let text = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nrest";
        for cut in 0..text.len() {
            let mut scan = HeadScan::default();
            let first = scan.find(&text[..cut]);
            let found = match first {
                Ok(None) => scan.find(text),
                other => other,
            };
            assert_eq!(found, Ok(Some(29)), "cut at {cut}");
        }
    }
}
