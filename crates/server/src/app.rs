//! What all loops, sessions and use cases of a server share.

use crate::agents::Agents;
use crate::auth::{self, AUDIT_FILE, Audit, Gatekeeper};
use crate::config::{AuthMode, ServerConfig};
use crate::error::ServerError;
use crate::events::{EventHub, HubWriter};
use crate::history::WaitHistory;
use crate::metrics::ServerMetrics;
use crate::outward::{Dialer, Outward, join};
use crate::secure::ServerTls;
use axum::extract::FromRef;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use taskyard_api::JoinRequest;
use taskyard_consensus::{Consensus, ConsensusConfig, Leader, claim_dir, number_of, owner_of, random};
use taskyard_state::State;
use tokio::sync::{Semaphore, watch};

/// A handle to everything; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) consensus: Consensus,
    pub(crate) agents: Agents,
    pub(crate) events: EventHub,
    pub(crate) metrics: ServerMetrics,
    /// Why jobs have waited, as long as this process leads.
    pub(crate) history: WaitHistory,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) config: ServerConfig,
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) outward: Outward,
    /// `None` where there is no TLS.
    pub(crate) secured: Option<ServerTls>,
    /// Held while a backup is made or verified.
    pub(crate) backing_up: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Most use cases need no more of a server than its log and its state.
impl FromRef<App> for Consensus {
    fn from_ref(app: &App) -> Consensus {
        app.consensus.clone()
    }
}

impl App {
    pub(crate) async fn start(mut config: ServerConfig, address: SocketAddr) -> Result<App, ServerError> {
        claim_dir(&config.data_dir)?;
        let events = EventHub::default();
        config.check_exposure(ServerTls::is_meant(&config))?;
        let secured = ServerTls::open(&config, address).await?;
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
        let audit = Audit::open(&config.data_dir).map_err(|cause| ServerError::File {
            what: "use",
            path: config.data_dir.join(AUDIT_FILE),
            cause,
        })?;
        let gatekeeper = Gatekeeper::new(consensus.clone(), audit, config.auth, secured.is_some());
        let path = config.data_dir.join("endpoint");
        taskyard_datadir::replace(&path, format!("{url}\n").as_bytes())
            .map_err(|cause| ServerError::File { what: "write", path, cause })?;
        Ok(App(Arc::new(Parts {
            consensus,
            agents: Agents::default(),
            events,
            metrics: ServerMetrics::default(),
            history: WaitHistory::default(),
            gatekeeper,
            config,
            url,
            address,
            outward,
            secured,
            backing_up: Arc::new(Semaphore::new(1)),
            stop: watch::Sender::new(false),
        })))
    }

    /// Who leads, if another server does. One that is elected and has not proved it takes no sessions yet.
    pub(crate) fn other_leader(&self) -> Option<Leader> {
        self.consensus.leader().filter(|leader| leader.id != self.consensus.me())
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
async fn identity(
    config: &ServerConfig,
    outward: &Outward,
    url: &str,
) -> Result<ConsensusConfig, ServerError> {
    let dir = &config.data_dir;
    if let Some((found, id)) = owner_of(dir)? {
        return Ok(ConsensusConfig::new(dir, config.cluster_id.clone().unwrap_or(found), id));
    }
    if config.join.is_empty() {
        let cluster =
            config.cluster_id.clone().unwrap_or_else(|| format!("taskyard-{:08x}", random() as u32));
        return Ok(ConsensusConfig::new(dir, cluster, 1));
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
    let mut settings = ConsensusConfig::new(dir, admitted.cluster_id, admitted.server);
    settings.admitted_as = Some(number);
    Ok(settings)
}
