//! From what users type to ids: `last` and `all` need the server, the rest does not.

use crate::context::Context;
use crate::exit::Failure;
use crate::show::safe;
use futures_util::{Stream, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use taskyard_client::Client;
use taskyard_client::api::{
    Invalid, JobRange, JobState, JobSummary, JobsQuery, Page, Ranges, Selector, Task, TasksQuery,
};

/// What to say of a word that is neither an id nor a name that is there. One without any letter is a slip in an id.
pub(crate) fn not_named(word: &str, strange: Invalid) -> Failure {
    let is_selector = ["all", "last"].iter().any(|known| word.split('.').next() == Some(known));
    if is_selector || !word.chars().any(char::is_alphabetic) {
        return strange.into();
    }
    let word = safe::one_line(word);
    Failure::NotFound(format!("there is no job named {word}; `taskyard jobs` lists jobs with their names"))
}

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
pub(crate) struct PickedJob {
    pub(crate) job: u64,
    pub(crate) tasks: Option<Ranges>,
    /// A range or `all` named it, and perhaps others.
    pub(crate) of_many: bool,
}

/// What words name.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Each job once.
    pub(crate) picked: Vec<PickedJob>,
    /// Jobs of ranges that are in another state than asked for.
    pub(crate) left_out: u64,
    /// Where in `picked` each job is.
    at: BTreeMap<u64, usize>,
}

impl Selection {
    /// Adds a job, or more tasks of one that is there.
    fn add(&mut self, new: PickedJob) {
        let at = *self.at.entry(new.job).or_insert(self.picked.len());
        let Some(known) = self.picked.get_mut(at) else { return self.picked.push(new) };
        known.of_many &= new.of_many;
        match (&mut known.tasks, new.tasks) {
            (Some(known), Some(new)) => known.0.extend(new.0),
            (known, _) => *known = None,
        }
    }

    fn add_job(&mut self, job: u64) {
        self.add(PickedJob { job, tasks: None, of_many: true });
    }
}

impl Context {
    /// The jobs of several words. Ranges and `all` name those that exist and are in one of `states`.
    pub(crate) async fn pick(&self, words: &[String], states: &[JobState]) -> Result<Selection, Failure> {
        let mut selection = Selection::default();
        for word in words {
            match Selector::parse_list("JOB", word) {
                Ok(selectors) => {
                    for selector in selectors {
                        self.add(selector, states, &mut selection).await?;
                    }
                }
                Err(strange) => selection.add(self.named(word, not_named(word, strange)).await?),
            }
        }
        Ok(selection)
    }

    /// The job of this name, or tasks of it: `train`, `train.5`. `strange` is what to say if there is none.
    async fn named(&self, word: &str, strange: Failure) -> Result<PickedJob, Failure> {
        let (user, namespace) = (Some(self.owner().await?.to_owned()), self.within(None));
        let mine = JobsQuery { user, namespace, ..JobsQuery::default() };
        let (name, tasks) = match self.full_name(word, &mine).await? {
            Some(name) => (name, None),
            None => {
                let Some((head, tail)) = word.rsplit_once('.') else { return Err(strange) };
                let Ok(tasks) = Ranges::parse("JOB", tail) else { return Err(strange) };
                (self.full_name(head, &mine).await?.ok_or(strange)?, Some(tasks))
            }
        };
        let query = JobsQuery { name: Some(name.clone()), limit: Some(CANDIDATES_MAX + 1), ..mine };
        match &self.client.jobs(&query).await?.items[..] {
            [one] => Ok(PickedJob { job: one.id, tasks, of_many: false }),
            jobs => {
                let ids = candidates(jobs.iter().map(|job| job.id.to_string()));
                let remedy = format!("several jobs have this name; choose one by its id: {ids}");
                Err(Invalid::new("JOB", name, remedy).into())
            }
        }
    }

    /// The name that a word means among these jobs: itself, or the only one that begins with it.
    pub(crate) async fn full_name(&self, word: &str, among: &JobsQuery) -> Result<Option<String>, Failure> {
        if word.trim().is_empty() {
            return Ok(None);
        }
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
            let remedy = format!("several names begin with this: {}", candidates(names.into_iter()));
            return Err(Invalid::new("JOB", word, remedy).into());
        }
        Ok(names.pop_first())
    }

    /// One job, or tasks of one.
    pub(crate) async fn pick_one(&self, word: &str) -> Result<PickedJob, Failure> {
        let mut picked = self.pick(&[word.to_owned()], &JobState::ALL).await?.picked;
        match picked.pop() {
            Some(one) if picked.is_empty() => Ok(one),
            _ => Err(Invalid::new("JOB", word, "name one job, as in 12, 12.5 or last").into()),
        }
    }

    async fn add(
        &self,
        selector: Selector,
        states: &[JobState],
        selection: &mut Selection,
    ) -> Result<(), Failure> {
        match selector {
            Selector::Job { id, tasks } => selection.add(PickedJob { job: id, tasks, of_many: false }),
            Selector::Last { tasks } => {
                selection.add(PickedJob { job: self.last().await?, tasks, of_many: false });
            }
            Selector::Range(JobRange { first, last }) => {
                if last - first >= RANGE_MAX {
                    let value = format!("{first}-{last}");
                    return Err(
                        Invalid::new("JOB", value, format!("at most {RANGE_MAX} jobs at once")).into()
                    );
                }
                let ids = Some(format!("{first}-{last}"));
                let jobs = self.all_jobs(JobsQuery { ids, ..JobsQuery::default() }).await?;
                if jobs.is_empty() {
                    return Err(Failure::NotFound(format!("there is no job from {first} to {last}")));
                }
                let wanted = |job: &&JobSummary| states.contains(&job.state);
                jobs.iter().rev().filter(wanted).for_each(|job| selection.add_job(job.id));
                selection.left_out += jobs.iter().filter(|job| !wanted(job)).count() as u64;
            }
            Selector::All => {
                let (user, namespace) = (Some(self.owner().await?.to_owned()), self.within(None));
                let query = JobsQuery { user, namespace, state: states_word(states), ..JobsQuery::default() };
                let jobs = self.all_jobs(query).await?;
                jobs.iter().rev().for_each(|job| selection.add_job(job.id));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_job_is_a_name_or_a_slip() {
        let code = |word: &str| {
            let strange = Selector::parse_list("JOB", word).unwrap_err();
            not_named(word, strange).code()
        };
        for name in ["nope", "train-5", "x.1", "12a", "größe"] {
            assert_eq!(code(name), crate::exit::NOT_FOUND, "{name}");
        }
        for slip in ["", "12-", "5-1", "1.5.2", "-", "all.1", "last.x"] {
            assert_eq!(code(slip), crate::exit::USAGE, "{slip}");
        }
    }

    #[test]
    fn a_job_that_is_named_twice_is_picked_once() {
        let mut selection = Selection::default();
        let tasks = |text: &str| Some(Ranges::parse("tasks", text).unwrap());
        let one = |job, tasks| PickedJob { job, tasks, of_many: false };
        for new in [one(1, tasks("2")), one(2, tasks("1-3")), one(1, tasks("5-7")), one(3, None)] {
            selection.add(new);
        }
        selection.add_job(2);
        selection.add_job(4);
        let all =
            selection.picked.iter().map(|p| (p.job, p.tasks.as_ref().map(ToString::to_string), p.of_many));
        let want =
            [(1, Some("2,5-7".to_owned()), false), (2, None, false), (3, None, false), (4, None, true)];
        assert_eq!(all.collect::<Vec<_>>(), want);
    }
}
