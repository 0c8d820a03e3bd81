//! A folder of Python.

use super::render::PORT;
use super::{DetectError, Kind, Plan, process, text, toml_table};
use std::path::Path;

/// File names that people give to what is started.
const ENTRIES: [&str; 7] = [
    "app.py",
    "main.py",
    "server.py",
    "run.py",
    "wsgi.py",
    "asgi.py",
    "application.py",
];

pub(super) fn looks_like(seen: &[String]) -> bool {
    seen.iter().any(|name| {
        ["requirements.txt", "pyproject.toml", "manage.py"].contains(&name.as_str())
            || ENTRIES.contains(&name.as_str())
    })
}

pub(super) fn plan(folder: &Path, seen: &[String], started: bool) -> Result<Plan, DetectError> {
    let has = |name: &str| seen.iter().any(|entry| entry == name);
    let project = if has("pyproject.toml") {
        toml_table(folder, "pyproject.toml")?
    } else {
        toml::Table::new()
    };
    let mut plan = Plan::new(Kind::Python, "Python app");
    plan.env.push(("PYTHONUNBUFFERED", "1".to_owned()));
    // The code is read-only where it runs.
    plan.env.push(("PYTHONDONTWRITEBYTECODE", "1".to_owned()));
    let needs = needs(folder, &project, has("requirements.txt"), &mut plan)?;
    if plan.build.is_some() {
        plan.env.push(("PYTHONPATH", "/app/lib".to_owned()));
    }
    match start(folder, seen, &needs, &project)? {
        Some((file, run)) => {
            let first = if has("requirements.txt") {
                "requirements.txt, "
            } else {
                ""
            };
            plan.title = format!("Python app: {first}{file}");
            plan.fact(&file, "is started");
            plan.web(run, &["python3"]);
        }
        None if started => plan.web("python3", &["python3"]),
        None => return Err(unclear(folder, seen)),
    }
    Ok(plan)
}

/// The names of the packages that it asks for, in lower case; plans their installation.
fn needs(
    folder: &Path,
    project: &toml::Table,
    requirements: bool,
    plan: &mut Plan,
) -> Result<Vec<String>, DetectError> {
    let name = |line: &str| {
        let end = line
            .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
            .unwrap_or(line.len());
        line[..end].to_ascii_lowercase()
    };
    if requirements {
        let text = text(folder, "requirements.txt")?.unwrap_or_default();
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let names: Vec<String> = lines.map(name).collect();
        let count = names.len();
        plan.fact(
            "requirements.txt",
            format!("{count} line{}", if count == 1 { "" } else { "s" }),
        );
        if count > 0 {
            let run = "python3 -m pip install --upgrade -r requirements.txt --target lib";
            plan.build = Some(process(run, &["python3", "certs"]));
            // A file that includes others, or the folder itself, is not all that is read.
            let alone = !text.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with('-') || line.starts_with('.') || line.contains("file:")
            });
            plan.build_reads = alone.then(|| vec!["requirements.txt".into()]);
        }
        return Ok(names);
    }
    let listed = project
        .get("project")
        .and_then(|p| p.get("dependencies")?.as_array());
    let names: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter_map(|d| d.as_str())
        .map(name)
        .collect();
    plan.name = project
        .get("project")
        .and_then(|p| p.get("name")?.as_str())
        .map(str::to_owned);
    if project.contains_key("build-system") || !names.is_empty() {
        plan.fact("pyproject.toml", format!("{} dependencies", names.len()));
        plan.build = Some(process(
            "python3 -m pip install --upgrade . --target lib",
            &["python3", "certs"],
        ));
    }
    Ok(names)
}

/// The file that is started, and how.
fn start(
    folder: &Path,
    seen: &[String],
    needs: &[String],
    project: &toml::Table,
) -> Result<Option<(String, String)>, DetectError> {
    let has = |name: &str| seen.iter().any(|entry| entry == name);
    let need = |name: &str| needs.iter().any(|entry| entry == name);
    for file in ENTRIES.into_iter().filter(|file| has(file)) {
        let source = text(folder, file)?.unwrap_or_default();
        let module = file.trim_end_matches(".py");
        let object = ["app", "application"]
            .into_iter()
            .find(|name| defines(&source, name));
        if let (true, Some(object)) = (need("gunicorn"), object) {
            let run = format!("python3 -m gunicorn --bind 0.0.0.0:{PORT} {module}:{object}");
            return Ok(Some((file.to_owned(), run)));
        }
        if let (true, Some(object)) = (need("uvicorn"), object) {
            let run = format!("python3 -m uvicorn {module}:{object} --host 0.0.0.0 --port {PORT}");
            return Ok(Some((file.to_owned(), run)));
        }
        if !["wsgi.py", "asgi.py"].contains(&file) || source.contains("__main__") {
            return Ok(Some((file.to_owned(), format!("python3 {file}"))));
        }
    }
    if has("manage.py") {
        let run = format!("python3 manage.py runserver --noreload 0.0.0.0:{PORT}");
        return Ok(Some(("manage.py".to_owned(), run)));
    }
    let scripts = project
        .get("project")
        .and_then(|p| p.get("scripts")?.as_table());
    let only = scripts
        .filter(|scripts| scripts.len() == 1)
        .and_then(|s| s.keys().next());
    Ok(only.map(|name| {
        (
            "pyproject.toml".to_owned(),
            format!("python3 lib/bin/{name}"),
        )
    }))
}

/// Whether a line at the margin gives `name` a value.
fn defines(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        line.strip_prefix(name).is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with('=') && !rest.starts_with("==") || rest.starts_with(':')
        })
    })
}

fn unclear(folder: &Path, seen: &[String]) -> DetectError {
    DetectError::Unclear {
        folder: folder.to_owned(),
        kind: "Python",
        why: format!(
            "none of {} and manage.py is there to be started",
            ENTRIES.join(", ")
        ),
        seen: seen.to_vec(),
        next: "say how: printf 'web: python3 FILE.py\\n' > Procfile".to_owned(),
    }
}
