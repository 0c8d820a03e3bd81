//! Processes that are killed or stopped under way: what is lost, and what is not.

use crate::Test;
use crate::world::{User, World, both, id, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use toft_model::instance::End;
use toft_model::machine::Bounds;
use toft_model::message::{FromUp, Role, ToUp};

pub(crate) fn tests() -> Vec<(String, fn())> {
    let tests: [Test; 7] = [
        (
            "killed::roles_take_no_process_and_no_log_byte_along",
            || both(roles),
        ),
        (
            "killed::the_logger_loses_what_it_had_in_hand_and_says_so",
            || both(logger),
        ),
        (
            "killed::an_end_that_a_dead_server_had_not_read_is_told_again",
            || both(unread_end),
        ),
        ("killed::a_stopped_server_holds_up_nobody", || {
            both(stopped_server)
        }),
        ("killed::up_before_anything_ran", || both(at_the_start)),
        ("killed::narrower_bounds_count_from_now_on", || {
            both(narrower)
        }),
        (
            "killed::a_second_keeper_on_the_same_state_is_refused",
            || both(second_keeper),
        ),
    ];
    tests.map(|(name, test)| (name.to_owned(), test)).into()
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// The process of a role: not its init, which has another name.
fn process_of(world: &World, name: &str) -> Option<u32> {
    let wanted = format!("toft\0{name}\0");
    world.descendants().into_iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = line.strip_prefix(b"/").unwrap_or(&line);
        line == wanted.as_bytes()
    })
}

const LINES: u64 = 20_000;

fn counting(world: &mut World) -> toft_model::InstanceId {
    let words = ["count", &LINES.to_string(), "exit", "21"];
    let mut spec = world.app("count", 1, &words);
    spec.log.lines_per_second = 1_000_000;
    world.start(&spec);
    world.started(&spec.id);
    world.wait_for_line(&spec.id, "100");
    spec.id
}

fn roles(user: User) {
    let mut world = World::new(user);
    let counts = counting(&mut world);
    for role in [Role::Doors, Role::Server, Role::Edge] {
        let pid = process_of(&world, role.as_str()).unwrap();
        signal(pid, Signal::KILL);
        let ended = world.hear_up();
        let ToUp::RoleEnded(which, outcome) = ended else {
            panic!("{ended:?}")
        };
        assert_eq!((which, outcome.end), (role, End::Signal(libc::SIGKILL)));
        wait_until("the role to come back", || {
            process_of(&world, role.as_str()).is_some_and(|now| now != pid)
        });
    }
    world.connect();
    assert_eq!(world.exited(&counts).end, End::Code(21));
    let lines = world.lines(&counts);
    let expected: Vec<String> = (0..LINES).map(|n| n.to_string()).collect();
    assert!(lines == expected, "{} lines of {LINES}", lines.len());
    world.end();
}

fn logger(user: User) {
    let mut world = World::new(user);
    let counts = counting(&mut world);
    signal(process_of(&world, "logger").unwrap(), Signal::KILL);
    assert_eq!(world.exited(&counts).end, End::Code(21));
    let lines = world.lines(&counts);
    let marks = lines
        .iter()
        .filter(|line| line.contains("started again"))
        .count();
    assert_eq!(marks, 1);
    let mut numbers: Vec<u64> = lines.iter().filter_map(|line| line.parse().ok()).collect();
    let said = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), said, "nothing came twice");
    assert!(numbers.is_sorted());
    assert_eq!(numbers.last(), Some(&(LINES - 1)), "the end is there");
    // At most one read of each stream was in hand, and a line may be torn in two by it.
    assert!(numbers.len() as u64 > LINES / 2, "{} lines", numbers.len());
    world.end();
}

fn unread_end(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["hang"]);
    world.start(&spec);
    let pid = world.started(&spec.id)["pid"].as_u64().unwrap() as u32;
    let server = process_of(&world, "server").unwrap();
    signal(server, Signal::STOP);
    signal(pid, Signal::KILL);
    wait_until("the instance to be cleared up", || {
        world.descendants().len() == 8
    });
    signal(server, Signal::KILL);
    world.hear_up();
    world.connect();
    assert_eq!(world.exited(&spec.id).end, End::Signal(libc::SIGKILL));
    world.end();
}

fn stopped_server(user: User) {
    let mut world = World::new(user);
    let server = process_of(&world, "server").unwrap();
    signal(server, Signal::STOP);
    for _ in 0..3 {
        let edge = process_of(&world, "edge").unwrap();
        signal(edge, Signal::KILL);
        let ended = world.hear_up();
        assert!(matches!(ended, ToUp::RoleEnded(Role::Edge, _)), "{ended:?}");
        wait_until("edge to come back", || {
            process_of(&world, "edge").is_some_and(|pid| pid != edge)
        });
    }
    signal(server, Signal::CONT);
    let spec = world.app("shop", 1, &["exit", "3"]);
    world.start(&spec);
    assert_eq!(world.exited(&spec.id).end, End::Code(3));
    world.end();
}

fn at_the_start(user: User) {
    let mut world = World::bare(user);
    world.order(&[]);
    world.lifeline = None;
    world.keeper.wait().unwrap();
    assert!(!world.state.join("run").exists());
    assert_eq!(
        crate::world::cgroups_of(world.keeper.id()),
        Vec::<std::path::PathBuf>::new()
    );
}

fn narrower(user: User) {
    let mut world = World::new(user);
    let before = world.app("before", 1, &["hang"]);
    world.start(&before);
    world.started(&before.id);
    let none = FromUp::Bounds(Bounds::default());
    world
        .lifeline
        .as_mut()
        .unwrap()
        .send(&none, vec![])
        .unwrap();
    // The keeper reads its links in no certain order: an order may still be ahead of the bounds.
    let mut generation = 0;
    let refusal = loop {
        generation += 1;
        let spec = world.app("after", generation, &["exit", "0"]);
        world.start(&spec);
        let told = world.hear("an answer", |value| {
            let refused = &value["say"]["refused"];
            let started = &value["say"]["started"];
            if refused[0] == json!(spec.id) {
                return Some(Some(refused[1].clone()));
            }
            (started["id"] == json!(spec.id)).then_some(None)
        });
        if let Some(refusal) = told {
            break refusal;
        }
    };
    assert_eq!(
        refusal["cause"],
        "it is outside what may be read on this machine"
    );
    world.say("keeper", &json!({"inspect": id("before", 1)}));
    assert!(
        world.pair("inspected", &id("before", 1)).is_object(),
        "what runs goes on"
    );
    world.end();
}

fn second_keeper(user: User) {
    let mut world = World::new(user);
    let mut second = world.beside(user);
    second.order(&[]);
    let failed = second.hear_up();
    let ToUp::Failed(refusal) = failed else {
        panic!("{failed:?}")
    };
    let holder = format!("pid {} uses it already", world.keeper.id());
    assert_eq!(refusal.cause, holder);
    assert!(!second.keeper.wait().unwrap().success());
    let spec = world.app("shop", 1, &["exit", "0"]);
    world.start(&spec);
    world.exited(&spec.id);
    world.end();
}
