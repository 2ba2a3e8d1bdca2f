//! Attempts that are being stopped and have not ended: why, and when what is left of them is killed.
//!
//! The log has orders to stop. That a time limit was reached only the node of an attempt sees, so it follows here from
//! its start: the same moment, but for the way of a report.

use crate::job::Job;
use crate::node::AgentOrder;
use crate::phase::Phase;
use crate::record::TaskRecord;
use crate::state::State;
use std::collections::BTreeMap;
use std::fmt;
use taskyard_model::quantity::show_duration;
use taskyard_model::{JobId, NodeId, TaskIndex};

/// Why an attempt is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// A user cancelled it.
    Cancelled,
    /// More tasks of its job failed than `max_fails` allows.
    MaxFails,
    /// It reached this time limit.
    TimeLimit {
        /// In milliseconds.
        limit_ms: u64,
    },
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopCause::Cancelled => f.write_str("it was cancelled"),
            StopCause::MaxFails => f.write_str("more tasks of its job failed than max_fails allows"),
            StopCause::TimeLimit { limit_ms } => {
                write!(f, "its time limit of {} was reached", show_duration(*limit_ms))
            }
        }
    }
}

/// An attempt that is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// Why.
    pub cause: StopCause,
    /// State time since which.
    pub since_ms: u64,
    /// State time at which what is left of it is killed.
    pub until_ms: u64,
}

/// Orders to stop tasks of one job.
#[derive(Default)]
pub struct StopOrders {
    /// Of the whole job, by node; and of single tasks.
    by_node: BTreeMap<NodeId, StopTimes>,
    by_task: BTreeMap<(NodeId, TaskIndex), StopTimes>,
}

/// The first order to stop, and the first to kill.
#[derive(Clone, Copy, Default)]
struct StopTimes {
    stop_ms: Option<u64>,
    kill_ms: Option<u64>,
}

impl StopTimes {
    fn adds(&mut self, kills: bool, at_ms: u64) {
        self.stop_ms = self.stop_ms.or(Some(at_ms));
        if kills {
            self.kill_ms = self.kill_ms.or(Some(at_ms));
        }
    }

    fn stopping(self, cause: StopCause, grace_ms: u64) -> Option<Stopping> {
        let since_ms = self.stop_ms?;
        let until_ms = since_ms.saturating_add(grace_ms);
        Some(Stopping { cause, since_ms, until_ms: self.kill_ms.map_or(until_ms, |kill| kill.min(until_ms)) })
    }
}

impl State {
    /// The orders that nodes have to stop tasks of a job.
    pub fn stop_orders(&self, job: JobId) -> StopOrders {
        let mut found = StopOrders::default();
        for node in self.core.nodes.iter().filter(|node| node.jobs.contains_key(&job)) {
            for ((_, _, index), given) in node.orders.iter().filter(|((_, of, _), _)| *of == job) {
                let (id, at_ms) = (node.head.id, given.at_ms);
                match given.order {
                    AgentOrder::CancelJob => found.by_node.entry(id).or_default().adds(false, at_ms),
                    AgentOrder::KillJob => found.by_node.entry(id).or_default().adds(true, at_ms),
                    AgentOrder::CancelTask => {
                        found.by_task.entry((id, *index)).or_default().adds(false, at_ms);
                    }
                    AgentOrder::KillTask => {
                        found.by_task.entry((id, *index)).or_default().adds(true, at_ms);
                    }
                    AgentOrder::Recall | AgentOrder::Limits => {}
                }
            }
        }
        found
    }

    /// The tasks of a job that run.
    pub(crate) fn each_running(&self, job: &Job, mut visit: impl FnMut(TaskIndex, &TaskRecord)) {
        for node in self.core.nodes.iter().filter(|node| node.jobs.contains_key(&job.head.id)) {
            for (key, run) in node.runs.iter().filter(|(key, _)| key.job == job.head.id) {
                for index in key.first..key.first + run.count {
                    let record = job.record(index).filter(|record| {
                        record.phase == Phase::Running
                            && record.fence == key.fence
                            && record.node == node.head.id
                    });
                    if let Some(record) = record {
                        visit(index, &record);
                    }
                }
            }
        }
    }

    /// The tasks of a job whose attempts are being stopped, in order.
    pub fn stopping(&self, job: &Job) -> BTreeMap<TaskIndex, Stopping> {
        let mut found = BTreeMap::new();
        if job.has(Phase::Running) {
            let orders = self.stop_orders(job.head.id);
            self.each_running(job, |index, record| {
                found.extend(orders.of(job, index, record, self.now_ms()).map(|stopping| (index, stopping)));
            });
        }
        found
    }
}

impl StopOrders {
    /// Whether an attempt is being stopped.
    pub fn of(&self, job: &Job, index: TaskIndex, record: &TaskRecord, now_ms: u64) -> Option<Stopping> {
        if record.phase != Phase::Running {
            return None;
        }
        let grace_ms = job.spec.grace_ms;
        let cause = if job.head.failed_too_often { StopCause::MaxFails } else { StopCause::Cancelled };
        let whole = self.by_node.get(&record.node).and_then(|order| order.stopping(cause, grace_ms));
        let task = self.by_task.get(&(record.node, index)).filter(|_| record.cancelled);
        let task = task.and_then(|order| order.stopping(StopCause::Cancelled, grace_ms));
        let limit = record.time_limit_reached(job, now_ms);
        let all = [whole, task, limit].into_iter().flatten();
        let until_ms = all.clone().map(|stopping| stopping.until_ms).min()?;
        // What stops it first is why it ends, but a later order may kill it sooner.
        all.min_by_key(|stopping| stopping.since_ms).map(|first| Stopping { until_ms, ..first })
    }
}

impl TaskRecord {
    /// That a running attempt has run for as long as it may.
    fn time_limit_reached(&self, job: &Job, now_ms: u64) -> Option<Stopping> {
        if self.started_ms == 0 {
            return None;
        }
        // The limit that stopped it stays its limit when the job gets another.
        let limit_ms = if self.limit_ms > 0 { self.limit_ms } else { job.spec.time_limit_ms? };
        let since_ms = self.started_ms.saturating_add(limit_ms);
        let until_ms = since_ms.saturating_add(job.spec.grace_ms);
        let cause = StopCause::TimeLimit { limit_ms };
        (since_ms <= now_ms).then_some(Stopping { cause, since_ms, until_ms })
    }
}
