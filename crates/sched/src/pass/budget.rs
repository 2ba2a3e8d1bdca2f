//! How much one pass may do, counted in work, so that the same view gives the same plan on any machine.

use taskyard_model::limits;

/// The bounds of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nodes looked at, once for each time.
    pub nodes_max: u64,
    /// Tasks assigned. Bounds the entry and the time `apply` needs for it.
    pub tasks_max: u32,
    /// Starts reserved in a pool that reserves one for all that waits. A simulation, for which nothing live waits,
    /// reserves them all.
    pub reservations_max: u32,
    /// Whether work is prefetched, and what is held taken back. Agents of a simulation need none: whatever fits starts
    /// at once.
    pub holds: bool,
}

impl Default for Budget {
    /// A node costs a few nanoseconds, so this is some tens of milliseconds. A pass that runs out begins at the front
    /// the next time: were the budget smaller than classes × nodes with room, the rear could starve.
    fn default() -> Self {
        Budget {
            nodes_max: limits::PASS_NODES_MAX,
            tasks_max: limits::PLAN_TASKS_MAX,
            reservations_max: limits::PLANNED_TASKS_MAX,
            holds: true,
        }
    }
}
