//! A whole plan: what starts now, what is prefetched, and what is taken back.

use crate::pass::{Budget, Pass};
use crate::prefetch::{self, Claims};
use taskyard_model::{OtherLoad, Plan, View};

/// Decides what runs where now, what is held ahead, and what is taken back. Applied to the state that the view shows,
/// all of it fits.
pub fn schedule(view: &View, budget: Budget) -> Plan {
    schedule_beside(view, &[], budget)
}

/// The same, where machines are busy with other things too. `other_load` is by position of the node in the view; nothing
/// is known of nodes beyond its end. It decides where a task goes under the placement `least-loaded`, and nothing else.
pub fn schedule_beside(view: &View, other_load: &[OtherLoad], budget: Budget) -> Plan {
    let waits = view.queues.iter().any(|queue| !queue.heads.is_empty());
    if !waits && view.nodes.iter().all(|node| node.prefetched == 0) {
        return Plan::default();
    }
    let mut pass = Pass::beside(view, other_load, budget);
    let mut plan = Plan { assignments: pass.assignments(), recalls: Vec::new() };
    if pass.is_cut() {
        // What was not looked at may still fit somewhere: nothing is known to be blocked.
        return plan;
    }
    if pass.holds {
        let claims = Claims::of(&mut pass);
        plan.assignments.extend(prefetch::fill(&mut pass, &claims));
        plan.recalls = prefetch::recall(&mut pass, &claims);
    }
    plan
}
