//! From chunks of bytes to lines, whatever the borders of the chunks. Pure.

use toft_model::frame::{Flags, TEXT_BYTES_MAX};

/// What is left of a line that has no newline yet.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    /// Hands out every line that is complete now, without its newline. A line that is longer than a
    /// frame may be comes in pieces, all but the last of them marked as cut.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&[u8], Flags)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if self.partial.is_empty() {
                let rest = cut(&bytes[..end], &mut emit);
                emit(rest, Flags::default());
            } else {
                self.gather(&bytes[..end], &mut emit);
                emit(&self.partial, Flags::default());
                self.partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.gather(bytes, &mut emit);
        self.partial.shrink_to(TEXT_BYTES_MAX);
    }

    /// The stream ended: hands out what had no newline.
    pub(crate) fn finish(&mut self, mut emit: impl FnMut(&[u8], Flags)) {
        if !self.partial.is_empty() {
            emit(&self.partial, Flags::UNENDED);
        }
        self.partial = Vec::new();
    }

    fn gather(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&[u8], Flags)) {
        while self.partial.len() + bytes.len() > TEXT_BYTES_MAX {
            let (fits, rest) = bytes.split_at(TEXT_BYTES_MAX - self.partial.len());
            self.partial.extend_from_slice(fits);
            emit(&self.partial, Flags::CUT);
            self.partial.clear();
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
    }
}

/// Hands out pieces of a line until what is left fits.
fn cut<'a>(mut line: &'a [u8], emit: &mut impl FnMut(&[u8], Flags)) -> &'a [u8] {
    while line.len() > TEXT_BYTES_MAX {
        let (piece, rest) = line.split_at(TEXT_BYTES_MAX);
        emit(piece, Flags::CUT);
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(chunks: &[&[u8]]) -> Vec<(Vec<u8>, Flags)> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.push(chunk, |line, flags| lines.push((line.to_vec(), flags)));
        }
        splitter.finish(|line, flags| lines.push((line.to_vec(), flags)));
        lines
    }

    #[test]
    fn lines_are_lines_and_the_last_may_be_unended() {
        let lines = split(&[b"one\n\ntw", b"o\nthree"]);
        let texts: Vec<_> = lines
            .iter()
            .map(|(text, _)| String::from_utf8_lossy(text))
            .collect();
        assert_eq!(texts, ["one", "", "two", "three"]);
        assert_eq!(lines[3].1, Flags::UNENDED);
        assert_eq!(lines[2].1, Flags::default());
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let long = vec![b'x'; TEXT_BYTES_MAX * 2 + 5];
        let mut bytes = long.clone();
        bytes.push(b'\n');
        let lengths: Vec<_> = split(&[&bytes])
            .iter()
            .map(|(t, f)| (t.len(), f.has(Flags::CUT)))
            .collect();
        assert_eq!(
            lengths,
            [(TEXT_BYTES_MAX, true), (TEXT_BYTES_MAX, true), (5, false)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_borders_of_chunks_do_not_matter(
            words in proptest::collection::vec((0usize..90_000, any::<bool>()), 0..6),
            borders in proptest::collection::vec(1usize..70_000, 1..8),
        ) {
            let mut bytes = Vec::new();
            for (n, (length, ended)) in words.iter().enumerate() {
                bytes.resize(bytes.len() + length, b'a' + n as u8);
                if *ended { bytes.push(b'\n') }
            }
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for border in borders.iter().cycle() {
                if rest.is_empty() { break }
                let (chunk, after) = rest.split_at((*border).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(split(&chunks), split(&[&bytes]));
        }
    }
}
