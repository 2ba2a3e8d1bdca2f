//! Runs a workload under every combination of policies, disciplines and placements, on all cores. Each run is alone
//! with its own cluster, so results do not depend on how many run beside it.

mod combination;
mod copies;
mod names;
mod notes;
mod spread;

pub use combination::{Combination, MaxWait};
pub use copies::default_copies;
pub use names::{Passing, disciplines, factors, max_waits, placements, policies};

use crate::engine::{self, EngineError, Setup, Ties};
use crate::metrics::{Bounds, average, measure};
use crate::recommend::recommend;
use crate::report::{Copies, PolicyRun, Series, WindowReport};
use crate::{JobTimes, Workload};
use spread::spread;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use taskyard_model::policy::Factors;
use taskyard_model::{Invalid, Placement};

/// What to compare, and what is the same for all.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In the order in which they are shown; never empty.
    pub combinations: Vec<Combination>,
    /// What happens between events of one instant.
    pub ties: Ties,
    /// Weights of the policy `multi-factor`.
    pub factors: Option<Factors>,
    /// Constants of the measure.
    pub bounds: Bounds,
    /// How many copies of the jobs, submitted a little earlier or later, every combination runs too (see [`Copies`]).
    pub copies: u32,
    /// Whether those are repeated on copies too that take no shortcut, which is many times as slow.
    pub slow_copies: bool,
    /// Whether the outcomes of all jobs are kept: 16 bytes for each job and run.
    pub keep_outcomes: bool,
    /// Whether what plots show is worked out.
    pub plots: bool,
    /// Whether all jobs of all runs go through the scheduler itself, although there is a shortcut (see
    /// [`engine::run`]).
    pub thorough: bool,
}

/// A combination that was run.
#[derive(Clone, Debug)]
pub struct Tried {
    /// How it served the jobs.
    pub run: PolicyRun,
    /// When each job ran, by workload; empty unless they were to be kept.
    pub outcomes: Vec<Vec<JobTimes>>,
}

impl Comparison {
    /// Runs every combination on every workload (the windows of one trace). `ended` counts jobs as they end, over all
    /// runs. The results are in the order of the combinations; the first error ends everything. What is recommended
    /// has gone through the scheduler itself in any case.
    pub fn run(&self, workloads: &[Workload], ended: &AtomicU64) -> Result<Vec<Tried>, EngineError> {
        let mut tried = self.run_all(workloads, ended)?;
        self.run_copies(workloads, &mut tried, ended)?;
        self.check_recommended(workloads, &tried, ended)?;
        Ok(tried)
    }

    /// Jobs that [`Comparison::run`] will have counted in the end.
    pub fn jobs(&self, workloads: &[Workload]) -> u64 {
        let jobs: usize = workloads.iter().map(|w| w.jobs.len()).sum();
        let copies = self.copied(workloads).len() as u64 * u64::from(self.copies);
        jobs as u64 * (self.combinations.len() as u64 + copies + u64::from(self.checks()))
    }

    /// Positions of the combinations that copies are made for.
    fn copied(&self, workloads: &[Workload]) -> Vec<usize> {
        let short = |c: &Combination| workloads.iter().all(|w| engine::has_shortcut(w, &self.setup(c)));
        let all = self.combinations.iter().enumerate().filter(|_| self.copies > 0);
        all.filter(|(_, c)| self.slow_copies || short(c)).map(|(i, _)| i).collect()
    }

    /// Runs combinations on jobs that are submitted a little earlier or later, copy after copy: that many are held at
    /// once and no more.
    fn run_copies(
        &self,
        workloads: &[Workload],
        tried: &mut [Tried],
        ended: &AtomicU64,
    ) -> Result<(), EngineError> {
        let copied = self.copied(workloads);
        let combinations = copied.iter().map(|i| self.combinations[*i]).collect();
        let plain =
            Comparison { combinations, keep_outcomes: false, plots: false, copies: 0, ..self.clone() };
        let mut slowdowns = vec![Vec::new(); copied.len()];
        for copy in 0..self.copies {
            let copies: Vec<Workload> = workloads.iter().map(|w| copies::jittered(w, copy)).collect();
            for (slowdowns, run) in slowdowns.iter_mut().zip(plain.run_all(&copies, ended)?) {
                slowdowns.push(run.run.metrics.mean_bounded_slowdown);
            }
        }
        for (at, slowdowns) in copied.into_iter().zip(slowdowns) {
            let run = &mut tried[at].run;
            run.copies = Copies::of(run.metrics.mean_bounded_slowdown, &slowdowns);
        }
        Ok(())
    }

    /// Whether what is recommended is run once more.
    fn checks(&self) -> bool {
        self.combinations.len() > 1 && !self.thorough
    }

