//! The Raft library's view of the state: applies entries in order, tells the observer, answers proposers.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::entry::RaftEntry as _;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use parking_lot::{Mutex, RwLock};
use taskyard_state::{Event, Frozen, Reply, State};
use tokio::sync::{Notify, watch};

use crate::Observer;
use crate::clock::{EntryClock, boottime};
use crate::error::FatalError;
use crate::snapshot::{Places, SnapshotFile, SnapshotHead, Snapshots};
use crate::types::{LogId, RaftEntry, StoredMembership, Types};

/// Jobs whose places in a new snapshot are noted while the state is locked.
const PLACED_AT_ONCE: usize = 512;

/// The state, and all that follows from applying an entry. Shared by the machine and the handles.
pub(crate) struct Replica {
    pub(crate) live: RwLock<Live>,
    pub(crate) snapshots: Snapshots,
    pub(crate) clock: Mutex<EntryClock>,
    /// Of the newest own entry that was applied: its term, and when it was proposed.
    pub(crate) proven: Mutex<Option<(u64, Duration)>>,
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) failed: watch::Sender<Option<Arc<FatalError>>>,
    /// Why the other servers want no more of this one.
    pub(crate) expelled: watch::Sender<Option<String>>,
    /// The disk has no room for users' commands, as was last seen; other servers ask.
    pub(crate) full: AtomicBool,
    /// A snapshot has been written that the Raft library has not been told of.
    pub(crate) prepared: AtomicBool,
    /// Something was applied: it may be time for a snapshot.
    pub(crate) progress: Notify,
}

/// The state with the position it stands at.
pub(crate) struct Live {
    pub(crate) state: State,
    pub(crate) about: SnapshotHead,
}

impl Replica {
    pub(crate) fn new(snapshots: Snapshots, loaded: Option<(SnapshotHead, State)>) -> Replica {
        let (about, state) = loaded.unwrap_or_else(|| (SnapshotHead::default(), State::new()));
        let mut clock = EntryClock::default();
        clock.applied(state.now_ms(), false, boottime());
        Replica {
            applied: watch::Sender::new(state.index()),
            live: RwLock::new(Live { state, about }),
            snapshots,
            clock: Mutex::new(clock),
            proven: Mutex::new(None),
            failed: watch::Sender::new(None),
            expelled: watch::Sender::new(None),
            full: AtomicBool::new(false),
            prepared: AtomicBool::new(false),
            progress: Notify::new(),
        }
    }

    pub(crate) fn last_applied(&self) -> Option<LogId> {
        self.live.read().about.last
    }

    /// The process must stop; the first reason is kept.
    pub(crate) fn fail(&self, reason: FatalError) {
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            failed.get_or_insert(Arc::new(reason));
            first
        });
    }

    /// Another server has said that this one can never be right.
    pub(crate) fn expel(&self, why: &str) {
        self.expelled.send_if_modified(|expelled| {
            let first = expelled.is_none();
            expelled.get_or_insert_with(|| why.to_owned());
            first
        });
    }

    /// Bytes of inputs of finished jobs: on disk alone, and in memory still.
    pub(crate) fn input_bytes(&self) -> (u64, u64) {
        let live = self.live.read();
        let unstored = live.state.unstored_bytes();
        (live.state.kept().bytes - unstored, unstored)
    }

    /// Writes a snapshot of the state as it is now. Inputs of finished jobs leave memory then. Blocks.
    pub(crate) fn take_snapshot(&self) -> io::Result<()> {
        let (about, frozen) = self.view();
        self.write_snapshot(&about, frozen)
    }

    fn write_snapshot(&self, about: &SnapshotHead, frozen: Frozen) -> io::Result<()> {
        let Some(Places { source, jobs }) = self.snapshots.write(about, &frozen)? else { return Ok(()) };
        // Else each job would be copied before it is changed.
        drop(frozen);
        for some in jobs.chunks(PLACED_AT_ONCE) {
            self.live.write().state.stored(some, &source);
        }
        Ok(())
    }

    /// The state as it is now, for a snapshot.
    pub(crate) fn view(&self) -> (SnapshotHead, Frozen) {
        let live = self.live.read();
        (live.about.clone(), live.state.freeze())
    }
}

/// The Raft library with this crate's state machine.
pub(crate) type Raft = openraft::Raft<Types, StateMachine>;

/// Applies entries; there is one.
pub(crate) struct StateMachine {
    replica: Arc<Replica>,
    observer: Mutex<Box<dyn Observer>>,
}

