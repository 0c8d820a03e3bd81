//! The processes that are nobody's verb: each is started by the keeper (or by `toft up`) with a
//! link to its starter, and refuses to be started by hand.

use crate::failure::{Code, Failure, chain};
use rustix::net::SocketType;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// The descriptor on which a role finds its starter.
const LINK: i32 = 3;
/// The descriptor on which server finds its API socket.
const API: i32 = 4;

/// One of Toft's own processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
pub(crate) enum RoleVerb {
    /// Owns the children, their sockets and their walls; started by `toft up`
    #[command(hide = true)]
    Keeper,
    /// Clones for the keeper
    #[command(hide = true)]
    Spawner,
    /// Writes log bytes into rings
    #[command(hide = true)]
    Logger,
    /// Decides and reports
    #[command(hide = true)]
    Server,
    /// Faces outside
    #[command(hide = true)]
    Edge,
    /// Looks after readiness, and later carries what goes from app to app and out
    #[command(hide = true)]
    Doors,
}

impl RoleVerb {
    fn name(self) -> &'static str {
        match self {
            Self::Keeper => "keeper",
            Self::Spawner => "spawner",
            Self::Logger => "logger",
            Self::Server => "server",
            Self::Edge => "edge",
            Self::Doors => "doors",
        }
    }
}

/// Runs a role to its end.
pub(crate) fn run(role: RoleVerb) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .init();
    let failed = |error: &dyn std::error::Error| {
        Failure::new(format!("{} ended", role.name()), chain(error))
    };
    match role {
        RoleVerb::Keeper => {
            let lifeline = take(role, 0)?;
            toft_keeper::keeper::run_up(lifeline).map_err(|e| failed(&e))
        }
        RoleVerb::Spawner => toft_keeper::spawner::run(take(role, LINK)?).map_err(|e| failed(&e)),
        RoleVerb::Logger => toft_keeper::logger::run(take(role, LINK)?).map_err(|e| failed(&e)),
        RoleVerb::Server => {
            let link = take(role, LINK)?;
            let api = take_stream(role, API)?;
            toft_agent::run(link, api, Path::new("/logs")).map_err(|e| failed(&e))
        }
        RoleVerb::Edge => {
            toft_router::edge::run(take(role, LINK)?, Path::new("/state")).map_err(|e| failed(&e))
        }
        RoleVerb::Doors => {
            toft_router::doors::run(take(role, LINK)?, Path::new("/state")).map_err(|e| failed(&e))
        }
    }
}

/// Takes a seqpacket link, or says why this process should not be there.
fn take(role: RoleVerb, number: i32) -> Result<OwnedFd, Failure> {
    take_kind(role, number, SocketType::SEQPACKET)
}

fn take_stream(role: RoleVerb, number: i32) -> Result<OwnedFd, Failure> {
    take_kind(role, number, SocketType::STREAM)
}

fn take_kind(role: RoleVerb, number: i32, kind: SocketType) -> Result<OwnedFd, Failure> {
    if !is_socket(number, kind) {
        return Err(by_hand(role));
    }
    // SAFETY: the descriptor is open (it was just asked for its type), it was handed to this
    // process for this purpose alone, and nothing else here takes it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn is_socket(number: i32, kind: SocketType) -> bool {
    // SAFETY: the borrow does not outlive this function, and a number that is not open only makes
    // the system call fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::net::sockopt::socket_type(borrowed.as_fd()).is_ok_and(|found| found == kind)
}

fn by_hand(role: RoleVerb) -> Failure {
    let starter = if role == RoleVerb::Keeper {
        "`toft up`"
    } else {
        "the keeper"
    };
    Failure::new(
        format!("`toft {}` is not for hands", role.name()),
        format!("it is a process that {starter} starts and holds a link to; there is none here"),
    )
    .next("toft up")
    .code(Code::Usage)
}
