//! The loop.

use super::Error;
use super::state::{Keeper, Stage, Timer};
use super::token::Token;
use crate::poll::Port;
use crate::system;
use std::time::Duration;
use toft_link::{Link, LinkError};
use toft_model::message::{FromLogger, FromUp, ToUp};

/// How many messages of one sender are taken in one turn.
const MESSAGES_A_TURN: usize = 64;
/// How long killed processes may take to go.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(15);

impl Keeper {
    /// Runs until everything has ended.
    pub(crate) fn run(mut self, up: Link) -> Result<(), Error> {
        let system = |step| move |errno| Error::System { step, errno };
        let port = Port::adopt(up, Token::Lifeline.encode(), &self.poll)
            .map_err(system("wait for the lifeline"))?;
        self.up = Some(port);
        self.start_roles();
        // What came with the first packet woke nobody.
        self.lifeline();
        let mut ready = Vec::new();
        while !self.is_done() {
            let next = self.timers.keys().next().map(|(when, _)| *when);
            let timeout = next.map(|when| when.saturating_duration_since(self.now));
            self.poll
                .wait(timeout, &mut ready)
                .map_err(system("wait for events"))?;
            self.now = system::now();
            for token in ready.drain(..).filter_map(Token::decode) {
                self.handle(token);
            }
            self.fire_timers();
            self.go_on_ending();
        }
        self.leave()
    }

    fn handle(&mut self, token: Token) {
        match token {
            Token::Lifeline => self.lifeline(),
            Token::Signals => {
                let mut info = [0u8; 1024];
                while rustix::io::read(&self.signals, &mut info).is_ok_and(|n| n > 0) {}
                self.end(false);
            }
            Token::Spawner => self.spawner_messages(),
            Token::SpawnerEnd => self.spawner_ended(),
            Token::Logger => self.logger_messages(),
            Token::LoggerEnd => self.logger_ended(),
            Token::Role(role) => self.role_messages(role),
            Token::InstanceEnd(serial) => self.reap(serial),
            Token::Control(serial) => self.run_answers(serial),
        }
    }

    fn lifeline(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            let Some(up) = &mut self.up else { return };
            let received = up.flush(&self.poll).and_then(|()| up.link.recv::<FromUp>());
            match received {
                Ok(Some((FromUp::Bounds(bounds), _))) => self.bounds = bounds,
                Ok(Some((FromUp::End, _))) => self.end(false),
                Ok(None) => return,
                Err(LinkError::Decode(_)) => {}
                Err(_) => {
                    self.poll.remove(&up.link);
                    self.up = None;
                    self.end(true);
                }
            }
        }
    }

    /// Tells `up`, if it is still there.
    pub(super) fn tell_up(&mut self, message: &ToUp) {
        if let Some(up) = &mut self.up {
            // That it is gone is met where its messages are read.
            let _ = up.send(&self.poll, message, vec![]);
        }
    }

    pub(super) fn spawner_messages(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            let Some(spawner) = &mut self.spawner else {
                return;
            };
            let port = &mut spawner.port;
            match port.flush(&self.poll).and_then(|()| port.link.recv()) {
                Ok(Some((message, fds))) => self.spawner_answer(message, fds),
                Ok(None) => return,
                Err(LinkError::Decode(_)) => {}
                // Its end comes by its pidfd; until then its link must not wake us all the time.
                Err(_) => {
                    self.poll.remove(&spawner.port.link);
                    return spawner.kill();
                }
            }
        }
    }

    pub(super) fn logger_messages(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            let Some(logger) = &mut self.logger else {
                return;
            };
            let port = &mut logger.port;
            match port.flush(&self.poll).and_then(|()| port.link.recv()) {
                Ok(Some((FromLogger::Drained(id), _))) => self.drained(&id),
                Ok(None) => return,
                Err(LinkError::Decode(_)) => {}
                Err(_) => {
                    self.poll.remove(&logger.port.link);
                    return logger.kill();
                }
            }
        }
    }

    fn role_messages(&mut self, role: toft_model::message::Role) {
        for _ in 0..MESSAGES_A_TURN {
            let Some(port) = self
                .roles
                .get_mut(&role)
                .and_then(|state| state.port.as_mut())
            else {
                return;
            };
            let more = match port.flush(&self.poll) {
                Ok(()) => self.role_message(role),
                Err(error) => Err(error),
            };
            match more {
                Ok(true) => {}
                Ok(false) => return,
                // Not a message of ours: a role that was taken over may say anything.
                Err(LinkError::Decode(_)) => {}
                Err(_) => return self.drop_role_port(role),
            }
        }
    }

    fn fire_timers(&mut self) {
        while let Some(entry) = self.timers.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            match entry.remove() {
                Timer::Kill(serial) => self.grace_over(serial),
                Timer::DrainLate(serial) => self.drain_late(serial),
                Timer::SweepLate(serial) => self.swept(serial, 0, None),
                Timer::Answers(newest) => self.answers_late(newest),
                Timer::Mute(serial) => self.kill(serial),
                Timer::Start(role) => self.start_role(role),
                Timer::GiveUp => self.not_gone(),
            }
        }
    }

    fn is_done(&self) -> bool {
        match self.stage {
            Stage::Starting | Stage::Running => false,
            Stage::Stopping | Stage::Killing => self.instances.is_empty(),
            Stage::GivenUp => true,
        }
    }
}
