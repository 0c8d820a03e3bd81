//! Everything at once, where it stands, for people and for programs.

use super::{brief, check};
use insta::assert_snapshot;
use toft_appfile::{AnyFolder, Overrides, Source, decode};

const SIX: &str = r#"app = "guestbook"

[process.web]
run = "target/release/guestbook"
conut = 2
count = "two"

[process.web.listen]
http = 8080

[process.web.files]
"/srv/shared" = "read:../shared"

[process.web.limits]
memory = "256M"

[route."guestbook.example.com"]
to = "wbe/http"

[route."tcp:5432"]
to = "web/http"

[route."tcp:5432"]
to = "web/http"
on = ["eth0"]
"#;

#[test]
fn six_mistakes_are_reported_at_once() {
    assert_snapshot!(check(SIX), @r#"
    error[E0102]: `[process.web]` has no key `conut`
     --> toft.toml:5:1
      |
    5 | conut = 2
      | ^^^^^ not a key here
      |
      = help: did you mean `count`?

    error[E0103]: `process.web.count` is a whole number, or a range, like `"0..10"`
     --> toft.toml:6:9
      |
    6 | count = "two"
      |         ^^^^^ this is a text, and no range

    error[E0111]: `../shared` leads out of the app's folder
      --> toft.toml:12:23
       |
    12 | "/srv/shared" = "read:../shared"
       |                       ^^^^^^^^^ goes up past it
       |
       = help: a relative path stays in the app's folder; what lies elsewhere is named by its absolute path

    error[E0106]: `process.web.limits.memory` is a size, like `256MiB`
      --> toft.toml:15:14
       |
    15 | memory = "256M"
       |              ^ not a unit
       |
       = help: the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB
       = help: did you mean `MiB`?

    error[E0109]: there is no process `wbe`
      --> toft.toml:18:7
       |
    18 | to = "wbe/http"
       |       ^^^ no such process in this app
       |
       = help: did you mean `web`?

    error[E0110]: `[route."tcp:5432"]` stands twice in the file
      --> toft.toml:23:8
       |
    20 | [route."tcp:5432"]
       |        ---------- here first
    ...
    23 | [route."tcp:5432"]
       |        ^^^^^^^^^^ and here again
       |
       = help: put all its keys under one header
    "#);
}

#[test]
fn a_syntax_error_beside_them_hides_none() {
    let text = SIX.replace(
        "conut = 2\n",
        "conut = 2\nready = tcp\nuse = [\"python3\",\n",
    );
    let source = Source {
        path: "toft.toml",
        text: &text,
    };
    let report = decode(source, &Overrides::default(), &AnyFolder).expect_err("it has mistakes");
    assert_snapshot!(brief(&report), @r#"
    E0102 toft.toml:5:1 `[process.web]` has no key `conut`
    E0101 toft.toml:6:9 a text stands in quotes
    E0101 toft.toml:7:7 this `[` has no end
    E0103 toft.toml:8:9 `process.web.count` is a whole number, or a range, like `"0..10"`
    E0111 toft.toml:14:23 `../shared` leads out of the app's folder
    E0106 toft.toml:17:14 `process.web.limits.memory` is a size, like `256MiB`
    E0109 toft.toml:20:7 there is no process `wbe`
    E0110 toft.toml:25:8 `[route."tcp:5432"]` stands twice in the file
    "#);
}

#[test]
fn programs_read_the_same() {
    let text = "app = \"a\"\n[process.web]\nrun = \"x\"\nlimits = { memory = \"1M\" }\nlisten = { a = 1, b = 1 }\n";
    let source = Source {
        path: "toft.toml",
        text,
    };
    let report = decode(source, &Overrides::default(), &AnyFolder).expect_err("it has mistakes");
    assert_snapshot!(serde_json::to_string_pretty(&report.entries()).unwrap(), @r#"
    [
      {
        "code": "E0106",
        "level": "error",
        "message": "`process.web.limits.memory` is a size, like `256MiB`",
        "label": "not a unit",
        "file": "toft.toml",
        "line": 4,
        "column": 23,
        "end_line": 4,
        "end_column": 24,
        "help": [
          "the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB",
          "did you mean `MiB`?"
        ],
        "instead": "MiB"
      },
      {
        "code": "E0110",
        "level": "error",
        "message": "two doors of one process listen on `1`",
        "label": "and here again",
        "file": "toft.toml",
        "line": 5,
        "column": 23,
        "end_line": 5,
        "end_column": 24,
        "help": [],
        "related": [
          {
            "label": "here first",
            "file": "toft.toml",
            "line": 5,
            "column": 16
          }
        ]
      }
    ]
    "#);
}

#[test]
fn an_empty_file_lacks_two_things() {
    assert_snapshot!(check("# nothing yet\n"), @r#"
    error[E0104]: the app file does not say `app`
     --> toft.toml:1:1
      |
    1 | # nothing yet
      | ^ `app` is missing here

    error[E0104]: the app file does not say `process`
     --> toft.toml:1:1
      |
    1 | # nothing yet
      | ^ `process` is missing here
      |
      = help: an app runs at least one process: `[process.web]` with `run = "…"`
    "#);
}

#[test]
fn colour_is_a_choice() {
    let source = Source {
        path: "toft.toml",
        text: "app = 1",
    };
    let report = decode(source, &Overrides::default(), &AnyFolder).expect_err("it has mistakes");
    assert!(report.render(true).contains("\u{1b}["));
    assert!(!report.render(false).contains('\u{1b}'));
}

#[test]
fn a_file_cannot_speak_to_the_terminal() {
    let text = "app = \"a\\u001b[2J\"\n[process.web]\nrun = \"x\"\nready = \"\\u001b]0;x\\u0007\"\nenv = { A = \"\\u001b[2J\" }";
    assert!(!check(text).contains('\u{1b}'));
    assert!(!check("app = \"a\u{1b}[2J\"\n\u{1b}[2J = 1\n").contains('\u{1b}'));
    let good = Source {
        path: "toft.toml",
        text: "app = \"a\"\n[process.web]\nrun = \"x\"\nenv = { A = \"\\u001b[2J\" }",
    };
    let decoded = decode(good, &Overrides::default(), &AnyFolder).expect("it is good");
    assert!(!decoded.explained.to_string().contains('\u{1b}'));
}
