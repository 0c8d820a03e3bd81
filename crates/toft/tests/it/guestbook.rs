//! The first minute: the example serves, keeps what was written in it, and leaves nothing behind.

use crate::world::{BUILT, SOON, both};
use anyhow::ensure;
use toft_testkit::http::{Client, get};
use toft_testkit::skipped;

fn has_rust() -> bool {
    let version = std::process::Command::new("cargo")
        .arg("--version")
        .output();
    version.is_ok_and(|output| output.status.success())
}

#[test]
fn an_entry_is_there_after_ctrl_c_and_the_same_command() {
    if !has_rust() {
        return skipped("the guestbook is built with cargo, which is not on the PATH");
    }
    both(|world| {
        let folder = world.example("guestbook")?;
        let before = world.before()?;
        let mut up = world.up(&folder).in_terminal().start()?;
        let url = up.url(BUILT)?;
        let mut client = Client::of_url(&url).expect("it is a URL");
        let page = client.get("/")?;
        ensure!(
            page.status == 200 && page.text().contains("<form"),
            "{}",
            page.text()
        );
        let signed = client.post_form("/", "name=Ada&message=It+worked+at+once")?;
        ensure!(
            (300..400).contains(&signed.status),
            "{}: {}",
            signed.status,
            signed.text()
        );
        let entries = client.get("/entries.json")?.text();
        ensure!(entries.contains("It worked at once"), "{entries}");
        drop(client);
        let status = up.end(SOON)?;
        ensure!(status.success(), "it ended with {status}");
        world.nothing_left(&before)?;

        let mut up = world.up(&folder).in_terminal().start()?;
        let url = up.url(BUILT)?;
        let entries = get(&format!("{url}/entries.json"))?.text();
        ensure!(entries.contains("It worked at once"), "{entries}");
        up.end(SOON)?;
        world.nothing_left(&before)
    });
}

#[test]
fn a_lone_app_answers_any_host_and_its_own_name() {
    both(|world| {
        let folder = world.app("small")?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        let port = url.rsplit(':').next().unwrap_or_default().to_owned();
        for host in ["small.localhost", "127.0.0.1", "localhost"] {
            let answer = get(&format!("http://{host}:{port}/"))?;
            ensure!(
                answer.text() == "the first words",
                "{host}: {}",
                answer.text()
            );
        }
        up.end(SOON)?;
        Ok(())
    });
}
