//! A folder with `package.json`.

use super::procfile::{through_shell, without_shell};
use super::{DetectError, Kind, Plan, process, text};
use serde_json::Value;
use std::path::Path;

fn package(folder: &Path) -> Result<Value, DetectError> {
    let source = text(folder, "package.json")?.unwrap_or_default();
    serde_json::from_str(&source).map_err(|error| DetectError::File {
        file: folder.join("package.json"),
        why: error.to_string(),
    })
}

fn script<'a>(package: &'a Value, name: &str) -> Option<&'a str> {
    package
        .get("scripts")?
        .get(name)?
        .as_str()
        .filter(|line| !line.trim().is_empty())
}

/// Whether the package itself says how it is started.
pub(super) fn has_start(folder: &Path) -> Result<bool, DetectError> {
    Ok(script(&package(folder)?, "start").is_some())
}

/// `None` when the folder is better read as something else: static pages with a few tools beside.
pub(super) fn plan(
    folder: &Path,
    seen: &[String],
    started: bool,
) -> Result<Option<Plan>, DetectError> {
    let package = package(folder)?;
    let mut plan = Plan::new(Kind::Node, "Node app: package.json");
    plan.name = package
        .get("name")
        .and_then(Value::as_str)
        .map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
    build(&mut plan, &package, seen);
    match start(folder, &package, seen) {
        Some((run, from, uses)) => {
            plan.fact("package.json", from);
            plan.web(run, uses);
        }
        None if started => plan.fact("package.json", "its dependencies"),
        None if seen.iter().any(|name| name == "index.html") => return Ok(None),
        None => return Err(unclear(folder, seen)),
    }
    if started && !plan.processes.contains_key("web") {
        plan.web("node", &["node"]);
    }
    Ok(Some(plan))
}

fn build(plan: &mut Plan, package: &Value, seen: &[String]) {
    let some = |key: &str| {
        package
            .get(key)
            .and_then(Value::as_object)
            .is_some_and(|map| !map.is_empty())
    };
    let build = script(package, "build");
    let needs = some("dependencies") || (build.is_some() && some("devDependencies"));
    let locked = seen
        .iter()
        .any(|name| name == "package-lock.json" || name == "npm-shrinkwrap.json");
    let install = match (needs, locked) {
        (true, true) => Some("npm ci"),
        (true, false) => Some("npm install"),
        (false, _) => None,
    };
    let (run, uses): (String, &[&str]) = match (install, build) {
        (None, None) => return,
        (Some(install), None) => (install.to_owned(), &["node", "shell", "certs"]),
        (None, Some(_)) => ("npm run build".to_owned(), &["node", "shell", "certs"]),
        (Some(install), Some(_)) => (
            through_shell(&format!("{install} && npm run build")),
            &["node", "shell", "certs"],
        ),
    };
    if build.is_none() {
        let lock = seen
            .iter()
            .filter(|name| name.ends_with("package-lock.json") || *name == "npm-shrinkwrap.json");
        plan.build_reads = Some(
            std::iter::once("package.json".into())
                .chain(lock.map(Into::into))
                .collect(),
        );
    }
    plan.build = Some(process(run, uses));
}

/// The command that starts it, where that was read, and what it needs.
fn start(
    folder: &Path,
    package: &Value,
    seen: &[String],
) -> Option<(String, String, &'static [&'static str])> {
    if let Some(start) = script(package, "start") {
        let simple =
            without_shell(start).filter(|line| line.split_whitespace().next() == Some("node"));
        let hooks = script(package, "prestart").is_some() || script(package, "poststart").is_some();
        let said = format!("scripts.start is `{start}`");
        return Some(match simple {
            Some(run) if !hooks => (run, said, &["node"]),
            _ => ("npm start".to_owned(), said, &["node", "shell"]),
        });
    }
    let main = package
        .get("main")
        .and_then(Value::as_str)
        .filter(|main| folder.join(main).is_file());
    if let Some(main) = main {
        return Some((
            format!("node {main}"),
            format!("main is `{main}`"),
            &["node"],
        ));
    }
    let file = [
        "server.js",
        "server.mjs",
        "index.js",
        "index.mjs",
        "app.js",
        "main.js",
    ]
    .into_iter()
    .find(|file| seen.iter().any(|name| name == file))?;
    Some((
        format!("node {file}"),
        format!("it lies beside {file}"),
        &["node"],
    ))
}

fn unclear(folder: &Path, seen: &[String]) -> DetectError {
    DetectError::Unclear {
        folder: folder.to_owned(),
        kind: "Node",
        why: "package.json has neither scripts.start nor a main that exists, and there is no server.js or index.js"
            .to_owned(),
        seen: seen.to_vec(),
        next: "npm pkg set scripts.start='node FILE.js'".to_owned(),
    }
}
