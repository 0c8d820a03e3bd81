//! The pages keep step with the decoder: app files shown in them are read by it, and each key that
//! it knows stands in the reference.

use crate::tree;
use toft_appfile::{AnyFolder, Capabilities, Origin, Overrides, Source, decode, decode_with};

const REFERENCE: &str = "docs/app-file.md";

fn page(path: &str) -> String {
    let root = tree::root().expect("the tests run inside the project");
    std::fs::read_to_string(root.join(path)).expect("the page can be read")
}

/// The blocks of TOML that are whole app files, with the lines that they start on.
fn app_files(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut block, line.trim()) {
            (None, "```toml") => block = Some((at + 2, String::new())),
            (Some(_), "```") => found.extend(block.take()),
            (Some((_, text)), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    found.retain(|(_, text)| text.starts_with("app = \"") && text.contains("[process."));
    found
}

#[test]
fn app_files_in_pages_are_right() {
    let mut read = 0;
    for path in ["README.md", REFERENCE, "docs/errors/build.md"] {
        for (line, text) in app_files(&page(path)) {
            let source = Source { path, text: &text };
            if let Err(report) = decode(source, &Overrides::default(), &AnyFolder) {
                panic!("the app file at {path}:{line}:\n{}", report.render(false));
            }
            read += 1;
        }
    }
    assert!(read >= 3, "only {read} app files were found in the pages");
}

/// One of everything that the grammar has.
const WHOLE: &str = r#"
app = "a"
env = { A = "1" }
build = { run = "make" }
release = { run = "x" }
test = { run = "x" }
deploy = { canary = [5], abort = "errors > 2%" }
notify = { to = ["run:x"] }
[process.web]
run = "x"
use = ["certs"]
ready = "tcp"
alive = "tcp every 1s"
init = "x"
needs = { zone = "a", spread = "zone", apart = ["web"], beside = ["web"] }
listen = { http = { port = 1, client_address = true } }
connect = { db = "app:b/sql" }
files = { "/data" = "volume:v" }
limits = { memory = "1MiB", cpu = 1, pids = 1, open_files = 16 }
[route."example.com"]
to = "web/http"
on = ["lo"]
[schedule.s]
run = "x"
every = "1h"
retries = "3, 1m"
limit = "1h"
expect = "success every 1h"
after = "t"
[schedule.t]
run = "x"
at = "0 0 * * *"
[volume.v]
size = "1GiB"
"#;

/// Tables whose keys are the app's own words.
const NAMED: &[&str] = &["env", "listen", "connect", "files", "needs"];

#[test]
fn every_key_stands_in_the_reference() {
    let source = Source {
        path: "whole",
        text: WHOLE,
    };
    let decoded = decode_with(
        source,
        &Overrides::default(),
        &AnyFolder,
        Capabilities::whole(),
    );
    let decoded = decoded.unwrap_or_else(|report| panic!("{}", report.render(false)));
    let reference = page(REFERENCE);
    let mut absent = Vec::new();
    for value in decoded.explained.0 {
        let parts: Vec<&str> = value.key.split('.').collect();
        if parts[..parts.len() - 1]
            .iter()
            .any(|part| NAMED.contains(part))
        {
            continue;
        }
        let last = parts[parts.len() - 1];
        let row = format!("| `{last}` |");
        if last != "offset" && !reference.contains(&row) {
            absent.push(value.key.clone());
        }
    }
    assert!(absent.is_empty(), "{REFERENCE} has no line for {absent:?}");
}

/// An app that leaves out whatever may be left out.
const LEAST: &str = r#"
app = "a"
[build]
run = "make"
[release]
run = "x"
[deploy]
[process.web]
run = "x"
[process.web.listen]
http = 8080
[route."example.com"]
to = "web/http"
[schedule.s]
run = "x"
every = "1h"
[volume.v]
"#;

#[test]
fn every_default_stands_in_the_reference() {
    let source = Source {
        path: "least",
        text: LEAST,
    };
    let decoded = decode_with(
        source,
        &Overrides::default(),
        &AnyFolder,
        Capabilities::whole(),
    );
    let decoded = decoded.unwrap_or_else(|report| panic!("{}", report.render(false)));
    let reference = page(REFERENCE);
    let mut absent = Vec::new();
    for value in decoded
        .explained
        .0
        .iter()
        .filter(|v| v.origin == Origin::Default)
    {
        let last = value.key.rsplit('.').next().unwrap_or_default();
        let row = format!("| `{last}` |");
        let told = reference
            .lines()
            .any(|line| line.starts_with(&row) && line.contains(&value.value));
        if !told {
            absent.push(format!("{} = {}", value.key, value.value));
        }
    }
    assert!(absent.is_empty(), "{REFERENCE} does not say {absent:#?}");
}

/// The example of each section, with its code: what comes out when its right lines are left out.
fn wrong_examples(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let code = section.split(':').next().unwrap_or_default();
        let Some((_, rest)) = section.split_once("```toml\n") else {
            continue;
        };
        let block = rest.split("```").next().unwrap_or_default();
        let lines = block.lines().filter(|line| !line.contains("# right"));
        found.push((
            code.to_owned(),
            lines.map(|line| format!("{line}\n")).collect(),
        ));
    }
    found
}

#[test]
fn each_example_of_a_mistake_makes_it() {
    let mut tried = 0;
    for (code, example) in wrong_examples(&page("docs/errors/app-file.md")) {
        let has = |start: &str| example.lines().any(|line| line.starts_with(start));
        let app = if has("app =") { "" } else { "app = \"a\"\n" };
        let process = if has("[process.web]") || has("app =") {
            ""
        } else {
            "[process.web]\nrun = \"x\"\n"
        };
        let text = format!("{app}{process}{example}");
        let source = Source {
            path: "example",
            text: &text,
        };
        let report = match decode(source, &Overrides::default(), &AnyFolder) {
            Ok(decoded) => decoded.warnings,
            Err(report) => report,
        };
        let codes: Vec<_> = report.entries().iter().map(|entry| entry.code).collect();
        assert!(
            codes.contains(&code.as_str()),
            "the example of {code} makes {codes:?}:\n{text}"
        );
        tried += 1;
    }
    assert!(tried >= 14, "only {tried} examples were found");
}

#[test]
fn the_readmes_first_command_runs_toft() {
    assert!(page("README.md").contains("\ncargo run --release -- up examples/guestbook\n"));
    // With several programs in the workspace, cargo runs none of them unless it is told which.
    let manifest = page("Cargo.toml");
    assert!(manifest.contains("\ndefault-members = [\"crates/toft\"]"));
}
