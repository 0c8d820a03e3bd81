//! `--set`, `--env`, `--offset`.

use super::check_in;
use insta::assert_snapshot;
use proptest::prelude::*;
use toft_appfile::{AnyFolder, Capabilities, Overrides, Source, decode, decode_with};

const APP: &str = "app = \"a\"
[process.web]
run = \"a\"
env = { X = \"1\" }
listen.http = 80
";

fn set(values: &[&str]) -> Overrides {
    Overrides {
        set: values.iter().map(|value| (*value).to_owned()).collect(),
        ..Overrides::default()
    }
}

#[test]
fn a_mistake_points_into_the_argument() {
    let overrides = Overrides {
        set: [
            "process.web.count=lots",
            "process.wbe.count=3",
            "process.web.limits.memory=256M",
            "nonsense",
            "process.web.run.x=3",
            "route.\"a.example.com\".to=\"web/htt",
            "process.web.conut=1",
            "=3",
        ]
        .map(str::to_owned)
        .to_vec(),
        env: vec!["1X=3".to_owned(), "Y".to_owned()],
        offset: Some("70000".to_owned()),
    };
    assert_snapshot!(check_in(APP, &overrides, &AnyFolder), @r#"
    error[E0103]: `process.web.count` is a whole number, or a range, like `"0..10"`
    --> --set #1:1:19
     |
     | process.web.count=lots
     |                   ^^^^ this is a text, and no range

    error[E0109]: there is no process `wbe`
    --> --set #2:1:9
     |
     | process.wbe.count=3
     |         ^^^ no such process in this app
     |
     = help: did you mean `web`?

    error[E0106]: `process.web.limits.memory` is a size, like `256MiB`
    --> --set #3:1:30
     |
     | process.web.limits.memory=256M
     |                              ^ not a unit
     |
     = help: the units are B, KiB, MiB, GiB, TiB, kB, MB, GB, TB
     = help: did you mean `MiB`?

    error[E0113]: `--set` takes a key and its value
    --> --set #4:1:1
     |
     | nonsense
     | ^^^^^^^^ the `=` is missing
     |
     = help: like `--set process.web.count=3`

    error[E0113]: nothing stands below `process.web.run`
     --> --set #5:1:13
      |
      | process.web.run.x=3
      |             ^^^ it is a text
      |
     ::: toft.toml:3:7
      |
    3 | run = "a"
      |       --- said here

    error[E0113]: this value is not complete
    --> --set #6:1:34
     |
     | route."a.example.com".to="web/htt
     |                                  ^ invalid basic string, expected `"`

    error[E0102]: `[process.web]` has no key `conut`
    --> --set #7:1:13
     |
     | process.web.conut=1
     |             ^^^^^ not a key here
     |
     = help: did you mean `count`?

    error[E0113]: `--set` takes a key with dots
    --> --set #8:1:1
     |
     | =3
     | ^ not such a key
     |
     = help: like `--set process.web.count=3`, or `--set 'route."example.com".to="web/http"'`

    error[E0105]: `1X` cannot be an environment variable
    --> --env #1:1:1
     |
     | 1X=3
     | ^^ A–Z, a–z, 0–9 and `_`, no digit in front

    error[E0113]: `--env` takes a variable and its value
    --> --env #2:1:1
     |
     | Y
     | ^ the `=` is missing
     |
     = help: like `--env Y=VALUE`

    error[E0107]: `--offset` is a whole number from 0 to 40000
    --> --offset:1:1
     |
     | 70000
     | ^^^^^ not such a number
    "#);
}

#[test]
fn values_take_the_place_of_the_files() {
    let overrides = Overrides {
        set: [
            "app=b",
            "process.web.count=4",
            "process.web.run=python3 app.py --x=1",
            "process.web.limits.memory=256MiB",
            "process.web.listen={ http = 8081 }",
            "route.\"a.example.com\".to=web/http",
        ]
        .map(str::to_owned)
        .to_vec(),
        env: vec!["X=3".to_owned(), "Y=a=b".to_owned(), "EMPTY=".to_owned()],
        offset: Some("100".to_owned()),
    };
    let source = Source {
        path: "toft.toml",
        text: APP,
    };
    let decoded =
        decode(source, &overrides, &AnyFolder).unwrap_or_else(|report| panic!("{report}"));
    assert_snapshot!(decoded.explained.to_string(), @r#"
    app                            "b"                         --set #1
    offset                         100                         --offset
    env.EMPTY                      ""                          --env #3
    env.X                          "3"                         --env #1
    env.Y                          "a=b"                       --env #2
    process.web.run                "python3 app.py --x=1"      --set #3
    process.web.count              4                           --set #2
    process.web.ready              "tcp"                       default
    process.web.ready_within       "30s"                       default
    process.web.stop.signal        "TERM"                      default
    process.web.stop.grace         "10s"                       default
    process.web.restart            "1s to 5m, reset after 5m"  default
    process.web.network            "doors"                     default
    process.web.budgets            "required"                  default
    process.web.env.EMPTY          ""                          --env #3
    process.web.env.X              "3"                         --env #1
    process.web.env.Y              "a=b"                       --env #2
    process.web.listen.http        8081                        --set #5
    process.web.limits.memory      "256MiB"                    --set #4
    process.web.log.rate           "20000 lines/s"             default
    route."a.example.com".to       "web/http"                  --set #6
    route."a.example.com".balance  "round-robin"               default
    "#);
    assert_eq!(decoded.spec.offset, 100);
    assert_eq!(decoded.spec.outside_port(5432), 5532);
}

#[test]
fn a_value_that_is_replaced_is_not_read() {
    let text = "app = \"a\"\nprocess.web = { run = \"a\", count = \"many\" }";
    assert_snapshot!(check_in(text, &set(&["process.web.count=2"]), &AnyFolder), @"good");
}

#[test]
fn an_offset_keeps_ports_below_their_end() {
    let text = format!("{APP}[route.\"tcp:30000\"]\nto = \"web/http\"\n");
    let overrides = Overrides {
        offset: Some("40000".to_owned()),
        ..Overrides::default()
    };
    let source = Source {
        path: "toft.toml",
        text: &text,
    };
    let report = decode_with(source, &overrides, &AnyFolder, Capabilities::whole())
        .expect_err("it is past the end");
    assert_snapshot!(report.render(false), @r#"
    error[E0107]: `--offset` is at most 35535 for this app
     --> --offset:1:1
      |
      | 40000
      | ^^^^^ too large
      |
     ::: toft.toml:6:8
      |
    6 | [route."tcp:30000"]
      |        ----------- `tcp:30000` and an offset of 40000 make 70000, past the last port
    "#);
}

const PARTS: &[&str] = &[
    "process",
    "web",
    "count",
    "limits",
    "memory",
    "route",
    "env",
    "\"a.example.com\"",
    "x",
    ".",
    ".",
    ".",
    "=",
    "=",
    "3",
    "256MiB",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    " ",
    "é",
    "to",
    "run",
    "\n",
    "#",
];

proptest! {
    /// Whatever is typed is read or refused, and a refusal stands in a text that was given.
    #[test]
    fn anything_may_be_typed(
        set in proptest::collection::vec(proptest::sample::select(PARTS), 0..12),
        free in "\\PC{0,20}",
        offset in proptest::option::of("[0-9-]{0,6}"),
    ) {
        let overrides = Overrides { set: vec![set.concat(), free.clone()], env: vec![free], offset };
        let source = Source { path: "toft.toml", text: APP };
        if let Err(report) = decode(source, &overrides, &AnyFolder) {
            for entry in report.entries() {
                prop_assert!(entry.line >= 1 && entry.column >= 1);
                prop_assert!((entry.line, entry.column) <= (entry.end_line, entry.end_column));
            }
            prop_assert!(!report.render(true).is_empty());
        }
    }
}
