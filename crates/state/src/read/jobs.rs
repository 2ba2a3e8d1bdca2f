//! Jobs, and which of them are forgotten.

use crate::job::Job;
use crate::state::State;
use std::sync::Arc;
use taskyard_model::{JobId, Retention, limits};

/// What is kept of finished jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetainedJobs {
    /// Jobs.
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
    /// What they were run with, in bytes.
    pub bytes: u64,
    /// Wall clock at the end of the first of them.
    pub oldest_end_wall_ms: Option<u64>,
}

/// Jobs that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// All before this one.
    pub before: JobId,
    /// And these, from the first to the last.
    pub gaps: Vec<(JobId, JobId)>,
}

impl State {
    /// A job, unless it never was or has been forgotten.
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.core.jobs.get(&id)
    }

    /// Jobs with a smaller id than `before`, newest first.
    pub fn jobs_before(&self, before: Option<JobId>) -> impl Iterator<Item = &Arc<Job>> {
        let end = before.unwrap_or(JobId(u64::MAX));
        self.core.jobs.range(..end).rev().map(|(_, job)| job)
    }

    /// Whether there was such a job that has been forgotten.
    pub fn was_forgotten(&self, id: JobId) -> bool {
        id.0 > 0 && id.0 <= self.core.clock.last_job && !self.core.jobs.contains_key(&id)
    }

    /// How long finished jobs are kept.
    pub fn retention(&self) -> Retention {
        self.core.retention
    }

    /// What is kept by that.
    pub fn kept(&self) -> RetainedJobs {
        let oldest = self.core.finished.get_min().and_then(|(_, id)| self.core.jobs.get(id));
        RetainedJobs {
            jobs: self.core.finished.len() as u64,
            tasks: self.lookup.memory.finished_tasks,
            bytes: self.lookup.memory.finished_bytes,
            oldest_end_wall_ms: oldest.and_then(|job| job.head.finished_wall_ms),
        }
    }

    /// Which jobs are forgotten, as far as that can be said in few words: agents may drop what they hold of them.
    pub fn forgotten(&self) -> Forgotten {
        let end = JobId(self.core.clock.last_job + 1);
        let kept = self.core.jobs.keys().copied().take(limits::GAPS_LOOKED_AT_MAX);
        // A job that runs for weeks must not keep the files of all that came and went meanwhile.
        let mut gaps = Vec::new();
        let mut last: Option<JobId> = None;
        let mut seen = 0;
        for id in kept {
            seen += 1;
            if let Some(before) = last.filter(|before| before.0 + 1 < id.0) {
                gaps.push((JobId(before.0 + 1), JobId(id.0 - 1)));
            }
            last = Some(id);
        }
        if let Some(before) = last.filter(|before| seen == self.core.jobs.len() && before.0 + 1 < end.0) {
            gaps.push((JobId(before.0 + 1), JobId(end.0 - 1)));
        }
        Forgotten { before: self.core.jobs.get_min().map_or(end, |(id, _)| *id), gaps }
    }

    /// The newest job.
    pub fn last_job(&self) -> Option<JobId> {
        self.core.jobs.get_max().map(|(id, _)| *id)
    }
}
