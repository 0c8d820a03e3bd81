//! What `toft up` says of an app that did not come up: what happened, what was seen, what to do.

use crate::failure::Failure;
use toft_model::app::{AppSpec, Restart};
use toft_model::code::Code;
use toft_model::event::What;
use toft_model::instance::{End, Listening, Outcome};
use toft_model::sandbox::Enforcer;
use toft_model::table::Check;
use toft_model::unit::duration_text;
use toft_model::{InstanceId, ProcessName};

/// What is known of the app when something goes wrong.
pub(crate) struct Around<'a> {
    /// Its file.
    pub(crate) spec: &'a AppSpec,
    /// Budgets that no cgroup holds here, and what holds them instead.
    pub(crate) weak: &'a [(String, Enforcer)],
    /// The command line that builds, for people.
    pub(crate) build: Option<String>,
}

/// The failure behind an event; `None` for what goes as it should.
pub(crate) fn failure(around: &Around<'_>, what: &What) -> Option<Failure> {
    let code = Code::of(what)?;
    if is_done(around, what) {
        return None;
    }
    let failure = match what {
        What::Refused { instance, refusal } => {
            let failure = Failure::new(
                format!(
                    "{} could not be started: {}",
                    instance.short(),
                    refusal.step
                ),
                refusal.cause.clone(),
            );
            match &refusal.cure {
                Some(cure) => failure.next(cure.clone()),
                None => failure.next("toft doctor"),
            }
        }
        What::Exited {
            instance,
            outcome,
            last,
        } => ended(around, instance, outcome, last),
        What::RunEnded { outcome, last, .. } => build(around, outcome, last),
        What::Late {
            instance,
            probe,
            listening,
            last,
        } => {
            let within = duration_text(process(around, &instance.process)?.ready_within);
            let failure = Failure::new(
                format!("{} was not ready within {within}", instance.short()),
                probe.clone(),
            );
            let failure = sockets(around, failure, instance, listening.as_ref());
            said(failure, last)
        }
        _ => return None,
    };
    Some(failure.id(code))
}

/// A line while an instance is taking its time, and what to do when the reason is plain.
pub(crate) fn waiting(
    around: &Around<'_>,
    instance: &InstanceId,
    probe: &str,
    listening: Option<&Listening>,
) -> Vec<String> {
    let mut lines = vec![format!("{} is not ready: {probe}", instance.short())];
    if let Some(heard) = listening
        && let Some(port) = wanted_port(around, &instance.process)
        && !heard.tcp.iter().any(|address| address.port() == port)
    {
        lines.push(if heard.tcp.is_empty() {
            "it listens on nothing yet".to_owned()
        } else {
            format!("it listens on {}, the file says {port}", list(heard))
        });
        if let [only] = distinct_ports(heard)[..] {
            lines.push(cure_port(around, &instance.process, only, port));
        }
    }
    lines
}

/// Whether a program that is meant to end has ended well.
fn is_done(around: &Around<'_>, what: &What) -> bool {
    let What::Exited {
        instance, outcome, ..
    } = what
    else {
        return false;
    };
    let never = process(around, &instance.process).is_some_and(|p| p.restart == Restart::Never);
    never && outcome.end == End::Code(0)
}

/// One line on budgets that are best effort here.
pub(crate) fn best_effort(budgets: &[(String, Enforcer)]) -> String {
    let held: Vec<String> = budgets
        .iter()
        .map(|(name, held)| match (held, name.as_str()) {
            (Enforcer::Rlimit, "memory") => {
                "memory for each process alone (RLIMIT_DATA)".to_owned()
            }
            (Enforcer::Rlimit, "pids") => "pids by RLIMIT_NPROC".to_owned(),
            (Enforcer::Nothing, name) => format!("{name} by nothing"),
            (_, name) => name.to_owned(),
        })
        .collect();
    format!(
        "budgets are best effort here: {} (toft doctor says why)",
        held.join(", ")
    )
}

fn process<'a>(
    around: &Around<'a>,
    name: &ProcessName,
) -> Option<&'a toft_model::app::ProcessSpec> {
    around.spec.processes.get(name)
}

/// The port that readiness is tried on.
fn wanted_port(around: &Around<'_>, name: &ProcessName) -> Option<u16> {
    let spec = process(around, name)?;
    match &spec.ready {
        Some(Check::Tcp { port } | Check::Http { port, .. }) => Some(*port),
        Some(Check::Notify | Check::Command { .. }) => None,
        None => spec.first_tcp().map(|(_, port)| port),
    }
}

