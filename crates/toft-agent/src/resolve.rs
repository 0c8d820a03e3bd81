//! From an app's file to orders for one machine: every name becomes a path, a port or a value.
//!
//! Pure: what lies on the disk was looked up by the caller and stands in [`Place`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use toft_api::{AppOrder, ProcessOrder, Restart, RouteOrder};
use toft_model::app::{
    self, AppSpec, Count, FileGrant, HostPath, ListenOn, ProcessSpec, RouteFrom, VolumeOwner,
};
use toft_model::instance::{InstanceSpec, ListenDoor, LogSpec, Stop};
use toft_model::sandbox::{Calls, Mount, RunFile, SandboxSpec, Source};
use toft_model::table::{Check, HostMatch};
use toft_model::{AppName, Generation, InstanceId, Label, ProcessName};

/// Where on this machine the app's things are.
#[derive(Debug, Clone)]
pub struct Place {
    /// The release's code tree, read-only at `/app`.
    pub tree: PathBuf,
    /// The project folder, for `write:./…`.
    pub project: PathBuf,
    /// The folder in which each volume has a folder of its name.
    pub volumes: PathBuf,
    /// The user who owns the app's volumes on disk; their instance's user stands for it.
    /// `None` in user mode, where there is but one outer user.
    pub disk_owner: Option<u32>,
    /// What each process needs of the machine: its sets and the base set, and their environment.
    pub sets: BTreeMap<ProcessName, Resolved>,
    /// Whether its routes may answer any host.
    pub lone: bool,
}

/// What the sets of one process come to.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// What is to be seen at which path.
    pub mounts: Vec<Mount>,
    /// What goes into the environment unless the app says otherwise.
    pub env: Vec<(String, String)>,
    /// Files below `/run/toft` that the base set has.
    pub run_files: Vec<RunFile>,
}

/// The host name of a process' instances, with the place of the index left open.
pub fn hostname(process: &ProcessName) -> String {
    format!("{process}-{{toft.index}}")
}

/// The order that makes a release of this app here.
pub fn order(spec: &AppSpec, place: &Place) -> AppOrder {
    let routes = routes(spec, place.lone);
    let processes = spec
        .processes
        .iter()
        .map(|(name, process)| ProcessOrder {
            process: name.clone(),
            count: match process.count {
                Count::Fixed(count) => count,
                Count::Range { min, .. } => min,
            },
            template: template(spec, name, process, place, &routes),
            ready: readiness(process),
            ready_within: process.ready_within,
            restart: restart(process.restart),
        })
        .collect();
    AppOrder {
        app: spec.name.clone(),
        processes,
        routes,
        at_once: spec.deploy.at_once.max(1),
    }
}

/// How a process shows that it is ready: as its file says, else by its first port, else by running.
fn readiness(process: &ProcessSpec) -> Option<Check> {
    process
        .ready
        .clone()
        .or_else(|| process.first_tcp().map(|(_, port)| Check::Tcp { port }))
}

fn restart(restart: app::Restart) -> Restart {
    match restart {
        app::Restart::Never => Restart {
            from: std::time::Duration::ZERO,
            to: std::time::Duration::ZERO,
            reset_after: std::time::Duration::ZERO,
            never: true,
        },
        app::Restart::Backoff {
            first,
            max,
            reset_after,
        } => Restart {
            from: first,
            to: max,
            reset_after,
            never: false,
        },
    }
}

/// The host name under which an app answers on a laptop: `shop.localhost`, `shop-100.localhost`.
pub fn local_host(app: &AppName, offset: u16) -> String {
    match offset {
        0 => format!("{app}.localhost"),
        _ => format!("{app}-{offset}.localhost"),
    }
}

/// Declared HTTP routes; beside them the local host name, and any host for an app that is alone,
/// lead to the front door.
fn routes(spec: &AppSpec, lone: bool) -> Vec<RouteOrder> {
    let mut routes: Vec<RouteOrder> = spec
        .routes
        .iter()
        .filter_map(|route| match &route.from {
            RouteFrom::Http { host, path } => Some(RouteOrder {
                host: HostMatch::Exact(host.clone()),
                path: path.clone(),
                process: route.to.process.clone(),
                door: route.to.door.clone(),
            }),
            RouteFrom::Tcp { .. } | RouteFrom::Udp { .. } | RouteFrom::Sni { .. } => None,
        })
        .collect();
    if let Some((process, door)) = front_door(spec) {
        let mut hosts = vec![HostMatch::Exact(local_host(&spec.name, spec.offset))];
        if lone {
            hosts.push(HostMatch::Any);
        }
        routes.extend(hosts.into_iter().map(|host| RouteOrder {
            host,
            path: String::new(),
            process: process.clone(),
            door: door.clone(),
        }));
    }
    routes
}

/// The door that people mean by “the app”: the first TCP one of `web`, else of the first process that has one.
fn front_door(spec: &AppSpec) -> Option<(ProcessName, Label)> {
    let door = |(name, process): (&ProcessName, &ProcessSpec)| {
        process
            .first_tcp()
            .map(|(label, _)| (name.clone(), label.clone()))
    };
    spec.processes
        .iter()
        .find(|(name, _)| name.as_str() == "web")
        .and_then(door)
        .or_else(|| spec.processes.iter().find_map(door))
}

