//! How an attempt's end becomes a task's, and a task's end its job's.

use crate::core::Due;
use crate::job::{AfterEnd, PastAttempt};
use crate::node::AgentOrder;
use crate::outcome::Event;
use crate::phase::Phase;
use crate::state::State;
use taskyard_model::spec::OnAgentLost;
use taskyard_model::{AttemptEnd, JobId, Outcome, Retry, TaskIndex, TaskRef, limits};

/// What follows the end of an attempt.
enum Next {
    End(Phase),
    After(u64),
}

impl State {
    /// The current attempt of a task ended. Resources and node are already settled. Answers with where the task is now, if it has ended too.
    pub(crate) fn end_attempt(
        &mut self,
        task: TaskRef,
        end: &AttemptEnd,
        events: &mut Vec<Event>,
    ) -> Option<Phase> {
        let now_ms = self.core.clock.now_ms;
        let job = self.core.job_mut(task.job)?;
        let (cancelled_job, failed_too_often) = (job.head.cancelled, job.head.failed_too_often);
        let (retry, on_lost) = (job.spec.retry.clone(), job.spec.on_agent_lost);
        let record = job.record_mut(task.index)?;
        let before = record.phase;
        record.set_end(end);
        let next = if end.outcome == Outcome::Succeeded {
            Next::End(Phase::Succeeded)
        } else if cancelled_job || record.cancelled || end.outcome == Outcome::Cancelled {
            Next::End(Phase::Cancelled)
        } else if failed_too_often {
            // It was told to stop, and ended by itself before it heard of that: a failure like those that came before.
            Next::End(if end.outcome.is_infrastructure() { Phase::Cancelled } else { Phase::Failed })
        } else if end.outcome.is_infrastructure() {
            record.losses = record.losses.saturating_add(1);
            let again = on_lost == OnAgentLost::Retry
                && u32::from(record.losses) <= limits::INFRASTRUCTURE_RETRIES_MAX;
            if again {
                Next::After(now_ms + Retry::infrastructure_wait_ms(record.losses.into()))
            } else {
                Next::End(Phase::Failed)
            }
        } else {
            record.fails = record.fails.saturating_add(1);
            let again = u32::from(record.fails) <= retry.max;
            if again {
                Next::After(now_ms + retry.wait_ms(record.fails.into()))
            } else {
                Next::End(Phase::Failed)
            }
        };
        match next {
            Next::End(phase) => {
                let after = job.end_task(task.index, before, phase);
                self.task_ended(task, phase, after, events);
                return Some(phase);
            }
            Next::After(at) if at > now_ms => self.wait_again(task, before, Some(at), events),
            Next::After(_) => self.wait_again(task, before, None, events),
        }
        None
    }

    /// An assigned attempt that never started: as if it had not been assigned.
    pub(crate) fn never_ran(&mut self, task: TaskRef, events: &mut Vec<Event>) {
        let Some(job) = self.core.job_mut(task.job) else { return };
        let cancelled_job = job.head.is_stopped();
        let Some(record) = job.record_mut(task.index) else { return };
        let before = record.phase;
        if cancelled_job || record.cancelled {
            record.outcome = Outcome::Cancelled as u8;
            record.started_ms = 0;
            let after = job.end_task(task.index, before, Phase::Cancelled);
            return self.task_ended(task, Phase::Cancelled, after, events);
        }
        // Its number is used again: an attempt that never was has no result.
        record.attempt -= 1;
        record.phase = Phase::Pending;
        job.moved(before, Phase::Pending, 1);
        job.again.insert(task.index);
        events.push(Event::Tasks { job: task.job, first: task.index, count: 1, phase: Phase::Pending });
        self.show_job(task.job);
    }

    /// Back to pending for another attempt, at once or at a state time.
    fn wait_again(&mut self, task: TaskRef, before: Phase, at: Option<u64>, events: &mut Vec<Event>) {
        let TaskRef { job: id, index } = task;
        let Some(job) = self.core.job_mut(id) else { return };
        let Some(record) = job.record_mut(index) else { return };
        record.phase = Phase::Pending;
        record.backing_off = at.is_some();
        let attempt = u32::from(record.attempt);
        let past = |end| PastAttempt { fence: record.fence, node: record.node, end, again_ms: at };
        let past = record.end().map(past);
        let is_more = past.is_some_and(|past| job.past.insert((index, attempt), past).is_none());
        job.moved(before, Phase::Pending, 1);
        if at.is_some() {
            job.head.backing_off += 1;
        } else {
            job.again.insert(index);
        }
        if let Some(at) = at {
            self.core.deadlines.insert((at, Due::Retry(id, index)));
        }
        if is_more {
            self.lookup.memory.add_past_attempt();
        }
        events.push(Event::Tasks { job: id, first: index, count: 1, phase: Phase::Pending });
        self.show_job(id);
    }

    /// A task that waited for its next try may have it.
    pub(crate) fn retry_is_due(&mut self, id: JobId, index: TaskIndex) {
        let Some(job) = self.core.job_mut(id) else { return };
        let Some(record) = job.record_mut(index).filter(|r| r.backing_off) else { return };
        record.backing_off = false;
        job.head.backing_off -= 1;
        job.again.insert(index);
        self.show_job(id);
    }

    /// What follows for its job when a task has ended for good.
    pub(crate) fn task_ended(
        &mut self,
        task: TaskRef,
        phase: Phase,
        after: AfterEnd,
        events: &mut Vec<Event>,
    ) {
        events.push(Event::Tasks { job: task.job, first: task.index, count: 1, phase });
        if after.too_many_failed {
            if let Some(job) = self.core.job_mut(task.job) {
                job.head.failed_too_often = true;
            }
            self.stop_job(task.job, "max_fails", AgentOrder::CancelJob, events);
        }
        if after.last || after.too_many_failed {
            self.finish_if_ended(task.job, events);
        }
    }

    /// Closes a job whose tasks have all ended, and tells those who wait for that.
    pub(crate) fn finish_if_ended(&mut self, id: JobId, events: &mut Vec<Event>) {
        let ended = self.close(id, events);
        self.tell_dependants(ended.into_iter().collect(), events);
    }

    /// Closes a job whose tasks have all ended; answers with how it ended.
    pub(crate) fn close(&mut self, id: JobId, events: &mut Vec<Event>) -> Option<(JobId, Phase)> {
        let (now_ms, wall_ms) = (self.core.clock.now_ms, self.core.clock.wall_ms);
        let job = self.core.job_mut(id)?;
        let open: u32 = Phase::ALL.iter().filter(|p| !p.is_terminal()).map(|p| job.count(*p)).sum();
        if open > 0 || job.is_finished() {
            return None;
        }
        job.head.finished_ms = Some(now_ms);
        job.head.finished_wall_ms = Some(wall_ms);
        job.again.clear();
        let phase = job.phase();
        let (waits, begin) = (std::mem::take(&mut job.head.waits), job.head.begin);
        self.forget_begin(id, begin);
        self.lookup.dependants.remove(id, &waits);
        self.hide_job(id);
        self.keep_finished(id);
        events.push(Event::JobFinished { job: id, phase });
        Some((id, phase))
    }
}
