//! The base set: what every instance sees, whatever it uses.
//!
//! `/proc`, `/dev`, `/tmp` and `/run/toft` itself are made by the sandbox for each instance. The
//! files that name the instance's own user and hosts are written there too, and stand in `/etc` as
//! links, so that one view serves all instances of a release.

use std::path::{Path, PathBuf};
use toft_model::sandbox::{Mount, RunFile, Source};

/// Where programs are looked for inside, after the folders of the sets.
pub const INSIDE_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Files of `/etc` that each instance has for itself.
const OWN: [&str; 4] = ["passwd", "group", "hosts", "resolv.conf"];

const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
                        protocols: files\nservices: files\n";

/// The mounts of the base set.
pub fn base_view() -> Vec<Mount> {
    let mut mounts = vec![file("/etc/nsswitch.conf", NSSWITCH)];
    for name in OWN {
        mounts.push(Mount {
            target: Path::new("/etc").join(name),
            source: Source::Link {
                to: Path::new("/run/toft").join(name),
            },
        });
    }
    if let Some(zone) = local_time() {
        let source = Source::Bind {
            path: zone,
            write: false,
            exec: false,
            owner: None,
        };
        mounts.push(Mount {
            target: "/etc/localtime".into(),
            source,
        });
    }
    mounts.push(Mount {
        target: "/etc/mtab".into(),
        source: Source::Link {
            to: "/proc/self/mounts".into(),
        },
    });
    mounts.sort_by(|a, b| a.target.cmp(&b.target));
    mounts
}

fn file(target: &str, contents: &str) -> Mount {
    Mount {
        target: target.into(),
        source: Source::File {
            contents: contents.to_owned(),
        },
    }
}

/// The file that says which time zone the machine is in.
fn local_time() -> Option<PathBuf> {
    Path::new("/etc/localtime")
        .canonicalize()
        .ok()
        .filter(|file| file.is_file())
}

/// The files below `/run/toft` that the links of [`base_view`] lead to. `resolver` is the text of
/// `resolv.conf`; without one, the instance asks nobody. `{uid}` is filled in at the start.
pub fn base_run_files(hostname: &str, home: &str, resolver: Option<&str>) -> Vec<RunFile> {
    let run = |name: &str, contents: String| RunFile {
        name: name.to_owned(),
        contents,
    };
    vec![
        run(
            "passwd",
            format!(
                "root:x:0:0:root:/:/usr/sbin/nologin\napp:x:{{uid}}:{{uid}}:app:{home}:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        run(
            "group",
            "root:x:0:\napp:x:{uid}:\nnogroup:x:65534:\n".to_owned(),
        ),
        run(
            "hosts",
            format!("127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n127.0.1.1 {hostname}\n"),
        ),
        run(
            "resolv.conf",
            resolver
                .unwrap_or("# no resolver: this instance has no way out\n")
                .to_owned(),
        ),
    ]
}
