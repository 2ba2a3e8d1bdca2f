//! The shortcut for the world that most traces know: one machine of processors, jobs with a known length, an order of fixed keys. It starts what `state`
//! and `sched` would start, and keeps nothing but who waits, who runs and what is free.
//!
//! It has no say of its own about the order: keys come from [`QueueConfig::key`], as in the state. What it does with them is checked against the scheduler itself on the
//! first jobs of each run ([`super::run`]), on all jobs of what is recommended, and by a property (ADR 24).

use super::{Planner, Setup, Ties};
use crate::{NodeShape, Outcome, TraceJob, Workload};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use taskyard_model::policy::{OrderKey, Orderable, size};
use taskyard_model::{Amounts, Constraint, Discipline, JobId, Request, limits};

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

/// What a job asks for.
#[derive(Clone, Copy)]
struct Wish {
    cpu_milli: u64,
    expected_ms: u64,
}

/// The machine, what runs on it, and who waits for it. Jobs are positions in the workload.
struct Machine<'w> {
    workload: &'w Workload,
    discipline: Discipline,
    keys: Vec<OrderKey>,
    wishes: Vec<Wish>,
    outcomes: Vec<Outcome>,
    now_ms: u64,
    free: u64,
    /// The next job to be submitted.
    next: usize,
    /// In order of their keys.
    waiting: VecDeque<u32>,
    /// Expected ends with what they free, in order.
    expected: Vec<(u64, u64)>,
    /// Ends, by time, then by the order of starts.
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    started: u32,
    ended: usize,
}

impl<'w> Machine<'w> {
    fn new(workload: &'w Workload, setup: &Setup) -> Machine<'w> {
        let wish = |job: &TraceJob| Wish {
            cpu_milli: job.request.amounts.cpu_milli,
            expected_ms: job.expected_ms().unwrap_or(u64::MAX),
        };
        let key = |(position, job): (usize, &TraceJob)| {
            setup.queue.key(&Orderable {
                job: JobId(position as u64 + 1),
                submitted_ms: job.submit_ms,
                priority: 0,
                estimate_ms: job.expected_ms(),
                size: size(&job.request),
            })
        };
        Machine {
            workload,
            discipline: setup.pool.discipline,
            keys: workload.jobs.iter().enumerate().map(key).collect(),
            wishes: workload.jobs.iter().map(wish).collect(),
            outcomes: vec![Outcome::default(); workload.jobs.len()],
            now_ms: 0,
            free: workload.cpu_milli(),
            next: 0,
            waiting: VecDeque::new(),
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
        let key = self.keys[self.next];
        let at = match self.waiting.back() {
            Some(&last) if self.keys[last as usize] > key => {
                self.waiting.partition_point(|&other| self.keys[other as usize] < key)
            }
            _ => self.waiting.len(),
        };
        self.waiting.insert(at, self.next as u32);
        self.next += 1;
        true
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
        let expected_ms = self.wishes[job as usize].expected_ms;
        self.outcomes[job as usize].start_ms.saturating_add(expected_ms)
    }

    fn end(&mut self, job: u32) {
        let entry = (self.expected_end(job), self.wishes[job as usize].cpu_milli);
        if let Ok(at) = self.expected.binary_search(&entry) {
            self.expected.remove(at);
        }
        self.free += entry.1;
        self.ended += 1;
    }

    fn start(&mut self, job: u32) {
        let wish = self.wishes[job as usize];
        let end_ms = self.now_ms + self.workload.jobs[job as usize].run_ms;
        self.outcomes[job as usize] = Outcome { start_ms: self.now_ms, end_ms };
        self.free -= wish.cpu_milli;
        let entry = (self.expected_end(job), wish.cpu_milli);
        let at = self.expected.partition_point(|other| *other < entry);
        self.expected.insert(at, entry);
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
            return self.start_all(0, None);
        }
        while let Some(&first) = self.waiting.front()
            && self.wishes[first as usize].cpu_milli <= self.free
        {
            self.waiting.pop_front();
            self.start(first);
        }
        if self.discipline == Discipline::Strict || self.free == 0 || self.waiting.len() < 2 {
            return;
        }
        let reservation = self.reservation(self.waiting[0]);
        match self.discipline {
            Discipline::EasySjf => self.start_shortest(reservation),
            _ => self.start_all(1, Some(reservation)),
        }
    }

    /// When a job that does not fit starts at the latest.
    fn reservation(&self, job: u32) -> Reservation {
        let asked = self.wishes[job as usize].cpu_milli;
        let (mut free, mut start_ms) = (self.free, self.now_ms);
        for &(end_ms, frees) in &self.expected {
            if free >= asked && end_ms > start_ms {
                break;
            }
            (free, start_ms) = (free + frees, end_ms);
        }
        Reservation { start_ms, beside: free - asked }
    }

    /// Whether a job may start. One that runs beyond the reservation takes of what is beside it.
    fn may_start(&self, job: u32, reservation: &mut Option<Reservation>) -> bool {
        let Wish { cpu_milli, expected_ms } = self.wishes[job as usize];
        if cpu_milli > self.free {
            return false;
        }
        match reservation {
            Some(kept) if self.now_ms.saturating_add(expected_ms) > kept.start_ms => {
                let fits = cpu_milli <= kept.beside;
                if fits {
                    kept.beside -= cpu_milli;
                }
                fits
            }
            _ => true,
        }
    }

    /// Starts all that may start, in their order, from a place on.
    fn start_all(&mut self, from: usize, mut reservation: Option<Reservation>) {
        let mut kept = from;
        for at in from..self.waiting.len() {
            let job = self.waiting[at];
            if self.free > 0 && self.may_start(job, &mut reservation) {
                self.start(job);
                continue;
            }
            if kept < at {
                self.waiting[kept] = job;
            }
            kept += 1;
        }
        self.waiting.truncate(kept);
    }

    /// Starts all that may start behind the first, the shortest first; of equals the one that is ahead.
    fn start_shortest(&mut self, reservation: Reservation) {
        let mut reservation = Some(reservation);
        let fits = |job: &u32| self.wishes[*job as usize].cpu_milli <= self.free;
        let mut shortest: Vec<u32> = self.waiting.iter().skip(1).copied().filter(fits).collect();
        shortest.sort_by_key(|&job| self.wishes[job as usize].expected_ms);
        let before = self.started;
        for job in shortest {
            if self.may_start(job, &mut reservation) {
                self.start(job);
            }
        }
        if self.started > before {
            let now_ms = self.now_ms;
            let (outcomes, head) = (&self.outcomes, self.waiting[0]);
            // What has started has an end.
            self.waiting.retain(|&job| job == head || outcomes[job as usize].end_ms <= now_ms);
        }
    }
}
