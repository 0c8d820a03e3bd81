//! Toft's own processes are killed one by one: what runs goes on, and what was killed comes back.

use crate::world::{SOON, both};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use toft_testkit::http::{Load, get};
use toft_testkit::inventory::descendants;
use toft_testkit::wait;

/// The process whose last argument is this word.
fn find(word: &str) -> Option<u32> {
    let ends = format!("\0{word}\0");
    let family = descendants().ok()?;
    family.into_iter().map(|process| process.pid).find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.ends_with(ends.as_bytes())
    })
}

/// Kills it, and waits until another one is there.
fn kill_and_wait(role: &str) -> Result<()> {
    let old = wait::until(SOON, role, || find(role))?;
    let pid = i32::try_from(old).ok().and_then(Pid::from_raw);
    kill_process(pid.context("a process id")?, Signal::KILL)?;
    wait::until(SOON, &format!("another {role}"), || {
        find(role).filter(|new| *new != old)
    })?;
    Ok(())
}

#[test]
fn visitors_notice_nothing_when_server_doors_logger_and_spawner_are_killed() {
    both(|world| {
        let folder = world.app("small")?;
        let before = world.before()?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        let app = wait::until(SOON, "the app", || find("app.py"))?;
        let load = Load::start(&url, "/", 50, 4)?;
        let kill = |role: &str| -> Result<()> {
            kill_and_wait(role).with_context(|| up.text())?;
            let sent = load.sent();
            wait::until(SOON, "more visitors", || {
                (load.sent() > sent + 10).then_some(())
            })
        };
        for role in ["doors", "logger", "spawner"] {
            kill(role)?;
        }
        let text = up.text();
        ensure!(find("app.py") == Some(app), "the app was touched:\n{text}");
        kill("server")?;
        let report = load.stop();
        ensure!(report.failures.is_empty(), "{:?}\n{text}", report.failures);
        up.end(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn a_killed_edge_comes_back_and_nobody_is_refused() {
    both(|world| {
        let folder = world.app("small")?;
        let before = world.before()?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        for _ in 0..3 {
            let old = find("edge").context("edge runs")?;
            let pid = i32::try_from(old).ok().and_then(Pid::from_raw);
            kill_process(pid.context("a process id")?, Signal::KILL)?;
            // What it had taken goes with it; the listening socket lives on, and whoever comes from
            // now on waits for the next edge.
            let gone = || (!std::path::Path::new(&format!("/proc/{old}")).exists()).then_some(());
            wait::until(SOON, "its end", gone)?;
            ensure!(get(&url)?.text() == "the first words", "{}", up.text());
        }
        up.end(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn a_save_is_served_after_the_server_was_killed() {
    both(|world| {
        let folder = world.app("small")?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        kill_and_wait("server")?;
        world.save(&folder.join("words.txt"), "after the server")?;
        wait::until(SOON, "the new words", || {
            let page = get(&url).ok();
            page.filter(|page| page.text() == "after the server")
        })
        .with_context(|| up.text())?;
        up.end(SOON)?;
        Ok(())
    });
}
