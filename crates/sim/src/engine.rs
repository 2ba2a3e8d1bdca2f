//! The simulation: the real `state` and `sched`, a log in memory, agents that do as they are told, and time that
//! jumps from event to event.

mod cluster;
mod commit;
mod shortcut;

#[cfg(test)]
mod tests;

pub use cluster::EngineError;

use crate::{JobTimes, Workload};
use cluster::SimulatedCluster;
use commit::Commit;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use taskyard_model::{Invalid, Plan, PoolConfig, QueueConfig};
use taskyard_sched::{Budget, schedule};

/// What happens between two events of one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// All ends and submits of an instant, then one pass.
    #[default]
    Batch,
    /// As the simulator of Gaussier et al. (SC'15) has it, which published results depend on: what ends exactly when
    /// expected is free at the beginning of the instant; then each submit is followed by a pass, and then each end,
    /// in order of start.
    Pyss,
}

impl Ties {
    /// Both with their names.
    pub const NAMES: [(&'static str, Ties); 2] = [("batch", Ties::Batch), ("pyss", Ties::Pyss)];

    /// What a name means.
    pub fn parse(field: &str, text: &str) -> Result<Ties, Invalid> {
        let named = Ties::NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, ties)| *ties).ok_or_else(|| Invalid::new(field, text, "one of batch, pyss"))
    }
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planner {
    /// `sched`, as on a live cluster.
    Live,
    /// The protocol of RLScheduler (SC'20), to compare with its table: the head, once picked, stays picked until it
    /// fits.
    Commit {
        /// Whether others may start before its expected start.
        backfill: bool,
    },
}

/// One way to run a workload.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Settings of the one queue.
    pub queue: QueueConfig,
    /// Settings of the one pool.
    pub pool: PoolConfig,
    /// Who decides.
    pub planner: Planner,
    /// What happens between events of one instant.
    pub ties: Ties,
    /// What holds of the settings of the cluster that ran the jobs ([`Workload::settings`]).
    pub own: KeptSettings,
}

/// What holds of a cluster's own queues and pools. Which queues and pools there are, tiers, weights and shares hold
/// in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptSettings {
    /// Nothing that [`Setup::queue`] and [`Setup::pool`] say.
    #[default]
    Frame,
    /// How long a job may wait in each queue; the order, the discipline and the placement are the setup's.
    MaxWait,
    /// Everything.
    All,
}

impl Setup {
    /// A queue of the cluster, as it is in this run.
    fn queue(&self, own: &QueueConfig) -> QueueConfig {
        if self.own == KeptSettings::All {
            return own.clone();
        }
        let max_wait_ms =
            if self.own == KeptSettings::MaxWait { own.max_wait_ms } else { self.queue.max_wait_ms };
        let factors = self.queue.factors.or(own.factors);
        QueueConfig { policy: self.queue.policy, factors, max_wait_ms, ..own.clone() }
    }

    /// A pool of the cluster, as it is in this run.
    fn pool(&self, own: &PoolConfig) -> PoolConfig {
        match self.own {
            KeptSettings::All => own.clone(),
            _ => {
                PoolConfig { discipline: self.pool.discipline, placement: self.pool.placement, ..own.clone() }
            }
        }
    }
}

