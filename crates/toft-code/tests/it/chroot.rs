//! Runs a program in a root made of a set's mounts and nothing else.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use toft_model::sandbox::{Mount, Source};

/// Whether this test may mount; says loudly when not.
pub(crate) fn possible() -> bool {
    let done = Command::new("unshare")
        .args(["--mount", "true"])
        .stderr(Stdio::null())
        .status();
    let possible = done.is_ok_and(|status| status.success());
    if !possible {
        eprintln!("SKIPPED: no right to make a mount namespace, so that no set is tried as a root");
    }
    possible
}

/// Runs a command line in the view, as a user without rights.
pub(crate) fn run(mounts: &[Mount], path: &str, line: &str) -> Output {
    let top = tempfile::tempdir().unwrap();
    let mut script = String::from("set -e\n");
    script.push_str("mount -t tmpfs -o mode=755 none \"$1\"; cd \"$1\"\n");
    for mount in mounts {
        script.push_str(&step(mount));
    }
    script.push_str(
        "mkdir -p dev proc tmp; chmod 1777 tmp; touch dev/null; mount --bind /dev/null dev/null\n",
    );
    script.push_str("mount -t proc none proc\n");
    script.push_str(&format!(
        "exec env -i PATH={path} HOME=/tmp /usr/sbin/chroot --userspec=65534:65534 . \"$2\" -c \"$3\"\n"
    ));
    // The shell that is asked for in the line comes from the view or, alone, from the machine.
    let shell = ["/usr/bin/sh", "/bin/sh"]
        .into_iter()
        .find(|shell| Path::new(shell).exists())
        .unwrap();
    Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            &script,
            "sh",
        ])
        .arg(top.path())
        .args([shell, line])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap()
}

fn step(mount: &Mount) -> String {
    let target = mount
        .target
        .strip_prefix("/")
        .unwrap()
        .display()
        .to_string();
    let parent = mount
        .target
        .parent()
        .unwrap()
        .strip_prefix("/")
        .unwrap()
        .display()
        .to_string();
    let parent = if parent.is_empty() {
        String::new()
    } else {
        format!("mkdir -p '{parent}'; ")
    };
    match &mount.source {
        Source::Bind { path, .. } => {
            let place = if path.is_dir() {
                format!("mkdir -p '{target}'")
            } else {
                format!("touch '{target}'")
            };
            let path = path.display();
            format!("{parent}[ -e '{target}' ] || {place}; mount --rbind '{path}' '{target}'\n")
        }
        Source::Link { to } => format!("{parent}ln -sfn '{}' '{target}'\n", to.display()),
        Source::File { contents } => format!("{parent}cat > '{target}' <<'END'\n{contents}END\n"),
        Source::Dir | Source::Scratch { .. } => format!("mkdir -p '{target}'\n"),
    }
}

/// What it printed, when it ended well.
pub(crate) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
