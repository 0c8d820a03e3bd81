//! The state folder of one `toft up`, and the code in it: the copy that builds run in, the trees that
//! releases are made of, and the watch over the project's own folder.

use super::project::Project;
use crate::failure::{Failure, chain};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use toft_code::copy::{Changes as Synced, Collected, Watcher, collect_until, prune, sync_until};
use toft_code::shown;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How many trees of earlier releases are kept beside the newest.
const TREES_KEPT: usize = 3;
/// Folders of the state folder; the ones that belong to roles are made by the keeper.
const FOLDERS: [&str; 6] = ["code", "home", "logs", "sets", "volumes", "work"];

/// `.toft/at-OFFSET`.
pub(crate) struct State {
    /// Its path, absolute.
    pub(crate) folder: PathBuf,
    trees: Vec<String>,
    /// The build of this session did not end well, or has not been tried.
    stale: bool,
}

/// What a sync took over.
pub(crate) struct Changes(Synced);

impl Changes {
    /// Nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was passed over, and why.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.0.notes.iter().map(ToString::to_string).collect()
    }

    /// `app.py`, or `app.py and 3 more`.
    pub(crate) fn words(&self) -> String {
        let paths = || {
            self.0
                .changed
                .iter()
                .chain(&self.0.added)
                .chain(&self.0.removed)
        };
        match (paths().next(), paths().count()) {
            (None, _) => "nothing".to_owned(),
            (Some(path), 1) => shown::path(path).to_string(),
            (Some(path), count) => format!("{} and {} more", shown::path(path), count - 1),
        }
    }

    fn touches(&self, path: &Path) -> bool {
        [&self.0.added, &self.0.changed, &self.0.removed]
            .into_iter()
            .flatten()
            .any(|p| p == path)
    }
}

