//! From a decoded file to what is ordered: the build, the release, and the bounds of both.

use super::code::State;
use super::project::Project;
use crate::failure::{Failure, chain};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toft_agent::resolve::{self, Place, Resolved};
use toft_api::AppOrder;
use toft_code::copy::Collected;
use toft_code::sets::{self, Host, Inferred, Request, SetError};
use toft_model::app::{BuildSpec, CachePath, FileGrant, HostPath, ProcessSpec};
use toft_model::code;
use toft_model::instance::{InstanceSpec, LogSpec, Stop};
use toft_model::machine::Bounds;
use toft_model::sandbox::{Calls, Limits, Mode, Mount, Network, SandboxSpec, Source};
use toft_model::unit::Bytes;
use toft_model::{Generation, InstanceId, ProcessName};

/// The name under which a build runs.
pub(crate) const BUILD: &str = "build";
/// What a build may use. It is bounded so that a runaway build cannot take the machine along.
const BUILD_PIDS: u32 = 4096;

/// Variables of the caller that a build gets, besides its own: where to fetch things through and
/// from, and whom to trust there. Printed at each build that has one.
const PASSED_ON: [&str; 22] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "CARGO_HTTP_CAINFO",
    "GOPROXY",
];

/// Everything that instances and builds of this project may ever be shown, from what is resolved
/// until now.
#[derive(Debug, Default)]
pub(crate) struct Shown(BTreeSet<PathBuf>);

/// What does the looking up on this machine, and remembers it.
pub(crate) struct Resolver {
    host: Host,
    memo: sets::Memo,
    shown: Shown,
    /// Trees of sets that this session used.
    trees: BTreeSet<String>,
}

impl Resolver {
    /// For one project.
    pub(crate) fn new(project: &Project) -> Result<Self, Failure> {
        let toft = std::env::current_exe().map_err(|error| {
            Failure::new("this program cannot find its own path", chain(&error))
        })?;
        Ok(Self {
            host: Host::here(&project.folder, &toft),
            memo: sets::Memo::default(),
            shown: Shown::default(),
            trees: BTreeSet::new(),
        })
    }

    /// Removes the trees of sets that this session had no use for: those of an older machine.
    pub(crate) fn forget_unused(&self, state: &State) {
        if self.trees.is_empty() || !state.is_there() {
            return;
        }
        let used: Vec<String> = self.trees.iter().cloned().collect();
        // What cannot be removed now is removed the next time.
        let _ = sets::prune(&state.path("sets"), &used);
    }

    /// What the keeper may be asked for: the project's state, what the file grants, and the parts of
    /// the machine that its sets name.
    pub(crate) fn bounds(&self, project: &Project, state: &State) -> Bounds {
        let mut read: BTreeSet<PathBuf> = self.shown.0.clone();
        read.extend([state.path("code"), state.path("sets")]);
        let mut write = BTreeSet::from([
            state.path("work"),
            state.path("home"),
            state.path("volumes"),
        ]);
        for grant in project
            .spec
            .processes
            .values()
            .flat_map(|process| process.files.values())
        {
            match grant {
                FileGrant::Read(HostPath::Machine(path)) => read.insert(path.into()),
                FileGrant::Write(HostPath::Machine(path)) => write.insert(path.into()),
                FileGrant::Write(HostPath::Project(path)) => {
                    write.insert(project.folder.join(path))
                }
                FileGrant::Read(HostPath::Project(_))
                | FileGrant::Volume(_)
                | FileGrant::Scratch(_) => false,
            };
        }
        Bounds {
            read: read.into_iter().collect(),
            write: write.into_iter().collect(),
            network_host: project.spec.build.is_some(),
        }
    }

    fn sets(&mut self, request: &Request<'_>, state: &State) -> Result<sets::Resolved, Failure> {
        let resolved = self
            .memo
            .resolve(&self.host, request, &state.path("sets"))
            .map_err(|e| set_failure(&e))?;
        self.show(&resolved.mounts);
        self.trees.extend(resolved.tree.clone());
        Ok(resolved)
    }

    fn base_view(&mut self) -> Vec<Mount> {
        let view = sets::base_view();
        self.show(&view);
        view
    }

