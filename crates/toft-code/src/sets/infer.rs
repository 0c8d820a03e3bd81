//! Which sets a command needs, when nobody said.

use super::libs::first_line;
use super::{Host, INSIDE_PATH, SetError, debian, elf};
use std::path::{Path, PathBuf};

/// What a command needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inferred {
    /// Names of sets.
    pub uses: Vec<String>,
    /// Files of the code itself whose loader and libraries are needed.
    pub programs: Vec<PathBuf>,
}

/// Scripts that start scripts end somewhere.
const DEPTH_MAX: usize = 4;

/// Programs of the set `shell` that commands begin with.
const SHELL: [&str; 24] = [
    "sh", "bash", "dash", "env", "cat", "cp", "date", "echo", "false", "find", "grep", "head",
    "ls", "mkdir", "mv", "printf", "rm", "sed", "sleep", "sort", "tail", "test", "true", "touch",
];

/// Looks at what `argv` would start. `app` is the folder on the machine that is `/app` inside.
///
/// A program of the code is read for its libraries or its interpreter; one of the machine becomes
/// its set, its Debian package or itself. What a shell line starts is looked at too, as far as its
/// words show it.
pub fn infer(host: &Host, argv: &[String], app: &Path) -> Result<Inferred, SetError> {
    let mut found = Inferred::default();
    command(host, argv, app, 0, &mut found)?;
    found.uses.sort();
    found.uses.dedup();
    found.programs.sort();
    found.programs.dedup();
    Ok(found)
}

fn command(
    host: &Host,
    argv: &[String],
    app: &Path,
    depth: usize,
    found: &mut Inferred,
) -> Result<(), SetError> {
    let Some(first) = argv.first().filter(|_| depth < DEPTH_MAX) else {
        return Ok(());
    };
    if first.contains('/') {
        return by_path(host, Path::new(first), argv, app, depth, found);
    }
    by_name(host, first, argv, app, depth, found)
}

fn by_name(
    host: &Host,
    name: &str,
    argv: &[String],
    app: &Path,
    depth: usize,
    found: &mut Inferred,
) -> Result<(), SetError> {
    let sets: &[&str] = match name {
        name if is_python(name) => &["python3"],
        "pip" | "pip3" => &["python3"],
        "node" | "nodejs" => &["node"],
        "npm" | "npx" => &["node", "shell"],
        "cargo" | "rustc" => &["rust"],
        "go" | "gofmt" => &["go"],
        "cc" | "gcc" | "ld" => &["cc"],
        "toft" => &["toft"],
        name if SHELL.contains(&name) => &["shell"],
        _ => &[],
    };
    found.uses.extend(sets.iter().map(|set| (*set).to_owned()));
    match name {
        "sh" | "bash" | "dash" => return shell(host, argv, app, depth, found),
        "env" => return after_env(host, argv, app, depth, found),
        _ => {}
    }
    if !sets.is_empty() {
        return Ok(());
    }
    match host.program(name) {
        Some(file) => of_machine(&file, found),
        None => Err(no_program(host, name)),
    }
}

fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| {
        rest.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    })
}

fn no_program(host: &Host, name: &str) -> SetError {
    let inside = INSIDE_PATH.split(':').map(PathBuf::from);
    SetError::NoProgram {
        name: name.to_owned(),
        looked: inside.chain(host.path.iter().cloned()).collect(),
        package: None,
    }
}

fn by_path(
    host: &Host,
    path: &Path,
    argv: &[String],
    app: &Path,
    depth: usize,
    found: &mut Inferred,
) -> Result<(), SetError> {
    let own = if path.is_relative() {
        Some(path)
    } else {
        path.strip_prefix("/app").ok()
    };
    let own: Option<PathBuf> = own.map(|own| {
        own.components()
            .filter(|part| *part != std::path::Component::CurDir)
            .collect()
    });
    let Some(own) = own else {
        // A well-known one is its set, wherever its name is written out.
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let inside = path.parent().is_some_and(|folder| {
            INSIDE_PATH
                .split(':')
                .any(|known| folder == Path::new(known))
        });
        if inside {
            return by_name(host, name, argv, app, depth, found);
        }
        return match path.is_file() {
            true => of_machine(path, found),
            false => Err(no_program(host, &path.display().to_string())),
        };
    };
    let file = app.join(&own);
    match elf::read(&file) {
        Ok(Some(_)) => found.programs.push(file),
        Ok(None) => {
            if let Some((interpreter, argument)) = first_line(&file)? {
                let mut line = vec![interpreter];
                line.extend(argument);
                return command(host, &line, app, depth + 1, found);
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = own.display().to_string();
            return Err(SetError::NoProgram {
                name,
                looked: vec![app.to_owned()],
                package: None,
            });
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Err(SetError::Program {
                file,
                why: error.to_string(),
            });
        }
        Err(source) => return Err(SetError::Read { path: file, source }),
    }
    Ok(())
}

/// A program of the machine: with its whole package where it has one, since it may read more than
/// its libraries.
fn of_machine(file: &Path, found: &mut Inferred) -> Result<(), SetError> {
    let real = file.canonicalize().map_err(|source| SetError::Read {
        path: file.to_owned(),
        source,
    })?;
    let status = if debian::is_here() {
        Some(debian::Status::read()?)
    } else {
        None
    };
    let owner = status.and_then(|status| status.owner(file).or_else(|| status.owner(&real)));
    found.uses.push(match owner {
        Some(package) => format!("debian:{package}"),
        None => format!("program:{}", file.display()),
    });
    if first_line(&real)?.is_some_and(|(interpreter, _)| interpreter.ends_with("/sh")) {
        found.uses.push("shell".to_owned());
    }
    Ok(())
}

/// `env A=b program …`
fn after_env(
    host: &Host,
    argv: &[String],
    app: &Path,
    depth: usize,
    found: &mut Inferred,
) -> Result<(), SetError> {
    // A script's first line gives all words as one (execve(2)).
    let words: Vec<String> = argv
        .iter()
        .skip(1)
        .flat_map(|word| word.split_whitespace())
        .map(str::to_owned)
        .collect();
    let start = words
        .iter()
        .position(|word| !word.starts_with('-') && !word.contains('='));
    match start {
        Some(start) => command(host, &words[start..], app, depth + 1, found),
        None => Ok(()),
    }
}

/// `sh -c 'line'`, `sh file`
fn shell(
    host: &Host,
    argv: &[String],
    app: &Path,
    depth: usize,
    found: &mut Inferred,
) -> Result<(), SetError> {
    let Some(at) = argv
        .iter()
        .position(|word| word.starts_with('-') && word.contains('c'))
    else {
        return Ok(());
    };
    let Some(line) = argv.get(at + 1) else {
        return Ok(());
    };
    for part in line.split([';', '|', '&', '\n', '(', ')']) {
        let words: Vec<String> = part
            .split_whitespace()
            .map(str::to_owned)
            .skip_while(|word| {
                word == "exec" || (word.contains('=') && !word.starts_with(['"', '\'']))
            })
            .collect();
        let plain = words
            .first()
            .is_some_and(|word| !word.contains(['$', '`', '"', '\'', '{', '<', '>', '[']));
        if !plain {
            continue;
        }
        match command(host, &words, app, depth + 1, found) {
            // A word of the shell's own language is no program.
            Err(SetError::NoProgram { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}