/// Runs a workload; the outcomes are in the order of its jobs. `progress` is told how many have ended, now and then.
///
/// What the shortcut knows goes through it, and the first jobs through the scheduler too, which has to agree.
pub fn run(
    workload: &Workload,
    setup: &Setup,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<JobTimes>, EngineError> {
    if !has_shortcut(workload, setup) {
        return run_thoroughly(workload, setup, progress);
    }
    // Beside each other: where there is a core to spare, the check costs no time.
    std::thread::scope(|scope| {
        let check = scope.spawn(|| {
            let mut engine = Engine::new(workload, setup)?;
            engine.run(setup, CHECKED_JOBS, &mut |_| ());
            Ok::<_, EngineError>(engine)
        });
        let outcomes = shortcut::run(workload, setup, progress);
        let engine = check.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        engine.agree_with(&outcomes)?;
        Ok(outcomes)
    })
}

/// Runs a workload through the state and the scheduler of a live cluster and nothing else; see [`run`].
pub fn run_thoroughly(
    workload: &Workload,
    setup: &Setup,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<JobTimes>, EngineError> {
    let mut engine = Engine::new(workload, setup)?;
    engine.run(setup, usize::MAX, progress);
    engine.finish()
}

/// Whether [`run`] takes the shortcut.
pub fn has_shortcut(workload: &Workload, setup: &Setup) -> bool {
    shortcut::knows(workload, setup)
}

/// How many jobs of a run by the shortcut the scheduler runs too, until their ends.
pub const CHECKED_JOBS: usize = 200;

/// A run under way.
struct Engine<'w> {
    workload: &'w Workload,
    cluster: SimulatedCluster<'w>,
    /// Of the jobs that have been submitted.
    outcomes: Vec<JobTimes>,
    /// The next job to be submitted.
    next: usize,
    /// Running jobs by their end, then by the order of their starts.
    ends: BinaryHeap<Reverse<(u64, usize, usize)>>,
    started: usize,
    ended: usize,
    commit: Option<Commit>,
    /// Of each pass.
    budget: Budget,
    /// Why the run cannot go on.
    fault: Option<EngineError>,
}

impl<'w> Engine<'w> {
    fn new(workload: &'w Workload, setup: &Setup) -> Result<Self, EngineError> {
        let commit = match setup.planner {
            Planner::Commit { backfill } => Some(Commit::new(backfill)),
            Planner::Live => None,
        };
        Ok(Engine {
            workload,
            cluster: SimulatedCluster::new(workload, setup)?,
            outcomes: Vec::new(),
            next: 0,
            ends: BinaryHeap::new(),
            started: 0,
            ended: 0,
            commit,
            // Simulated agents need nothing ahead of need: whatever fits starts in the same instant, and what is held
            // would wait for them. And no request waits for a pass, so that all that waits is planned where a pool
            // plans it.
            budget: Budget { holds: false, reservations_max: u32::MAX, ..Budget::default() },
            fault: None,
        })
    }

    /// Goes from event to event, until there are none or a number of jobs have ended.
    fn run(&mut self, setup: &Setup, ends: usize, progress: &mut dyn FnMut(usize)) {
        while self.ended < ends
            && self.fault.is_none()
            && let Some(now_ms) = self.next_ms()
        {
            self.cluster.now_ms = now_ms;
            match (setup.planner, setup.ties) {
                (Planner::Live, Ties::Batch) => self.batch(),
                (Planner::Live, Ties::Pyss) => self.one_by_one(),
                (Planner::Commit { .. }, _) => self.commit_step(),
            }
            self.report(progress);
        }
    }

    /// Refuses starts that are not those of this engine, as far as it has come.
    fn agree_with(&self, outcomes: &[JobTimes]) -> Result<(), EngineError> {
        for (position, outcome) in outcomes.iter().enumerate().take(self.next) {
            let here = self.cluster.has_started(position).then(|| self.outcomes[position].start_ms);
            let there = Some(outcome.start_ms).filter(|start| *start <= self.cluster.now_ms);
            if here != there {
                let what = format!("job {}", self.workload.jobs[position].id);
                return Err(EngineError::Disagreement { what });
            }
        }
        Ok(())
    }

    /// The instant of the next event.
    fn next_ms(&self) -> Option<u64> {
        let submit = self.workload.jobs.get(self.next).map(|job| job.submit_ms);
        let end = self.ends.peek().map(|Reverse((end, ..))| *end);
        submit.into_iter().chain(end).min()
    }

    fn batch(&mut self) {
        while self.end_next(|_, _| true).is_some() {}
        while self.submit_next() {}
        self.pass();
    }

    fn one_by_one(&mut self) {
        let now_ms = self.cluster.now_ms;
        let on_time = |workload: &Workload, outcome: &JobTimes, job: usize| {
            workload.jobs[job].expected_ms().is_some_and(|expected| outcome.start_ms + expected == now_ms)
        };
        // What ends now, in order of start; what was expected to is freed at once.
        let mut ends = Vec::new();
        while let Some(&Reverse((end, _, job))) = self.ends.peek().filter(|Reverse((end, ..))| *end == now_ms)
        {
            self.ends.pop();
            if on_time(self.workload, &self.outcomes[job], job) {
                self.end(job, end);
                ends.push(None);
            } else {
                ends.push(Some(job));
            }
        }
        while self.submit_next() {
            self.pass();
        }
        for late in ends {
            if let Some(job) = late {
                self.end(job, now_ms);
            }
            self.pass();
        }
    }

    /// Submits the next job, or all tasks of the next array, if its time has come.
    fn submit_next(&mut self) -> bool {
        let first = self.next;
        if self.workload.jobs.get(first).is_none_or(|job| job.submit_ms > self.cluster.now_ms) {
            return false;
        }
        let tasks = self.workload.batch(first);
        if let Err(fault) = self.cluster.submit(first, tasks) {
            self.fault = Some(fault);
            return false;
        }
        self.next += tasks;
        self.outcomes.resize(self.next, JobTimes::default());
        if let Some(commit) = &mut self.commit {
            (first..self.next).for_each(|task| commit.submitted(task));
        }
        true
    }

    /// Ends the next running job if its time has come.
    fn end_next(&mut self, wanted: impl Fn(&Workload, usize) -> bool) -> Option<usize> {
        let &Reverse((end, _, job)) = self.ends.peek()?;
        if end > self.cluster.now_ms || !wanted(self.workload, job) {
            return None;
        }
        self.ends.pop();
        self.end(job, end);
        Some(job)
    }

    fn end(&mut self, job: usize, end_ms: u64) {
        self.outcomes[job].end_ms = end_ms;
        self.ended += 1;
        self.cluster.end(job, self.outcomes[job].start_ms);
    }

    /// One pass of the planner, and what it starts.
    fn pass(&mut self) {
        loop {
            let plan = schedule(self.cluster.view(), self.budget);
            self.carry_out(&plan);
            // A pass leaves nothing to do, unless it was cut short.
            let placed: u64 = plan.assignments.iter().map(|a| u64::from(a.count)).sum();
            if placed < u64::from(self.budget.tasks_max) {
                return;
            }
        }
    }

    fn carry_out(&mut self, plan: &Plan) {
        if plan.is_empty() {
            return;
        }
        let now_ms = self.cluster.now_ms;
        for job in self.cluster.carry_out(plan) {
            self.outcomes[job].start_ms = now_ms;
            self.ends.push(Reverse((now_ms + self.workload.jobs[job].run_ms, self.started, job)));
            self.started += 1;
        }
    }

    fn report(&self, progress: &mut dyn FnMut(usize)) {
        const EVERY: usize = 64;
        if self.ended.is_multiple_of(EVERY) {
            progress(self.ended);
        }
    }

    fn finish(self) -> Result<Vec<JobTimes>, EngineError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.started < self.workload.jobs.len() {
            return Err(EngineError::NeverStarted { jobs: self.workload.jobs.len() - self.started });
        }
        Ok(self.outcomes)
    }
}
