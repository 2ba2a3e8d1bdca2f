//! The handle of consensus: what callers ask of it, and how it stops.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use openraft::metrics::RaftServerMetrics;
use openraft::raft::ClientWriteResult;
use parking_lot::Mutex;
use taskyard_model::is_mutant;
use taskyard_state::{Command, Entry, Frozen, Reply, State};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::admission::{Admission, ProposalClass};
use crate::barrier::Barrier;
use crate::clock::{boottime, wall_ms};
use crate::codec;
use crate::config::ConsensusConfig;
use crate::error::{FatalError, ProposeError};
use crate::machine::{Raft, Replica};
use crate::metrics::LogMetrics;
use crate::peer::Network;
use crate::store::LogStore;
use crate::types::{AnswerTo, Proposal, Types};
use crate::wal::{Spare, Wal};

/// A user waits so long at least, and then until nothing at all has been applied for so long: a leader without a quorum decides nothing, and one
/// that is merely busy goes on.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// A proposal that was committed and applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its place in the log.
    pub index: u64,
    /// What the state said.
    pub reply: Reply,
}

/// This process leads, and has proved it in this term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    pub term: u64,
}

/// Handle of the replicated log and the state it makes; clones are the same.
#[derive(Clone)]
pub struct Consensus {
    pub(crate) inner: Arc<ConsensusInner>,
}

pub(crate) struct ConsensusInner {
    pub(crate) config: ConsensusConfig,
    pub(crate) raft: Raft,
    pub(crate) replica: Arc<Replica>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) store: LogStore,
    pub(crate) admission: Arc<Admission>,
    pub(crate) leadership: watch::Sender<Option<Leadership>>,
    pub(crate) barrier: Barrier,
    pub(crate) nonce: u64,
    pub(crate) stopping: watch::Sender<bool>,
    pub(crate) network: Arc<Network>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) lock: Mutex<Option<File>>,
}

impl Consensus {
    /// Proposes a user's command, and waits until it is applied. Definite errors mean that nothing happened. Where nothing can be decided any
    /// more, the user learns in bounded time that it is unknown what becomes of it, and may go on to another server.
    pub async fn propose(&self, command: Command) -> Result<Committed, ProposeError> {
        tokio::select! {
            biased;
            committed = self.inner.propose_as_leader(command, ProposalClass::User) => committed,
            () = self.until_stalled() => {
                let what = "nothing has been committed for some seconds; this server may be cut off from the others";
                Err(ProposeError::Unknown(what.into()))
            }
        }
    }

    /// Comes back when nothing has been applied for [`STALLED_AFTER`], counted from now at the earliest. Never where this server is the only
    /// voter: then its disk alone can hold it up, and there is no other server to go to.
    async fn until_stalled(&self) {
        let mut left = STALLED_AFTER;
        while !left.is_zero() {
            tokio::time::sleep(left).await;
            left = match self.is_alone() {
                true => STALLED_AFTER,
                false => STALLED_AFTER.saturating_sub(Duration::from_millis(self.applied_age_ms())),
            };
        }
    }

    /// Proposes a command of the system itself (reports, ticks, losses), which is accepted a little longer than
    /// those of users when storage or the server is full. It must be small. It waits for as long as it takes: whoever proposes it could do nothing
    /// but propose it again.
    pub async fn propose_system(&self, command: Command) -> Result<Committed, ProposeError> {
        self.inner.propose_as_leader(command, ProposalClass::System).await
    }

    /// Looks at the state. Applying waits meanwhile, so `f` must be quick.
    pub fn read<R>(&self, f: impl FnOnce(&State) -> R) -> R {
        f(&self.inner.replica.live.read().state)
    }

    /// A copy of the state, in microseconds.
    pub fn snapshot_of_state(&self) -> Frozen {
        self.inner.replica.live.read().state.freeze()
    }

