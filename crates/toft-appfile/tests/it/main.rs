//! Text in, text out: app files and arguments, and what people read about them.

mod doors;
mod explain;
mod files;
mod later;
mod overrides;
mod process;
mod report;
mod runs;
mod syntax;

use toft_appfile::{AnyFolder, Capabilities, Folder, Overrides, Source, decode, decode_with};

/// What is said about an app file that this build reads: its mistakes, else its warnings.
fn check(text: &str) -> String {
    check_in(text, &Overrides::default(), &AnyFolder)
}

/// The same with arguments, in a folder.
fn check_in(text: &str, overrides: &Overrides, folder: &dyn Folder) -> String {
    let source = Source {
        path: "toft.toml",
        text,
    };
    match decode(source, overrides, folder) {
        Ok(decoded) if decoded.warnings.is_empty() => "good\n".to_owned(),
        Ok(decoded) => decoded.warnings.render(false),
        Err(report) => report.render(false),
    }
}

/// What is said about an app file by a build that can do everything.
fn check_whole(text: &str) -> String {
    let source = Source {
        path: "toft.toml",
        text,
    };
    match decode_with(
        source,
        &Overrides::default(),
        &AnyFolder,
        Capabilities::whole(),
    ) {
        Ok(decoded) if decoded.warnings.is_empty() => "good\n".to_owned(),
        Ok(decoded) => decoded.warnings.render(false),
        Err(report) => report.render(false),
    }
}

/// Only codes, places and sentences: one line for each mistake.
fn brief(report: &toft_appfile::Report) -> String {
    let line = |entry: toft_appfile::Entry| {
        format!(
            "{} {}:{}:{} {}\n",
            entry.code, entry.file, entry.line, entry.column, entry.message
        )
    };
    report.entries().into_iter().map(line).collect()
}

/// Sentences alone, for an app with one process and these lines in it.
fn web(lines: &str) -> String {
    let text = format!("app = \"a\"\n[process.web]\nrun = \"a\"\n{lines}\n");
    let source = Source {
        path: "toft.toml",
        text: &text,
    };
    match decode_with(
        source,
        &Overrides::default(),
        &AnyFolder,
        Capabilities::whole(),
    ) {
        Ok(_) => "good\n".to_owned(),
        Err(report) => {
            let line = |entry: toft_appfile::Entry| {
                format!("{} {}: {}\n", entry.code, entry.message, entry.label)
            };
            report.entries().into_iter().map(line).collect()
        }
    }
}
