//! `sudo toft setup`: gives a machine what `toft doctor` misses for apps of plain users.
//!
//! Each measure is one file with a fixed text and one command that makes it count; `--undo` removes
//! the same files. Nothing is done that the machine does not need.

use crate::failure::{Failure, chain};
use crate::say::{Ink, Screen};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Give a machine what `toft doctor` misses (needs root)
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SetupArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove what an earlier setup made
    #[arg(long, conflicts_with = "dry_run")]
    undo: bool,
}

/// One thing that a machine may lack.
struct Measure {
    /// In words.
    what: &'static str,
    /// Whether this machine lacks it; why not, otherwise.
    needed: Result<(), String>,
    /// The file that gives it.
    file: PathBuf,
    /// Its text.
    text: String,
    /// What makes the file count.
    command: &'static [&'static str],
}

pub(crate) fn run(args: &SetupArgs, screen: Screen) -> Result<(), Failure> {
    if !args.dry_run && !rustix::process::geteuid().is_root() {
        return Err(Failure::new(
            "setup changes the machine, which needs root",
            "this is a plain user",
        )
        .next("sudo toft setup (or toft setup --dry-run, to see what it would do)"));
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::new("this program cannot find its own path", chain(&error)))?;
    let mut done = 0;
    for measure in measures(Path::new("/"), &program) {
        done += usize::from(if args.undo {
            undo(&measure, screen)?
        } else {
            apply(&measure, args.dry_run, screen)?
        });
    }
    if done == 0 {
        let line = if args.undo {
            "there was nothing to undo"
        } else {
            "there is nothing to do here"
        };
        screen.step(Ink::Good, "done", line);
    }
    Ok(())
}

fn measures(root: &Path, program: &Path) -> Vec<Measure> {
    vec![
        Measure {
            what: "plain users may make user namespaces (AppArmor profile for this program alone)",
            needed: restricted(
                &root.join("proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
                "1",
            ),
            file: root.join("etc/apparmor.d/toft"),
            text: format!(
                "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile toft {} flags=(unconfined) {{\n  userns,\n}}\n",
                program.display()
            ),
            command: &["apparmor_parser", "--replace", "/etc/apparmor.d/toft"],
        },
        Measure {
            what: "plain users may make user namespaces (kernel.unprivileged_userns_clone)",
            needed: restricted(&root.join("proc/sys/kernel/unprivileged_userns_clone"), "0"),
            file: root.join("etc/sysctl.d/60-toft.conf"),
            text: "kernel.unprivileged_userns_clone = 1\n".to_owned(),
            command: &["sysctl", "--quiet", "--load=/etc/sysctl.d/60-toft.conf"],
        },
        Measure {
            what: "plain users may hold their apps to memory, cpu and pids (cgroup delegation by systemd)",
            needed: delegation(root),
            file: root.join("etc/systemd/system/user@.service.d/60-toft.conf"),
            text: "[Service]\nDelegate=cpu cpuset io memory pids\n".to_owned(),
            command: &["systemctl", "daemon-reload"],
        },
    ]
}

/// Needed when the switch stands at the value that forbids.
fn restricted(switch: &Path, forbids: &str) -> Result<(), String> {
    match std::fs::read_to_string(switch) {
        Ok(value) if value.trim() == forbids => Ok(()),
        Ok(value) => Err(format!("{} is {}", switch.display(), value.trim())),
        Err(_) => Err("this kernel has no such switch".to_owned()),
    }
}

fn delegation(root: &Path) -> Result<(), String> {
    if !root.join("run/systemd/system").is_dir() {
        return Err("systemd does not run here".to_owned());
    }
    let controllers =
        std::fs::read_to_string(root.join("sys/fs/cgroup/cgroup.controllers")).unwrap_or_default();
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return Err("the cgroup v2 tree has no memory controller".to_owned());
    }
    Ok(())
}

fn apply(measure: &Measure, dry_run: bool, screen: Screen) -> Result<bool, Failure> {
    if let Err(why) = &measure.needed {
        screen.step(Ink::Faint, "skipped", &format!("{}: {why}", measure.what));
        return Ok(false);
    }
    let same = std::fs::read_to_string(&measure.file).is_ok_and(|text| text == measure.text);
    if same {
        screen.step(
            Ink::Good,
            "there",
            &format!("{} ({})", measure.what, measure.file.display()),
        );
        return Ok(false);
    }
    if dry_run {
        screen.step(
            Ink::Busy,
            "would",
            &format!(
                "write {} and run `{}`",
                measure.file.display(),
                measure.command.join(" ")
            ),
        );
        return Ok(true);
    }
    write(&measure.file, &measure.text)?;
    command(measure)?;
    screen.step(
        Ink::Good,
        "done",
        &format!("{} ({})", measure.what, measure.file.display()),
    );
    Ok(true)
}

fn undo(measure: &Measure, screen: Screen) -> Result<bool, Failure> {
    match std::fs::remove_file(&measure.file) {
        Ok(()) => {
            screen.step(Ink::Good, "removed", &measure.file.display().to_string());
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Failure::new(
            format!("{} could not be removed", measure.file.display()),
            chain(&error),
        )),
    }
}

/// Whole or not at all: written beside and moved over.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            format!("{} could not be written", file.display()),
            chain(&error),
        )
    };
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let beside = file.with_extension("toft-new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, file).map_err(failed)
}

fn command(measure: &Measure) -> Result<(), Failure> {
    let shown = measure.command.join(" ");
    let (program, arguments) = measure
        .command
        .split_first()
        .expect("each measure has a command");
    let failed = |why: String| {
        Failure::new(
            format!("`{shown}` failed, {} is in place", measure.file.display()),
            why,
        )
        .next(shown.clone())
    };
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_machine_lacks_is_needed() {
        let root = tempfile::tempdir().unwrap();
        let kernel = root.path().join("proc/sys/kernel");
        std::fs::create_dir_all(&kernel).unwrap();
        std::fs::write(kernel.join("apparmor_restrict_unprivileged_userns"), "1\n").unwrap();
        std::fs::write(kernel.join("unprivileged_userns_clone"), "1\n").unwrap();
        let found = measures(root.path(), Path::new("/usr/bin/toft"));
        let needed: Vec<_> = found.iter().map(|m| m.needed.clone()).collect();
        assert_eq!(needed[0], Ok(()));
        assert!(needed[1].as_ref().unwrap_err().ends_with("is 1"));
        assert_eq!(needed[2], Err("systemd does not run here".to_owned()));
        assert!(found[0].text.contains("profile toft /usr/bin/toft "));
    }
}
