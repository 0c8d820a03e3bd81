//! Save a file under `toft up` to serving it, under a load of kept connections.
//!
//! The build tool's own time is measured on a copy of the folder, with the same edit, right after.

use super::meter::now;
use super::stats::{Sample, line};
use crate::built::{self, Profile};
use crate::say::say;
use crate::tree;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use toft_testkit::http::{Client, Load};
use toft_testkit::stage::{Net, Stage};
use toft_testkit::up::Options;
use toft_testkit::wait;

const COMMAND: &str = "cargo xtask bench save";
const MINUTES: Duration = Duration::from_secs(300);

/// One example, and how it is edited.
struct Case {
    name: &'static str,
    /// The file that is saved.
    file: &'static str,
    /// The build tool's command, where there is one.
    build: Option<&'static [&'static str]>,
}

const CASES: [Case; 3] = [
    Case {
        name: "guestbook",
        file: "src/page.rs",
        build: Some(&["cargo", "build", "--release", "--quiet"]),
    },
    // Its build installs what requirements.txt names, which an edit of the program does not touch.
    Case {
        name: "quotes",
        file: "app.py",
        build: None,
    },
    Case {
        name: "pages",
        file: "index.html",
        build: None,
    },
];

/// What is edited in each: a visitor sees it.
const WORDS: &str = "<title>";

/// What one case came to.
struct Outcome {
    saved: Sample,
    built: Sample,
    /// Save by save, what is beyond the build tool's own time.
    beyond: Sample,
    sent: u64,
    failures: Vec<(Duration, String)>,
}

pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let edits = super::number(arguments, "--edits", 20)?;
    let toft = built::toft(Profile::Release)?;
    let mut beyond = Sample::default();
    let (mut sent, mut failed) = (0, 0);
    say(&format!(
        "{edits} saves of each example under 50 requests per second; milliseconds, median (middle four fifths)\n"
    ));
    say(&format!(
        "{:<12} {:>22} {:>22} {:>10} {:>18}",
        "example", "save to served", "build tool alone", "beyond", "failed requests"
    ));
    for case in &CASES {
        let toft = toft.clone();
        let played = std::thread::scope(|scope| scope.spawn(|| play(case, &toft, edits)).join());
        let outcome = played
            .map_err(|_| anyhow::anyhow!("{} broke", case.name))?
            .with_context(|| case.name)?;
        let cell = |sample: &Sample| format!("{:.0} ({})", sample.median(), sample.spread());
        let over = outcome.beyond.median();
        beyond.push(over);
        sent += outcome.sent;
        failed += outcome.failures.len();
        let build = if outcome.built.len() == 0 {
            "—".to_owned()
        } else {
            cell(&outcome.built)
        };
        let lost = format!("{} of {}", outcome.failures.len(), outcome.sent);
        say(&format!(
            "{:<12} {:>22} {build:>22} {over:>10.0} {lost:>18}",
            case.name,
            cell(&outcome.saved)
        ));
        for (at, what) in outcome.failures.iter().take(5) {
            say(&format!("  after {at:?}: {what}"));
        }
    }
    let worst = beyond.quantile(1.0);
    say("");
    let text = "save a file under `toft up` to serving it: the build tool's own incremental time + ≤ 150 ms (median of 20)";
    let spread = format!(
        "{:.0}–{worst:.0} ms over three examples",
        beyond.quantile(0.0)
    );
    say(&line(
        text,
        &format!("{worst:.0} ms"),
        &spread,
        COMMAND,
        worst <= 150.0,
    ));
    let text = format!(
        "failed client requests while {} saves are swapped in under keep-alive load: 0",
        edits * CASES.len()
    );
    say(&line(
        &text,
        &failed.to_string(),
        &format!("of {sent} requests"),
        COMMAND,
        failed == 0,
    ));
    Ok(true)
}

fn play(case: &Case, toft: &Path, edits: usize) -> Result<Outcome> {
    let stage = Stage::new(Net::Machine)?;
    let folder = copy_example(case, stage.dir(), "served")?;
    let beside = copy_example(case, stage.dir(), "beside")?;
    let text = fs::read_to_string(folder.join(case.file))?;
    ensure!(text.contains(WORDS), "{} has no `{WORDS}`", case.file);
    let port = toft_testkit::http::free_port()?;
    let mut up = Options::up(toft, &folder, port).start()?;
    let url = up.url(MINUTES)?;
    build(case, &beside)?;
    let load = Load::start(&url, "/", 50, 4)?;
    let mut outcome = Outcome {
        saved: Sample::default(),
        built: Sample::default(),
        beyond: Sample::default(),
        sent: 0,
        failures: Vec::new(),
    };
    let mut client = Client::of_url(&url).context("a URL")?;
    for edit in 0..edits {
        let word = format!("edition {edit}");
        let edited = text.replacen(WORDS, &format!("{WORDS}{word} "), 1);
        let sent = load.sent();
        let start = now();
        save(&folder.join(case.file), &edited)?;
        let served = wait::until(MINUTES, "the edited page", || {
            client
                .get("/")
                .ok()
                .filter(|page| page.text().contains(&word))
        });
        served.with_context(|| up.text())?;
        let took = now().duration_since(start);
        // The tool alone, with the same edit, while Toft is idle again.
        save(&beside.join(case.file), &edited)?;
        let alone = build(case, &beside)?;
        outcome.saved.push(milliseconds(took));
        outcome
            .beyond
            .push(milliseconds(took) - alone.map_or(0.0, milliseconds));
        if let Some(alone) = alone {
            outcome.built.push(milliseconds(alone));
        }
        // Visitors come before, while and after the one version makes way for the other.
        wait::until(MINUTES, "more visitors", || {
            (load.sent() > sent + 25).then_some(())
        })?;
    }
    let report = load.stop();
    up.end(Duration::from_secs(30))?;
    (outcome.sent, outcome.failures) = (report.sent, report.failures);
    Ok(outcome)
}

fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// As editors do: a new file takes the name of the old one.
fn save(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("swp");
    fs::write(&aside, text)?;
    Ok(fs::rename(&aside, path)?)
}

fn build(case: &Case, folder: &Path) -> Result<Option<Duration>> {
    let Some([program, arguments @ ..]) = case.build else {
        return Ok(None);
    };
    // As in the sandbox: the toolchain itself rather than a proxy that looks for it each time, and a
    // home that no other build locks.
    let path = std::env::join_paths(toolchain().into_iter().chain(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    )))?;
    let start = now();
    let status = Command::new("env")
        .arg(program)
        .args(arguments)
        .env("PATH", path)
        .env("CARGO_HOME", folder.with_extension("home"))
        .env_remove("RUSTUP_TOOLCHAIN")
        .current_dir(folder)
        .status()?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(Some(now().duration_since(start)))
}

/// The folder of the Rust toolchain's programs.
fn toolchain() -> Option<PathBuf> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| Path::new(path.trim()).join("bin"))
}

fn copy_example(case: &Case, dir: &Path, name: &str) -> Result<PathBuf> {
    let to = dir.join(name);
    copy_tree(&tree::root()?.join("examples").join(case.name), &to)?;
    Ok(to)
}

/// Copies a tree without what building it has made.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if ["target", "lib", ".toft", "__pycache__"]
            .iter()
            .any(|made| name == *made)
        {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
