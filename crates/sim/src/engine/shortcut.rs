//! The shortcut for the world that most traces know: one machine of processors, jobs with a known length, an order of fixed keys. It starts what `state`
//! and `sched` would start, and keeps nothing but who waits, who runs and what is free.
//!
//! It has no say of its own about the order: keys come from [`QueueConfig::key`], as in the state. What it does with them is checked against the scheduler itself on the
//! first jobs of each run ([`super::run`]), on all jobs of what is recommended, and by a property (ADR 24).

mod queue;

use super::{Planner, Setup, Ties};
use crate::{NodeShape, Outcome, TraceJob, Workload};
use queue::{Queue, Waiting};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use taskyard_model::policy::{Orderable, size};
use taskyard_model::{Amounts, Constraint, Discipline, JobId, QueueConfig, Request, limits};

/// Whether everything that matters for a run is something that the shortcut knows.
pub(super) fn knows(workload: &Workload, setup: &Setup) -> bool {
    let Setup { queue, pool, planner, .. } = setup;
    let order = !queue.policy.follows_use() && !queue.ages();
    let discipline = !matches!(pool.discipline, Discipline::Conservative);
    let [machine] = &workload.nodes[..] else { return false };
    *planner == Planner::Live
        && order
        && discipline
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
    // So many tasks, and no more, are on a node at a time.
    let none_too_small = amounts.cpu_milli * u64::from(limits::RUNNING_PER_NODE_MAX) >= most.cpu_milli;
    let fits = amounts.cpu_milli > 0 && amounts.cpu_milli <= most.cpu_milli && none_too_small;
    in_time && fits && *gpu_milli == 0 && !exclusive && only_cpus(amounts)
}

fn only_cpus(amounts: &Amounts) -> bool {
    amounts.memory == 0 && amounts.named.is_empty()
}

/// Runs a workload that it [`knows`].
pub(super) fn run(workload: &Workload, setup: &Setup, progress: &mut dyn FnMut(usize)) -> Vec<Outcome> {
    let mut machine = Machine::new(workload, setup);
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
struct Machine<'w> {
    workload: &'w Workload,
    queue: &'w QueueConfig,
    discipline: Discipline,
    /// Of the jobs that have been submitted.
    outcomes: Vec<Outcome>,
    now_ms: u64,
    free: u64,
    /// The next job to be submitted.
    next: usize,
    waiting: Queue,
    /// Expected ends with what they free, in order.
    expected: Vec<(u64, u64)>,
    /// Ends, by time, then by the order of starts.
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    started: u32,
    ended: usize,
}

impl<'w> Machine<'w> {
    fn new(workload: &'w Workload, setup: &'w Setup) -> Machine<'w> {
        Machine {
            workload,
            queue: &setup.queue,
            discipline: setup.pool.discipline,
            outcomes: Vec::with_capacity(workload.jobs.len()),
            now_ms: 0,
            free: workload.cpu_milli(),
            next: 0,
            waiting: Queue::default(),
            expected: Vec::new(),
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
        self.outcomes.push(Outcome::default());
        self.next += 1;
        true
    }

