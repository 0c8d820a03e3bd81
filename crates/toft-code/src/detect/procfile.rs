//! `Procfile`: one process per line, `name: command`.

use super::{DetectError, Kind, Plan, Process, text};
use std::path::Path;

/// The lines of the folder's Procfile; `None` when there is none.
pub(super) fn read(folder: &Path) -> Result<Option<Vec<(String, String)>>, DetectError> {
    let Some(text) = text(folder, "Procfile")? else {
        return Ok(None);
    };
    let wrong = |line: usize, why: &str| DetectError::File {
        file: folder.join("Procfile"),
        why: format!("line {line}: {why}"),
    };
    let mut lines: Vec<(String, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, command) = line
            .split_once(':')
            .ok_or_else(|| wrong(index + 1, "a line is `name: command`"))?;
        let name =
            super::render::label(name).ok_or_else(|| wrong(index + 1, "the name is empty"))?;
        if command.trim().is_empty() {
            return Err(wrong(index + 1, "the command is empty"));
        }
        if lines.iter().any(|(other, _)| *other == name) {
            return Err(wrong(
                index + 1,
                &format!("a second process is named `{name}`"),
            ));
        }
        lines.push((name, command.trim().to_owned()));
    }
    if lines.is_empty() {
        return Err(wrong(1, "it names no process"));
    }
    Ok(Some(lines))
}

/// Lets a Procfile say what is started.
pub(super) fn over(mut plan: Plan, lines: Vec<(String, String)>) -> Plan {
    let uses = plan
        .processes
        .get("web")
        .map(|web| web.uses.clone())
        .unwrap_or_default();
    plan.processes.clear();
    let mut names = Vec::new();
    for (name, command) in lines {
        names.push(format!("`{name}`"));
        let command = if plan.kind == Kind::Python {
            as_module(command)
        } else {
            command
        };
        if name == "release" {
            plan.release = Some(without_shell(&command).unwrap_or_else(|| through_shell(&command)));
            continue;
        }
        let mut uses = uses.clone();
        let run = match without_shell(&command) {
            Some(run) => run,
            None => {
                // An inferred list needs no help: the command's own shell is seen in it.
                if !uses.is_empty() {
                    uses.push("shell".to_owned());
                }
                through_shell(&command)
            }
        };
        plan.processes.insert(name, Process { run, uses });
    }
    plan.fact("Procfile", format!("starts {}", names.join(", ")));
    plan
}

/// A Python package's own command, started as the module that it is: its script is on no `PATH`.
fn as_module(command: String) -> String {
    const MODULES: [&str; 6] = [
        "gunicorn",
        "uvicorn",
        "hypercorn",
        "daphne",
        "celery",
        "flask",
    ];
    let first = command.split_whitespace().next().unwrap_or_default();
    if MODULES.contains(&first) {
        format!("python3 -m {command}")
    } else {
        command
    }
}

/// The command as it is, when splitting it into words is all that a shell would do.
pub(super) fn without_shell(command: &str) -> Option<String> {
    let special = |c: char| "$`&|;<>(){}*?[]~#\\!=\n".contains(c);
    (!command.contains(special)).then(|| command.to_owned())
}

/// The command for a shell that becomes it.
pub(super) fn through_shell(command: &str) -> String {
    let several = ["&&", "||", ";", "|", "="]
        .iter()
        .any(|mark| command.contains(mark));
    let exec = if several { "" } else { "exec " };
    format!("sh -c '{exec}{}'", command.replace('\'', "'\\''"))
}
