//! Whether jobs would be taken: each is submitted to a copy of the state that holds those before it. Nothing is
//! proposed.

use super::{Submission, submit};
use crate::auth::{Caller, Visible};
use crate::failure::{Answer, refusal};
use crate::heavy::heavy;
use taskyard_api::{ApiError, CheckAnswer, RefusedJob, SubmitRequest};
use taskyard_consensus::Consensus;
use taskyard_model::{Invalid, limits};
use taskyard_state::{Command, Reply, State, Submit};

/// Answers which of the jobs a submit would refuse as things are.
pub(crate) async fn check(
    consensus: &Consensus,
    by: &Caller,
    jobs: Vec<SubmitRequest>,
) -> Answer<CheckAnswer> {
    let most = limits::CHECKED_JOBS_MAX;
    if jobs.len() > most {
        return Err(Invalid::new("jobs", format!("{} jobs", jobs.len()), format!("at most {most}")).into());
    }
    let read = |request: SubmitRequest| -> Answer<Submission> {
        request.check_request_id()?;
        Ok(Submission::try_from(request)?)
    };
    let (user, visible) = (by.user().to_owned(), by.visible());
    let jobs: Vec<Answer<Submission>> = jobs.into_iter().map(read).collect();
    // No word of what is in a namespace in which the caller may not submit.
    jobs.iter().flatten().try_for_each(|wanted| by.may_in(wanted.spec.namespace.as_str()))?;
    let (state, _) = consensus.read(|state| state.supposing(Command::Tick));
    heavy(move || all(state, &user, &visible, jobs)).await
}

fn all(mut state: State, user: &str, visible: &Visible, jobs: Vec<Answer<Submission>>) -> CheckAnswer {
    let mut answer = CheckAnswer::default();
    for (index, wanted) in jobs.into_iter().enumerate() {
        answer.checked += 1;
        if let Err(error) = wanted.and_then(|wanted| one(&mut state, user, visible, wanted)) {
            answer.refused.push(RefusedJob { index: index as u64, error });
            if answer.refused.len() >= limits::CHECK_REFUSALS_MAX {
                break;
            }
        }
    }
    answer
}

fn one(state: &mut State, user: &str, visible: &Visible, wanted: Submission) -> Result<(), ApiError> {
    let Submission { spec, wait_for_nodes, request_id, retry_of } = wanted;
    let request_id = request_id.unwrap_or_default();
    let submit = Submit { spec, owner: user.to_owned(), request_id, retry_of };
    submit::admit(state, visible, &submit, wait_for_nodes)?;
    let (after, reply) = state.supposing(Command::Submit(Box::new(submit)));
    match reply {
        Reply::Submitted { .. } => {
            *state = after;
            Ok(())
        }
        Reply::Rejected(rejection) => Err(refusal::rejected(state, &rejection)),
        other => Err(refusal::odd_reply(&other)),
    }
}
