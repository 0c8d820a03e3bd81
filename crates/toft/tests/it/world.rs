//! Where these tests play: a stage, a user, and folders with apps.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use toft_testkit::inventory::Inventory;
use toft_testkit::skipped;
use toft_testkit::stage::{Net, Stage};
use toft_testkit::up::Options;
use toft_testkit::user::{self, NOBODY, Plain};

/// How long anything may take that takes a moment on a quiet machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long a build may take.
pub(crate) const BUILT: Duration = Duration::from_secs(180);
/// The port that `toft up` serves on when nothing else is said.
const PORT: u16 = 8080;

/// One test's piece of the machine, for one kind of user.
pub(crate) struct World {
    /// The stage.
    pub(crate) stage: Stage,
    /// The user; none: oneself.
    plain: Option<Plain>,
    binary: PathBuf,
    folders: PathBuf,
    port: u16,
}

/// Plays a test as root and as a plain user, or as whoever runs the tests.
///
/// One at a time: descendants of a process are all alike.
pub(crate) fn both(play: fn(&World) -> Result<()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let users = if user::is_root() {
        vec![true, false]
    } else {
        skipped("only the plain user's side: the tests do not run as root");
        vec![false]
    };
    for root in users {
        let who = if root { "root" } else { "a plain user" };
        // A stage belongs to a thread for the rest of its life.
        let played = std::thread::spawn(move || play(&World::new(root)?)).join();
        match played {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("as {who}: {error:?}"),
            Err(panicked) => std::panic::resume_unwind(panicked),
        }
    }
}

impl World {
    fn new(root: bool) -> Result<Self> {
        let stage = Stage::new(Net::Own)?;
        // A copy, so that a build beside the tests does not pull it away from under them.
        let mut binary = stage.dir().join("toft");
        fs::copy(env!("CARGO_BIN_EXE_toft"), &binary).context("copy the binary")?;
        let mut folders = stage.dir().join("folders");
        let mut plain = None;
        if !root && user::is_root() {
            let mut user = Plain::new(stage.dir(), NOBODY)?;
            binary = user.show(&binary)?;
            plain = Some(user);
        }
        fs::create_dir(&folders)?;
        if root {
            // As below /root: a folder that only root may enter.
            fs::set_permissions(&folders, fs::Permissions::from_mode(0o700))?;
            folders = folders.join("projects");
            fs::create_dir(&folders)?;
        }
        let port = if stage.is_private() {
            PORT
        } else {
            toft_testkit::http::free_port()?
        };
        Ok(Self {
            stage,
            plain,
            binary,
            folders,
            port,
        })
    }

    /// Whether Toft runs as root here.
    pub(crate) fn is_root(&self) -> bool {
        user::is_root() && self.plain.is_none()
    }

    /// Where the copy of an app of this name lies.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folders.join(name)
    }

    /// A copy of an example of the project.
    pub(crate) fn example(&self, name: &str) -> Result<PathBuf> {
        self.copy(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../examples")
                .join(name),
            name,
        )
    }

    /// A copy of one of the tests' own apps.
    pub(crate) fn app(&self, name: &str) -> Result<PathBuf> {
        self.copy(
            &Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/apps")
                .join(name),
            name,
        )
    }

    fn copy(&self, from: &Path, name: &str) -> Result<PathBuf> {
        let to = self.folders.join(name);
        copy_tree(from, &to).with_context(|| format!("copy {}", from.display()))?;
        self.own(&to)?;
        Ok(to)
    }

    /// Gives a file or folder to the user who runs Toft.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        match &self.plain {
            Some(plain) => plain.give(path),
            None => Ok(()),
        }
    }

    /// Writes a file as the user who runs Toft: what an editor does when one saves.
    pub(crate) fn save(&self, path: &Path, text: &str) -> Result<()> {
        let aside = path.with_extension("swp");
        fs::write(&aside, text).with_context(|| format!("write {}", aside.display()))?;
        self.own(&aside)?;
        Ok(fs::rename(&aside, path)?)
    }

    /// `toft up FOLDER`, at the usual port where that is this test's own.
    pub(crate) fn up(&self, folder: &Path) -> Options<'_> {
        let mut options = self.up_at(folder, self.port);
        if self.port == PORT {
            options.args.truncate(2);
        }
        options
    }

    /// `toft up FOLDER --http PORT`.
    pub(crate) fn up_at(&self, folder: &Path, port: u16) -> Options<'_> {
        Options::up(&self.binary, folder, port).by(self.plain.as_ref())
    }

    /// `toft up FOLDER --offset 100`, at the port that this means where that is this test's own.
    pub(crate) fn up_offset(&self, folder: &Path) -> Result<Options<'_>> {
        let options = if self.port == PORT {
            self.up(folder)
        } else {
            self.up_at(folder, toft_testkit::http::free_port()?)
        };
        Ok(options.args(["--offset", "100"]))
    }

    /// What is there before anything was done.
    pub(crate) fn before(&self) -> Result<Inventory> {
        self.stage.inventory()
    }

    /// Waits until nothing is left.
    pub(crate) fn nothing_left(&self, before: &Inventory) -> Result<()> {
        self.stage.wait_equal(before, SOON)
    }
}

/// Copies a tree without what building it has made.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if ["target", "lib", ".toft", "__pycache__"]
            .iter()
            .any(|made| name == *made)
        {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to.join(name))?;
        } else {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
