//! A keeper from its order to its end.

use crate::Test;
use crate::world::{PATIENCE, User, World, both, can_run, cgroups_of, id, is_alive, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use toft_model::InstanceId;
use toft_model::instance::{End, ListenDoor, Outcome};
use toft_model::message::{Role, ToUp};
use toft_model::unit::Bytes;

pub(crate) fn tests() -> Vec<(String, fn())> {
    let tests: [Test; 16] = [
        ("keeper::ends_of_programs_are_told_as_they_were", || {
            both(ends)
        }),
        ("keeper::what_a_program_says_is_in_its_ring", || both(says)),
        (
            "keeper::a_program_that_is_not_there_is_told_in_words",
            || both(not_there),
        ),
        ("keeper::stop_asks_and_then_kills", || both(stop)),
        ("keeper::a_program_starts_with_no_signal_ignored", || {
            both(signals)
        }),
        ("keeper::too_much_memory_is_told", || both(too_much_memory)),
        ("keeper::nothing_piles_up", || both(nothing_piles_up)),
        ("keeper::kill_takes_the_whole_tree_along", || {
            both(kill_tree)
        }),
        ("keeper::a_start_is_told_once", || both(once)),
        ("keeper::instances_have_ids_of_their_own", own_ids),
        ("keeper::fifty_megabytes_pass", || both(fifty_megabytes)),
        ("keeper::roles_come_back_and_server_loses_no_end", || {
            both(roles_come_back)
        }),
        ("keeper::a_killed_spawner_and_logger_are_replaced", || {
            both(helpers_come_back)
        }),
        ("keeper::the_end_in_good_order_leaves_nothing", || {
            both(good_end)
        }),
        ("keeper::a_cut_lifeline_leaves_nothing", || {
            both(cut_lifeline)
        }),
        ("keeper::a_killed_keeper_is_cleared_up_after", || {
            both(killed)
        }),
    ];
    tests.map(|(name, test)| (name.to_owned(), test)).into()
}

fn run(world: &mut World, name: &str, words: &[&str]) -> (InstanceId, Outcome) {
    let spec = world.app(name, 1, words);
    world.start(&spec);
    world.started(&spec.id);
    let outcome = world.exited(&spec.id);
    (spec.id, outcome)
}

fn ends(user: User) {
    let mut world = World::new(user);
    let cases = [
        (vec!["exit", "0"], End::Code(0)),
        (vec!["exit", "41"], End::Code(41)),
        (vec!["abort"], End::Signal(libc::SIGABRT)),
    ];
    for (n, (words, end)) in cases.into_iter().enumerate() {
        let (_, outcome) = run(&mut world, &format!("app{n}"), &words);
        assert_eq!(outcome.end, end);
        assert!(!outcome.asked);
    }
    world.end();
}

fn says(user: User) {
    let mut world = World::new(user);
    let (id, _) = run(
        &mut world,
        "shop",
        &["say", "hello", "complain", "oh", "half", "no newline"],
    );
    let lines: BTreeSet<String> = world.lines(&id).into_iter().collect();
    assert_eq!(
        lines,
        ["hello", "no newline", "oh"].map(str::to_owned).into()
    );
    world.end();
}

fn not_there(user: User) {
    let mut world = World::new(user);
    let mut spec = world.app("shop", 1, &[]);
    spec.argv = vec!["/no/such/program".into()];
    world.start(&spec);
    let outcome = world.exited(&spec.id);
    assert_eq!(outcome.end, End::Code(127));
    let lines = world.lines(&spec.id);
    assert!(
        lines[0].starts_with("cannot run /no/such/program: No such file"),
        "{lines:?}"
    );
    world.end();
}

fn stop(user: User) {
    let mut world = World::new(user);
    let polite = world.app("polite", 1, &["hang"]);
    let mut stubborn = world.app("stubborn", 1, &["ignore-term", "hang"]);
    stubborn.stop.grace = Duration::from_millis(300);
    for spec in [&polite, &stubborn] {
        world.start(spec);
        world.started(&spec.id);
    }
    world.wait_for_line(&stubborn.id, "ignoring TERM");
    for spec in [&polite, &stubborn] {
        world.say("keeper", &json!({"stop": spec.id}));
    }
    let outcome = world.exited(&polite.id);
    assert_eq!(
        (outcome.end, outcome.asked),
        (End::Signal(libc::SIGTERM), true)
    );
    let outcome = world.exited(&stubborn.id);
    assert_eq!(
        (outcome.end, outcome.asked),
        (End::Signal(libc::SIGKILL), true)
    );
    let lines = world.lines(&stubborn.id);
    assert_eq!(
        lines.last().unwrap(),
        "did not end within 300ms of TERM: killed"
    );
    world.end();
}

fn kill_tree(user: User) {
    let mut world = World::new(user);
    let before = world.descendants();
    let spec = world.app("shop", 1, &["fork", "fork", "hang"]);
    world.start(&spec);
    world.started(&spec.id);
    wait_until("init, the program and two children", || {
        world.descendants().len() >= before.len() + 4
    });
    world.say("keeper", &json!({"kill": spec.id}));
    let outcome = world.exited(&spec.id);
    assert_eq!(outcome.end, End::Signal(libc::SIGKILL));
    assert_eq!(world.descendants(), before);
    world.end();
}

fn once(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["hang"]);
    world.start(&spec);
    let pid = world.started(&spec.id)["pid"].clone();
    // A server that lost its memory orders again what runs.
    world.start(&spec);
    assert_eq!(world.started(&spec.id)["pid"], pid);
    let other = world.app("shop", 1, &["exit", "0"]);
    world.start(&other);
    let refusal = world.refused(&spec.id);
    assert!(
        refusal["cause"]
            .as_str()
            .unwrap()
            .starts_with("another one runs")
    );
    world.say("keeper", &json!({"kill": spec.id}));
    world.say("keeper", &json!({"kill": spec.id}));
    world.exited(&spec.id);
    // An answer to what came last shows that all before it was dealt with.
    world.say("keeper", &json!({"inspect": spec.id}));
    world.pair("inspected", &spec.id);
    for kind in ["started", "refused", "exited"] {
        assert_eq!(world.heard_so_far(kind, &spec.id), 0, "{kind} again");
    }
    world.end();
}

