//! Five fields as in crontab(5): minute, hour, day of the month, month, day of the week.

use crate::decoder::Decoder;
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::piece::Piece;

struct Field {
    what: &'static str,
    low: u32,
    high: u32,
    /// Names for the values from `low` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        what: "a minute",
        low: 0,
        high: 59,
        names: &[],
    },
    Field {
        what: "an hour",
        low: 0,
        high: 23,
        names: &[],
    },
    Field {
        what: "a day of the month",
        low: 1,
        high: 31,
        names: &[],
    },
    Field {
        what: "a month",
        low: 1,
        high: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    // 0 and 7 are both Sunday.
    Field {
        what: "a day of the week",
        low: 0,
        high: 7,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// Reads the five fields; the result has single spaces between them.
pub(crate) fn cron(d: &mut Decoder<'_>, piece: &Piece<'_>) -> Option<String> {
    let words = piece.words();
    if words.len() != 5 {
        let title =
            "a time has five fields: minute, hour, day of the month, month, day of the week";
        let mistake =
            Mistake::not_understood(piece.at(), title, format!("this has {}", words.len()));
        return d.refuse(mistake.help(
            "every day at half past two is `30 2 * * *`; for a fixed span write `every = \"90m\"`",
        ));
    }
    let before = d.mistakes.len();
    for (word, field) in words.iter().zip(&FIELDS) {
        for part in word.split(",") {
            range(d, &part, field);
        }
    }
    let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
    (d.mistakes.len() == before).then(|| texts.join(" "))
}

/// `*`, `5`, `1-5`, each with `/2` behind it where there is more than one value.
fn range(d: &mut Decoder<'_>, part: &Piece<'_>, field: &Field) {
    let (values, step) = match part.split_once("/") {
        Some((values, step)) => (values, Some(step)),
        None => (*part, None),
    };
    if let Some(step) = step {
        let good = step
            .text
            .parse::<u32>()
            .is_ok_and(|n| n > 0 && n <= field.high)
            && step.text.bytes().all(|b| b.is_ascii_digit());
        if !good {
            let title = format!("`{}` is not a step", step.text);
            d.push(Mistake::not_understood(
                step.at(),
                title,
                format!("a number from 1 to {}", field.high),
            ));
        }
    }
    if values.text == "*" {
        return;
    }
    match values.split_once("-") {
        Some((low, high)) => {
            if let (Some(from), Some(to)) = (value(d, &low, field), value(d, &high, field))
                && from > to
            {
                let title = format!("`{}` runs backwards", values.text);
                d.push(Mistake::not_understood(
                    values.at(),
                    title,
                    "the first is after the last",
                ));
            }
        }
        None => {
            value(d, &values, field);
            if let Some(step) = step {
                let title = format!("`{}` has a step, but is one value", part.text);
                d.push(Mistake::not_understood(
                    step.at(),
                    title,
                    "a step goes with `*` or a range",
                ));
            }
        }
    }
}

fn value(d: &mut Decoder<'_>, piece: &Piece<'_>, field: &Field) -> Option<u32> {
    if let Some(at) = field.names.iter().position(|name| *name == piece.text) {
        return u32::try_from(at).ok().map(|at| at + field.low);
    }
    let digits = !piece.text.is_empty() && piece.text.bytes().all(|b| b.is_ascii_digit());
    let number = piece
        .text
        .parse::<u32>()
        .ok()
        .filter(|n| digits && (field.low..=field.high).contains(n));
    if number.is_none() {
        let title = format!("`{}` is not {}", piece.text, field.what);
        let mut label = format!("{} to {}", field.low, field.high);
        if let [first, .., last] = field.names {
            label = format!("{label}, or {first} to {last}");
        }
        d.push(
            Mistake::not_understood(piece.at(), title, label)
                .meant(nearest(piece.text, field.names.iter().copied())),
        );
    }
    number
}
