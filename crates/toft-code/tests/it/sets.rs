//! Sets as roots: what is in them must be enough to run.

use crate::chroot;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use toft_code::sets::{Host, Memo, Request, Resolved, infer, resolve};
use toft_model::sandbox::{Mount, Source};

fn host() -> Host {
    Host::here(Path::new("/"), &std::env::current_exe().unwrap())
}

/// Resolves sets; `None`, said loudly, when this machine does not have them.
fn sets(names: &[&str], state: &Path) -> Option<Resolved> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    match resolve(
        &host(),
        &Request {
            uses: &names,
            ..Request::default()
        },
        state,
    ) {
        Ok(resolved) => Some(resolved),
        Err(error) => {
            eprintln!("SKIPPED: {names:?}: {error}");
            None
        }
    }
}

fn binds(mounts: &[Mount]) -> usize {
    mounts
        .iter()
        .filter(|mount| matches!(mount.source, Source::Bind { .. }))
        .count()
}

/// Runs a line with the sets named, and the shell to read the line.
fn run(names: &[&str], line: &str) -> Option<String> {
    if !chroot::possible() {
        return None;
    }
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut all = names.to_vec();
    all.push("shell");
    let resolved = sets(&all, state.path())?;
    assert!(
        binds(&resolved.mounts) <= 64,
        "{} binds",
        binds(&resolved.mounts)
    );
    Some(chroot::said(&chroot::run(
        &resolved.view(),
        &resolved.path_value(),
        line,
    )))
}

#[test]
fn python_runs_with_its_library() {
    let line =
        "python3 -c 'import ssl, sqlite3, ctypes, json, zlib, lzma; print(json.dumps([6*7]))'";
    if let Some(said) = run(&["python3"], line) {
        assert_eq!(said, "[42]");
    }
}

#[test]
fn python_need_not_compile_its_library() {
    let line = "python3 -v -c 'import json, argparse, http.server' 2>&1 | grep -c 'wrote\\|code object from .*[.]py.$' || true";
    if let Some(said) = run(&["python3"], line) {
        assert_eq!(said, "0");
    }
}

#[test]
fn node_runs() {
    if let Some(said) = run(
        &["node"],
        "node -e 'console.log(6*7, typeof require(\"tls\").connect)'; npm --version",
    ) {
        assert!(said.starts_with("42 function\n"), "{said}");
    }
}

#[test]
fn packages_run() {
    if let Some(said) = run(
        &["debian:git"],
        "git --version; git init -q /tmp/x && git -C /tmp/x status -s",
    ) {
        assert!(said.starts_with("git version"), "{said}");
    }
    if let Some(said) = run(&["debian:postgresql-client"], "psql --version") {
        assert!(said.starts_with("psql (PostgreSQL)"), "{said}");
    }
    if let Some(said) = run(&["debian:perl"], "perl -MPOSIX -e 'print floor(42.5)'") {
        assert_eq!(said, "42");
    }
}

#[test]
fn the_c_compiler_compiles() {
    let line = "cd /tmp; printf '#include <stdio.h>\nint main(void){puts(\"made\");}' > a.c; cc -o a a.c && ./a";
    if let Some(said) = run(&["cc"], line) {
        assert_eq!(said, "made");
    }
}

#[test]
fn rust_compiles() {
    let line = "cd /tmp; printf 'fn main(){println!(\"made\")}' > a.rs; rustc a.rs && ./a; cargo --version";
    if let Some(said) = run(&["rust"], line) {
        assert!(said.starts_with("made\ncargo "), "{said}");
    }
}

#[test]
fn the_undeclared_is_not_there() {
    let line = "for f in /root /home /etc/shadow /usr/bin/passwd /usr/share/doc /var; do [ -e $f ] && echo $f; done; \
                cat /etc/nsswitch.conf | head -1";
    if let Some(said) = run(&[], line) {
        assert_eq!(said, "passwd: files");
    }
}

#[test]
fn a_tree_is_made_once_and_pruned() {
    let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Some(one) = sets(&["shell", "python3"], state.path()) else {
        return;
    };
    let Some(key) = one.tree.clone() else {
        eprintln!("SKIPPED: no tree of copies here: {:?}", one.notes);
        return;
    };
    assert_eq!(
        sets(&["python3", "shell"], state.path())
            .unwrap()
            .tree
            .as_ref(),
        Some(&key)
    );
    let tree = state.path().join("sets").join(&key);
    assert!(tree.join("usr/bin").is_dir() && !tree.join("etc/shadow").exists());
    toft_code::sets::prune(state.path(), std::slice::from_ref(&key)).unwrap();
    assert!(tree.is_dir());
    toft_code::sets::prune(state.path(), &[]).unwrap();
    assert!(!tree.exists());
}

/// What the machine's own loader finds for a program.
fn ldd(program: &Path) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with('/'))
                .map(PathBuf::from)
        })
        .map(|path| path.canonicalize().unwrap())
        .collect()
}

