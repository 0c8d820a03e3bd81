//! What a program sees of files, and what of it can be written and run.

use crate::help::{self, base_view, no_cgroups, shell, spec, start, view_of};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use toft_model::instance::Refusal;
use toft_model::sandbox::{Mount, RunFile, Source};
use toft_model::unit::Bytes;
use toft_sandbox::{Error, view};

fn bind(target: &str, path: &Path, write: bool) -> Mount {
    let source = Source::Bind {
        path: path.to_owned(),
        write,
        exec: false,
        owner: None,
    };
    Mount {
        target: target.into(),
        source,
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn only_what_was_declared_exists() {
    if !help::walls() {
        return;
    }
    let went = shell("cd /; echo *; echo dev/*; echo tmp/* sys/* home/*; cat /etc/passwd");
    let top = went.said.lines().next().unwrap();
    for name in ["app", "dev", "proc", "run", "tmp", "usr"] {
        assert!(top.split(' ').any(|entry| entry == name), "{top}");
    }
    for name in ["etc", "home", "root", "sys", "var", "work", "mnt"] {
        assert!(!top.split(' ').any(|entry| entry == name), "{top}");
    }
    let devices = "dev/fd dev/full dev/null dev/ptmx dev/pts dev/random dev/shm dev/stderr \
                   dev/stdin dev/stdout dev/tty dev/urandom dev/zero";
    assert_eq!(went.said.lines().nth(1).unwrap(), devices);
    assert!(went.said.contains("tmp/* sys/* home/*"), "{}", went.said);
    assert!(
        went.said.contains("/etc/passwd: No such file"),
        "{}",
        went.said
    );
}

#[test]
fn only_what_is_meant_to_be_can_be_written() {
    if !help::walls() {
        return;
    }
    let script = "for f in /x /usr/x /app/x /dev/x /run/x /run/toft/x /proc/self/oom_score_adj \
                  /proc/sys/net/ipv4/ip_forward /tmp/x /dev/shm/x /dev/null; \
                  do (echo 0 > $f) 2>/dev/null && echo $f; done; head -c 3 /dev/zero | wc -c";
    assert_eq!(shell(script).said, "/tmp/x\n/dev/shm/x\n/dev/null\n3\n");
}

#[test]
fn a_view_is_files_links_folders_and_binds() {
    if !help::walls() {
        return;
    }
    let host = folder();
    std::fs::set_permissions(host.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::create_dir(host.path().join("inner")).unwrap();
    std::fs::write(host.path().join("one"), "first").unwrap();
    let mut mounts = base_view();
    mounts.extend([
        // Given in the wrong order: a parent comes first all the same.
        bind("/srv/data/inner", &host.path().join("inner"), false),
        bind("/srv/data", host.path(), true),
        bind("/etc/deep/one", &host.path().join("one"), false),
        Mount {
            target: "/etc/hosts".into(),
            source: Source::File {
                contents: "hello\n".into(),
            },
        },
        Mount {
            target: "/lnk".into(),
            source: Source::Link {
                to: "srv/data".into(),
            },
        },
        Mount {
            target: "/empty/dir".into(),
            source: Source::Dir,
        },
    ]);
    let script = "cat /etc/hosts /etc/deep/one; echo; echo new > /lnk/two; ls /lnk /empty; \
                  echo x > /etc/hosts; echo x > /srv/data/one2; echo x > /srv/data/inner/no";
    let went = start(
        &spec(&["sh", "-c", script]),
        &view_of(&mounts),
        &no_cgroups(),
    )
    .unwrap()
    .wait();
    assert!(
        went.said
            .starts_with("hello\nfirst\n/empty:\ndir\n\n/lnk:\ninner\none\ntwo\n"),
        "{}",
        went.said
    );
    assert!(
        went.said.contains("/etc/hosts: Read-only file system"),
        "{}",
        went.said
    );
    assert!(
        went.said
            .contains("/srv/data/inner/no: Read-only file system"),
        "{}",
        went.said
    );
    assert!(host.path().join("two").exists() && host.path().join("one2").exists());
}

#[test]
fn an_instance_has_mounts_of_its_own() {
    if !help::walls() {
        return;
    }
    let host = folder();
    std::fs::set_permissions(host.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(host.path().join("note"), "kept\n").unwrap();
    let scratch = |size, exec| Source::Scratch {
        size: Bytes(size),
        exec,
    };
    let mut command = spec(&[
        "sh",
        "-c",
        concat!(
            "cat /data/note /etc/note; echo new > /data/new; cat /run/toft/who; ",
            "head -c 3000000 /dev/zero > /cache/big; stat -c %s /cache/big; ",
            "cp /usr/bin/true /cache/true; /cache/true; echo $?; ",
            "cp /usr/bin/true /bin2/true; /bin2/true; echo $?; touch /run/toft/x",
        ),
    ]);
    command.instance.sandbox.own = vec![
        bind("/data", host.path(), true),
        bind("/etc/note", &host.path().join("note"), false),
        Mount {
            target: "/var/cache/deep".into(),
            source: scratch(1 << 20, false),
        },
        Mount {
            target: "/cache".into(),
            source: scratch(1 << 20, false),
        },
        Mount {
            target: "/bin2".into(),
            source: scratch(1 << 20, true),
        },
    ];
    command.instance.sandbox.run_files = vec![RunFile {
        name: "who".into(),
        contents: "user {uid}\n".into(),
    }];
    // Twice, since the first makes places in the shared root that the second finds.
    for _ in 0..2 {
        let went = start(&command, &view_of(&base_view()), &no_cgroups())
            .unwrap()
            .wait();
        let uid = help::inner_uid();
        assert!(
            went.said.starts_with(&format!("kept\nkept\nuser {uid}\n")),
            "{}",
            went.said
        );
        for text in ["No space left", "1048576\n", "126\n0\n", "/run/toft/x"] {
            assert!(went.said.contains(text), "{text}: {}", went.said);
        }
    }
    assert!(host.path().join("new").exists());
}

#[test]
fn two_instances_share_a_view_and_nothing_else() {
    if !help::walls() {
        return;
    }
    let view = view_of(&base_view());
    let mut command = spec(&[
        "sh",
        "-c",
        "ls /tmp /own; touch /tmp/a /own/b; echo up; sleep 1000",
    ]);
    let source = Source::Scratch {
        size: Bytes(1 << 20),
        exec: false,
    };
    command.instance.sandbox.own = vec![Mount {
        target: "/own".into(),
        source,
    }];
    let first = start(&command, &view, &no_cgroups()).unwrap();
    assert_eq!(first.wait_for("up"), "/own:\n\n/tmp:\nup\n");
    let second = start(&command, &view, &no_cgroups()).unwrap();
    assert_eq!(second.wait_for("up"), "/own:\n\n/tmp:\nup\n");
    for instance in [first, second] {
        instance.signal(rustix::process::Signal::KILL);
        instance.wait();
    }
}

#[test]
fn a_volume_belongs_to_the_instance_inside_and_to_its_owner_outside() {
    if !help::walls() || !help::root() {
        return;
    }
    // Below a folder that only root may enter.
    let host = folder();
    let volume = host.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::set_permissions(&volume, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&volume, Some(4321), Some(4321)).unwrap();
    let mut command = spec(&[
        "sh",
        "-c",
        "stat -c %u:%g /data; echo x > /data/file; stat -c %u /data/file",
    ]);
    let source = Source::Bind {
        path: volume.clone(),
        write: true,
        exec: false,
        owner: Some(4321),
    };
    command.instance.sandbox.own = vec![Mount {
        target: "/data".into(),
        source,
    }];
    let went = start(&command, &view_of(&base_view()), &no_cgroups())
        .unwrap()
        .wait();
    let uid = help::UID;
    assert_eq!(went.said, format!("{uid}:{uid}\n{uid}\n"));
    let made = std::fs::metadata(volume.join("file")).unwrap();
    assert_eq!((made.uid(), made.gid()), (4321, 4321));
}

#[test]
fn a_missing_source_is_named() {
    if !help::walls() {
        return;
    }
    let mounts = [bind("/srv/x", Path::new("/no/such/path"), false)];
    let error = view::start(&mounts, help::mode())
        .unwrap()
        .finish()
        .unwrap_err();
    let refusal = Refusal::from(error);
    assert_eq!(
        refusal.to_string(),
        "mount /srv/x from /no/such/path: No such file or directory"
    );
    assert!(refusal.cure.unwrap().contains("does not exist"));
}

#[test]
fn a_place_inside_a_read_only_folder_must_exist() {
    if !help::walls() {
        return;
    }
    let host = folder();
    std::fs::set_permissions(host.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder();
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut mounts = base_view();
    mounts.retain(|mount| mount.target != Path::new("/app"));
    mounts.push(bind("/app", host.path(), false));
    let view = view_of(&mounts);
    let mut command = spec(&["sh", "-c", "echo x > /app/data/x && echo written"]);
    command.instance.sandbox.own = vec![bind("/app/data", data.path(), true)];
    let Err(error) = start(&command, &view, &no_cgroups()) else {
        panic!("it started")
    };
    assert_eq!(error.to_string(), "make the place of a mount (/app/data)");
    assert!(error.cure().is_some());
    std::fs::create_dir(host.path().join("data")).unwrap();
    assert_eq!(
        start(&command, &view, &no_cgroups()).unwrap().wait().said,
        "written\n"
    );
}

#[test]
fn orders_that_cannot_be_are_refused() {
    if !help::walls() {
        return;
    }
    let refused = |mount: Mount| {
        let error = view::start(&[mount], help::mode()).unwrap_err();
        assert!(matches!(error, Error::Spec(_)), "{error}");
    };
    refused(bind("/", Path::new("/usr"), false));
    refused(bind("/a/../b", Path::new("/usr"), false));
    refused(bind("a", Path::new("/usr"), false));
    let source = Source::Scratch {
        size: Bytes(1),
        exec: false,
    };
    refused(Mount {
        target: "/x".into(),
        source,
    });
}

#[test]
fn a_view_in_the_making_can_be_given_up() {
    if !help::walls() {
        return;
    }
    view::start(&base_view(), help::mode()).unwrap().kill();
    drop(view::start(&base_view(), help::mode()).unwrap());
}
