//! What all parts of a server share.

use crate::auth::{Audit, AuthMode};
use crate::events::{EventHub, HubWriter};
use crate::metrics::Metrics;
use crate::session::Sessions;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use taskyard_consensus::{Config, Consensus, FatalError, StartError};
use tokio::sync::watch;

/// An agent starts nothing when less than this is left of its lease (semantics, lease protocol, 4).
const START_MARGIN_MS: u64 = 5_000;

/// How to run a server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where its log, snapshots and `endpoint` file live.
    pub data_dir: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its number in the cluster.
    pub server_id: u64,
    /// Name of the cluster; data of another one is refused.
    pub cluster_id: String,
    /// Length of a lease: an agent that is not heard of for so long stops its tasks.
    pub lease_ms: u64,
    /// How often agents say that they live.
    pub heartbeat_ms: u64,
    /// Size of a log segment in bytes; smaller ones are for tests.
    pub segment_bytes: u64,
    /// A snapshot is taken after so many bytes of log.
    pub snapshot_log_bytes: u64,
    /// How it finds out who asks.
    pub auth: AuthMode,
    /// Where the first token is written, or was written before; `admin.token` in the data directory if that is missing.
    pub admin_token_file: Option<PathBuf>,
    /// Whether to write a new token for the administrator there, although there are tokens.
    pub new_admin_token: bool,
}

impl ServerConfig {
    /// The defaults for a data directory and an address.
    pub fn new(data_dir: PathBuf, listen: SocketAddr) -> ServerConfig {
        let consensus = Config::new(&data_dir, "taskyard", 1);
        ServerConfig {
            data_dir,
            listen,
            server_id: 1,
            cluster_id: "taskyard".into(),
            lease_ms: 15_000,
            heartbeat_ms: 3_000,
            segment_bytes: consensus.segment_bytes,
            snapshot_log_bytes: consensus.snapshot_log_bytes,
            auth: AuthMode::None,
            admin_token_file: None,
            new_admin_token: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ServerError> {
        if !self.listen.ip().is_loopback() {
            return Err(match self.auth {
                AuthMode::None => ServerError::NotLoopback(self.listen),
                AuthMode::Token => ServerError::Plaintext(self.listen),
            });
        }
        if self.heartbeat_ms == 0 || self.lease_ms < self.heartbeat_ms + START_MARGIN_MS {
            return Err(ServerError::Config(format!(
                "lease: \"{}ms\": with a heartbeat of {}ms a lease of at least {}ms is needed: an agent starts nothing when less than {}ms of it are left",
                self.lease_ms,
                self.heartbeat_ms,
                self.heartbeat_ms + START_MARGIN_MS,
                START_MARGIN_MS
            )));
        }
        Ok(())
    }
}

/// Why a server did not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be bound.
    #[error("cannot listen on {listen}: another program may use it; choose another with --listen")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
    /// Without authentication nothing but this machine may connect.
    #[error(
        "listen: \"{0}\": with auth \"none\" whoever reaches the server may run commands, so only a loopback address is allowed, such as 127.0.0.1:7420"
    )]
    NotLoopback(SocketAddr),
    /// Tokens must not be sent in clear over a network.
    #[error(
        "listen: \"{0}\": there is no TLS yet, so tokens would cross the network in clear; only a loopback address is allowed, such as 127.0.0.1:7420"
    )]
    Plaintext(SocketAddr),
    /// A setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// The log or a snapshot cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Storage failed while running.
    #[error(transparent)]
    Storage(FatalError),
    /// A file of the data directory cannot be written.
    #[error("cannot write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
    /// A file that is needed cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
    /// Connections cannot be accepted any more.
    #[error("cannot accept connections")]
    Serve(#[source] std::io::Error),
}

/// A handle to everything; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) consensus: Consensus,
    pub(crate) nodes: Sessions,
    pub(crate) events: EventHub,
    pub(crate) metrics: Metrics,
    pub(crate) audit: Audit,
    pub(crate) config: ServerConfig,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub(crate) async fn start(config: ServerConfig, address: SocketAddr) -> Result<App, ServerError> {
        let events = EventHub::default();
        let mut settings = Config::new(&config.data_dir, config.cluster_id.clone(), config.server_id);
        settings.segment_bytes = config.segment_bytes;
        settings.snapshot_log_bytes = config.snapshot_log_bytes;
        let consensus = Consensus::start(settings, Box::new(HubWriter(events.clone()))).await?;
        let url = format!("http://{address}");
        let audit = Audit::open(&config.data_dir)
            .map_err(|cause| ServerError::File { path: config.data_dir.clone(), cause })?;
        let path = config.data_dir.join("endpoint");
        std::fs::write(&path, format!("{url}\n")).map_err(|cause| ServerError::File { path, cause })?;
        Ok(App(Arc::new(Shared {
            consensus,
            nodes: Sessions::default(),
            events,
            metrics: Metrics::default(),
            audit,
            config,
            url,
            address,
            stop: watch::Sender::new(false),
        })))
    }

    /// Becomes true when the server stops; streams end then.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}
