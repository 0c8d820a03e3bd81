//! Rolling replacement: new ready before old leaves, old drained before it is asked to end, and the
//! last good release as the base of every restart.

use crate::state::{Action, App, Instance, Millis, Phase, Process, Release, Slot};
use toft_model::{AppName, InstanceId};

/// What is to be done for this app now.
///
/// The caller carries out the actions in order, folds each in by [`App::apply`] and asks again until
/// nothing but [`Action::Wake`] comes back.
pub fn decide(name: &AppName, app: &App, now: Millis) -> Vec<Action> {
    if let (Some(release), Some(reason)) = (app.next, &app.failure) {
        return vec![Action::GiveUp {
            release,
            keeps: app.current,
            reason: reason.clone(),
        }];
    }
    let mut actions = Vec::new();
    leave(app, now, &mut actions);
    let Some((number, target)) = target(app) else {
        retire_all(app, &mut actions);
        return actions;
    };
    fill(name, app, number, target, now, &mut actions);
    replace(app, number, target, &mut actions);
    if app.next == Some(number) && every_slot_ready(app, number, target) {
        actions.push(Action::Promote { release: number });
    }
    actions
}

/// The release that is to run: the one being rolled out, else the last good one.
fn target(app: &App) -> Option<(u64, &Release)> {
    let number = app.next.or(app.current)?;
    app.releases.get(&number).map(|release| (number, release))
}

fn slots(release: &Release) -> impl Iterator<Item = (Slot, &Process)> {
    release.processes.iter().flat_map(|(name, process)| {
        (0..process.count).map(move |index| ((name.clone(), index), process))
    })
}

/// Instances on their way out: asked to end once nothing is in flight, or when that takes too long.
fn leave(app: &App, now: Millis, actions: &mut Vec<Action>) {
    for instance in &app.instances {
        let Phase::Draining { since, done } = instance.phase else {
            continue;
        };
        let deadline = since.saturating_add(drain_within(app, instance));
        if done || deadline <= now {
            let reason = if done {
                "nothing is in flight to it any more".to_owned()
            } else {
                format!(
                    "requests were still in flight {} s after it left the table",
                    (now - since) / 1000
                )
            };
            actions.push(Action::Stop {
                id: instance.id.clone(),
                reason,
                cut: !done,
            });
        } else {
            actions.push(Action::Wake {
                at: deadline,
                slot: instance.slot(),
            });
        }
    }
}

fn process_of<'a>(app: &'a App, instance: &Instance) -> Option<&'a Process> {
    app.releases
        .get(&instance.release)?
        .processes
        .get(&instance.id.process)
}

fn drain_within(app: &App, instance: &Instance) -> Millis {
    process_of(app, instance).map_or(0, |p| p.drain_within)
}

/// Fills empty places, at most `at_once` at a time while a release is being rolled out.
fn fill(
    name: &AppName,
    app: &App,
    number: u64,
    target: &Release,
    now: Millis,
    actions: &mut Vec<Action>,
) {
    let rolling = app.next == Some(number);
    let mut under_way = app
        .instances
        .iter()
        .filter(|i| i.release == number && matches!(i.phase, Phase::Ordered | Phase::Running))
        .count();
    for (slot, _) in slots(target) {
        if app
            .instances
            .iter()
            .any(|i| i.release == number && i.slot() == slot && i.is_staying())
        {
            continue;
        }
        if app.done.contains(&(number, slot.clone())) {
            continue;
        }
        let crash = app.crashes.get(&slot).copied().unwrap_or_default();
        if !rolling && crash.retry_at > now {
            if crash.retry_at != Millis::MAX {
                actions.push(Action::Wake {
                    at: crash.retry_at,
                    slot,
                });
            }
            continue;
        }
        if rolling && under_way >= target.at_once.max(1) as usize {
            continue;
        }
        under_way += 1;
        let reason = match (rolling, crash.count) {
            (true, _) => format!("release {number}"),
            (false, 0) => format!("release {number} wants it"),
            (false, count) => format!("restart {count} of release {number}"),
        };
        actions.push(Action::Start {
            id: InstanceId {
                app: name.clone(),
                process: slot.0.clone(),
                index: slot.1,
                generation: app.next_generation(&slot),
            },
            release: number,
            reason,
        });
    }
}

/// Sends old instances away: one that serves once its place has a new one that is ready (or, when it
/// has no such place any more, once all are ready), one of a superseded release that never served at once.
fn replace(app: &App, number: u64, target: &Release, actions: &mut Vec<Action>) {
    let all_ready = every_slot_ready(app, number, target);
    for instance in &app.instances {
        if !instance.is_staying() {
            continue;
        }
        let slot = instance.slot();
        let wanted_slot = target
            .processes
            .get(&slot.0)
            .is_some_and(|p| slot.1 < p.count);
        if instance.release == number && wanted_slot {
            continue;
        }
        let serves = instance.phase == Phase::Ready || Some(instance.release) == app.current;
        let replaced = wanted_slot && slot_ready(app, number, &slot);
        let reason = match (serves, replaced, all_ready) {
            (false, ..) => format!("release {} was superseded", instance.release),
            (true, true, _) => format!("release {number} is ready in its place"),
            (true, false, true) => format!("release {number} has no such place"),
            (true, false, false) => continue,
        };
        actions.push(farewell(app, instance, reason));
    }
}

/// Nothing is wanted: everything goes.
fn retire_all(app: &App, actions: &mut Vec<Action>) {
    for instance in app.instances.iter().filter(|i| i.is_staying()) {
        actions.push(farewell(
            app,
            instance,
            "nothing wants it any more".to_owned(),
        ));
    }
}

/// Out of the table first when requests may be in flight, else straight to the end.
fn farewell(app: &App, instance: &Instance, reason: String) -> Action {
    let id = instance.id.clone();
    let routed = process_of(app, instance).is_some_and(|p| p.routed);
    if instance.phase == Phase::Ready && routed {
        Action::Drain { id, reason }
    } else {
        Action::Stop {
            id,
            reason,
            cut: false,
        }
    }
}

/// Whether a place is filled: somebody is ready in it, or its program has ended well.
fn slot_ready(app: &App, number: u64, slot: &Slot) -> bool {
    app.done.contains(&(number, slot.clone()))
        || app
            .instances
            .iter()
            .any(|i| i.release == number && i.phase == Phase::Ready && &i.slot() == slot)
}

fn every_slot_ready(app: &App, number: u64, target: &Release) -> bool {
    slots(target).all(|(slot, _)| slot_ready(app, number, &slot))
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
