//! How to run a server, and what of it makes no sense.

mod backup;

pub use backup::{BackupConfig, DEFAULT_STORE};

use crate::error::ServerError;
use std::net::SocketAddr;
use std::path::PathBuf;
use taskyard_consensus::ConsensusConfig;

/// How a server finds out who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// It does not: every caller may do everything. For loopback addresses only.
    #[default]
    None,
    /// By a token that each request carries.
    Token,
}

impl AuthMode {
    /// Reads a name.
    pub fn parse(field: &str, text: &str) -> Result<AuthMode, taskyard_model::Invalid> {
        match text {
            "none" => Ok(AuthMode::None),
            "token" => Ok(AuthMode::Token),
            _ => Err(taskyard_model::Invalid::new(field, text, "write none or token")),
        }
    }
}

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
    /// Where other servers and agents reach it, as https://host:port, or with http:// where there is no TLS; `None`:
    /// where it listens.
    pub advertise: Option<String>,
    /// Further names and addresses for its certificate.
    pub tls_names: Vec<String>,
    /// Servers of a cluster that a new data directory is to join; empty: it begins one. Without effect on a directory
    /// with data.
    pub join: Vec<String>,
    /// Holds the token, of the kind for servers, by which other servers that ask for one know this one.
    pub token_file: Option<PathBuf>,
    /// A joining server is to receive everything and never to vote.
    pub learner: bool,
    /// Length of a lease: an agent without contact for this time stops its tasks.
    pub lease_ms: u64,
    /// How often agents say that they live.
    pub heartbeat_ms: u64,
    /// Size of a log segment in bytes; smaller ones are for tests.
    pub segment_bytes: u64,
    /// A snapshot is taken after this amount of log.
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
        let consensus = ConsensusConfig::new(&data_dir, "any", 1);
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
            let why = if tls { "this server uses TLS" } else { "this server does not use TLS" };
            return Err(ServerError::Config(format!("advertise: \"{url}\": {why}; write {scheme}HOST:PORT")));
        }
        if self.listen.ip().is_loopback() {
            return Ok(());
        }
        if !tls {
            let listen = self.listen;
            return Err(ServerError::Config(format!(
                "listen: \"{listen}\": without TLS only a loopback address is allowed, such as 127.0.0.1:7420; set TLS up with `taskyard cluster init`"
            )));
        }
        if self.listen.ip().is_unspecified() && self.advertise.is_none() {
            let listen = self.listen;
            return Err(ServerError::Config(format!(
                "listen: \"{listen}\": give the address for other servers and agents, with --advertise https://HOST:PORT"
            )));
        }
        Ok(())
    }

    /// A cluster that asked for credentials must not stop asking because its authority was lost, or a flag forgotten.
    /// That is how a directory looks that was restored from a backup.
    pub(crate) fn check_credentials(&self, tokens: u64) -> Result<(), ServerError> {
        if tokens == 0 || self.auth == AuthMode::Token {
            return Ok(());
        }
        if self.auth_is_chosen {
            tracing::warn!(tokens, "there are tokens, but --auth none ignores them");
            return Ok(());
        }
        let dir = self.data_dir.display();
        Err(ServerError::Config(format!(
            "the state holds {tokens} tokens, so this cluster requires credentials; started without TLS and without --auth token, this server would accept requests from anyone. With TLS: create an authority with `taskyard cluster init --data-dir {dir}`, or copy tls/ca.crt and tls/ca.key from another server of the cluster to {dir}/tls. Without TLS: add --auth token, or --auth none to require no credentials"
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