/// Open files of the keeper and of its two helpers.
fn open_files(world: &World) -> Vec<usize> {
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        stat.starts_with("toft\0")
    };
    let helpers = world.descendants().into_iter().filter(parent);
    std::iter::once(world.keeper.id())
        .chain(helpers)
        .map(|pid| {
            std::fs::read_dir(format!("/proc/{pid}/fd"))
                .unwrap()
                .count()
        })
        .collect()
}

fn nothing_piles_up(user: User) {
    let mut world = World::new(user);
    run(&mut world, "first", &["exit", "0"]);
    wait_until("the view of the first to go", || {
        world.descendants().len() == 8
    });
    let before = open_files(&world);
    assert_eq!(before.len(), 3);
    for n in 0..40 {
        let spec = world.app("again", n + 1, &["say", "hello", "exit", "0"]);
        world.start(&spec);
        assert_eq!(world.exited(&spec.id).end, End::Code(0));
    }
    // The logger closes its copies right after its last word.
    wait_until("the descriptors to be as before", || {
        open_files(&world) == before
    });
    world.end();
}

fn signals(user: User) {
    let mut world = World::new(user);
    let (id, _) = run(&mut world, "shop", &["signals"]);
    let lines = world.lines(&id);
    let none = "0000000000000000";
    // Rust programs ignore PIPE themselves: bit 12.
    let rust = "0000000000001000";
    assert!(lines.contains(&format!("SigBlk: {none}")), "{lines:?}");
    assert!(lines.contains(&format!("SigIgn: {rust}")), "{lines:?}");
    world.end();
}