    fn show(&mut self, mounts: &[Mount]) {
        self.shown
            .0
            .extend(mounts.iter().filter_map(|mount| match &mount.source {
                Source::Bind { path, .. } => Some(path.clone()),
                _ => None,
            }));
    }

    /// The order for a run of the project's build.
    pub(crate) fn build(
        &mut self,
        project: &Project,
        state: &State,
        build: &BuildSpec,
        mode: Mode,
    ) -> Result<(InstanceSpec, Vec<String>), Failure> {
        let work = state.path("work");
        let uses: Vec<String> = match &build.sets {
            Some(sets) => sets.iter().map(ToString::to_string).collect(),
            None => self.infer(&build.run.0, &work)?.uses,
        };
        let mountpoints = [
            (PathBuf::from("/app"), true),
            (PathBuf::from("/home"), true),
        ];
        let request = Request {
            uses: &uses,
            programs: &[],
            mountpoints: &mountpoints,
        };
        let found = self.sets(&request, state)?;
        let owner = disk_owner(mode);
        let mut own = vec![
            mount("/app", work, owner),
            mount("/home", state.path("home"), owner),
        ];
        own.push(Mount {
            target: "/tmp".into(),
            source: Source::Scratch {
                size: Bytes(1 << 30),
                exec: true,
            },
        });
        for cache in &build.cache {
            self.cache_folder(state, cache)?;
        }
        let (env, passed) = build_env(project, &found);
        let mut notes = found.notes.clone();
        if !passed.is_empty() {
            notes.push(format!(
                "the build is told the caller's {}",
                passed.join(", ")
            ));
        }
        let mut view = self.base_view();
        view.extend(found.mounts);
        // It stands on the machine's network, so it asks whom the machine asks.
        let resolver = std::fs::read_to_string("/etc/resolv.conf").ok();
        let spec = InstanceSpec {
            id: InstanceId {
                app: project.spec.name.clone(),
                process: BUILD.parse().expect("the constant is a name"),
                index: 0,
                generation: Generation(0),
            },
            argv: build.run.0.clone(),
            env,
            workdir: "/app".to_owned(),
            sandbox: SandboxSpec {
                hostname: BUILD.to_owned(),
                view,
                own,
                run_files: sets::base_run_files(BUILD, "/home", resolver.as_deref()),
                network: Network::Host,
                calls: Calls::App,
                limits: Limits {
                    memory: None,
                    cpu: None,
                    pids: Some(BUILD_PIDS),
                    open_files: None,
                },
            },
            listen: Vec::new(),
            stop: Stop {
                signal: 15,
                grace: Duration::from_secs(2),
            },
            log: LogSpec::default(),
            notify: false,
        };
        Ok((spec, notes))
    }

    fn cache_folder(&self, state: &State, cache: &CachePath) -> Result<(), Failure> {
        let text = cache.to_string();
        let Some(below) = text.strip_prefix("~/") else {
            return Ok(());
        };
        let folder = state.path("home").join(below);
        std::fs::create_dir_all(&folder).map_err(|error| {
            Failure::new(
                format!("{} cannot be made", folder.display()),
                chain(&error),
            )
        })
    }

    fn infer(&self, argv: &[String], tree: &Path) -> Result<Inferred, Failure> {
        sets::infer(&self.host, argv, tree).map_err(|e| set_failure(&e))
    }

    /// The order for a release of this tree.
    pub(crate) fn release(
        &mut self,
        project: &Project,
        state: &State,
        tree: &Collected,
        mode: Mode,
    ) -> Result<(AppOrder, Vec<String>), Failure> {
        let mut found = BTreeMap::new();
        let mut notes = Vec::new();
        for (name, process) in &project.spec.processes {
            let resolved = self.process_sets(name, process, state, tree)?;
            notes.extend(resolved.1);
            found.insert(name.clone(), resolved.0);
        }
        let place = place(project, state, tree, mode, found);
        for folder in resolve::volume_folders(&project.spec, &place) {
            std::fs::create_dir_all(&folder).map_err(|error| {
                Failure::new(
                    format!("the volume {} cannot be made", folder.display()),
                    chain(&error),
                )
            })?;
        }
        notes.sort();
        notes.dedup();
        Ok((resolve::order(&project.spec, &place), notes))
    }

