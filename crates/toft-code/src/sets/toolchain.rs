//! Sets of whole toolchains: where each one is on this machine, and what it leans on.

use super::parts::Part;
use super::{SetError, Wanted, debian};
use crate::shown;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a toolchain from outside `/usr` stands inside.
const RUST: &str = "/usr/local/rust";
const GO: &str = "/usr/local/go";

/// Packages that a C compiler for Rust and Go is made of.
const CC: [&str; 2] = ["gcc", "libc6-dev"];

pub(super) fn cc(wanted: &mut Wanted<'_>) -> Result<(), SetError> {
    if debian::is_here() {
        return CC.iter().try_for_each(|package| wanted.package(package));
    }
    match wanted.host.program("cc") {
        Some(_) => wanted.machines_usr("cc"),
        None => return Err(missing(wanted, "cc", "gcc")),
    }
    Ok(())
}

pub(super) fn rust(wanted: &mut Wanted<'_>) -> Result<(), SetError> {
    wanted.set("cc")?;
    let rustc = wanted
        .host
        .program("rustc")
        .ok_or_else(|| missing(wanted, "rustc", "cargo"))?;
    let top = PathBuf::from(ask(wanted, &rustc, &["--print", "sysroot"])?);
    let cargo = top.join("bin/cargo");
    if top == Path::new("/usr") {
        return distribution(wanted, "rust", &["rustc", "cargo"]);
    }
    if !cargo.is_file() {
        let looked = vec![cargo];
        return Err(SetError::NoProgram {
            name: "cargo".to_owned(),
            looked,
            package: Some("cargo"),
        });
    }
    wanted
        .parts
        .add_at(Path::new(RUST), Part::Folder(top.clone()));
    wanted.path_front(&Path::new(RUST).join("bin"));
    leaning_on_machine(
        wanted,
        &top,
        &[cargo, top.join("bin/rustc"), top.join("bin/rustdoc")],
    )
}

pub(super) fn go(wanted: &mut Wanted<'_>) -> Result<(), SetError> {
    let go = wanted
        .host
        .program("go")
        .ok_or_else(|| missing(wanted, "go", "golang-go"))?;
    let top = PathBuf::from(ask(wanted, &go, &["env", "GOROOT"])?);
    wanted.env("GOTOOLCHAIN", "local");
    if top.starts_with("/usr/lib") || top.starts_with("/usr/share") {
        return distribution(wanted, "go", &["golang-go"]);
    }
    wanted
        .parts
        .add_at(Path::new(GO), Part::Folder(top.clone()));
    wanted.env("GOROOT", GO);
    wanted.path_front(&Path::new(GO).join("bin"));
    leaning_on_machine(wanted, &top, &[top.join("bin/go")])
}

pub(super) fn python(wanted: &mut Wanted<'_>) -> Result<(), SetError> {
    // Bytecode that is checked by its source's contents stays good when files are copied.
    wanted.build_env("SOURCE_DATE_EPOCH", "315532800");
    let python = wanted
        .host
        .program("python3")
        .ok_or_else(|| missing(wanted, "python3", "python3"))?;
    if python.starts_with("/usr/bin") || python.starts_with("/bin") {
        if !debian::is_here() {
            wanted.machines_usr("python3");
            return Ok(());
        }
        wanted.package("python3")?;
        say_which(wanted, "python3", &python);
        // Most ready-made extension modules lean on it.
        for optional in ["libstdc++6", "python3-pip"] {
            if wanted.debian()?.is_installed(optional) {
                wanted.package(optional)?;
            }
        }
        if !wanted.debian()?.is_installed("python3-pip") {
            wanted.note(
                "pip is not installed: sudo apt-get install --no-install-recommends python3-pip"
                    .to_owned(),
            );
        }
        return Ok(());
    }
    let top = PathBuf::from(ask(
        wanted,
        &python,
        &["-c", "import sys; print(sys.base_prefix)"],
    )?);
    whole_prefix(wanted, &top, &top.join("bin/python3"), "lib-dynload")
}

