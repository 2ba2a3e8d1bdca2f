//! The protocol of RLScheduler's evaluation (Zhang et al., SC'20): the head of the queue, once picked, stays picked
//! until it fits; with backfilling, others may start while now + estimate is before the head's expected start, which
//! is worked out once.
//!
//! Only for comparing with its table: a live pool has the disciplines of `sched`. The order is the queue's own, and
//! each start is a plan that `state` checks and applies.

use super::Engine;
use taskyard_model::{Assignment, Plan};

/// What the protocol remembers from one event to the next.
pub(super) struct Commit {
    backfill: bool,
    /// Waiting jobs, as earlier sorts have left them: ties go by that.
    queue: Vec<usize>,
    picked: Option<Picked>,
}

struct Picked {
    job: usize,
    /// When it is expected to start.
    shadow_ms: u64,
}

impl Commit {
    pub(super) fn new(backfill: bool) -> Commit {
        Commit { backfill, queue: Vec::new(), picked: None }
    }

    pub(super) fn submitted(&mut self, job: usize) {
        self.queue.push(job);
    }
}

impl Engine<'_> {
    /// One event, a submit before an end, and the starts that follow.
    pub(super) fn commit_step(&mut self) {
        if !self.submit_next() {
            self.end_next(|_, _| true);
        }
        let Some(mut commit) = self.commit.take() else { return };
        while self.commit_start(&mut commit) {}
        self.commit = Some(commit);
    }

    /// Starts the picked job if it fits, else what may start before it. Whether the next is to be picked.
    fn commit_start(&mut self, commit: &mut Commit) -> bool {
        if commit.picked.is_none() {
            commit.queue.sort_by_key(|&job| self.cluster.key(job).map(|key| key.rank));
            let Some(&job) = commit.queue.first() else { return false };
            let shadow_ms = if commit.backfill { self.shadow_ms(job) } else { 0 };
            commit.picked = Some(Picked { job, shadow_ms });
        }
        let Some(Picked { job, shadow_ms }) = commit.picked else { return false };
        if self.start(job) {
            commit.queue.retain(|&waiting| waiting != job);
            commit.picked = None;
            return true;
        }
        if commit.backfill {
            let jobs = &self.workload.jobs;
            commit.queue.sort_by_key(|&job| jobs[job].submit_ms);
            let now_ms = self.cluster.now_ms;
            let in_time = |job: usize| now_ms + jobs[job].estimate_ms.unwrap_or(0) < shadow_ms;
            let candidates: Vec<usize> = commit.queue.iter().copied().filter(|&job| in_time(job)).collect();
            for job in candidates {
                if self.start(job) {
                    commit.queue.retain(|&waiting| waiting != job);
                }
            }
        }
        false
    }

    /// When enough is expected to have ended for a job to fit; now, if it fits already.
    fn shadow_ms(&self, job: usize) -> u64 {
        let asked = self.workload.jobs[job].request.amounts.cpu_milli;
        let node = &self.cluster.view().nodes[0];
        let mut free = node.free.cpu_milli;
        let mut shadow_ms = self.cluster.now_ms;
        for ((end_ms, class), ending) in &node.ends {
            for _ in 0..ending.count {
                if free >= asked {
                    return shadow_ms;
                }
                let class = &self.cluster.view().classes[*class];
                free += class.request.amounts.cpu_milli;
                shadow_ms = *end_ms;
            }
        }
        shadow_ms
    }

    /// Starts a job on the machine if it fits now.
    fn start(&mut self, job: usize) -> bool {
        let node = &self.cluster.view().nodes[0];
        let Some(incarnation) = node.status.incarnation() else { return false };
        if node.free.covers(&self.workload.jobs[job].request.amounts).is_err() {
            return false;
        }
        let assignment =
            Assignment { job: self.cluster.id(job), count: 1, node: node.id, incarnation, prefetch: false };
        self.carry_out(&Plan { assignments: vec![assignment], recalls: Vec::new() });
        true
    }
}
