//! All of these tests again, as a plain user in a namespace of his own.

use crate::help;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Who has no rights anywhere.
const NOBODY: u32 = 65534;

#[test]
fn a_plain_user_has_the_same_walls() {
    if std::env::var_os(help::INSIDE).is_some() {
        return;
    }
    let root = rustix::process::geteuid().is_root();
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests
        .env_clear()
        .env(help::INSIDE, "1")
        .env("TMPDIR", "/tmp")
        .env("PATH", "/usr/bin:/bin");
    tests
        .args(["--test-threads", "1", "--nocapture"])
        .current_dir("/");
    // SAFETY: the forked child has one thread; the C library's fork keeps its heap usable.
    unsafe {
        tests.pre_exec(move || {
            if root {
                let nobody = libc::setgroups(0, std::ptr::null()) == 0
                    && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
                    && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
                    && libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
                if !nobody {
                    return Err(std::io::Error::last_os_error());
                }
            }
            toft_sandbox::enter_user_namespace().map_err(|error| {
                error
                    .errno()
                    .map_or(std::io::Error::from_raw_os_error(libc::ENOTSUP), Into::into)
            })
        });
    }
    match tests.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}\n{errors}");
            eprintln!("{errors}");
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOTSUP) => {
            eprintln!("SKIPPED: a plain user may not make user namespaces here");
        }
        Err(error) => panic!("{error}"),
    }
}
