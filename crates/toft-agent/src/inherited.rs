//! What a server before this one left running: it serves until this one's own instances do.

use crate::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use toft_model::instance::Running;
use toft_model::table::Table;
use toft_model::{AppName, Generation, InstanceId};

/// The instances of an earlier server, and the generations that it gave.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    floor: u64,
    instances: BTreeSet<InstanceId>,
}

impl Inherited {
    /// What the keeper named in its first message.
    pub(crate) fn new(running: &[Running], newest: Generation) -> Self {
        Self {
            floor: newest.0,
            instances: running.iter().map(|instance| instance.id.clone()).collect(),
        }
    }

    /// No new instance and no new run has a generation up to this one.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// It ended.
    pub(crate) fn gone(&mut self, id: &InstanceId) {
        self.instances.remove(id);
    }

    /// Takes out those whose app is served by this server's own: they are not needed any more.
    pub(crate) fn take_served(&mut self, apps: &BTreeMap<AppName, Record>) -> Vec<InstanceId> {
        let serves = |id: &InstanceId| apps.get(&id.app).is_some_and(Record::serves);
        self.instances.extract_if(.., |id| serves(id)).collect()
    }

    /// Whether edge is to go on with the table of the server before, by which it serves: as long as
    /// it was told none by this one and nothing in the new one is ready.
    pub(crate) fn holds_back(&self, told: u64, table: &Table) -> bool {
        let ready = table.upstreams.iter().any(|door| !door.ready.is_empty());
        told == 0 && !self.instances.is_empty() && !ready
    }
}
