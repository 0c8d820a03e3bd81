//! Saving a file: the change is served, and no visitor loses a request.

use crate::world::{BUILT, SOON, World, both};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use toft_testkit::http::{Client, Load};
use toft_testkit::wait;

/// How often a file is saved.
const EDITS: u32 = 4;

/// Saves `file` again and again, with what `text` makes of each word, under a load of kept
/// connections, and sees each word served.
fn save_under_load(
    world: &World,
    url: &str,
    file: &Path,
    text: impl Fn(&str) -> String,
) -> Result<()> {
    let load = Load::start(url, "/", 50, 4)?;
    let mut client = Client::of_url(url).context("a URL")?;
    for edit in 1..=EDITS {
        let word = format!("edition-{edit}");
        let sent = load.sent();
        world.save(file, &text(&word))?;
        wait::until(BUILT, &format!("{word} at {url}"), || {
            let page = client.get("/").ok();
            page.filter(|page| page.text().contains(&word))
        })?;
        // Visitors come before, while and after the one version makes way for the other.
        wait::until(SOON, "more visitors", || {
            (load.sent() > sent + 25).then_some(())
        })?;
    }
    let report = load.stop();
    ensure!(
        report.failures.is_empty(),
        "{} of {}: {:?}",
        report.failures.len(),
        report.sent,
        report.failures
    );
    ensure!(
        report.good == report.sent,
        "{} of {} were good",
        report.good,
        report.sent
    );
    Ok(())
}

#[test]
fn a_program_is_swapped_without_a_failed_request() {
    both(|world| {
        let folder = world.app("small")?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        let words = folder.join("words.txt");
        let done = save_under_load(world, &url, &words, str::to_owned);
        done.with_context(|| up.text())?;
        up.end(SOON)?;
        Ok(())
    });
}

#[test]
fn static_pages_are_swapped_without_a_failed_request() {
    both(|world| {
        let folder = world.example("pages")?;
        let page = folder.join("index.html");
        let text = std::fs::read_to_string(&page)?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        let done = save_under_load(world, &url, &page, |word| {
            text.replace("</body>", &format!("<!-- {word} --></body>"))
        });
        done.with_context(|| up.text())?;
        up.end(SOON)?;
        Ok(())
    });
}

#[test]
fn a_save_that_fails_leaves_the_old_one_serving() {
    both(|world| {
        let folder = world.app("small")?;
        let mut up = world.up(&folder).start()?;
        let url = up.url(SOON)?;
        let app = folder.join("app.py");
        let good = std::fs::read_to_string(&app)?;
        let load = Load::start(&url, "/", 50, 4)?;
        world.save(&app, "raise SystemExit('spelled wrong')\n")?;
        up.wait_for(SOON, "spelled wrong")?;
        up.wait_for(SOON, "goes on serving")?;
        let from = up.text().len();
        world.save(&app, &good)?;
        up.wait_for_after(from, SOON, "swapped")?;
        let report = load.stop();
        ensure!(report.failures.is_empty(), "{:?}", report.failures);
        up.end(SOON)?;
        Ok(())
    });
}
