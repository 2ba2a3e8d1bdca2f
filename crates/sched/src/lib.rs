//! The planner: `schedule(&View, Budget) -> Plan`, and `explain`, which answers from the same code.
//!
//! Pure: one value in, one value out. It must not know the state, a clock, or how a plan is carried out. `README.md` tells what a
//! pass does and where a change goes.
//!
//! The cost of a pass follows classes and placements, never the number of tasks or jobs that wait.
#![warn(clippy::pedantic)]
// A line in a lane is what the code is about.
#![allow(clippy::similar_names, clippy::module_name_repetitions, clippy::must_use_candidate)]

mod ahead;
mod claims;
mod explain;
mod order;
mod pass;
mod place;
mod recall;
mod reserve;
mod standing;
mod start;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod whatif;

pub use ahead::depth;
pub use explain::{Explanation, Kept, Place, explain, reason, reasons};
pub use order::FairShares;
pub use start::{
    Basis, By, Delay, Moved, Reservation, Start, StartKind, Unforeseen, Why, Work, delays, reservations,
};
pub use whatif::{Counterfactual, Dimension, Finding, counterfactuals};

use pass::Pass;
use taskyard_model::{Outside, Plan, View, limits};

/// How much one pass may do, counted in work, so that the same view gives the same plan on any machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nodes looked at, once for each time.
    pub nodes_max: u64,
    /// Tasks assigned. Bounds the entry and the time `apply` needs for it.
    pub tasks_max: u32,
    /// Starts planned for later in a pool that plans all that waits. A simulation, for which nothing live waits, plans them all.
    pub planned_max: u32,
    /// Whether work is held ahead of need, and what is held taken back. Agents of a simulation need none: whatever fits starts at once.
    pub holds: bool,
}

impl Default for Budget {
    /// A node costs a few nanoseconds, so this is some tens of milliseconds. A pass that runs out begins at the front the next time: were
    /// the budget smaller than classes × nodes with room, the rear could starve.
    fn default() -> Self {
        Budget {
            nodes_max: 20_000_000,
            tasks_max: limits::PLAN_TASKS_MAX,
            planned_max: limits::PLANNED_TASKS_MAX,
            holds: true,
        }
    }
}

/// Decides what runs where now, what is held ahead, and what is taken back. Applied to the state that the view shows, all of it fits.
pub fn schedule(view: &View, budget: Budget) -> Plan {
    schedule_beside(view, &[], budget)
}

/// The same, where machines are busy with other things too. `outside` is by position of the node in the view; nothing is known of nodes beyond its end.
/// It decides where a task goes under the placement `least-loaded`, and nothing else.
pub fn schedule_beside(view: &View, outside: &[Outside], budget: Budget) -> Plan {
    let waits = view.queues.iter().any(|queue| !queue.heads.is_empty());
    if !waits && view.nodes.iter().all(|node| node.held == 0) {
        return Plan::default();
    }
    let mut pass = Pass::beside(view, outside, budget);
    let mut plan = Plan { assignments: pass.runs(), recalls: Vec::new() };
    if pass.is_cut() {
        // What was not looked at may still fit somewhere: nothing is known to be blocked.
        return plan;
    }
    if pass.holds {
        let claims = claims::Claims::of(&mut pass);
        plan.assignments.extend(ahead::fill(&mut pass, &claims));
        plan.recalls = recall::choose(&mut pass, &claims);
    }
    plan
}
