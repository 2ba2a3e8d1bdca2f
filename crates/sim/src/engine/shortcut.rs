//! The shortcut for the world that most traces know: one machine of processors, jobs with a known length, an order of
//! fixed keys with or without a longest wait. It starts what `state` and `sched` would start, and keeps nothing but
//! who waits, who runs and what is free.
//!
//! It has no say of its own about the order: keys come from [`QueueConfig::key`], as in the state. What it does with
//! them is checked against the scheduler itself on the first jobs of each run ([`super::run`]), on all jobs of what
//! is recommended, and by a property (ADR 24).

mod passes;
mod queue;

use super::{Planner, Setup, Ties};
use crate::{JobTimes, NodeShape, TraceJob, Workload};
use queue::{WaitingJob, WaitingJobs};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use taskyard_model::policy::{Orderable, size};
use taskyard_model::{Amounts, Constraint, Discipline, JobId, QueueConfig, Request, limits};

/// Whether everything that matters for a run is something that the shortcut knows.
pub(super) fn knows(workload: &Workload, setup: &Setup) -> bool {
    let Setup { queue, pool, planner, .. } = setup;
    let order = !queue.policy.follows_use();
    let discipline = !matches!(pool.discipline, Discipline::Conservative);
    let [machine] = &workload.nodes[..] else { return false };
    *planner == Planner::Live
        && order
        && discipline
        && workload.settings.is_none()
        && workload.terms.is_empty()
        && workload.constraints.values().all(|constraint| *constraint == Constraint::default())
        && machine.capacity.gpus == 0
        && only_cpus(&machine.capacity.amounts)
        && workload.jobs.iter().all(|job| knows_job(machine, job))
}

fn knows_job(machine: &NodeShape, job: &TraceJob) -> bool {
    // What outlives what was expected of it has a new expectation in each pass.
    let in_time = job.expected_ms().is_some_and(|expected| expected >= job.run_ms);
    let Request { amounts, gpu_milli, exclusive } = &job.request;
    let most = &machine.capacity.amounts;
    // This bounds the tasks on a node at a time.
    let none_too_small = amounts.cpu_milli * u64::from(limits::RUNNING_PER_NODE_MAX) >= most.cpu_milli;
    let fits = amounts.cpu_milli > 0 && amounts.cpu_milli <= most.cpu_milli && none_too_small;
    in_time && fits && *gpu_milli == 0 && !exclusive && only_cpus(amounts)
}

fn only_cpus(amounts: &Amounts) -> bool {
    amounts.memory == 0 && amounts.named.is_empty()
}

/// Runs a workload that it [`knows`].
pub(super) fn run(workload: &Workload, setup: &Setup, progress: &mut dyn FnMut(usize)) -> Vec<JobTimes> {
    let mut machine = SingleMachine::new(workload, setup);
    while let Some(now_ms) = machine.next_ms() {
        machine.now_ms = now_ms;
        match setup.ties {
            Ties::Batch => machine.batch(),
            Ties::Pyss => machine.one_by_one(),
        }
        machine.report(progress);
    }
    machine.outcomes
}

/// The machine, what runs on it, and who waits for it. Jobs are positions in the workload.
struct SingleMachine<'w> {
    workload: &'w Workload,
    queue: &'w QueueConfig,
    discipline: Discipline,
    /// Of the jobs that have been submitted.
    outcomes: Vec<JobTimes>,
    now_ms: u64,
    free: u64,
    /// The next job to be submitted.
    next: usize,
    waiting: WaitingJobs,
    /// Who waits, the oldest first; only where a job can have waited too long.
    by_age: BTreeSet<u32>,
    /// Expected ends with what they free, in order.
    expected: Vec<(u64, u64)>,
    /// Ends by limits with what they free, in order; only where a job can have waited too long.
    limited: Vec<(u64, u64)>,
    /// Ends, by time, then by the order of starts.
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    started: u32,
    ended: usize,
}

