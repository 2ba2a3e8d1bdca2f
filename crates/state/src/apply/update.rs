//! Changes of a job that has not ended, and how they reach what runs of it.

use crate::class::Class;
use crate::command::Change;
use crate::job::Job;
use crate::node::AgentOrder;
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::state::State;
use crate::view::Began;
use std::sync::Arc;
use taskyard_model::{ArraySpec, Begin, Invalid, JobId, JobSpec, QueueId, Span, TaskRef};

/// What takes a begin away.
const NO_BEGIN: Begin = Begin::After(0);

/// A running attempt, as the planner expects its end.
struct RunningAttempt {
    began: Began,
    gpus: Vec<(u16, u32)>,
}

impl State {
    pub(crate) fn update(&mut self, id: JobId, change: &Change, events: &mut Vec<Event>) -> Reply {
        let Some(job) = self.core.jobs.get(&id).cloned() else { return State::no_job(id) };
        if job.is_finished() {
            return Reply::Rejected(Rejection::JobFinished(id));
        }
        let queue = match &change.queue {
            Some(name) => match self.core.queue_named(name) {
                None => return Reply::Rejected(Rejection::NoQueue(name.clone())),
                Some(queue) => queue,
            },
            None => job.head.queue,
        };
        let after = match self.changed(&job, queue, change) {
            Ok(after) => after,
            Err(invalid) => return Reply::Rejected(Rejection::Unfit(invalid)),
        };
        if job.has_assigned() && State::needs_another_place(&job, queue, &after) {
            return Reply::Rejected(Rejection::JobBusy(id));
        }
        let other_limits =
            (job.spec.time_limit_ms, job.spec.grace_ms) != (after.time_limit_ms, after.grace_ms);
        if let Some(job) = self.core.job_mut(id) {
            job.spec = Arc::new(after);
            job.head.spec_version += 1;
        }
        if let Some(begin) = change.begin {
            let begin = Some(begin).filter(|begin| *begin != NO_BEGIN).map(|begin| self.not_before(begin));
            self.set_begin(id, begin);
        }
        if queue != job.head.queue {
            self.move_to_class(id, queue);
        }
        self.settle_class(id);
        if other_limits {
            self.tell_limits(id);
        }
        self.rekey_job(id);
        self.show_job(id);
        events.push(Event::JobChanged { job: id, what: "updated" });
        Reply::Changed { tasks: u64::from(job.count(Phase::Pending)) }
    }

    /// What a job asks for after a change, as its queue takes it.
    fn changed(&self, job: &Job, queue: QueueId, change: &Change) -> Result<JobSpec, Invalid> {
        let mut after = (*job.spec).clone();
        change.apply_to(&mut after);
        if job.spec.affinity.broadcast && asks_otherwise(&job.spec, &after) {
            let remedy =
                "which nodes a broadcast is for was settled by its submit: cancel it, and submit another";
            return Err(Invalid::new("broadcast", true, remedy));
        }
        // A limit that is taken away is the queue's again.
        after.time_limit_ms = self.core.queues[queue].config.limit_ms(after.time_limit_ms);
        // A broadcast has got its tasks since it was checked at its submit.
        let array = if after.affinity.broadcast { ArraySpec::single() } else { after.array.clone() };
        JobSpec { array, ..after.clone() }.check()?;
        self.admit(queue, &after)?;
        Ok(after)
    }

    /// Whether what runs of a job could not go on as it is: it has the place that it was given.
    fn needs_another_place(job: &Job, queue: QueueId, after: &JobSpec) -> bool {
        queue != job.head.queue || asks_otherwise(&job.spec, after)
    }

    /// Tells the agents that run tasks of a job that its limits are others now.
    fn tell_limits(&mut self, id: JobId) {
        let index = self.core.clock.index;
        for node in self.core.nodes.ids() {
            if !self.core.nodes[node].jobs.contains_key(&id) {
                continue;
            }
            if let Some(node) = self.core.node_mut(node) {
                // Agents get the limits as they are when this is sent.
                node.drop_orders(id, |order| order == AgentOrder::Limits);
                node.orders.insert((index, id, 0), AgentOrder::Limits);
            }
        }
    }

    /// [`State::settle_class`] for a job of which an attempt has ended.
    pub(crate) fn settle_updated(&mut self, id: JobId) {
        // Nearly all jobs never change, and this is asked at each end.
        if self.core.jobs.get(&id).is_some_and(|job| job.head.spec_version > 0 && !job.has_assigned()) {
            self.settle_class(id);
        }
    }

