//! As root: a fresh user id, control groups, idmapped volumes.

use crate::help::{self, shell};

#[test]
fn a_program_runs_and_its_end_is_told() {
    if !help::root() {
        return;
    }
    let went = shell("id -u; hostname; pwd; ls /; exit 7");
    assert_eq!(went.code(), 7, "{}", went.said);
    let uid = help::UID;
    assert_eq!(
        went.said,
        format!(
            "{uid}\nweb-0\n/app\napp\nbin\ndev\nlib\nlib32\nlib64\nproc\nrun\nsbin\ntmp\nusr\n"
        )
    );
}
