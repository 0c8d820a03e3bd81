//! Writes what was found out as an app file.

use super::{Detected, Plan, Process};
use crate::shown;
use std::fmt::Write;
use std::path::Path;

/// The port that a detected app is asked to bind; it is also in its `PORT`.
pub(super) const PORT: u16 = 8080;

pub(super) fn render(folder: &Path, plan: Plan) -> Detected {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write_all(&mut text, folder, &plan);
    Detected {
        kind: plan.kind,
        words: words(&plan),
        text,
        build_reads: plan.build_reads,
    }
}

fn words(plan: &Plan) -> String {
    let mut words = plan.title.clone();
    if let Some(build) = &plan.build {
        words.push_str(&format!("; builds with {}", build.run));
    }
    match plan.processes.get("web") {
        Some(web) => words.push_str(&format!("; starts with {}", web.run)),
        None => {
            let names: Vec<&str> = plan.processes.keys().map(String::as_str).collect();
            words.push_str(&format!("; starts {}", names.join(", ")));
        }
    }
    shown::text(&words)
}

fn write_all(out: &mut String, folder: &Path, plan: &Plan) -> std::fmt::Result {
    writeln!(out, "# {}", shown::text(&plan.title))?;
    let width = plan
        .facts
        .iter()
        .map(|(file, _)| file.len())
        .max()
        .unwrap_or(0);
    for (file, fact) in &plan.facts {
        let (file, fact) = (shown::text(file), shown::text(&fact.replace('\n', " ")));
        writeln!(out, "#   {file:width$}  {fact}")?;
    }
    writeln!(out, "# Save this as toft.toml to change it.\n")?;
    writeln!(
        out,
        "app = {}",
        quote(&app_name(plan.name.as_deref(), folder))
    )?;
    if !plan.env.is_empty() {
        writeln!(out, "\n[env]")?;
        for (key, value) in &plan.env {
            writeln!(out, "{key} = {}", quote(value))?;
        }
    }
    if let Some(build) = &plan.build {
        writeln!(out, "\n[build]")?;
        write_process(out, build)?;
    }
    if let Some(run) = &plan.release {
        writeln!(out, "\n[release]\nrun = {}", quote(run))?;
    }
    for (name, process) in &plan.processes {
        writeln!(out, "\n[process.{name}]")?;
        write_process(out, process)?;
        if name == "web" {
            writeln!(out, "\n[process.web.listen]\nhttp = {PORT}")?;
        }
    }
    Ok(())
}

fn write_process(out: &mut String, process: &Process) -> std::fmt::Result {
    writeln!(out, "run = {}", quote(&process.run))?;
    if !process.uses.is_empty() {
        let uses: Vec<String> = process.uses.iter().map(|name| quote(name)).collect();
        writeln!(out, "use = [{}]", uses.join(", "))?;
    }
    Ok(())
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A name that can stand as a host label, from the code's own name or the folder's.
fn app_name(name: Option<&str>, folder: &Path) -> String {
    let from_folder = || {
        let whole = folder.canonicalize().ok()?;
        label(whole.file_name()?.to_str()?)
    };
    name.and_then(label)
        .or_else(from_folder)
        .unwrap_or_else(|| "app".to_owned())
}

/// `My_App 2` becomes `my-app-2`; `None` when nothing is left.
pub(super) fn label(text: &str) -> Option<String> {
    let mut out = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || (c.is_ascii_digit() && !out.is_empty()) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(63);
    let out = out.trim_end_matches('-').to_owned();
    (!out.is_empty()).then_some(out)
}