    /// Runs what is recommended through the scheduler itself, unless it was, and refuses results that are not the same.
    fn check_recommended(
        &self,
        workloads: &[Workload],
        tried: &[Tried],
        ended: &AtomicU64,
    ) -> Result<(), EngineError> {
        if !self.checks() {
            return Ok(());
        }
        let runs: Vec<PolicyRun> = tried.iter().map(|tried| tried.run.clone()).collect();
        let taken = recommend(&runs).map(|take| take.run).filter(|run| runs[*run].shortcut);
        let Some(taken) = taken else {
            let skipped: usize = workloads.iter().map(|w| w.jobs.len()).sum();
            ended.fetch_add(skipped as u64, Ordering::Relaxed);
            return Ok(());
        };
        let combinations = vec![self.combinations[taken]];
        let thorough =
            Comparison { combinations, keep_outcomes: false, plots: false, thorough: true, ..self.clone() };
        let again = thorough.run_all(workloads, ended)?;
        match again.first().is_some_and(|again| again.run.metrics == runs[taken].metrics) {
            true => Ok(()),
            false => Err(EngineError::Disagreement { what: runs[taken].name() }),
        }
    }

    fn run_all(&self, workloads: &[Workload], ended: &AtomicU64) -> Result<Vec<Tried>, EngineError> {
        let tables = self.combinations.iter().map(|_| Mutex::new(vec![None; workloads.len()]));
        let tables: Vec<Mutex<Vec<Option<Vec<JobTimes>>>>> = tables.collect();
        let units: Vec<(usize, usize)> = (0..self.combinations.len())
            .flat_map(|combination| (0..workloads.len()).map(move |window| (combination, window)))
            .collect();
        let tried = spread(&units, |&(combination, window)| {
            let outcomes = self.simulate(&self.combinations[combination], &workloads[window], ended)?;
            let mut table = tables[combination].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            table[window] = Some(outcomes);
            // The last window of a combination sums it up, so that no more outcomes are held than must be.
            if table.iter().any(Option::is_none) {
                return Ok(None);
            }
            let outcomes = std::mem::take(&mut *table).into_iter().flatten().collect();
            self.sum_up(&self.combinations[combination], workloads, outcomes).map(|t| Some((combination, t)))
        })?;
        let mut tried: Vec<(usize, Tried)> = tried.into_iter().flatten().collect();
        tried.sort_by_key(|(combination, _)| *combination);
        Ok(tried.into_iter().map(|(_, tried)| tried).collect())
    }

    fn simulate(
        &self,
        combination: &Combination,
        workload: &Workload,
        ended: &AtomicU64,
    ) -> Result<Vec<JobTimes>, EngineError> {
        let mut counted = 0;
        let mut count = |now: usize| {
            ended.fetch_add((now - counted) as u64, Ordering::Relaxed);
            counted = now;
        };
        let run = if self.thorough { engine::run_thoroughly } else { engine::run };
        let outcomes = run(workload, &self.setup(combination), &mut count)?;
        count(workload.jobs.len());
        Ok(outcomes)
    }

    fn setup(&self, combination: &Combination) -> Setup {
        combination.setup(self.factors, self.ties)
    }

    fn sum_up(
        &self,
        combination: &Combination,
        workloads: &[Workload],
        outcomes: Vec<Vec<JobTimes>>,
    ) -> Result<Tried, EngineError> {
        let impossible =
            |e: Invalid| EngineError::Refused { what: "measuring".to_owned(), why: e.to_string() };
        let measured = workloads.iter().zip(&outcomes).map(|(w, o)| measure(w, o, self.bounds));
        let measured = measured.collect::<Result<Vec<_>, _>>().map_err(impossible)?;
        let metrics = average(&measured)
            .ok_or_else(|| impossible(Invalid::new("windows", 0, "at least one is expected")))?;
        let placed: Vec<_> = workloads.iter().zip(&outcomes).map(|(w, o)| (w, o.as_slice())).collect();
        let named =
            |(workload, metrics): (&Workload, _)| WindowReport { name: workload.name.clone(), metrics };
        let several = workloads.len() > 1;
        let setup = self.setup(combination);
        let run = PolicyRun {
            policy: combination.policy.name().to_owned(),
            discipline: combination.discipline.name().to_owned(),
            placement: self.varies_placement().then(|| combination.placement.name().to_owned()),
            max_wait: self.varies(|c| c.max_wait).then(|| combination.max_wait.name()),
            today: combination.today,
            copies: None,
            notes: notes::notes(combination, workloads, &outcomes),
            shortcut: !self.thorough && workloads.iter().all(|w| engine::has_shortcut(w, &setup)),
            series: if self.plots { Series::of(&placed) } else { Series::default() },
            windows: workloads.iter().zip(measured).filter(|_| several).map(named).collect(),
            metrics,
        };
        Ok(Tried { run, outcomes: if self.keep_outcomes { outcomes } else { Vec::new() } })
    }

    /// Whether the placement is part of what a run is called.
    fn varies_placement(&self) -> bool {
        let default = self.combinations.first().is_none_or(|c| c.placement == Placement::default());
        !default || self.varies(|c| c.placement)
    }

    fn varies<T: PartialEq>(&self, of: fn(&Combination) -> T) -> bool {
        self.combinations.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]))
    }
}

#[cfg(test)]
mod tests;