    fn process_sets(
        &mut self,
        name: &ProcessName,
        process: &ProcessSpec,
        state: &State,
        tree: &Collected,
    ) -> Result<(Resolved, Vec<String>), Failure> {
        let inferred = self.infer(&process.run.0, &tree.path)?;
        let uses: Vec<String> = match &process.sets {
            Some(sets) => sets.iter().map(ToString::to_string).collect(),
            None => inferred.uses,
        };
        let mut mountpoints = vec![(PathBuf::from("/app"), true)];
        mountpoints.extend(process.files.iter().map(|(target, grant)| {
            let folder = match grant {
                FileGrant::Read(HostPath::Project(path)) => tree.path.join(path).is_dir(),
                FileGrant::Read(HostPath::Machine(path))
                | FileGrant::Write(HostPath::Machine(path)) => Path::new(path).is_dir(),
                FileGrant::Write(HostPath::Project(_))
                | FileGrant::Volume(_)
                | FileGrant::Scratch(_) => true,
            };
            (PathBuf::from(target), folder)
        }));
        let request = Request {
            uses: &uses,
            programs: &inferred.programs,
            mountpoints: &mountpoints,
        };
        let found = self.sets(&request, state)?;
        let mut mounts = self.base_view();
        let path = found.path_value();
        mounts.extend(found.mounts);
        let mut env = found.env;
        env.push(("PATH".to_owned(), path));
        let run_files = sets::base_run_files(&resolve::hostname(name), "/tmp", None);
        Ok((
            Resolved {
                mounts,
                env,
                run_files,
            },
            found.notes,
        ))
    }
}

fn set_failure(error: &SetError) -> Failure {
    let failure = Failure::new(
        "what the app needs of this machine is not there",
        chain(error),
    )
    .id(code::Code::NOT_STARTED);
    match error.cure() {
        Some(cure) => failure.next(cure),
        None => failure,
    }
}

fn place(
    project: &Project,
    state: &State,
    tree: &Collected,
    mode: Mode,
    sets: BTreeMap<ProcessName, Resolved>,
) -> Place {
    Place {
        tree: tree.path.clone(),
        project: project.folder.clone(),
        volumes: state.path("volumes"),
        disk_owner: disk_owner(mode),
        sets,
        lone: true,
    }
}

/// Who owns the files of apps on disk: the one who called, so that the folder stays his.
fn disk_owner(mode: Mode) -> Option<u32> {
    match mode {
        Mode::Root => Some(rustix::process::getuid().as_raw()),
        Mode::User => None,
    }
}

fn mount(target: &str, path: PathBuf, owner: Option<u32>) -> Mount {
    Mount {
        target: target.into(),
        source: Source::Bind {
            path,
            write: true,
            exec: true,
            owner,
        },
    }
}

/// A build's environment, and the names of what it has of the caller's.
fn build_env(project: &Project, found: &sets::Resolved) -> (Vec<(String, String)>, Vec<String>) {
    let mut env = BTreeMap::from([
        ("HOME".to_owned(), "/home".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("PATH".to_owned(), found.path_value()),
        ("CARGO_TERM_COLOR".to_owned(), "always".to_owned()),
        ("CARGO_TERM_PROGRESS_WHEN".to_owned(), "never".to_owned()),
    ]);
    let mut passed = Vec::new();
    for name in PASSED_ON {
        if let Ok(value) = std::env::var(name) {
            passed.push(name.to_owned());
            env.insert(name.to_owned(), value);
        }
    }
    env.extend(found.env.iter().cloned());
    env.extend(found.build_env.iter().cloned());
    env.extend(project.spec.env.clone());
    (env.into_iter().collect(), passed)
}

/// What a person should know before the first build.
pub(crate) fn notes(project: &Project) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, volume) in &project.spec.volumes {
        if let Some(size) = volume.size {
            notes.push(format!(
                "the volume `{name}` is a plain folder here: nothing holds it to {size}"
            ));
        }
    }
    if project.spec.build.is_some() {
        notes.push(
            "the build uses the machine's own network; the app itself has doors only".to_owned(),
        );
    }
    notes
}
