//! Lists of jobs, and everything about one.

use super::explain::{Quick, word};
use super::present::{self, Around, job_state};
use super::{after, find_whole_job};
use crate::auth::Visible;
use crate::failure::{Answer, namespace_not_found, no_job};
use crate::heavy::heavy;
use std::cmp::Reverse;
use std::sync::Arc;
use taskyard_api::begin::SubmittedSince;
use taskyard_api::{
    ApiError, JobDetail, JobState, JobSummary, JobsQuery, Page, Ranges, ResultCount, Task, page,
};
use taskyard_consensus::Consensus;
use taskyard_model::{Invalid, JobId, Outcome};
use taskyard_state::{Job, JobHead, Phase, State, TaskRecord};

/// Jobs looked at while the state is locked.
const JOBS_AT_ONCE: usize = 512;
/// Looks, each of that length, for any of the jobs that a filter names.
const LOOKS_MAX: usize = 16;
/// Failed tasks shown with a job.
const FAILURES_SHOWN: usize = 10;
/// A walk over more tasks is no work for a thread that serves.
const TASKS_QUICK: u32 = 50_000;

/// Which jobs, and how many.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFilter {
    states: Vec<JobState>,
    name: Option<String>,
    name_prefix: Option<String>,
    user: Option<String>,
    queue: Option<String>,
    namespace: Option<String>,
    since: Option<SubmittedSince>,
    /// The same on the wall clock, when the list is made.
    since_ms: u64,
    ids: Option<Ranges>,
    rows: usize,
    /// Only jobs with a smaller id.
    before: u64,
}

impl TryFrom<JobsQuery> for JobFilter {
    type Error = Invalid;

    fn try_from(query: JobsQuery) -> Result<JobFilter, Invalid> {
        let before = match &query.after {
            None => u64::MAX,
            // No job has the id 0, so nothing could follow it.
            Some(after) => after
                .parse()
                .ok()
                .filter(|&id| id > 0)
                .ok_or_else(|| Invalid::new("after", after, "give the `next` of the previous page"))?,
        };
        Ok(JobFilter {
            states: query.states()?,
            since: query.since()?,
            since_ms: 0,
            ids: query.id_ranges()?,
            rows: page::rows(query.limit)?,
            before,
            name: query.name,
            name_prefix: query.name_prefix,
            user: query.user,
            queue: query.queue,
            namespace: query.namespace,
        })
    }
}

impl JobFilter {
    fn matches(&self, state: &State, job: &Job) -> bool {
        let is = |wanted: &Option<String>, have: &str| wanted.as_deref().is_none_or(|w| w == have);
        let begins = self.name_prefix.as_deref().is_none_or(|prefix| job.spec.name.starts_with(prefix));
        begins
            && is(&self.name, &job.spec.name)
            && is(&self.user, &job.head.owner)
            && is(&self.queue, state.queue_name(job.head.queue))
            && is(&self.namespace, job.spec.namespace.as_str())
            && job.head.submitted_wall_ms >= self.since_ms
            && (self.states.is_empty() || self.states.contains(&job_state(job)))
    }

    /// The highest ids below `before` that are asked for, as (lowest, highest) without a gap.
    fn below(&self, before: u64) -> Option<(u64, u64)> {
        let Some(ids) = &self.ids else { return (before > 1).then(|| (1, before - 1)) };
        let cut = ids.0.iter().filter(|(first, _)| *first < before).map(|&(a, b)| (a, b.min(before - 1)));
        cut.max_by_key(|(_, last)| *last)
    }