impl<'w> SingleMachine<'w> {
    fn new(workload: &'w Workload, setup: &'w Setup) -> SingleMachine<'w> {
        SingleMachine {
            workload,
            queue: &setup.queue,
            discipline: setup.pool.discipline,
            outcomes: Vec::with_capacity(workload.jobs.len()),
            now_ms: 0,
            free: workload.cpu_milli(),
            next: 0,
            waiting: WaitingJobs::default(),
            by_age: BTreeSet::new(),
            expected: Vec::new(),
            limited: Vec::new(),
            ends: BinaryHeap::new(),
            started: 0,
            ended: 0,
        }
    }

    /// The instant of the next event.
    fn next_ms(&self) -> Option<u64> {
        let submit = self.workload.jobs.get(self.next).map(|job| job.submit_ms);
        let end = self.ends.peek().map(|Reverse((end, ..))| *end);
        submit.into_iter().chain(end).min()
    }

    fn batch(&mut self) {
        while let Some(job) = self.pop_end() {
            self.end(job);
        }
        while self.submit_next() {}
        self.pass();
    }

    /// See [`Ties::Pyss`].
    fn one_by_one(&mut self) {
        let mut ends = Vec::new();
        while let Some(job) = self.pop_end() {
            let on_time = self.expected_end(job) == self.now_ms;
            if on_time {
                self.end(job);
            }
            ends.push((job, on_time));
        }
        while self.submit_next() {
            self.pass();
        }
        for (job, ended) in ends {
            if !ended {
                self.end(job);
            }
            self.pass();
        }
    }

    fn submit_next(&mut self) -> bool {
        if self.workload.jobs.get(self.next).is_none_or(|job| job.submit_ms > self.now_ms) {
            return false;
        }
        self.waiting.insert(self.waits(self.next));
        if self.queue.ages() {
            self.by_age.insert(self.next as u32);
        }
        self.outcomes.push(JobTimes::default());
        self.next += 1;
        true
    }

    /// What a job that is submitted now waits for, and where in the queue.
    fn waits(&self, position: usize) -> WaitingJob {
        let job = &self.workload.jobs[position];
        let expected_ms = job.expected_ms();
        let orderable = Orderable {
            job: JobId(position as u64 + 1),
            submitted_ms: job.submit_ms,
            priority: 0,
            estimate_ms: expected_ms,
            size: size(&job.request),
        };
        WaitingJob {
            job: position as u32,
            cpu_milli: job.request.amounts.cpu_milli,
            expected_ms: expected_ms.unwrap_or(u64::MAX),
            limit_ms: job.limit_ms.unwrap_or(u64::MAX),
            key: self.queue.key(&orderable),
        }
    }

    /// Takes the next running job whose end has come.
    fn pop_end(&mut self) -> Option<u32> {
        let &Reverse((end_ms, _, job)) = self.ends.peek()?;
        if end_ms > self.now_ms {
            return None;
        }
        self.ends.pop();
        Some(job)
    }

    fn expected_end(&self, job: u32) -> u64 {
        let expected_ms = self.workload.jobs[job as usize].expected_ms().unwrap_or(u64::MAX);
        self.outcomes[job as usize].start_ms.saturating_add(expected_ms)
    }

    fn end(&mut self, job: u32) {
        let frees = self.workload.jobs[job as usize].request.amounts.cpu_milli;
        let expected_ms = self.expected_end(job);
        take_out(&mut self.expected, (expected_ms, frees));
        if let Some(limit_ms) = self.limit_of(job) {
            take_out(
                &mut self.limited,
                (self.outcomes[job as usize].start_ms.saturating_add(limit_ms), frees),
            );
        }
        self.free += frees;
        self.ended += 1;
    }

    fn start(&mut self, WaitingJob { job, cpu_milli, expected_ms, .. }: WaitingJob) {
        self.by_age.remove(&job);
        let end_ms = self.now_ms + self.workload.jobs[job as usize].run_ms;
        self.outcomes[job as usize] = JobTimes { start_ms: self.now_ms, end_ms };
        self.free -= cpu_milli;
        put_in(&mut self.expected, (self.now_ms.saturating_add(expected_ms), cpu_milli));
        if let Some(limit_ms) = self.limit_of(job) {
            put_in(&mut self.limited, (self.now_ms.saturating_add(limit_ms), cpu_milli));
        }
        self.ends.push(Reverse((end_ms, self.started, job)));
        self.started += 1;
    }

    /// The limit of a job, where that matters.
    fn limit_of(&self, job: u32) -> Option<u64> {
        self.workload.jobs[job as usize].limit_ms.filter(|_| self.queue.ages())
    }

    fn report(&self, progress: &mut dyn FnMut(usize)) {
        const EVERY: usize = 64;
        if self.ended.is_multiple_of(EVERY) {
            progress(self.ended);
        }
    }
}

fn put_in(ends: &mut Vec<(u64, u64)>, end: (u64, u64)) {
    let at = ends.partition_point(|other| *other < end);
    ends.insert(at, end);
}

fn take_out(ends: &mut Vec<(u64, u64)>, end: (u64, u64)) {
    if let Ok(at) = ends.binary_search(&end) {
        ends.remove(at);
    }
}
