//! Changes of a job that has not ended, and how they reach what runs of it.

use crate::class::Class;
use crate::command::Change;
use crate::job::Job;
use crate::node::AgentOrder;
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::read::{StopCause, Stopping};
use crate::record::TaskRecord;
use crate::state::State;
use crate::view::Began;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use taskyard_model::quantity::show_duration;
use taskyard_model::{ArraySpec, Begin, Invalid, JobId, JobSpec, QueueId, Span, TaskIndex, TaskRef};

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
        let stopping = if change.time_limit_ms.is_some() { self.stopping(&job) } else { BTreeMap::new() };
        if let Err(invalid) = reaches_some(&job, &after, &stopping) {
            return Reply::Rejected(Rejection::Unfit(invalid));
        }
        let other_limits =
            (job.spec.time_limit_ms, job.spec.grace_ms) != (after.time_limit_ms, after.grace_ms);
        if let Some(job) = self.core.job_mut(id) {
            job.spec = Arc::new(after);
            job.head.spec_version += 1;
            keep_limits(job, &stopping);
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
        if change.retries.is_some() {
            self.fail_spent(id, events);
        }
        Reply::Changed { tasks: u64::from(job.count(Phase::Pending)) }
    }

    /// Ends tasks that wait to be tried again and have had as many retries as there are now.
    fn fail_spent(&mut self, id: JobId, events: &mut Vec<Event>) {
        let Some(job) = self.core.jobs.get(&id) else { return };
        let tried: BTreeSet<TaskIndex> = job.past.keys().map(|(index, _)| *index).collect();
        for index in tried {
            // One failure may be one too many for the job, and end the rest.
            let Some(job) = self.core.job_mut(id).filter(|job| !job.is_finished()) else { return };
            let most = job.spec.retry.max;
            let spent =
                |record: &TaskRecord| record.phase == Phase::Pending && u32::from(record.fails) > most;
            let Some(record) = job.record(index).filter(spent) else { continue };
            let last = job.past.get(&(index, record.attempt.into())).map(|past| past.end.clone());
            if let Some(record) = job.record_mut(index) {
                record.backing_off = false;
                // An attempt that never started may have left no end.
                last.iter().for_each(|end| record.set_end(end));
            }
            job.head.backing_off -= u32::from(record.backing_off);
            job.again.remove(&index);
            let (after, class) = (job.end_task(index, Phase::Pending, Phase::Failed), job.head.class);
            let (whose, _) = self.whose(class);
            self.lookup.meter.count(whose, |used| used.ends(Some(Phase::Failed)));
            self.show_job(id);
            self.task_ended(TaskRef { job: id, index }, Phase::Failed, after, events);
        }
        // Also where none of it was the last to end.
        self.finish_if_ended(id, events);
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
        let (index, given) = self.given(AgentOrder::Limits);
        for node in self.core.nodes.ids() {
            if !self.core.nodes[node].jobs.contains_key(&id) {
                continue;
            }
            if let Some(node) = self.core.node_mut(node) {
                // Agents get the limits as they are when this is sent.
                node.drop_orders(id, |order| order == AgentOrder::Limits);
                node.orders.insert((index, id, 0), given);
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

/// Refuses a time limit that reaches no attempt: all that is left of the job is being stopped, and is not tried again.
fn reaches_some(job: &Job, after: &JobSpec, stopping: &BTreeMap<TaskIndex, Stopping>) -> Result<(), Invalid> {
    let left = job.count(Phase::Pending) + job.count(Phase::Queued) + job.count(Phase::Running);
    let tried_again = |(index, stopping): (&TaskIndex, &Stopping)| {
        let fails = job.record(*index).map_or(0, |record| record.fails);
        matches!(stopping.cause, StopCause::TimeLimit { .. }) && u32::from(fails) < after.retry.max
    };
    let Some((index, first)) = stopping.first_key_value() else { return Ok(()) };
    if stopping.len() < left as usize || stopping.iter().any(tried_again) {
        return Ok(());
    }
    let attempt = job.record(*index).map_or(0, |record| record.attempt);
    let task = match job.tasks() {
        1 => String::new(),
        _ => format!(" of task {}", job.spec.array.number(*index)),
    };
    let more = match stopping.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let value = after.time_limit_ms.map_or_else(|| "none".to_owned(), show_duration);
    let cause = first.cause;
    let remedy = format!("attempt {attempt}{task} is being stopped: {cause}{more}");
    Err(Invalid::new("time_limit", value, remedy))
}

/// Attempts that have reached the old limit do not run on under a new one.
fn keep_limits(job: &mut Job, stopping: &BTreeMap<TaskIndex, Stopping>) {
    for (index, stopping) in stopping {
        if let (StopCause::TimeLimit { limit_ms }, Some(record)) = (stopping.cause, job.record_mut(*index)) {
            record.limit_ms = limit_ms;
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
