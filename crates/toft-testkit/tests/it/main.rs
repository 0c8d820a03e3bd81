//! The driver of the probes, tried on another sandbox: each probe must be shown to succeed outside.

use std::path::PathBuf;
use toft_testkit::probe::{Got, Kind, Tools, Verdict, Walls, drive};
use toft_testkit::{skipped, user};

#[test]
fn every_probe_is_shown_outside_and_has_a_result_inside() {
    if !user::is_root() {
        return skipped("the probes' targets are set up by root");
    }
    if !PathBuf::from("/usr/bin/bwrap").exists() {
        return skipped("the driver of the probes is tried on bubblewrap, which is not installed");
    }
    let tools = Tools {
        probes: env!("CARGO_BIN_EXE_toft-probes").into(),
        walls: Walls::Bubblewrap,
    };
    let table = drive(&tools, &[Kind::Root, Kind::User]).unwrap();
    for (user, rows) in &table.runs {
        assert!(rows.len() > 150, "{}", rows.len());
        let of = |name: &str| rows.iter().find(|row| row.outside.name == name).unwrap();
        for row in rows {
            let name = &row.outside.name;
            assert_ne!(
                row.verdict,
                Verdict::NotShown,
                "{name} as {user}: {}",
                row.outside.got
            );
            assert_ne!(row.verdict, Verdict::Missing, "{name} as {user}");
        }
        // What bubblewrap is known to hold, and what it is known to leave open.
        for held in [
            "read-file",
            "tcp",
            "udp-sendto",
            "signal",
            "unix-abstract",
            "shared-memory",
        ] {
            assert_eq!(of(held).verdict, Verdict::Held, "{held} as {user}");
        }
        assert_eq!(of("user-namespace").inside, Some(Got::Allowed), "as {user}");
    }
    assert!(!table.is_good());
}
