//! The hostile probes, outside and inside an app: nothing undeclared gets through.

use std::path::{Path, PathBuf};
use toft_testkit::probe::{Kind, Tools, Walls, drive};
use toft_testkit::{skipped, user};

/// The probe program, which lies beside the product when the whole workspace was built.
fn program() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_BIN_EXE_toft")).with_file_name("toft-probes");
    beside.is_file().then_some(beside)
}

#[test]
fn nothing_undeclared_gets_through() {
    if !user::is_root() {
        return skipped("the probes' targets are set up by root");
    }
    let Some(probes) = program() else {
        return skipped("the probe program is not built: cargo build -p toft-testkit");
    };
    let walls = Walls::Toft(env!("CARGO_BIN_EXE_toft").into());
    let table = drive(&Tools { probes, walls }, &[Kind::Root, Kind::User]).unwrap();
    assert!(table.is_good(), "{table}");
}
