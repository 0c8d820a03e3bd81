//! Each effective value and its origin.

use insta::assert_snapshot;
use toft_appfile::{
    AnyFolder, Capabilities, Decoded, Origin, Overrides, Source, decode, decode_detected,
    decode_with,
};

fn good(text: &str) -> Decoded {
    let source = Source {
        path: "toft.toml",
        text,
    };
    decode(source, &Overrides::default(), &AnyFolder).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn a_table_of_everything() {
    let decoded = good(
        "app = \"guestbook\"
env = { LOG_LEVEL = \"info\" }
[process.web]
run = \"target/release/guestbook\"
ready_within = \"1m 30s\"
listen.http = 8080
files.\"/data\" = \"volume:entries\"
[volume.entries]
[route.\"guestbook.localhost\"]
to = \"web/http\"
",
    );
    assert_snapshot!(decoded.explained.to_string(), @r#"
    app                                  "guestbook"                 toft.toml:1:7
    env.LOG_LEVEL                        "info"                      toft.toml:2:21
    process.web.run                      "target/release/guestbook"  toft.toml:4:7
    process.web.count                    1                           default
    process.web.ready                    "tcp"                       default
    process.web.ready_within             "90s"                       toft.toml:5:16, written "1m 30s"
    process.web.stop.signal              "TERM"                      default
    process.web.stop.grace               "10s"                       default
    process.web.restart                  "1s to 5m, reset after 5m"  default
    process.web.network                  "doors"                     default
    process.web.budgets                  "required"                  default
    process.web.env.LOG_LEVEL            "info"                      toft.toml:2:21
    process.web.listen.http              8080                        toft.toml:6:15
    process.web.files."/data"            "volume:entries"            toft.toml:7:17
    process.web.log.rate                 "20000 lines/s"             default
    route."guestbook.localhost".to       "web/http"                  toft.toml:10:6
    route."guestbook.localhost".balance  "round-robin"               default
    volume.entries.for                   "the app"                   default
    "#);
}

#[test]
fn programs_read_the_same() {
    let decoded = good("app = \"a\"\nprocess.web.run = \"x\"\nprocess.web.ready_within = \"60s\"");
    let some: Vec<_> = ["app", "process.web.count", "process.web.ready_within"]
        .iter()
        .map(|key| decoded.explained.get(key).expect("it is there"))
        .collect();
    assert_snapshot!(serde_json::to_string_pretty(&some).unwrap(), @r#"
    [
      {
        "key": "app",
        "value": "\"a\"",
        "origin": {
          "file": {
            "path": "toft.toml",
            "line": 1,
            "column": 7
          }
        }
      },
      {
        "key": "process.web.count",
        "value": "1",
        "origin": "default"
      },
      {
        "key": "process.web.ready_within",
        "value": "\"1m\"",
        "written": "\"60s\"",
        "origin": {
          "file": {
            "path": "toft.toml",
            "line": 3,
            "column": 28
          }
        }
      }
    ]
    "#);
}

#[test]
fn what_was_found_in_a_folder_says_so() {
    let source = Source {
        path: "detected",
        text: "app = \"a\"\nprocess.web.run = \"x\"\n",
    };
    let overrides = Overrides {
        set: vec!["process.web.count=2".to_owned()],
        ..Overrides::default()
    };
    let decoded =
        decode_detected(source, &overrides, &AnyFolder).unwrap_or_else(|report| panic!("{report}"));
    let origin = |key| {
        decoded
            .explained
            .get(key)
            .expect("it is there")
            .origin
            .clone()
    };
    assert_eq!(origin("process.web.run"), Origin::Detected);
    assert_eq!(origin("process.web.count"), Origin::Set(1));
    assert_eq!(origin("process.web.budgets"), Origin::Default);
}

#[test]
fn everything_that_is_explained_is_an_app_file_that_means_the_same() {
    for text in [
        include_str!("../../examples-text/whole.toml"),
        include_str!("../../examples-text/guestbook.toml"),
        include_str!("../../examples-text/shop.toml"),
        include_str!("../../examples-text/small.toml"),
    ] {
        for accepted in [Capabilities::whole(), Capabilities::now()] {
            let read = |text| {
                decode_with(
                    Source {
                        path: "toft.toml",
                        text,
                    },
                    &Overrides::default(),
                    &AnyFolder,
                    accepted,
                )
            };
            let Ok(first) = read(text) else { continue };
            let again = first.explained.to_toml();
            let second = read(&again).unwrap_or_else(|report| panic!("{again}\n{report}"));
            assert_eq!(first.spec, second.spec);
            let values = |decoded: &Decoded| {
                decoded
                    .explained
                    .0
                    .iter()
                    .map(|v| (v.key.clone(), v.value.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(values(&first), values(&second));
            assert!(
                second
                    .explained
                    .0
                    .iter()
                    .all(|value| value.written.is_none())
            );
        }
    }
}

#[test]
fn a_spec_survives_its_journey() {
    let text = include_str!("../../examples-text/whole.toml");
    let source = Source {
        path: "toft.toml",
        text,
    };
    let decoded = decode_with(
        source,
        &Overrides::default(),
        &AnyFolder,
        Capabilities::whole(),
    )
    .expect("it is good");
    let sent = serde_json::to_string(&decoded.spec).expect("it is plain data");
    let received: toft_model::app::AppSpec = serde_json::from_str(&sent).expect("it was sent so");
    assert_eq!(received, decoded.spec);
}
