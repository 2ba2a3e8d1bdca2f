//! From what users type to ids: `last` and `all` need the server, the rest does not.

use crate::context::Context;
use crate::exit::Failure;
use taskyard_client::api::{Invalid, JobState, JobSummary, JobsQuery, Page, Ranges, Selector};

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
            for selector in Selector::parse_list("JOB", word)? {
                self.add(selector, states, &mut picked).await?;
            }
        }
        Ok(picked)
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
        query.limit = Some(1_000);
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

/// States of jobs that can still change.
pub(crate) const UNFINISHED: [JobState; 3] = [JobState::Held, JobState::Pending, JobState::Running];
