//! Where a task is in its life.

use minicbor::{Decode, Encode};

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// Not assigned.
    #[default]
    #[n(0)]
    Pending,
    /// Assigned ahead of need: held by an agent, taking no resources.
    #[n(1)]
    Queued,
    /// Assigned, taking resources.
    #[n(2)]
    Running,
    /// Ended well.
    #[n(3)]
    Succeeded,
    /// Ended badly, and is not tried again.
    #[n(4)]
    Failed,
    /// Ended because a user said so.
    #[n(5)]
    Cancelled,
    /// Never ran, because a job it had to wait for did not end as needed.
    #[n(6)]
    Skipped,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Phase; 7] = [
        Phase::Pending,
        Phase::Queued,
        Phase::Running,
        Phase::Succeeded,
        Phase::Failed,
        Phase::Cancelled,
        Phase::Skipped,
    ];

    /// A final state stays.
    pub fn is_terminal(self) -> bool {
        self >= Phase::Succeeded
    }

    /// Whether an agent has it.
    pub fn is_assigned(self) -> bool {
        matches!(self, Phase::Queued | Phase::Running)
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Queued => "prefetched",
            Phase::Running => "running",
            Phase::Succeeded => "succeeded",
            Phase::Failed => "failed",
            Phase::Cancelled => "cancelled",
            Phase::Skipped => "skipped",
        }
    }
}
