//! What is to be sent: stretches of the input, untouched, between bytes of our own.

use std::io::IoSlice;
use std::ops::Range;

/// One stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Of the bytes that were written here.
    Own(Range<usize>),
    /// Of the input that the core was given.
    Input(Range<usize>),
}

/// Output of the core, in order. Kept by the caller and used again.
#[derive(Debug, Default)]
pub struct Pieces {
    own: Vec<u8>,
    list: Vec<Piece>,
}

impl Pieces {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.own.clear();
        self.list.clear();
    }

    /// Appends whatever `write` appends.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.own.len();
        write(&mut self.own);
        let end = self.own.len();
        if start == end {
            return;
        }
        match self.list.last_mut() {
            Some(Piece::Own(last)) if last.end == start => last.end = end,
            _ => self.list.push(Piece::Own(start..end)),
        }
    }

    /// Appends a stretch of the input.
    pub fn input(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.list.last_mut() {
            Some(Piece::Input(last)) if last.end == range.start => last.end = range.end,
            _ => self.list.push(Piece::Input(range)),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All as slices; `input` is what the core was given.
    pub fn slices<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = IoSlice<'a>> {
        self.list.iter().map(move |piece| match piece {
            Piece::Own(range) => IoSlice::new(&self.own[range.clone()]),
            Piece::Input(range) => IoSlice::new(&input[range.clone()]),
        })
    }

    /// Appends all of it behind the first `skip` bytes to `out`.
    pub fn copy_behind(&self, input: &[u8], mut skip: usize, out: &mut Vec<u8>) {
        for slice in self.slices(input) {
            let dropped = skip.min(slice.len());
            skip -= dropped;
            out.extend_from_slice(&slice[dropped..]);
        }
    }
}
