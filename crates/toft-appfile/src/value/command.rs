//! Commands: split into words, no shell.

use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::node::Value;
use crate::piece::Piece;
use std::ops::Range;
use toft_model::app::Command;

/// A command as a value.
pub(crate) fn command(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<Command> {
    if matches!(item.node.value, Value::List(_)) {
        let mistake = Mistake::wrong_type(
            item.node.at,
            &item.path,
            "a text, like `\"python3 app.py\"`",
            "a list",
        )
        .help("write the words in one text; quotes inside it keep a word with spaces together");
        return d.refuse(mistake);
    }
    let piece = d.full_text(item, "python3 app.py")?;
    command_in(d, &piece, &item.path)
}

/// A command in a part of a text.
pub(crate) fn command_in(d: &mut Decoder<'_>, piece: &Piece<'_>, path: &str) -> Option<Command> {
    match split(piece.text) {
        Ok(words) if words.first().is_some_and(|word| !word.is_empty()) => Some(Command(words)),
        Ok(_) => {
            let title = format!("`{path}` names no program");
            d.refuse(Mistake::not_understood(
                piece.at(),
                title,
                "the first word is the program",
            ))
        }
        Err(error) => {
            let title = format!("`{path}` is a program and its words, no line for a shell");
            let at = piece.part(error.at).at();
            let mistake = Mistake::not_understood(at, title, error.why).help(error.help);
            d.refuse(mistake)
        }
    }
}

struct SplitError {
    at: Range<usize>,
    why: &'static str,
    help: &'static str,
}

/// Splits at white space. `'…'` is taken as it stands, `"…"` knows `\"` and `\\`, and a backslash
/// outside of quotes takes the next character as it stands.
fn split(text: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some(&(start, c)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let mut word = String::new();
        let mut quoted = false;
        let mut end = start;
        while let Some(&(at, c)) = chars.peek() {
            if c.is_whitespace() {
                break;
            }
            chars.next();
            end = at + c.len_utf8();
            match c {
                '\'' | '"' => {
                    quoted = true;
                    end = quote(&mut chars, c, &mut word).ok_or(SplitError {
                        at: at..at + 1,
                        why: "this quote has no end",
                        help: "close it, or put a backslash before it",
                    })?;
                }
                '\\' => {
                    quoted = true;
                    if let Some((at, c)) = chars.next() {
                        word.push(c);
                        end = at + c.len_utf8();
                    } else {
                        word.push('\\');
                    }
                }
                '\0' => {
                    return Err(SplitError {
                        at: at..end,
                        why: "no word can hold a zero byte",
                        help: "leave it out",
                    });
                }
                _ => word.push(c),
            }
        }
        if !quoted {
            check_word(&word, words.is_empty(), start..end)?;
        }
        words.push(word);
    }
    Ok(words)
}

/// Over a quoted stretch; the byte after its end.
fn quote(
    chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    quote: char,
    word: &mut String,
) -> Option<usize> {
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some(at + 1);
        }
        if c == '\\' && quote == '"' {
            match chars.peek() {
                Some(&(_, next @ ('"' | '\\'))) => {
                    word.push(next);
                    chars.next();
                }
                _ => word.push('\\'),
            }
            continue;
        }
        word.push(c);
    }
    None
}

/// Whether somebody who wrote this word had a shell in mind.
fn check_word(word: &str, first: bool, at: Range<usize>) -> Result<(), SplitError> {
    const SHELL: &str =
        "ask for a shell, `sh -c '…'`, or put the word in quotes if it is meant as it stands";
    let why = match word {
        "|" | "||" | "|&" => "no shell joins commands here",
        "&" => "nothing runs in the background here",
        "&&" | ";" => "no shell runs one command after another here",
        _ if word.len() > 1 && word.ends_with(';') => {
            "no shell runs one command after another here"
        }
        _ if word
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .starts_with(['<', '>']) =>
        {
            "no shell redirects files here"
        }
        _ if word.contains('`') || word.contains("$(") => {
            "no shell runs a command inside another here"
        }
        _ => "",
    };
    if !why.is_empty() {
        return Err(SplitError {
            at,
            why,
            help: SHELL,
        });
    }
    let assignment = word
        .split_once('=')
        .is_some_and(|(name, _)| super::name::is_variable(name));
    if first && assignment {
        return Err(SplitError {
            at,
            why: "the environment is not set here",
            help: "put it into the process' table `env`, or into `[env]` for every process",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Result<Vec<String>, &'static str> {
        split(text).map_err(|error| error.why)
    }

    #[test]
    fn words_are_split_as_people_expect() {
        for (text, expected) in [
            ("python3 app.py", &["python3", "app.py"][..]),
            (" a \t b\n", &["a", "b"]),
            ("sh -c 'echo a && b'", &["sh", "-c", "echo a && b"]),
            (
                r#"say "it's \"x\" \n" a\ b"#,
                &["say", "it's \"x\" \\n", "a b"],
            ),
            (
                "get http://x/?a=1&b=2 --x=1 a''",
                &["get", "http://x/?a=1&b=2", "--x=1", "a"],
            ),
            (r"a \| '&&'", &["a", "|", "&&"]),
        ] {
            assert_eq!(
                words(text).as_deref(),
                Ok(&expected.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn a_line_for_a_shell_is_refused() {
        for (text, why) in [
            ("a && b", "no shell runs one command after another here"),
            ("cd x; y", "no shell runs one command after another here"),
            ("a > log", "no shell redirects files here"),
            ("a 2>&1", "no shell redirects files here"),
            ("a | b", "no shell joins commands here"),
            (
                "echo $(date)",
                "no shell runs a command inside another here",
            ),
            ("PORT=1 a", "the environment is not set here"),
            ("a 'b", "this quote has no end"),
        ] {
            assert_eq!(words(text), Err(why), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_then_splitting_is_the_same(words in proptest::collection::vec("[^\0]{0,8}", 1..6)) {
            let command = Command(words.clone());
            prop_assert_eq!(split(&command.to_string()).map_err(|e| e.why), Ok(words));
        }

        #[test]
        fn any_text_is_split_or_refused(text in "\\PC{0,40}") {
            if let Err(error) = split(&text) {
                prop_assert!(text.get(error.at).is_some());
            }
        }
    }
}
