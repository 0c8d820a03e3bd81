//! The one loop of `toft up`: signals, saves, events, log lines and the keeper's words, in one order.

use super::UpArgs;
use super::code::State;
use super::order::{self, Resolver};
use super::project::Project;
use super::session::{Running, Session};
use crate::failure::{Failure, chain};
use crate::say::{Ink, Screen};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use toft_api::{AppOrder, Client, ClientError, Events, LogLine};
use toft_model::InstanceId;
use toft_model::event::Event;
use toft_model::message::ToUp;
use toft_model::sandbox::{Enforcer, Mode};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep_until;

/// How long the folder must be quiet before a save counts as whole.
const QUIET: Duration = Duration::from_millis(15);
/// How long a burst of saves is waited for at most.
const BURST: Duration = Duration::from_millis(200);

/// How long an end may take before that is worth a line.
const PATIENCE: Duration = Duration::from_millis(1500);

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
    pub(super) async fn next(&mut self) -> &'static str {
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
pub(super) struct Building {
    pub(super) id: InstanceId,
    pub(super) started: Instant,
    pub(super) cancelled: bool,
}

/// Everything that `toft up` knows.
pub(crate) struct Up {
    pub(super) signals: Signals,
    /// A signal that came while something else was waited for.
    pub(super) ending: Option<&'static str>,
    pub(super) screen: Screen,
    pub(super) args: UpArgs,
    pub(super) project: Project,
    pub(super) state: State,
    pub(super) resolver: Resolver,
    pub(super) session: Session,
    pub(super) mode: Mode,
    pub(super) address: SocketAddr,
    pub(super) client: Client,
    pub(super) events: Events<Event>,
    pub(super) lines: Events<LogLine>,
    pub(super) saved: super::code::Saves,
    /// When the first and the last save of a burst were seen.
    pub(super) burst: Option<(Instant, Instant)>,
    /// When the save was that is being worked on.
    pub(super) working_since: Instant,
    pub(super) building: Option<Building>,
    pub(super) ordered: Option<AppOrder>,
    pub(super) served: bool,
    /// The order was given again to a server that was started again.
    pub(super) again: bool,
    pub(super) noted: BTreeSet<String>,
    /// Budgets that no cgroup holds here.
    pub(super) weak: Vec<(String, Enforcer)>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the shell that reads the clock of `toft up`"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Up {
    pub(crate) async fn new(
        screen: Screen,
        signals: Signals,
        args: UpArgs,
        project: Project,
        state: State,
        resolver: Resolver,
        (session, running): (Session, Running),
    ) -> Result<Self, Failure> {
        let address = args.address(project.spec.offset);
        let client = Client::new(&running.api);
        let api = |error: ClientError| Failure::new("the server does not answer", chain(&error));
        let events = client.events(0).await.map_err(api)?;
        let lines = client.logs(&project.spec.name, false).await.map_err(api)?;
        let saved = state.watch(&project.folder)?;
        Ok(Self {
            signals,
            ending: None,
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
    pub(crate) async fn run(mut self) -> Result<bool, Failure> {
        self.note(order::notes(&self.project));
        self.rebuild(true).await;
        loop {
            if let Some(name) = self.ending {
                return self.end(name).await;
            }
            match self.meet().await {
                Met::Signal(name) => return self.end(name).await,
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

    async fn meet(&mut self) -> Met {
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
            name = self.signals.next() => Met::Signal(name),
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

    /// Ends everything in good order; a second signal ends it at once.
    async fn end(mut self, signal: &str) -> Result<bool, Failure> {
        self.screen.step(
            Ink::Faint,
            "ending",
            &format!("{signal}: stopping what runs"),
        );
        self.session.ask_end();
        let patience = now() + PATIENCE;
        let mut told = false;
        loop {
            let long = async {
                match told {
                    false => sleep_until(patience.into()).await,
                    true => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.session.wait_for_end() => break,
                _ = self.signals.next() => {
                    self.screen.step(Ink::Faint, "ending", "at once");
                    self.session.cut().await;
                    break;
                }
                () = long => {
                    told = true;
                    let line = "something takes its time (its grace, at most); Ctrl-C again ends it at once";
                    self.screen.step(Ink::Faint, "ending", line);
                }
            }
        }
        self.resolver.forget_unused(&self.state);
        self.state.close();
        Ok(self.served)
    }
}
