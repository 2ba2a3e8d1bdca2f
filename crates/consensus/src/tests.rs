//! Consensus as a whole, on one server: with the Raft library's own storage suite, through restarts, and on disks
//! that fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use parking_lot::Mutex;
use taskyard_state::{Command, Event};
use tempfile::TempDir;

use crate::machine::{Replica, StateMachine};
use crate::snapshot::Snapshots;
use crate::store::LogStore;
use crate::types::Types;
use crate::wal::disk::RealDisk;
use crate::wal::testing::{LossyDisk, Random};
use crate::wal::{Wal, WalOptions};
use crate::{Alone, Consensus, ConsensusConfig, Observer, ProposeError, StartError};

struct Builder;

impl StoreBuilder<Types, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<Types>> {
        let dir = TempDir::new().expect("temporary directory");
        let options =
            WalOptions { dir: dir.path().to_owned(), salt: 1, segment_bytes: 64 << 10, fresh: true };
        let (wal, contents) = Wal::open(Arc::new(RealDisk), options).expect("opens");
        let store = LogStore::new(Arc::new(wal), &contents, 100).expect("opens");
        let snapshots = dir.path().join("snapshot");
        std::fs::create_dir(&snapshots).expect("directory");
        let (snapshots, loaded) = Snapshots::open(&snapshots, None).expect("opens");
        let machine = StateMachine::new(Arc::new(Replica::new(snapshots, loaded)), Box::new(()));
        Ok((dir, store, machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_librarys_own_storage_suite_passes() {
    Suite::test_all(Builder).await.expect("suite");
}

fn config(dir: &TempDir) -> ConsensusConfig {
    let mut config = ConsensusConfig::new(dir.path(), "test", 1);
    config.segment_bytes = 256 << 10;
    config.entry_bytes_max = 64 << 10;
    config
}

async fn start(config: ConsensusConfig) -> Consensus {
    let consensus = Consensus::start(config, Arc::new(Alone), Box::new(())).await.expect("starts");
    leads(&consensus).await;
    consensus
}

async fn leads(consensus: &Consensus) {
    let mut leadership = consensus.leadership();
    let led = tokio::time::timeout(Duration::from_secs(20), leadership.wait_for(Option::is_some)).await;
    led.expect("in time").expect("running");
}

fn hold(job: u64) -> Command {
    Command::Hold { job: taskyard_model::JobId(job) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_leads_soon_after_its_start_and_keeps_what_it_acknowledged() {
    let dir = TempDir::new().expect("temporary directory");
    let mut digest = None;
    let mut index = 0;
    let mut terms = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        let consensus = start(config(&dir)).await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "took {took:?}");
        println!("leads after {took:?}");
        terms.push(consensus.leadership().borrow().expect("leads").term);
        if let Some(digest) = digest {
            // The new leadership's own entry moved the state on; what was there before is below it.
            assert!(consensus.read(|state| state.index()) > index);
            assert_ne!(consensus.read(|state| state.digest()), digest);
        }
        for job in 0..20 {
            let committed = consensus.propose(hold(job)).await.expect("committed");
            assert!(committed.index > index);
            index = committed.index;
        }
        assert!(consensus.read(|state| state.index()) >= index);
        digest = Some(consensus.read(|state| state.digest()));
        consensus.shutdown().await;
        assert_eq!(consensus.propose(hold(1)).await, Err(ProposeError::NotLeader { leader: None }));
    }
    assert!(terms.is_sorted_by(|a, b| a < b), "each process has its own term: {terms:?}");
}

/// Replay gives the state that was there before, bit for bit, with and without snapshots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_restores_the_digest_through_snapshots_and_purges() {
    let dir = TempDir::new().expect("temporary directory");
    let mut config = config(&dir);
    config.snapshot_log_entries = 50;
    config.keep_entries = 10;
    config.segment_bytes = 32 << 10;
    config.entry_bytes_max = 8 << 10;
    let seen: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let consensus = Consensus::start(config.clone(), Arc::new(Alone), Box::new(Digests(Arc::clone(&seen))))
        .await
        .expect("starts");
    leads(&consensus).await;
    for job in 0..2000 {
        consensus.propose(hold(job)).await.expect("committed");
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while consensus.metrics().snapshot_index < 1900 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await; // sleep: between two looks, with a deadline
    }
    let metrics = consensus.metrics();
    assert!(metrics.snapshot_index >= 1900, "{metrics:?}");
    consensus.shutdown().await;
    let (index, now) = consensus.read(|state| (state.index(), state.now_ms()));
    let digest = consensus.read(|state| state.digest());
    drop(consensus);
    assert!(std::fs::read_dir(dir.path().join("wal")).expect("directory").count() < 8, "the log was purged");

    // Opened without leading: exactly what was applied before.
    let again = super::start::open_for_test(&config).expect("opens");
    let live = again.live.read();
    assert_eq!((live.state.index(), live.state.now_ms(), live.state.digest()), (index, now, digest));
}

struct Digests(Arc<Mutex<Vec<(u64, u64)>>>);

impl Observer for Digests {
    fn applied(&mut self, index: u64, now_ms: u64, _wall_ms: u64, _events: Vec<Event>) {
        let mut seen = self.0.lock();
        if let Some((last, last_ms)) = seen.last() {
            assert!(index == last + 1 && now_ms >= *last_ms, "entries are observed in order");
        }
        seen.push((index, now_ms));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_proposals_share_a_sync() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = LossyDisk::default();
    disk.faults.lock().slow_sync = Some(Duration::from_millis(2));
    let config = ConsensusConfig { segment_bytes: 8 << 20, ..config(&dir) };
    let consensus = Consensus::start_on(Arc::new(disk.clone()), config, Arc::new(Alone), Box::new(()))
        .await
        .expect("starts");
    leads(&consensus).await;
    let before = disk.syncs();
    let proposals = (0..4000).map(|job| {
        let consensus = consensus.clone();
        tokio::spawn(async move { consensus.propose(hold(job)).await.expect("committed").index })
    });
    let mut indices = Vec::new();
    for proposal in proposals.collect::<Vec<_>>() {
        indices.push(proposal.await.expect("joined"));
    }
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 4000);
    let syncs = disk.syncs() - before;
    assert!(syncs < 400, "{syncs} syncs");
    consensus.shutdown().await;
}

/// Power fails under load. Whatever was acknowledged is applied after the restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_under_load_loses_nothing_acknowledged() {
    let dir = TempDir::new().expect("temporary directory");
    let mut random = Random(11);
    for _ in 0..5 {
        let disk = LossyDisk::default();
        let mut config = config(&dir);
        config.snapshot_log_entries = 100;
        let started =
            Consensus::start_on(Arc::new(disk.clone()), config.clone(), Arc::new(Alone), Box::new(())).await;
        let consensus = started.expect("starts after a power cut");
        leads(&consensus).await;
        let acknowledged: Arc<Mutex<u64>> = Arc::default();
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let (consensus, acknowledged) = (consensus.clone(), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    while let Ok(committed) = consensus.propose(hold(1)).await {
                        let mut acknowledged = acknowledged.lock();
                        *acknowledged = (*acknowledged).max(committed.index);
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20 + random.below(100))).await; // sleep: the crash comes at a random moment of the load
        disk.crash(&mut random);
        for writer in writers {
            writer.await.expect("joined");
        }
        let fatal = tokio::time::timeout(Duration::from_secs(5), consensus.failed()).await;
        assert!(fatal.expect("known at once").to_string().contains(".wal"));
        assert!(!consensus.storage_ok());
        consensus.shutdown().await;
        drop(consensus);

        let again = start(config).await;
        let found = again.read(|state| state.index());
        assert!(
            found > *acknowledged.lock(),
            "entry {} was acknowledged, {found} is there",
            acknowledged.lock()
        );
        again.shutdown().await;
    }
}

/// The mutant must fail here: a proposal is answered only when its entry is on the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_never_precedes_the_sync() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = LossyDisk::default();
    let started =
        Consensus::start_on(Arc::new(disk.clone()), config(&dir), Arc::new(Alone), Box::new(())).await;
    let consensus = started.expect("starts");
    leads(&consensus).await;
    disk.faults.lock().slow_sync = Some(Duration::from_millis(100));
    let before = disk.syncs();
    consensus.propose(hold(1)).await.expect("committed");
    assert!(disk.syncs() > before, "answered before the sync");
    consensus.shutdown().await;
}

