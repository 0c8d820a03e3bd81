//! Two whole copies of an app that binds 8080, side by side.

use crate::world::{SOON, both};
use anyhow::ensure;
use toft_testkit::http::{free_port, get};

#[test]
fn two_copies_answer_at_once() {
    both(|world| {
        let folder = world.app("bad")?;
        let text = "app = \"bad\"\n[process.web]\nrun = \"python3 app.py late\"\n[process.web.listen]\nhttp = 8080\n";
        world.save(&folder.join("toft.toml"), text)?;
        let before = world.before()?;
        let mut first = world.up(&folder).start()?;
        let mut second = world.up_offset(&folder)?.start()?;
        let urls = [first.url(SOON)?, second.url(SOON)?];
        ensure!(urls[0] != urls[1], "{urls:?}");
        for url in &urls {
            ensure!(get(url)?.text() == "bad", "{url}");
        }
        first.end(SOON)?;
        ensure!(
            get(&urls[1])?.text() == "bad",
            "the second went with the first"
        );
        second.end(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn a_second_keeper_on_the_same_state_is_refused_by_name() {
    both(|world| {
        let folder = world.app("small")?;
        let mut first = world.up(&folder).start()?;
        let url = first.url(SOON)?;
        let mut second = world.up_at(&folder, free_port()?).start()?;
        let status = second.wait(SOON)?;
        let text = second.text();
        ensure!(
            !status.success() && text.contains("--offset"),
            "{status}: {text}"
        );
        ensure!(get(&url)?.status == 200, "the first one suffered");
        first.end(SOON)?;
        Ok(())
    });
}

#[test]
fn the_first_screen_is_short() {
    both(|world| {
        let folder = world.app("small")?;
        let mut up = world.up(&folder).start()?;
        up.url(SOON)?;
        let text = up.text();
        up.end(SOON)?;
        ensure!(text.lines().count() <= 12, "{text}");
        Ok(())
    });
}
