//! What a server, an edge or doors that was taken over can get: nothing beyond the bounds, and
//! never the keeper's end.

use crate::Test;
use crate::world::{User, World, both, id};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use toft_model::instance::ListenDoor;
use toft_model::sandbox::{Mount, Network, Source};

pub(crate) fn tests() -> Vec<(String, fn())> {
    let tests: [Test; 3] = [
        ("limits::an_order_outside_the_bounds_is_refused", || {
            both(outside_the_bounds)
        }),
        ("limits::edge_reaches_routed_doors_only", || {
            both(routed_doors_only)
        }),
        ("limits::no_message_ends_the_keeper", || both(any_message)),
    ];
    tests.map(|(name, test)| (name.to_owned(), test)).into()
}

fn outside_the_bounds(user: User) {
    let mut world = World::new(user);
    let good = world.app("shop", 1, &["exit", "0"]);
    let show = |path: &str, target: &str, write| Mount {
        target: target.into(),
        source: Source::Bind {
            path: path.into(),
            write,
            exec: false,
            owner: None,
        },
    };
    let program = world.program_path();
    let mut cases = Vec::new();
    let mut case = |name: &str, change: &dyn Fn(&mut toft_model::instance::InstanceSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        cases.push((name.to_owned(), spec));
    };
    case("a path outside", &|s| {
        s.sandbox.own.push(show("/etc/shadow", "/x", false))
    });
    case("a way out", &|s| {
        s.sandbox
            .own
            .push(show(&format!("{program}/../state"), "/x", false))
    });
    case("a read path for writing", &|s| {
        s.sandbox.own.push(show(&program, "/x", true))
    });
    case("the machine's network", &|s| {
        s.sandbox.network = Network::Host
    });
    case("toft's own name", &|s| s.id = id("toft", 1));
    case("a target that climbs", &|s| {
        s.sandbox.view[0].target = "/../it".into()
    });
    case("a target in /proc", &|s| {
        s.sandbox.view[0].target = "/proc/self".into()
    });
    case("two mounts at one place", &|s| {
        let again = s.sandbox.view[0].clone();
        s.sandbox.own.push(again);
    });
    case("no program", &|s| s.argv.clear());
    case("a zero byte", &|s| s.argv[0] = "a\0b".into());
    case("a bad variable", &|s| {
        s.env.push(("A=B".into(), String::new()))
    });
    case("an endless grace", &|s| {
        s.stop.grace = std::time::Duration::MAX
    });
    case("no signal", &|s| s.stop.signal = 0);
    case("a huge ring", &|s| s.log.ring_bytes = u64::MAX);
    case("no memory", &|s| {
        s.sandbox.limits.memory = Some(toft_model::unit::Bytes(0))
    });
    case("a file that climbs", &|s| {
        let contents = String::new();
        s.sandbox.run_files.push(toft_model::sandbox::RunFile {
            name: "../x".into(),
            contents,
        });
    });
    let shared = world.shared.display().to_string();
    case("a link that leads out", &|s| {
        s.sandbox
            .own
            .push(show(&format!("{shared}/way-out"), "/x", false));
    });
    case("a way through a link", &|s| {
        s.sandbox
            .own
            .push(show(&format!("{shared}/way-out/hostname"), "/x", false));
    });
    let before = world.descendants();
    for (n, (name, mut spec)) in cases.into_iter().enumerate() {
        spec.id.index = n as u32 + 1;
        let spec_id = spec.id.clone();
        world.start(&spec);
        let refusal = world.refused(&spec_id);
        assert!(refusal["cause"].is_string(), "{name}: {refusal}");
    }
    assert_eq!(world.descendants(), before, "nothing was started");
    world.start(&good);
    world.started(&good.id);
    world.exited(&good.id);
    let again = good;
    world.start(&again);
    let refusal = world.refused(&again.id);
    assert!(
        refusal["cause"].as_str().unwrap().contains("generation 1"),
        "{refusal}"
    );
    world.end();
}

