//! Log lines for those who ask: the last ones of an instance, and all of an app as they come.

use crate::pollable::{Pollable, register};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toft_api::LogLine;
use toft_model::frame::ring_path;
use toft_model::{AppName, Generation, InstanceId};
use toft_observe::ring::{Item, Reader, last_lines};
use toft_observe::watch::Watch;
use toft_observe::{Frame, Stream};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How many lines one turn takes from the rings.
const TURN_LINES: usize = 512;

/// The folder of log rings, read-only.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    folder: Arc<Path>,
}

impl Logs {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The last lines of one instance that were said since then, oldest first; none when its ring
    /// cannot be read.
    pub(crate) fn last(&self, id: &InstanceId, count: usize, since_ns: u64) -> Vec<String> {
        let path = self.folder.join(ring_path(id));
        last_lines(&path, Some(id.generation.0), count)
            .unwrap_or_default()
            .iter()
            .filter(|frame| frame.head.time_ns >= since_ns)
            .map(|frame| String::from_utf8_lossy(&frame.text).into_owned())
            .collect()
    }

    /// Follows all instances of an app, those to come too.
    pub(crate) fn follow(&self, app: &AppName, from_start: bool) -> Follower {
        let watch = Watch::new().and_then(|watch| register(watch, Interest::READABLE));
        if let Err(error) = &watch {
            tracing::error!(%error, "logs cannot be followed: no inotify");
        }
        let mut follower = Follower {
            app: app.clone(),
            top: self.folder.to_path_buf(),
            folder: self.folder.join(app.as_str()),
            rings: BTreeMap::new(),
            watch: watch.ok(),
        };
        follower.find(!from_start);
        follower
    }
}

/// Reads the rings of one app as they grow.
pub(crate) struct Follower {
    app: AppName,
    top: PathBuf,
    folder: PathBuf,
    rings: BTreeMap<String, (InstanceId, Reader)>,
    watch: Option<AsyncFd<Pollable<Watch>>>,
}

impl Follower {
    /// Takes in rings that are new since the last look.
    fn find(&mut self, skip: bool) {
        self.watch_path(&self.top.clone());
        self.watch_path(&self.folder.clone());
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if self.rings.contains_key(&name) {
                continue;
            }
            let Some(id) = instance_of(&self.app, &name) else {
                continue;
            };
            let Ok(mut reader) = Reader::open(&entry.path()) else {
                continue;
            };
            if skip && let Err(error) = reader.skip_to_end() {
                tracing::debug!(%error, ring = name, "a ring has no end yet");
            }
            self.watch_path(&entry.path());
            self.rings.insert(name, (id, reader));
        }
    }

    fn watch_path(&self, path: &Path) {
        if let Some(watch) = &self.watch {
            // What is not there yet is found when its folder changes.
            let _ = watch.get_ref().0.add(path);
        }
    }

    /// The lines that came since the last time, in the order of each instance; at most a turn's worth.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for (id, reader) in self.rings.values_mut() {
            while lines.len() < TURN_LINES {
                match reader.next_item() {
                    Ok(Some(Item::Frame(frame))) => lines.push(line(id, &frame)),
                    Ok(Some(Item::Lost(count))) => lines.push(lost(id, count)),
                    Ok(None) | Err(_) => break,
                }
            }
        }
        lines.sort_by_key(|line| line.at_ns);
        lines
    }

    /// Waits until there may be more. Safe to cancel.
    pub(crate) async fn wait(&mut self) {
        let Some(watch) = &mut self.watch else {
            return std::future::pending().await;
        };
        let Ok(mut ready) = watch.readable_mut().await else {
            return std::future::pending().await;
        };
        ready.get_inner().0.drain();
        ready.clear_ready();
        self.find(false);
    }
}

/// `web.0.ring` → the instance's place; its generation comes with each frame.
fn instance_of(app: &AppName, file: &str) -> Option<InstanceId> {
    let (process, index) = file.strip_suffix(".ring")?.rsplit_once('.')?;
    Some(InstanceId {
        app: app.clone(),
        process: process.parse().ok()?,
        index: index.parse().ok()?,
        generation: Generation(0),
    })
}

fn line(place: &InstanceId, frame: &Frame) -> LogLine {
    LogLine {
        instance: InstanceId {
            generation: Generation(frame.head.generation),
            ..place.clone()
        },
        at_ns: frame.head.time_ns,
        stream: match frame.head.stream {
            Stream::Out => "out",
            Stream::Err => "err",
            Stream::Toft => "note",
        }
        .to_owned(),
        sequence: frame.head.sequence,
        text: String::from_utf8_lossy(&frame.text).into_owned(),
    }
}

fn lost(place: &InstanceId, count: u64) -> LogLine {
    LogLine {
        instance: place.clone(),
        at_ns: 0,
        stream: "note".to_owned(),
        sequence: 0,
        text: format!("{count} lines were overwritten before they could be read"),
    }
}
