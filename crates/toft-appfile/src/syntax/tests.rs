//! Trees and mistakes of small texts.

use super::*;

/// The tree in one line, and each mistake's place and title.
fn check(text: &str) -> (String, Vec<String>) {
    let mut mistakes = Vec::new();
    let table = read(0, text, &mut mistakes);
    let said = mistakes
        .iter()
        .map(|m| format!("{}..{} {}", m.at.start, m.at.end, m.title))
        .collect();
    (show(&Value::Table(table)), said)
}

fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Moment => "moment".into(),
        Value::Broken => "?".into(),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|node| show(&node.value)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Table(table) => {
            let items: Vec<String> = table
                .entries
                .iter()
                .map(|entry| format!("{}={}", entry.key, show(&entry.node.value)))
                .collect();
            format!("{{{}}}", items.join(" "))
        }
    }
}

#[test]
fn a_good_text_is_a_tree_in_its_own_order() {
    let (tree, said) =
        check("b = 1_000\na.x = 'q'\n[t.u]\nc = [1, 2.5]\n[t]\nd = { e = true }\n[t.u.v]\n");
    assert_eq!(
        tree,
        "{b=1000 a={x=\"q\"} t={u={c=[1 2.5] v={}} d={e=true}}}"
    );
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn line_ends_and_a_mark_in_front_are_no_part_of_it() {
    let (tree, said) = check("\u{feff}a = 1\r\n[t]\r\nb = [\r\n  1,\r\n]\r\n");
    assert_eq!(tree, "{a=1 t={b=[1]}}");
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn what_nests_without_end_is_refused() {
    let (tree, said) = check(&format!("{}a = 1\nb = 1", "a.".repeat(100_000)));
    assert_eq!((tree.as_str(), said.len()), ("{b=1}", 1));
    let (_, said) = check(&format!(
        "a = {}1{}\nb = 1",
        "[".repeat(100_000),
        "]".repeat(100_000)
    ));
    assert!(!said.is_empty());
}

#[test]
fn a_broken_statement_hides_no_other() {
    for (text, tree, mistakes) in [
        (
            "foo\nbar = 1\n",
            "{foo=? bar=1}",
            "3..3 a key without a value",
        ),
        (
            "a = \"x\nb = 1\n",
            "{a=? b=1}",
            "6..6 a text that does not end on its line",
        ),
        (
            "m = 256MiB\nb = 1",
            "{m=? b=1}",
            "4..10 a text stands in quotes",
        ),
        (
            "a = tcp\nb = 1",
            "{a=? b=1}",
            "4..7 a text stands in quotes",
        ),
        (
            "a = 1 2\nb = 1",
            "{a=? b=1}",
            "4..7 something follows the value",
        ),
        (
            "a = [1, 2\nb = 3\n[t]\nc = 1",
            "{a=? b=3 t={c=1}}",
            "4..5 this `[` has no end",
        ),
        (
            "a = { b = 1\n[t]\nd = 1",
            "{a=? t={d=1}}",
            "4..5 this `{` has no end",
        ),
        (
            "[t\na = 1\n[u]\nb = 1",
            "{t={a=1} u={b=1}}",
            "2..2 a header that is not closed",
        ),
        (
            "a: 1\nc = 1",
            "{a=? c=1}",
            "1..2 a key with this character stands in quotes",
        ),
        ("a =\nc = 1", "{a=? c=1}", "3..3 a key without a value"),
        (
            "a = 1 b = 2\nc = 1",
            "{a=? c=1}",
            "8..8 something follows the value",
        ),
        (
            "[[t]]\na = 1",
            "{t={a=1}}",
            "0..5 the app file has no lists of tables",
        ),
    ] {
        assert_eq!(
            check(text),
            (tree.to_owned(), vec![mistakes.to_owned()]),
            "{text}"
        );
    }
}

#[test]
fn twice_is_said_where_it_stands_again() {
    for (text, mistake) in [
        ("a = 1\na = 2", "6..7 `a` stands twice in one table"),
        (
            "[t]\na = 1\n[t]\na = 1",
            "11..12 `[t]` stands twice in the file",
        ),
        (
            "b.c = 1\n[b]\nd = 1",
            "9..10 `[b]` stands twice in the file",
        ),
        (
            "[a.b]\nc = 1\n[a]\nb.d = 1",
            "18..19 `d` stands twice in one table",
        ),
        ("a = 1\n[a.b]\n", "9..10 `[a.b]` stands twice in the file"),
    ] {
        assert_eq!(check(text).1, [mistake], "{text}");
    }
}
