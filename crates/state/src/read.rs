//! What servers read: for answers to users, and for what agents are to be told.

use crate::node::{Node, Order, RunKey};
use crate::phase::Phase;
use crate::server::ServerRecord;
use crate::{Job, State};
use std::collections::BTreeSet;
use std::sync::Arc;
use taskyard_model::{
    ClassId, Fence, Incarnation, JobId, NodeId, QueueId, Retention, TaskIndex, TaskRef, limits,
};

/// Something an agent is to do about attempts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderDue {
    /// Log index of the order.
    pub index: u64,
    /// The job.
    pub job: JobId,
    /// The task, for [`Order::CancelTask`].
    pub task: TaskIndex,
    /// What to do.
    pub order: Order,
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
    /// Held ahead of need when assigned.
    pub ahead: bool,
    /// Their class.
    pub class: ClassId,
    /// GPU devices (then it is one task).
    pub gpus: Vec<(u16, u32)>,
}

/// What is kept of finished jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
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
    pub fn kept(&self) -> Kept {
        let oldest = self.core.finished.get_min().and_then(|(_, id)| self.core.jobs.get(id));
        Kept {
            jobs: self.core.finished.len() as u64,
            tasks: self.lookup.finished_tasks,
            bytes: self.lookup.finished_bytes,
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

    /// A node.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.core.nodes.get((id.0 as usize).checked_sub(1)?)
    }

    /// The node of a name.
    pub fn node_named(&self, name: &str) -> Option<&Arc<Node>> {
        self.core.nodes.iter().find(|n| n.head.registered.name == name)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.core.nodes.iter()
    }

    /// Times in which nodes are to be maintained, by name; also some that are over.
    pub fn maintenance(&self) -> impl Iterator<Item = (&str, &crate::Maintenance)> {
        self.core.maintenance.iter().map(|(name, window)| (name.as_str(), window))
    }

    /// The queue of a name.
    pub fn queue(&self, name: &str) -> Option<QueueId> {
        self.queue_named(name)
    }

    /// Name of a queue.
    pub fn queue_name(&self, id: QueueId) -> &str {
        self.core.queues.get(id.0 as usize - 1).map_or("", |q| q.name.as_str())
    }

    /// State time of the last `LeaderStart`.
    pub fn leader_since_ms(&self) -> u64 {
        self.core.clock.leader_since_ms
    }

    /// Every server there ever was, by number.
    pub fn servers(&self) -> impl Iterator<Item = &ServerRecord> {
        self.core.servers.values()
    }

    /// The server of a number.
    pub fn server(&self, id: u64) -> Option<&ServerRecord> {
        self.core.servers.get(&id)
    }

    /// Whether this is the present life of the node's agent.
    pub fn is_alive(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.node(node).is_some_and(|n| n.head.status.incarnation() == Some(incarnation))
    }

    /// Attempts given to a node by entries after `after` that have not ended, in order of fence; about `limit` tasks at most, and
    /// whole fences only.
    pub fn assigned_after(&self, node: NodeId, after: Fence, limit: u32) -> Vec<AssignedRun> {
        let Some(node) = self.node(node) else { return Vec::new() };
        let start = RunKey { fence: Fence(after.0 + 1), job: JobId(0), first: 0 };
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
                ahead: run.ahead,
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

    /// Attempts of a job that a node has.
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
        later.map(|(&(index, job, task), &order)| OrderDue { index, job, task, order }).collect()
    }
}

impl Job {
    /// Runs of tasks of an assignment that have not ended.
    fn live_runs(&self, key: &RunKey, count: u32, node: NodeId, mut found: impl FnMut(TaskIndex, u32)) {
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

    /// Whether the job has a task in this phase.
    pub fn has(&self, phase: Phase) -> bool {
        self.count(phase) > 0
    }
}
