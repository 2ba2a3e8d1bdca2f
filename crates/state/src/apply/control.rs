//! What users do to jobs and queues.

use crate::block::BLOCK;
use crate::job::Job;
use crate::node::{AgentOrder, GivenOrder};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::state::State;
use taskyard_model::{JobId, Outcome, Recall, TaskIndex, TaskRef};

impl State {
    /// Ends a job or some of its tasks. What waits ends now; what an agent has ends when it is confirmed dead.
    pub(crate) fn cancel(
        &mut self,
        id: JobId,
        tasks: &[(TaskIndex, u32)],
        now: bool,
        events: &mut Vec<Event>,
    ) -> Reply {
        let Some(job) = self.core.jobs.get(&id) else { return State::no_job(id) };
        if job.is_finished() {
            return Reply::Rejected(Rejection::JobFinished(id));
        }
        let before = job.count(Phase::Cancelled);
        let affected = if tasks.is_empty() {
            let order = if now { AgentOrder::KillJob } else { AgentOrder::CancelJob };
            self.cancel_job(id, order, events)
        } else {
            let all = job.tasks();
            let indices =
                tasks.iter().flat_map(|&(first, count)| first..first.saturating_add(count).min(all));
            let order = if now { AgentOrder::KillTask } else { AgentOrder::CancelTask };
            indices.map(|index| u64::from(self.cancel_task(TaskRef { job: id, index }, order, events))).sum()
        };
        debug_assert!(self.core.jobs.get(&id).is_none_or(|j| j.count(Phase::Cancelled) >= before));
        self.show_job(id);
        self.finish_if_ended(id, events);
        Reply::Changed { tasks: affected }
    }

    /// Ends the whole job; says how many tasks had not ended.
    fn cancel_job(&mut self, id: JobId, order: AgentOrder, events: &mut Vec<Event>) -> u64 {
        let Some(job) = self.core.job_mut(id) else { return 0 };
        job.head.cancelled = true;
        self.stop_job(id, "cancelled", order, events)
    }

    /// Ends what waits of a job and stops what runs; says how many tasks that concerns.
    pub(crate) fn stop_job(
        &mut self,
        id: JobId,
        why: &'static str,
        order: AgentOrder,
        events: &mut Vec<Event>,
    ) -> u64 {
        let Some(job) = self.core.job_mut(id) else { return 0 };
        let assigned = job.count(Phase::Queued) + job.count(Phase::Running);
        let waiting = job.count(Phase::Pending);
        job.end_waiting(Phase::Cancelled);
        events.push(Event::JobChanged { job: id, what: why });
        let (index, given) = self.given(order);
        for node in self.core.nodes.ids() {
            if !self.core.nodes[node].jobs.contains_key(&id) {
                continue;
            }
            if let Some(node) = self.core.node_mut(node) {
                node.orders.insert((index, id, 0), given);
                if let Some(here) = node.jobs.get_mut(&id).filter(|h| h.prefetched > 0) {
                    here.recalled = true;
                }
            }
            self.view.set_recalled(node, id, true);
        }
        self.show_job(id);
        u64::from(waiting) + u64::from(assigned)
    }

    fn cancel_task(&mut self, task: TaskRef, order: AgentOrder, events: &mut Vec<Event>) -> bool {
        let (log_index, given) = self.given(order);
        let Some(job) = self.core.job_mut(task.job) else { return false };
        let Some(record) = job.record_mut(task.index) else { return false };
        match record.phase {
            Phase::Pending => {
                record.phase = Phase::Cancelled;
                record.cancelled = true;
                record.outcome = Outcome::Cancelled as u8;
                let was_backing_off = std::mem::take(&mut record.backing_off);
                job.head.backing_off -= u32::from(was_backing_off);
                job.again.remove(&task.index);
                *job.head.outcomes.entry(Outcome::Cancelled as u8).or_default() += 1;
                job.moved(Phase::Pending, Phase::Cancelled, 1);
                job.ended_in_block(task.index / BLOCK, 1);
                events.push(Event::Tasks {
                    job: task.job,
                    first: task.index,
                    count: 1,
                    phase: Phase::Cancelled,
                });
                true
            }
            Phase::Queued | Phase::Running => {
                record.cancelled = true;
                let node = record.node;
                if let Some(node) = self.core.node_mut(node) {
                    node.orders.insert((log_index, task.job, task.index), given);
                }
                true
            }
            Phase::Succeeded | Phase::Failed | Phase::Cancelled | Phase::Skipped => false,
        }
    }

    /// An order as this entry gives it, with its log index.
    pub(crate) fn given(&self, order: AgentOrder) -> (u64, GivenOrder) {
        (self.core.clock.index, GivenOrder { order, at_ms: self.core.clock.now_ms })
    }

    pub(crate) fn set_held(&mut self, id: JobId, held: bool, events: &mut Vec<Event>) -> Reply {
        let Some(job) = self.core.job_mut(id) else { return State::no_job(id) };
        if job.is_finished() {
            return Reply::Rejected(Rejection::JobFinished(id));
        }
        job.head.held = held;
        let tasks = u64::from(job.count(Phase::Pending));
        self.show_job(id);
        events.push(Event::JobChanged { job: id, what: if held { "held" } else { "released" } });
        if held {
            self.recall_everywhere(id);
        }
        Reply::Changed { tasks }
    }

    fn recall_everywhere(&mut self, id: JobId) {
        for node in self.core.nodes.ids() {
            self.recall(&Recall { job: id, node });
        }
    }
}

impl Job {
    pub(crate) fn has_assigned(&self) -> bool {
        self.count(Phase::Queued) + self.count(Phase::Running) > 0
    }

    /// Every waiting task ends, cancelled or skipped. The untouched rest of an array costs nothing.
    pub(crate) fn end_waiting(&mut self, phase: Phase) {
        let cancelled = phase == Phase::Cancelled;
        let waiting = self.count(Phase::Pending);
        let numbers: Vec<u32> = self.blocks.keys().copied().collect();
        for number in numbers {
            let block = self.blocks.get(&number).map(|b| b.records().into_owned()).unwrap_or_default();
            let mut ended = 0;
            for (at, _) in block.iter().enumerate().filter(|(_, r)| r.phase == Phase::Pending) {
                if let Some(record) = self.record_mut(number * BLOCK + at as u32) {
                    record.phase = phase;
                    record.backing_off = false;
                    if cancelled {
                        record.cancelled = true;
                        record.outcome = Outcome::Cancelled as u8;
                    }
                    ended += 1;
                }
            }
            self.ended_in_block(number, ended);
        }
        self.again.clear();
        self.head.backing_off = 0;
        self.head.rest_cancelled = cancelled;
        self.head.next = self.tasks();
        self.moved(Phase::Pending, phase, waiting);
        if cancelled && waiting > 0 {
            *self.head.outcomes.entry(Outcome::Cancelled as u8).or_default() += waiting;
        }
    }
}
