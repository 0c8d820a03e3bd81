//! Constant load: a fixed rate over a few kept connections, each failure written down.

use super::client::Client;
use crate::clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Report>>,
}

/// What the visitors met.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests that were sent.
    pub sent: u64,
    /// Answers with a status below 400 and a whole body.
    pub good: u64,
    /// Everything else: when (since the load began) and what.
    pub failures: Vec<(Duration, String)>,
    /// How long each good answer took, from the time at which it was due, sorted.
    pub took: Vec<Duration>,
    /// Connections that were opened.
    pub connections: u64,
}

impl Load {
    /// `rate` GETs per second of `path`, over `connections` kept connections.
    ///
    /// The rate holds whatever the answers do: a request that is due while an earlier one still
    /// waits is sent right after it, and its time counts from when it was due.
    pub fn start(url: &str, path: &str, rate: u32, connections: u32) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let begin = clock::now();
        let step = Duration::from_secs(1) * connections / rate.max(1);
        let mut workers = Vec::new();
        for n in 0..connections {
            let client =
                Client::of_url(url).ok_or_else(|| anyhow::anyhow!("not a URL for tests: {url}"))?;
            let worker = Worker {
                client,
                path: path.to_owned(),
                begin,
                first: begin + step * n / connections,
                step,
                stop: Arc::clone(&stop),
                sent: Arc::clone(&sent),
            };
            workers.push(std::thread::spawn(move || worker.run()));
        }
        Ok(Self {
            stop,
            sent,
            workers,
        })
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it, waits for what is in flight, and tells.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut whole = Report::default();
        for worker in self.workers {
            match worker.join() {
                Ok(part) => whole.add(part),
                Err(_) => whole
                    .failures
                    .push((Duration::ZERO, "a worker of the load panicked".into())),
            }
        }
        whole.took.sort();
        whole.failures.sort();
        whole
    }
}

impl Report {
    fn add(&mut self, part: Report) {
        self.sent += part.sent;
        self.good += part.good;
        self.connections += part.connections;
        self.failures.extend(part.failures);
        self.took.extend(part.took);
    }

    /// The time below which this share (0 to 1) of the good answers stayed.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let last = self.took.len().checked_sub(1)?;
        self.took
            .get((last as f64 * share).round() as usize)
            .copied()
    }
}

struct Worker {
    client: Client,
    path: String,
    begin: Instant,
    first: Instant,
    step: Duration,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Worker {
    fn run(mut self) -> Report {
        let mut report = Report::default();
        let mut due = self.first;
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(due.saturating_duration_since(clock::now()));
            self.one(due, &mut report);
            due += self.step;
        }
        report
    }

    fn one(&mut self, due: Instant, report: &mut Report) {
        report.sent += 1;
        self.sent.fetch_add(1, Ordering::Relaxed);
        report.connections += u64::from(!self.client.has_connection());
        match self.client.get(&self.path) {
            Ok(response) if response.status < 400 => {
                report.good += 1;
                report.took.push(clock::now().duration_since(due));
            }
            Ok(response) => {
                let cause = response.header("x-toft-cause").unwrap_or("no cause given");
                self.fail(report, format!("status {}: {cause}", response.status));
            }
            Err(failure) => self.fail(report, failure.to_string()),
        }
    }

    fn fail(&self, report: &mut Report, what: String) {
        report
            .failures
            .push((clock::now().duration_since(self.begin), what));
    }
}
