//! Rings in real files: wrapped, torn, and read while they are written.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use proptest::prelude::*;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use toft_model::frame::{CAPACITY_MIN, HEADER_BYTES, RING_HEADER_BYTES, TEXT_BYTES_MAX};
use toft_observe::ring::{Item, Reader, Writer, last_lines};
use toft_observe::watch::Watch;
use toft_observe::{Flags, Frame, Stream};

fn file(path: &Path) -> File {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap()
}

fn writer(path: &Path) -> Writer {
    Writer::open(file(path), CAPACITY_MIN).unwrap()
}

fn all(reader: &mut Reader) -> (Vec<Frame>, u64) {
    let (mut frames, mut lost) = (Vec::new(), 0);
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Frame(frame) => frames.push(frame),
            Item::Lost(count) => lost += count,
        }
    }
    (frames, lost)
}

/// A text that can be told from every other one.
fn text(number: u64, length: usize) -> Vec<u8> {
    let mut text = format!("{number}:").into_bytes();
    text.resize(length.max(text.len()), b'a' + (number % 26) as u8);
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_or_counted_as_lost(
        turns in proptest::collection::vec((proptest::collection::vec(0usize..9_000, 0..12), any::<bool>()), 1..30),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let mut writer = writer(&path);
        let mut reader = Reader::open(&path).unwrap();
        reader.follow(0);
        let (mut number, mut seen, mut lost) = (0, 0, 0);
        for (lengths, look) in turns {
            for length in lengths {
                number += 1;
                let sequence = writer.append(number * 7, 3, Stream::Out, Flags::default(), &text(number, length)).unwrap();
                prop_assert_eq!(sequence, number);
            }
            writer.flush().unwrap();
            if !look { continue }
            let (frames, gone) = all(&mut reader);
            lost += gone;
            for frame in frames {
                let sequence = frame.head.sequence;
                prop_assert_eq!(frame.head.time_ns, sequence * 7);
                prop_assert_eq!(&frame.text[..], &text(sequence, frame.text.len())[..]);
                seen += 1;
            }
            prop_assert_eq!(seen + lost, number);
        }
    }

    #[test]
    fn a_torn_ring_gives_true_frames_and_an_honest_count(
        lengths in proptest::collection::vec(0usize..3_000, 1..150),
        tears in proptest::collection::vec((0u64..CAPACITY_MIN, 1usize..600), 0..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let mut writer = writer(&path);
        let count = lengths.len() as u64;
        for (n, length) in lengths.into_iter().enumerate() {
            let number = n as u64 + 1;
            writer.append(0, 1, Stream::Err, Flags::default(), &text(number, length)).unwrap();
        }
        writer.flush().unwrap();
        let mut raw = file(&path);
        for (at, length) in tears {
            raw.seek(SeekFrom::Start(HEADER_BYTES + at)).unwrap();
            raw.write_all(&vec![0x5a; length]).unwrap();
        }
        let mut reader = Reader::open(&path).unwrap();
        reader.follow(0);
        let (frames, lost) = all(&mut reader);
        prop_assert_eq!(frames.len() as u64 + lost, count);
        for frame in frames {
            prop_assert_eq!(&frame.text[..], &text(frame.head.sequence, frame.text.len())[..]);
        }
        // And the writer that comes after the crash goes on, whatever it finds.
        let mut next = self::writer(&path);
        for number in count + 1..count + 400 {
            prop_assert_eq!(next.append(0, 2, Stream::Out, Flags::default(), &text(number, 900)).unwrap(), number);
        }
        next.flush().unwrap();
        let (frames, gone) = all(&mut reader);
        prop_assert_eq!(frames.len() as u64 + gone, 399);
        prop_assert!(frames.iter().all(|frame| frame.head.generation == 2));
    }
}

#[test]
fn a_writer_that_was_killed_costs_what_it_held_in_hand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let mut first = writer(&path);
    first
        .append(1, 1, Stream::Out, Flags::default(), b"kept")
        .unwrap();
    first.flush().unwrap();
    first
        .append(2, 1, Stream::Out, Flags::default(), b"in hand")
        .unwrap();
    assert_eq!(first.in_hand(), 1);
    // As after kill -9: no destructor runs.
    std::mem::forget(first);
    let mut second = writer(&path);
    second
        .append(3, 1, Stream::Out, Flags::default(), b"after")
        .unwrap();
    second.flush().unwrap();
    let texts: Vec<Vec<u8>> = last_lines(&path, None, 10)
        .unwrap()
        .into_iter()
        .map(|frame| frame.text)
        .collect();
    assert_eq!(texts, [b"kept".to_vec(), b"after".to_vec()]);
}

