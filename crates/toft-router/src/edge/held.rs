//! Bytes that were read and not used yet.

/// A buffer whose front is used up step by step.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    used: usize,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.used == self.bytes.len()
    }

    /// What is left.
    pub(super) fn left(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// So much of it was used.
    pub(super) fn advance(&mut self, count: usize) {
        self.used += count;
        debug_assert!(self.used <= self.bytes.len());
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// More came.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }
}
