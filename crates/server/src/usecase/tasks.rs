//! Tasks of a job: pages of them, and one with its attempts.

use super::present::{self, Around, task_state};
use super::select::index_of;
use super::{find_whole_job, runs_of};
use crate::failure::Answer;
use crate::heavy::heavy;
use std::sync::Arc;
use taskyard_api::{ApiError, Page, Task, TaskState, TasksQuery, page};
use taskyard_consensus::Consensus;
use taskyard_model::{Invalid, JobId, TaskIndex};
use taskyard_state::{Job, TaskRecord};

/// Up to this number of tasks are walked over on a thread that serves.
const TASKS_QUICK: u32 = 50_000;

/// Which tasks, and how many.
struct TaskFilter {
    states: Vec<TaskState>,
    runs: Vec<(TaskIndex, u32)>,
    rows: usize,
    from: TaskIndex,
}

impl TaskFilter {
    /// Reads a query about this job.
    fn new(job: &Job, query: &TasksQuery) -> Result<TaskFilter, ApiError> {
        let from = match &query.after {
            None => 0,
            Some(after) => {
                let bad = || Invalid::new("after", after, "give the `next` of the page before");
                after.parse::<TaskIndex>().map_err(|_| bad())?.saturating_add(1)
            }
        };
        let runs = match query.task_ranges()? {
            Some(numbers) => runs_of(job.head.id, &job.spec.array, &numbers)?,
            None => vec![(0, job.tasks())],
        };
        Ok(TaskFilter { states: query.states()?, runs, rows: page::rows(query.limit)?, from })
    }

    fn takes(&self, record: &TaskRecord) -> bool {
        self.states.is_empty() || self.states.contains(&task_state(record.phase))
    }

    /// The tasks of the page, and whether there are more.
    fn walk(&self, job: &Job) -> (Vec<(TaskIndex, TaskRecord)>, bool) {
        let mut found = Vec::new();
        let mut more = false;
        for &(first, count) in &self.runs {
            let end = first + count;
            if end <= self.from || more {
                continue;
            }
            job.each_record(first.max(self.from), |index, record| {
                if index >= end {
                    return false;
                }
                if self.takes(record) {
                    more = found.len() == self.rows;
                    if !more {
                        found.push((index, *record));
                    }
                }
                !more
            });
        }
        (found, more)
    }
}

/// One page of tasks, lowest number first.
pub(crate) async fn list_tasks(consensus: &Consensus, id: JobId, query: TasksQuery) -> Answer<Page<Task>> {
    let job = find_whole_job(consensus, id).await?;
    let filter = TaskFilter::new(&job, &query)?;
    let (found, more) = if job.tasks() <= TASKS_QUICK {
        filter.walk(&job)
    } else {
        let job = Arc::clone(&job);
        heavy(move || filter.walk(&job)).await?
    };
    let around = consensus.read(|state| Around::of_job(state, id, found.iter().map(|(_, r)| r.node)));
    let next = found.last().filter(|_| more).map(|(index, _)| index.to_string());
    let items = found.iter().map(|(index, record)| present::task(&job, *index, record, &around)).collect();
    Ok(Page { items, next })
}

/// One task by number.
pub(crate) async fn one_task(consensus: &Consensus, id: JobId, number: u64) -> Answer<Task> {
    let job = find_whole_job(consensus, id).await?;
    let index = index_of(id, &job.spec.array, number)?;
    let Some(record) = job.record(index) else {
        return Err(ApiError::not_found(format!("task {id}.{number}")));
    };
    let nodes = job.past_attempts(index).map(|(_, past)| past.node).chain([record.node]);
    let around = consensus.read(|state| Around::of_job(state, id, nodes));
    let mut task = present::task(&job, index, &record, &around);
    task.attempts = present::attempts(&job, index, &record, &around.names);
    Ok(task)
}
