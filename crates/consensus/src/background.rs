//! What goes on without being asked: proving a leadership and keeping it proved, read barriers, snapshots, and
//! noticing that the Raft library has died. Each is a task that [`crate::Consensus::shutdown`] waits for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use taskyard_model::{is_mutant, limits};
use taskyard_state::Command;
use tokio::task::JoinHandle;

use crate::admission::ProposalClass;
use crate::clock::boottime;
use crate::consensus::{Consensus, ConsensusInner, Leadership};
use crate::error::{FatalError, ProposeError};
use crate::peer::PeerLink;
use crate::removal::ask_when_quiet;
use crate::succession::watch_leader;
use crate::wal::Spare;

/// An idle leader proves itself this often; semantics ask for once a second.
const PROVE_EVERY: Duration = Duration::from_millis(800);
/// How often it is looked whether that is due.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A leadership that cannot be announced for this long is logged.
const UNANNOUNCED_LOGGED_AFTER: Duration = Duration::from_secs(2);
/// How often the membership is compared with what it should be.
const MEMBERS_EVERY: Duration = Duration::from_millis(250);
/// Between two rounds of calls to servers that do not answer, and how many there are.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
const ANNOUNCEMENTS_MAX: u32 = 600;
/// How often it is looked whether the disk is full; a leader yields when it was so twice in a row.
const SPACE_EVERY: Duration = Duration::from_millis(500);
/// How long a server with room has to take over.
const YIELD_WITHIN: Duration = Duration::from_secs(5);
/// A snapshot waits until there is at least this part of what it takes over from the one before.
const STORED_PER_SNAPSHOT: u64 = 8;
/// When writing a snapshot has failed.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(10);

/// Starts all tasks. They hold the inner part only while they work, and end with the process or on `stopping`.
pub(crate) fn spawn(inner: &Arc<ConsensusInner>) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(until_stopped(Arc::clone(inner), lead)),
        tokio::spawn(until_stopped(Arc::clone(inner), pass_barriers)),
        tokio::spawn(until_stopped(Arc::clone(inner), take_snapshots)),
        tokio::spawn(until_stopped(Arc::clone(inner), watch_library)),
        tokio::spawn(until_stopped(Arc::clone(inner), yield_when_full)),
        tokio::spawn(until_stopped(Arc::clone(inner), keep_members)),
        tokio::spawn(until_stopped(Arc::clone(inner), call_others)),
        tokio::spawn(until_stopped(Arc::clone(inner), watch_leader)),
        tokio::spawn(until_stopped(Arc::clone(inner), ask_when_quiet)),
    ]
}

/// While this server leads: tells the log who speaks for which server, and brings the membership to what they are meant to be. Starts from
/// the state alone each time.
async fn keep_members(inner: Arc<ConsensusInner>) {
    let consensus = Consensus { inner };
    let mut leadership = consensus.leadership();
    let mut told = String::new();
    loop {
        if leadership.wait_for(Option::is_some).await.is_err() {
            return;
        }
        for started in consensus.unrecorded_starts() {
            if let Err(error) = consensus.propose_system(started).await {
                tracing::debug!(%error, "the start of a server was not recorded");
            }
        }
        match consensus.reconcile().await {
            Ok(true) => continue,
            Ok(false) => told.clear(),
            // Tried again several times a second; the same reason again says nothing new.
            Err(error) => {
                let why = error.to_string();
                if why != told {
                    tracing::warn!(why, "the membership was not changed; trying again");
                    told = why;
                }
            }
        }
        tokio::select! {
            () = consensus.someone_met() => {}
            () = tokio::time::sleep(MEMBERS_EVERY) => {}
        }
    }
}

/// Calls the other servers once, so that they learn of this process and where it is reached now, and it learns when it is not wanted any more.
async fn call_others(inner: Arc<ConsensusInner>) {
    let mut left: Vec<(u64, String)> = {
        let live = inner.replica.live.read();
        let all = live.about.membership.membership().nodes().map(|(id, node)| (*id, node.addr.clone()));
        all.filter(|(id, _)| *id != inner.config.server_id).collect()
    };
    for _ in 0..ANNOUNCEMENTS_MAX {
        let mut away = Vec::new();
        for (id, joined_at) in left {
            let known = inner.network.known.met(id).is_some();
            if !known
                && PeerLink::new(Arc::clone(&inner.network), id, joined_at.clone()).open().await.is_err()
            {
                away.push((id, joined_at));
            }
        }
        if away.is_empty() {
            return;
        }
        left = away;
        tokio::time::sleep(ANNOUNCE_EVERY).await;
    }
}

async fn until_stopped<F: Future<Output = ()>>(
    inner: Arc<ConsensusInner>,
    work: impl FnOnce(Arc<ConsensusInner>) -> F,
) {
    let mut stopping = inner.stopping.subscribe();
    tokio::select! {
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = work(inner) => {}
    }
}

/// Announces each leadership by a `LeaderStart`, and keeps it proved.
async fn lead(inner: Arc<ConsensusInner>) {
    let mut metrics = inner.raft.server_metrics();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tick: Option<JoinHandle<()>> = None;
    let mut refused = RefusedAnnouncements::default();
    loop {
        let led = {
            let now = metrics.borrow_and_update();
            let led = inner.led_term(&now);
            // Ticks are for heartbeats and elections. Fifty a second are most of what an idle server does.
            let alone = led.is_some() && now.membership_config.nodes().count() == 1;
            inner.raft.runtime_config().tick(!alone);
            led
        };
        let announced = inner.leadership.borrow().map(|leadership| leadership.term);
        if announced.is_some() && led != announced {
            tracing::info!(term = announced, "this server no longer leads");
            inner.leadership.send_replace(None);
        }
        if let Some(term) = led {
            if announced != led {
                if let Err(error) = announce(&inner, term).await {
                    refused.note(term, &error);
                }
            } else if tick.as_ref().is_none_or(JoinHandle::is_finished) && is_due(&inner, term) {
                tick = Some(tokio::spawn(prove(Arc::clone(&inner))));
            }
        }
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { return },
            _ = look.tick() => {}
        }
    }
}

