//! What all parts of a server share.

use crate::auth::{self, Audit, AuthMode};
use crate::backup::BackupConfig;
use crate::events::{EventHub, HubWriter};
use crate::history::History;
use crate::metrics::Metrics;
use crate::peers::{Dialer, Outward, join};
use crate::secure::Secured;
use crate::session::Sessions;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use taskyard_api::JoinRequest;
use taskyard_consensus::{Config, Consensus, FatalError, StartError, claim_dir, number_of, owner_of, random};
use taskyard_datadir::DirError;
use taskyard_state::State;
use taskyard_tls::TlsError;
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
    /// Name of the cluster; data of another one is refused. `None`: that of the data, or a new one.
    pub cluster_id: Option<String>,
    /// Where other servers and agents reach it, as https://host:port, or with http:// where there is no TLS; `None`: where it listens.
    pub advertise: Option<String>,
    /// Further names and addresses for its certificate.
    pub tls_names: Vec<String>,
    /// Servers of a cluster that a new data directory is to join; empty: it begins one. Without effect on a directory with data.
    pub join: Vec<String>,
    /// Holds the token, of the kind for servers, by which other servers that ask for one know this one.
    pub token_file: Option<PathBuf>,
    /// A joining server is to receive everything and never to vote.
    pub learner: bool,
    /// Length of a lease: an agent that is not heard of for so long stops its tasks.
    pub lease_ms: u64,
    /// How often agents say that they live.
    pub heartbeat_ms: u64,
    /// Size of a log segment in bytes; smaller ones are for tests.
    pub segment_bytes: u64,
    /// A snapshot is taken after so many bytes of log.
    pub snapshot_log_bytes: u64,
    /// Entries of the log kept although a snapshot includes them.
    pub keep_entries: u64,
    /// How it finds out who asks. With TLS it is by credentials, whatever this says.
    pub auth: AuthMode,
    /// Somebody said so; else a cluster with tokens does not start without asking for them.
    pub auth_is_chosen: bool,
    /// Where the first token is written, or was written before; `admin.token` in the data directory if that is missing.
    pub admin_token_file: Option<PathBuf>,
    /// Whether to write a new token for the administrator there, although there are tokens.
    pub new_admin_token: bool,
    /// Where backups go, and when they are made.
    pub backup: BackupConfig,
}

impl ServerConfig {
    /// The defaults for a data directory and an address.
    pub fn new(data_dir: PathBuf, listen: SocketAddr) -> ServerConfig {
        let consensus = Config::new(&data_dir, "any", 1);
        ServerConfig {
            data_dir,
            listen,
            cluster_id: None,
            advertise: None,
            tls_names: Vec::new(),
            join: Vec::new(),
            token_file: None,
            learner: false,
            lease_ms: 15_000,
            heartbeat_ms: 1_000,
            segment_bytes: consensus.segment_bytes,
            snapshot_log_bytes: consensus.snapshot_log_bytes,
            keep_entries: consensus.keep_entries,
            auth: AuthMode::None,
            auth_is_chosen: true,
            admin_token_file: None,
            new_admin_token: false,
            backup: BackupConfig::default(),
        }
    }

    /// What depends on whether there is TLS. Comes before anything is accepted.
    pub(crate) fn check_exposure(&self, tls: bool) -> Result<(), ServerError> {
        let scheme = if tls { "https://" } else { "http://" };
        if let Some(url) = self.advertise.as_ref().filter(|url| !url.starts_with(scheme)) {
            let why = if tls { "this server speaks TLS" } else { "there is no TLS here" };
            return Err(ServerError::Config(format!("advertise: \"{url}\": {why}; write {scheme}HOST:PORT")));
        }
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        if !tls {
            return Err(ServerError::NotLoopback(self.listen));
        }
        if self.listen.ip().is_unspecified() && self.advertise.is_none() {
            return Err(ServerError::NoName(self.listen));
        }
        Ok(())
    }

    /// A cluster that asked for credentials must not stop asking because its authority was lost, or a flag forgotten. That is how a directory
    /// looks that was restored from a backup.
    fn check_credentials(&self, tokens: u64) -> Result<(), ServerError> {
        if tokens == 0 || self.auth == AuthMode::Token {
            return Ok(());
        }
        if self.auth_is_chosen {
            tracing::warn!(tokens, "there are tokens, but with --auth none nobody is asked for one");
            return Ok(());
        }
        let dir = self.data_dir.display();
        Err(ServerError::Config(format!(
            "the state holds {tokens} tokens, so this cluster asks for credentials, and without TLS or --auth token it would let everybody in. With TLS make an authority with `taskyard cluster init --data-dir {dir}`, or copy tls/ca.crt and tls/ca.key of another server of the cluster into {dir}/tls; without TLS start it with --auth token, or with --auth none to ask nobody"
        )))
    }

