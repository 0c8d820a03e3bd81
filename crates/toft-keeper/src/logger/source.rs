//! One instance that is being followed: its streams, its rate, its losses.

use super::lines::Splitter;
use crate::bucket::Bucket;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use toft_model::InstanceId;
use toft_model::frame::{self, Flags, Stream};
use toft_model::instance::LogSpec;
use toft_observe::ring::Writer;

/// How long a loss may go on before it is said again.
pub(super) const LOSS_TOLD_EVERY: Duration = Duration::from_millis(500);

/// What is known of an instance.
pub(super) struct Source {
    pub(super) id: InstanceId,
    pub(super) ring: PathBuf,
    rate: u32,
    bucket: Bucket,
    lost_lines: u64,
    lost_bytes: u64,
    lost_told: Instant,
    unwritten: u64,
    /// Tokens of the streams that are still open.
    pub(super) open: Vec<u64>,
    /// `Finish` came, with its note.
    pub(super) finish: Option<Option<String>>,
}

impl Source {
    pub(super) fn new(id: InstanceId, log: LogSpec, now: Instant) -> Self {
        let rate = f64::from(log.lines_per_second);
        Self {
            ring: frame::ring_path(&id),
            id,
            rate: log.lines_per_second,
            bucket: Bucket::new(rate, rate.max(1.0), now),
            lost_lines: 0,
            lost_bytes: 0,
            lost_told: now,
            unwritten: 0,
            open: Vec::new(),
            finish: None,
        }
    }

    /// Cuts a chunk into lines and writes those that the rate lets pass.
    pub(super) fn chunk(&mut self, splitter: &mut Splitter, bytes: &[u8], mut at: At<'_>) {
        splitter.push(bytes, |line, flags| self.line(line, flags, &mut at));
    }

    /// The stream ended.
    pub(super) fn stream_ended(&mut self, splitter: &mut Splitter, mut at: At<'_>) {
        splitter.finish(|line, flags| self.line(line, flags, &mut at));
    }

    fn line(&mut self, line: &[u8], flags: Flags, at: &mut At<'_>) {
        if !self.bucket.take(1, at.now) {
            self.lose(line.len());
            return;
        }
        if self.has_loss() {
            self.tell_loss(at);
        }
        let generation = self.id.generation.0;
        let written = at.writer.as_mut().is_some_and(|writer| {
            writer
                .append(at.wall_ns, generation, at.stream, flags, line)
                .is_ok()
        });
        if !written {
            self.unwritten += 1;
        }
    }

    /// Lines that were taken and could not be written.
    pub(super) fn unwritten(&mut self, lines: u64) {
        self.unwritten += lines;
    }

    /// Whether nothing more can come and the keeper waits for that.
    pub(super) fn is_through(&self) -> bool {
        self.open.is_empty() && self.finish.is_some()
    }

    fn lose(&mut self, bytes: usize) {
        self.lost_lines += 1;
        self.lost_bytes += bytes as u64;
    }

    /// Whether there is a loss that nobody was told of.
    pub(super) fn has_loss(&self) -> bool {
        self.lost_lines > 0 || self.unwritten > 0
    }

    /// Whether it is time to tell of a loss that still goes on.
    pub(super) fn loss_is_due(&self, now: Instant) -> bool {
        self.has_loss() && now.saturating_duration_since(self.lost_told) >= LOSS_TOLD_EVERY
    }

    /// Writes the loss as a frame of its own, where it happened.
    pub(super) fn tell_loss(&mut self, at: &mut At<'_>) {
        self.lost_told = at.now;
        if self.lost_lines > 0 {
            let text = format!(
                "dropped {} lines, {} bytes: more than {} lines/s",
                self.lost_lines, self.lost_bytes, self.rate
            );
            if self.note(&text, Flags::LOST, at) {
                self.lost_lines = 0;
                self.lost_bytes = 0;
            }
        }
        if self.unwritten > 0 {
            let text = format!(
                "lost {} lines: the log could not be written",
                self.unwritten
            );
            if self.note(&text, Flags::LOST, at) {
                self.unwritten = 0;
            }
        }
    }

    /// Writes a line of Toft's own; it does not count against the rate.
    pub(super) fn note(&mut self, text: &str, flags: Flags, at: &mut At<'_>) -> bool {
        let generation = self.id.generation.0;
        let bytes = text.as_bytes();
        at.writer.as_mut().is_some_and(|writer| {
            writer
                .append(at.wall_ns, generation, Stream::Toft, flags, bytes)
                .is_ok()
        })
    }
}

/// When, by which stream and where a line is written.
pub(super) struct At<'a> {
    pub(super) now: Instant,
    pub(super) wall_ns: u64,
    pub(super) stream: Stream,
    pub(super) writer: Option<&'a mut Writer>,
}
