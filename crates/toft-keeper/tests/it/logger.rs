//! The logger over its real link, with real pipes.

use crate::Test;
use crate::world::{PATIENCE, id};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread::JoinHandle;
use toft_link::Link;
use toft_model::InstanceId;
use toft_model::frame::{Flags, Frame, Stream};
use toft_model::instance::LogSpec;
use toft_model::message::{FromLogger, LoggerOrder, ToLogger};
use toft_observe::ring::last_lines;

pub(crate) fn tests() -> Vec<(String, fn())> {
    let tests: [Test; 6] = [
        (
            "logger::lines_of_both_streams_are_in_the_ring",
            lines_of_both_streams,
        ),
        (
            "logger::drained_comes_after_the_end_was_announced",
            drained_after_finish,
        ),
        ("logger::a_flood_is_counted_and_never_stalls", flood),
        ("logger::two_generations_share_a_ring", generations),
        ("logger::one_that_is_started_again_says_so", resumed),
        ("logger::without_an_order_it_refuses", no_order),
    ];
    tests.map(|(name, test)| (name.to_owned(), test)).into()
}

struct Logger {
    link: Option<Link>,
    thread: Option<JoinHandle<Result<(), toft_keeper::logger::Error>>>,
    folder: tempfile::TempDir,
}

impl Logger {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut logger = Self {
            link: None,
            thread: None,
            folder,
        };
        logger.start();
        logger
    }

    fn start(&mut self) {
        let (mut link, theirs) = toft_link::pair().unwrap();
        link.send(&LoggerOrder { uid: None }, vec![]).unwrap();
        self.link = Some(link);
        self.thread = Some(std::thread::spawn(|| toft_keeper::logger::run(theirs)));
    }

    fn end(&mut self) {
        self.link = None;
        self.thread.take().unwrap().join().unwrap().unwrap();
    }

    fn say(&mut self, message: &ToLogger, fds: Vec<OwnedFd>) {
        self.link.as_mut().unwrap().send(message, fds).unwrap();
    }

    fn ring(&self, id: &InstanceId) -> std::path::PathBuf {
        self.folder.path().join(id.short())
    }

    /// Has it follow an instance; the writing ends of its streams.
    fn follow(&mut self, id: &InstanceId, log: LogSpec, resumed: bool, pipes: &Pipes) {
        let mut options = std::fs::File::options();
        let ring = options.read(true).write(true).create(true).truncate(false);
        let ring = ring.open(self.ring(id)).unwrap();
        let copy = |fd: &OwnedFd| fd.try_clone().unwrap();
        let fds = vec![copy(&pipes.out), copy(&pipes.err), ring.into()];
        let instance = id.clone();
        self.say(
            &ToLogger::Follow {
                instance,
                log,
                resumed,
            },
            fds,
        );
    }

    fn finish(&mut self, id: &InstanceId, note: Option<&str>) {
        let note = note.map(str::to_owned);
        self.say(
            &ToLogger::Finish {
                instance: id.clone(),
                note,
            },
            vec![],
        );
    }

    fn drained(&mut self) -> InstanceId {
        let within = PATIENCE.as_millis() as u32;
        let heard = self
            .link
            .as_mut()
            .unwrap()
            .recv_within::<FromLogger>(within)
            .unwrap();
        let FromLogger::Drained(id) = heard.expect("never drained").0;
        id
    }

    fn frames(&self, id: &InstanceId) -> Vec<Frame> {
        last_lines(&self.ring(id), None, usize::MAX).unwrap()
    }
}

/// Our copies of the reading ends.
struct Pipes {
    out: OwnedFd,
    err: OwnedFd,
}

fn pipes() -> (Pipes, std::fs::File, std::fs::File) {
    let (out, out_inside) = rustix::pipe::pipe().unwrap();
    let (err, err_inside) = rustix::pipe::pipe().unwrap();
    (Pipes { out, err }, out_inside.into(), err_inside.into())
}

fn texts(frames: &[Frame]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| String::from_utf8_lossy(&frame.text).into_owned())
        .collect()
}

fn lines_of_both_streams() {
    let mut logger = Logger::new();
    let (pipes, mut out, mut err) = pipes();
    let id = id("shop", 3);
    logger.follow(&id, LogSpec::default(), false, &pipes);
    out.write_all(b"one\ntwo\nhalf").unwrap();
    drop(out);
    logger.finish(&id, Some("and so it ended"));
    err.write_all(b"\xff\n").unwrap();
    drop(err);
    assert_eq!(logger.drained(), id);
    let frames = logger.frames(&id);
    assert_eq!(frames.len(), 5);
    assert!(
        frames
            .iter()
            .all(|frame| frame.head.generation == 3 && frame.head.time_ns > 0)
    );
    let of = |stream| {
        let frames: Vec<Frame> = frames
            .iter()
            .filter(|frame| frame.head.stream == stream)
            .cloned()
            .collect();
        frames
    };
    assert_eq!(texts(&of(Stream::Out)), ["one", "two", "half"]);
    assert!(of(Stream::Out)[2].head.flags.has(Flags::UNENDED));
    assert_eq!(of(Stream::Err)[0].text, b"\xff");
    assert_eq!(texts(&frames[4..]), ["and so it ended"]);
    logger.end();
}

