//! Whether any node could ever run a job, asked where it is submitted and where it moves to another queue. It is asked of the applied state before
//! anything is proposed, and the log does not say it: nodes come and go, and what was taken stays taken.

use taskyard_model::{Invalid, JobId, JobSpec};
use taskyard_state::{Prospect, State};

/// Refuses what no node of its queue's pool could hold, as long as the pool has nodes to tell by.
pub(super) fn check(state: &State, spec: &JobSpec) -> Result<(), Invalid> {
    match state.prospect(spec) {
        Some(Prospect::Impossible(mut why)) => {
            why.remedy +=
                "; or submit it with wait_for_nodes (--wait-for-nodes), and it waits for such a node to join";
            Err(why)
        }
        _ => Ok(()),
    }
}

/// What [`check`] would say to a submit, for who only asks.
pub(super) fn refusal(state: &State, spec: &JobSpec) -> Option<String> {
    match state.prospect(spec)? {
        Prospect::Impossible(why) => Some(format!("submit refuses it without --wait-for-nodes: {why}")),
        _ => None,
    }
}

/// Refuses to move a job from a queue where it could run to one where it could not.
pub(crate) fn check_move(state: &State, id: JobId, to: &str) -> Result<(), Invalid> {
    let Some(job) = state.job(id) else { return Ok(()) };
    let there = JobSpec { queue: to.to_owned(), ..(*job.spec).clone() };
    match (state.prospect(&job.spec), state.prospect(&there)) {
        // It waits for a node as it is.
        (Some(Prospect::Impossible(_)), _) => Ok(()),
        (_, Some(Prospect::Impossible(why))) => Err(why),
        _ => Ok(()),
    }
}

/// What is no error, because nodes come and go, but leaves the job waiting as things are.
pub(super) fn warning(state: &State, spec: &JobSpec) -> Option<String> {
    match state.prospect(spec)? {
        Prospect::Runs => None,
        Prospect::Down => {
            Some("every node that could run it is down or draining; the job waits for one".into())
        }
        Prospect::NoNodes(_) if state.view().nodes.is_empty() => {
            Some("no agent has connected yet; the job waits for one".into())
        }
        Prospect::NoNodes(pool) => Some(format!("pool {pool} has no node yet; the job waits for one")),
        Prospect::Impossible(why) => Some(format!("the job waits for another node: {why}")),
    }
}
