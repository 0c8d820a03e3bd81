//! Serves a folder from a sandbox, and again at each save
//!
//! `toft up` finds out how to build and run what lies in a folder (or reads its toft.toml), builds
//! it in a sandbox, starts it behind Toft's own router, and prints the address once it answers. It
//! follows the log, rebuilds at each save, swaps without losing a request, and keeps the old one
//! when the new one fails. Everything it makes lies in `.toft/`; when it ends, however it ends,
//! nothing else is left.

mod answers;
mod code;
mod order;
mod project;
mod session;
mod tell;
mod turn;
mod words;
mod work;

use crate::failure::{Failure, chain};
use crate::say::{Ink, Screen};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use toft_model::machine::OuterListener;

pub(crate) use project::{OverrideArgs, Project, load};

/// Where HTTP is served when nothing else is said.
const HTTP_PORT: u16 = 8080;

/// Serve a folder from a sandbox, and again at each save
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct UpArgs {
    /// The folder with the code
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Serve HTTP at 127.0.0.1:PORT itself, instead of at 8080 plus the offset
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) http: Option<u16>,
    #[command(flatten)]
    pub(crate) overrides: OverrideArgs,
}

impl UpArgs {
    /// The offset is at most 40,000: the sum is a port.
    fn address(&self, offset: u16) -> SocketAddr {
        let port = self.http.unwrap_or(HTTP_PORT.saturating_add(offset));
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
    }
}

/// Runs until it is told to end. Gives back whether something was ever served.
pub(crate) fn run(args: &UpArgs, screen: Screen) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("the event loop could not be started", chain(&error)))?;
    runtime.block_on(up(args, screen))
}

async fn up(args: &UpArgs, screen: Screen) -> Result<bool, Failure> {
    let signals = turn::Signals::watch()?;
    let project = Project::load(&args.dir, &args.overrides, &screen)?;
    screen.step(Ink::Busy, project.spec.name.as_str(), &project.words);
    let address = args.address(project.spec.offset);
    let state = code::State::open(&project.folder, project.spec.offset)?;
    let resolver = order::Resolver::new(&project)?;
    let bounds = resolver.bounds(&project, &state);
    let listeners = vec![OuterListener { address }];
    let keeper = session::Session::start(&state.folder, bounds, listeners).await?;
    turn::Up::new(
        screen,
        signals,
        args.clone(),
        project,
        state,
        resolver,
        keeper,
    )
    .await?
    .run()
    .await
}
