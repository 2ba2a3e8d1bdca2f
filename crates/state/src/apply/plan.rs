//! Assigning tasks. Each item of a plan is checked against the state as it is at this index: the planner saw an older one.

use crate::job::Job;
use crate::job::TakenRun;
use crate::node::{AgentOrder, TaskRun, TaskRunKey};
use crate::outcome::{Event, Rejection, Reply};
use crate::phase::Phase;
use crate::state::State;
use crate::view::{AttemptGroup, Began};
use std::sync::Arc;
use taskyard_model::{Assignment, ClassId, Gate, JobId, NodeId, Plan, Recall, TaskRef, limits};

impl State {
    pub(crate) fn commit_plan(&mut self, plan: &Plan, events: &mut Vec<Event>) -> Reply {
        let (mut accepted, mut wanted) = (0u64, 0u64);
        for assignment in &plan.assignments {
            wanted += u64::from(assignment.count);
            accepted += u64::from(self.assign(assignment, events));
        }
        for recall in &plan.recalls {
            self.recall(recall);
        }
        Reply::Planned { accepted, refused: wanted - accepted }
    }

    /// Assigns up to `count` tasks; says how many.
    fn assign(&mut self, assignment: &Assignment, events: &mut Vec<Event>) -> u32 {
        let &Assignment { job, node, incarnation, prefetch, .. } = assignment;
        let Some(view) = self.view.node(node) else { return 0 };
        if view.status.incarnation() != Some(incarnation) || view.takes_work().is_err() {
            return 0;
        }
        let Some(job_view) = self.view.jobs.get(&job) else { return 0 };
        let class = job_view.class;
        let most = assignment.count.min(job_view.placeable());
        let is_open = |job: &Arc<Job>| job.gate() == Gate::Open;
        if !self.core.jobs.get(&job).is_some_and(is_open) {
            return 0;
        }
        let accepted = if prefetch {
            self.assign_prefetch(job, node, class, most, events)
        } else {
            self.assign_run(job, node, class, most, events)
        };
        self.show_job(job);
        accepted
    }

    /// Held ahead of need: takes no resources, but needs a place that will become free.
    fn assign_prefetch(
        &mut self,
        job: JobId,
        node: NodeId,
        class: ClassId,
        most: u32,
        events: &mut Vec<Event>,
    ) -> u32 {
        let view = &self.view.nodes[node];
        let will_free = view.by_class.get(&class).is_some_and(|c| c.running > 0);
        let asked_back = view.prefetched_jobs.get(&job).is_some_and(|h| h.recalled);
        let of_class = &self.view.classes[class];
        let needs_gpus = of_class.request.gpu_milli > 0 || of_class.affinity.is_apart();
        if !will_free || asked_back || needs_gpus {
            return 0;
        }
        let most = most.min(limits::PREFETCHED_PER_NODE_MAX.saturating_sub(view.prefetched));
        self.give_runs(job, node, most, Phase::Queued, events)
    }

    /// Takes resources for each task, as long as one more fits.
    fn assign_run(
        &mut self,
        job: JobId,
        node: NodeId,
        class: ClassId,
        most: u32,
        events: &mut Vec<Event>,
    ) -> u32 {
        self.settle_party(self.view.classes[class].party);
        let mut fit = 0;
        let mut gpus = Vec::new();
        while fit < most {
            let of_class = &self.view.classes[class];
            let on_node = &self.view.nodes[node];
            if on_node.running + fit >= of_class.request.running_max(on_node.capacity.without_cpu_max())
                || self.view.fits(on_node, of_class).is_err()
                || (of_class.affinity.is_apart() && fit > 0)
            {
                break;
            }
            let devices = self.view.free_gpus(node, class).expect("fits looked at GPUs too");
            self.take_place(node, class, &devices);
            gpus.push(devices);
            fit += 1;
        }
        let needs_gpus = self.view.classes[class].request.gpu_milli > 0;
        let given = if needs_gpus {
            (0..fit)
                .map(|i| self.give_gpu_run(job, node, std::mem::take(&mut gpus[i as usize]), events))
                .sum()
        } else {
            self.give_runs(job, node, fit, Phase::Running, events)
        };
        assert_eq!(given, fit, "placeable tasks of job {job} are there to be taken");
        given
    }

