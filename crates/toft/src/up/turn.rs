//! The one loop of `toft up`: signals, saves, events, log lines and the keeper's words, in one order.

use super::UpArgs;
use super::answers::first_answer;
use super::code::{Changes, State};
use super::order::{self, Resolver};
use super::project::Project;
use super::session::{Running, Session};
use super::words::{self, Around, duration_words};
use crate::failure::{Failure, chain};
use crate::say::{Ink, Screen};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use toft_agent::resolve::local_host;
use toft_api::{AppOrder, Client, ClientError, Events, LogLine, RunOrder};
use toft_model::InstanceId;
use toft_model::code::Code;
use toft_model::event::{Event, What};
use toft_model::frame::{Flags, Frame, Head, Stream};
use toft_model::message::ToUp;
use toft_model::sandbox::{Enforcer, Mode};
use toft_observe::render::{self, Look};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep_until;

/// How long the folder must be quiet before a save counts as whole.
const QUIET: Duration = Duration::from_millis(15);
/// How long a burst of saves is waited for at most.
const BURST: Duration = Duration::from_millis(200);
/// How long the log may be silent before an end is told after its last lines.
const LOG_QUIET: Duration = Duration::from_millis(60);

/// The signals that end it.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes them over from here on.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let take =
            |kind| signal(kind).map_err(|e| Failure::new("signals cannot be watched", chain(&e)));
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// The next one's name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "a closed terminal",
        }
    }
}

/// What a turn of the loop met.
enum Met {
    Signal(&'static str),
    Keeper(Option<ToUp>),
    Event(Result<Option<Event>, ClientError>),
    Line(Result<Option<LogLine>, ClientError>),
    Saved,
    Quiet,
}

/// A build that runs.
struct Building {
    id: InstanceId,
    started: Instant,
    cancelled: bool,
}

/// Everything that `toft up` knows.
pub(crate) struct Up {
    screen: Screen,
    args: UpArgs,
    project: Project,
    state: State,
    resolver: Resolver,
    session: Session,
    mode: Mode,
    address: SocketAddr,
    client: Client,
    events: Events<Event>,
    lines: Events<LogLine>,
    saved: super::code::Saves,
    /// When the first and the last save of a burst were seen.
    burst: Option<(Instant, Instant)>,
    /// When the save was that is being worked on.
    working_since: Instant,
    building: Option<Building>,
    ordered: Option<AppOrder>,
    served: bool,
    /// The order was given again to a server that was started again.
    again: bool,
    noted: BTreeSet<String>,
    /// Budgets that no cgroup holds here.
    weak: Vec<(String, Enforcer)>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the shell that reads the clock of `toft up`"
)]
fn now() -> Instant {
    Instant::now()
}

impl Up {
    pub(crate) async fn new(
        screen: Screen,
        args: UpArgs,
        project: Project,
        state: State,
        resolver: Resolver,
        session: Session,
        running: Running,
    ) -> Result<Self, Failure> {
        let address = args.address(project.spec.offset);
        let client = Client::new(&running.api);
        let api = |error: ClientError| Failure::new("the server does not answer", chain(&error));
        let events = client.events(0).await.map_err(api)?;
        let lines = client.logs(&project.spec.name, false).await.map_err(api)?;
        let saved = state.watch(&project.folder)?;
        Ok(Self {
            screen,
            args,
            project,
            state,
            resolver,
            session,
            mode: running.mode,
            address,
            client,
            events,
            lines,
            saved,
            burst: None,
            working_since: now(),
            building: None,
            ordered: None,
            served: false,
            again: false,
            noted: BTreeSet::new(),
            weak: Vec::new(),
        })
    }

    /// Works until a signal or the keeper's end. Gives back whether something was ever served.
    pub(crate) async fn run(mut self, mut signals: Signals) -> Result<bool, Failure> {
        self.note(order::notes(&self.project));
        self.rebuild(true).await;
        loop {
            match self.meet(&mut signals).await {
                Met::Signal(name) => return self.end(name, signals).await,
                Met::Keeper(Some(message)) => self.keeper_said(&message),
                Met::Keeper(None) => return Err(self.session.died()),
                Met::Event(Ok(Some(event))) => self.happened(event).await,
                Met::Line(Ok(Some(line))) => self.print(&line),
                Met::Event(_) | Met::Line(_) => self.reconnect().await?,
                Met::Saved => {
                    let at = now();
                    self.burst = Some((self.burst.map_or(at, |(first, _)| first), at));
                }
                Met::Quiet => {
                    self.burst = None;
                    self.on_save().await;
                }
            }
        }
    }

