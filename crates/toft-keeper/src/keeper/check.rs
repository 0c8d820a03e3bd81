//! Whether an order may be carried out: what a server that was taken over could ask for at most.
//!
//! Pure. Everything that an order holds is looked at here once; behind this line its names are
//! names, its paths are plain, its numbers cannot overflow and its mounts stay within the bounds.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use toft_model::instance::{InstanceSpec, Refusal};
use toft_model::machine::{Bounds, is_plain};
use toft_model::sandbox::{Limits, Mount, Network, Source};

/// The app name under which the keeper's own roles run.
pub(crate) const OWN_APP: &str = "toft";

const ARGUMENTS_MAX: usize = 1024;
const VARIABLES_MAX: usize = 1024;
const MOUNTS_MAX: usize = 2048;
const RUN_FILES_MAX: usize = 64;
const DOORS_MAX: usize = 64;
const GRACE_MAX: Duration = Duration::from_secs(24 * 3600);
const RING_BYTES_MAX: u64 = 256 << 20;
const LINES_PER_SECOND_MAX: u32 = 10_000_000;
const OPEN_FILES_MAX: u32 = 1 << 20;
/// Linux' `PID_MAX_LIMIT`.
const PIDS_MAX: u32 = 4 << 20;
/// Parts of the tree that the sandbox makes itself.
const MADE_INSIDE: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Checks an order from server against `bounds`; the refusal names the rule.
pub(crate) fn order(spec: &InstanceSpec, bounds: &Bounds) -> Result<(), Refusal> {
    let what = |step: &str| format!("{step} of {}", spec.id);
    if spec.id.app.as_str() == OWN_APP {
        return refuse(
            what("start"),
            format!("the app name `{OWN_APP}` is Toft's own"),
        );
    }
    command(spec).map_err(|cause| refusal(what("command"), cause))?;
    tree(spec).map_err(|cause| refusal(what("files"), cause))?;
    sources(spec, bounds)?;
    limits(&spec.sandbox.limits).map_err(|cause| refusal(what("limits"), cause))?;
    manners(spec).map_err(|cause| refusal(what("start"), cause))?;
    if spec.sandbox.network == Network::Host && !bounds.network_host {
        return Err(Refusal {
            step: what("network"),
            cause: "`network = \"host\"` is outside what this machine allows".into(),
            cure: Some("allow it in the machine file, or leave the line out".into()),
        });
    }
    Ok(())
}

/// A command to run inside a sandbox (a probe), as doors may ask for it.
pub(crate) fn argv(argv: &[String]) -> Result<(), String> {
    if argv.is_empty() || argv[0].is_empty() {
        return Err("there is no program to run".into());
    }
    if argv.len() > ARGUMENTS_MAX {
        return Err(format!("more than {ARGUMENTS_MAX} arguments"));
    }
    if argv.iter().any(|word| word.contains('\0')) {
        return Err("an argument holds a zero byte".into());
    }
    Ok(())
}

fn refusal(step: String, cause: String) -> Refusal {
    Refusal {
        step,
        cause,
        cure: None,
    }
}

fn refuse(step: String, cause: String) -> Result<(), Refusal> {
    Err(refusal(step, cause))
}

fn command(spec: &InstanceSpec) -> Result<(), String> {
    argv(&spec.argv)?;
    if spec.env.len() > VARIABLES_MAX {
        return Err(format!("more than {VARIABLES_MAX} variables"));
    }
    for (key, value) in &spec.env {
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            return Err(format!("`{}` cannot be a variable", key.escape_debug()));
        }
    }
    if !plain(Path::new(&spec.workdir)) {
        return Err(format!(
            "the working folder `{}` is not a plain path",
            spec.workdir.escape_debug()
        ));
    }
    Ok(())
}

fn plain(path: &Path) -> bool {
    is_plain(path) && !path.as_os_str().as_encoded_bytes().contains(&0)
}

fn tree(spec: &InstanceSpec) -> Result<(), String> {
    let sandbox = &spec.sandbox;
    let name = &sandbox.hostname;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if name.is_empty() || name.len() > 63 || !name.chars().all(letters) {
        return Err(format!("`{}` cannot be a host name", name.escape_debug()));
    }
    if sandbox.view.len() + sandbox.own.len() > MOUNTS_MAX {
        return Err(format!("more than {MOUNTS_MAX} mounts"));
    }
    let mut targets = BTreeSet::new();
    for mount in sandbox.view.iter().chain(&sandbox.own) {
        target(mount)?;
        if !targets.insert(&mount.target) {
            return Err(format!("{} is there twice", mount.target.display()));
        }
    }
    if sandbox
        .own
        .iter()
        .any(|m| !matches!(m.source, Source::Bind { .. } | Source::Scratch { .. }))
    {
        return Err("an instance's own mounts are binds and scratch only".into());
    }
    run_files(spec)
}

