//! What agents report.
//!
//! Items come in the order in which things happened. A finished attempt that was running leaves its place as a *credit* of its class; a held
//! attempt that started, or started and ended, must find one. What is left when the report ends is given back. So usage never rises here.

use crate::class::Class;
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::record::TaskRecord;
use crate::state::State;
use crate::view::{AttemptGroup, Began};
use std::collections::BTreeMap;
use std::sync::Arc;
use taskyard_model::report::{Item, Returned};
use taskyard_model::{AttemptEnd, ClassId, Fence, Finish, NodeId, Report, Start, TaskRef};

/// Places left by finished attempts of a report, by class.
type Credits = BTreeMap<ClassId, (Arc<Class>, u32)>;

/// An attempt that has not ended.
struct Current {
    record: TaskRecord,
    class: ClassId,
    /// How long its task has waited for its first start, if that has not been.
    waited_ms: Option<u64>,
}

impl State {
    pub(crate) fn report(&mut self, report: &Report, events: &mut Vec<Event>) -> Reply {
        let node = report.node;
        if self.view.node(node).and_then(|n| n.status.incarnation()) != Some(report.incarnation) {
            return Reply::Rejected(Rejection::StaleIncarnation(report.incarnation));
        }
        let mut credits = Credits::new();
        let mut changed = 0;
        for item in &report.items {
            let counted = match item {
                Item::Started(start) => self.started(node, start, &mut credits, events),
                Item::Finished(finish) => self.finished(node, finish, &mut credits, events),
                Item::Returned(returned) => self.returned(node, returned, events),
            };
            changed += u64::from(counted);
        }
        for (class, count) in credits.into_values() {
            for _ in 0..count {
                self.give_place(node, &class, &[]);
            }
        }
        Reply::Changed { tasks: changed }
    }

    /// The attempt if it is the current one of its task, on this node, and not ended. Anything else is an old message.
    fn current(&self, node: NodeId, task: TaskRef, fence: Fence) -> Option<Current> {
        let job = self.core.jobs.get(&task.job)?;
        if job.is_finished() {
            return None;
        }
        let record = job.record(task.index)?;
        let current = record.phase.is_assigned() && record.fence == fence && record.node == node;
        let waited_ms = self.core.clock.now_ms.saturating_sub(job.waiting_since_ms());
        let waited_ms = (record.phase == Phase::Queued && record.attempt == 1).then_some(waited_ms);
        current.then_some(Current { record, class: job.head.class, waited_ms })
    }

    fn started(
        &mut self,
        node: NodeId,
        start: &Start,
        credits: &mut Credits,
        events: &mut Vec<Event>,
    ) -> bool {
        let current = self.current(node, start.task, start.fence);
        let Some(Current { record, class, waited_ms }) = current else { return false };
        let was_prefetched = record.phase == Phase::Queued;
        if was_prefetched && !take_credit(credits, class) {
            return false;
        }
        let now_ms = self.core.clock.now_ms;
        let Some(job) = self.core.job_mut(start.task.job) else { return false };
        if let Some(record) = job.record_mut(start.task.index) {
            record.started_wall_ms = start.started_wall_ms;
            // An agent that reconnects may say so again, and its time limit counts from the first time.
            if record.started_ms == 0 {
                record.started_ms = now_ms;
            }
            record.phase = Phase::Running;
        }
        if was_prefetched {
            job.moved(Phase::Queued, Phase::Running, 1);
            self.prefetched_runs(node, start.task, start.fence, class);
            if let Some(waited_ms) = waited_ms {
                let (whose, _) = self.whose(class);
                self.lookup.meter.count(whose, |used| used.starts(1, waited_ms));
            }
            let TaskRef { job, index } = start.task;
            events.push(Event::Tasks { job, first: index, count: 1, phase: Phase::Running });
        }
        true
    }

    /// A held attempt took over a place.
    fn prefetched_runs(&mut self, node: NodeId, task: TaskRef, fence: Fence, class: ClassId) {
        if let Some(node) = self.core.node_mut(node) {
            node.prefetched_started(task.job);
        }
        let prefetched = AttemptGroup { node, job: task.job, class, count: 1, prefetched: true };
        self.view.remove_attempts(prefetched);
        self.view.add_attempts(AttemptGroup { prefetched: false, ..prefetched });
        if let Some(since_ms) = self.since(node, task, fence, class) {
            self.view.expect_ends(Began { node, class, since_ms }, 1, &[]);
        }
    }

