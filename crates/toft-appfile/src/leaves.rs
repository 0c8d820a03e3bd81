//! The whole of an [`AppSpec`] as keys and values of an app file.
//!
//! Every struct is taken apart by naming all its fields, so that a new field does not compile until
//! it has its line here.

use crate::capabilities::{Ability, Capabilities};
use crate::node::{join, text_literal};
use std::fmt::Display;
use toft_model::app::{
    Alive, AppSpec, BuildSpec, Command, Count, DeploySpec, Listen, ListenOn, LogSpec, Needs,
    NotifyTarget, ProcessSpec, ReleaseSpec, RouteSpec, ScheduleSpec, StopSpec, TestSpec,
    VolumeSpec, When,
};
use toft_model::sandbox::{Limits, Network};
use toft_model::table::Check;
use toft_model::unit::duration_text;

/// Keys and values, in the order of the grammar. What this build cannot do and nobody asked for is left out.
pub(crate) fn leaves(spec: &AppSpec, capabilities: Capabilities) -> Vec<(String, String)> {
    let mut out = Leaves {
        capabilities,
        all: Vec::new(),
    };
    out.app(spec);
    out.all
}

struct Leaves {
    capabilities: Capabilities,
    all: Vec<(String, String)>,
}

fn list<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values
        .into_iter()
        .map(|value| text_literal(&value.to_string()))
        .collect();
    format!("[{}]", texts.join(", "))
}

fn check_text(check: &Check) -> String {
    match check {
        Check::Tcp { .. } => "tcp".to_owned(),
        Check::Http { path, .. } => format!("http:{path}"),
        Check::Notify => "notify".to_owned(),
        Check::Command { argv } => format!("run:{}", Command(argv.clone())),
    }
}

impl Leaves {
    /// A value that is no text.
    fn plain(&mut self, at: &str, key: &str, value: impl Display) {
        self.all.push((join(at, key), value.to_string()));
    }

    fn text(&mut self, at: &str, key: &str, value: impl Display) {
        self.plain(at, key, text_literal(&value.to_string()));
    }

