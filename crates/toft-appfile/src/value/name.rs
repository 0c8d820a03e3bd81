//! Names of things, hosts, environment variables, interfaces.

use crate::decoder::{Decoder, Item};
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::piece::Piece;
use std::str::FromStr;
use toft_model::app::UseSet;
use toft_model::id::NameError;

/// A name of ours, in a part of a text. `what` has its article: `a process' name`.
pub(crate) fn name<T: FromStr<Err = NameError>>(
    d: &mut Decoder<'_>,
    piece: &Piece<'_>,
    what: &str,
) -> Option<T> {
    match piece.text.parse() {
        Ok(name) => Some(name),
        Err(error) => d.refuse(bad_name(
            Mistake::bad_name(piece.at(), what, piece.text, error.to_string()),
            piece.text,
        )),
    }
}

/// A name of ours that stands as a key.
pub(crate) fn key_name<T: FromStr<Err = NameError>>(
    d: &mut Decoder<'_>,
    item: &Item<'_>,
    what: &str,
) -> Option<T> {
    match item.key.parse() {
        Ok(name) => Some(name),
        Err(error) => d.refuse(bad_name(
            Mistake::bad_name(item.key_at, what, item.key, error.to_string()),
            item.key,
        )),
    }
}

/// Offers the nearest text that would be a name.
fn bad_name(mistake: Mistake, said: &str) -> Mistake {
    let folded: String = said
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c == '_' || c == ' ' || c == '.' {
                '-'
            } else {
                c
            }
        })
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .collect();
    let folded = folded
        .trim_matches('-')
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start_matches('-');
    let good = toft_model::id::check_name(folded).is_ok();
    mistake.meant(good.then_some(folded))
}

/// A host name in lower case (RFC 1123 §2.1): labels of a–z, 0–9 and `-`, joined by dots.
pub(crate) fn host<'t>(d: &mut Decoder<'_>, piece: &Piece<'t>) -> Option<&'t str> {
    let why = host_error(piece.text);
    match why {
        None => Some(piece.text),
        Some(why) => {
            let mistake = Mistake::bad_name(piece.at(), "a host name", piece.text, why);
            let folded = piece.text.to_ascii_lowercase();
            let near = (folded != piece.text && host_error(&folded).is_none()).then_some(folded);
            d.refuse(mistake.meant(near))
        }
    }
}

fn host_error(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("a host name has at least one character".into());
    }
    if text.len() > 253 {
        return Some("a host name has at most 253 characters".into());
    }
    if let Some(bad) = text.chars().find(|c| c.is_ascii_uppercase()) {
        return Some(format!(
            "host names are written in lower case, not with `{bad}`"
        ));
    }
    if let Some(bad) = text
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
    {
        return Some(format!(
            "a host name is made of a–z, 0–9, `-` and dots, not of `{bad}`"
        ));
    }
    let label_error = |label: &str| {
        label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-')
    };
    let wrong = text.split('.').find(|label| label_error(label))?;
    Some(if wrong.is_empty() {
        "there is nothing between two dots, or at an end".into()
    } else {
        format!("`{wrong}` cannot stand between dots: 1 to 63 characters, no `-` at an end")
    })
}

/// Whether a text can be the name of an environment variable (POSIX.1-2017 §8.1, and lower case).
pub(crate) fn is_variable(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(good) && !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The name of a network interface (Linux: 1 to 15 bytes, no `/`, no space).
pub(crate) fn interface(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let piece = d.text(item, "eth0")?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if piece.text.is_empty()
        || piece.text.len() > 15
        || piece.text.contains(bad)
        || matches!(piece.text, "." | "..")
    {
        let why = "1 to 15 characters, no space, `/` or `:`";
        return d.refuse(Mistake::bad_name(
            piece.at(),
            "an interface",
            piece.text,
            why,
        ));
    }
    Some(piece.text.to_owned())
}

/// A named set of host paths.
pub(crate) fn use_set(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<UseSet> {
    let piece = d.text(item, "python3")?;
    let good = |text: &str| {
        text.len() >= 2
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.chars().all(|c| {
                c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.')
            })
    };
    if let Some(package) = piece.strip_prefix("debian:") {
        if good(package.text) {
            return Some(UseSet::Debian(package.text.to_owned()));
        }
        let why = "a package's name is made of a–z, 0–9, `+`, `-` and `.`";
        return d.refuse(Mistake::bad_name(
            package.at(),
            "a Debian package",
            package.text,
            why,
        ));
    }
    if good(piece.text) {
        return Some(UseSet::Named(piece.text.to_owned()));
    }
    let mistake = match piece.split_once(":") {
        Some((kind, _)) => Mistake::not_understood(
            kind.at(),
            format!("`{}` is not a kind of set", kind.text),
            "not known",
        )
        .help("a set is one of Toft's own, like `python3`, or `debian:PACKAGE`")
        .meant(nearest(kind.text, ["debian"])),
        None => Mistake::bad_name(
            piece.at(),
            "a set",
            piece.text,
            "a name of a–z, 0–9, `+`, `-` and `.`",
        ),
    };
    d.refuse(mistake)
}

/// A time zone's name as the IANA database writes them: `UTC`, `Europe/London`.
pub(crate) fn zone(d: &mut Decoder<'_>, item: &Item<'_>) -> Option<String> {
    let piece = d.full_text(item, "Europe/London")?;
    let part = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    if piece.text.len() <= 64 && piece.text.split('/').all(part) {
        return Some(piece.text.to_owned());
    }
    let why = "a name like `UTC` or `Europe/London`";
    d.refuse(Mistake::bad_name(
        piece.at(),
        "a time zone",
        piece.text,
        why,
    ))
}