fn too_much_memory(user: User) {
    let mut world = World::new(user);
    let mut spec = world.app("hungry", 1, &["eat", "256", "exit", "0"]);
    spec.sandbox.limits.memory = Some(Bytes(48 << 20));
    world.start(&spec);
    let started = world.started(&spec.id);
    let memory = |budget: &Value| (budget[0] == "memory").then(|| budget[1].clone());
    let budgets = started["budgets"].as_array().unwrap();
    let by = budgets.iter().find_map(memory).unwrap();
    let outcome = world.exited(&spec.id);
    if by == "rlimit" {
        // The program is refused more, and ends as it likes: Rust aborts.
        assert_eq!(
            (outcome.end, outcome.oom_kills),
            (End::Signal(libc::SIGABRT), 0)
        );
    } else {
        assert_eq!(outcome.end, End::Signal(libc::SIGKILL), "held by {by}");
        assert!(outcome.oom_kills > 0);
    }
    world.end();
}

fn own_ids() {
    if !can_run(User::Root) {
        return;
    }
    let mut world = World::new(User::Root);
    let mut seen = BTreeSet::new();
    for name in ["one", "two", "three"] {
        let (id, _) = run(&mut world, name, &["ids"]);
        seen.insert(world.lines(&id)[0].clone());
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    for line in &seen {
        let uid: u32 = line.strip_prefix("uid ").unwrap().parse().unwrap();
        assert!(
            (1_879_048_192..1_879_048_192 + 65_536).contains(&uid),
            "{line}"
        );
    }
    world.end();
}

fn fifty_megabytes(user: User) {
    let mut world = World::new(user);
    let (id, outcome) = run(&mut world, "loud", &["print", "50000000", "say", "the end"]);
    assert_eq!(outcome.end, End::Code(0));
    let lines = world.lines(&id);
    let lost = lines
        .iter()
        .filter(|line| line.starts_with("dropped "))
        .count();
    assert!(lost > 0 || lines.len() < 500_001, "the ring is bounded");
    let path = world
        .state
        .join("logs")
        .join(toft_model::frame::ring_path(&id));
    assert!(std::fs::metadata(path).unwrap().len() < 9 << 20);
    world.end();
}

fn roles_come_back(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["hang"]);
    world.start(&spec);
    let pid = world.started(&spec.id)["pid"].as_u64().unwrap() as u32;
    for role in ["edge", "doors"] {
        world.say(role, &json!({"exit": 3}));
        let ended = world.hear_up();
        let ToUp::RoleEnded(which, outcome) = ended else {
            panic!("{ended:?}")
        };
        assert_eq!((which.as_str(), outcome.end), (role, End::Code(3)));
        world.hear("a fresh link", |value| {
            (value["say"]["link"]["role"] == role).then_some(())
        });
    }
    // The end of an instance while no server lives is told to the next one.
    world.say("server", &json!({"exit": 4}));
    let ended = world.hear_up();
    assert!(
        matches!(&ended, ToUp::RoleEnded(Role::Server, o) if o.end == End::Code(4)),
        "{ended:?}"
    );
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    world.connect();
    assert_eq!(world.exited(&spec.id).end, End::Signal(libc::SIGKILL));
    // It works as before.
    let (_, outcome) = run(&mut world, "next", &["exit", "5"]);
    assert_eq!(outcome.end, End::Code(5));
    world.say(
        "edge",
        &json!({"sockets": {"instance": spec.id, "count": 1}}),
    );
    world.hear("an answer over the fresh links", |value| {
        value["say"]["say"]["sockets"]["count"].as_u64()
    });
    world.end();
}