    fn text_if(&mut self, at: &str, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(at, key, value);
        }
    }

    fn app(&mut self, spec: &AppSpec) {
        let AppSpec {
            name,
            offset,
            env,
            build,
            release,
            deploy,
            processes,
            routes,
            schedules,
            volumes,
            notify,
            test,
        } = spec;
        self.text("", "app", name);
        if *offset > 0 {
            self.plain("", "offset", offset);
        }
        self.variables("env", env);
        if let Some(build) = build {
            self.build(build);
        }
        if let Some(ReleaseSpec { run, like }) = release {
            self.text("release", "run", run);
            self.text("release", "like", like);
        }
        self.deploy(deploy);
        for (name, process) in processes {
            self.process(&join("process", name.as_str()), process);
        }
        for route in routes {
            self.route(route);
        }
        for (name, schedule) in schedules {
            self.schedule(&join("schedule", name.as_str()), schedule);
        }
        for (name, volume) in volumes {
            self.volume(&join("volume", name.as_str()), volume);
        }
        if !notify.is_empty() {
            self.plain(
                "notify",
                "to",
                list(notify.iter().map(NotifyTarget::to_string)),
            );
        }
        if let Some(TestSpec { run, like }) = test {
            self.text("test", "run", run);
            self.text("test", "like", like);
        }
    }

    fn variables(&mut self, at: &str, env: &std::collections::BTreeMap<String, String>) {
        for (key, value) in env {
            self.text(at, key, value);
        }
    }

    fn build(&mut self, build: &BuildSpec) {
        let BuildSpec {
            run,
            sets,
            connect,
            cache,
        } = build;
        self.text("build", "run", run);
        if let Some(sets) = sets {
            self.plain("build", "use", list(sets));
        }
        self.plain("build", "connect", list(connect));
        self.plain("build", "cache", list(cache));
    }

    fn deploy(&mut self, deploy: &DeploySpec) {
        if !self.capabilities.has(Ability::Deploy) {
            return;
        }
        let DeploySpec {
            at_once,
            canary,
            abort,
            keep,
        } = deploy;
        self.plain("deploy", "at_once", at_once);
        let canary: Vec<String> = canary.iter().map(u8::to_string).collect();
        self.plain("deploy", "canary", format!("[{}]", canary.join(", ")));
        if !abort.is_empty() {
            let rules: Vec<String> = abort.iter().map(ToString::to_string).collect();
            self.text("deploy", "abort", rules.join(" or "));
        }
        self.text("deploy", "keep", keep);
    }

    fn process(&mut self, at: &str, process: &ProcessSpec) {
        let ProcessSpec {
            run,
            count,
            sets,
            ready,
            ready_within,
            alive,
            init,
            stop,
            restart,
            if_lost,
            needs,
            network,
            budgets,
            env,
            listen,
            connect,
            files,
            limits,
            log,
        } = process;
        self.text(at, "run", run);
        match count {
            Count::Fixed(count) => self.plain(at, "count", count),
            Count::Range { .. } => self.text(at, "count", count),
        }
        if let Some(sets) = sets {
            self.plain(at, "use", list(sets));
        }
        self.text_if(at, "ready", ready.as_ref().map(check_text));
        self.text(at, "ready_within", duration_text(*ready_within));
        if let Some(Alive { check, every }) = alive {
            self.text(
                at,
                "alive",
                format!("{} every {}", check_text(check), duration_text(*every)),
            );
        }
        self.text_if(at, "init", init.as_ref());
        let StopSpec { signal: _, grace } = stop;
        self.text(&join(at, "stop"), "signal", stop.signal_text());
        self.text(&join(at, "stop"), "grace", duration_text(*grace));
        self.text(at, "restart", restart);
        if self.capabilities.has(Ability::IfLost) {
            self.text(at, "if_lost", if_lost);
        }
        self.needs(&join(at, "needs"), needs);
        let network = match network {
            Network::Doors => "doors",
            Network::Host => "host",
        };
        self.text(at, "network", network);
        self.text(at, "budgets", budgets);
        self.variables(&join(at, "env"), env);
        for door in listen {
            self.listen(&join(at, "listen"), door);
        }
        for (label, to) in connect {
            self.text(&join(at, "connect"), label.as_str(), to);
        }
        for (path, grant) in files {
            self.text(&join(at, "files"), path, grant);
        }
        self.limits(&join(at, "limits"), limits);
        self.log(&join(at, "log"), log);
    }

    fn needs(&mut self, at: &str, needs: &Needs) {
        let Needs {
            labels,
            spread,
            apart,
            beside,
        } = needs;
        self.variables(at, labels);
        self.text_if(at, "spread", spread.as_ref());
        for (key, peers) in [("apart", apart), ("beside", beside)] {
            if !peers.is_empty() {
                self.plain(at, key, list(peers));
            }
        }
    }

    fn listen(&mut self, at: &str, door: &Listen) {
        let Listen {
            label,
            on,
            client_address,
        } = door;
        let port = match on {
            ListenOn::Tcp { port } => port.to_string(),
            ListenOn::Udp { .. } | ListenOn::Unix { .. } => text_literal(&on.to_string()),
        };
        if *client_address {
            self.plain(
                at,
                label.as_str(),
                format!("{{ port = {port}, client_address = true }}"),
            );
        } else {
            self.plain(at, label.as_str(), port);
        }
    }

    fn limits(&mut self, at: &str, limits: &Limits) {
        let Limits {
            memory,
            cpu,
            pids,
            open_files,
        } = limits;
        self.text_if(at, "memory", memory.as_ref());
        if let Some(cpu) = cpu {
            self.plain(at, "cpu", cpu);
        }
        for (key, value) in [("pids", pids), ("open_files", open_files)] {
            if let Some(value) = value {
                self.plain(at, key, value);
            }
        }
    }

    fn log(&mut self, at: &str, log: &LogSpec) {
        let LogSpec {
            to,
            lines_per_second,
        } = log;
        if self.capabilities.has(Ability::LogTo) {
            self.plain(at, "to", list(to));
        }
        self.text(at, "rate", format!("{lines_per_second} lines/s"));
    }

    fn route(&mut self, route: &RouteSpec) {
        let RouteSpec {
            from,
            to,
            on,
            balance,
        } = route;
        let at = join("route", &from.to_string());
        self.text(&at, "to", to);
        if !on.is_empty() {
            self.plain(&at, "on", list(on));
        }
        self.text(&at, "balance", balance);
    }

    fn schedule(&mut self, at: &str, schedule: &ScheduleSpec) {
        let ScheduleSpec {
            run,
            when,
            zone,
            overlap,
            missed,
            jitter,
            retries,
            limit,
            after,
            expect,
            like,
        } = schedule;
        self.text(at, "run", run);
        match when {
            Some(When::Cron(fields)) => self.text(at, "at", fields),
            Some(When::Every(span)) => self.text(at, "every", duration_text(*span)),
            None => {}
        }
        self.text(at, "zone", zone);
        self.text(at, "overlap", overlap);
        self.text(at, "missed", missed);
        self.text(at, "jitter", duration_text(*jitter));
        self.text_if(at, "retries", retries.as_ref());
        self.text_if(at, "limit", limit.map(duration_text));
        self.text_if(at, "after", after.as_ref());
        self.text_if(
            at,
            "expect",
            expect.map(|span| format!("success every {}", duration_text(span))),
        );
        self.text(at, "like", like);
    }

    fn volume(&mut self, at: &str, volume: &VolumeSpec) {
        let VolumeSpec {
            size,
            owner,
            sync,
            io,
            replicas,
        } = volume;
        self.text_if(at, "size", size.as_ref());
        self.text(at, "for", owner);
        if self.capabilities.has(Ability::VolumeSync) {
            self.text(at, "sync", sync);
        }
        if self.capabilities.has(Ability::VolumeIo) {
            self.text(at, "io", io);
        }
        if self.capabilities.has(Ability::VolumeReplicas) {
            self.plain(at, "replicas", replicas);
        }
    }
}