    pub(crate) fn check(&self) -> Result<(), ServerError> {
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
    /// Without TLS nothing but this machine may connect.
    #[error(
        "listen: \"{0}\": without TLS only a loopback address is allowed, such as 127.0.0.1:7420; `taskyard cluster init` sets TLS up"
    )]
    NotLoopback(SocketAddr),
    /// All addresses of a machine are no address to reach it at.
    #[error(
        "listen: \"{0}\": say where other servers and agents reach it, with --advertise https://HOST:PORT"
    )]
    NoName(SocketAddr),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    /// The cluster it is to join does not take it.
    #[error("{server} does not admit this server: {why}")]
    NotAdmitted {
        /// Who was asked.
        server: String,
        /// Why not.
        why: String,
    },
    /// The other servers want no more of this one.
    #[error("the cluster refuses this server: {0}")]
    Expelled(String),
    /// A file that is needed cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: std::io::Error,
    },
}

impl From<DirError> for ServerError {
    fn from(error: DirError) -> ServerError {
        ServerError::Start(error.into())
    }
}

/// A handle to everything; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) consensus: Consensus,
    pub(crate) nodes: Sessions,
    pub(crate) events: EventHub,
    pub(crate) metrics: Metrics,
    /// Why jobs have waited, as long as this process leads.
    pub(crate) history: History,
    pub(crate) audit: Audit,
    pub(crate) config: ServerConfig,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) outward: Outward,
    /// `None` where there is no TLS.
    pub(crate) secured: Option<Secured>,
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
    pub(crate) async fn start(mut config: ServerConfig, address: SocketAddr) -> Result<App, ServerError> {
        claim_dir(&config.data_dir)?;
        let events = EventHub::default();
        config.check_exposure(Secured::is_meant(&config))?;
        let secured = Secured::open(&config, address).await?;
        if secured.is_some() {
            config.auth = AuthMode::Token;
        }
        auth::check_file(&config)?;
        let outward =
            Outward::new(config.token_file.as_deref(), secured.as_ref().map(|s| s.calling.clone()))?;
        let scheme = if secured.is_some() { "https" } else { "http" };
        let url = config.advertise.clone().unwrap_or_else(|| format!("{scheme}://{address}"));
        let mut settings = identity(&config, &outward, &url).await?;
        settings.url = url.clone();
        settings.segment_bytes = config.segment_bytes;
        settings.snapshot_log_bytes = config.snapshot_log_bytes;
        settings.keep_entries = config.keep_entries;
        let dialer = Arc::new(Dialer(outward.clone()));
        let consensus = Consensus::start(settings, dialer, Box::new(HubWriter(events.clone()))).await?;
        if let Err(error) = config.check_credentials(consensus.read(State::tokens_in_force)) {
            consensus.shutdown().await;
            return Err(error);
        }
        let audit = Audit::open(&config.data_dir)
            .map_err(|cause| ServerError::File { path: config.data_dir.clone(), cause })?;
        let path = config.data_dir.join("endpoint");
        taskyard_datadir::replace(&path, format!("{url}\n").as_bytes())
            .map_err(|cause| ServerError::File { path, cause })?;
        Ok(App(Arc::new(Shared {
            consensus,
            nodes: Sessions::default(),
            events,
            metrics: Metrics::default(),
            history: History::default(),
            audit,
            config,
            url,
            address,
            outward,
            secured,
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

/// Who this server is: as its data says; else as the cluster says that it joins; else the first of a new one.
async fn identity(config: &ServerConfig, outward: &Outward, url: &str) -> Result<Config, ServerError> {
    let dir = &config.data_dir;
    if let Some((found, id)) = owner_of(dir)? {
        return Ok(Config::new(dir, config.cluster_id.clone().unwrap_or(found), id));
    }
    if config.join.is_empty() {
        let cluster =
            config.cluster_id.clone().unwrap_or_else(|| format!("taskyard-{:08x}", random() as u32));
        return Ok(Config::new(dir, cluster, 1));
    }
    let number = number_of(dir)?;
    let request =
        JoinRequest { url: url.to_owned(), directory: format!("{number:016x}"), learner: config.learner };
    let admitted = join(outward, &config.join, &request).await?;
    if let Some(expected) = &config.cluster_id
        && *expected != admitted.cluster_id
    {
        let why = format!("it belongs to cluster {}, and cluster_id is {expected}", admitted.cluster_id);
        return Err(ServerError::NotAdmitted { server: config.join.join(", "), why });
    }
    let mut settings = Config::new(dir, admitted.cluster_id, admitted.server);
    settings.admitted_as = Some(number);
    Ok(settings)
}