    /// Gives a job the class that fits what it asks for now: at once if none of its tasks is on a node; else as soon as that is so, unless only
    /// how long its tasks take is different and the class is its alone.
    pub(crate) fn settle_class(&mut self, id: JobId) {
        let Some(job) = self.core.jobs.get(&id).filter(|job| !job.is_finished()).cloned() else { return };
        let (class, queue) = (Arc::clone(self.core.class(job.head.class)), job.head.queue);
        let wanted = (Span::of(&job.spec), &job.spec.request, self.core.constraint(queue, &job.spec));
        if wanted == (class.span, &class.request, class.constraint.clone()) {
            return;
        }
        if !job.has_assigned() {
            self.move_to_class(id, queue);
        } else if self.view.classes[job.head.class].jobs == 1 {
            self.respan_alone(&job, wanted.0);
        }
    }

    /// The tasks of a job that has a class for itself take another time. Its running attempts are expected to end accordingly.
    fn respan_alone(&mut self, job: &Job, span: Span) {
        let id = job.head.class;
        let wanted = Class { span, ..(**self.core.class(id)).clone() };
        // Another class is like this already: the job goes there once none of its tasks is on a node.
        if self.lookup.classes.find(&wanted).is_some() {
            return;
        }
        let running = self.running_of(job);
        for RunningAttempt { began, gpus } in &running {
            self.view.forget_end(*began, gpus);
        }
        self.respan(id, span);
        for RunningAttempt { began, gpus } in &running {
            self.view.expect_ends(*began, 1, gpus);
        }
    }

    fn running_of(&self, job: &Job) -> Vec<RunningAttempt> {
        let mut all = Vec::new();
        for node in self.core.nodes.iter().filter(|node| node.jobs.contains_key(&job.head.id)) {
            for (key, run) in node.runs.iter().filter(|(key, _)| key.job == job.head.id) {
                let runs = |index: &u32| {
                    job.record(*index).is_some_and(|record| {
                        record.phase == Phase::Running
                            && record.fence == key.fence
                            && record.node == node.head.id
                    })
                };
                for index in (key.first..key.first + run.count).filter(runs) {
                    let gpus = node.gpus.get(&TaskRef { job: key.job, index }).cloned().unwrap_or_default();
                    let began = Began { node: node.head.id, class: job.head.class, since_ms: run.since_ms };
                    all.push(RunningAttempt { began, gpus });
                }
            }
        }
        all
    }

    /// Gives a job without assigned attempts the queue and the class it should have now.
    pub(crate) fn move_to_class(&mut self, id: JobId, queue: QueueId) {
        let Some(job) = self.core.jobs.get(&id) else { return };
        let (owner, spec) = (job.head.owner.clone(), job.spec.clone());
        self.hide_job(id);
        let class = self.class_of(queue, &owner, &spec, id).expect("its user and account are known");
        if let Some(job) = self.core.job_mut(id) {
            job.head.queue = queue;
            job.head.class = class;
        }
        if let Some(job) = self.core.jobs.get(&id).cloned() {
            self.show_new_job(&job);
        }
    }
}

fn asks_otherwise(before: &JobSpec, after: &JobSpec) -> bool {
    before.request != after.request || before.constraint != after.constraint
}

impl Change {
    /// Makes a specification what it asks for.
    pub fn apply_to(&self, spec: &mut JobSpec) {
        let set = |to: &mut u64, value: Option<u64>| *to = value.unwrap_or(*to);
        set(&mut spec.request.amounts.cpu_milli, self.cpu_milli);
        set(&mut spec.request.amounts.memory, self.memory);
        set(&mut spec.grace_ms, self.grace_ms);
        spec.priority = self.priority.unwrap_or(spec.priority);
        spec.request.gpu_milli = self.gpu_milli.unwrap_or(spec.request.gpu_milli);
        spec.retry.max = self.retries.unwrap_or(spec.retry.max);
        if let Some(queue) = &self.queue {
            spec.queue.clone_from(queue);
        }
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        if let Some(constraint) = &self.constraint {
            spec.constraint.clone_from(constraint);
        }
        if let Some(limit) = self.time_limit_ms {
            spec.time_limit_ms = Some(limit).filter(|l| *l > 0);
        }
        if let Some(estimate) = self.estimate_ms {
            spec.estimate_ms = Some(estimate).filter(|e| *e > 0);
        }
        if let Some(max) = self.max_running {
            spec.array.max_running = Some(max).filter(|m| *m > 0);
        }
        if let Some(begin) = self.begin {
            spec.begin = Some(begin).filter(|begin| *begin != NO_BEGIN);
        }
    }
}
