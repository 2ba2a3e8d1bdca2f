//! What all parts of a server share.

use crate::backup::BackupConfig;
use crate::events::{EventHub, HubWriter};
use crate::metrics::Metrics;
use crate::session::Sessions;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use taskyard_consensus::{Config, Consensus, FatalError, StartError};
use tokio::sync::{Semaphore, watch};

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
    /// Name of a new cluster; data that is there says itself which one it is of.
    pub cluster_id: String,
    /// Length of a lease: an agent that is not heard of for so long stops its tasks.
    pub lease_ms: u64,
    /// How often agents say that they live.
    pub heartbeat_ms: u64,
    /// Size of a log segment in bytes; smaller ones are for tests.
    pub segment_bytes: u64,
    /// A snapshot is taken after so many bytes of log.
    pub snapshot_log_bytes: u64,
    /// Where backups go, and when they are made.
    pub backup: BackupConfig,
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
            backup: BackupConfig::default(),
        }
    }

    /// With the cluster that the data directory belongs to, if it is not a new one.
    pub fn with_data(mut self) -> Result<ServerConfig, StartError> {
        if let Some(cluster) = taskyard_consensus::cluster_of(&self.data_dir)? {
            self.cluster_id = cluster;
        }
        Ok(self)
    }

    pub(crate) fn check(&self) -> Result<(), ServerError> {
        if !self.listen.ip().is_loopback() {
            return Err(ServerError::NotLoopback(self.listen));
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
        "listen: \"{0}\": users and agents are not authenticated yet, so only a loopback address is allowed, such as 127.0.0.1:7420"
    )]
    NotLoopback(SocketAddr),
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
    pub(crate) config: ServerConfig,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    /// Held by whoever makes or verifies a backup.
    pub(crate) backing_up: Arc<Semaphore>,
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
        let config = config.with_data()?;
        let events = EventHub::default();
        let mut settings = Config::new(&config.data_dir, config.cluster_id.clone(), config.server_id);
        settings.segment_bytes = config.segment_bytes;
        settings.snapshot_log_bytes = config.snapshot_log_bytes;
        let consensus = Consensus::start(settings, Box::new(HubWriter(events.clone()))).await?;
        let url = format!("http://{address}");
        let path = config.data_dir.join("endpoint");
        std::fs::write(&path, format!("{url}\n")).map_err(|cause| ServerError::File { path, cause })?;
        Ok(App(Arc::new(Shared {
            consensus,
            nodes: Sessions::default(),
            events,
            metrics: Metrics::default(),
            config,
            url,
            address,
            backing_up: Arc::new(Semaphore::new(1)),
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
