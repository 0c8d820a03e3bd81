//! Rollouts as text worlds: a script in, what was done out; and a random world with invariants.

use super::*;
use crate::backoff::Schedule;
use crate::state::Seen;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn release(count: u32, at_once: u32) -> Release {
    let process = Process {
        count,
        routed: true,
        restart: Schedule {
            from: 1_000,
            to: 8_000,
            reset_after: 60_000,
            never: false,
        },
        drain_within: 30_000,
    };
    Release {
        processes: BTreeMap::from([("web".parse().unwrap(), process)]),
        at_once,
    }
}

struct World {
    name: AppName,
    app: App,
    now: Millis,
    log: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self {
            name: "shop".parse().unwrap(),
            app: App::default(),
            now: 0,
            log: Vec::new(),
        }
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            let actions = decide(&self.name, &self.app, self.now);
            let mut busy = false;
            for action in &actions {
                self.app.apply(action, self.now);
                busy |= !matches!(action, Action::Wake { .. });
                if !matches!(action, Action::Wake { .. }) {
                    self.log.push(words(action));
                }
            }
            if !busy {
                return;
            }
        }
        panic!("no rest: {:?}", self.log);
    }

    fn see(&mut self, who: &str, seen: Seen) {
        let id = self.id(who);
        self.app.see(&id, seen, self.now);
        self.settle();
    }

    fn id(&self, who: &str) -> InstanceId {
        let (index, generation) = who.split_once('#').unwrap();
        InstanceId {
            app: self.name.clone(),
            process: "web".parse().unwrap(),
            index: index.parse().unwrap(),
            generation: toft_model::Generation(generation.parse().unwrap()),
        }
    }

    fn start(&mut self, who: &str) {
        self.see(who, Seen::Started);
        self.see(who, Seen::Ready);
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.log).join("\n")
    }
}

fn words(action: &Action) -> String {
    match action {
        Action::Start { id, reason, .. } => {
            format!("start {}#{}: {reason}", id.short(), id.generation.0)
        }
        Action::Drain { id, reason } => {
            format!("drain {}#{}: {reason}", id.short(), id.generation.0)
        }
        Action::Stop { id, reason, .. } => {
            format!("stop {}#{}: {reason}", id.short(), id.generation.0)
        }
        Action::Promote { release } => format!("promote {release}"),
        Action::GiveUp {
            release,
            keeps,
            reason,
        } => format!("give up {release}, keep {keeps:?}: {reason}"),
        Action::Wake { at, .. } => format!("wake at {at}"),
    }
}

#[test]
fn a_first_release_starts_and_is_promoted_when_ready() {
    let mut w = World::new();
    w.app.order(1, release(2, 2));
    w.settle();
    w.start("0#1");
    w.start("1#1");
    assert_eq!(
        w.take(),
        "start web.0#1: release 1\nstart web.1#1: release 1\npromote 1"
    );
}

#[test]
fn a_second_release_replaces_one_by_one_and_drains_before_it_stops() {
    let mut w = World::new();
    w.app.order(1, release(2, 2));
    w.settle();
    w.start("0#1");
    w.start("1#1");
    w.take();
    w.app.order(2, release(2, 1));
    w.settle();
    w.start("0#2");
    w.start("1#2");
    w.see("0#1", Seen::Drained);
    w.see("0#1", Seen::Exited("exit code 0".into(), 5));
    w.now += 30_000;
    w.settle();
    assert_eq!(
        w.take(),
        "start web.0#2: release 2\n\
         start web.1#2: release 2\n\
         drain web.0#1: release 2 is ready in its place\n\
         drain web.1#1: release 2 is ready in its place\n\
         promote 2\n\
         stop web.0#1: nothing is in flight to it any more\n\
         stop web.1#1: requests were still in flight 30 s after it left the table"
    );
}

#[test]
fn a_release_that_fails_leaves_the_old_one_untouched() {
    let mut w = World::new();
    w.app.order(1, release(1, 1));
    w.settle();
    w.start("0#1");
    w.app.order(2, release(1, 1));
    w.settle();
    w.take();
    w.see("0#2", Seen::Started);
    w.see("0#2", Seen::Exited("exit code 3".into(), 20));
    assert_eq!(
        w.take(),
        "give up 2, keep Some(1): web.0 ended with exit code 3"
    );
    assert_eq!(w.app.instances.len(), 1);
    w.now = 10;
    w.see("0#1", Seen::Exited("signal 9 (KILL)".into(), 10));
    assert_eq!(w.take(), "");
    w.now = 1_009;
    w.settle();
    assert_eq!(w.take(), "");
    w.now = 1_010;
    w.settle();
    assert_eq!(w.take(), "start web.0#3: restart 1 of release 1");
}

#[test]
fn a_program_that_ends_well_fills_its_place_for_good() {
    let mut w = World::new();
    w.app.order(1, release(2, 2));
    w.settle();
    w.see("1#1", Seen::Started);
    w.see("1#1", Seen::Finished);
    w.start("0#1");
    w.now = 1_000_000;
    w.settle();
    assert_eq!(
        w.take(),
        "start web.0#1: release 1\nstart web.1#1: release 1\npromote 1"
    );
    w.app.order(2, release(2, 2));
    w.settle();
    assert_eq!(
        w.take(),
        "start web.0#2: release 2\nstart web.1#2: release 2"
    );
}

#[test]
fn a_late_release_is_given_up_and_its_instance_stopped() {
    let mut w = World::new();
    w.app.order(1, release(1, 1));
    w.settle();
    w.see("0#1", Seen::Started);
    w.take();
    w.see("0#1", Seen::Late("connection refused on port 8080".into()));
    assert_eq!(
        w.take(),
        "give up 1, keep None: web.0 was not ready in time: connection refused on port 8080\n\
         stop web.0#1: nothing wants it any more"
    );
}

proptest! {
    /// Whatever happens in whatever order: while the current release was ready once and none of its
    /// instances ends by itself, each of its places always has somebody in the table.
    #[test]
    fn nobody_leaves_the_table_before_his_successor_is_in_it(
        steps in proptest::collection::vec((0u8..6, 0usize..8), 1..200),
        at_once in 1u32..4,
    ) {
        let mut w = World::new();
        w.app.order(1, release(3, 3));
        w.settle();
        for who in ["0#1", "1#1", "2#1"] {
            w.start(who);
        }
        let mut number = 1;
        for (what, which) in steps {
            w.now += 500;
            if what == 5 {
                number += 1;
                w.app.order(number, release(3, at_once));
                w.settle();
                continue;
            }
            let Some(instance) = w.app.instances.get(which % w.app.instances.len().max(1)).cloned() else { continue };
            let serving = instance.phase == Phase::Ready;
            let seen = match what {
                0 => Seen::Started,
                1 | 2 => Seen::Ready,
                3 if !serving => Seen::Exited("exit code 1".into(), 5),
                4 if !serving => Seen::Late("no".into()),
                _ => Seen::Drained,
            };
            w.app.see(&instance.id, seen, w.now);
            w.settle();
            for index in 0..3 {
                prop_assert!(
                    w.app.instances.iter().any(|i| i.id.index == index && i.phase == Phase::Ready),
                    "place {} is empty: {:#?}", index, w.app.instances
                );
            }
            let mut ids: Vec<_> = w.app.instances.iter().map(|i| i.id.clone()).collect();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), w.app.instances.len());
        }
    }
}
