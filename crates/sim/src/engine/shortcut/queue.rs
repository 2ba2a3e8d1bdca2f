//! Who waits, in order.

use std::collections::VecDeque;
use taskyard_model::policy::OrderKey;

/// A job that waits, by its position in the workload.
#[derive(Clone, Copy)]
pub(super) struct WaitingJob {
    pub(super) job: u32,
    pub(super) cpu_milli: u64,
    pub(super) expected_ms: u64,
    /// Past all times where there is none.
    pub(super) limit_ms: u64,
    pub(super) key: OrderKey,
}

/// Jobs in order of their keys. What each takes is kept a second time, close together: a pass looks at little else.
#[derive(Default)]
pub(super) struct WaitingJobs {
    jobs: VecDeque<WaitingJob>,
    cpu_milli: VecDeque<u64>,
}

impl WaitingJobs {
    pub(super) fn insert(&mut self, job: WaitingJob) {
        let at = match self.jobs.back() {
            Some(last) if last.key > job.key => self.jobs.partition_point(|other| other.key < job.key),
            _ => self.jobs.len(),
        };
        self.jobs.insert(at, job);
        self.cpu_milli.insert(at, job.cpu_milli);
    }

    pub(super) fn first(&self) -> Option<&WaitingJob> {
        self.jobs.front()
    }

    /// The place of the first from a place on that takes no more than this.
    pub(super) fn fitting(&self, from: usize, free: u64) -> Option<usize> {
        if free == 0 || from >= self.cpu_milli.len() {
            return None;
        }
        self.cpu_milli.range(from..).position(|takes| *takes <= free).map(|after| from + after)
    }

    pub(super) fn get(&self, at: usize) -> Option<&WaitingJob> {
        self.jobs.get(at)
    }

    /// Takes out one that is not next.
    pub(super) fn take(&mut self, job: &WaitingJob) {
        let at = self.jobs.partition_point(|other| other.key < job.key);
        debug_assert!(self.jobs.get(at).is_some_and(|found| found.job == job.job), "it waits here");
        self.remove(at);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<WaitingJob> {
        self.cpu_milli.remove(at);
        self.jobs.remove(at)
    }
}