#[test]
fn a_reader_beside_a_writer_sees_whole_frames_only() {
    const FRAMES: u64 = 200_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let mut writer = writer(&path);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut reader = Reader::open(&path).unwrap();
                reader.follow(0);
                let (mut next, mut lost) = (1, 0);
                while next <= FRAMES {
                    match reader.next_item().unwrap() {
                        None => std::thread::yield_now(),
                        Some(Item::Lost(count)) => {
                            next += count;
                            lost += count;
                        }
                        Some(Item::Frame(frame)) => {
                            assert_eq!(frame.head.sequence, next);
                            assert_eq!(frame.text, text(next, frame.text.len()));
                            next += 1;
                        }
                    }
                }
                lost
            })
        })
        .collect();
    for number in 1..=FRAMES {
        let length = (number * 37 % 400) as usize;
        writer
            .append(0, 1, Stream::Out, Flags::default(), &text(number, length))
            .unwrap();
        if number % 17 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    for reader in readers {
        assert!(reader.join().unwrap() < FRAMES);
    }
}

#[test]
fn the_largest_frame_fits_and_another_size_keeps_the_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let mut small = writer(&path);
    let mut reader = Reader::open(&path).unwrap();
    let long = vec![b'x'; TEXT_BYTES_MAX];
    for _ in 0..5 {
        small.append(0, 1, Stream::Out, Flags::CUT, &long).unwrap();
    }
    small.flush().unwrap();
    let (frames, _) = all(&mut reader);
    assert_eq!(frames.last().unwrap().head.sequence, 5);
    assert_eq!(frames.last().unwrap().text.len(), TEXT_BYTES_MAX);
    drop(small);
    let mut large = Writer::open(file(&path), CAPACITY_MIN * 3).unwrap();
    assert_eq!(
        large
            .append(0, 2, Stream::Out, Flags::default(), b"next")
            .unwrap(),
        6
    );
    large.flush().unwrap();
    let (frames, lost) = all(&mut reader);
    assert_eq!((frames.len(), lost), (1, 0));
    assert_eq!(frames[0].text, b"next");
}

#[test]
fn a_ring_that_was_made_anew_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let mut first = writer(&path);
    for _ in 0..50 {
        first
            .append(0, 1, Stream::Out, Flags::default(), b"old")
            .unwrap();
    }
    first.flush().unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(all(&mut reader).0.len(), 50);
    file(&path).write_all(&[0; RING_HEADER_BYTES]).unwrap();
    assert_eq!(
        reader.next_item().unwrap(),
        None,
        "no header, nothing to say"
    );
    let mut second = writer(&path);
    second
        .append(0, 1, Stream::Out, Flags::default(), b"new")
        .unwrap();
    second.flush().unwrap();
    let (frames, _) = all(&mut reader);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].text, b"new");
}

#[test]
fn following_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let mut writer = writer(&path);
    for number in 1..=10u64 {
        writer
            .append(
                0,
                number % 2,
                Stream::Out,
                Flags::default(),
                &text(number, 5),
            )
            .unwrap();
    }
    writer.flush().unwrap();
    let mut reader = Reader::open(&path).unwrap();
    reader.follow(7);
    let (frames, lost) = all(&mut reader);
    let numbers: Vec<u64> = frames.iter().map(|frame| frame.head.sequence).collect();
    assert_eq!((numbers, lost), (vec![8, 9, 10], 0));
    assert_eq!(reader.skip_to_end().unwrap(), 10);
    assert!(all(&mut reader).0.is_empty());
    let odd = last_lines(&path, Some(1), 2).unwrap();
    assert_eq!(
        odd.iter()
            .map(|frame| frame.head.sequence)
            .collect::<Vec<_>>(),
        [7, 9]
    );
}

#[test]
fn a_watch_wakes_when_a_ring_grows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    let mut writer = writer(&path);
    let watch = Watch::new().unwrap();
    watch.add(&path).unwrap();
    assert!(!watch.drain());
    writer
        .append(0, 1, Stream::Out, Flags::default(), b"x")
        .unwrap();
    writer.flush().unwrap();
    let mut polls = [rustix::event::PollFd::from_borrowed_fd(
        watch.as_fd(),
        rustix::event::PollFlags::IN,
    )];
    rustix::event::poll(&mut polls, None).unwrap();
    assert!(watch.drain());
    assert!(!watch.drain());
}
