//! What a machine is busy with besides Taskyard.

use crate::NodeView;

/// How much of what a node has free by its reservations is used all the same, by work that Taskyard did not start. It says which node is the better
/// one, and never whether a task fits: it is no part of the state, and another server may know other values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OtherLoad {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
}

/// What an agent found idle on its machine; `None` where it did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// Thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
}

impl OtherLoad {
    /// What is free by reservation and not idle. So of what is reserved and what is used the larger one counts, and what is placed after the report
    /// counts on top.
    pub fn of(node: &NodeView, idle: Idle) -> OtherLoad {
        let missing = |free: u64, idle: Option<u64>| idle.map_or(0, |idle| free.saturating_sub(idle));
        OtherLoad {
            cpu_milli: missing(node.free.cpu_milli, idle.cpu_milli),
            memory: missing(node.free.memory, idle.memory),
        }
    }
}