    /// Follows the index of the last applied entry.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.replica.applied.subscribe()
    }

    /// Follows whether this process leads. `Some` only once its own `LeaderStart` of the term is applied.
    pub fn leadership(&self) -> watch::Receiver<Option<Leadership>> {
        self.inner.leadership.subscribe()
    }

    /// Waits until this process leads and its `LeaderStart` is applied.
    pub async fn until_leading(&self) {
        let mut leadership = self.leadership();
        let _ = leadership.wait_for(Option::is_some).await;
    }

    /// The term in which this process leads.
    pub fn led_term(&self) -> Option<u64> {
        self.inner.leadership.borrow().map(|leadership| leadership.term)
    }

    /// The basis of leases: CLOCK_BOOTTIME noted before the newest entry of this leadership that has since been
    /// applied was proposed. Any later leader was elected after this moment. `None` while this process does not
    /// lead.
    pub fn lease_basis(&self) -> Option<Duration> {
        let leadership = (*self.inner.leadership.borrow())?;
        self.inner.proven(leadership.term)
    }

    /// Waits until an entry that was proposed after this call is applied: what is read then is not older than the
    /// call. Concurrent calls share entries.
    pub async fn read_barrier(&self) -> Result<(), ProposeError> {
        if self.inner.leadership.borrow().is_none() {
            return Err(self.inner.not_leader(None));
        }
        if is_mutant("read-without-barrier") {
            return Ok(());
        }
        let answer = self.inner.barrier.enter(self.inner.config.in_flight_max)?;
        answer.await.unwrap_or(Err(ProposeError::Stopped))
    }

    /// Whether a majority followed this server within so long.
    pub fn has_led_within(&self, age: Duration) -> bool {
        let leadership = *self.inner.leadership.borrow();
        let proven = leadership.and_then(|leadership| self.inner.proven(leadership.term));
        proven.is_some_and(|at| boottime().saturating_sub(at) < age)
    }

    /// Whether the disk takes users' commands.
    pub fn storage_ok(&self) -> bool {
        !matches!(self.inner.wal.spare(), Spare::Failed(_)) && self.inner.fatal().is_none()
    }

    /// Counters and positions.
    pub fn metrics(&self) -> LogMetrics {
        let inner = &self.inner;
        let (in_flight, in_flight_bytes) = inner.admission.in_flight();
        let mut metrics = LogMetrics {
            segments: inner.wal.segments() as u64,
            last_index: inner.store.last_index(),
            applied_index: inner.replica.live.read().state.index(),
            snapshot_index: inner.replica.snapshots.index(),
            in_flight: in_flight as u64,
            in_flight_bytes: in_flight_bytes as u64,
            storage_ok: self.storage_ok(),
            ..LogMetrics::default()
        };
        inner.wal.counters().read(&mut metrics);
        metrics
    }

    /// Stops: what was accepted is written, nothing more is. Returns when the data directory is free again.
    pub async fn shutdown(&self) {
        let inner = &self.inner;
        self.say_goodbye().await;
        inner.stopping.send_replace(true);
        let tasks = std::mem::take(&mut *inner.tasks.lock());
        for task in tasks {
            let _ = task.await;
        }
        let _ = inner.raft.shutdown().await;
        inner.leadership.send_replace(None);
        let wal = Arc::clone(&inner.wal);
        let _ = tokio::task::spawn_blocking(move || wal.close()).await;
        inner.lock.lock().take();
    }

    /// Resolves when storage has failed. The process must then exit with this message.
    pub async fn failed(&self) -> FatalError {
        let mut wal = self.inner.wal.fatal();
        let mut other = self.inner.replica.failed.subscribe();
        // The log's own reason first: everything else follows from it.
        tokio::select! {
            biased;
            reason = reason(&mut wal) => reason,
            reason = reason(&mut other) => reason,
        }
    }
}

async fn reason(failed: &mut watch::Receiver<Option<Arc<FatalError>>>) -> FatalError {
    let reason = match failed.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone(),
        Err(_) => None,
    };
    match reason {
        Some(reason) => FatalError::clone(&reason),
        // Stopped without a failure.
        None => std::future::pending().await,
    }
}

impl ConsensusInner {
    async fn propose_as_leader(
        &self,
        command: Command,
        class: ProposalClass,
    ) -> Result<Committed, ProposeError> {
        if self.leadership.borrow().is_none() {
            return Err(self.not_leader(None));
        }
        self.propose(command, class).await.map(|(_, committed)| committed)
    }

    /// Proposes, whether or not the leadership is proved yet. Tells the term as well.
    pub(crate) async fn propose(
        &self,
        command: Command,
        class: ProposalClass,
    ) -> Result<(u64, Committed), ProposeError> {
        if *self.stopping.borrow() {
            return Err(ProposeError::Stopped);
        }
        let at = boottime();
        let entry = Entry { now_ms: self.replica.clock.lock().now_ms(at), wall_ms: wall_ms(), command };
        let content = codec::encode_entry(&entry);
        let (bytes, limit) = (content.len(), self.config.entry_bytes_max);
        if bytes > limit {
            return Err(ProposeError::TooLarge { bytes, limit });
        }
        let occupied = Some(self.admission.admit(class, bytes, &self.wal)?);
        let (to, answer) = oneshot::channel();
        let proposal = Proposal::new(entry, content, Some(at));
        let handed_over = self.raft.client_write_ff(proposal, Some(AnswerTo { to, occupied })).await;
        handed_over.map_err(|error| self.unknown(&error))?;
        match answer.await {
            Ok(answer) => self.outcome(answer),
            Err(_) => Err(self.unknown(&"consensus stopped")),
        }
    }

    fn outcome(&self, answer: ClientWriteResult<Types>) -> Result<(u64, Committed), ProposeError> {
        match answer {
            Ok(written) => {
                let reply = written.data.ok_or(ProposeError::Unknown("it has no reply".into()))?;
                Ok((written.log_id.leader_id.term, Committed { index: written.log_id.index, reply }))
            }
            Err(ClientWriteError::ForwardToLeader(ForwardToLeader { leader_id, .. })) => {
                Err(self.not_leader(leader_id))
            }
            Err(error) => Err(self.unknown(&error)),
        }
    }

    fn unknown(&self, error: &dyn std::fmt::Display) -> ProposeError {
        match self.fatal() {
            _ if *self.stopping.borrow() => ProposeError::Stopped,
            Some(fatal) => ProposeError::Unknown(fatal.to_string()),
            None => ProposeError::Unknown(error.to_string()),
        }
    }

    fn not_leader(&self, known: Option<u64>) -> ProposeError {
        let leader = known.or_else(|| self.raft.server_metrics().borrow_watched().current_leader);
        ProposeError::NotLeader { leader: leader.filter(|leader| *leader != self.config.server_id) }
    }

    pub(crate) fn proven(&self, term: u64) -> Option<Duration> {
        let proven = *self.replica.proven.lock();
        proven.filter(|(proven_term, _)| *proven_term == term).map(|(_, at)| at)
    }

    pub(crate) fn fatal(&self) -> Option<Arc<FatalError>> {
        let fatal = self.wal.fatal().borrow().clone();
        fatal.or_else(|| self.replica.failed.borrow().clone())
    }

    /// The term this process leads in, as the library sees it.
    pub(crate) fn led_term(&self, metrics: &RaftServerMetrics<Types>) -> Option<u64> {
        let leads = metrics.current_leader == Some(self.config.server_id) && metrics.state.is_leader();
        leads.then_some(metrics.vote.leader_id.term)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.config.dir.clone()
    }
}
