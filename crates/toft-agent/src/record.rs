//! What server keeps of each app: the orders, the planner's state, and what lives.

use crate::events::EventLog;
use std::collections::BTreeMap;
use toft_api::{AppOrder, AppStatus, InstanceStatus, Phase, ProcessOrder};
use toft_model::instance::{InstanceSpec, Listening};
use toft_model::sandbox::Source;
use toft_model::table::{Backend, Route, Table, Upstream, UpstreamId};
use toft_model::{AppName, InstanceId, ProcessName};
use toft_plan::{App, Process, Release, Schedule};

/// How long an instance that left the table may take to finish its requests.
const DRAIN_MS: u64 = 30_000;

/// One app.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What the planner knows.
    pub(crate) plan: App,
    /// The orders behind the releases that still matter.
    pub(crate) orders: BTreeMap<u64, AppOrder>,
    /// The newest release's number.
    pub(crate) newest: u64,
    /// A promoted release that edge does not serve yet, and the table revision to wait for.
    pub(crate) to_announce: Option<(u64, u64)>,
}

/// What is known of a running instance beyond the planner's view.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Process id of its init.
    pub(crate) pid: Option<u32>,
    /// When it was ordered, in nanoseconds since 1970; 0 when another server did it.
    pub(crate) since_ns: u64,
    /// When it was started, in milliseconds of the server's clock.
    pub(crate) started: u64,
    /// What the last probe met.
    pub(crate) words: Option<String>,
    /// What it listened on when it was last looked at.
    pub(crate) listening: Option<Listening>,
    /// When to say that it is still not ready.
    pub(crate) look_at: Option<u64>,
}

impl Record {
    /// Whether a release was promoted and edge serves it.
    pub(crate) fn serves(&self) -> bool {
        self.plan.current.is_some() && self.to_announce.is_none()
    }

    /// Takes an order as the next release and returns its number.
    pub(crate) fn order(&mut self, order: AppOrder) -> u64 {
        self.newest += 1;
        self.plan.order(self.newest, wanted(&order));
        self.orders.insert(self.newest, order);
        let plan = &self.plan;
        self.orders
            .retain(|number, _| plan.releases.contains_key(number));
        self.newest
    }

    /// The order of the process that an instance is a copy of.
    pub(crate) fn process(&self, release: u64, process: &ProcessName) -> Option<&ProcessOrder> {
        self.orders
            .get(&release)?
            .processes
            .iter()
            .find(|p| &p.process == process)
    }

    /// As the API shows it.
    pub(crate) fn status(&self, app: &AppName, live: &BTreeMap<InstanceId, Live>) -> AppStatus {
        AppStatus {
            app: app.clone(),
            release: self.plan.current,
            rolling: self.plan.next,
            instances: self
                .plan
                .instances
                .iter()
                .map(|instance| InstanceStatus {
                    instance: instance.id.clone(),
                    release: instance.release,
                    phase: phase(instance.phase),
                    pid: live.get(&instance.id).and_then(|l| l.pid),
                    listening: live.get(&instance.id).and_then(|l| l.listening.clone()),
                })
                .collect(),
        }
    }
}

fn phase(phase: toft_plan::Phase) -> Phase {
    match phase {
        toft_plan::Phase::Ordered => Phase::Ordered,
        toft_plan::Phase::Running => Phase::Running,
        toft_plan::Phase::Ready => Phase::Ready,
        toft_plan::Phase::Draining { .. } => Phase::Draining,
        toft_plan::Phase::Stopping => Phase::Stopping,
    }
}

fn wanted(order: &AppOrder) -> Release {
    let processes = order.processes.iter().map(|process| {
        let wish = Process {
            count: process.count,
            routed: process.template.listen.iter().any(|door| door.routed),
            restart: schedule(&process.restart),
            drain_within: DRAIN_MS,
        };
        (process.process.clone(), wish)
    });
    Release {
        processes: processes.collect(),
        at_once: order.at_once,
    }
}

fn schedule(restart: &toft_api::Restart) -> Schedule {
    let ms = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Schedule {
        from: ms(restart.from),
        to: ms(restart.to),
        reset_after: ms(restart.reset_after),
        never: restart.never,
    }
}

/// The instance that fills a place, from its process' template.
pub(crate) fn instance(template: &InstanceSpec, id: &InstanceId) -> InstanceSpec {
    let fill = |text: &str| {
        text.replace("{toft.index}", &id.index.to_string())
            .replace("{toft.generation}", &id.generation.0.to_string())
    };
    let mut spec = template.clone();
    spec.id = id.clone();
    for (_, value) in &mut spec.env {
        *value = fill(value);
    }
    for mount in &mut spec.sandbox.own {
        if let Source::Bind { path, .. } = &mut mount.source {
            *path = fill(&path.to_string_lossy()).into();
        }
    }
    for file in &mut spec.sandbox.run_files {
        file.contents = fill(&file.contents);
    }
    spec.sandbox.hostname = fill(&spec.sandbox.hostname);
    spec
}

/// The table that follows from what is ready; its revision is left at 0.
pub(crate) fn table(apps: &BTreeMap<AppName, Record>) -> Table {
    let mut table = Table::default();
    for (name, record) in apps {
        let Some(order) = record
            .plan
            .current
            .or(record.plan.next)
            .and_then(|n| record.orders.get(&n))
        else {
            continue;
        };
        for route in &order.routes {
            let to = route.upstream(name);
            table.routes.push(Route {
                host: route.host.clone(),
                path: route.path.clone(),
                to: to.clone(),
            });
            if !table.upstreams.iter().any(|u| u.id == to) {
                table.upstreams.push(upstream(record, to, &route.process));
            }
        }
    }
    table
}

fn upstream(record: &Record, id: UpstreamId, process: &ProcessName) -> Upstream {
    let ready = record
        .plan
        .instances
        .iter()
        .filter(|i| i.phase == toft_plan::Phase::Ready && &i.id.process == process)
        .filter_map(|i| {
            let doors = &record.process(i.release, process)?.template.listen;
            let port = doors.iter().find(|door| door.label == id.door)?.port;
            Some(Backend {
                instance: i.id.clone(),
                port,
            })
        })
        .collect();
    Upstream { id, ready }
}

/// Says that a promoted release serves, once edge does by that table.
pub(crate) fn announce(
    apps: &mut BTreeMap<AppName, Record>,
    serving: u64,
    log: &EventLog,
    at_ms: u64,
) {
    for (name, record) in apps {
        if let Some((release, revision)) = record.to_announce
            && revision <= serving
        {
            record.to_announce = None;
            log.add(name, at_ms, toft_model::event::What::Serving { release });
        }
    }
}
