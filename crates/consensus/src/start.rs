//! How consensus starts: what the disk holds is opened and applied, then the library and all that goes on beside it
//! begin.

use std::io;
use std::sync::Arc;

use openraft::BasicNode;
use parking_lot::Mutex;
use taskyard_state::ServerStarted;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::barrier::Barrier;
use crate::config::ConsensusConfig;
use crate::consensus::{Consensus, ConsensusInner};
use crate::error::StartError;
use crate::identity::{self, DirIdentity, Owner};
use crate::machine::{Raft, Replica, StateMachine};
use crate::peer::{Dial, KnownPeers, Links, Me, Network, Reach, Refusals};
use crate::snapshot::Snapshots;
use crate::store::LogStore;
use crate::wal::disk::{Disk, RealDisk};
use crate::wal::{self, Wal};
use crate::{Observer, background};

/// A message carries several entries, and their frame.
const FRAME_OVER_ENTRY: usize = 4;
/// Entries applied at a time while the log is replayed.
const REPLAY_ENTRIES: u64 = 1024;

/// What is on the disk, opened.
struct Opened {
    identity: DirIdentity,
    wal: Arc<Wal>,
    store: LogStore,
    replica: Arc<Replica>,
    machine: StateMachine,
}

impl Consensus {
    /// Recovers what the data directory holds, or makes a new one-member cluster in an empty one, or waits in it for the cluster that has
    /// admitted it. On return the state is at least where it was acknowledged to be; the server may not lead yet. Other servers are reached
    /// through `dial`.
    pub async fn start(
        config: ConsensusConfig,
        dial: Arc<dyn Dial>,
        observer: Box<dyn Observer>,
    ) -> Result<Consensus, StartError> {
        Consensus::start_on(Arc::new(RealDisk), config, dial, observer).await
    }

    pub(crate) async fn start_on(
        disk: Arc<dyn Disk>,
        config: ConsensusConfig,
        dial: Arc<dyn Dial>,
        observer: Box<dyn Observer>,
    ) -> Result<Consensus, StartError> {
        config.check()?;
        let raft_config = Arc::new(config.raft()?);
        let opening = {
            let config = config.clone();
            move || {
                let opened = open(disk, &config, observer)?;
                let starts = DirIdentity::count_start(&config.dir)?;
                Ok::<_, StartError>((opened, starts))
            }
        };
        let opened = tokio::task::spawn_blocking(opening).await;
        let (opened, starts) = opened.map_err(|error| StartError::Raft(error.to_string()))??;
        let Opened { identity, wal, store, replica, machine } = opened;
        let network = Arc::new(Network {
            me: me(&config, identity.directory, starts),
            replica: Arc::clone(&replica),
            dial,
            known: KnownPeers::default(),
            reach: Reach::default(),
            refusals: Refusals::default(),
            frame_bytes_max: FRAME_OVER_ENTRY * config.entry_bytes_max.max(1 << 20),
        });
        let links = Links(Arc::clone(&network));
        let refused = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
        let raft = Raft::new(config.server_id, raft_config, links, store.clone(), machine).await;
        let raft = raft.map_err(|error| refused(&error))?;
        let begun = raft.is_initialized().await.map_err(|error| refused(&error))?;
        if !begun && identity.founder {
            let only = std::collections::BTreeMap::from([(config.server_id, BasicNode::new(&config.url))]);
            raft.initialize(only).await.map_err(|error| refused(&error))?;
        } else if replica.live.read().about.membership.voter_ids().eq([config.server_id]) {
            // Nobody else could object, so there is nothing to wait for.
            raft.trigger().elect(true).await.map_err(|error| refused(&error))?;
        }
        let inner = Arc::new(ConsensusInner {
            admission: Admission::new(config.in_flight_max, config.in_flight_bytes_max),
            nonce: network.me.started.process,
            config,
            raft,
            replica,
            wal,
            store,
            leadership: watch::Sender::new(None),
            barrier: Barrier::default(),
            stopping: watch::Sender::new(false),
            network,
            tasks: Mutex::default(),
            lock: Mutex::new(Some(identity.lock)),
        });
        *inner.tasks.lock() = background::spawn(&inner);
        Ok(Consensus { inner })
    }
}

