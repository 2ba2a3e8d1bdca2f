//! Settings of consensus, with their defaults.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::StartError;
use crate::wal;

/// Between two tries to reach a server.
const BACKOFF: &str = "200ms";

/// How to run consensus.
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// The data directory. Made if it is not there; used by one process at a time.
    pub dir: PathBuf,
    /// This server's number in its cluster.
    pub server_id: u64,
    /// Name of the cluster: a server with data of another cluster does not start.
    pub cluster_id: String,
    /// Where other servers reach this one.
    pub url: String,
    /// For a new directory: the number under which it was admitted to a cluster ([`crate::number_of`]). It then waits to be called by that
    /// cluster's leader; otherwise a new directory begins a cluster of its own.
    pub admitted_as: Option<u64>,
    /// Size of a log segment. 64 MiB; the first ones are smaller, so that a new server starts at once.
    pub segment_bytes: u64,
    /// A snapshot is taken after this many bytes of log. 64 MiB.
    pub snapshot_log_bytes: u64,
    /// A snapshot is taken after this many entries. 500,000.
    pub snapshot_log_entries: u64,
    /// Entries kept although a snapshot includes them, so that a server that lags a little needs no snapshot.
    /// 4,096.
    pub keep_entries: u64,
    /// The largest entry, encoded. 4 MiB.
    pub entry_bytes_max: usize,
    /// Proposals not yet answered; past them is *overloaded*. 16,384.
    pub in_flight_max: usize,
    /// Their bytes. 16 MiB.
    pub in_flight_bytes_max: usize,
    /// Recent entries kept in memory. 4 MiB.
    pub cache_bytes: usize,
    /// Election timeout, at least; it begins when a leader has been silent for `election_timeout_max`. 300 ms: with that a stall of one second,
    /// as small shared machines have them, causes no election, and one of two seconds does.
    pub election_timeout_min: Duration,
    /// Election timeout, at most. 1 s.
    pub election_timeout_max: Duration,
    /// How often a leader is heard of. 100 ms.
    pub heartbeat: Duration,
}

impl ConsensusConfig {
    /// The defaults for a server with its data in `dir`.
    pub fn new(dir: impl Into<PathBuf>, cluster_id: impl Into<String>, server_id: u64) -> ConsensusConfig {
        ConsensusConfig {
            dir: dir.into(),
            server_id,
            cluster_id: cluster_id.into(),
            url: String::new(),
            admitted_as: None,
            segment_bytes: 64 << 20,
            snapshot_log_bytes: 64 << 20,
            snapshot_log_entries: 500_000,
            keep_entries: 4096,
            entry_bytes_max: 4 << 20,
            in_flight_max: 16_384,
            in_flight_bytes_max: 16 << 20,
            cache_bytes: 4 << 20,
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(1000),
            heartbeat: Duration::from_millis(100),
        }
    }

    pub(crate) fn check(&self) -> Result<(), StartError> {
        let fits = wal::max_content(self.segment_bytes);
        let whole = self.segment_bytes.is_multiple_of(4096) && self.segment_bytes <= 64 << 30;
        let name_ok = !self.cluster_id.is_empty()
            && self.cluster_id.len() <= 128
            && self.cluster_id.chars().all(|c| c.is_ascii_graphic());
        let problem = if !whole {
            "segment_bytes must be a multiple of 4096, up to 64 GiB".to_owned()
        } else if self.entry_bytes_max > fits {
            format!("entry_bytes_max must be at most {fits} for this segment_bytes")
        } else if !name_ok {
            "cluster_id must be 1 to 128 printable ASCII characters without spaces".to_owned()
        } else if self.heartbeat * 3 > self.election_timeout_min {
            "election_timeout_min must be at least three heartbeats".to_owned()
        } else if self.election_timeout_min >= self.election_timeout_max {
            "election_timeout_min must be less than election_timeout_max".to_owned()
        } else {
            return Ok(());
        };
        Err(StartError::Config(problem))
    }

    pub(crate) fn raft(&self) -> Result<openraft::Config, StartError> {
        let config = openraft::Config {
            cluster_name: self.cluster_id.clone(),
            election_timeout_min: self.election_timeout_min.as_millis() as u64,
            election_timeout_max: self.election_timeout_max.as_millis() as u64,
            heartbeat_interval: self.heartbeat.as_millis() as u64,
            // A restarted leader must be elected again: its leases and its process are new.
            enable_leader_restore: Some(false),
            enable_pre_vote: Some(true),
            // Snapshots are taken by `snapshot::Snapshots`, which knows bytes and survives a full disk.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.keep_entries,
            // What one message carries is bounded by bytes, see `store`.
            max_payload_entries: 4096,
            // Sending and installing have limits of their own, see `peer::snapshot`.
            install_snapshot_timeout: Duration::from_secs(3600).as_millis() as u64,
            // A follower's disk may have lost the end of its log, which a start takes for a write that a crash cut short. The leader has those
            // entries and sends them again; without this it would send what comes after them in vain, and in a debug build end itself.
            allow_log_reversion: Some(true),
            // A server that left hears of it from the others.
            backoff: BACKOFF.into(),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| StartError::Config(error.to_string()))
    }
}