fn target(mount: &Mount) -> Result<(), String> {
    let target = &mount.target;
    let shown = target.display();
    if !plain(target) || target == Path::new("/") {
        return Err(format!("`{shown}` is not a plain path below /"));
    }
    if MADE_INSIDE.iter().any(|made| target.starts_with(made)) {
        return Err(format!("{shown} is made by the sandbox itself"));
    }
    match &mount.source {
        Source::Link { to }
            if to.as_os_str().is_empty() || to.as_os_str().as_encoded_bytes().contains(&0) =>
        {
            Err(format!("{shown} is a link to nowhere"))
        }
        Source::Scratch { size, .. } if size.0 == 0 => Err(format!("{shown} has no size")),
        _ => Ok(()),
    }
}

fn run_files(spec: &InstanceSpec) -> Result<(), String> {
    let files = &spec.sandbox.run_files;
    if files.len() > RUN_FILES_MAX {
        return Err(format!("more than {RUN_FILES_MAX} files in /run/toft"));
    }
    let mut names = BTreeSet::new();
    for file in files {
        let name = file.name.as_str();
        if matches!(name, "" | "." | "..") || name.len() > 255 || name.contains(['/', '\0']) {
            return Err(format!(
                "`{}` cannot be a file in /run/toft",
                name.escape_debug()
            ));
        }
        if !names.insert(name) {
            return Err(format!("/run/toft/{name} is there twice"));
        }
    }
    Ok(())
}

fn sources(spec: &InstanceSpec, bounds: &Bounds) -> Result<(), Refusal> {
    for mount in spec.sandbox.view.iter().chain(&spec.sandbox.own) {
        let Source::Bind { path, write, .. } = &mount.source else {
            continue;
        };
        if bounds.allow(&mount.source) && plain(path) {
            continue;
        }
        let right = if *write { "written" } else { "read" };
        return Err(Refusal {
            step: format!(
                "show {} at {} to {}",
                path.display(),
                mount.target.display(),
                spec.id
            ),
            cause: format!("it is outside what may be {right} on this machine"),
            cure: Some("name the path in the app file or in the machine file".into()),
        });
    }
    Ok(())
}

fn limits(limits: &Limits) -> Result<(), String> {
    let within = |n: Option<u32>, most: u32| n.is_none_or(|n| (1..=most).contains(&n));
    if limits
        .memory
        .is_some_and(|bytes| bytes.0 == 0 || bytes.0 > 1 << 50)
    {
        return Err("memory is more than a byte and less than a pebibyte".into());
    }
    if limits
        .cpu
        .is_some_and(|cpu| cpu.0 == 0 || cpu.0 > 100_000_000)
    {
        return Err("cpu is more than nothing and at most 100000".into());
    }
    if !within(limits.pids, PIDS_MAX) {
        return Err(format!("pids is 1 to {PIDS_MAX}"));
    }
    if !within(limits.open_files, OPEN_FILES_MAX) {
        return Err(format!("open_files is 1 to {OPEN_FILES_MAX}"));
    }
    Ok(())
}

fn manners(spec: &InstanceSpec) -> Result<(), String> {
    if !(1..=31).contains(&spec.stop.signal) {
        return Err(format!("{} is no signal", spec.stop.signal));
    }
    if spec.stop.grace > GRACE_MAX {
        return Err("a grace is at most a day".into());
    }
    if spec.log.ring_bytes > RING_BYTES_MAX {
        return Err(format!("a log ring is at most {RING_BYTES_MAX} bytes"));
    }
    if spec.log.lines_per_second > LINES_PER_SECOND_MAX {
        return Err(format!("a log has at most {LINES_PER_SECOND_MAX} lines/s"));
    }
    if spec.listen.len() > DOORS_MAX {
        return Err(format!("more than {DOORS_MAX} doors"));
    }
    let mut labels = BTreeSet::new();
    for door in &spec.listen {
        if door.port == 0 || !labels.insert(door.label.as_str()) {
            return Err(format!(
                "the door `{}` has no port, or is there twice",
                door.label
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
