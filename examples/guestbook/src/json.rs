//! The entries for programs.

use crate::book::Entry;
use crate::clock;
use std::fmt::Write;

/// `[{"at":"…","name":"…","message":"…"}]`, oldest first.
pub fn entries(entries: &[Entry]) -> String {
    let one = |entry: &Entry| {
        format!(
            "{{\"at\":{},\"name\":{},\"message\":{}}}",
            string(&clock::rfc3339(entry.at_ms)),
            string(&entry.name),
            string(&entry.message)
        )
    };
    format!(
        "[{}]\n",
        entries.iter().map(one).collect::<Vec<_>>().join(",\n ")
    )
}

fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let entry = Entry::new(0, "A\"da", "one\ntwo \\ </script>").unwrap();
        assert_eq!(
            entries(&[entry]),
            "[{\"at\":\"1970-01-01T00:00:00Z\",\"name\":\"A\\\"da\",\"message\":\"one\\ntwo \\\\ </script>\"}]\n"
        );
    }
}
