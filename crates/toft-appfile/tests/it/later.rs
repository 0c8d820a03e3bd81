//! The whole grammar is known; what this build cannot do yet is refused.

use super::{brief, check};
use insta::assert_snapshot;
use toft_appfile::{AnyFolder, Capabilities, Overrides, Source, decode, decode_with};

const WHOLE: &str = include_str!("../../examples-text/whole.toml");

#[test]
fn not_yet_is_said_of_each_key() {
    let source = Source {
        path: "toft.toml",
        text: WHOLE,
    };
    let report = decode(source, &Overrides::default(), &AnyFolder)
        .expect_err("some of it is not possible yet");
    assert_snapshot!(brief(&report), @r#"
    E0112 toft.toml:11:11 builds that reach anything but the default, `["*:443"]`: not yet
    E0112 toft.toml:14:2 a command once per release (`[release]`): not yet
    E0112 toft.toml:18:2 steps and bounds of a deploy (`[deploy]`): not yet
    E0112 toft.toml:30:1 checks of running instances (`alive`): not yet
    E0112 toft.toml:31:1 a command for fresh volumes (`init`): not yet
    E0112 toft.toml:34:1 what follows the loss of a machine (`if_lost`): not yet
    E0112 toft.toml:35:1 placement (`needs`): not yet
    E0112 toft.toml:45:24 the client's real address (`client_address`): not yet
    E0112 toft.toml:47:14 doors that lead out (`connect`): not yet
    E0112 toft.toml:71:1 a choice of where log lines go (`log.to`): not yet
    E0112 toft.toml:76:9 a count that follows the requests: not yet
    E0112 toft.toml:78:1 checks of running instances (`alive`): not yet
    E0112 toft.toml:80:1 what follows the loss of a machine (`if_lost`): not yet
    E0112 toft.toml:84:7 doors for unix sockets: not yet
    E0112 toft.toml:85:10 doors for UDP: not yet
    E0112 toft.toml:90:11 the machine's own network: not yet
    E0112 toft.toml:91:19 doors for unix sockets: not yet
    E0112 toft.toml:96:11 balancing other than `round-robin`: not yet
    E0112 toft.toml:98:28 routes by path: not yet
    E0112 toft.toml:100:11 balancing other than `round-robin`: not yet
    E0112 toft.toml:102:9 routes of TCP ports: not yet
    E0112 toft.toml:104:11 balancing other than `round-robin`: not yet
    E0112 toft.toml:106:9 routes of UDP ports: not yet
    E0112 toft.toml:108:11 balancing other than `round-robin`: not yet
    E0112 toft.toml:110:9 routes by TLS name: not yet
    E0112 toft.toml:112:11 balancing other than `round-robin`: not yet
    E0112 toft.toml:114:11 schedules: not yet
    E0112 toft.toml:127:11 schedules: not yet
    E0112 toft.toml:137:1 a volume's `sync`: not yet
    E0112 toft.toml:138:1 a volume's `io`: not yet
    E0112 toft.toml:139:1 a volume's `replicas`: not yet
    E0112 toft.toml:143:1 a volume's `sync`: not yet
    E0112 toft.toml:144:1 a volume's `io`: not yet
    E0112 toft.toml:146:2 notifications (`[notify]`): not yet
    E0112 toft.toml:149:2 tests beside the app (`[test]`): not yet
    "#);
}

#[test]
fn the_value_of_a_key_is_checked_all_the_same() {
    assert_snapshot!(check("app = \"a\"\n[process.web]\nrun = \"a\"\nalive = \"tcp evry 10s\"\nlisten.http = 80\n"), @r#"
    error[E0112]: checks of running instances (`alive`): not yet
     --> toft.toml:4:1
      |
    4 | alive = "tcp evry 10s"
      | ^^^^^ right, but this build of Toft cannot do it yet

    error[E0108]: `process.web.alive` cannot be `tcp evry 10s`
     --> toft.toml:4:10
      |
    4 | alive = "tcp evry 10s"
      |          ^^^^^^^^^^^^ how often is missing
      |
      = help: write something like `"tcp evry 10s every 10s"`
    "#);
}

#[test]
fn every_example_is_good_for_a_build_that_can_do_everything() {
    for text in [
        WHOLE,
        include_str!("../../examples-text/guestbook.toml"),
        include_str!("../../examples-text/shop.toml"),
        include_str!("../../examples-text/small.toml"),
    ] {
        let source = Source {
            path: "toft.toml",
            text,
        };
        let decoded = decode_with(
            source,
            &Overrides::default(),
            &AnyFolder,
            Capabilities::whole(),
        );
        decoded.unwrap_or_else(|report| panic!("{report}"));
    }
}

#[test]
fn the_guestbook_is_good_now() {
    let source = Source {
        path: "toft.toml",
        text: include_str!("../../examples-text/guestbook.toml"),
    };
    decode(source, &Overrides::default(), &AnyFolder).unwrap_or_else(|report| panic!("{report}"));
}