/// The mutant must fail here. Before its own first entry is applied, a leader may not know yet what was acknowledged before its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leadership_counts_only_once_its_own_start_is_applied() {
    let dir = TempDir::new().expect("temporary directory");
    let before = start(config(&dir)).await;
    let since = before.read(|state| state.leader_since_ms());
    let acknowledged = before.propose(hold(1)).await.expect("committed").index;
    before.shutdown().await;
    // Slow, so that it shows when something is not waited for.
    let disk = LossyDisk::default();
    disk.faults.lock().slow_sync = Some(Duration::from_millis(100));
    let started = Consensus::start_on(Arc::new(disk), config(&dir), Arc::new(Alone), Box::new(())).await;
    let after = started.expect("starts");
    leads(&after).await;
    let (anew, index) = after.read(|state| (state.leader_since_ms(), state.index()));
    assert!(anew > since, "it leads before its LeaderStart is applied");
    assert!(index > acknowledged, "it leads without entry {acknowledged}, which was acknowledged");
    after.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_definite_errors() {
    let dir = TempDir::new().expect("temporary directory");
    let mut config = config(&dir);
    config.in_flight_max = 4;
    let disk = LossyDisk::default();
    let started =
        Consensus::start_on(Arc::new(disk.clone()), config.clone(), Arc::new(Alone), Box::new(())).await;
    let consensus = started.expect("starts");
    leads(&consensus).await;
    let tasks = vec![(0, 1); 100_000];
    let large = Command::Cancel { job: taskyard_model::JobId(1), tasks, now: false };
    let refused = consensus.propose(large).await.expect_err("refused");
    assert!(matches!(refused, ProposeError::TooLarge { .. }) && refused.is_definite());

    disk.faults.lock().slow_sync = Some(Duration::from_millis(300));
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let consensus = consensus.clone();
            tokio::spawn(async move { consensus.propose(hold(1)).await })
        })
        .collect();
    let mut overloaded = 0;
    for answer in waiting {
        match answer.await.expect("joined") {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error, ProposeError::Overloaded { retry_after_ms: 20 });
                overloaded += 1;
            }
        }
    }
    assert!(overloaded >= 3, "{overloaded}");
    disk.faults.lock().slow_sync = None;
    consensus.propose(hold(1)).await.expect("room again");
    assert_eq!(consensus.metrics().in_flight, 0);

    let other = ConsensusConfig { server_id: 2, ..config.clone() };
    let locked = Consensus::start(config.clone(), Arc::new(Alone), Box::new(())).await.err();
    assert!(matches!(locked, Some(StartError::Locked { .. })), "{locked:?}");
    consensus.shutdown().await;
    let refused = Consensus::start(other, Arc::new(Alone), Box::new(())).await.err();
    assert!(matches!(refused, Some(StartError::Identity { field: "server", .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_users_and_keeps_the_system_alive() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = LossyDisk::default();
    let config = ConsensusConfig { segment_bytes: 64 << 10, entry_bytes_max: 8 << 10, ..config(&dir) };
    let consensus = Consensus::start_on(Arc::new(disk.clone()), config, Arc::new(Alone), Box::new(()))
        .await
        .expect("starts");
    leads(&consensus).await;
    disk.faults.lock().no_space = true;
    let full = loop {
        match consensus.propose(hold(1)).await {
            Ok(_) | Err(ProposeError::Overloaded { .. }) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(full, ProposeError::StorageFull);
    assert!(!consensus.storage_ok());
    consensus.propose_system(Command::Tick).await.expect("the system's own go on");
    disk.faults.lock().no_space = false;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !consensus.storage_ok() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await; // sleep: between two looks, with a deadline
    }
    consensus.propose(hold(1)).await.expect("recovered by itself");
    consensus.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_leader_keeps_its_lease_basis_fresh_and_barriers_pass() {
    let dir = TempDir::new().expect("temporary directory");
    let consensus = start(config(&dir)).await;
    tokio::time::sleep(Duration::from_millis(2500)).await; // sleep: what an idle leader does on its own is the subject
    let basis = consensus.lease_basis().expect("leads");
    let age = crate::boottime().saturating_sub(basis);
    assert!(age < Duration::from_millis(1500), "{age:?}");
    let before = crate::boottime();
    let barriers = (0..100).map(|_| {
        let consensus = consensus.clone();
        tokio::spawn(async move { consensus.read_barrier().await })
    });
    for barrier in barriers.collect::<Vec<_>>() {
        barrier.await.expect("joined").expect("passed");
    }
    assert!(consensus.lease_basis().expect("leads") >= before, "an entry was proposed after the call");
    consensus.shutdown().await;
    assert_eq!(consensus.lease_basis(), None);
}