fn list(listening: &Listening) -> String {
    listening
        .tcp
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

fn distinct_ports(listening: &Listening) -> Vec<u16> {
    let mut ports: Vec<u16> = listening
        .tcp
        .iter()
        .map(std::net::SocketAddr::port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn cure_port(around: &Around<'_>, name: &ProcessName, only: u16, wanted: u16) -> String {
    let label = process(around, name)
        .and_then(|p| p.first_tcp())
        .map_or_else(|| "http".to_owned(), |(label, _)| label.to_string());
    format!(
        "write `{label} = {only}` under [process.{name}.listen], or let the program bind {wanted} (it has it in PORT)"
    )
}

fn sockets(
    around: &Around<'_>,
    failure: Failure,
    instance: &InstanceId,
    listening: Option<&Listening>,
) -> Failure {
    let Some(port) = wanted_port(around, &instance.process) else {
        return failure.next(format!(
            "make it say so in time, or raise ready_within under [process.{}]",
            instance.process
        ));
    };
    match listening {
        None => failure.next(format!(
            "raise ready_within under [process.{}], if it needs longer",
            instance.process
        )),
        Some(heard) if heard.tcp.is_empty() => failure
            .seen("it listens on nothing")
            .next(format!("let the program bind {port} (it has it in PORT)")),
        Some(heard) => {
            let failure = failure.seen(format!("it listens on {}", list(heard)));
            match distinct_ports(heard)[..] {
                [only] if only != port => {
                    failure.next(cure_port(around, &instance.process, only, port))
                }
                _ => failure.next(format!(
                    "see what it answers on port {port}, or change `ready` under [process.{}]",
                    instance.process
                )),
            }
        }
    }
}

fn ended(
    around: &Around<'_>,
    instance: &InstanceId,
    outcome: &Outcome,
    last: &[String],
) -> Failure {
    let name = instance.short();
    let lived = duration_words(outcome.lived);
    let limit = process(around, &instance.process).and_then(|p| p.limits.memory);
    let failure = if outcome.oom_kills > 0 {
        let limit = limit.map_or_else(
            || "its memory".to_owned(),
            |bytes| format!("its memory limit of {bytes}"),
        );
        Failure::new(
            format!("{name} ran out of memory after {lived}"),
            format!(
                "the kernel killed in it because {limit} was full ({})",
                outcome.end
            ),
        )
        .next(format!(
            "raise memory under [process.{}.limits], or find what grows",
            instance.process
        ))
    } else {
        Failure::new(
            format!("{name} ended by itself after {lived}"),
            why(outcome.end),
        )
        .next(next_after_end(around, instance, outcome.end))
    };
    let by_rlimit = around
        .weak
        .iter()
        .any(|(name, held)| name == "memory" && *held == Enforcer::Rlimit);
    let failure = match (limit, by_rlimit) {
        (Some(bytes), true) if outcome.oom_kills == 0 && !matches!(outcome.end, End::Code(0)) => failure.seen(
            format!("memory is held to {bytes} per process by RLIMIT_DATA here: what does not fit is refused to the program, nothing is killed"),
        ),
        _ => failure,
    };
    said(failure, last)
}

fn why(end: End) -> String {
    match end {
        End::Code(0) => "exit code 0: the program thinks that it is done; a process of an app is expected to stay".to_owned(),
        End::Code(126) => "exit code 126: the program was found but cannot be executed".to_owned(),
        End::Code(127) => "exit code 127: the program or something that it needs was not found".to_owned(),
        End::Signal(31) => "signal 31 (SYS): it made a system call of a foreign architecture, which the sandbox forbids".to_owned(),
        other => other.to_string(),
    }
}

fn next_after_end(around: &Around<'_>, instance: &InstanceId, end: End) -> String {
    match end {
        End::Code(0) => format!(
            "let the program stay in the foreground, or write restart = \"never\" under [process.{}]",
            instance.process
        ),
        End::Code(126) => {
            "make it executable (chmod +x), and let a script begin with its interpreter (#!/bin/sh)"
                .to_owned()
        }
        End::Code(127) => {
            let command =
                process(around, &instance.process).map_or_else(String::new, |p| p.run.to_string());
            format!("check `run = \"{command}\"` and the `use` sets: toft use list")
        }
        _ => "correct the program and save: it is started again".to_owned(),
    }
}

fn build(around: &Around<'_>, outcome: &Outcome, last: &[String]) -> Failure {
    let command = around
        .build
        .clone()
        .unwrap_or_else(|| "the build".to_owned());
    let failure = Failure::new(format!("`{command}` failed"), outcome.end.to_string())
        .next("correct it and save: it is built again");
    if last.is_empty() {
        failure.seen("it said nothing")
    } else {
        failure
    }
}

fn said(failure: Failure, last: &[String]) -> Failure {
    const SHOWN: usize = 8;
    if last.is_empty() {
        return failure.seen("it said nothing");
    }
    let from = last.len().saturating_sub(SHOWN);
    let mut text = String::from("its last lines:");
    for line in &last[from..] {
        text.push_str("\n  ");
        toft_observe::render::safe(line.as_bytes(), false, &mut text);
    }
    failure.seen(text)
}

/// A span as people say it: `12 ms`, `3.4 s`.
pub(crate) fn duration_words(span: std::time::Duration) -> String {
    let ms = span.as_millis();
    if ms < 1000 {
        format!("{ms} ms")
    } else {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
