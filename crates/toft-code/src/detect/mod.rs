//! Recognises a folder of code and writes the app file that its author did not have to write.
//!
//! The result is text in the app file's own grammar, so that it goes through the same decoder as a
//! file written by hand and a person can save it and go on from there.

mod go;
mod node;
mod pages;
mod procfile;
mod python;
mod render;
mod rust;

use crate::shown;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What kind of code a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Cargo.toml`.
    Rust,
    /// `go.mod`.
    Go,
    /// `package.json`.
    Node,
    /// `requirements.txt`, `pyproject.toml` or a Python file with a known name.
    Python,
    /// `index.html`.
    Pages,
    /// A `Procfile` and nothing else that is known.
    Procfile,
}

/// A folder that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Of which kind.
    pub kind: Kind,
    /// One line for people: “Rust app: Cargo.toml, binary `guestbook`; builds with …”.
    pub words: String,
    /// The app file, commented with what was seen.
    pub text: String,
    /// The only files of the folder that the build reads, where that is known: while they are
    /// unchanged, so is what the build made. `None`: the build may read everything.
    pub build_reads: Option<Vec<PathBuf>>,
}

/// Why a folder was not recognised. Its text says what; the methods give the other three parts.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The folder itself cannot be read.
    #[error("cannot read the folder {}", shown::path(folder))]
    Read {
        /// Which.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing in it is known.
    #[error("nothing in {} says how to run it", shown::path(folder))]
    Unknown {
        /// Which.
        folder: PathBuf,
        /// The names that are in it.
        seen: Vec<String>,
    },
    /// The kind is clear, but not what is to be started.
    #[error(
        "{} is a {kind} folder, but what to start in it is not clear",
        shown::path(folder)
    )]
    Unclear {
        /// Which.
        folder: PathBuf,
        /// What it is: “Rust”.
        kind: &'static str,
        /// What is missing or too many.
        why: String,
        /// What was found.
        seen: Vec<String>,
        /// What to do about it.
        next: String,
    },
    /// A file that says what the folder is cannot be understood.
    #[error("cannot read {}", shown::path(file))]
    File {
        /// Which.
        file: PathBuf,
        /// Why, in words, with the line where it is known.
        why: String,
    },
}

impl DetectError {
    /// Why this stops everything.
    pub fn why(&self) -> String {
        match self {
            Self::Read { source, .. } => source.to_string(),
            Self::Unknown { .. } => "a folder without toft.toml is recognised by Cargo.toml, go.mod, \
                 package.json, requirements.txt, pyproject.toml, app.py, main.py, index.html or a Procfile"
                .to_owned(),
            Self::Unclear { why, .. } | Self::File { why, .. } => shown::text(&why.replace('\n', " ")),
        }
    }

    /// What was seen.
    pub fn evidence(&self) -> String {
        match self {
            Self::Read { folder, .. } => shown::path(folder).to_string(),
            Self::Unknown { seen, .. } if seen.is_empty() => "the folder is empty".to_owned(),
            Self::Unknown { seen, .. } | Self::Unclear { seen, .. } => {
                format!("it holds {}", list(seen))
            }
            Self::File { file, .. } => shown::path(file).to_string(),
        }
    }

    /// What to do now.
    pub fn next(&self) -> String {
        match self {
            Self::Read { folder, .. } => format!("ls -ld {}", shown::path(folder)),
            Self::Unknown { folder, .. } => format!(
                "say how to start it: printf 'web: ./start\\n' > {}",
                shown::path(&folder.join("Procfile"))
            ),
            Self::Unclear { next, .. } => shown::text(next),
            Self::File { file, .. } => format!("correct {}", shown::path(file)),
        }
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| shown::text(name))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// One process of the app file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    run: String,
    uses: Vec<String>,
}

/// What was found out, before it is written as text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    kind: Kind,
    name: Option<String>,
    /// File and what it said, for the comment on top.
    facts: Vec<(String, String)>,
    /// “Rust app: Cargo.toml, binary `guestbook`”.
    title: String,
    env: Vec<(&'static str, String)>,
    build: Option<Process>,
    build_reads: Option<Vec<PathBuf>>,
    release: Option<String>,
    processes: BTreeMap<String, Process>,
}

impl Plan {
    fn new(kind: Kind, title: impl Into<String>) -> Self {
        Self {
            kind,
            name: None,
            facts: Vec::new(),
            title: title.into(),
            env: Vec::new(),
            build: None,
            build_reads: None,
            release: None,
            processes: BTreeMap::new(),
        }
    }

    fn fact(&mut self, file: &str, words: impl Into<String>) {
        self.facts.push((file.to_owned(), words.into()));
    }

    fn web(&mut self, run: impl Into<String>, uses: &[&str]) {
        self.processes.insert("web".to_owned(), process(run, uses));
    }
}

fn process(run: impl Into<String>, uses: &[&str]) -> Process {
    Process {
        run: run.into(),
        uses: uses.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Recognises `folder`. Reads only files in it, never runs anything.
pub fn detect(folder: &Path) -> Result<Detected, DetectError> {
    let seen = names(folder)?;
    let procfile = procfile::read(folder)?;
    let plan = plan(folder, &seen, procfile.is_some())?;
    let plan = match (plan, procfile) {
        (Some(plan), Some(lines)) => procfile::over(plan, lines),
        (Some(plan), None) => plan,
        (None, Some(lines)) => {
            procfile::over(Plan::new(Kind::Procfile, "app with a Procfile"), lines)
        }
        (None, None) => {
            return Err(DetectError::Unknown {
                folder: folder.to_owned(),
                seen,
            });
        }
    };
    Ok(render::render(folder, plan))
}

/// The first kind that fits. `started` says that a Procfile already tells what to start, so that a
/// missing entry point is no mistake.
fn plan(folder: &Path, seen: &[String], started: bool) -> Result<Option<Plan>, DetectError> {
    let has = |name: &str| seen.iter().any(|entry| entry == name);
    if has("Cargo.toml") {
        return rust::plan(folder, started).map(Some);
    }
    if has("go.mod") {
        return go::plan(folder, started).map(Some);
    }
    let python = python::looks_like(seen);
    if has("package.json")
        && (!python || node::has_start(folder)?)
        && let Some(plan) = node::plan(folder, seen, started)?
    {
        return Ok(Some(plan));
    }
    if python {
        return python::plan(folder, seen, started).map(Some);
    }
    Ok(pages::plan(folder, seen))
}

/// The names in a folder, sorted, without those that say nothing about its kind.
fn names(folder: &Path) -> Result<Vec<String>, DetectError> {
    let read = |source| DetectError::Read {
        folder: folder.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let name = entry
            .map_err(read)?
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name != ".git" && name != ".toft" {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A file of the folder as text; `None` when it is not there.
fn text(folder: &Path, name: &str) -> Result<Option<String>, DetectError> {
    let file = folder.join(name);
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DetectError::File {
            file,
            why: error.to_string(),
        }),
    }
}

fn toml_table(folder: &Path, name: &str) -> Result<toml::Table, DetectError> {
    let source = text(folder, name)?.unwrap_or_default();
    source
        .parse()
        .map_err(|error: toml::de::Error| DetectError::File {
            file: folder.join(name),
            why: match error.span() {
                Some(span) => format!("line {}: {}", line_of(&source, span.start), error.message()),
                None => error.message().to_owned(),
            },
        })
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
