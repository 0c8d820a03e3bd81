//! What edge and doors are given to serve with.

use crate::Test;
use crate::world::{User, World, both, id};
use serde_json::json;
use std::net::SocketAddr;
use toft_model::machine::OuterListener;
use toft_model::message::ToUp;

pub(crate) fn tests() -> Vec<(String, fn())> {
    let tests: [Test; 4] = [
        ("serving::inspect_shows_what_it_listens_on", || {
            both(inspect)
        }),
        ("serving::doors_runs_commands_inside", || both(run_inside)),
        ("serving::notify_reaches_doors", || both(notify)),
        (
            "serving::listeners_are_shared_and_refused_when_taken",
            || both(listeners),
        ),
    ];
    tests.map(|(name, test)| (name.to_owned(), test)).into()
}

fn inspect(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["serve", "8080"]);
    world.start(&spec);
    world.started(&spec.id);
    world.wait_for_line(&spec.id, "listening");
    world.say("keeper", &json!({"inspect": spec.id}));
    assert_eq!(
        world.pair("inspected", &spec.id),
        json!({"tcp": ["127.0.0.1:8080"]})
    );
    world.say("keeper", &json!({"inspect": id("nobody", 1)}));
    assert!(world.pair("inspected", &id("nobody", 1)).is_null());
    world.end();
}

fn run_inside(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["hang"]);
    world.start(&spec);
    world.started(&spec.id);
    let mut token = 0;
    let mut inside = |world: &mut World, words: &[&str]| {
        token += 1;
        let argv: Vec<&str> = ["/it", "app"].iter().chain(words).copied().collect();
        world.say(
            "doors",
            &json!({"run": {"instance": spec.id, "argv": argv, "token": token}}),
        );
        world.hear("the end of a command", |value| {
            let ran = &value["say"]["say"]["ran"];
            (ran["token"] == token).then(|| ran["code"].as_i64())
        })
    };
    assert_eq!(inside(&mut world, &["exit", "0"]), Some(0));
    assert_eq!(inside(&mut world, &["exit", "9"]), Some(9));
    assert_eq!(
        inside(&mut world, &["abort"]),
        Some(128 + i64::from(libc::SIGABRT))
    );
    // One that never ends is answered when its instance does.
    world.say(
        "doors",
        &json!({"run": {"instance": spec.id, "argv": ["/it", "app", "hang"], "token": 99}}),
    );
    world.say(
        "doors",
        &json!({"run": {"instance": spec.id, "argv": ["/it", "app", "exit", "1"], "token": 100}}),
    );
    world.hear("a command beside one that hangs", |value| {
        (value["say"]["say"]["ran"]["token"] == 100).then_some(())
    });
    world.say("keeper", &json!({"kill": spec.id}));
    let code = world.hear("the end of the one that hung", |value| {
        let ran = &value["say"]["say"]["ran"];
        (ran["token"] == 99).then(|| ran["code"].clone())
    });
    assert!(code.is_null());
    world.hear("the end of the instance at doors", |value| {
        let exited = &value["say"]["say"]["exited"];
        (value["from"] == "doors" && exited[0] == json!(spec.id)).then_some(())
    });
    world.end();
}

fn notify(user: User) {
    let mut world = World::new(user);
    let mut spec = world.app("shop", 1, &["notify", "hang"]);
    spec.notify = true;
    world.start(&spec);
    world.started(&spec.id);
    world.say("doors", &json!({"notify": spec.id}));
    world.hear("the notify socket", |value| {
        (value["say"]["say"]["notify"] == json!(spec.id) && value["say"]["fds"] == 1).then_some(())
    });
    world.say("doors", &json!({"datagram": 1}));
    let read = world.hear("the datagram", |value| {
        value["say"]["read"].as_str().map(str::to_owned)
    });
    assert_eq!(read, "READY=1");
    world.end();
}

fn listeners(user: User) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    let outer = [OuterListener { address }];
    let mut refused = World::bare(user);
    refused.order(&outer);
    let failed = refused.hear_up();
    let ToUp::Failed(refusal) = failed else {
        panic!("{failed:?}")
    };
    assert!(
        refusal
            .cause
            .contains(&format!("port {} is in use", address.port())),
        "{refusal}"
    );
    assert!(refusal.cure.unwrap().contains("--http"));
    assert!(!refused.keeper.wait().unwrap().success());
    drop(free);
    let mut world = World::with_listeners(user, &outer);
    let count = world.hear("the listener at edge", |value| {
        let to: SocketAddr =
            serde_json::from_value(value["say"]["say"]["listener"]["address"].clone()).ok()?;
        (to == address).then(|| value["say"]["fds"].as_u64())?
    });
    assert!(count >= 1);
    // While edge is away, a connection waits instead of being refused.
    world.say("edge", &json!({"exit": 1}));
    world.hear_up();
    std::net::TcpStream::connect(address).unwrap();
    world.hear("the listener at the next edge", |value| {
        value["say"]["say"]["listener"]["address"]
            .as_str()
            .map(|_| ())
    });
    world.end();
}