#[test]
fn libraries_are_those_that_the_loader_finds() {
    let mut tried = 0;
    for name in [
        "python3", "node", "git", "perl", "ssh", "curl", "gcc", "tar", "gdb", "find", "bash",
        "openssl",
    ] {
        let Some(program) = ["/usr/local/bin", "/usr/bin"]
            .map(|f| Path::new(f).join(name))
            .into_iter()
            .find(|p| p.exists())
        else {
            continue;
        };
        let wanted = ldd(&program);
        if wanted.is_empty() {
            continue;
        }
        let state = tempfile::tempdir().unwrap();
        let programs = [program.clone()];
        let request = Request {
            programs: &programs,
            ..Request::default()
        };
        let resolved = resolve(&host(), &request, state.path()).unwrap();
        let found: BTreeSet<PathBuf> = resolved
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                Source::Bind { path, .. } => Some(path.clone()),
                _ => None,
            })
            .collect();
        let lacking: Vec<&PathBuf> = wanted.difference(&found).collect();
        assert!(lacking.is_empty(), "{name}: {lacking:?}");
        let more: Vec<&PathBuf> = found.difference(&wanted).collect();
        let allowed = |path: &Path| {
            path.ends_with("ld.so.cache") || path.to_string_lossy().contains("libgcc_s")
        };
        assert!(more.iter().all(|path| allowed(path)), "{name}: {more:?}");
        tried += 1;
    }
    if tried == 0 {
        eprintln!("SKIPPED: no program here that ldd knows");
    }
}

#[test]
fn commands_are_understood() {
    let app = tempfile::tempdir().unwrap();
    std::fs::write(app.path().join("start.sh"), "#!/bin/sh\nexec sleep 1\n").unwrap();
    std::fs::write(app.path().join("serve"), "#!/usr/bin/env -S python3 -u\n").unwrap();
    std::fs::copy("/proc/self/exe", app.path().join("program")).unwrap();
    let needs = |line: &[&str]| {
        let argv: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        infer(&host(), &argv, app.path())
            .map(|found| found.uses.join(" "))
            .unwrap_or_else(|error| error.to_string())
    };
    assert_eq!(needs(&["python3", "app.py"]), "python3");
    assert_eq!(needs(&["/usr/bin/python3.11", "app.py"]), "python3");
    assert_eq!(needs(&["npm", "start"]), "node shell");
    assert_eq!(needs(&["toft", "static"]), "toft");
    assert_eq!(needs(&["./start.sh"]), "shell");
    assert_eq!(
        needs(&["serve"]),
        "the program `serve` is not on this machine"
    );
    assert_eq!(needs(&["/app/serve"]), "python3 shell");
    assert_eq!(
        needs(&["sh", "-c", "X=1 exec node a.js && python3 b.py | cat"]),
        "node python3 shell"
    );
    assert_eq!(
        needs(&["./none"]),
        "the program `none` is not on this machine"
    );
    let own = infer(&host(), &["./program".to_owned()], app.path()).unwrap();
    assert_eq!(
        (own.uses.len(), own.programs),
        (0, vec![app.path().join("program")])
    );
}

#[test]
fn mistakes_name_their_cure() {
    let state = tempfile::tempdir().unwrap();
    let error = |name: &str| {
        let uses = [name.to_owned()];
        let error = resolve(
            &host(),
            &Request {
                uses: &uses,
                ..Request::default()
            },
            state.path(),
        )
        .unwrap_err();
        (error.to_string(), error.cure().unwrap())
    };
    let (words, cure) = error("pyhton3");
    assert_eq!(words, "there is no set named `pyhton3`");
    assert!(cure.starts_with("did you mean `python3`?"), "{cure}");
    if Path::new("/var/lib/dpkg/status").exists() {
        let (words, cure) = error("debian:no-such-thing");
        assert_eq!(words, "the Debian package `no-such-thing` is not installed");
        assert_eq!(
            cure,
            "sudo apt-get install --no-install-recommends no-such-thing"
        );
    }
}

/// Set for the process that is a plain user: the folder in which it works.
const PLAIN: &str = "TOFT_TEST_PLAIN_IN";

fn bind_of(path: &str) -> Source {
    Source::Bind {
        path: path.into(),
        write: false,
        exec: true,
        owner: None,
    }
}

/// Not a test of its own: what the plain user does.
#[test]
fn plain_worker() {
    let Some(top) = std::env::var_os(PLAIN).map(PathBuf::from) else {
        return;
    };
    let resolved = sets(&["shell"], &top.join("state")).unwrap();
    assert!(binds(&resolved.mounts) <= 64);
    let whole = resolved
        .mounts
        .iter()
        .any(|mount| mount.source == bind_of("/usr/bin"));
    assert!(
        !whole && resolved.notes.is_empty() && resolved.tree.is_some(),
        "{resolved:?}"
    );
    std::fs::write(top.join("done"), format!("{}", resolved.mounts.len())).unwrap();
}

#[test]
fn a_plain_user_sees_what_was_asked_for_and_no_more() {
    let is_root = std::fs::metadata("/proc/self")
        .is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
    if !is_root || !Path::new("/var/lib/dpkg/status").exists() {
        eprintln!("SKIPPED: becoming a plain user needs root, and the set needs dpkg");
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let program = top.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(
        top.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["sets::plain_worker", "--exact", "--nocapture"])
        .env(PLAIN, top.path())
        .env("HOME", top.path())
        .current_dir("/")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        top.path().join("done").exists(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_memory_forgets_what_changed() {
    let top = tempfile::tempdir().unwrap();
    let program = top.path().join("program");
    let mut memo = Memo::default();
    let mut ask = |from: &str| {
        // Another file each time, as a build leaves it.
        let fresh = top.path().join("fresh");
        std::fs::copy(from, &fresh).unwrap();
        std::fs::rename(&fresh, &program).unwrap();
        let programs = [program.clone()];
        let request = Request {
            programs: &programs,
            ..Request::default()
        };
        let answer = |memo: &mut Memo| memo.resolve(&host(), &request, top.path()).unwrap();
        let first = answer(&mut memo);
        assert_eq!(answer(&mut memo), first);
        assert_eq!(resolve(&host(), &request, top.path()).unwrap(), first);
        first.mounts.len()
    };
    let needs_libraries = ask("/usr/bin/tar");
    assert!(needs_libraries > 1);
    assert!(ask("/usr/bin/env") <= needs_libraries);
}
