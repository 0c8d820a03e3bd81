//! A folder with `go.mod`.

use super::{DetectError, Kind, Plan, process, text};
use std::path::Path;

pub(super) fn plan(folder: &Path, started: bool) -> Result<Plan, DetectError> {
    let module = text(folder, "go.mod")?.unwrap_or_default();
    let module = module
        .lines()
        .find_map(|line| line.trim().strip_prefix("module "))
        .map_or("app", str::trim);
    let name = module
        .rsplit('/')
        .find(|part| !is_version(part))
        .and_then(super::render::label)
        .unwrap_or_else(|| "app".to_owned());
    let commands = commands(folder);
    let from = match commands.as_slice() {
        [one] => one.clone(),
        many => match many
            .iter()
            .find(|command| command.ends_with(&format!("/{name}")))
        {
            Some(own) => own.clone(),
            None if started => "./...".to_owned(),
            None => return Err(unclear(folder, commands)),
        },
    };
    let mut plan = Plan::new(Kind::Go, format!("Go app: go.mod, module `{module}`"));
    plan.fact("go.mod", format!("module `{module}`, command `{from}`"));
    plan.name = Some(name.clone());
    let out = if from == "./..." {
        "bin/".to_owned()
    } else {
        format!("bin/{name}")
    };
    plan.build = Some(process(
        format!("go build -o {out} {from}"),
        &["go", "certs"],
    ));
    plan.web(format!("bin/{name}"), &[]);
    Ok(plan)
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// The packages `main` of a module, where modules usually have them.
fn commands(folder: &Path) -> Vec<String> {
    if is_main(folder) {
        return vec![".".to_owned()];
    }
    let mut found: Vec<String> = std::fs::read_dir(folder.join("cmd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_main(&entry.path()))
        .map(|entry| format!("./cmd/{}", entry.file_name().to_string_lossy()))
        .collect();
    found.sort();
    found
}

fn is_main(folder: &Path) -> bool {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.ends_with(".go")
                && !name.ends_with("_test.go")
                && std::fs::read_to_string(entry.path())
                    .is_ok_and(|text| text.lines().any(|line| line.trim() == "package main"))
        })
}

fn unclear(folder: &Path, seen: Vec<String>) -> DetectError {
    let why = if seen.is_empty() {
        "neither the folder nor one below cmd/ is a package `main`"
    } else {
        "more than one command could be the one that serves"
    };
    DetectError::Unclear {
        folder: folder.to_owned(),
        kind: "Go",
        why: why.to_owned(),
        seen: if seen.is_empty() {
            vec!["go.mod".to_owned()]
        } else {
            seen
        },
        next: "name it: printf 'web: bin/NAME\\n' > Procfile".to_owned(),
    }
}
