//! What servers read: for answers to users, and for what agents are to be told.

use crate::command::Phase;
use crate::node::{Node, Order, RunKey};
use crate::server::ServerRecord;
use crate::{Job, State};
use std::sync::Arc;
use taskyard_model::{ClassId, Fence, Incarnation, JobId, NodeId, QueueId, TaskIndex, TaskRef};

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

    /// The oldest job that is kept: agents may drop what they hold of older ones.
    pub fn oldest_job(&self) -> JobId {
        self.core.jobs.get_min().map_or(JobId(self.core.clock.last_job + 1), |(id, _)| *id)
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
        self.node(node).is_some_and(|n| n.head.incarnation == Some(incarnation))
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
