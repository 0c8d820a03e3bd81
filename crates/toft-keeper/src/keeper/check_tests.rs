//! Orders that were tampered with: refused, or harmless.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use toft_model::message::{RouterToKeeper, ServerToKeeper};

fn bounds() -> Bounds {
    Bounds {
        read: vec!["/srv/app".into()],
        write: vec!["/srv/data".into()],
        network_host: false,
    }
}

fn good() -> Value {
    json!({
        "id": {"app": "shop", "process": "web", "index": 0, "generation": 1},
        "argv": ["/app/server", "--port", "8080"],
        "env": [["PORT", "8080"], ["PATH", "/usr/bin"]],
        "workdir": "/app",
        "sandbox": {
            "hostname": "web-0",
            "view": [
                {"target": "/app", "source": {"kind": "bind", "path": "/srv/app/1", "write": false, "exec": true, "owner": null}},
                {"target": "/etc/motd", "source": {"kind": "file", "contents": "hello"}},
                {"target": "/bin", "source": {"kind": "link", "to": "usr/bin"}},
            ],
            "own": [
                {"target": "/data", "source": {"kind": "bind", "path": "/srv/data/shop", "write": true, "exec": false, "owner": 1000}},
                {"target": "/tmp", "source": {"kind": "scratch", "size": 1_048_576, "exec": false}},
            ],
            "run_files": [{"name": "passwd", "contents": "web:x:{uid}:{uid}::/:"}],
            "network": "doors",
            "calls": "app",
            "limits": {"memory": 268_435_456, "cpu": 500, "pids": 64, "open_files": 1024},
        },
        "listen": [{"label": "http", "port": 8080, "routed": true}],
        "stop": {"signal": 15, "grace": {"secs": 10, "nanos": 0}},
        "log": {"lines_per_second": 2000, "ring_bytes": 8_388_608},
        "notify": false,
    })
}

#[test]
fn a_good_order_passes() {
    let spec: InstanceSpec = serde_json::from_value(good()).unwrap();
    assert_eq!(order(&spec, &bounds()), Ok(()));
}

#[test]
fn what_the_bounds_do_not_have_is_refused_with_a_cure() {
    let mut spec: InstanceSpec = serde_json::from_value(good()).unwrap();
    let narrow = Bounds {
        write: vec![],
        ..bounds()
    };
    let refusal = order(&spec, &narrow).unwrap_err();
    assert_eq!(refusal.step, "show /srv/data/shop at /data to shop/web.0#1");
    assert_eq!(
        refusal.cause,
        "it is outside what may be written on this machine"
    );
    assert!(refusal.cure.is_some());
    spec.sandbox.network = Network::Host;
    assert!(order(&spec, &bounds()).is_err());
    assert_eq!(
        order(
            &spec,
            &Bounds {
                network_host: true,
                ..bounds()
            }
        ),
        Ok(())
    );
}

/// All places in a value, as ways to them.
fn places(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(k, v)| places(v, format!("{at}/{k}"), all)),
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(n, v)| places(v, format!("{at}/{n}"), all));
        }
        _ => {}
    }
    all.push(at);
}

fn hostile() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "/",
        "..",
        ".",
        "/..",
        "/srv/app/../../etc",
        "/srv/app//x",
        "/srv/apps",
        "/etc/shadow",
        "/proc/1/root",
        "/dev/mem",
        "a\0b",
        "/srv/data/\0",
        "toft",
        "host",
        "bind",
        "dir",
        "x=y",
        "-",
        "/srv/data",
        "{uid}",
        "../../x",
    ];
    prop_oneof![
        proptest::sample::select(texts.to_vec()).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({"secs": u64::MAX, "nanos": 999_999_999})),
        ".{0,80}".prop_map(Value::from),
    ]
}

/// What must hold of every order that passed.
fn is_harmless(spec: &InstanceSpec, bounds: &Bounds) -> bool {
    let mounts = spec.sandbox.view.iter().chain(&spec.sandbox.own);
    let within = |mount: &Mount| {
        bounds.allow(&mount.source)
            && is_plain(&mount.target)
            && !MADE_INSIDE
                .iter()
                .any(|made| mount.target.starts_with(made))
    };
    // The contents of a file may be any.
    let paths: Vec<_> = mounts
        .clone()
        .map(|mount| match &mount.source {
            Source::Bind { path, .. } => (&mount.target, Some(path)),
            Source::Link { to } => (&mount.target, Some(to)),
            _ => (&mount.target, None),
        })
        .collect();
    let words = (&spec.argv, &spec.env, &spec.workdir, paths);
    let text = serde_json::to_string(&words).unwrap();
    mounts.clone().all(within)
        && !text.contains("\\u0000")
        && spec.id.app.as_str() != OWN_APP
        && spec.sandbox.network == Network::Doors
        && spec.stop.grace <= GRACE_MAX
        && spec.log.ring_bytes <= RING_BYTES_MAX
        && !spec.argv.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_that_was_tampered_with_is_refused_or_harmless(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), hostile()), 1..4),
    ) {
        let mut value = good();
        for (place, change) in changes {
            let mut all = Vec::new();
            places(&value, String::new(), &mut all);
            let at = place.get(&all).clone();
            if let Some(slot) = value.pointer_mut(&at) {
                *slot = change;
            }
        }
        if let Ok(spec) = serde_json::from_value::<InstanceSpec>(value)
            && order(&spec, &bounds()).is_ok()
        {
            prop_assert!(is_harmless(&spec, &bounds()), "{spec:#?}");
        }
    }

    #[test]
    fn bytes_are_a_message_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = serde_json::from_slice::<ServerToKeeper>(&bytes);
        let _ = serde_json::from_slice::<RouterToKeeper>(&bytes);
    }
}