fn helpers_come_back(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["say", "first", "hang"]);
    world.start(&spec);
    let instance = world.started(&spec.id)["pid"].as_u64().unwrap() as u32;
    world.wait_for_line(&spec.id, "first");
    let helpers = |world: &World| -> Vec<u32> {
        let named = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"toft\0spawner") || line.starts_with(b"toft\0logger")
        };
        world.descendants().into_iter().filter(named).collect()
    };
    let before = helpers(&world);
    assert_eq!(before.len(), 2);
    for pid in &before {
        let pid = rustix::process::Pid::from_raw(*pid as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    wait_until("both to be replaced", || {
        let now = helpers(&world);
        now.len() == 2 && now.iter().all(|pid| !before.contains(pid))
    });
    assert!(is_alive(instance));
    let (id, outcome) = run(&mut world, "next", &["say", "hello", "exit", "6"]);
    assert_eq!(outcome.end, End::Code(6));
    assert_eq!(world.lines(&id), ["hello"]);
    world.say("keeper", &json!({"kill": spec.id}));
    assert_eq!(world.exited(&spec.id).end, End::Signal(libc::SIGKILL));
    let lines = world.lines(&spec.id);
    assert_eq!(lines[0], "first");
    assert!(
        lines[1].contains("the logger was started again"),
        "{lines:?}"
    );
    world.end();
}

/// What a keeper has besides its processes.
fn leftovers(world: &World, keeper: u32) -> Vec<String> {
    let mut left: Vec<String> = cgroups_of(keeper)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if world.state.join("run").exists() {
        left.push("run".into());
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let state = world.state.display().to_string();
    left.extend(
        mounts
            .lines()
            .filter(|line| line.contains(&state))
            .map(str::to_owned),
    );
    left
}

fn busy(user: User) -> (World, BTreeSet<u32>) {
    let mut world = World::new(user);
    for (name, words) in [
        ("one", &["fork", "hang"][..]),
        ("two", &["ignore-term", "hang"]),
    ] {
        let mut spec = world.app(name, 1, words);
        spec.stop.grace = Duration::from_millis(200);
        spec.sandbox.limits.pids = Some(50);
        spec.listen.push(ListenDoor {
            label: "http".parse().unwrap(),
            port: 8080,
            routed: true,
        });
        world.start(&spec);
        world.started(&spec.id);
    }
    world.wait_for_line(&id("two", 1), "ignoring TERM");
    let processes = world.descendants();
    assert!(
        processes.len() >= 11,
        "two helpers, three roles and two apps with their inits"
    );
    (world, processes)
}

fn all_gone(processes: &BTreeSet<u32>) {
    wait_until("the end of all processes", || {
        processes.iter().all(|pid| !is_alive(*pid))
    });
}

fn good_end(user: User) {
    let (mut world, processes) = busy(user);
    let keeper = world.keeper.id();
    // A signal is as good as the word.
    let pid = rustix::process::Pid::from_raw(keeper as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(world.hear_up(), ToUp::Ended);
    assert!(world.keeper.wait().unwrap().success());
    all_gone(&processes);
    assert_eq!(leftovers(&world, keeper), Vec::<String>::new());
    assert_eq!(
        world.lines(&id("two", 1)).last().unwrap(),
        "did not end within 200ms of TERM: killed"
    );
}

fn cut_lifeline(user: User) {
    let (mut world, processes) = busy(user);
    let keeper = world.keeper.id();
    world.lifeline = None;
    assert!(world.keeper.wait().unwrap().success());
    all_gone(&processes);
    assert_eq!(leftovers(&world, keeper), Vec::<String>::new());
}

fn killed(user: User) {
    let (mut world, processes) = busy(user);
    let keeper = world.keeper.id();
    world.keeper.kill().unwrap();
    world.keeper.wait().unwrap();
    all_gone(&processes);
    world.restart(user);
    assert_eq!(cgroups_of(keeper), Vec::<std::path::PathBuf>::new());
    let (_, outcome) = run(&mut world, "three", &["exit", "0"]);
    assert_eq!(outcome.end, End::Code(0));
    assert!(outcome.lived < PATIENCE);
    world.end();
}
