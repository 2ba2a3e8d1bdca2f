//! Whether any node could ever run a job, asked where it is submitted and where it moves to another queue. It is asked
//! of the applied state before anything is proposed, and the log does not say it: nodes come and go, and what was taken
//! stays taken.

use taskyard_model::{Invalid, JobId, JobSpec};
use taskyard_state::{Change, Prospect, State};

const WAIT_FOR_NODES: &str =
    "; or with wait_for_nodes (--wait-for-nodes), the job waits for such a node to join";
/// What a plan says of a job that [`check`] would refuse.
pub(super) const REFUSED: &str =
    "submit refuses it, unless with --wait-for-nodes: then it waits for such a node to join";

/// Refuses what no node of its queue's pool could hold, as long as the pool has nodes to tell by.
pub(super) fn check(state: &State, spec: &JobSpec) -> Result<(), Invalid> {
    match state.prospect(spec) {
        Some(Prospect::Impossible(mut why)) => {
            why.remedy += WAIT_FOR_NODES;
            Err(why)
        }
        _ => Ok(()),
    }
}

/// Whether [`check`] would refuse it.
pub(super) fn is_impossible(state: &State, spec: &JobSpec) -> bool {
    matches!(state.prospect(spec), Some(Prospect::Impossible(_)))
}

/// Refuses a change of a job that could run to one that no node could.
pub(crate) fn check_change(state: &State, id: JobId, change: &Change) -> Result<(), Invalid> {
    let Some(job) = state.job(id) else { return Ok(()) };
    let mut after = (*job.spec).clone();
    change.apply_to(&mut after);
    let asks_same = |a: &JobSpec, b: &JobSpec| {
        a.request == b.request && a.constraint == b.constraint && a.queue == b.queue
    };
    if asks_same(&job.spec, &after) {
        return Ok(());
    }
    match (state.prospect(&job.spec), state.prospect(&after)) {
        // It waits for a node as it is.
        (Some(Prospect::Impossible(_)), _) => Ok(()),
        (_, Some(Prospect::Impossible(mut why))) => {
            why.remedy += WAIT_FOR_NODES;
            Err(why)
        }
        _ => Ok(()),
    }
}

/// What is no error, because nodes come and go, but leaves the job waiting as things are.
pub(super) fn warning(state: &State, spec: &JobSpec) -> Option<String> {
    match state.prospect(spec)? {
        Prospect::Runs => None,
        Prospect::Away(states) => {
            let states: Vec<&str> = states.iter().map(|state| state.predicate(false)).collect();
            Some(format!("every node that could run it {}; the job waits for one", states.join(" or ")))
        }
        Prospect::NoNodes(_) if state.view().nodes.is_empty() => {
            Some("no agent has connected yet; the job waits for one".into())
        }
        Prospect::NoNodes(pool) => Some(format!("pool {pool} has no node yet; the job waits for one")),
        Prospect::Impossible(why) => Some(format!("the job waits for another node: {why}")),
    }
}