fn is_due(inner: &ConsensusInner, term: u64) -> bool {
    inner.proven(term).is_none_or(|at| boottime().saturating_sub(at) + LOOK_EVERY > PROVE_EVERY)
}

async fn prove(inner: Arc<ConsensusInner>) {
    if let Err(error) = inner.propose(Command::Tick, ProposalClass::System).await {
        tracing::debug!(%error, "a tick was not committed");
    }
}

/// The leadership counts from the moment its own first entry is applied: until then another leader's grants may
/// not all be known here.
async fn announce(inner: &ConsensusInner, term: u64) -> Result<(), ProposeError> {
    if is_mutant("no-leader-start") {
        inner.leadership.send_replace(Some(Leadership { term }));
        return Ok(());
    }
    let start = Command::LeaderStart { server: inner.config.server_id, nonce: inner.nonce };
    let (committed_in, _) = inner.propose(start, ProposalClass::System).await?;
    // Else it is another term by now, and the loop looks again.
    if committed_in == term {
        tracing::info!(term, "this server leads");
        inner.leadership.send_replace(Some(Leadership { term }));
    }
    Ok(())
}

/// Refusals to announce one leadership. A few right after an election are usual, as long as the library has not
/// settled: only a leadership that stays unannounced is worth a line, and one line.
#[derive(Default)]
struct RefusedAnnouncements {
    term: u64,
    since: Duration,
    logged: bool,
}

impl RefusedAnnouncements {
    fn note(&mut self, term: u64, error: &ProposeError) {
        if self.term != term {
            *self = RefusedAnnouncements { term, since: boottime(), logged: false };
        }
        if !self.logged && boottime().saturating_sub(self.since) >= UNANNOUNCED_LOGGED_AFTER {
            tracing::warn!(term, %error, "the leadership could not be announced; trying again");
            self.logged = true;
        }
    }
}

/// One entry lets all pass who came before it was proposed.
async fn pass_barriers(inner: Arc<ConsensusInner>) {
    loop {
        let waiting = inner.barrier.entered().await;
        if waiting.is_empty() {
            continue;
        }
        let passed = inner.propose(Command::Tick, ProposalClass::System).await.map(|_| ());
        for told in waiting {
            let _ = told.send(passed.clone());
        }
    }
}

/// Writes a snapshot when the log has grown enough since the last one, then lets the library purge the log.
async fn take_snapshots(inner: Arc<ConsensusInner>) {
    let (bytes_max, entries_max) = (inner.config.snapshot_log_bytes, inner.config.snapshot_log_entries);
    // What was in the log at the start counts as well.
    let mut bytes_before = 0;
    let found = inner.wal.found_bytes();
    loop {
        inner.replica.progress.notified().await;
        let bytes = found + inner.wal.counters().bytes();
        let applied = inner.replica.last_applied().map_or(0, |last| last.index);
        let entries = applied.saturating_sub(inner.replica.snapshots.index());
        let (stored, unstored) = inner.replica.input_bytes();
        // What is on disk already is written once more, so that it is not worth while for little.
        let bytes_max = bytes_max.max(stored / STORED_PER_SNAPSHOT);
        let unstored_max = limits::UNSTORED_BYTES_MAX.max(stored / STORED_PER_SNAPSHOT);
        let is_due = bytes - bytes_before >= bytes_max || entries >= entries_max || unstored >= unstored_max;
        if entries == 0 || !is_due {
            continue;
        }
        let replica = Arc::clone(&inner.replica);
        let written = tokio::task::spawn_blocking(move || replica.take_snapshot()).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                bytes_before = bytes;
                tracing::info!(index = inner.replica.snapshots.index(), "snapshot taken");
                inner.replica.prepared.store(true, Ordering::Relaxed);
                let _ = inner.raft.trigger().snapshot().await;
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot could not be written; the log grows until one is");
                tokio::time::sleep(SNAPSHOT_RETRY).await;
            }
        }
    }
}

/// A leader whose disk is full refuses users' commands, though the others may have room: it hands over to one that has, and follows on.
async fn yield_when_full(inner: Arc<ConsensusInner>) {
    let consensus = Consensus { inner: Arc::clone(&inner) };
    loop {
        tokio::time::sleep(SPACE_EVERY).await;
        let full = matches!(inner.wal.spare(), Spare::Failed(_));
        if inner.replica.full.swap(full, Ordering::Relaxed) && full {
            consensus.yield_to_room(YIELD_WITHIN).await;
        }
    }
}

/// The library stops for good at any error of storage, also of reading; then the process must stop as well.
async fn watch_library(inner: Arc<ConsensusInner>) {
    // These change only with elections, unlike the library's other metrics.
    let mut metrics = inner.raft.server_metrics();
    while metrics.changed().await.is_ok() {}
    let cause = match &inner.raft.metrics().borrow_watched().running_state {
        Err(error) => error.to_string(),
        Ok(()) => "it ended".to_owned(),
    };
    if !*inner.stopping.borrow() {
        let cause = io::Error::other(cause);
        inner.replica.fail(FatalError::new("consensus on", &inner.dir(), 0, &cause));
    }
}
