//! What people read when an app does not come up: an event in, the printed lines out.

use super::*;
use std::time::Duration;
use toft_appfile::{AnyFolder, Overrides, Source};

const FILE: &str = "app = \"shop\"\n[process.web]\nrun = \"python3 app.py\"\n[process.web.listen]\nhttp = 8080\n\
                    [process.web.limits]\nmemory = \"64MiB\"\n";

fn spec() -> AppSpec {
    let source = Source {
        path: "toft.toml",
        text: FILE,
    };
    toft_appfile::decode(source, &Overrides::default(), &AnyFolder)
        .unwrap()
        .spec
}

fn web() -> InstanceId {
    InstanceId {
        app: "shop".parse().unwrap(),
        process: "web".parse().unwrap(),
        index: 0,
        generation: toft_model::Generation(1),
    }
}

fn outcome(end: End, oom_kills: u64) -> Outcome {
    Outcome {
        end,
        oom_kills,
        memory_peak: None,
        asked: false,
        lived: Duration::from_millis(43),
    }
}

/// The failure of an event as it is printed, without colours.
fn printed(what: &What, weak: &[(String, Enforcer)]) -> String {
    let spec = spec();
    let around = Around {
        spec: &spec,
        weak,
        build: Some("cargo build --release".into()),
    };
    let Some(failure) = failure(&around, what) else {
        return "nothing".to_owned();
    };
    let mut text = format!(
        "{}: {}\nwhy: {}\n",
        failure.id.unwrap(),
        failure.what,
        failure.why
    );
    for seen in &failure.evidence {
        text.push_str(&format!("seen: {seen}\n"));
    }
    text + &format!("next: {}", failure.next)
}

fn exited(end: End, oom_kills: u64, last: &[&str]) -> What {
    let last = last.iter().map(|line| (*line).to_owned()).collect();
    What::Exited {
        instance: web(),
        outcome: outcome(end, oom_kills),
        last,
    }
}

#[test]
fn an_end_says_how_with_the_last_lines() {
    insta::assert_snapshot!(printed(&exited(End::Code(3), 0, &["no config\u{1b}[2J"]), &[]), @r#"
    E0502: web.0 ended by itself after 43 ms
    why: exit code 3
    seen: its last lines:
      no config\u{1b}[2J
    next: correct the program and save: it is started again
    "#);
}

#[test]
fn a_program_that_ends_well_is_told_to_stay() {
    insta::assert_snapshot!(printed(&exited(End::Code(0), 0, &[]), &[]), @r#"
    E0502: web.0 ended by itself after 43 ms
    why: exit code 0: the program thinks that it is done; a process of an app is expected to stay
    seen: it said nothing
    next: let the program stay in the foreground, or write restart = "never" under [process.web]
    "#);
}

#[test]
fn want_of_memory_names_the_limit() {
    insta::assert_snapshot!(printed(&exited(End::Signal(9), 1, &[]), &[]), @r#"
    E0504: web.0 ran out of memory after 43 ms
    why: the kernel killed in it because its memory limit of 64MiB was full (signal 9 (KILL))
    seen: it said nothing
    next: raise memory under [process.web.limits], or find what grows
    "#);
}

#[test]
fn a_limit_by_rlimit_is_said_to_be_one() {
    let weak = [("memory".to_owned(), Enforcer::Rlimit)];
    insta::assert_snapshot!(printed(&exited(End::Code(1), 0, &["MemoryError"]), &weak), @r#"
    E0502: web.0 ended by itself after 43 ms
    why: exit code 1
    seen: memory is held to 64MiB per process by RLIMIT_DATA here: what does not fit is refused to the program, nothing is killed
    seen: its last lines:
      MemoryError
    next: correct the program and save: it is started again
    "#);
}

#[test]
fn a_wrong_port_is_shown_with_the_line_that_cures_it() {
    let listening = Some(Listening {
        tcp: vec!["0.0.0.0:9000".parse().unwrap()],
    });
    let late = What::Late {
        instance: web(),
        probe: "connection refused on port 8080".into(),
        listening,
        last: vec![],
    };
    insta::assert_snapshot!(printed(&late, &[]), @r#"
    E0501: web.0 was not ready within 30s
    why: connection refused on port 8080
    seen: it listens on 0.0.0.0:9000
    seen: it said nothing
    next: write `http = 9000` under [process.web.listen], or let the program bind 8080 (it has it in PORT)
    "#);
}

#[test]
fn a_failed_build_names_its_command_and_an_asked_end_is_no_failure() {
    let run = |asked| What::RunEnded {
        instance: web(),
        outcome: Outcome {
            asked,
            ..outcome(End::Code(101), 0)
        },
        last: vec!["error: expected `;`".into()],
    };
    insta::assert_snapshot!(printed(&run(false), &[]), @r#"
    E0301: `cargo build --release` failed
    why: exit code 101
    next: correct it and save: it is built again
    "#);
    assert_eq!(printed(&run(true), &[]), "nothing");
}

#[test]
fn best_effort_is_one_line() {
    let weak = [
        ("memory".to_owned(), Enforcer::Rlimit),
        ("cpu".to_owned(), Enforcer::Nothing),
        ("pids".to_owned(), Enforcer::Rlimit),
    ];
    insta::assert_snapshot!(best_effort(&weak), @"budgets are best effort here: memory for each process alone (RLIMIT_DATA), cpu by nothing, pids by RLIMIT_NPROC (toft doctor says why)");
}