    /// What a job that is submitted now waits for, and where in the queue.
    fn waits(&self, position: usize) -> Waiting {
        let job = &self.workload.jobs[position];
        let expected_ms = job.expected_ms();
        let orderable = Orderable {
            job: JobId(position as u64 + 1),
            submitted_ms: job.submit_ms,
            priority: 0,
            estimate_ms: expected_ms,
            size: size(&job.request),
        };
        Waiting {
            job: position as u32,
            cpu_milli: job.request.amounts.cpu_milli,
            expected_ms: expected_ms.unwrap_or(u64::MAX),
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
        if let Ok(at) = self.expected.binary_search(&(self.expected_end(job), frees)) {
            self.expected.remove(at);
        }
        self.free += frees;
        self.ended += 1;
    }

    fn start(&mut self, Waiting { job, cpu_milli, expected_ms, .. }: Waiting) {
        let end_ms = self.now_ms + self.workload.jobs[job as usize].run_ms;
        self.outcomes[job as usize] = Outcome { start_ms: self.now_ms, end_ms };
        self.free -= cpu_milli;
        let expected = (self.now_ms.saturating_add(expected_ms), cpu_milli);
        let at = self.expected.partition_point(|other| *other < expected);
        self.expected.insert(at, expected);
        self.ends.push(Reverse((end_ms, self.started, job)));
        self.started += 1;
    }

    fn report(&self, progress: &mut dyn FnMut(usize)) {
        const EVERY: usize = 64;
        if self.ended.is_multiple_of(EVERY) {
            progress(self.ended);
        }
    }
}

/// What is kept for the first job that does not fit: it starts then at the latest, and so much is free beside it.
#[derive(Clone, Copy)]
struct Reservation {
    start_ms: u64,
    beside: u64,
}

impl Machine<'_> {
    /// Starts what the discipline lets start now.
    fn pass(&mut self) {
        if self.discipline == Discipline::Greedy {
            return self.start_all();
        }
        while self.waiting.fitting(0, self.free) == Some(0) {
            self.start_at(0);
        }
        match self.discipline {
            Discipline::Strict => {}
            Discipline::EasySjf => self.start_shortest(),
            _ => self.start_behind(),
        }
    }

    fn start_at(&mut self, at: usize) {
        if let Some(job) = self.waiting.remove(at) {
            self.start(job);
        }
    }

    /// Starts all that fit, in their order.
    fn start_all(&mut self) {
        let mut from = 0;
        while let Some(at) = self.waiting.fitting(from, self.free) {
            self.start_at(at);
            from = at;
        }
    }

    /// Starts all behind the first that fit and do not delay it, in their order.
    fn start_behind(&mut self) {
        let (mut from, mut kept) = (1, None);
        while let Some(at) = self.waiting.fitting(from, self.free)
            && let Some(&job) = self.waiting.get(at)
        {
            from = at + 1;
            if kept.get_or_insert_with(|| self.reservation()).allows(self.now_ms, &job) {
                self.start_at(at);
                from = at;
            }
        }
    }

    /// The same, the shortest first; of equals the one that is ahead.
    fn start_shortest(&mut self) {
        let (mut from, mut fitting) = (1, Vec::new());
        while let Some(at) = self.waiting.fitting(from, self.free) {
            fitting.extend(self.waiting.get(at).map(|job| (job.expected_ms, at)));
            from = at + 1;
        }
        if fitting.is_empty() {
            return;
        }
        fitting.sort_unstable();
        let (mut kept, mut started) = (self.reservation(), Vec::new());
        for (_, at) in fitting {
            if let Some(&job) = self.waiting.get(at)
                && job.cpu_milli <= self.free
                && kept.allows(self.now_ms, &job)
            {
                self.start(job);
                started.push(at);
            }
        }
        started.sort_unstable();
        for at in started.into_iter().rev() {
            self.waiting.remove(at);
        }
    }

    /// When the first, for which there is no room, starts at the latest.
    fn reservation(&self) -> Reservation {
        let asked = self.waiting.first().map_or(0, |first| first.cpu_milli);
        let (mut free, mut start_ms) = (self.free, self.now_ms);
        for &(end_ms, frees) in &self.expected {
            // All that ends in one instant counts.
            if free >= asked && end_ms > start_ms {
                break;
            }
            (free, start_ms) = (free + frees, end_ms);
        }
        Reservation { start_ms, beside: free - asked }
    }
}

impl Reservation {
    /// Whether a job that fits now may start. One that runs beyond the reservation takes of what is beside it.
    fn allows(&mut self, now_ms: u64, job: &Waiting) -> bool {
        if now_ms.saturating_add(job.expected_ms) <= self.start_ms {
            return true;
        }
        let fits = job.cpu_milli <= self.beside;
        if fits {
            self.beside -= job.cpu_milli;
        }
        fits
    }
}
