//! What the file declares, what it refers to, and whether the one has the other.
//!
//! Declarations count as soon as their name is written, also where their bodies have mistakes, so
//! that one mistake does not make another out of each reference.

use crate::decoder::Decoder;
use crate::mistake::Mistake;
use crate::near::nearest;
use crate::source::Place;
use std::collections::{BTreeMap, BTreeSet};
use toft_model::app::{AppSpec, FileGrant, ListenOn};

/// Declarations and references.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) processes: BTreeMap<String, Place>,
    pub(crate) volumes: BTreeMap<String, Place>,
    pub(crate) schedules: BTreeMap<String, Place>,
    /// By process and label; `None` where what it listens on has a mistake.
    pub(crate) doors: BTreeMap<(String, String), (Place, Option<ListenOn>)>,
    /// Processes whose doors could not be read at all.
    pub(crate) unreadable: BTreeSet<String>,
    pub(crate) references: Vec<Reference>,
}

/// A name that must be declared.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) at: Place,
    pub(crate) to: Target,
}

/// What is referred to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Process(String),
    Volume(String),
    Schedule(String),
    Door {
        process: String,
        door: String,
        door_at: Place,
        wanted: Wanted,
    },
}

/// Which doors will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any.
    Any,
    /// One that takes connections.
    Stream,
    /// One for datagrams.
    Datagrams,
    /// A unix socket.
    Unix,
}

impl Wanted {
    fn takes(self, on: &ListenOn) -> bool {
        match self {
            Self::Any => true,
            Self::Stream => !matches!(on, ListenOn::Udp { .. }),
            Self::Datagrams => matches!(on, ListenOn::Udp { .. }),
            Self::Unix => matches!(on, ListenOn::Unix { .. }),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Any => "a door",
            Self::Stream => "a door for TCP or a unix socket",
            Self::Datagrams => "a door for UDP",
            Self::Unix => "a door on a unix socket",
        }
    }
}

impl Decoder<'_> {
    pub(crate) fn refer(&mut self, at: Place, to: Target) {
        self.index.references.push(Reference { at, to });
    }

    /// Looks every reference up, once everything was read.
    pub(crate) fn resolve(&mut self) {
        for Reference { at, to } in std::mem::take(&mut self.index.references) {
            let index = &self.index;
            let found = match &to {
                Target::Process(name) => declared(at, "process", name, &index.processes),
                Target::Volume(name) => {
                    declared(at, "volume", name, &index.volumes).map(|mistake| {
                        match mistake.instead {
                            Some(_) => mistake,
                            None => mistake.help(format!("declare it: `[volume.{name}]`")),
                        }
                    })
                }
                Target::Schedule(name) => declared(at, "schedule", name, &index.schedules),
                Target::Door {
                    process,
                    door,
                    door_at,
                    wanted,
                } => index.door(at, process, door, *door_at, *wanted),
            };
            self.mistakes.extend(found);
        }
    }
}

fn declared(at: Place, what: &str, name: &str, all: &BTreeMap<String, Place>) -> Option<Mistake> {
    if all.contains_key(name) {
        return None;
    }
    let mistake = Mistake::missing_target(at, what, name);
    let near = nearest(name, all.keys().map(String::as_str));
    Some(if near.is_some() {
        mistake.meant(near)
    } else {
        mistake.help_if(list(what, all.keys()))
    })
}

fn list<'k>(what: &str, names: impl Iterator<Item = &'k String>) -> Option<String> {
    let names: Vec<String> = names.take(12).map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("the only {what} is {one}")),
        _ => Some(format!("there are {}", names.join(", "))),
    }
}

impl Index {
    fn door(
        &self,
        at: Place,
        process: &str,
        door: &str,
        door_at: Place,
        wanted: Wanted,
    ) -> Option<Mistake> {
        if let Some(mistake) = declared(at, "process", process, &self.processes) {
            return Some(mistake);
        }
        let key = (process.to_owned(), door.to_owned());
        match self.doors.get(&key) {
            Some((declared_at, Some(on))) if !wanted.takes(on) => Some(
                Mistake::contradiction(
                    door_at,
                    format!("`{process}/{door}` is not {}", wanted.words()),
                    "leads here",
                )
                .also(*declared_at, format!("it listens on `{on}`")),
            ),
            Some(_) => None,
            None if self.unreadable.contains(process) => None,
            None => Some(self.no_door(process, door, door_at)),
        }
    }

    fn no_door(&self, process: &str, door: &str, at: Place) -> Mistake {
        let labels: Vec<&String> = self
            .doors
            .keys()
            .filter(|(owner, _)| owner == process)
            .map(|(_, label)| label)
            .collect();
        let mistake = Mistake::missing_target(at, "door", &format!("{process}/{door}"));
        if labels.is_empty() {
            let help = format!(
                "`{process}` has no doors; give it one: `[process.{process}.listen]` with `{door} = 8080`"
            );
            return mistake.help(help);
        }
        let near = nearest(door, labels.iter().map(|label| label.as_str()));
        if near.is_some() {
            mistake.meant(near)
        } else {
            mistake.help_if(list("door", labels.into_iter()))
        }
    }
}

impl Decoder<'_> {
    /// Warns of volumes that no process has.
    pub(crate) fn unused_volumes(&mut self, spec: Option<&AppSpec>) {
        let Some(spec) = spec else { return };
        for name in spec.volumes.keys() {
            let uses =
                |grant: &FileGrant| matches!(grant, FileGrant::Volume(volume) if volume == name);
            if spec
                .processes
                .values()
                .any(|process| process.files.values().any(uses))
            {
                continue;
            }
            if let Some(at) = self.index.volumes.get(name.as_str()) {
                let help = format!(
                    "give it to a process: `[process.NAME.files]` with `\"/data\" = \"volume:{name}\"`"
                );
                self.warnings.push(
                    Mistake::unused(*at, format!("no process has the volume `{name}`")).help(help),
                );
            }
        }
    }
}