fn template(
    spec: &AppSpec,
    name: &ProcessName,
    process: &ProcessSpec,
    place: &Place,
    routes: &[RouteOrder],
) -> InstanceSpec {
    let sets = place.sets.get(name).cloned().unwrap_or_default();
    let mut view = sets.mounts;
    view.push(Mount {
        target: "/app".into(),
        source: bind(place.tree.clone(), false, true, None),
    });
    let mut own = Vec::new();
    for (target, grant) in &process.files {
        let (mount, shared) = grant_mount(spec, place, name, target, grant);
        if shared {
            view.push(mount)
        } else {
            own.push(mount)
        }
    }
    let mut run_files = sets.run_files;
    run_files.push(RunFile {
        name: "app.json".to_owned(),
        contents: app_json(spec, name),
    });
    InstanceSpec {
        id: InstanceId {
            app: spec.name.clone(),
            process: name.clone(),
            index: 0,
            generation: Generation(0),
        },
        argv: process.run.0.clone(),
        env: environment(spec, name, process, sets.env),
        workdir: "/app".to_owned(),
        sandbox: SandboxSpec {
            hostname: hostname(name),
            view,
            own,
            run_files,
            network: process.network,
            calls: Calls::App,
            limits: process.limits,
        },
        listen: listen(name, process, routes),
        stop: Stop {
            signal: process.stop.signal,
            grace: process.stop.grace,
        },
        log: LogSpec {
            lines_per_second: process.log.lines_per_second,
            ..LogSpec::default()
        },
        notify: matches!(process.ready, Some(Check::Notify)),
    }
}

fn listen(name: &ProcessName, process: &ProcessSpec, routes: &[RouteOrder]) -> Vec<ListenDoor> {
    process
        .listen
        .iter()
        .filter_map(|door| match door.on {
            ListenOn::Tcp { port } => Some(ListenDoor {
                label: door.label.clone(),
                port,
                routed: routes
                    .iter()
                    .any(|r| &r.process == name && r.door == door.label),
            }),
            ListenOn::Udp { .. } | ListenOn::Unix { .. } => None,
        })
        .collect()
}

/// The mount of a files line, and whether all instances of a release share it.
fn grant_mount(
    spec: &AppSpec,
    place: &Place,
    process: &ProcessName,
    target: &str,
    grant: &FileGrant,
) -> (Mount, bool) {
    let (source, shared) = match grant {
        FileGrant::Read(HostPath::Project(path)) => {
            (bind(place.tree.join(path), false, true, None), true)
        }
        FileGrant::Read(HostPath::Machine(path)) => (bind(path.into(), false, true, None), true),
        FileGrant::Write(HostPath::Project(path)) => (
            bind(place.project.join(path), true, false, place.disk_owner),
            false,
        ),
        FileGrant::Write(HostPath::Machine(path)) => {
            (bind(path.into(), true, false, place.disk_owner), false)
        }
        FileGrant::Volume(name) => {
            let owner = spec.volumes.get(name).map_or(VolumeOwner::App, |v| v.owner);
            let folder = match owner {
                VolumeOwner::App => name.to_string(),
                VolumeOwner::EachInstance => format!("{name}.{process}.{{toft.index}}"),
            };
            (
                bind(place.volumes.join(folder), true, false, place.disk_owner),
                false,
            )
        }
        FileGrant::Scratch(size) => (
            Source::Scratch {
                size: *size,
                exec: false,
            },
            false,
        ),
    };
    (
        Mount {
            target: target.into(),
            source,
        },
        shared,
    )
}

/// The folders that must exist before instances of this app can start.
pub fn volume_folders(spec: &AppSpec, place: &Place) -> Vec<PathBuf> {
    let order = order(spec, place);
    let mut folders = Vec::new();
    for process in &order.processes {
        for mount in &process.template.sandbox.own {
            let Source::Bind { path, .. } = &mount.source else {
                continue;
            };
            if !path.starts_with(&place.volumes) {
                continue;
            }
            let text = path.to_string_lossy();
            if text.contains("{toft.index}") {
                folders.extend(
                    (0..process.count).map(|i| text.replace("{toft.index}", &i.to_string()).into()),
                );
            } else {
                folders.push(path.clone());
            }
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

fn bind(path: PathBuf, write: bool, exec: bool, owner: Option<u32>) -> Source {
    Source::Bind {
        path,
        write,
        exec,
        owner,
    }
}

/// The environment: what sets bring, what Toft tells, what the app's file says; later ones win.
fn environment(
    spec: &AppSpec,
    name: &ProcessName,
    process: &ProcessSpec,
    sets: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut env: BTreeMap<String, String> = BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("HOME".to_owned(), "/tmp".to_owned()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
    ]);
    env.extend(sets);
    env.insert("TOFT_APP".to_owned(), spec.name.to_string());
    env.insert("TOFT_INSTANCE".to_owned(), format!("{name}.{{toft.index}}"));
    if let Some((_, port)) = process.first_tcp() {
        env.insert("PORT".to_owned(), port.to_string());
    }
    for door in &process.listen {
        if let ListenOn::Tcp { port } | ListenOn::Udp { port } = door.on {
            env.insert(
                format!("PORT_{}", variable(door.label.as_str())),
                port.to_string(),
            );
        }
    }
    for target in process.files.keys() {
        let last = target
            .rsplit('/')
            .find(|part| !part.is_empty())
            .unwrap_or("root");
        env.insert(format!("{}_DIR", variable(last)), target.clone());
    }
    env.extend(process.env.clone());
    env.into_iter().collect()
}

/// A name as it stands in an environment variable: upper case, everything else an underscore.
fn variable(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        })
        .collect()
}

/// What the app reads at `/run/toft/app.json`: the whole resolved file and who it is itself.
fn app_json(spec: &AppSpec, process: &ProcessName) -> String {
    let value = serde_json::json!({
        "version": 1,
        "process": process,
        "index": "{toft.index}",
        "app": spec,
    });
    // The index is a number for its reader and a placeholder here.
    value
        .to_string()
        .replacen("\"{toft.index}\"", "{toft.index}", 1)
}
