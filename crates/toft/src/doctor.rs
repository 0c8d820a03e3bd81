//! `toft doctor`: what this machine's kernel can hold an app to, and what it lacks.

use crate::failure::{Failure, chain};
use crate::say::{Ink, Screen};
use toft_model::sandbox::Mode;
use toft_sandbox::features::{self, Feature, Features, Need};

/// What this machine's kernel can hold an app to, and what it lacks
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Print for programs
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &DoctorArgs, screen: Screen) -> Result<(), Failure> {
    let found = features::probe();
    if args.json {
        let text = serde_json::to_string(&found)
            .map_err(|error| Failure::new("the findings cannot be written", chain(&error)))?;
        screen.data(&text);
    } else {
        print(&found, screen);
    }
    verdict(&found)
}

fn print(found: &Features, screen: Screen) {
    let rights = match found.mode {
        Mode::Root => "as root: each instance has a user id of its own",
        Mode::User => {
            "as a plain user: all instances share one outer user id; mounts, process tree, network and Landlock separate them"
        }
    };
    screen.data(&format!("kernel {}, {rights}", found.kernel));
    for (need, title) in [
        (Need::Wall, "walls: without one of these nothing starts"),
        (
            Need::Budget,
            "budgets: without these a limit is best effort, or not held",
        ),
        (
            Need::Comfort,
            "more: without these something that a file may ask for is refused",
        ),
    ] {
        screen.data("");
        screen.data(title);
        for feature in found.list.iter().filter(|feature| feature.need == need) {
            print_one(feature, screen);
        }
    }
}

fn print_one(feature: &Feature, screen: Screen) {
    let (ink, mark) = match (feature.there, feature.need) {
        (true, _) => (Ink::Good, "yes"),
        (false, Need::Wall) => (Ink::Bad, "no"),
        (false, _) => (Ink::Busy, "no"),
    };
    let name = feature.name.replace('_', " ");
    screen.data(&screen.row(ink, mark, &format!("{name:<22} {}", feature.found)));
    if let Some(cure) = feature.cure.as_ref().filter(|_| !feature.there) {
        screen.data(&screen.row(Ink::Faint, "", &format!("{:<22} {cure}", "")));
    }
}

/// A machine on which nothing can start is a failure; missing budgets are not.
fn verdict(found: &Features) -> Result<(), Failure> {
    let missing: Vec<&Feature> = found.missing_walls().collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let names: Vec<String> = missing
        .iter()
        .map(|feature| feature.name.replace('_', " "))
        .collect();
    let failure = Failure::new(
        "no app can start on this machine",
        format!("it lacks {}", names.join(", ")),
    );
    Err(failure.next(
        first
            .cure
            .clone()
            .unwrap_or_else(|| "sudo toft setup".to_owned()),
    ))
}
