//! A new job: checked against the cluster, proposed, and answered with what the user should know.

use super::{Attribution, after, change, entitled, possible, whole};
use crate::auth::{Caller, Visible};
use crate::failure::{Answer, refusal};
use taskyard_api::{ApiError, ErrorCode, Selector, SubmitRequest, SubmitResponse};
use taskyard_consensus::Consensus;
use taskyard_model::quantity::show_duration;
use taskyard_model::{Invalid, JobId, JobSpec, Placement, QueueConfig, QueueView, is_mutant};
use taskyard_state::{Command, Reply, State, Submit};

/// A job as it is asked for.
pub(crate) struct Submission {
    pub(crate) spec: JobSpec,
    /// It may wait for a node that is yet to join, where none that is there could hold a task of it.
    pub(crate) wait_for_nodes: bool,
    pub(crate) request_id: Option<String>,
    pub(crate) retry_of: Option<JobId>,
}

impl TryFrom<SubmitRequest> for Submission {
    type Error = Invalid;

    fn try_from(request: SubmitRequest) -> Result<Submission, Invalid> {
        let SubmitRequest { spec, request_id } = request;
        let wait_for_nodes = spec.wait_for_nodes;
        Ok(Submission { spec: spec.try_into()?, wait_for_nodes, request_id, retry_of: None })
    }
}

/// Submits a job. A request id that was used for another job is refused, but not for a retry, whose tasks are those of
/// the moment.
pub(crate) async fn submit(consensus: &Consensus, by: &Caller, wanted: Submission) -> Answer<SubmitResponse> {
    let Submission { spec, wait_for_nodes, request_id, retry_of } = wanted;
    let visible = by.visible();
    let same = (retry_of.is_none() && request_id.is_some()).then(|| spec.clone());
    let (object, namespace) = (format!("job {}", spec.name), spec.namespace.to_string());
    let mut request_id = request_id.unwrap_or_default();
    // As if each leader kept request ids in its own memory.
    if is_mutant("forwarded-write-without-dedupe") && !request_id.is_empty() {
        request_id = format!("{request_id}@{}", consensus.term());
    }
    let submit = Submit { spec, owner: by.user().to_owned(), request_id: request_id.clone(), retry_of };
    let mut warnings = consensus.read(|state| {
        let warnings = admit(state, &visible, &submit, wait_for_nodes)?;
        entitled::check(state, by, &submit.spec)?;
        Ok::<_, ApiError>(warnings)
    })?;
    let command = Command::Submit(Box::new(submit));
    match change(consensus, Attribution { by, object, namespace }, command).await? {
        Reply::Submitted { job, tasks, duplicate } => {
            if let Some(spec) = same.filter(|_| duplicate) {
                refuse_other(consensus, job, &spec, &request_id).await?;
            }
            let skipped = consensus.read(|state| after::skipped(state, &visible, state.job(job)?));
            warnings.extend(skipped.map(|why| format!("job {job} was skipped at once: {why}")));
            if consensus.read(|state| state.was_forgotten(job)) {
                warnings.push(format!("job {job} has ended and is no longer kept"));
            }
            Ok(SubmitResponse { job: job.0, tasks: tasks.into(), duplicate, warnings })
        }
        other => Err(refusal::odd_reply(&other)),
    }
}

/// What a submit is refused for before anything is proposed, also for what the cluster cannot hold; else what the user
/// should know.
pub(super) fn admit(
    state: &State,
    visible: &Visible,
    submit: &Submit,
    wait_for_nodes: bool,
) -> Answer<Vec<String>> {
    let warnings = vet(state, visible, submit)?;
    // What was taken once stays taken: nodes come and go, and a repeated request asks for the id.
    let known = state.job_of_request(submit).is_some();
    if let Some(full) = state.refusal_of_more(&submit.spec).filter(|_| !known) {
        // Else the log would fill with what is refused.
        return Err(refusal::rejected(state, &full));
    }
    let may_wait = wait_for_nodes || submit.retry_of.is_some() || known;
    if !may_wait {
        possible::check(state, &submit.spec)?;
    }
    Ok(warnings)
}