    fn finished(
        &mut self,
        node: NodeId,
        finish: &Finish,
        credits: &mut Credits,
        events: &mut Vec<Event>,
    ) -> bool {
        let current = self.current(node, finish.task, finish.fence);
        let Some(Current { record, class, waited_ms }) = current else { return false };
        let was_prefetched = record.phase == Phase::Queued;
        // One that was held and ran took over a place and leaves it to the next, so nothing changes in what is used.
        let gpus = self.take_gpus(node, finish.task);
        if !was_prefetched {
            self.runs_no_more(node, finish.task, finish.fence, class, gpus.as_deref().unwrap_or_default());
        }
        match gpus {
            Some(devices) => self.give_place(node, &Arc::clone(self.core.class(class)), &devices),
            None if !was_prefetched => {
                credits.entry(class).or_insert_with(|| (Arc::clone(self.core.class(class)), 0)).1 += 1
            }
            None => {}
        }
        let end = &self.completed(&finish.end, &record);
        if end.started_wall_ms > 0 && !end.outcome.is_infrastructure() {
            self.view.learn_run_time(class, end.ran_ms);
        }
        let (whose, cpu_milli) = self.whose(class);
        self.attempt_gone(node, finish.task, finish.fence, class, was_prefetched);
        let ended = self.end_attempt(finish.task, end, events);
        self.lookup.meter.count(whose, |used| {
            used.ran(end, cpu_milli);
            used.ends(ended);
            if let Some(waited_ms) = waited_ms.filter(|_| end.started_wall_ms > 0) {
                used.starts(1, waited_ms.saturating_sub(end.ran_ms));
            }
        });
        self.settle_updated(finish.task.job);
        true
    }

    /// An end that nobody saw has no times of its own: it began when its start was reported, and is over by now.
    fn completed(&self, end: &AttemptEnd, record: &TaskRecord) -> AttemptEnd {
        if end.started_wall_ms > 0 || !end.outcome.is_infrastructure() {
            return end.clone();
        }
        let ran_ms = record.ran_until(self.core.clock.now_ms);
        AttemptEnd {
            code: AttemptEnd::NOT_SEEN,
            started_wall_ms: record.started_wall_ms,
            ran_ms,
            ..end.clone()
        }
    }

    /// The devices of an attempt. Most nodes have none, and then nothing is looked up.
    fn take_gpus(&mut self, node: NodeId, task: TaskRef) -> Option<Vec<(u16, u32)>> {
        let none = self.node(node).is_none_or(|n| n.gpus.is_empty());
        if none { None } else { self.core.node_mut(node)?.gpus.remove(&task) }
    }

    pub(crate) fn returned(&mut self, node: NodeId, returned: &Returned, events: &mut Vec<Event>) -> bool {
        let current = self.current(node, returned.task, returned.fence);
        let Some(Current { record, class, .. }) = current else { return false };
        let was_prefetched = record.phase == Phase::Queued;
        if !was_prefetched {
            let gpus =
                self.core.node_mut(node).and_then(|n| n.gpus.remove(&returned.task)).unwrap_or_default();
            self.give_place(node, &Arc::clone(self.core.class(class)), &gpus);
            self.runs_no_more(node, returned.task, returned.fence, class, &gpus);
        }
        self.attempt_gone(node, returned.task, returned.fence, class, was_prefetched);
        self.never_ran(returned.task, events);
        self.settle_updated(returned.task.job);
        true
    }

    /// State time of an attempt's assignment, if its end is expected at some time.
    fn since(&self, node: NodeId, task: TaskRef, fence: Fence, class: ClassId) -> Option<u64> {
        self.view.class(class)?.span.expected_ms()?;
        let node = self.node(node)?;
        Some(node.runs.get(&node.run_of(task.job, task.index, fence)?)?.since_ms)
    }

    /// Takes a running attempt out of those that are expected to end. To be called while the node still knows it.
    pub(crate) fn runs_no_more(
        &mut self,
        node: NodeId,
        task: TaskRef,
        fence: Fence,
        class: ClassId,
        gpus: &[(u16, u32)],
    ) {
        if let Some(since_ms) = self.since(node, task, fence, class) {
            self.view.forget_end(Began { node, class, since_ms }, gpus);
        }
    }

    /// Forgets an attempt on its node; its resources are the caller's business.
    pub(crate) fn attempt_gone(
        &mut self,
        node: NodeId,
        task: TaskRef,
        fence: Fence,
        class: ClassId,
        was_prefetched: bool,
    ) {
        if let Some(node) = self.core.node_mut(node) {
            node.attempt_gone(task, fence, was_prefetched);
        }
        self.view.remove_attempts(AttemptGroup {
            node,
            job: task.job,
            class,
            count: 1,
            prefetched: was_prefetched,
        });
    }
}

fn take_credit(credits: &mut Credits, class: ClassId) -> bool {
    match credits.get_mut(&class) {
        Some((_, count)) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}
