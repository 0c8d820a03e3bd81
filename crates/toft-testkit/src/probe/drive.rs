//! Runs the probes outside and inside of an app, and compares.

use super::scene::Scene;
use super::table::{Row, Table};
use super::{Finding, Targets};
use crate::http;
use crate::inventory;
use crate::stage::{Net, Stage};
use crate::up::{Options, leave_open};
use crate::user::{self, NOBODY, Plain};
use crate::wait;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the app may take until it serves: each probe has its time, and most need none.
const WITHIN: Duration = Duration::from_secs(180);

/// Who starts Toft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Root.
    Root,
    /// A plain user.
    User,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Kind::Root => "root",
            Kind::User => "a plain user",
        }
    }
}

/// What does the work.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The program `toft-probes`, static.
    pub probes: PathBuf,
    /// What stands around the app.
    pub walls: Walls,
}

/// What stands around the app.
#[derive(Debug, Clone)]
pub enum Walls {
    /// `toft up`, with this binary.
    Toft(PathBuf),
    /// bubblewrap with everything unshared: to see that the driver itself works, and to compare.
    Bubblewrap,
}

/// Drives all probes for these kinds of user, and returns the table.
pub fn drive(tools: &Tools, kinds: &[Kind]) -> Result<Table> {
    let mut table = Table::default();
    for &kind in kinds {
        // Each run on a thread, and so a stage, of its own.
        let tools = tools.clone();
        let run = std::thread::spawn(move || one(&tools, kind)).join();
        let rows = run.map_err(|_| anyhow::anyhow!("the run as {} broke", kind.words()))?;
        table.runs.push((
            kind.words().to_owned(),
            rows.with_context(|| format!("as {}", kind.words()))?,
        ));
    }
    Ok(table)
}

fn one(tools: &Tools, kind: Kind) -> Result<Vec<Row>> {
    ensure!(
        user::is_root(),
        "the probes' targets are set up by root: run this as root"
    );
    let stage = Stage::new(Net::Machine)?;
    let before = stage.inventory()?;
    let rows = {
        let mut plain = match kind {
            Kind::Root => None,
            Kind::User => Some(Plain::new(stage.dir(), NOBODY)?),
        };
        let program = shown(&mut plain, &tools.probes)?;
        let scene = Scene::new(stage.dir(), &tools.probes, &program, plain.as_ref())?;
        let outside = outside(stage.dir(), &scene, &program, plain.as_ref())?;
        write_app(&scene, &tools.probes, plain.as_ref())?;
        let inside = match &tools.walls {
            Walls::Toft(toft) => inside_toft(&scene, &shown(&mut plain, toft)?, plain.as_ref())?,
            Walls::Bubblewrap => inside_bubblewrap(&scene, plain.as_ref())?,
        };
        compare(outside, inside, kind)?
    };
    let left = || -> Option<Vec<String>> {
        let left = inventory::diff(&before, &stage.inventory().ok()?);
        Some(
            left.into_iter()
                .filter(|line| line.starts_with("+ process"))
                .collect(),
        )
    };
    let gone = || left().filter(Vec::is_empty);
    wait::until(
        Duration::from_secs(30),
        "the end of the probes' processes",
        gone,
    )
    .with_context(|| format!("left behind: {:?}", left().unwrap_or_default()))?;
    Ok(rows)
}

/// The path at which the user finds it.
fn shown(plain: &mut Option<Plain>, path: &Path) -> Result<PathBuf> {
    match plain {
        Some(plain) => plain.show(path),
        None => Ok(path.to_owned()),
    }
}

fn compare(outside: Vec<Finding>, inside: Vec<Finding>, kind: Kind) -> Result<Vec<Row>> {
    let mut results: BTreeMap<String, _> = inside.into_iter().map(|f| (f.name, f.got)).collect();
    let rows = outside.into_iter().map(|finding| {
        let got = results.remove(&finding.name);
        Row::new(finding, got, kind == Kind::User)
    });
    let rows = rows.collect();
    ensure!(
        results.is_empty(),
        "probes that ran inside only: {:?}",
        results.keys()
    );
    Ok(rows)
}

/// Outside: as the same kind of user, with no wall at all.
fn outside(
    dir: &Path,
    scene: &Scene,
    program: &Path,
    plain: Option<&Plain>,
) -> Result<Vec<Finding>> {
    let targets = dir.join("outside.json");
    write_targets(&targets, &scene.targets)?;
    let mut command = plain.map_or_else(|| Command::new(program), |plain| plain.command(program));
    command.arg("run").arg(&targets);
    let _folder = leave_open(&mut command, &scene.targets.closet)?;
    findings(command)
}

fn write_targets(path: &Path, targets: &Targets) -> Result<()> {
    fs::write(path, serde_json::to_vec_pretty(targets)?)
        .with_context(|| format!("write {}", path.display()))
}

fn findings(mut command: Command) -> Result<Vec<Finding>> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("run the probes")?;
    if !output.status.success() {
        bail!("the probes ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("read what the probes found")
}

/// The app: the probe program, its targets, and two declared folders.
fn write_app(scene: &Scene, program: &Path, plain: Option<&Plain>) -> Result<()> {
    let app = &scene.targets.app;
    fs::copy(program, app.join("toft-probes"))?;
    write_targets(&app.join("targets.json"), &scene.seen_from_inside())?;
    fs::write(app.join("toft.toml"), APP_FILE)?;
    if let Some(plain) = plain {
        for own in ["toft-probes", "targets.json", "toft.toml"] {
            plain.give(&app.join(own))?;
        }
        // The folder itself, for the state; the set-uid program in it stays root's.
        std::os::unix::fs::chown(app, Some(plain.uid()), Some(plain.uid()))?;
    }
    Ok(())
}

const APP_FILE: &str = r#"
app = "probes"

[process.web]
run = "./toft-probes serve targets.json 8080"
use = []
ready_within = "3m"

[process.web.listen]
http = 8080

[process.web.files]
"/srv/spool" = "write:./spool"
"/srv/suid" = "read:./suid"

[process.web.limits]
memory = "256MiB"
pids = 64
"#;

fn inside_toft(scene: &Scene, toft: &Path, plain: Option<&Plain>) -> Result<Vec<Finding>> {
    let port = http::free_port()?;
    let app = &scene.targets.app;
    let mut up = Options::up(toft, app, port)
        .by(plain)
        .leaving_open(&scene.targets.closet)
        .start()?;
    let url = up.url(WITHIN)?;
    let answer = http::get(&url)?;
    ensure!(
        answer.status == 200,
        "the app answered {}: {}",
        answer.status,
        answer.text()
    );
    let found =
        serde_json::from_slice(&answer.body).context("read what the probes found inside")?;
    up.end(Duration::from_secs(30))?;
    Ok(found)
}

fn inside_bubblewrap(scene: &Scene, plain: Option<&Plain>) -> Result<Vec<Finding>> {
    let mut command = plain.map_or_else(
        || Command::new("bwrap"),
        |plain| plain.command("/usr/bin/bwrap"),
    );
    let app = &scene.targets.app;
    command.args([
        "--unshare-all",
        "--die-with-parent",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",
    ]);
    command.arg("--ro-bind").arg(app).arg("/app");
    command
        .arg("--bind")
        .arg(app.join("spool"))
        .arg("/srv/spool");
    command
        .arg("--ro-bind")
        .arg(app.join("suid"))
        .arg("/srv/suid");
    command.args(["--chdir", "/app", "./toft-probes", "run", "targets.json"]);
    findings(command)
}
