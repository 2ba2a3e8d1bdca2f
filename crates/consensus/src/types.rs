//! The Raft library, typed once for all of this crate.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openraft::impls::leader_id_std::LeaderId;
use openraft::raft::responder::Responder;
use openraft::vote::RaftLeaderId;
use openraft::{BasicNode, OptionalSend};
use taskyard_state::{Entry, Reply};
use tokio::sync::oneshot;

use crate::wal::{Content, Pos};

/// The types the Raft library works with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl openraft::RaftTypeConfig for Types {
    type D = Proposal;
    type R = Option<Reply>;
    type NodeId = u64;
    type Node = BasicNode;
    type Term = u64;
    // The standard one: at most one leader in a term, which leases rest on.
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Proposal, u64, BasicNode>;
    type Entry = openraft::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = openraft::impls::TokioRuntime;
    type Responder<T>
        = AnswerTo<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

pub(crate) type RaftEntry = openraft::alias::EntryOf<Types>;
pub(crate) type Payload = openraft::alias::PayloadOf<Types>;
pub(crate) type LogId = openraft::alias::LogIdOf<Types>;
pub(crate) type Vote = openraft::alias::VoteOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;
pub(crate) type StoredMembership = openraft::alias::StoredMembershipOf<Types>;

pub(crate) fn log_id(pos: Pos) -> LogId {
    LogId::new_term_index(pos.term, pos.index)
}

pub(crate) fn pos(id: &LogId) -> Pos {
    Pos { term: id.leader_id.term, index: id.index }
}

/// An entry on its way through the log, shared by all who hold it.
#[derive(Clone)]
pub(crate) struct Proposal(Arc<Proposed>);

struct Proposed {
    entry: Entry,
    content: Content,
    /// When this process proposed it; absent if it was read from the disk.
    at: Option<Duration>,
}

impl Proposal {
    pub(crate) fn new(entry: Entry, content: Content, at: Option<Duration>) -> Proposal {
        Proposal(Arc::new(Proposed { entry, content, at }))
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.0.entry
    }

    /// As it stands in the log.
    pub(crate) fn content(&self) -> &Content {
        &self.0.content
    }

    pub(crate) fn proposed_at(&self) -> Option<Duration> {
        self.0.at
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proposal of {} bytes", self.0.content.len())
    }
}

/// Whom to tell the outcome of a proposal, and what it occupies until then.
pub(crate) struct AnswerTo<T> {
    pub(crate) to: oneshot::Sender<T>,
    pub(crate) occupied: Option<crate::admission::Occupied>,
}

impl<T: OptionalSend + 'static> Responder<Types, T> for AnswerTo<T> {
    fn on_complete(self, result: T) {
        // Room is made first, so that whoever is answered can propose again at once.
        drop(self.occupied);
        // The receiver may have gone.
        let _ = self.to.send(result);
    }
}
