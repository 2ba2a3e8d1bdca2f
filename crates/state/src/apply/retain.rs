//! Forgetting finished jobs by the rule of retention. Nothing else removes a job.

use crate::command::KeepChange;
use crate::outcome::{Event, Reply};
use crate::state::State;
use taskyard_model::{JobId, limits};

impl State {
    /// Changes the rule. What is too much by it is forgotten with the pulses that follow.
    pub(crate) fn set_retention(&mut self, change: &KeepChange, events: &mut Vec<Event>) -> Reply {
        let rule = &mut self.core.retention;
        rule.keep_ms = change.keep_ms.unwrap_or(rule.keep_ms);
        rule.max_jobs = change.max_jobs.unwrap_or(rule.max_jobs);
        rule.max_tasks = change.max_tasks.unwrap_or(rule.max_tasks);
        rule.max_bytes = change.max_bytes.unwrap_or(rule.max_bytes);
        rule.state_bytes = change.state_bytes.unwrap_or(rule.state_bytes);
        events.push(Event::RetentionChanged);
        Reply::Done
    }

    /// A job has ended. The room for it is made at once, so that a flood of small jobs stays within the rule whatever the pulses do.
    pub(crate) fn keep_finished(&mut self, id: JobId) {
        if let Some(job) = self.core.job_mut(id) {
            job.slim();
        }
        let Some(job) = self.core.jobs.get(&id).cloned() else { return };
        let Some(finished_ms) = job.head.finished_ms else { return };
        self.lookup.memory.finish_job(&job);
        self.core.finished.insert((finished_ms, id));
        self.forget_finished(limits::FORGOTTEN_PER_END_MAX, State::has_surplus);
    }

    /// Forgets what the rule says, within what one entry may do.
    pub(crate) fn forget_due(&mut self) -> u64 {
        let most = limits::FORGOTTEN_PER_ENTRY_MAX;
        self.forget_finished(most, |state| state.forget_at().is_some_and(|at| at <= state.core.clock.now_ms))
    }

    /// State time at which the next finished job is to be forgotten.
    pub(crate) fn forget_at(&self) -> Option<u64> {
        let (finished_ms, _) = self.core.finished.get_min()?;
        Some(if self.has_surplus() { 0 } else { finished_ms.saturating_add(self.core.retention.keep_ms) })
    }

    /// More is kept than the rule allows.
    fn has_surplus(&self) -> bool {
        let (rule, jobs) = (&self.core.retention, self.core.finished.len() as u64);
        let (tasks, bytes) = (self.lookup.memory.finished_tasks, self.lookup.memory.finished_bytes);
        jobs > rule.max_jobs || (jobs > 1 && (tasks > rule.max_tasks || bytes > rule.max_bytes))
    }

    fn forget_finished(&mut self, most: u32, still: impl Fn(&State) -> bool) -> u64 {
        let mut forgotten = 0;
        while forgotten < u64::from(most) && still(self) {
            let Some((_, oldest)) = self.core.finished.remove_min() else { break };
            if let Some(job) = self.core.jobs.remove(&oldest) {
                self.lookup.memory.forget_job(&job);
            }
            forgotten += 1;
        }
        forgotten
    }
}