    /// Looks at some jobs below `before`.
    fn look(&self, state: &State, visible: &Visible, before: u64, found: &mut Vec<JobSummary>) -> Scanned {
        let quick = Quick::new(state, visible);
        let Some((lowest, highest)) = self.below(before) else { return Scanned::End };
        let mut jobs = state.jobs_before(Some(JobId(highest.saturating_add(1))));
        let mut before = highest.saturating_add(1);
        for _ in 0..JOBS_AT_ONCE {
            let Some(job) = jobs.next() else { return Scanned::End };
            if job.head.id.0 < lowest {
                return Scanned::GoOn(lowest);
            }
            before = job.head.id.0;
            if visible.sees(job.spec.namespace.as_str()) && self.matches(state, job) {
                if found.len() == self.rows {
                    return Scanned::Full;
                }
                found.push(present::summary(state, job, quick.word(job)));
            }
        }
        Scanned::GoOn(before)
    }
}

impl JobFilter {
    /// Refuses a filter that names a queue, a namespace or a single job that is not there: an empty list would look
    /// like an answer. Users and names of jobs are not registered anywhere, so nothing can be said about those.
    fn names_what_is_there(&self, state: &State, visible: &Visible) -> Answer<()> {
        // A namespace that the caller may not see is as good as none.
        let namespace = |name: &String| visible.knows(state, name);
        if let Some(name) = self.namespace.as_ref().filter(|name| !namespace(name)) {
            return Err(namespace_not_found(name));
        }
        if let Some(name) = self.queue.as_ref().filter(|name| state.queue(name).is_none()) {
            let error = ApiError::not_found(format!("queue {name}"));
            return Err(error.remedy("list the queues with: taskyard queues"));
        }
        match &self.ids {
            Some(ids) if !has_any(state, visible, ids) => Err(match ids.single() {
                Some(id) => job_not_found(state, visible, JobId(id)),
                None => ApiError::not_found(format!("job among {ids}")),
            }),
            _ => Ok(()),
        }
    }
}

/// What a caller is told of a job that is not there: which ids were ever given, only those who may see all of them.
pub(crate) fn job_not_found(state: &State, visible: &Visible, id: JobId) -> ApiError {
    if visible.sees_job(state, id) { no_job(state, id) } else { ApiError::not_found(format!("job {id}")) }
}

/// Whether the caller sees any of these jobs. Among very many that they do not see it is not sought for long, since
/// the state is locked meanwhile.
fn has_any(state: &State, visible: &Visible, ids: &Ranges) -> bool {
    let any = JobFilter { ids: Some(ids.clone()), rows: 1, ..JobFilter::default() };
    let (mut before, mut found) = (u64::MAX, Vec::new());
    for _ in 0..LOOKS_MAX {
        match any.look(state, visible, before, &mut found) {
            Scanned::GoOn(at) if found.is_empty() => before = at,
            Scanned::End => return !found.is_empty(),
            _ => return true,
        }
    }
    true
}

/// Result of one look.
enum Scanned {
    /// Go on below this id.
    GoOn(u64),
    /// The page is full, and there is at least one job more.
    Full,
    /// There are no more.
    End,
}

/// One page of jobs, newest first.
pub(crate) async fn list_jobs(
    consensus: &Consensus,
    visible: &Visible,
    mut filter: JobFilter,
) -> Answer<Page<JobSummary>> {
    if let Some(since) = filter.since {
        filter.since_ms = since.instant(consensus.read(State::wall_ms));
    }
    let mut items = Vec::new();
    let mut before = filter.before;
    loop {
        match consensus.read(|state| filter.look(state, visible, before, &mut items)) {
            Scanned::GoOn(at) => before = at,
            Scanned::Full => {
                let next = items.last().map(|last| last.id.to_string());
                return Ok(Page { items, next });
            }
            // The first page has no job: perhaps because what the filter names is not there.
            Scanned::End if items.is_empty() && filter.before == u64::MAX => {
                consensus.read(|state| filter.names_what_is_there(state, visible))?;
                break;
            }
            Scanned::End => break,
        }
        tokio::task::yield_now().await;
    }
    Ok(Page { items, next: None })
}

