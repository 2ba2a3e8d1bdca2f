//! One node: its agent's life, what it was given to run, and what it was told since.

use crate::command::Register;
use minicbor::{Decode, Encode};
use taskyard_model::{Fence, JobId, NodeId, NodeStatus, TaskIndex, TaskRef};

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is known of it apart from its work.
    pub head: NodeHead,
    /// Assigned attempts that have not ended, in runs. By fence first: a session sends what comes after the last it sent.
    pub(crate) runs: imbl::OrdMap<TaskRunKey, TaskRun>,
    /// How many assigned attempts each job has here.
    pub(crate) jobs: imbl::OrdMap<JobId, JobHere>,
    /// What the agent is to do about attempts it has, by log index.
    pub(crate) orders: imbl::OrdMap<(u64, JobId, TaskIndex), GivenOrder>,
    /// GPU devices of running attempts.
    pub(crate) gpus: imbl::OrdMap<TaskRef, Vec<(u16, u32)>>,
}

/// A node without its work.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct NodeHead {
    /// Its id.
    #[n(0)]
    pub id: NodeId,
    /// Its last registration.
    #[n(1)]
    pub registered: Register,
    /// Where it is in its life.
    #[n(2)]
    pub status: NodeStatus,
    /// Wall clock of the registration, for display.
    #[n(3)]
    pub registered_wall_ms: u64,
    /// Runs given to this life.
    #[n(4)]
    pub(crate) given: u64,
    /// Index of the entry that last gave it something.
    #[n(5)]
    pub(crate) given_at: u64,
}

/// A name of a node that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RemovedNode {
    #[n(0)]
    pub(crate) name: String,
    /// Log index of the removal: who joined before it is out.
    #[n(1)]
    pub(crate) at: u64,
}

/// Where a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct TaskRunKey {
    #[n(0)]
    pub(crate) fence: Fence,
    #[n(1)]
    pub(crate) job: JobId,
    #[n(2)]
    pub(crate) first: TaskIndex,
}

/// Consecutive tasks assigned by one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TaskRun {
    #[n(0)]
    pub(crate) count: u32,
    #[n(1)]
    pub(crate) attempt: u32,
    /// Sent ahead of need.
    #[n(2)]
    pub(crate) prefetched: bool,
    /// Attempts that have not ended.
    #[n(3)]
    pub(crate) live: u32,
    /// Counts the runs a node was given: one plan may give several, and the agent takes them in the plan's order.
    #[n(4)]
    pub(crate) order: u64,
    /// State time of the assignment.
    #[n(5)]
    #[cbor(default)]
    pub(crate) since_ms: u64,
}

/// A job's attempts on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct JobHere {
    #[n(0)]
    pub(crate) running: u32,
    #[n(1)]
    pub(crate) prefetched: u32,
    /// The held ones are to come back.
    #[n(2)]
    pub(crate) recalled: bool,
}

/// What the agent is to do about attempts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum AgentOrder {
    /// Stop this task.
    #[n(0)]
    CancelTask,
    /// Stop every task of the job.
    #[n(1)]
    CancelJob,
    /// Give back every held attempt of the job.
    #[n(2)]
    Recall,
    /// The job runs under other limits from now on.
    #[n(3)]
    Limits,
    /// Kill this task, without its grace.
    #[n(4)]
    KillTask,
    /// Kill every task of the job.
    #[n(5)]
    KillJob,
}

/// An order, and when it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GivenOrder {
    #[n(0)]
    pub(crate) order: AgentOrder,
    /// State time.
    #[n(1)]
    pub(crate) at_ms: u64,
}

impl Node {
    pub(crate) fn new(head: NodeHead) -> Node {
        Node {
            head,
            runs: imbl::OrdMap::new(),
            jobs: imbl::OrdMap::new(),
            orders: imbl::OrdMap::new(),
            gpus: imbl::OrdMap::new(),
        }
    }

    /// The run that holds a task's attempt.
    pub(crate) fn run_of(&self, job: JobId, index: TaskIndex, fence: Fence) -> Option<TaskRunKey> {
        let upto = TaskRunKey { fence, job, first: index };
        let (key, run) = self.runs.range(..=upto).next_back()?;
        (key.fence == fence && key.job == job && index < key.first + run.count).then_some(*key)
    }

    /// An attempt ended or came back: forget what was kept to send it again.
    pub(crate) fn attempt_gone(&mut self, task: TaskRef, fence: Fence, was_prefetched: bool) {
        if let Some(key) = self.run_of(task.job, task.index, fence) {
            let ended = self.runs.get_mut(&key).is_some_and(|run| {
                run.live -= 1;
                run.live == 0
            });
            if ended {
                self.runs.remove(&key);
            }
        }
        let mut here = self.jobs.get(&task.job).copied().unwrap_or_default();
        if was_prefetched {
            here.prefetched = here.prefetched.saturating_sub(1);
        } else {
            here.running = here.running.saturating_sub(1);
        }
        self.set_here(task.job, here);
    }

    /// A held attempt of a job took over a place.
    pub(crate) fn prefetched_started(&mut self, job: JobId) {
        let mut here = self.jobs.get(&job).copied().unwrap_or_default();
        here.prefetched = here.prefetched.saturating_sub(1);
        here.running += 1;
        self.set_here(job, here);
    }

    /// A recall is settled when nothing is held any more; every order is, when nothing of the job is left here.
    fn set_here(&mut self, job: JobId, mut here: JobHere) {
        if here.prefetched == 0 && here.recalled {
            here.recalled = false;
            self.drop_orders(job, |order| order == AgentOrder::Recall);
        }
        if here == JobHere::default() {
            self.jobs.remove(&job);
            self.drop_orders(job, |_| true);
        } else {
            self.jobs.insert(job, here);
        }
    }

    pub(crate) fn drop_orders(&mut self, job: JobId, which: impl Fn(AgentOrder) -> bool) {
        let done: Vec<_> =
            self.orders.iter().filter(|(k, o)| k.1 == job && which(o.order)).map(|(k, _)| *k).collect();
        for key in done {
            self.orders.remove(&key);
        }
    }
}
