//! The keeper of one `toft up`: its process, its lifeline, its end.

use crate::failure::{Failure, chain};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use toft_link::{Link, LinkError};
use toft_model::code::Code;
use toft_model::machine::{Bounds, OuterListener};
use toft_model::message::{FromUp, ToUp, UpOrder};
use toft_model::sandbox::Mode;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A running keeper and the lifeline to it. When this is dropped the lifeline ends, and the keeper
/// ends everything at once.
pub(crate) struct Session {
    keeper: Child,
    link: Link,
    wake: AsyncFd<OwnedFd>,
    log: PathBuf,
}

/// What the keeper said when it was up.
pub(crate) struct Running {
    /// The API's socket.
    pub(crate) api: PathBuf,
    /// Which rights there are.
    pub(crate) mode: Mode,
}

impl Session {
    /// Starts a keeper on a state folder and waits until its roles run.
    pub(crate) async fn start(
        state: &Path,
        bounds: Bounds,
        listeners: Vec<OuterListener>,
    ) -> Result<(Self, Running), Failure> {
        let mut session = Self::spawn(state)?;
        let order = UpOrder {
            state: state.to_owned(),
            bounds,
            listeners,
        };
        session.send(&order)?;
        match session.next().await {
            Some(ToUp::Running { api, mode }) => Ok((session, Running { api, mode })),
            Some(ToUp::Failed(refusal)) => {
                let listens =
                    |l: &OuterListener| refusal.step == format!("listen on {}", l.address);
                let code = match order.listeners.iter().any(listens) {
                    true => Code::PORT_TAKEN,
                    false => Code::NO_KEEPER,
                };
                let mut failure = Failure::new(refusal.step, refusal.cause).id(code);
                if let Some(cure) = refusal.cure {
                    failure = failure.next(cure);
                }
                session.wait_for_end().await;
                Err(failure)
            }
            _ => Err(session.died()),
        }
    }

    fn spawn(state: &Path) -> Result<Self, Failure> {
        let failed = |why: String| Failure::new("the keeper could not be started", why);
        let (ours, theirs) = toft_link::socket_pair().map_err(|e| failed(e.to_string()))?;
        let log = state.join("keeper.log");
        let words = File::create(&log).map_err(|e| failed(format!("{}: {e}", log.display())))?;
        let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
        let keeper = Command::new(program)
            .arg("keeper")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::from(words))
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .current_dir("/")
            // The terminal's Ctrl-C is for `up`, which then ends things in good order.
            .process_group(0)
            .spawn()
            .map_err(|e| failed(e.to_string()))?;
        let second = ours.try_clone().map_err(|e| failed(e.to_string()))?;
        // SAFETY: the descriptor is owned by the `AsyncFd` from here on and never replaced.
        let wake = unsafe { AsyncFd::register_with_interest(second, Interest::READABLE) }
            .map_err(|e| failed(std::io::Error::from(e).to_string()))?;
        Ok(Self {
            keeper,
            link: Link::new(ours),
            wake,
            log,
        })
    }

    fn send<M: serde::Serialize>(&mut self, message: &M) -> Result<(), Failure> {
        self.link
            .send(message, Vec::new())
            .map_err(|error| Failure::new("the keeper does not take an order", chain(&error)))
    }

    /// Tells the keeper what may be asked for from now on.
    pub(crate) fn bounds(&mut self, bounds: Bounds) -> Result<(), Failure> {
        self.send(&FromUp::Bounds(bounds))
    }

    /// The keeper's next word; `None` when it is gone. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<ToUp> {
        loop {
            match self.link.recv() {
                Ok(Some((message, _))) => return Some(message),
                Ok(None) => {}
                Err(LinkError::Decode(_)) => continue,
                Err(_) => return None,
            }
            let Ok(mut ready) = self.wake.readable().await else {
                return None;
            };
            match self.link.recv() {
                Ok(Some((message, _))) => return Some(message),
                Ok(None) => ready.clear_ready(),
                Err(LinkError::Decode(_)) => {}
                Err(_) => return None,
            }
        }
    }

    /// Asks for the end in good order: stop signal, grace, KILL for each instance.
    pub(crate) fn ask_end(&mut self) {
        // A keeper that does not listen any more is ended by the lifeline's end.
        let _ = self.send(&FromUp::End);
    }

    /// Waits until the keeper has removed everything and ended.
    pub(crate) async fn wait_for_end(&mut self) {
        while let Some(message) = self.next().await {
            if message == ToUp::Ended {
                break;
            }
        }
        // It is about to exit: its last word was said or its socket is closed.
        if let Err(error) = self.keeper.wait() {
            tracing::debug!(%error, "the keeper's end was not seen");
        }
    }

    /// Ends the lifeline: the keeper kills everything at once. Waits until it is gone.
    pub(crate) async fn cut(&mut self) {
        use std::os::fd::AsFd;
        if let Err(error) = rustix::net::shutdown(self.link.as_fd(), rustix::net::Shutdown::Both) {
            tracing::debug!(%error, "the lifeline had ended already");
        }
        self.wait_for_end().await;
    }

    /// What to say when the keeper is gone without a word.
    pub(crate) fn died(&mut self) -> Failure {
        let end = match self.keeper.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let mut failure = Failure::new("the keeper ended by itself", end).id(Code::NO_KEEPER);
        let words = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = words.lines().collect();
        for line in &lines[lines.len().saturating_sub(10)..] {
            failure = failure.seen(*line);
        }
        failure.next("toft doctor")
    }
}