/// Everything about one job.
pub(crate) async fn detail(
    consensus: &Consensus,
    visible: &Visible,
    id: JobId,
    with_spec: bool,
) -> Answer<JobDetail> {
    let reason = word(consensus, visible, id).await?;
    let job = find_whole_job(consensus, id).await?;
    let (summary, stopping) =
        consensus.read(|state| (present::summary(state, &job, reason), present::stopping_tasks(state, &job)));
    let failed = first_failed(&job).await?;
    let around = consensus.read(|state| Around::of(state, failed.iter().map(|(_, r)| r.node)));
    let failures: Vec<Task> =
        failed.iter().map(|(index, record)| present::task(&job, *index, record, &around)).collect();
    Ok(JobDetail {
        summary,
        spec: with_spec.then(|| (&*job.spec).into()),
        results: results(&job.head),
        failures,
        retry_of: job.head.retry_of.map(|id| id.0),
        after: consensus.read(|state| after::predecessors(state, visible, &job)),
        cancelled: job.head.cancelled,
        max_fails_exceeded: job.head.failed_too_often,
        stopping,
    })
}

async fn first_failed(job: &Arc<Job>) -> Answer<Vec<(u32, TaskRecord)>> {
    let wanted = (job.count(Phase::Failed) as usize).min(FAILURES_SHOWN);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let job = Arc::clone(job);
    let quick = job.tasks() <= TASKS_QUICK;
    let walk = move || {
        let mut found = Vec::with_capacity(wanted);
        job.each_record(0, |index, record| {
            if record.phase == Phase::Failed {
                found.push((index, *record));
            }
            found.len() < wanted
        });
        found
    };
    if quick { Ok(walk()) } else { heavy(walk).await }
}

/// Ends by kind and code; those of a kind whose codes were not counted come without one.
fn results(head: &JobHead) -> Vec<ResultCount> {
    let mut all = Vec::new();
    for (&number, &tasks) in &head.outcomes {
        let Some(outcome) = Outcome::from_u8(number) else { continue };
        let count =
            |code, tasks: u32| ResultCount { result: outcome.name().to_owned(), code, tasks: tasks.into() };
        let mut rest = tasks;
        for (&(_, code), &tasks) in head.codes.range((number, i32::MIN)..=(number, i32::MAX)) {
            rest = rest.saturating_sub(tasks);
            all.push(count(Some(code), tasks));
        }
        if rest > 0 {
            all.push(count(None, rest));
        }
    }
    all.sort_by_key(|o| Reverse(o.tasks));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_sought_from_above() {
        let filter = |ids: Option<&str>| JobFilter {
            ids: ids.map(|text| Ranges::parse("ids", text).unwrap()),
            ..JobFilter::default()
        };
        assert_eq!(filter(None).below(8), Some((1, 7)));
        assert_eq!(filter(None).below(1), None);
        let two = filter(Some("12-15,20"));
        assert_eq!(two.below(u64::MAX), Some((20, 20)));
        assert_eq!(two.below(20), Some((12, 15)));
        assert_eq!(two.below(14), Some((12, 13)));
        assert_eq!(two.below(12), None);
    }

    #[test]
    fn queries_become_filters() {
        let parse = |query: JobsQuery| JobFilter::try_from(query).map_err(|e| e.field);
        let limit = |limit| JobsQuery { limit: Some(limit), ..JobsQuery::default() };
        assert_eq!(parse(limit(3)).unwrap().rows, 3);
        assert_eq!(parse(JobsQuery::default()).unwrap().rows, page::PAGE_ROWS);
        assert_eq!(parse(limit(0)).unwrap_err(), "limit");
        assert_eq!(parse(limit(10_001)).unwrap_err(), "limit");
        for after in ["x", "0", ""] {
            let after = JobsQuery { after: Some(after.into()), ..JobsQuery::default() };
            assert_eq!(parse(after).unwrap_err(), "after");
        }
        let since = JobsQuery { since: Some("2".into()), ..JobsQuery::default() };
        assert_eq!(parse(since).unwrap_err(), "since");
        let state = JobsQuery { state: Some("done".into()), ..JobsQuery::default() };
        assert_eq!(parse(state).unwrap_err(), "state");
    }
}
