//! What the planner decided. It goes through the log; `apply` checks each part again.

use crate::{Incarnation, JobId, NodeId};
use minicbor::{Decode, Encode};

/// Decisions of one pass, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Plan {
    /// New attempts.
    #[n(0)]
    pub assignments: Vec<Assignment>,
    /// Prefetched attempts to take back.
    #[n(1)]
    pub recalls: Vec<Recall>,
}

impl Plan {
    /// Whether there is nothing to propose.
    pub fn is_empty(&self) -> bool {
        self.assignments.is_empty() && self.recalls.is_empty()
    }
}

/// The next `count` tasks of a job, lowest index first, to one node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Assignment {
    /// The job.
    #[n(0)]
    pub job: JobId,
    /// How many of its tasks.
    #[n(1)]
    pub count: u32,
    /// Where.
    #[n(2)]
    pub node: NodeId,
    /// The agent's life the planner saw; refused if it is another by now.
    #[n(3)]
    pub incarnation: Incarnation,
    /// Sent ahead of need: takes no resources until an attempt of the same class on that node ends.
    #[n(4)]
    pub prefetch: bool,
}

/// Take back every prefetched attempt of a job on a node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Recall {
    /// The job.
    #[n(0)]
    pub job: JobId,
    /// The node.
    #[n(1)]
    pub node: NodeId,
}