pub(super) fn node(wanted: &mut Wanted<'_>) -> Result<(), SetError> {
    let node = wanted
        .host
        .program("node")
        .ok_or_else(|| missing(wanted, "node", "nodejs"))?;
    let real = node.canonicalize().map_err(|source| SetError::Read {
        path: node.clone(),
        source,
    })?;
    if real.starts_with("/usr/bin") || real.starts_with("/usr/lib") {
        if !debian::is_here() {
            wanted.machines_usr("node");
            return Ok(());
        }
        wanted.package("nodejs")?;
        say_which(wanted, "node", &node);
        if wanted.debian()?.is_installed("npm") {
            wanted.package("npm")?;
        }
        // One that does not come in a package of its own.
        for path in ["/usr/bin/npm", "/usr/bin/npx", "/usr/lib/node_modules/npm"] {
            wanted.parts.add_if_there(Path::new(path));
        }
        return Ok(());
    }
    let top = real
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"))
        .to_owned();
    if top == Path::new("/usr/local") {
        for path in ["bin/node", "bin/npm", "bin/npx", "lib/node_modules/npm"] {
            wanted.parts.add_if_there(&top.join(path));
        }
        return wanted.needs_of(&real);
    }
    whole_prefix(wanted, &top, &real, "node_modules")
}

/// Notes that the caller's own shell would have started another one.
fn say_which(wanted: &mut Wanted<'_>, name: &str, used: &Path) {
    let own = wanted
        .host
        .path
        .iter()
        .map(|folder| folder.join(name))
        .find(|file| super::is_program(file));
    let Some(own) = own else { return };
    let real = |file: &Path| file.canonicalize().ok();
    if real(&own) != real(used) {
        let (used, own) = (shown::path(used), shown::path(&own));
        wanted.note(format!(
            "`{name}` is {used} here, not {own}, which comes first on the caller's PATH"
        ));
    }
}

/// Packages where the machine has dpkg, else the whole of `/usr`.
fn distribution(wanted: &mut Wanted<'_>, set: &str, packages: &[&str]) -> Result<(), SetError> {
    if debian::is_here() {
        return packages
            .iter()
            .try_for_each(|package| wanted.package(package));
    }
    wanted.machines_usr(set);
    Ok(())
}

/// A toolchain in a folder of its own, shown where it is, because it knows its place.
fn whole_prefix(
    wanted: &mut Wanted<'_>,
    top: &Path,
    program: &Path,
    extensions: &str,
) -> Result<(), SetError> {
    if ["/", "/usr", "/usr/local"]
        .iter()
        .any(|shared| top == Path::new(shared))
    {
        wanted.machines_usr(&program.display().to_string());
        wanted.parts.add_if_there(&top.join("bin"));
        wanted.parts.add_if_there(&top.join("lib"));
        return Ok(());
    }
    wanted.parts.add_at(top, Part::Folder(top.to_owned()));
    wanted.path_front(&top.join("bin"));
    leaning_on_machine(wanted, top, &[program.to_owned()])?;
    let mut modules = Vec::new();
    shared_objects(&top.join("lib"), extensions, 0, &mut modules);
    leaning_on_machine(wanted, top, &modules)
}

/// Libraries in folders named `below`, which only their own interpreter loads.
fn shared_objects(folder: &Path, below: &str, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let inside = folder.ends_with(below);
        if inside && path.extension().is_some_and(|end| end == "so") {
            found.push(path);
        } else if depth < 2 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            shared_objects(&path, below, depth + 1, found);
        }
    }
}

/// What the machine itself gives to programs of a toolchain; its own libraries come with it.
fn leaning_on_machine(
    wanted: &mut Wanted<'_>,
    top: &Path,
    programs: &[PathBuf],
) -> Result<(), SetError> {
    for program in programs.iter().filter(|program| program.is_file()) {
        wanted.needs_of(program)?;
    }
    wanted.parts.forget_below(top);
    Ok(())
}

fn missing(wanted: &Wanted<'_>, name: &str, package: &'static str) -> SetError {
    SetError::NoProgram {
        name: name.to_owned(),
        looked: wanted.host.path.clone(),
        package: Some(package),
    }
}

/// The first line that a tool prints, in the folder of the code, which may choose its version.
fn ask(wanted: &Wanted<'_>, tool: &Path, arguments: &[&str]) -> Result<String, SetError> {
    let command = format!("{} {}", tool.display(), arguments.join(" "));
    let failed = |said: String| SetError::Tool {
        command: command.clone(),
        said,
    };
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(&wanted.host.folder)
        // Only what is there is asked for: nothing is to be installed by a question.
        .env("RUSTUP_AUTO_INSTALL", "0")
        .env("GOTOOLCHAIN", "local")
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match said.lines().next() {
        Some(line) if output.status.success() && !line.trim().is_empty() => {
            Ok(line.trim().to_owned())
        }
        _ => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
    }
}