    /// One task with its devices.
    fn give_gpu_run(
        &mut self,
        job: JobId,
        node: NodeId,
        gpus: Vec<(u16, u32)>,
        events: &mut Vec<Event>,
    ) -> u32 {
        let next = self.take(job, node, 1);
        let Some(run) = next else { return 0 };
        let task = TaskRef { job, index: run.first };
        if let Some(node) = self.core.node_mut(node) {
            node.gpus.insert(task, gpus.clone());
        }
        self.give_run(job, node, run, Phase::Running, gpus, events);
        1
    }

    fn give_runs(
        &mut self,
        job: JobId,
        node: NodeId,
        most: u32,
        phase: Phase,
        events: &mut Vec<Event>,
    ) -> u32 {
        let mut given = 0;
        while given < most {
            let Some(run) = self.take(job, node, most - given) else { break };
            self.give_run(job, node, run, phase, Vec::new(), events);
            given += run.count;
        }
        given
    }

    /// Takes tasks out of a job's waiting: the next ones, or a broadcast's for this node.
    fn take(&mut self, job: JobId, node: NodeId, most: u32) -> Option<TakenRun> {
        let job = self.core.job_mut(job)?;
        if job.head.targets.is_empty() { job.take_run(most) } else { job.take_for(node) }
    }

    fn give_run(
        &mut self,
        job: JobId,
        node: NodeId,
        taken: TakenRun,
        phase: Phase,
        gpus: Vec<(u16, u32)>,
        events: &mut Vec<Event>,
    ) {
        let (fence, wall_ms, since_ms) = (self.core.fence(), self.core.clock.wall_ms, self.core.clock.now_ms);
        let TakenRun { first, count, attempt } = taken;
        let Some(of) = self.core.job_mut(job) else { return };
        for index in first..first + count {
            let record = of.record_mut(index).expect("a task that waits is in no folded block");
            record.begin(phase, node, fence);
        }
        of.moved(Phase::Pending, phase, count);
        of.head.started_wall_ms.get_or_insert(wall_ms);
        let (class, waited_ms) = (of.head.class, since_ms.saturating_sub(of.waiting_since_ms()));
        let prefetched = phase == Phase::Queued;
        if attempt == 1 && !prefetched {
            let (whose, _) = self.whose(class);
            self.lookup.meter.count(whose, |used| used.starts(count, waited_ms));
        }
        if let Some(node) = self.core.node_mut(node) {
            node.head.given += 1;
            node.head.given_at = fence.0;
            let run = TaskRun { count, attempt, prefetched, live: count, order: node.head.given, since_ms };
            node.runs.insert(TaskRunKey { fence, job, first }, run);
            let here = node.jobs.entry(job).or_default();
            *(if prefetched { &mut here.prefetched } else { &mut here.running }) += count;
        }
        self.view.set_given(node, fence);
        self.view.add_attempts(AttemptGroup { node, job, class, count, prefetched });
        if !prefetched {
            self.view.expect_ends(Began { node, class, since_ms }, count, &gpus);
        }
        events.push(Event::Tasks { job, first, count, phase });
    }

    /// Asks an agent to give back what it holds of a job.
    pub(crate) fn recall(&mut self, recall: &Recall) {
        let (index, given) = self.given(AgentOrder::Recall);
        let Some(node) = self.core.node_mut(recall.node) else { return };
        let Some(here) = node.jobs.get_mut(&recall.job).filter(|h| h.prefetched > 0 && !h.recalled) else {
            return;
        };
        here.recalled = true;
        node.orders.insert((index, recall.job, 0), given);
        self.view.set_recalled(recall.node, recall.job, true);
    }

    pub(crate) fn no_job(job: JobId) -> Reply {
        Reply::Rejected(Rejection::NoJob(job))
    }
}
