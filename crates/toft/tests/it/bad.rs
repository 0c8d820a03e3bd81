//! Apps that misbehave: the right words on the first screen, the right end.

use crate::world::{SOON, World, both};
use anyhow::{Result, ensure};
use std::time::Duration;
use toft_testkit::http::get;
use toft_testkit::up::Up;

/// Starts the bad app in one of its ways, with more lines in its file.
fn start(world: &World, way: &str, more: &str) -> Result<Up> {
    let folder = world.app("bad")?;
    let text = format!(
        "app = \"bad\"\n\n[process.web]\nrun = \"python3 app.py {way}\"\n{more}\n\n[process.web.listen]\nhttp = 8080\n"
    );
    world.save(&folder.join("toft.toml"), &text)?;
    world.up(&folder).start()
}

/// Waits for all of these words on the screen, then ends it; nothing is left and nothing was served.
fn refused(world: &World, way: &str, more: &str, words: &[&str]) -> Result<()> {
    let before = world.before()?;
    {
        let mut up = start(world, way, more)?;
        for word in words {
            up.wait_for(SOON, word)?;
        }
        ensure!(!up.text().contains("serving http"), "{}", up.text());
        let status = up.end(SOON)?;
        ensure!(status.code() == Some(1), "{status}");
    }
    left_nothing(world, &before)
}

/// The folder itself was made after the inventory was taken.
fn left_nothing(world: &World, before: &toft_testkit::inventory::Inventory) -> Result<()> {
    std::fs::remove_dir_all(world.folder("bad"))?;
    world.nothing_left(before)
}

/// Serves after all, and ends well.
fn serves(world: &World, way: &str, more: &str) -> Result<String> {
    let before = world.before()?;
    let text = {
        let mut up = start(world, way, more)?;
        let url = up.url(SOON)?;
        ensure!(get(&url)?.text() == "bad");
        let text = up.text();
        up.end(SOON)?;
        text
    };
    left_nothing(world, &before)?;
    Ok(text)
}

#[test]
fn an_exit_at_once_is_told_with_its_code_and_last_line() {
    both(|world| {
        refused(
            world,
            "leave",
            "",
            &["exit code 3", "there is no such setting: COLOUR"],
        )
    });
}

#[test]
fn a_crash_is_told_with_its_signal() {
    both(|world| refused(world, "crash", "", &["signal 11 (SEGV)", "about to crash"]));
}

#[test]
fn a_program_that_is_not_there_is_told() {
    both(|world| {
        let before = world.before()?;
        let folder = world.app("bad")?;
        let text = "app = \"bad\"\n[process.web]\nrun = \"./no-such-program\"\n[process.web.listen]\nhttp = 8080\n";
        world.save(&folder.join("toft.toml"), text)?;
        let mut up = world.up(&folder).start()?;
        up.wait_for(SOON, "no-such-program")?;
        up.wait_for(SOON, "next:")?;
        up.interrupt()?;
        ensure!(!up.wait(SOON)?.success());
        left_nothing(world, &before)
    });
}

#[test]
fn a_program_that_binds_nothing_is_late() {
    both(|world| {
        let words = [
            "was not ready within 2s",
            "it listens on nothing",
            "thinking",
        ];
        refused(world, "hang", "ready_within = \"2s\"", &words)
    });
}

#[test]
fn a_late_one_serves_when_it_is_there() {
    both(|world| serves(world, "late", "").map(drop));
}

#[test]
fn the_wrong_port_is_named_with_the_line_that_cures_it() {
    both(|world| {
        let words = [
            "connection refused on port 8080",
            "it listens on 0.0.0.0:3000",
            "`http = 3000`",
        ];
        refused(world, "elsewhere", "ready_within = \"2s\"", &words)
    });
}

#[test]
fn loopback_only_is_good_enough() {
    both(|world| serves(world, "loopback", "").map(drop));
}

#[test]
fn too_much_memory_is_told_as_what_it_is() {
    both(|world| {
        let limits = "[process.web.limits]\nmemory = \"64MiB\"";
        let words: &[&str] = if world.is_root() {
            &["ran out of memory", "64MiB"]
        } else {
            // Refused to the program rather than killed, and said so.
            &["exit code 1", "MemoryError", "RLIMIT_DATA"]
        };
        refused(world, "grow", limits, words)
    });
}

#[test]
fn fifty_megabytes_of_output_stop_nobody() {
    both(|world| {
        let text = serves(world, "chatter", "")?;
        ensure!(text.len() < 64 << 20, "{} bytes", text.len());
        Ok(())
    });
}

#[test]
fn one_that_ignores_every_signal_is_killed_after_its_grace() {
    both(|world| {
        serves(
            world,
            "deaf",
            "stop = { signal = \"TERM\", grace = \"1s\" }",
        )
        .map(drop)
    });
}

#[test]
fn children_that_ran_away_end_with_their_instance() {
    both(|world| {
        serves(
            world,
            "orphans",
            "stop = { signal = \"TERM\", grace = \"1s\" }",
        )
        .map(drop)
    });
}

#[test]
fn a_second_ctrl_c_waits_for_no_grace() {
    both(|world| {
        let before = world.before()?;
        let mut up = start(
            world,
            "deaf",
            "stop = { signal = \"TERM\", grace = \"5m\" }",
        )?;
        up.url(SOON)?;
        up.interrupt()?;
        up.wait_for(SOON, "stopping")?;
        up.interrupt()?;
        up.wait(Duration::from_secs(60))?;
        left_nothing(world, &before)
    });
}
