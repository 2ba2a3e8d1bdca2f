//! What would come of a job: it is submitted to a copy of the state, and the planner is asked about that. Nothing is
//! proposed.

use super::explain::{PlannerAnswer, begin, finish, forecast, name_and_hide};
use super::{Submission, entitled, possible, submit};
use crate::auth::{Caller, Visible};
use crate::failure::{Answer, refusal};
use crate::heavy::heavy;
use forecast::Clock;
use taskyard_api::{DelayedJob, Explanation, JobPlan, PlanVerdict, ReasonCode, StartKind};
use taskyard_consensus::Consensus;
use taskyard_model::JobId;
use taskyard_sched::{Budget, Delay, delays, schedule};
use taskyard_state::{Command, Reply, State, Submit};

/// How many of the jobs that would be delayed are named.
const DELAYS_SHOWN: usize = 20;

/// Answers what submitting a job would lead to.
pub(crate) async fn plan(consensus: &Consensus, by: &Caller, wanted: Submission) -> Answer<JobPlan> {
    let visible = by.visible();
    let Submission { spec, wait_for_nodes, .. } = wanted;
    let submit = Submit { spec, owner: by.user().to_owned(), request_id: String::new(), retry_of: None };
    let (warnings, before, (with, reply)) = consensus.read(|state| {
        let mut warnings = submit::vet(state, &visible, &submit)?;
        entitled::check(state, by, &submit.spec)?;
        // What fits no node would be refused. It is explained instead: what would fit is what one wants to know.
        if possible::is_impossible(state, &submit.spec) {
            // The explanation says why: a warning would say it again.
            let waits = possible::warning(state, &submit.spec);
            warnings.retain(|warning| waits.as_ref() != Some(warning));
            if !wait_for_nodes {
                warnings.insert(0, possible::REFUSED.into());
            }
        }
        let supposed = state.supposing(Command::Submit(Box::new(submit)));
        Ok::<_, taskyard_api::ApiError>((warnings, state.view().clone(), supposed))
    })?;
    let (id, tasks) = match reply {
        Reply::Submitted { job, tasks, .. } => (job, u64::from(tasks)),
        Reply::Rejected(rejection) => {
            return Err(consensus.read(|state| refusal::rejected(state, &rejection)));
        }
        other => return Err(refusal::odd_reply(&other)),
    };
    heavy(move || {
        let (mut explanation, starts_now) = explain(&with, &visible, id)?;
        let (found, complete) = delays(&before, with.view(), id);
        let verdict = verdict(&explanation, starts_now);
        if verdict == PlanVerdict::Never {
            // What never starts stands in no line.
            explanation.position = None;
            explanation.behind.clear();
        }
        let delayed = found.len() as u64;
        let delays = seen(&with, &visible, &found);
        Ok(JobPlan {
            verdict,
            tasks,
            starts_now,
            explanation,
            delays,
            delayed,
            delays_complete: complete,
            warnings,
        })
    })
    .await?
}

/// Explains the job as if it were there, and counts the tasks that start at once.
fn explain(state: &State, visible: &Visible, id: JobId) -> Answer<(Explanation, u64)> {
    let job = state.job(id).ok_or_else(|| refusal::no_job(state, id))?;
    let asked = begin(state, visible, job, None);
    let (mut explanation, found) = match asked.waits {
        true => finish(asked.explanation, Clock::of(state), state.view(), id),
        false => (asked.explanation, PlannerAnswer::default()),
    };
    name_and_hide(state, visible, &found, &mut explanation);
    let plan = schedule(state.view(), Budget::default());
    let mine = plan.assignments.iter().filter(|a| a.job == id && !a.prefetch);
    Ok((explanation, mine.map(|a| u64::from(a.count)).sum()))
}

fn verdict(explanation: &Explanation, starts_now: u64) -> PlanVerdict {
    let never = explanation.start.as_ref().is_some_and(|start| start.kind == StartKind::Never);
    match explanation.reason {
        _ if starts_now > 0 => PlanVerdict::Starts,
        // One that was skipped at once has ended.
        ReasonCode::NoNodeCould | ReasonCode::Finished => PlanVerdict::Never,
        _ if never => PlanVerdict::Never,
        _ => PlanVerdict::Waits,
    }
}

fn seen(state: &State, visible: &Visible, delays: &[Delay]) -> Vec<DelayedJob> {
    let now_ms = state.now_ms();
    let show = |delay: &Delay| DelayedJob {
        job: delay.job.0,
        in_ms: delay.from_ms.saturating_sub(now_ms),
        by_ms: delay.to_ms.map(|to| to.saturating_sub(delay.from_ms)),
    };
    let seen = delays.iter().filter(|delay| visible.sees_job(state, delay.job));
    seen.take(DELAYS_SHOWN).map(show).collect()
}
