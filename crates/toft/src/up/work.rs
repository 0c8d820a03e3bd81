//! From a save to an order: sync, build, collect, release.

use super::project::Project;
use super::turn::{Building, Up, now};
use super::words::duration_words;
use crate::failure::{Failure, chain};
use crate::say::Ink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use toft_api::{AppOrder, ClientError, RunOrder};
use toft_code::copy::Collected;
use toft_model::InstanceId;

/// Work that takes longer than this is told.
const WORTH_A_LINE: Duration = Duration::from_millis(1500);

impl Up {
    /// A burst of saves is over: the file is read again, then the code.
    pub(super) async fn on_save(&mut self) {
        self.working_since = now();
        match Project::load(&self.args.dir, &self.args.overrides, &self.screen) {
            Ok(project) => self.project = project,
            Err(failure) => {
                failure.print(&self.screen);
                self.keeps();
                return;
            }
        }
        if let Some(building) = &mut self.building {
            building.cancelled = true;
            // A run that has just ended is not found any more, which is as good.
            let _ = self.client.end_run(&building.id).await;
            return;
        }
        self.rebuild(false).await;
    }

    /// Takes over what changed in the folder, then builds, or goes on when there is nothing to build.
    pub(super) async fn rebuild(&mut self, first: bool) {
        let sync = self.state.sync(&self.project);
        let changes = match self.aside("copying the code for the build", sync).await {
            None => return,
            Some(Ok(changes)) => changes,
            Some(Err(failure)) => {
                failure.print(&self.screen);
                return self.keeps();
            }
        };
        self.tell(&changes, first);
        let Some(build) = self.project.spec.build.clone() else {
            return self.collect_and_release().await;
        };
        if !self.state.must_build(&self.project, &changes) {
            return self.collect_and_release().await;
        }
        let ordered = self
            .resolver
            .build(&self.project, &self.state, &build, self.mode);
        let spec = match ordered {
            Ok((spec, notes)) => {
                self.note(notes);
                spec
            }
            Err(failure) => {
                failure.print(&self.screen);
                return self.keeps();
            }
        };
        if let Err(failure) = self.grant() {
            return failure.print(&self.screen);
        }
        self.screen
            .step(Ink::Busy, "building", &build.run.to_string());
        match self.client.run(&RunOrder { spec }).await {
            Ok(run) => {
                self.building = Some(Building {
                    id: run.instance,
                    started: now(),
                    cancelled: false,
                });
            }
            Err(error) => {
                self.unreachable("the build could not be ordered", &error)
                    .print(&self.screen);
                self.keeps();
            }
        }
    }

    /// Does slow work on the disk beside the loop, and says so when it takes long. A signal stops it:
    /// then there is nothing to go on with.
    async fn aside<T: Send + 'static>(
        &mut self,
        what: &str,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Option<T> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let mut running = tokio::task::spawn_blocking(move || work(&flag));
        let mut long = Some(now() + WORTH_A_LINE);
        loop {
            let told = async {
                match long {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                done = &mut running => match done {
                    Ok(done) => return Some(done),
                    Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
                },
                name = self.signals.next() => {
                    stop.store(true, Ordering::Relaxed);
                    self.ending = Some(name);
                    // It ends at its next look at the flag; what it says then does not matter.
                    let _ = running.await;
                    return None;
                }
                () = told => {
                    long = None;
                    self.screen.step(Ink::Busy, "working", what);
                }
            }
        }
    }

    pub(super) fn grant(&mut self) -> Result<(), Failure> {
        let bounds = self.resolver.bounds(&self.project, &self.state);
        self.session.bounds(bounds)
    }

    pub(super) async fn collect_and_release(&mut self) {
        let collect = self.state.collect(&self.project);
        let Some(collected) = self.aside("collecting what the app runs by", collect).await else {
            return;
        };
        match collected.and_then(|tree| self.order(&tree)) {
            Ok(order) if self.ordered.as_ref() == Some(&order) => {
                self.screen.step(
                    Ink::Faint,
                    "same",
                    "nothing that the app runs by has changed",
                );
            }
            Ok(order) => self.release(order).await,
            Err(failure) => {
                failure.print(&self.screen);
                self.keeps();
            }
        }
    }

    fn order(&mut self, tree: &Collected) -> Result<AppOrder, Failure> {
        self.state.take(tree)?;
        let (order, notes) = self
            .resolver
            .release(&self.project, &self.state, tree, self.mode)?;
        self.note(notes);
        self.grant()?;
        Ok(order)
    }

    pub(super) async fn release(&mut self, order: AppOrder) {
        match self.client.release(&order).await {
            Ok(_) => self.ordered = Some(order),
            Err(error) => {
                self.unreachable("the release could not be ordered", &error)
                    .print(&self.screen);
            }
        }
    }

    pub(super) async fn build_ended(
        &mut self,
        id: &InstanceId,
        failure: Option<Failure>,
        outcome: &toft_model::instance::Outcome,
    ) {
        let Some(building) = self.building.take_if(|b| &b.id == id) else {
            return;
        };
        if building.cancelled {
            self.state.build_failed();
            return self.rebuild(false).await;
        }
        self.drain_log().await;
        if let Some(failure) = failure {
            self.state.build_failed();
            failure.print(&self.screen);
            return self.keeps();
        }
        if outcome.asked {
            return;
        }
        self.state.build_succeeded(&self.project);
        let took = duration_words(now().duration_since(building.started));
        self.screen.step(Ink::Good, "built", &format!("in {took}"));
        self.collect_and_release().await;
    }

    /// An order that did not reach the server, and the likeliest reason.
    fn unreachable(&self, what: &str, error: &ClientError) -> Failure {
        let failure = Failure::new(what, chain(error));
        if self.state.is_there() {
            failure.next("save again; if it stays so, Ctrl-C and `toft up` again")
        } else {
            failure
                .seen(format!("{} was removed", self.state.folder.display()))
                .next("Ctrl-C and `toft up` again")
        }
    }
}
