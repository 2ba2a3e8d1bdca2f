//! Sums over all work that is not finished, for queues, the cluster and metrics.

use crate::failure::Answer;
use std::collections::BTreeMap;
use taskyard_consensus::Consensus;
use taskyard_model::{JobId, QueueId};
use taskyard_state::{Phase, State};

/// Jobs summed up while the state is locked.
const JOBS_AT_ONCE: usize = 1_024;

/// Tasks of one queue, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Unfinished jobs.
    pub(crate) active_jobs: u64,
    /// Jobs with a waiting task.
    pub(crate) waiting_jobs: u64,
    /// Waiting tasks.
    pub(crate) pending: u64,
    /// Tasks at nodes ahead of need.
    pub(crate) queued: u64,
    /// Running tasks.
    pub(crate) running: u64,
}

/// Sums by queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    by_queue: BTreeMap<QueueId, Sum>,
}

impl Totals {
    pub(crate) fn of(&self, queue: QueueId) -> Sum {
        self.by_queue.get(&queue).copied().unwrap_or_default()
    }

    /// Over all queues.
    pub(crate) fn all(&self) -> Sum {
        let mut all = Sum::default();
        for sum in self.by_queue.values() {
            all.active_jobs += sum.active_jobs;
            all.waiting_jobs += sum.waiting_jobs;
            all.pending += sum.pending;
            all.queued += sum.queued;
            all.running += sum.running;
        }
        all
    }

    fn add(&mut self, state: &State, ids: &[JobId]) {
        for job in ids.iter().filter_map(|id| state.job(*id)).filter(|job| !job.is_finished()) {
            let sum = self.by_queue.entry(job.head.queue).or_default();
            sum.active_jobs += 1;
            sum.waiting_jobs += u64::from(job.has(Phase::Pending));
            sum.pending += u64::from(job.count(Phase::Pending));
            sum.queued += u64::from(job.count(Phase::Queued));
            sum.running += u64::from(job.count(Phase::Running));
        }
    }
}

/// Sums up. The state is let go in between, so with much work the sums are of slightly different moments.
pub(crate) async fn totals(consensus: &Consensus) -> Answer<Totals> {
    // The map is shared with the state until the latter changes; copying it costs nothing.
    let active = consensus.read(|state| state.view().jobs.clone());
    let mut totals = Totals::default();
    let mut ids: Vec<JobId> = Vec::with_capacity(JOBS_AT_ONCE);
    for id in active.keys() {
        ids.push(*id);
        if ids.len() == JOBS_AT_ONCE {
            consensus.read(|state| totals.add(state, &ids));
            ids.clear();
            tokio::task::yield_now().await;
        }
    }
    consensus.read(|state| totals.add(state, &ids));
    Ok(totals)
}
