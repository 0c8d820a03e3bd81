//! Builds process 1 of the instances: a static program without a C library, embedded by `src/init.rs`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=init");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let target = env::var("TARGET").expect("cargo names the target");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a folder")).join("init");
    let mut rustc = Command::new(env::var_os("RUSTC").expect("cargo names the compiler"));
    rustc.args([
        "--edition",
        "2024",
        "--crate-name",
        "toft_init",
        "--crate-type",
        "bin",
    ]);
    rustc
        .args(["--target", &target, "-o"])
        .arg(&out)
        .arg("init/main.rs");
    for option in [
        "panic=abort",
        "opt-level=s",
        "overflow-checks=off",
        "debuginfo=0",
        "strip=symbols",
        "lto=fat",
        "codegen-units=1",
        "relocation-model=static",
        "target-feature=-crt-static",
        "force-unwind-tables=no",
        "link-arg=-nostdlib",
        "link-arg=-nostartfiles",
        "link-arg=-static",
        "link-arg=-no-pie",
        "link-arg=-Wl,--build-id=none,--gc-sections,-z,norelro,-z,noseparate-code,-z,noexecstack",
    ] {
        rustc.args(["-C", option]);
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let status = rustc
        .status()
        .expect("the compiler that cargo names can be run");
    assert!(
        status.success(),
        "init could not be built for {target}: {status}"
    );
}