/// What a submit is refused for before anything is proposed, else what the user should know.
pub(super) fn vet(state: &State, visible: &Visible, submit: &Submit) -> Answer<Vec<String>> {
    let spec = &submit.spec;
    if !state.has_namespace(spec.namespace.as_str()) {
        return Err(refusal::no_namespace(spec.namespace.as_str()).into());
    }
    // One that may not be seen is not there. A retry names no new ones.
    let hidden = |id: JobId| state.job(id).is_some() && !visible.sees_job(state, id);
    if let Some(after) = spec.after.iter().find(|after| submit.retry_of.is_none() && hidden(after.job)) {
        return Err(refusal::no_predecessor(after.job, false).into());
    }
    let Some(queue) = state.queue(&spec.queue).and_then(|id| state.view().queue(id)) else {
        return Err(refusal::no_queue(state, &spec.queue).into());
    };
    let unused = priority_unused(&queue.name, &queue.config, spec.priority);
    let slips =
        [unused, locality_unused(state, queue, spec), estimate_past_limit(spec), name_of_selector(spec)];
    Ok(possible::warning(state, spec).into_iter().chain(slips.into_iter().flatten()).collect())
}

/// That a locality was given which the placement of the pool does not look at.
fn locality_unused(state: &State, queue: &QueueView, spec: &JobSpec) -> Option<String> {
    let key = spec.affinity.locality.as_ref()?;
    let pool = state.view().pool(queue.pool)?;
    let placement = pool.config.placement;
    (placement != Placement::Hash).then(|| {
        let (pool, placement) = (&pool.name, placement.name());
        format!("locality {key} has no effect: the placement of pool {pool} is {placement}, not hash")
    })
}

fn estimate_past_limit(spec: &JobSpec) -> Option<String> {
    let (estimate_ms, limit_ms) = spec.estimate_ms.zip(spec.time_limit_ms)?;
    (estimate_ms > limit_ms).then(|| {
        let (estimate, limit) = (show_duration(estimate_ms), show_duration(limit_ms));
        format!("the estimate of {estimate} is longer than the time limit: a task is stopped after {limit}")
    })
}

/// That commands read the name of a job as something else.
fn name_of_selector(spec: &JobSpec) -> Option<String> {
    let name = &spec.name;
    Selector::parse_list("name", name).is_ok().then(|| {
        format!(
            "commands cannot address this job by its name: they read {name} as an id, a range, last or all"
        )
    })
}

/// That a priority was given which the order of the queue does not look at.
pub(super) fn priority_unused(queue: &str, config: &QueueConfig, priority: i32) -> Option<String> {
    let policy = config.policy.name();
    (priority != 0 && !config.heeds_priority()).then(|| {
        format!("priority {priority} has no effect: the policy of queue {queue} is {policy}, which ignores priorities")
    })
}

/// The same request id with another job is a mistake of the client that must not pass for success.
async fn refuse_other(consensus: &Consensus, id: JobId, spec: &JobSpec, request_id: &str) -> Answer<()> {
    let Some(job) = consensus.read(|state| state.job(id).cloned()) else { return Ok(()) };
    if is_same(&*whole(&job).await?, spec) {
        return Ok(());
    }
    let message = format!("the request id \"{request_id}\" was used for job {id}, which is a different job");
    Err(ApiError {
        field: Some("request_id".into()),
        value: Some(request_id.into()),
        ..ApiError::new(ErrorCode::Conflict, message).remedy("use a new request id for a new job")
    })
}

/// Whether both ask for the same. What an update may have changed since is left out.
fn is_same(old: &JobSpec, new: &JobSpec) -> bool {
    let numbers = |s: &JobSpec| (s.array.first, s.array.step, s.array.count);
    old.driver == new.driver
        && numbers(old) == numbers(new)
        && old.array.only == new.array.only
        && old.entries == new.entries
        && old.request == new.request
        && old.constraint == new.constraint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_does_not_make_a_request_another() {
        let old = JobSpec::command(vec!["true".into()]);
        let updated = JobSpec { priority: 5, time_limit_ms: Some(1), ..old.clone() };
        assert!(is_same(&updated, &old));
        assert!(!is_same(&old, &JobSpec::command(vec!["false".into()])));
    }
}