/// What this process says of itself to other servers.
fn me(config: &ConsensusConfig, directory: u64, starts: u64) -> Me {
    let started = ServerStarted {
        id: config.server_id,
        directory,
        starts,
        process: identity::random(),
        url: config.url.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    };
    Me { cluster: config.cluster_id.clone(), started }
}

/// Index and digest of the state that a data directory holds, at entry `at` or after the last entry of the log. For
/// comparing what two servers have, or one before and after a restart. The directory must not be in use. Blocks.
pub fn offline_digest(config: &ConsensusConfig, at: Option<u64>) -> Result<(u64, u64), StartError> {
    let mut opened = load(Arc::new(RealDisk), config, Box::new(()))?;
    let upto = at.unwrap_or(opened.store.last_index());
    let read = |source| StartError::io("read the log in", &config.dir, source);
    replay(&opened.store, &opened.replica, &mut opened.machine, upto + 1).map_err(read)?;
    let live = opened.replica.live.read();
    let index = live.state.index();
    if at.is_some_and(|at| at != index) {
        let what = format!("{} holds the state at entry {index}, not at {upto}", config.dir.display());
        return Err(StartError::Config(what));
    }
    Ok((index, live.state.digest()))
}

/// Opens everything on the disk and brings the state to where it was. Blocks.
fn open(
    disk: Arc<dyn Disk>,
    config: &ConsensusConfig,
    observer: Box<dyn Observer>,
) -> Result<Opened, StartError> {
    let mut opened = load(disk, config, observer)?;
    // The rest follows when this server leads or hears of a leader.
    let committed = opened.store.committed().map_or(0, |committed| committed.index + 1);
    let read = |source| StartError::io("read the log in", &config.dir, source);
    replay(&opened.store, &opened.replica, &mut opened.machine, committed).map_err(read)?;
    Ok(opened)
}

/// Opens everything on the disk, with the state as the snapshot has it. Blocks.
fn load(
    disk: Arc<dyn Disk>,
    config: &ConsensusConfig,
    observer: Box<dyn Observer>,
) -> Result<Opened, StartError> {
    let owner =
        Owner { cluster: &config.cluster_id, server: config.server_id, admitted_as: config.admitted_as };
    let identity = DirIdentity::open(&config.dir, &owner)?;
    let [log_dir, snapshot_dir] = ["wal", "snapshot"].map(|name| config.dir.join(name));
    for dir in [&log_dir, &snapshot_dir] {
        taskyard_datadir::make_dir(dir)
            .map_err(|source| StartError::io("make the directory", dir, source))?;
    }
    let options = wal::WalOptions {
        dir: log_dir.clone(),
        salt: identity.salt,
        segment_bytes: config.segment_bytes,
        fresh: identity.fresh,
    };
    let (wal, contents) = Wal::open(disk, options)?;
    if identity.fresh {
        identity.commit(&config.dir)?;
    }
    let wal = Arc::new(wal);
    let (snapshots, loaded) = Snapshots::open(&snapshot_dir, contents.purged)?;
    let read = |source| StartError::io("read the log in", &log_dir, source);
    let store = LogStore::new(Arc::clone(&wal), &contents, config.cache_bytes).map_err(read)?;
    let replica = Arc::new(Replica::new(snapshots, loaded));
    let machine = StateMachine::new(Arc::clone(&replica), observer);
    Ok(Opened { identity, wal, store, replica, machine })
}

/// The state that a start would find.
#[cfg(test)]
pub(crate) fn open_for_test(config: &ConsensusConfig) -> Result<Arc<Replica>, StartError> {
    open(Arc::new(RealDisk), config, Box::new(())).map(|opened| opened.replica)
}

/// Applies entries from where the state is up to, not including, `end`.
fn replay(store: &LogStore, replica: &Replica, machine: &mut StateMachine, end: u64) -> io::Result<()> {
    let mut next = replica.last_applied().map_or(0, |last| last.index + 1);
    while next < end {
        let entries = store.read(next..end.min(next + REPLAY_ENTRIES))?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            next = entry.log_id.index + 1;
            machine.apply_entry(entry);
        }
    }
    machine.publish();
    Ok(())
}