    async fn meet(&mut self, signals: &mut Signals) -> Met {
        let quiet_at = self
            .burst
            .map(|(first, last)| (last + QUIET).min(first + BURST));
        let quiet = async {
            match quiet_at {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            name = signals.next() => Met::Signal(name),
            message = self.session.next() => Met::Keeper(message),
            () = quiet => Met::Quiet,
            () = self.saved.next() => Met::Saved,
            line = self.lines.next() => Met::Line(line),
            event = self.events.next() => Met::Event(event),
        }
    }

    /// Server was started again: its streams begin anew, and it has to be told what is wanted.
    async fn reconnect(&mut self) -> Result<(), Failure> {
        let api = |error: ClientError| Failure::new("the server does not answer", chain(&error));
        let deadline = now() + Duration::from_secs(10);
        loop {
            match self.client.events(0).await {
                Ok(events) => self.events = events,
                Err(error) if now() > deadline => return Err(api(error)),
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            }
            self.lines = self
                .client
                .logs(&self.project.spec.name, false)
                .await
                .map_err(api)?;
            self.building = None;
            self.screen
                .step(Ink::Faint, "note", "the server was started again");
            if let Some(order) = self.ordered.take() {
                self.again = true;
                self.release(order).await;
            }
            return Ok(());
        }
    }

    fn keeper_said(&self, message: &ToUp) {
        if let ToUp::RoleEnded(role, outcome) = message {
            let line = format!(
                "{} ended with {} and was started again",
                role.as_str(),
                outcome.end
            );
            self.screen.step(Ink::Bad, "toft", &line);
        }
    }

    /// A burst of saves is over: the file is read again, then the code.
    async fn on_save(&mut self) {
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
    async fn rebuild(&mut self, first: bool) {
        let changes = match self.state.sync(&self.project) {
            Ok(changes) => changes,
            Err(failure) => {
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
                Failure::new("the build could not be ordered", chain(&error)).print(&self.screen);
                self.keeps();
            }
        }
    }

    fn tell(&mut self, changes: &Changes, first: bool) {
        self.note(changes.notes());
        if !first && !changes.is_empty() {
            self.screen.step(Ink::Faint, "saved", &changes.words());
        }
    }

    /// Says each thing once in the life of this command.
    fn note(&mut self, notes: Vec<String>) {
        for note in notes {
            if self.noted.insert(note.clone()) {
                self.screen.step(Ink::Faint, "note", &note);
            }
        }
    }

    fn grant(&mut self) -> Result<(), Failure> {
        let bounds = self.resolver.bounds(&self.project, &self.state);
        self.session.bounds(bounds)
    }

    async fn collect_and_release(&mut self) {
        match self.collect() {
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

    fn collect(&mut self) -> Result<AppOrder, Failure> {
        let tree = self.state.collect(&self.project)?;
        let (order, notes) = self
            .resolver
            .release(&self.project, &self.state, &tree, self.mode)?;
        self.note(notes);
        self.grant()?;
        Ok(order)
    }

    async fn release(&mut self, order: AppOrder) {
        match self.client.release(&order).await {
            Ok(_) => self.ordered = Some(order),
            Err(error) => {
                Failure::new("the release could not be ordered", chain(&error)).print(&self.screen)
            }
        }
    }

    async fn happened(&mut self, event: Event) {
        let around = Around {
            spec: &self.project.spec,
            weak: &self.weak,
            build: self.project.spec.build.as_ref().map(|b| b.run.to_string()),
        };
        let failure = words::failure(&around, &event.what);
        match event.what {
            What::Starting { instance, reason } => {
                self.screen.step(
                    Ink::Busy,
                    "starting",
                    &format!("{}: {reason}", instance.short()),
                );
            }
            What::BestEffort { budgets, .. } => {
                self.note(vec![words::best_effort(&budgets)]);
                self.weak = budgets;
            }
            What::Waiting {
                instance,
                probe,
                listening,
            } => {
                for line in words::waiting(&around, &instance, &probe, listening.as_ref()) {
                    self.screen.step(Ink::Faint, "waiting", &line);
                }
            }
            What::Ready { instance, after_ms } => {
                let after = duration_words(Duration::from_millis(after_ms));
                self.screen.step(
                    Ink::Good,
                    "ready",
                    &format!("{} after {after}", instance.short()),
                );
            }
            What::Serving { .. } => self.serving().await,
            What::RunEnded {
                instance, outcome, ..
            } => {
                self.build_ended(&instance, failure, &outcome).await;
            }
            What::RestartIn { instance, ms } => {
                let wait = duration_words(Duration::from_millis(ms));
                self.screen.step(
                    Ink::Busy,
                    "restart",
                    &format!("{} in {wait}", instance.short()),
                );
            }
            What::GivenUp { keeps, reason, .. } => {
                // It will be ordered anew by the next save even if nothing else changes.
                self.ordered = None;
                if keeps.is_some() {
                    self.screen.step(
                        Ink::Bad,
                        "kept",
                        &format!(
                            "the one before goes on serving ({reason}; {})",
                            Code::GIVEN_UP
                        ),
                    );
                } else {
                    self.keeps();
                }
            }
            What::Refused { instance, .. }
                if self.building.as_ref().is_some_and(|b| b.id == instance) =>
            {
                self.building = None;
                if let Some(failure) = failure {
                    failure.print(&self.screen);
                }
                self.keeps();
            }
            _ => {
                if let Some(failure) = failure {
                    self.drain_log().await;
                    failure.print(&self.screen);
                }
            }
        }
    }

    /// Says what goes on after something failed.
    fn keeps(&self) {
        let line = if self.served {
            "the one before goes on serving; save to try again"
        } else {
            "nothing is served; save to try again, Ctrl-C to end"
        };
        self.screen.step(Ink::Faint, "kept", line);
    }

    async fn build_ended(
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

    /// Prints what the log still has, so that an end is told after the lines before it.
    async fn drain_log(&mut self) {
        while let Ok(Ok(Some(line))) = tokio::time::timeout(LOG_QUIET, self.lines.next()).await {
            self.print(&line);
        }
    }

    async fn serving(&mut self) {
        let name = self.project.spec.name.clone();
        if self
            .ordered
            .as_ref()
            .is_some_and(|order| order.routes.is_empty())
        {
            self.screen.announce("running", name.as_str());
            self.served = true;
            return;
        }
        let host = local_host(&name, self.project.spec.offset);
        let port = self.address.port();
        let took = duration_words(now().duration_since(self.working_since));
        if self.served {
            self.screen
                .step(Ink::Good, "swapped", &format!("{took} after the save"));
            return;
        }
        match first_answer(self.address, &format!("{host}:{port}")).await {
            Ok(_) => {
                self.served = true;
                self.screen.announce(
                    "serving",
                    &format!("http://{}  and  http://{host}:{port}", self.address),
                );
            }
            Err(met) => Failure::new(
                "the app is ready, but does not answer through the router",
                met,
            )
            .next(format!("curl -v http://{}/", self.address))
            .print(&self.screen),
        }
    }

    fn print(&self, line: &LogLine) {
        let stream = match line.stream.as_str() {
            "err" => Stream::Err,
            "note" => Stream::Toft,
            _ => Stream::Out,
        };
        let head = Head {
            sequence: line.sequence,
            time_ns: line.at_ns,
            generation: line.instance.generation.0,
            stream,
            flags: Flags::default(),
        };
        let frame = Frame {
            head,
            text: line.text.clone().into_bytes(),
        };
        let is_build = line.instance.process.as_str() == order::BUILD;
        let name = if is_build {
            order::BUILD.to_owned()
        } else {
            line.instance.short()
        };
        let look = Look {
            colour: self.screen.colour_out,
            name_columns: 9,
        };
        self.screen.data(&render::line(look, &name, &frame));
    }

    /// Ends everything in good order; a second signal ends it at once.
    async fn end(mut self, signal: &str, mut signals: Signals) -> Result<bool, Failure> {
        self.screen.step(
            Ink::Faint,
            "ending",
            &format!("{signal}: stopping what runs"),
        );
        self.session.ask_end();
        tokio::select! {
            () = self.session.wait_for_end() => {}
            _ = signals.next() => {
                self.screen.step(Ink::Faint, "ending", "at once");
                self.session.cut().await;
            }
        }
        self.state.close();
        Ok(self.served)
    }
}
