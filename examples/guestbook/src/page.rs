//! What a visitor sees.

use crate::book::{Entry, MESSAGE_MAX, NAME_MAX, Refused};
use crate::clock;

/// The style sheet.
pub const STYLE: &str = include_str!("style.css");
/// The icon of the page.
pub const ICON: &str = include_str!("icon.svg");

/// As many entries as one page shows.
const SHOWN: usize = 200;

/// What a visitor typed that was not taken.
pub struct Draft<'a> {
    pub name: &'a str,
    pub message: &'a str,
    pub refused: Refused,
}

/// The book with its form, newest entry first.
pub fn book(entries: &[Entry], draft: Option<&Draft>) -> String {
    let shown: String = entries.iter().rev().take(SHOWN).map(entry).collect();
    let list = if shown.is_empty() {
        "<p class=\"nobody\">The first page is still empty.</p>".to_owned()
    } else {
        format!("<ol class=\"entries\" reversed>{shown}</ol>")
    };
    let count = match entries.len() {
        0 => "Nobody has signed yet.".to_owned(),
        1 => "One visitor has signed.".to_owned(),
        n => format!("{n} visitors have signed."),
    };
    let body = format!(
        "<header><h1>Guestbook</h1><p>{count}</p></header>\n<main>\n{}\n\
         <section id=\"entries\" aria-label=\"Entries\">{list}</section>\n</main>\n",
        form(draft)
    );
    frame("Guestbook", &body)
}

/// A page that says one thing.
pub fn plain(words: &str) -> String {
    let words = escape(words);
    frame(
        "Guestbook",
        &format!(
            "<main><p class=\"nobody\">{words}</p><p><a href=\"/\">To the book</a></p></main>"
        ),
    )
}

fn form(draft: Option<&Draft>) -> String {
    let (name, message) = draft.map_or(("", ""), |draft| (draft.name, draft.message));
    let problem = draft.map_or(String::new(), |draft| {
        format!(
            "<p class=\"problem\" id=\"problem\" role=\"alert\">{}</p>",
            escape(&draft.refused.words())
        )
    });
    let described = if draft.is_some() {
        " aria-describedby=\"problem\" aria-invalid=\"true\""
    } else {
        ""
    };
    format!(
        "<form method=\"post\" action=\"/\">\n{problem}\
         <label for=\"message\">Your message</label>\n\
         <textarea id=\"message\" name=\"message\" rows=\"3\" maxlength=\"{MESSAGE_MAX}\" required{described}>\n{}</textarea>\n\
         <div class=\"row\"><div><label for=\"name\">Your name <span>(if you like)</span></label>\n\
         <input id=\"name\" name=\"name\" maxlength=\"{NAME_MAX}\" autocomplete=\"name\" value=\"{}\"></div>\n\
         <button>Sign the book</button></div>\n</form>",
        escape(message),
        escape(name)
    )
}

fn entry(entry: &Entry) -> String {
    let name = if entry.name.is_empty() {
        "A visitor"
    } else {
        &entry.name
    };
    let lines: Vec<String> = entry.message.split('\n').map(escape).collect();
    format!(
        "<li><article><p>{}</p>\n<footer><b>{}</b> <time datetime=\"{}\">{}</time></footer></article></li>\n",
        lines.join("<br>"),
        escape(name),
        clock::rfc3339(entry.at_ms),
        clock::words(entry.at_ms)
    )
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// Text that is safe between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_visitors_write_stays_text() {
        let entry = Entry::new(0, "<b>\"Eve\"", "<script>alert('x')</script>\n& more").unwrap();
        let html = book(&[entry], None);
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;<br>&amp; more"));
        assert!(html.contains("&lt;b&gt;&quot;Eve&quot;"));
        assert!(!html.contains("<script"));
    }

    #[test]
    fn a_refused_draft_is_not_lost() {
        let draft = Draft {
            name: "Ada",
            message: "a < b",
            refused: Refused::MessageTooLong,
        };
        let html = book(&[], Some(&draft));
        assert!(html.contains("a &lt; b</textarea>"));
        assert!(html.contains("value=\"Ada\""));
        assert!(html.contains("at most 600"));
    }
}
