//! Lines for people: `web.0 │ text`.
//!
//! What a program writes may steer a terminal; here it can at most be coloured.

use std::fmt::Write;
use toft_model::frame::{Flags, Frame, Stream};

/// How lines are to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours may be used. The caller knows of terminals and of `NO_COLOR`.
    pub colour: bool,
    /// Names are filled up to this many columns, so that the bars stand below each other.
    pub name_columns: usize,
}

/// ANSI colours that can be told apart on dark and on light ground.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// One line without its newline: name, bar, text. Standard error has a heavier bar (and a red one
/// in colour), a line of Toft's own a dot.
pub fn line(look: Look, name: &str, frame: &Frame) -> String {
    let mut out = String::with_capacity(name.len() + frame.text.len() + 32);
    let bar = match frame.head.stream {
        Stream::Out => '│',
        Stream::Err => '┃',
        Stream::Toft => '·',
    };
    let width = look.name_columns;
    if look.colour {
        let colour = colour_of(name);
        let bar_colour = if frame.head.stream == Stream::Err {
            31
        } else {
            colour
        };
        // Writing into a String cannot fail.
        let _ = write!(
            out,
            "\x1b[{colour}m{name:<width$}\x1b[0m \x1b[{bar_colour}m{bar}\x1b[0m "
        );
    } else {
        let _ = write!(out, "{name:<width$} {bar} ");
    }
    let dim = look.colour && frame.head.stream == Stream::Toft;
    if dim {
        out.push_str("\x1b[2m");
    }
    let coloured = safe(&frame.text, look.colour, &mut out);
    if dim || coloured {
        out.push_str("\x1b[0m");
    }
    if frame.head.flags.has(Flags::CUT) {
        out.push('⏎');
    }
    out
}

/// The colour of a process, by its name alone: all its instances have it, in every run.
fn colour_of(name: &str) -> u8 {
    let process = name.split('.').next().unwrap_or(name);
    let sum = process.bytes().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    COLOURS[((sum >> 16) ^ sum) as usize % COLOURS.len()]
}

/// Appends `text` with everything that steers a terminal written out. Keeps colours (SGR sequences)
/// when `colour`, drops them otherwise; true when some were kept.
pub fn safe(text: &[u8], colour: bool, out: &mut String) -> bool {
    let text = String::from_utf8_lossy(text);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let mut rest = text;
    let mut kept = false;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = colour_sequence(rest) {
            if colour {
                out.push_str(&rest[..length]);
                kept = true;
            }
            rest = &rest[length..];
            continue;
        }
        match c {
            '\t' => out.push(c),
            '\r' => out.push_str("\\r"),
            c if is_steering(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    kept
}

/// The length of an SGR sequence (ECMA-48 §8.3.117) at the start: `ESC [ digits and ; m`.
fn colour_sequence(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\x1b[")?;
    let end = body.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    (body[end..].starts_with('m') && end <= 32).then_some(2 + end + 1)
}

/// Control characters of both sets, line separators, and what turns the direction of writing.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use toft_model::frame::Head;

    fn frame(stream: Stream, text: &[u8]) -> Frame {
        let head = Head {
            sequence: 1,
            time_ns: 0,
            generation: 1,
            stream,
            flags: Flags::default(),
        };
        Frame {
            head,
            text: text.to_vec(),
        }
    }

    fn plain(stream: Stream, text: &[u8]) -> String {
        line(
            Look {
                colour: false,
                name_columns: 8,
            },
            "web.0",
            &frame(stream, text),
        )
    }

    #[test]
    fn streams_can_be_told_apart_without_colour() {
        insta::assert_snapshot!(plain(Stream::Out, b"listening on 8080"), @"web.0    │ listening on 8080");
        insta::assert_snapshot!(plain(Stream::Err, b"oh"), @"web.0    ┃ oh");
        insta::assert_snapshot!(plain(Stream::Toft, b"dropped 3 lines, 12 bytes"), @"web.0    · dropped 3 lines, 12 bytes");
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let hostile = b"a\x1b[2Jb\x1b]0;title\x07c\x08\x00d\xff\xe2\x80\xae\xc2\x9bm\r";
        insta::assert_snapshot!(
            plain(Stream::Out, hostile),
            @r"web.0    │ a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{8}\u{0}d�\u{202e}\u{9b}m"
        );
        for byte in 0..=255u8 {
            let shown = plain(Stream::Out, &[b'x', byte, b'y']);
            assert!(
                !shown.chars().any(|c| c.is_control() && c != '\t'),
                "{byte}"
            );
        }
    }

    #[test]
    fn colours_pass_only_where_they_are_wanted_and_end_with_the_line() {
        let text = b"\x1b[1;32mok\x1b[0m and \x1b[31mred";
        assert_eq!(plain(Stream::Out, text), "web.0    │ ok and red");
        let shown = line(
            Look {
                colour: true,
                name_columns: 0,
            },
            "web.0",
            &frame(Stream::Out, text),
        );
        assert!(shown.contains("\x1b[1;32mok"));
        assert!(shown.ends_with("red\x1b[0m"));
    }

    #[test]
    fn a_process_keeps_its_colour() {
        assert_eq!(colour_of("web.0"), colour_of("web.17"));
        assert_ne!(colour_of("web.0"), colour_of("worker.0"));
    }
}
