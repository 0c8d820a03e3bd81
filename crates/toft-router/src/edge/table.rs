//! A new table on a serving thread: what comes, what goes, what drains.

use super::connection::{Back, Duty};
use super::mail::FromWorker;
use super::pool::Pool;
use super::worker::{Rotation, Worker};
use crate::http1::Cause;
use crate::routes::Routes;
use crate::slab::Key;
use std::collections::BTreeSet;
use std::sync::Arc;
use toft_model::InstanceId;
use toft_model::table::Backend;

impl Worker {
    /// Serves by this from now on.
    pub(super) fn set_table(&mut self, routes: Arc<Routes>) {
        let before: BTreeSet<InstanceId> = instances(&self.routes);
        let after = instances(&routes);
        for pool in self.pools.iter_mut() {
            pool.listed = false;
        }
        self.rotations
            .iter_mut()
            .for_each(|rotation| rotation.pools.clear());
        self.slots.clear();
        for upstream in &routes.upstreams {
            let slot = self.rotation(&upstream.id);
            self.slots.push(slot);
            for backend in &upstream.ready {
                let pool = self.pool(backend);
                self.rotations[slot].pools.push(pool);
            }
        }
        let sequence = routes.sequence;
        self.routes = routes;
        for key in self.pools.keys() {
            self.ask(key);
            self.close_if_shut(key, Cause::NoInstance);
        }
        self.draining.retain(|instance| !after.contains(instance));
        self.draining.extend(before.difference(&after).cloned());
        for instance in self.draining.clone() {
            self.check_instance_drained(&instance);
        }
        self.tell(FromWorker::Serving(self.id, sequence));
    }

    fn rotation(&mut self, id: &toft_model::table::UpstreamId) -> usize {
        if let Some(slot) = self.rotation_of.get(id) {
            return *slot;
        }
        self.rotations.push(Rotation::default());
        let slot = self.rotations.len() - 1;
        self.rotation_of.insert(id.clone(), slot);
        slot
    }

    fn pool(&mut self, backend: &Backend) -> Key {
        if let Some(key) = self.pool_of.get(backend) {
            if let Some(pool) = self.pools.get_mut(*key) {
                pool.listed = true;
            }
            return *key;
        }
        let key = self.pools.insert(Pool::new(backend.clone()));
        self.pool_of.insert(backend.clone(), key);
        key
    }

    /// The instance ended: nobody can be sent there any more. What is in flight sees its own end.
    pub(super) fn instance_ended(&mut self, instance: &InstanceId) {
        for key in self.pools.keys() {
            if let Some(pool) = self.pools.get_mut(key)
                && pool.backend.instance == *instance
            {
                pool.gone = true;
                self.close_if_shut(key, Cause::Closed);
            }
        }
    }

    /// Closes the free sockets of a backend that takes no new requests; those that wait there go
    /// elsewhere.
    fn close_if_shut(&mut self, key: Key, met: Cause) {
        let Some(pool) = self.pools.get_mut(key).filter(|pool| !pool.is_open()) else {
            return;
        };
        pool.resting.clear();
        pool.blank.clear();
        let idle = |back: &Back| back.pool == key && !matches!(back.duty, Duty::Busy(_));
        let free: Vec<Key> = self
            .backs
            .iter()
            .filter(|(_, back)| idle(back))
            .map(|(socket, _)| socket)
            .collect();
        free.into_iter().for_each(|socket| self.drop_socket(socket));
        self.turn_away(key, met);
        self.check_drained(key);
    }

    /// After something of this pool ended.
    pub(super) fn check_drained(&mut self, key: Key) {
        let Some(pool) = self.pools.get(key) else {
            return;
        };
        let instance = pool.backend.instance.clone();
        if !pool.is_open() {
            self.check_instance_drained(&instance);
        }
    }

    fn check_instance_drained(&mut self, instance: &InstanceId) {
        let mine = |pool: &Pool| pool.backend.instance == *instance;
        if self
            .pools
            .iter()
            .any(|(_, pool)| mine(pool) && pool.busy > 0)
        {
            return;
        }
        if self.draining.remove(instance) {
            self.tell(FromWorker::Drained(
                self.id,
                instance.clone(),
                self.routes.sequence,
            ));
        }
        for key in self.pools.keys() {
            let done =
                |pool: &Pool| mine(pool) && !pool.listed && pool.total == 0 && pool.asked == 0;
            if self.pools.get(key).is_some_and(done)
                && let Some(pool) = self.pools.remove(key)
            {
                self.pool_of.remove(&pool.backend);
            }
        }
    }
}

fn instances(routes: &Routes) -> BTreeSet<InstanceId> {
    let backends = routes.upstreams.iter().flat_map(|upstream| &upstream.ready);
    backends.map(|backend| backend.instance.clone()).collect()
}
