//! The built-in specs of server, edge and doors: the keeper's first instances.

use super::check::OWN_APP;
use super::folder::Folder;
use std::path::Path;
use std::time::Duration;
use toft_model::instance::{InstanceSpec, LogSpec, Refusal, Stop};
use toft_model::message::Role;
use toft_model::sandbox::{Calls, Limits, Mount, Network, SandboxSpec, Source};
use toft_model::{AppName, Generation, InstanceId, ProcessName};

/// All roles, in the order in which they start.
pub(crate) const ALL: [Role; 3] = [Role::Server, Role::Edge, Role::Doors];

/// Where a role finds the program, its state and the rings of all instances.
const PROGRAM: &str = "/toft";
const STATE: &str = "/state";
const LOGS: &str = "/logs";

const RING_BYTES: u64 = 1 << 20;
const LINES_PER_SECOND: u32 = 2_000;
const PIDS: u32 = 256;
const GRACE: Duration = Duration::from_secs(3);

/// Who a role is as an instance.
pub(crate) fn id(role: Role, generation: u64) -> Result<InstanceId, Refusal> {
    let name = |error: toft_model::id::NameError| Refusal {
        step: format!("name the role {}", role.as_str()),
        cause: error.to_string(),
        cure: None,
    };
    Ok(InstanceId {
        app: OWN_APP.parse::<AppName>().map_err(name)?,
        process: role.as_str().parse::<ProcessName>().map_err(name)?,
        index: 0,
        generation: Generation(generation),
    })
}

/// What a role is started from. It sees this program, its own state and, as server, the rings.
pub(crate) fn spec(
    role: Role,
    generation: u64,
    program: &Path,
    folder: &Folder,
    open_files: u32,
) -> Result<InstanceSpec, Refusal> {
    let id = id(role, generation)?;
    let lost = |error: std::io::Error| Refusal {
        step: format!("find the state of {}", role.as_str()),
        cause: error.to_string(),
        cure: None,
    };
    let (state, owner) = folder.of_role(role).map_err(lost)?;
    let mut own = vec![bind(STATE, state, true, owner)];
    if role == Role::Server {
        let (logs, owner) = folder.logs().map_err(lost)?;
        own.push(bind(LOGS, logs, false, owner));
    }
    let view = Mount {
        target: PROGRAM.into(),
        source: Source::Bind {
            path: program.into(),
            write: false,
            exec: true,
            owner: None,
        },
    };
    let name = role.as_str();
    Ok(InstanceSpec {
        id,
        argv: vec![PROGRAM.into(), name.into()],
        env: vec![
            ("TOFT_ROLE".into(), name.into()),
            ("HOME".into(), STATE.into()),
        ],
        workdir: STATE.into(),
        sandbox: SandboxSpec {
            hostname: format!("toft-{name}"),
            view: vec![view],
            own,
            run_files: Vec::new(),
            // Doors alone dials out; edge has the sockets that it was passed, server its links.
            network: if role == Role::Doors {
                Network::Host
            } else {
                Network::Doors
            },
            calls: Calls::Role,
            limits: Limits {
                memory: None,
                cpu: None,
                pids: Some(PIDS),
                open_files: Some(open_files),
            },
        },
        listen: Vec::new(),
        stop: Stop {
            signal: libc::SIGTERM,
            grace: GRACE,
        },
        log: LogSpec {
            lines_per_second: LINES_PER_SECOND,
            ring_bytes: RING_BYTES,
        },
        notify: false,
    })
}

fn bind(target: &str, path: std::path::PathBuf, write: bool, owner: u32) -> Mount {
    let source = Source::Bind {
        path,
        write,
        exec: false,
        owner: Some(owner),
    };
    Mount {
        target: target.into(),
        source,
    }
}

/// How long a role that ended by itself waits before it starts again: at once the first time, then
/// longer; a life of [`GOOD_LIFE`] forgives all.
pub(crate) fn back_off(failures: u32) -> Duration {
    const STEPS: [Duration; 5] = [
        Duration::ZERO,
        Duration::from_millis(100),
        Duration::from_secs(1),
        Duration::from_secs(3),
        Duration::from_secs(10),
    ];
    let step = (failures.max(1) as usize - 1).min(STEPS.len() - 1);
    STEPS[step]
}

/// A role that lived this long did not fail at its start.
pub(crate) const GOOD_LIFE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_starts_again_at_once_and_then_slower() {
        let waits: Vec<u128> = (1..8).map(|n| back_off(n).as_millis()).collect();
        assert_eq!(waits, [0, 100, 1000, 3000, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn only_doors_stands_on_the_machines_network_and_only_server_sees_the_rings() {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::open(state.path()).unwrap();
        for role in ALL {
            let spec = spec(role, 1, Path::new("/usr/bin/toft"), &folder, 1024).unwrap();
            assert_eq!(spec.sandbox.network == Network::Host, role == Role::Doors);
            let logs = spec.sandbox.own.iter().any(|m| m.target == Path::new(LOGS));
            assert_eq!(logs, role == Role::Server);
            assert!(
                spec.sandbox
                    .view
                    .iter()
                    .all(|m| !matches!(m.source, Source::Bind { write: true, .. }))
            );
        }
    }
}
