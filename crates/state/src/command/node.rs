//! What commands about nodes carry.

use minicbor::{Decode, Encode};
use taskyard_model::{Capacity, Constraint, Incarnation, constraint::Labels};

/// See [`crate::Command::Register`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Register {
    /// Name of the node.
    #[n(0)]
    pub name: String,
    /// Random identity of the agent's data directory.
    #[n(1)]
    pub agent_uuid: String,
    /// Boot id of its kernel.
    #[n(2)]
    pub boot_id: String,
    /// What it offers.
    #[n(3)]
    pub capacity: Capacity,
    /// Its labels.
    #[n(4)]
    pub labels: Labels,
    /// How its tasks are contained, for people.
    #[n(5)]
    pub isolation: String,
    /// Length of a lease, kept for this incarnation.
    #[n(6)]
    pub lease_ms: u64,
    /// Log index of the entry by which its certificate was first gotten; `None` where agents show none.
    #[n(7)]
    pub joined: Option<u64>,
    /// The life of this name that has surely ended, because the agent saw all of its processes dead: it need not be waited for.
    #[n(8)]
    pub replaces: Option<Incarnation>,
    /// Why the agent cannot run tasks yet.
    #[n(9)]
    pub unfit: Option<String>,
}

/// See [`crate::Command::SetMaintenance`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Maintenance {
    /// Which nodes; without terms, all of them.
    #[n(0)]
    pub nodes: Constraint,
    /// Wall clock of its begin.
    #[n(1)]
    pub from_wall_ms: u64,
    /// Wall clock of its end.
    #[n(2)]
    pub until_wall_ms: u64,
}
