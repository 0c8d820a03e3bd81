//! Which instances the table lost, and which threads still have something in flight to them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use toft_model::InstanceId;

/// The instances that drain.
#[derive(Debug, Default)]
pub(super) struct Draining {
    left: BTreeMap<InstanceId, Left>,
}

#[derive(Debug)]
struct Left {
    /// The first table without it.
    since: u64,
    threads: BTreeSet<usize>,
}

impl Draining {
    /// A new table came: these instances are gone from it, these are in it. Without a thread there is
    /// nothing in flight: they are drained already, and come back.
    pub(super) fn table(
        &mut self,
        sequence: u64,
        lost: impl Iterator<Item = InstanceId>,
        present: &BTreeSet<InstanceId>,
        threads: usize,
    ) -> Vec<InstanceId> {
        if threads == 0 {
            return lost.collect();
        }
        self.left.retain(|instance, _| !present.contains(instance));
        for instance in lost {
            let threads = (0..threads).collect();
            self.left.insert(
                instance,
                Left {
                    since: sequence,
                    threads,
                },
            );
        }
        Vec::new()
    }

    /// A thread has nothing in flight to it under the table `sequence`; whether nobody has.
    pub(super) fn drained(&mut self, thread: usize, instance: &InstanceId, sequence: u64) -> bool {
        let Some(left) = self
            .left
            .get_mut(instance)
            .filter(|left| left.since <= sequence)
        else {
            return false;
        };
        left.threads.remove(&thread);
        left.threads.is_empty() && self.left.remove(instance).is_some()
    }

    /// It ended; whether that ended its draining.
    pub(super) fn exited(&mut self, instance: &InstanceId) -> bool {
        self.left.remove(instance).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(index: u32) -> InstanceId {
        InstanceId {
            app: "shop".parse().unwrap(),
            process: "web".parse().unwrap(),
            index,
            generation: toft_model::Generation(1),
        }
    }

    #[test]
    fn drained_is_said_once_when_every_thread_has_said_it() {
        let mut draining = Draining::default();
        draining.table(5, [instance(0)].into_iter(), &BTreeSet::new(), 2);
        assert!(!draining.drained(0, &instance(0), 5));
        assert!(!draining.drained(0, &instance(0), 5));
        assert!(draining.drained(1, &instance(0), 6));
        assert!(!draining.drained(1, &instance(0), 6));
        assert!(!draining.exited(&instance(0)));
    }

    #[test]
    fn without_threads_nothing_drains() {
        let mut draining = Draining::default();
        let lost = draining.table(5, [instance(0)].into_iter(), &BTreeSet::new(), 0);
        assert_eq!(lost, [instance(0)]);
    }

    #[test]
    fn an_instance_that_came_back_starts_anew() {
        let mut draining = Draining::default();
        draining.table(5, [instance(0)].into_iter(), &BTreeSet::new(), 1);
        draining.table(6, [].into_iter(), &BTreeSet::from([instance(0)]), 1);
        assert!(!draining.drained(0, &instance(0), 5));
        draining.table(7, [instance(0)].into_iter(), &BTreeSet::new(), 1);
        assert!(
            !draining.drained(0, &instance(0), 5),
            "said under an older table"
        );
        assert!(draining.exited(&instance(0)));
    }
}
