//! The stream of what happened, resumable by position.

use serde::{Deserialize, Serialize};
use std::fmt;
use taskyard_model::{Invalid, NodeChange};
use utoipa::ToSchema;

/// Position of an event: the log index of the entry that caused it, and its place among that entry's events. The
/// `id:` of server-sent events, so `Last-Event-ID` resumes after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// Log index.
    pub index: u64,
    /// Place in the entry, from 0.
    pub seq: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.seq)
    }
}

impl EventId {
    /// Reads `index.seq`, or `index` alone for its first event.
    pub fn parse(field: &str, text: &str) -> Result<EventId, Invalid> {
        let bad = || Invalid::new(field, text, "write a log index, or index.seq as in an event's id");
        let (index, seq) = text.split_once('.').unwrap_or((text, "0"));
        Ok(EventId { index: index.parse().map_err(|_| bad())?, seq: seq.parse().map_err(|_| bad())? })
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A job came in.
    JobSubmitted,
    /// A user holds it.
    JobHeld,
    /// A user released it.
    JobReleased,
    /// A user changed it.
    JobUpdated,
    /// A user, or its limit of failures, cancelled it, whole or in part.
    JobCancelled,
    /// More tasks of a job failed than `max_fails` allows: the rest is stopped.
    JobFailing,
    /// It will never run: a job that it had to wait for did not end as needed.
    JobSkipped,
    /// Its last task ended.
    JobFinished,
    /// Tasks moved: `tasks` of them, from number `task` on, are now in `state`.
    TasksChanged,
    /// An agent registered or came back.
    NodeUp,
    /// An agent was declared lost, or left.
    NodeDown,
    /// A node takes no new work.
    NodeDraining,
    /// A node takes work again.
    NodeResumed,
    /// A node takes no new work for now: its agent cannot run tasks, or is stopping. `reason` says why.
    NodeNotReady,
    /// It takes work again.
    NodeReady,
    /// Two machines run agents with one node's identity.
    NodeQuarantined,
    /// A node was removed.
    NodeRemoved,
    /// A queue was made or changed.
    QueueSet,
    /// A queue was deleted.
    QueueDeleted,
    /// A pool was made or changed.
    PoolSet,
    /// A pool was deleted.
    PoolDeleted,
    /// A time of maintenance was planned, changed or called off.
    MaintenanceSet,
    /// A share of an account or user was changed, or how fast past use is forgotten.
    SharesSet,
    /// How long finished jobs are kept was changed.
    RetentionSet,
    /// A server became leader.
    LeaderStarted,
    /// Events before this position are no longer kept, and the reader asked for some of them.
    CompactedAt,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

impl From<NodeChange> for EventKind {
    fn from(change: NodeChange) -> Self {
        match change {
            NodeChange::Registered => EventKind::NodeUp,
            NodeChange::Lost => EventKind::NodeDown,
            NodeChange::Drained => EventKind::NodeDraining,
            NodeChange::Resumed => EventKind::NodeResumed,
            NodeChange::NotReady => EventKind::NodeNotReady,
            NodeChange::Quarantined => EventKind::NodeQuarantined,
            NodeChange::Ready => EventKind::NodeReady,
            NodeChange::Removed => EventKind::NodeRemoved,
        }
    }
}

impl EventKind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::JobSubmitted => "job_submitted",
            EventKind::JobHeld => "job_held",
            EventKind::JobReleased => "job_released",
            EventKind::JobUpdated => "job_updated",
            EventKind::JobCancelled => "job_cancelled",
            EventKind::JobFailing => "job_failing",
            EventKind::JobSkipped => "job_skipped",
            EventKind::JobFinished => "job_finished",
            EventKind::TasksChanged => "tasks_changed",
            EventKind::NodeUp => "node_up",
            EventKind::NodeDown => "node_down",
            EventKind::NodeDraining => "node_draining",
            EventKind::NodeResumed => "node_resumed",
            EventKind::NodeNotReady => "node_not_ready",
            EventKind::NodeReady => "node_ready",
            EventKind::NodeQuarantined => "node_quarantined",
            EventKind::NodeRemoved => "node_removed",
            EventKind::QueueSet => "queue_set",
            EventKind::QueueDeleted => "queue_deleted",
            EventKind::PoolSet => "pool_set",
            EventKind::PoolDeleted => "pool_deleted",
            EventKind::MaintenanceSet => "maintenance_set",
            EventKind::SharesSet => "shares_set",
            EventKind::RetentionSet => "retention_set",
            EventKind::LeaderStarted => "leader_started",
            EventKind::CompactedAt => "compacted_at",
            EventKind::Unknown => "unknown",
        }
    }
}

/// One event: which fields are there follows from the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Log index of the entry that caused it.
    pub index: u64,
    /// Its place among that entry's events.
    pub seq: u32,
    /// Wall clock of the entry.
    pub at_ms: u64,
    /// What happened.
    pub kind: EventKind,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
    /// Number of the first task concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// How many tasks it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
    /// State that the job or the tasks have reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Name of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Name of the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Name of the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Name of the time of maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// Reason, shown with the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Event {
    /// An event of which only the position and the kind are known.
    pub fn new(id: EventId, at_ms: u64, kind: EventKind) -> Event {
        Event {
            index: id.index,
            seq: id.seq,
            at_ms,
            kind,
            job: None,
            task: None,
            node: None,
            queue: None,
            pool: None,
            maintenance: None,
            reason: None,
            tasks: None,
            state: None,
        }
    }

    /// Its position.
    pub fn id(&self) -> EventId {
        EventId { index: self.index, seq: self.seq }
    }
}