impl State {
    /// Makes the folder if it is not there. `.toft` hides itself from version control.
    pub(crate) fn open(project: &Path, offset: u16) -> Result<Self, Failure> {
        let top = project.join(".toft");
        let folder = top.join(format!("at-{offset}"));
        let failed = |error: std::io::Error| {
            Failure::new(
                format!("{} cannot be made", folder.display()),
                chain(&error),
            )
            .next("toft up keeps its state beside the code: run it where you may write")
        };
        // None of them may be a link: a project that brings its own could lead anywhere by it.
        let own = [&top, &folder].into_iter().cloned();
        for path in own.chain(FOLDERS.map(|name| folder.join(name))) {
            toft_code::own::folder(&path).map_err(failed)?;
        }
        // What a build leaves stands on disk under the caller's own name, with whatever rights the
        // build gave it: nobody else is to reach it.
        std::fs::set_permissions(&top, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let ignore = top.join(".gitignore");
        if ignore.symlink_metadata().is_err() {
            std::fs::File::create(&ignore)
                .and_then(|mut file| file.write_all(b"*\n"))
                .map_err(failed)?;
        }
        Ok(Self {
            folder,
            trees: Vec::new(),
            stale: true,
        })
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Begins to watch the project's folder.
    pub(crate) fn watch(&self, project: &Path) -> Result<Saves, Failure> {
        let watcher = Watcher::new(project).map_err(|error| {
            let failure = Failure::new("saves cannot be seen", chain(&error));
            match error.cure() {
                Some(cure) => failure.next(cure),
                None => failure,
            }
        })?;
        Saves::new(watcher)
    }

    /// Takes over what changed in the project's folder. The work is handed back, to be done beside the event loop.
    pub(crate) fn sync(
        &self,
        project: &Project,
    ) -> impl FnOnce(&AtomicBool) -> Result<Changes, Failure> + use<> {
        let (folder, work) = (project.folder.clone(), self.path("work"));
        move |stop| {
            sync_until(&folder, &work, None, stop)
                .map(Changes)
                .map_err(|error| {
                    Failure::new("the code could not be copied for the build", chain(&error))
                        .next("let it be read, or move it out of the folder")
                })
        }
    }

    /// Whether what the build made may not fit the sources any more.
    pub(crate) fn must_build(&self, project: &Project, changes: &Changes) -> bool {
        let Some(reads) = &project.build_reads else {
            return true;
        };
        let touched = !changes.is_empty() && reads.iter().any(|path| changes.touches(path));
        touched
            || (self.stale
                && std::fs::read_to_string(self.path("built")).ok() != self.stamp(project))
    }

    /// What a finished build is known by: its command and the contents of what it reads.
    fn stamp(&self, project: &Project) -> Option<String> {
        let build = project.spec.build.as_ref()?;
        let mut stamp = format!("{}\n", build.run);
        for path in project.build_reads.as_deref().unwrap_or_default() {
            stamp.push_str(
                &std::fs::read_to_string(self.path("work").join(path)).unwrap_or_default(),
            );
            stamp.push('\0');
        }
        Some(stamp)
    }

    /// The build ended well: it need not be done again before something that it reads changes.
    pub(crate) fn build_succeeded(&mut self, project: &Project) {
        self.stale = false;
        if let Some(stamp) = self.stamp(project) {
            // Without the stamp the next session builds once more than it has to.
            let _ = std::fs::write(self.path("built"), stamp);
        }
    }

    /// The build failed or was cut off.
    pub(crate) fn build_failed(&mut self) {
        self.stale = true;
        let _ = std::fs::remove_file(self.path("built"));
    }

    /// Makes the tree of a release from what the build left.
    pub(crate) fn collect(
        &self,
        project: &Project,
    ) -> impl FnOnce(&AtomicBool) -> Result<Collected, Failure> + use<> {
        let keep = commands(project);
        let (work, store) = (self.path("work"), self.path("code"));
        move |stop| {
            collect_until(&work, &store, &keep, false, stop).map_err(|error| {
                Failure::new("the code could not be made into a release", chain(&error))
            })
        }
    }

    /// Takes note of a collected tree; refuses one that lacks what a process runs.
    pub(crate) fn take(&mut self, tree: &Collected) -> Result<(), Failure> {
        if let Some(missing) = tree.missing.first() {
            let failure = Failure::new(
                format!("the build did not make {}", missing.display()),
                "a process runs it, and it is not there after the build",
            );
            return Err(failure.next("correct `run` under [process.…] or [build]"));
        }
        self.trees.retain(|hash| hash != &tree.hash);
        self.trees.push(tree.hash.clone());
        if self.trees.len() > 2 * TREES_KEPT {
            self.trees.drain(..TREES_KEPT);
            // What could not be removed now is removed the next time.
            let _ = prune(&self.path("code"), &self.trees);
        }
        Ok(())
    }

    /// Whether the folder still stands; a person may remove it at any time.
    pub(crate) fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    /// Leaves what the next session needs and nothing else.
    pub(crate) fn close(&self) {
        if !self.is_there() {
            return;
        }
        let _ = prune(
            &self.path("code"),
            &self.trees[self.trees.len().saturating_sub(1)..],
        );
    }
}

/// Programs of the project that its processes run, relative to its folder: they belong to a release
/// even when they lie in a build's cache.
fn commands(project: &Project) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = project
        .spec
        .processes
        .values()
        .filter_map(|process| {
            let program = process.run.program();
            let inside = program.strip_prefix("/app/").unwrap_or(program);
            let inside = inside.strip_prefix("./").unwrap_or(inside);
            (inside.contains('/') && !inside.starts_with('/')).then(|| PathBuf::from(inside))
        })
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Saves in the project's folder, on the event loop.
pub(crate) struct Saves {
    watcher: Watcher,
    wake: AsyncFd<OwnedFd>,
}

impl Saves {
    fn new(watcher: Watcher) -> Result<Self, Failure> {
        use std::os::fd::AsFd;
        let failed = |error: std::io::Error| Failure::new("saves cannot be seen", chain(&error));
        let second = watcher.as_fd().try_clone_to_owned().map_err(failed)?;
        // SAFETY: the descriptor is owned by the `AsyncFd` from here on and never replaced.
        let wake = unsafe { AsyncFd::register_with_interest(second, Interest::READABLE) }
            .map_err(|error| failed(error.into()))?;
        Ok(Self { watcher, wake })
    }

    /// Waits for a save that matters. Safe to cancel.
    pub(crate) async fn next(&mut self) {
        loop {
            let Ok(mut ready) = self.wake.readable().await else {
                return std::future::pending().await;
            };
            ready.clear_ready();
            match self.watcher.drain() {
                Ok(seen) if seen.changed => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "saves are not seen any more");
                    return std::future::pending().await;
                }
            }
        }
    }
}
