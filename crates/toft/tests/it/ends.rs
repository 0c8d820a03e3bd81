//! However it ends, the machine is as it was before.

use crate::world::{SOON, World, both};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use toft_testkit::http::get;
use toft_testkit::inventory::{Inventory, descendants};
use toft_testkit::up::Up;
use toft_testkit::wait;

/// Starts the small app and sees it serve.
fn serve(world: &World, terminal: bool) -> Result<(Inventory, Up)> {
    let folder = world.app("small")?;
    let before = world.before()?;
    let options = world.up(&folder);
    let mut up = if terminal {
        options.in_terminal()
    } else {
        options
    }
    .start()?;
    let url = up.url(SOON)?;
    ensure!(get(&url)?.text() == "the first words");
    Ok((before, up))
}

#[test]
fn nothing_is_left_after_ctrl_c() {
    both(|world| {
        let (before, mut up) = serve(world, true)?;
        up.interrupt()?;
        let status = up.wait(SOON)?;
        ensure!(status.success(), "{status}: {}", up.text());
        world.nothing_left(&before)
    });
}

#[test]
fn nothing_is_left_after_a_stop_signal() {
    both(|world| {
        let (before, mut up) = serve(world, false)?;
        up.signal(Signal::TERM)?;
        let status = up.wait(SOON)?;
        ensure!(status.success(), "{status}: {}", up.text());
        world.nothing_left(&before)
    });
}

#[test]
fn nothing_is_left_after_a_kill() {
    both(|world| {
        let (before, mut up) = serve(world, false)?;
        up.signal(Signal::KILL)?;
        up.wait(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn nothing_is_left_after_a_closed_terminal() {
    both(|world| {
        let (before, mut up) = serve(world, true)?;
        up.hang_up()?;
        up.wait(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn a_killed_keeper_takes_everything_with_it_and_a_new_one_serves() {
    both(|world| {
        let (before, mut up) = serve(world, false)?;
        let keeper = descendants()?
            .into_iter()
            .find(|process| process.parent == up.pid());
        let keeper = keeper.context("the keeper is a child of `toft up`")?;
        let pid = i32::try_from(keeper.pid)
            .ok()
            .and_then(Pid::from_raw)
            .context("a process id")?;
        kill_process(pid, Signal::KILL)?;
        let status = up.wait(SOON)?;
        ensure!(!status.success(), "it ended well: {}", up.text());
        wait::until(SOON, "the end of all of it", || {
            descendants().ok()?.is_empty().then_some(())
        })?;
        // What a killed keeper could not remove, the next one on the same machine does.
        let mut up = again(world)?;
        ensure!(get(&up.url(SOON)?)?.text() == "the first words");
        up.end(SOON)?;
        world.nothing_left(&before)
    });
}

fn again(world: &World) -> Result<Up> {
    world.up(&world.folder("small")).start()
}

#[test]
fn nothing_is_left_after_a_build_that_fails() {
    both(|world| {
        let folder = world.app("small")?;
        let file = folder.join("toft.toml");
        let text = std::fs::read_to_string(&file)?;
        let build = "[build]\nrun = \"python3 build.py\"\n";
        world.save(&file, &format!("{text}\n{build}"))?;
        world.save(
            &folder.join("build.py"),
            "print('no such header', flush=True)\nraise SystemExit(4)\n",
        )?;
        let before = world.before()?;
        let mut up = world.up(&folder).in_terminal().start()?;
        up.wait_for(SOON, "`python3 build.py` failed")?;
        up.wait_for(SOON, "exit code 4")?;
        up.wait_for(SOON, "no such header")?;
        let status = up.end(SOON)?;
        ensure!(status.code() == Some(1), "{status}");
        world.nothing_left(&before)
    });
}

/// Starts an app whose build says so and never ends.
fn build_for_ever(world: &World) -> Result<(Inventory, Up)> {
    let folder = world.app("small")?;
    let file = folder.join("toft.toml");
    let text = std::fs::read_to_string(&file)?;
    world.save(
        &file,
        &format!("{text}\n[build]\nrun = \"python3 build.py\"\n"),
    )?;
    let script = "import time\nprint('still compiling', flush=True)\ntime.sleep(1000)\n";
    world.save(&folder.join("build.py"), script)?;
    let before = world.before()?;
    let mut up = world.up(&folder).in_terminal().start()?;
    up.wait_for(SOON, "still compiling")?;
    Ok((before, up))
}

#[test]
fn nothing_is_left_after_ctrl_c_during_a_build() {
    both(|world| {
        let (before, up) = build_for_ever(world)?;
        up.end(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn nothing_is_left_after_a_kill_during_a_build() {
    both(|world| {
        let (before, mut up) = build_for_ever(world)?;
        up.signal(Signal::KILL)?;
        up.wait(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn nothing_is_left_after_a_start_that_the_kernel_refuses() {
    both(|world| {
        let folder = world.app("small")?;
        let file = folder.join("toft.toml");
        let text = std::fs::read_to_string(&file)?;
        let files = "[process.web.files]\n\"/srv/none\" = \"read:./none\"\n";
        world.save(&file, &format!("{text}\n{files}"))?;
        let before = world.before()?;
        let mut up = world.up(&folder).in_terminal().start()?;
        up.wait_for(SOON, "none")?;
        up.wait_for(SOON, "next:")?;
        if up.ended().is_none() {
            up.interrupt()?;
        }
        let status = up.wait(SOON)?;
        ensure!(!status.success(), "{status}: {}", up.text());
        world.nothing_left(&before)
    });
}

#[test]
fn nothing_is_left_after_a_file_with_mistakes() {
    both(|world| {
        let folder = world.app("small")?;
        world.save(
            &folder.join("toft.toml"),
            "app = \"small\"\n[process.web]\nrnu = \"python3 app.py\"\n",
        )?;
        let before = world.before()?;
        let mut up = world.up(&folder).start()?;
        let line = up.wait_for(SOON, "toft.toml:3:1")?;
        let status = up.wait(SOON)?;
        ensure!(
            !status.success() && up.text().contains("run"),
            "{status}: {line}: {}",
            up.text()
        );
        world.nothing_left(&before)
    });
}

#[test]
fn a_taken_port_names_its_holder_and_leaves_nothing() {
    both(|world| {
        let folder = world.app("small")?;
        let holder = std::net::TcpListener::bind("127.0.0.1:0")?;
        let port = holder.local_addr()?.port();
        let before = world.before()?;
        let mut up = world.up_at(&folder, port).start()?;
        up.wait_for(SOON, &format!("127.0.0.1:{port}"))?;
        let status = up.wait(SOON)?;
        ensure!(!status.success(), "{status}");
        // A plain user may not look into the processes of others.
        let held_by = format!("pid {}", std::process::id());
        let text = up.text();
        ensure!(!world.is_root() || text.contains(&held_by), "{text}");
        ensure!(text.contains("--http"), "{text}");
        world.nothing_left(&before)
    });
}
