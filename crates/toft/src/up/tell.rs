//! What people are told while `toft up` works: events, log lines, and what is served.

use super::answers::first_answer;
use super::code::Changes;
use super::order;
use super::turn::{Up, now};
use super::words::{self, Around, duration_words};
use crate::failure::Failure;
use crate::say::Ink;
use std::time::Duration;
use toft_agent::resolve::local_host;
use toft_api::LogLine;
use toft_model::code::Code;
use toft_model::event::{Event, What};
use toft_model::frame::{Flags, Frame, Head, Stream};
use toft_observe::render::{self, Look};

/// How long the log may be silent before an end is told after its last lines.
const LOG_QUIET: Duration = Duration::from_millis(60);

impl Up {
    pub(super) fn tell(&mut self, changes: &Changes, first: bool) {
        self.note(changes.notes());
        if !first && !changes.is_empty() {
            self.screen.step(Ink::Faint, "saved", &changes.words());
        }
    }

    /// Says each thing once in the life of this command.
    pub(super) fn note(&mut self, notes: Vec<String>) {
        for note in notes {
            if self.noted.insert(note.clone()) {
                self.screen.step(Ink::Faint, "note", &note);
            }
        }
    }

    pub(super) async fn happened(&mut self, event: Event) {
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
                let process = self.project.spec.processes.get(&instance.process);
                let probed = process.is_some_and(|p| p.ready.is_some() || p.first_tcp().is_some());
                let (word, line) = if probed {
                    let after = duration_words(Duration::from_millis(after_ms));
                    ("ready", format!("{} after {after}", instance.short()))
                } else {
                    ("running", instance.short())
                };
                self.screen.step(Ink::Good, word, &line);
            }
            What::Cut { instance, reason } => {
                let line = format!("{} is stopped although {reason}", instance.short());
                self.screen.step(Ink::Bad, "cut", &line);
            }
            What::Exited {
                instance, outcome, ..
            } if failure.is_none() && !outcome.asked => {
                let line = format!(
                    "{} after {}",
                    instance.short(),
                    duration_words(outcome.lived)
                );
                self.screen.step(Ink::Good, "done", &line);
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
    pub(super) fn keeps(&self) {
        let (word, line) = if self.served {
            ("kept", "the one before goes on serving; save to try again")
        } else {
            (
                "waiting",
                "nothing is served; save to try again, Ctrl-C to end",
            )
        };
        self.screen.step(Ink::Faint, word, line);
    }

    /// Prints what the log still has, so that an end is told after the lines before it.
    pub(super) async fn drain_log(&mut self) {
        while let Ok(Ok(Some(line))) = tokio::time::timeout(LOG_QUIET, self.lines.next()).await {
            self.print(&line);
        }
    }

    pub(super) async fn serving(&mut self) {
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
        if std::mem::take(&mut self.again) && self.served {
            let line = "the new server has taken over";
            return self.screen.step(Ink::Faint, "note", line);
        }
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

    pub(super) fn print(&self, line: &LogLine) {
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
}