fn routed_doors_only(user: User) {
    let mut world = World::new(user);
    let door = |routed| ListenDoor {
        label: "http".parse().unwrap(),
        port: 8080,
        routed,
    };
    let mut open = world.app("open", 1, &["serve", "8080"]);
    open.listen.push(door(true));
    let mut shut = world.app("shut", 1, &["serve", "8080"]);
    shut.listen.push(door(false));
    for spec in [&open, &shut] {
        world.start(spec);
        world.started(&spec.id);
        world.wait_for_line(&spec.id, "listening");
    }
    let ask = |id: &toft_model::InstanceId, count: u32| json!({"sockets": {"instance": id, "count": count}});
    let answer = |role: &'static str| {
        move |value: &Value| {
            let count = value["say"]["say"]["sockets"]["count"].as_u64()?;
            let came = value["say"]["fds"].as_u64()?;
            assert_eq!(count, came);
            (value["from"] == role).then_some(count)
        }
    };
    world.say("edge", &ask(&open.id, 2));
    assert_eq!(world.hear("sockets for edge", answer("edge")), 2);
    world.say("edge", &ask(&shut.id, 2));
    assert_eq!(world.hear("no sockets for edge", answer("edge")), 0);
    for count in [0, 65, u32::MAX] {
        world.say("edge", &ask(&open.id, count));
        assert_eq!(world.hear("no such count", answer("edge")), 0);
    }
    world.say("edge", &ask(&id("nobody", 1), 1));
    assert_eq!(world.hear("no such instance", answer("edge")), 0);
    world.say("doors", &ask(&shut.id, 3));
    assert_eq!(world.hear("sockets for doors", answer("doors")), 3);
    let read = |role: &'static str| {
        move |value: &Value| {
            (value["from"] == role).then(|| value["say"]["read"].as_str().map(str::to_owned))?
        }
    };
    world.say("edge", &json!({"connect": 8080}));
    assert_eq!(
        world.hear("an answer from inside", read("edge")),
        "hello from inside\n"
    );
    world.say("doors", &json!({"connect": 8080}));
    assert_eq!(
        world.hear("an answer from inside", read("doors")),
        "hello from inside\n"
    );
    world.say(
        "edge",
        &json!({"run": {"instance": open.id, "argv": ["/it"], "token": 7}}),
    );
    let code = world.hear("no command for edge", |value| {
        let ran = &value["say"]["say"]["ran"];
        (ran["token"] == 7).then(|| ran["code"].clone())
    });
    assert_eq!(code, Value::Null);
    world.end();
}

/// Anything at all, with the names that mean something in it.
fn any_json() -> impl Strategy<Value = Value> {
    let names = [
        "start",
        "stop",
        "kill",
        "inspect",
        "sockets",
        "notify",
        "run",
        "instance",
        "count",
        "token",
        "argv",
        "id",
        "app",
        "process",
        "index",
        "generation",
        "sandbox",
        "env",
        "shop",
        "web",
    ];
    let name = proptest::sample::select(names.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        name.clone().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_message(user: User) {
    let mut world = World::new(user);
    let spec = world.app("shop", 1, &["hang"]);
    world.start(&spec);
    let pid = world.started(&spec.id)["pid"].clone();
    let mut runner = TestRunner::new(Config {
        cases: 300,
        failure_persistence: None,
        ..Config::default()
    });
    let world = std::cell::RefCell::new(world);
    let roles = proptest::sample::select(vec!["keeper", "edge", "doors"]);
    let outcome = runner.run(&(roles, any_json()), |(to, message)| {
        // What the played roles themselves understand is not for the keeper.
        let for_the_player = message.get("exit").is_some() || message.get("connect").is_some();
        if !for_the_player {
            world.borrow_mut().say(to, &message);
        }
        Ok(())
    });
    outcome.unwrap();
    for length in [1, 2, 7, 100, 3000] {
        let bytes: Vec<u8> = (0..length).map(|n: u32| (n * 37 + length) as u8).collect();
        world.borrow_mut().say("keeper", &json!({"raw": bytes}));
    }
    // The good order after all of them is still carried out, and the instance still runs.
    let mut world = world.into_inner();
    world.say("keeper", &json!({"inspect": spec.id}));
    let listening = world.pair("inspected", &spec.id);
    assert_eq!(listening, json!({"tcp": []}));
    assert!(crate::world::is_alive(pid.as_u64().unwrap() as u32));
    world.end();
}
