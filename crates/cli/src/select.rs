//! From what users type to ids: `last` and `all` need the server, the rest does not.

use crate::context::Context;
use crate::exit::Failure;
use futures_util::{Stream, TryStreamExt, stream};
use std::collections::BTreeSet;
use taskyard_client::Client;
use taskyard_client::api::{
    Invalid, JobState, JobSummary, JobsQuery, Page, Ranges, Selector, Task, TasksQuery,
};

/// The first of several things that a word may mean.
fn candidates(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.take(CANDIDATES_MAX + 1).collect();
    let more = if all.len() > CANDIDATES_MAX { ", …" } else { "" };
    format!("{}{more}", all[..all.len().min(CANDIDATES_MAX)].join(", "))
}

/// Names or numbers offered where a word is ambiguous.
const CANDIDATES_MAX: usize = 10;
/// Jobs asked for at a time.
pub(crate) const JOB_PAGE_ROWS: usize = 1_000;
/// Tasks asked for at a time.
const TASK_PAGE_ROWS: usize = 1_000;
/// Jobs that one range may name; more is a slip.
const RANGE_MAX: u64 = 100_000;

/// A job, or some of its tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picked {
    pub(crate) job: u64,
    pub(crate) tasks: Option<Ranges>,
}

impl Context {
    /// The jobs of several words. Ranges and `all` name those that exist and are in one of `states`.
    pub(crate) async fn pick(&self, words: &[String], states: &[JobState]) -> Result<Vec<Picked>, Failure> {
        let mut picked = Vec::new();
        for word in words {
            match Selector::parse_list("JOB", word) {
                Ok(selectors) => {
                    for selector in selectors {
                        self.add(selector, states, &mut picked).await?;
                    }
                }
                Err(strange) => picked.push(self.named(word, strange).await?),
            }
        }
        Ok(picked)
    }

    /// The job of this name, or tasks of it: `train`, `train.5`. `strange` is what to say if there is none.
    async fn named(&self, word: &str, strange: Invalid) -> Result<Picked, Failure> {
        let (user, namespace) = (Some(self.owner().await?.to_owned()), self.within(None));
        let mine = JobsQuery { user, namespace, ..JobsQuery::default() };
        let (name, tasks) = match self.full_name(word, &mine).await? {
            Some(name) => (name, None),
            None => {
                let Some((head, tail)) = word.rsplit_once('.') else { return Err(strange.into()) };
                let Ok(tasks) = Ranges::parse("JOB", tail) else { return Err(strange.into()) };
                (self.full_name(head, &mine).await?.ok_or(strange)?, Some(tasks))
            }
        };
        let query = JobsQuery { name: Some(name.clone()), limit: Some(CANDIDATES_MAX + 1), ..mine };
        match &self.client.jobs(&query).await?.items[..] {
            [one] => Ok(Picked { job: one.id, tasks }),
            jobs => {
                let ids = candidates(jobs.iter().map(|job| job.id.to_string()));
                let remedy = format!("several jobs have this name; name one by its number: {ids}");
                Err(Invalid::new("JOB", name, remedy).into())
            }
        }
    }

    /// The name that a word means among these jobs: itself, or the only one that begins with it.
    pub(crate) async fn full_name(&self, word: &str, among: &JobsQuery) -> Result<Option<String>, Failure> {
        let exact = JobsQuery { name: Some(word.to_owned()), limit: Some(1), ..among.clone() };
        if !self.client.jobs(&exact).await?.items.is_empty() {
            return Ok(Some(word.to_owned()));
        }
        let mut names = BTreeSet::new();
        let mut query =
            JobsQuery { name_prefix: Some(word.to_owned()), limit: Some(JOB_PAGE_ROWS), ..among.clone() };
        loop {
            let Page { items, next } = self.client.jobs(&query).await?;
            names.extend(items.into_iter().map(|job| job.name));
            match next {
                Some(next) if names.len() <= CANDIDATES_MAX => query.after = Some(next),
                _ => break,
            }
        }
        if names.len() > 1 {
            let remedy = format!("several names begin so: {}", candidates(names.into_iter()));
            return Err(Invalid::new("JOB", word, remedy).into());
        }
        Ok(names.pop_first())
    }