fn drained_after_finish() {
    let mut logger = Logger::new();
    let (pipes, out, err) = pipes();
    let id = id("shop", 1);
    logger.follow(&id, LogSpec::default(), false, &pipes);
    drop((out, err));
    // A second one, drained in full, shows that the first had its chance.
    let (other_pipes, out, err) = self::pipes();
    let other = self::id("other", 1);
    logger.follow(&other, LogSpec::default(), false, &other_pipes);
    drop((out, err));
    logger.finish(&other, None);
    assert_eq!(logger.drained(), other);
    logger.finish(&id, None);
    assert_eq!(logger.drained(), id);
    logger.end();
}

fn flood() {
    let mut logger = Logger::new();
    let (pipes, mut out, err) = pipes();
    let id = id("shop", 1);
    let log = LogSpec {
        lines_per_second: 100,
        ring_bytes: 1 << 20,
    };
    logger.follow(&id, log, false, &pipes);
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    let block = line.repeat(5_000);
    for _ in 0..100 {
        out.write_all(&block).unwrap();
    }
    drop((out, err));
    logger.finish(&id, None);
    logger.drained();
    let frames = logger.frames(&id);
    let (mut lines, mut bytes, mut kept) = (0u64, 0u64, 0u64);
    for frame in &frames {
        if frame.head.flags.has(Flags::LOST) {
            let text = String::from_utf8_lossy(&frame.text).into_owned();
            let numbers: Vec<u64> = text
                .split(' ')
                .filter_map(|word| word.parse().ok())
                .collect();
            lines += numbers[0];
            bytes += numbers[1];
        } else {
            assert_eq!(frame.head.stream, Stream::Out);
            kept += 1;
        }
    }
    assert_eq!(kept + lines, 500_000, "every line is kept or counted");
    assert_eq!(kept * 99 + bytes, 500_000 * 99, "so is every byte");
    assert!(kept >= 100 && lines > 0);
    logger.end();
}

fn generations() {
    let mut logger = Logger::new();
    let (old, new) = (id("shop", 1), id("shop", 2));
    let (old_pipes, mut old_out, old_err) = pipes();
    let (new_pipes, mut new_out, new_err) = pipes();
    logger.follow(&old, LogSpec::default(), false, &old_pipes);
    logger.follow(&new, LogSpec::default(), false, &new_pipes);
    for n in 0..500 {
        writeln!(old_out, "old {n}").unwrap();
        writeln!(new_out, "new {n}").unwrap();
    }
    drop((old_out, old_err, new_out, new_err));
    for id in [&old, &new] {
        logger.finish(id, None);
        logger.drained();
    }
    let frames = logger.frames(&old);
    assert_eq!(frames.len(), 1000);
    assert!(
        frames
            .windows(2)
            .all(|two| two[1].head.sequence == two[0].head.sequence + 1)
    );
    let path: &Path = &logger.ring(&new);
    let new_lines = last_lines(path, Some(2), usize::MAX).unwrap();
    assert_eq!(new_lines.len(), 500);
    assert_eq!(new_lines[499].text, b"new 499");
    logger.end();
}

fn resumed() {
    let mut logger = Logger::new();
    let (pipes, mut out, err) = pipes();
    let id = id("shop", 1);
    logger.follow(&id, LogSpec::default(), false, &pipes);
    out.write_all(b"before\n").unwrap();
    logger.end();
    out.write_all(b"between\n").unwrap();
    logger.start();
    logger.follow(&id, LogSpec::default(), true, &pipes);
    out.write_all(b"after\n").unwrap();
    drop((out, err));
    logger.finish(&id, None);
    logger.drained();
    let frames = logger.frames(&id);
    let said: Vec<Frame> = frames
        .iter()
        .filter(|f| f.head.stream == Stream::Out)
        .cloned()
        .collect();
    assert_eq!(texts(&said), ["before", "between", "after"]);
    assert!(frames.iter().any(|f| f.head.flags.has(Flags::LOST)));
    assert!(pipes.out.as_fd().try_clone_to_owned().is_ok());
    logger.end();
}

fn no_order() {
    let (link, theirs) = toft_link::pair().unwrap();
    drop(link);
    let ended = toft_keeper::logger::run(theirs);
    assert!(matches!(ended, Err(toft_keeper::logger::Error::NoOrder)));
}
