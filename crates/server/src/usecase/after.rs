//! Jobs that wait for the end of others, in the words of the API.

use super::present::job_state;
use crate::auth::Visible;
use taskyard_api::Predecessor;
use taskyard_model::{After, Need};
use taskyard_state::{Job, Phase, Skip, State};

/// The jobs whose end a job has or had to wait for, in the order in which they were named. How those stand that may not
/// be seen is left out.
pub(crate) fn predecessors(state: &State, visible: &Visible, job: &Job) -> Vec<Predecessor> {
    let show = |after: &After| Predecessor {
        job: after.job.0,
        need: after.need.name().to_owned(),
        state: state.job(after.job).filter(|_| visible.sees_job(state, after.job)).map(|job| job_state(job)),
        waits: job.waits_for().any(|id| id == after.job),
    };
    job.spec.after.iter().map(show).collect()
}

/// For what it waits, as in `it waits until job 5 has succeeded (job 5 is running), and for 2 more jobs`.
pub(crate) fn waiting(all: &[Predecessor]) -> String {
    let mut open = all.iter().filter(|p| p.waits);
    let Some(first) = open.next() else { return "it waits for the end of other jobs".into() };
    let state =
        first.state.map(|state| format!(" (job {} is {})", first.job, state.name())).unwrap_or_default();
    let more = match open.count() {
        0 => String::new(),
        1 => ", and for 1 more job".to_owned(),
        n => format!(", and for {n} more jobs"),
    };
    format!("it waits until job {} {}{state}{more}", first.job, words(&first.need))
}

/// Why it was skipped, as in `job 5 failed`. Of a job that may not be seen only what its skip tells anyway.
pub(crate) fn skipped(state: &State, visible: &Visible, job: &Job) -> Option<String> {
    let skip = job.head.skip?;
    if !visible.sees_job(state, skip.job) {
        return skipped_in_short(job);
    }
    let how = match skip.phase {
        Phase::Cancelled | Phase::Skipped => format!("was {}", skip.phase.name()),
        phase => phase.name().to_owned(),
    };
    Some(format!("job {} {how}", skip.job))
}

/// The same as the caller may see it.
pub(crate) fn skipped_in_short(job: &Job) -> Option<String> {
    Some(format!("job {} did not end as needed", job.head.skip?.job))
}

/// The same as a sentence: `it had to wait until job 5 has succeeded, but job 5 failed`.
pub(crate) fn skipped_sentence(state: &State, visible: &Visible, job: &Job) -> String {
    let need = |skip: &Skip| job.spec.after.iter().find(|after| after.job == skip.job);
    let (Some(end), Some(after)) = (skipped(state, visible, job), job.head.skip.as_ref().and_then(need))
    else {
        return "it was skipped".into();
    };
    format!("it had to wait until job {} {}, but {end}", after.job, after.need.words())
}

fn words(need: &str) -> &'static str {
    Need::parse(need).unwrap_or(Need::Any).words()
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_api::JobState;

    #[test]
    fn waiting_is_said_with_the_state_of_the_first() {
        let one = |job, state, waits| Predecessor { job, need: "ok".into(), state, waits };
        let first = one(5, Some(JobState::Running), true);
        assert_eq!(
            waiting(std::slice::from_ref(&first)),
            "it waits until job 5 has succeeded (job 5 is running)"
        );
        let all = [one(4, None, false), first, one(6, Some(JobState::Pending), true)];
        assert_eq!(
            waiting(&all),
            "it waits until job 5 has succeeded (job 5 is running), and for 1 more job"
        );
    }
}