    /// One job, or tasks of one.
    pub(crate) async fn pick_one(&self, word: &str) -> Result<Picked, Failure> {
        let mut picked = self.pick(&[word.to_owned()], &JobState::ALL).await?;
        match picked.pop() {
            Some(one) if picked.is_empty() => Ok(one),
            _ => Err(Invalid::new("JOB", word, "name one job, as in 12, 12.5 or last").into()),
        }
    }

    async fn add(
        &self,
        selector: Selector,
        states: &[JobState],
        picked: &mut Vec<Picked>,
    ) -> Result<(), Failure> {
        match selector {
            Selector::Job { id, tasks } => picked.push(Picked { job: id, tasks }),
            Selector::Last { tasks } => picked.push(Picked { job: self.last().await?, tasks }),
            Selector::Range(range) => {
                if range.last - range.first >= RANGE_MAX {
                    let value = format!("{}-{}", range.first, range.last);
                    return Err(
                        Invalid::new("JOB", value, format!("at most {RANGE_MAX} jobs at once")).into()
                    );
                }
                let ids = Some(format!("{}-{}", range.first, range.last));
                let jobs = self
                    .all_jobs(JobsQuery { ids, state: states_word(states), ..JobsQuery::default() })
                    .await?;
                if jobs.is_empty() {
                    return Err(Failure::NotFound(format!(
                        "there is no such job from {} to {}",
                        range.first, range.last
                    )));
                }
                picked.extend(jobs.iter().rev().map(|j| Picked { job: j.id, tasks: None }));
            }
            Selector::All => {
                let (user, namespace) = (Some(self.owner().await?.to_owned()), self.within(None));
                let jobs = self
                    .all_jobs(JobsQuery {
                        user,
                        namespace,
                        state: states_word(states),
                        ..JobsQuery::default()
                    })
                    .await?;
                picked.extend(jobs.iter().rev().map(|j| Picked { job: j.id, tasks: None }));
            }
        }
        Ok(())
    }

    /// The newest job of this user.
    pub(crate) async fn last(&self) -> Result<u64, Failure> {
        let owner = self.owner().await?;
        let (user, namespace) = (Some(owner.to_owned()), self.within(None));
        let query = JobsQuery { user, namespace, limit: Some(1), ..JobsQuery::default() };
        let page = self.client.jobs(&query).await?;
        page.items.first().map(|job| job.id).ok_or_else(|| {
            Failure::NotFound(format!("{owner} has no jobs yet; submit one with `taskyard submit -- CMD`"))
        })
    }

    /// Every page of a list of jobs, newest first.
    pub(crate) async fn all_jobs(&self, mut query: JobsQuery) -> Result<Vec<JobSummary>, Failure> {
        let mut all = Vec::new();
        query.limit = Some(JOB_PAGE_ROWS);
        loop {
            let Page { items, next } = self.client.jobs(&query).await?;
            all.extend(items);
            match next {
                Some(next) => query.after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

fn states_word(states: &[JobState]) -> Option<String> {
    let names: Vec<&str> = states.iter().map(|s| s.name()).collect();
    (states.len() < JobState::ALL.len()).then(|| names.join(","))
}

/// The tasks of a job that a query finds, page after page as they are taken.
pub(crate) fn all_tasks(
    client: &Client,
    job: u64,
    query: TasksQuery,
) -> impl Stream<Item = Result<Task, Failure>> + '_ {
    let pages = stream::try_unfold(Some(query), move |query: Option<TasksQuery>| async move {
        let Some(query) = query else { return Ok(None) };
        let query = TasksQuery { limit: query.limit.or(Some(TASK_PAGE_ROWS)), ..query };
        let page = client.tasks(job, &query).await?;
        let next = page.next.map(|next| TasksQuery { after: Some(next), ..query });
        Ok::<_, Failure>(Some((stream::iter(page.items.into_iter().map(Ok)), next)))
    });
    pages.try_flatten()
}

/// States of jobs that can still change.
pub(crate) const UNFINISHED: [JobState; 3] = [JobState::Held, JobState::Pending, JobState::Running];
