//! Jobs that are not finished, and their places among the waiting.

use super::PlannerView;
use crate::job::Job;
use std::sync::Arc;
use taskyard_model::view::Targets;
use taskyard_model::{ClassId, JobId, JobView, QueueConfig, QueueId};

impl PlannerView {
    /// Shows a job. Its assigned attempts are counted by whoever assigns them.
    pub(crate) fn add_job(&mut self, job: &Job, config: &QueueConfig) {
        let view = JobView {
            class: job.head.class,
            key: config.key(&job.orderable()),
            submitted_ms: job.waiting_since_ms(),
            priority: job.spec.priority,
            eligible: job.eligible(),
            assigned: 0,
            prefetched: 0,
            max_running: job.spec.array.max_running,
            stopped: job.head.held || job.head.is_stopped(),
            gate: job.gate(),
        };
        let class = &mut self.0.classes[job.head.class];
        class.jobs += 1;
        if job.spec.affinity.broadcast {
            let nodes = Arc::new(job.head.targets.clone());
            class.targets = Some(Targets { nodes, waiting: job.again.clone() });
        }
        self.0.jobs.insert(job.head.id, view.clone());
        self.0.set_waiting(view.stand(), view.placeable() > 0);
    }

    /// Brings a job's eligible tasks, stops and limits up to date, and its place among the waiting.
    pub(crate) fn update_job(&mut self, job: &Job) {
        if let Some(targets) = &mut self.0.classes[job.head.class].targets {
            targets.waiting.clone_from(&job.again);
        }
        let Some(view) = self.0.jobs.get_mut(&job.head.id) else { return };
        let was_waiting = view.placeable() > 0;
        view.eligible = job.eligible();
        view.stopped = job.head.held || job.head.is_stopped();
        view.max_running = job.spec.array.max_running;
        self.settle_waiting(job.head.id, was_waiting);
    }

    /// Puts a job among those that wait, or takes it out, if that has changed.
    pub(super) fn settle_waiting(&mut self, id: JobId, was_waiting: bool) {
        let Some(view) = self.0.jobs.get(&id) else { return };
        let is_waiting = view.placeable() > 0;
        if was_waiting != is_waiting {
            let stand = view.stand();
            self.0.set_waiting(stand, is_waiting);
        }
    }

    /// Shows a job no more: it ended, or is about to be shown under another class. Says its class if that has no job left.
    pub(crate) fn remove_job(&mut self, id: JobId) -> Option<ClassId> {
        let view = self.0.jobs.remove(&id)?;
        self.0.set_waiting(view.stand(), false);
        let class = &mut self.0.classes[view.class];
        class.jobs -= 1;
        (class.jobs == 0).then_some(view.class)
    }

    /// Gives a job its place by what it says now. What must come before it may have changed too.
    pub(crate) fn rekey_job(&mut self, job: &Job, config: &QueueConfig) {
        let id = job.head.id;
        // It leaves its place under the key that it had there.
        let Some(mut view) = self.0.jobs.get(&id).cloned() else { return };
        self.0.set_waiting(view.stand(), false);
        view.key = config.key(&job.orderable());
        view.submitted_ms = job.waiting_since_ms();
        view.priority = job.spec.priority;
        view.gate = job.gate();
        self.0.set_waiting(view.stand(), view.placeable() > 0);
        self.0.jobs.insert(id, view);
    }

    /// Jobs of a queue.
    pub(crate) fn jobs_in(&self, queue: QueueId) -> impl Iterator<Item = JobId> {
        let of_queue = move |class: ClassId| self.0.classes[class].queue == queue;
        self.0.jobs.iter().filter(move |(_, job)| of_queue(job.class)).map(|(id, _)| *id)
    }
}
