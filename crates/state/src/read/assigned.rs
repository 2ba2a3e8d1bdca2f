//! What agents are to be told: what they were assigned, and what they are to do about it.

use crate::job::Job;
use crate::node::{AgentOrder, TaskRunKey};
use crate::state::State;
use std::collections::BTreeSet;
use taskyard_model::{ClassId, Fence, JobId, NodeId, TaskIndex, TaskRef};

/// Something an agent is to do about attempts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderDue {
    /// Log index of the order.
    pub index: u64,
    /// The job.
    pub job: JobId,
    /// The task, for [`AgentOrder::CancelTask`].
    pub task: TaskIndex,
    /// What to do.
    pub order: AgentOrder,
}

/// Consecutive tasks of one assignment that have not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedRun {
    /// Their job.
    pub job: JobId,
    /// The first.
    pub first: TaskIndex,
    /// How many.
    pub count: u32,
    /// Which attempt of each.
    pub attempt: u32,
    /// Their fence.
    pub fence: Fence,
    /// Sent ahead of need.
    pub prefetched: bool,
    /// Their class.
    pub class: ClassId,
    /// GPU devices (then it is one task).
    pub gpus: Vec<(u16, u32)>,
}

impl State {
    /// AttemptGroup given to a node by entries after `after` that have not ended, in order of fence; about `limit` tasks at most, and
    /// whole fences only.
    pub fn assigned_after(&self, node: NodeId, after: Fence, limit: u32) -> Vec<AssignedRun> {
        let Some(node) = self.node(node) else { return Vec::new() };
        let start = TaskRunKey { fence: Fence(after.0 + 1), job: JobId(0), first: 0 };
        let mut pages: Vec<(u64, AssignedRun)> = Vec::new();
        let mut tasks = 0;
        for (key, run) in node.runs.range(start..) {
            // A fence is given whole: the caller goes on after the last one.
            if tasks >= limit && pages.last().is_some_and(|(_, p)| p.fence != key.fence) {
                break;
            }
            let Some(job) = self.core.jobs.get(&key.job) else { continue };
            let whole = AssignedRun {
                job: key.job,
                first: key.first,
                count: run.count,
                attempt: run.attempt,
                fence: key.fence,
                prefetched: run.prefetched,
                class: job.head.class,
                gpus: node.gpus.get(&TaskRef { job: key.job, index: key.first }).cloned().unwrap_or_default(),
            };
            if run.live == run.count {
                pages.push((run.order, whole));
            } else {
                job.live_runs(key, run.count, node.head.id, |first, count| {
                    pages.push((run.order, AssignedRun { first, count, ..whole.clone() }));
                });
            }
            tasks += run.live;
        }
        // Within a fence as the plan said, which is the order of the queue's policy.
        pages.sort_by_key(|(order, _)| *order);
        pages.into_iter().map(|(_, page)| page).collect()
    }

    /// AttemptGroup of a job that a node has.
    pub fn assigned_of(&self, node: NodeId, id: JobId) -> Vec<(TaskIndex, Fence)> {
        let (Some(node), Some(job)) = (self.node(node), self.core.jobs.get(&id)) else { return Vec::new() };
        let mut all = Vec::new();
        for (key, run) in node.runs.iter().filter(|(k, _)| k.job == id) {
            job.live_runs(key, run.count, node.head.id, |first, count| {
                all.extend((first..first + count).map(|index| (index, key.fence)));
            });
        }
        all
    }

    /// Jobs of a class of which attempts that began at a state time run on a node, in order of id.
    pub fn jobs_running(&self, node: NodeId, class: ClassId, since_ms: u64) -> Vec<JobId> {
        let Some(node) = self.node(node) else { return Vec::new() };
        let began = node.runs.iter().filter(|(_, run)| run.since_ms == since_ms && run.live > 0);
        let jobs: BTreeSet<JobId> = began.map(|(key, _)| key.job).collect();
        let of_class = |id: &JobId| self.core.jobs.get(id).is_some_and(|job| job.head.class == class);
        let runs = |id: &JobId| node.jobs.get(id).is_some_and(|here| here.running > 0);
        jobs.into_iter().filter(|id| of_class(id) && runs(id)).collect()
    }

    /// Orders for a node given by entries after `after`.
    pub fn orders_after(&self, node: NodeId, after: u64) -> Vec<OrderDue> {
        let Some(node) = self.node(node) else { return Vec::new() };
        let later = node.orders.range((after + 1, JobId(0), 0)..);
        later.map(|(&(index, job, task), given)| OrderDue { index, job, task, order: given.order }).collect()
    }
}

impl Job {
    /// Runs of tasks of an assignment that have not ended.
    fn live_runs(&self, key: &TaskRunKey, count: u32, node: NodeId, mut found: impl FnMut(TaskIndex, u32)) {
        let mut run: Option<(TaskIndex, u32)> = None;
        let end = key.first + count;
        self.each_record(key.first, |index, record| {
            if index >= end {
                return false;
            }
            let live = record.phase.is_assigned() && record.fence == key.fence && record.node == node;
            run = match (run, live) {
                (Some((first, n)), true) => Some((first, n + 1)),
                (None, true) => Some((index, 1)),
                (Some((first, n)), false) => {
                    found(first, n);
                    None
                }
                (None, false) => None,
            };
            true
        });
        if let Some((first, n)) = run {
            found(first, n);
        }
    }
}
