//! `toft use`: named sets of the machine's files that an app may be shown.

use crate::failure::{Failure, chain};
use crate::say::{Ink, Screen};
use std::path::Path;
use toft_code::sets::{self, Host};
use toft_model::sandbox::{Mount, Source};

/// Named sets of the machine's files that an app may be shown
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct UseArgs {
    #[command(subcommand)]
    verb: UseVerb,
    /// Print for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum UseVerb {
    /// All sets that have a name of their own
    List,
    /// What a set comes to on this machine
    Show {
        /// Its name: python3, debian:postgresql-15
        name: String,
    },
}

pub(crate) fn run(args: &UseArgs, screen: Screen) -> Result<(), Failure> {
    match &args.verb {
        UseVerb::List => {
            list(args.json, screen);
            Ok(())
        }
        UseVerb::Show { name } => show(name, args.json, screen),
    }
}

fn list(json: bool, screen: Screen) {
    let all = sets::list();
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|set| serde_json::json!({ "name": set.name, "words": set.words }))
            .collect();
        return screen.data(&serde_json::Value::from(rows).to_string());
    }
    let width = all.iter().map(|set| set.name.len()).max().unwrap_or(0);
    for set in all {
        screen.data(&format!("{:width$}  {}", set.name, set.words));
    }
}

fn show(name: &str, json: bool, screen: Screen) -> Result<(), Failure> {
    let toft = std::env::current_exe()
        .map_err(|error| Failure::new("this program cannot find its own path", chain(&error)))?;
    let host = Host::here(Path::new("/"), &toft);
    let found = sets::show(&host, name).map_err(|error| {
        let failure = Failure::new(
            format!("the set `{name}` cannot be had here"),
            chain(&error),
        );
        match error.cure() {
            Some(cure) => failure.next(cure),
            None => failure,
        }
    })?;
    if json {
        screen.data(
            &serde_json::json!({
                "name": name,
                "mounts": found.mounts,
                "path": found.path,
                "env": found.env,
                "build_env": found.build_env,
                "notes": found.notes,
            })
            .to_string(),
        );
        return Ok(());
    }
    for mount in &found.mounts {
        screen.data(&line(mount));
    }
    for (key, value) in found.env.iter().chain(&found.build_env) {
        screen.data(&format!("{key}={value}"));
    }
    for note in &found.notes {
        screen.step(Ink::Faint, "note", note);
    }
    Ok(())
}

/// `inside` alone when it is the same outside.
fn line(mount: &Mount) -> String {
    let inside = mount.target.display();
    match &mount.source {
        Source::Bind { path, .. } if *path == mount.target => inside.to_string(),
        Source::Bind { path, .. } => format!("{inside}  from {}", path.display()),
        Source::Link { to } => format!("{inside}  -> {}", to.display()),
        Source::File { contents } => {
            format!("{inside}  a file of {} bytes made for it", contents.len())
        }
        Source::Dir => format!("{inside}/  empty"),
        Source::Scratch { size, .. } => format!("{inside}/  scratch of {size}"),
    }
}