impl StateMachine {
    pub(crate) fn new(replica: Arc<Replica>, observer: Box<dyn Observer>) -> StateMachine {
        StateMachine { replica, observer: Mutex::new(observer) }
    }

    /// Applies one entry. Panics if the state does: an impossible state must stop the server.
    pub(crate) fn apply_entry(&mut self, entry: RaftEntry) -> Option<Reply> {
        let id = entry.log_id();
        let applied = catch_unwind(AssertUnwindSafe(|| self.change(id, &entry.payload)));
        let (reply, events, now_ms, wall_ms) = applied.unwrap_or_else(|panic| {
            let cause = io::Error::other(format!("applying entry {} panicked", id.index));
            self.replica.fail(FatalError::new("the state in", "memory".as_ref(), id.index, &cause));
            std::panic::resume_unwind(panic)
        });
        let proposed_at = match &entry.payload {
            EntryPayload::Normal(proposal) => proposal.proposed_at(),
            _ => None,
        };
        if let Some(at) = proposed_at {
            let mut proven = self.replica.proven.lock();
            *proven = (*proven).max(Some((id.leader_id.term, at)));
        }
        self.replica.clock.lock().applied(now_ms, proposed_at.is_some(), boottime());
        self.observer.get_mut().applied(id.index, now_ms, wall_ms, events);
        reply
    }

    fn change(
        &self,
        id: LogId,
        payload: &EntryPayload<crate::types::Proposal, u64, openraft::BasicNode>,
    ) -> (Option<Reply>, Vec<Event>, u64, u64) {
        let mut live = self.replica.live.write();
        let Live { state, about } = &mut *live;
        about.last = Some(id);
        let (reply, events) = match payload {
            EntryPayload::Normal(proposal) => {
                let applied = state.apply(id.index, proposal.entry());
                (Some(applied.reply), applied.events)
            }
            EntryPayload::Blank | EntryPayload::Membership(_) => {
                // The very first entry, the membership, has index 0, where the state already is.
                if id.index > state.index() {
                    state.skip(id.index);
                }
                (None, Vec::new())
            }
        };
        if let EntryPayload::Membership(membership) = payload {
            about.membership = StoredMembership::new(Some(id), membership.clone());
        }
        (reply, events, state.now_ms(), state.wall_ms())
    }

    /// Tells those who follow the index.
    pub(crate) fn publish(&self) {
        let index = self.replica.live.read().state.index();
        self.replica.applied.send_replace(index);
        self.replica.progress.notify_one();
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let about = self.replica.live.read().about.clone();
        Ok((about.last, about.membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let reply = self.apply_entry(entry);
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        self.publish();
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let prepared = self.replica.prepared.swap(false, Ordering::Relaxed);
        let view = (!prepared).then(|| self.replica.view());
        Builder { replica: Arc::clone(&self.replica), view }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let about = SnapshotHead { last: meta.last_log_id, membership: meta.last_membership.clone() };
        let replica = Arc::clone(&self.replica);
        let install = move || {
            let state = replica.snapshots.install(&about, &snapshot)?;
            replica.clock.lock().applied(state.now_ms(), false, boottime());
            *replica.live.write() = Live { state, about };
            Ok::<(), io::Error>(())
        };
        tokio::task::spawn_blocking(install).await.map_err(io::Error::other)??;
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, SnapshotFile>>, io::Error> {
        Ok(self.replica.snapshots.current().map(to_raft))
    }
}

fn to_raft((about, snapshot): (SnapshotHead, SnapshotFile)) -> SnapshotOf<Types, SnapshotFile> {
    let meta = SnapshotMetaOf::<Types> { last_log_id: about.last, last_membership: about.membership };
    SnapshotOf::<Types, SnapshotFile> { meta, snapshot }
}

/// Hands the Raft library a snapshot. Normally one that is on the disk already: the library takes a failure for
/// the end, so writing, which a full disk may hinder for a while, is done before it is asked.
pub(crate) struct Builder {
    replica: Arc<Replica>,
    /// What to write; absent if the newest snapshot is meant.
    view: Option<(SnapshotHead, Frozen)>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotFile>, io::Error> {
        if let Some((about, frozen)) = self.view.take() {
            let replica = Arc::clone(&self.replica);
            let write = move || replica.write_snapshot(&about, frozen);
            tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
        }
        let current = self.replica.snapshots.current().map(to_raft);
        current.ok_or_else(|| io::Error::other("the snapshot just written is gone"))
    }
}
