//! Runs a workload under every combination of policies, disciplines and placements, on all cores. Each run is alone with its own cluster, so results do
//! not depend on how many run beside it.

mod names;
mod spread;

pub use names::{Passing, disciplines, factors, placements, policies};

use crate::engine::{self, EngineError, Planner, Setup, Ties};
use crate::metrics::{Bounds, average, measure};
use crate::recommend::recommend;
use crate::report::{Run, Series, Window};
use crate::{Outcome, Workload};
use spread::spread;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use taskyard_model::policy::Factors;
use taskyard_model::{Discipline, Invalid, Placement, Policy, PoolConfig, QueueConfig};

/// One way to serve the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination {
    /// Order of the queue.
    pub policy: Policy,
    /// Who may pass whom.
    pub discipline: Passing,
    /// Which node a job gets.
    pub placement: Placement,
}

/// What to compare, and what is the same for all.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In the order in which they are shown; never empty.
    pub combinations: Vec<Combination>,
    /// What happens between events of one instant.
    pub ties: Ties,
    /// A job that has waited longer goes first; `None`: no job does. Reference results are without.
    pub max_wait_ms: Option<u64>,
    /// Weights of the policy `multi-factor`.
    pub factors: Option<Factors>,
    /// Constants of the measure.
    pub bounds: Bounds,
    /// Whether the outcomes of all jobs are kept: 16 bytes for each job and run.
    pub keep_outcomes: bool,
    /// Whether what plots show is worked out.
    pub plots: bool,
    /// Whether all jobs of all runs go through the scheduler itself, although there is a shortcut (see [`engine::run`]).
    pub thorough: bool,
}

/// A combination that was run.
#[derive(Clone, Debug)]
pub struct Tried {
    /// How it served the jobs.
    pub run: Run,
    /// When each job ran, by workload; empty unless they were to be kept.
    pub outcomes: Vec<Vec<Outcome>>,
}

impl Combination {
    /// Every combination of these, by policy, then discipline, then placement.
    pub fn all(policies: &[Policy], disciplines: &[Passing], placements: &[Placement]) -> Vec<Combination> {
        let placed = |policy, discipline| {
            placements.iter().map(move |placement| Combination { policy, discipline, placement: *placement })
        };
        let passed = |policy| disciplines.iter().flat_map(move |discipline| placed(policy, *discipline));
        policies.iter().flat_map(|policy| passed(*policy)).collect()
    }

    /// Refuses what the protocols of published tables do not know. `field` is what the user wrote the discipline in.
    pub fn check(&self, field: &str, workload: &Workload) -> Result<(), Invalid> {
        let Passing::Commit { .. } = self.discipline else { return Ok(()) };
        let refuse = |remedy: String| Err(Invalid::new(field, self.discipline.name(), remedy));
        let [machine] = workload.nodes.as_slice() else {
            return refuse(format!(
                "it is a protocol for one machine, and there are {} nodes: use easy",
                workload.nodes.len()
            ));
        };
        if machine.capacity.amounts.memory > 0 || machine.capacity.gpus > 0 {
            return refuse("it knows processors only, and the node has memory or GPUs: use easy".to_owned());
        }
        if self.policy.follows_use() {
            return refuse(format!(
                "it has no order that follows use: take {} out, or use easy",
                self.policy.name()
            ));
        }
        Ok(())
    }
}

impl Comparison {
    /// Runs every combination on every workload (the windows of one trace). `ended` counts jobs as they end, over all runs. The results are in
    /// the order of the combinations; the first error ends everything. What is recommended has gone through the scheduler itself in any case.
    pub fn run(&self, workloads: &[Workload], ended: &AtomicU64) -> Result<Vec<Tried>, EngineError> {
        let tried = self.run_all(workloads, ended)?;
        self.check_recommended(workloads, &tried, ended)?;
        Ok(tried)
    }

    /// Jobs that [`Comparison::run`] will have counted in the end.
    pub fn jobs(&self, workloads: &[Workload]) -> u64 {
        let jobs: usize = workloads.iter().map(|w| w.jobs.len()).sum();
        (jobs * (self.combinations.len() + usize::from(self.checks()))) as u64
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
        let runs: Vec<Run> = tried.iter().map(|tried| tried.run.clone()).collect();
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
        let tables: Vec<Mutex<Vec<Option<Vec<Outcome>>>>> = tables.collect();
        let units: Vec<(usize, usize)> = (0..self.combinations.len())
            .flat_map(|combination| (0..workloads.len()).map(move |window| (combination, window)))
            .collect();
        let tried = spread(&units, |&(combination, window)| {
            let outcomes = self.simulate(&self.combinations[combination], &workloads[window], ended)?;
            let mut table = tables[combination].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            table[window] = Some(outcomes);
            // Whoever brings the last window of a combination sums it up, so that no more outcomes are held than must be.
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
    ) -> Result<Vec<Outcome>, EngineError> {
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
        let (planner, discipline) = match combination.discipline {
            Passing::Pool(discipline) => (Planner::Live, discipline),
            Passing::Commit { backfill } => (Planner::Commit { backfill }, Discipline::Strict),
        };
        let queue = QueueConfig {
            policy: combination.policy,
            max_wait_ms: self.max_wait_ms.unwrap_or(u64::MAX),
            factors: self.factors,
            ..QueueConfig::default()
        };
        let pool = PoolConfig { discipline, placement: combination.placement, ..PoolConfig::default() };
        Setup { queue, pool, planner, ties: self.ties }
    }

    fn sum_up(
        &self,
        combination: &Combination,
        workloads: &[Workload],
        outcomes: Vec<Vec<Outcome>>,
    ) -> Result<Tried, EngineError> {
        let impossible =
            |e: Invalid| EngineError::Refused { what: "measuring".to_owned(), why: e.to_string() };
        let measured = workloads.iter().zip(&outcomes).map(|(w, o)| measure(w, o, self.bounds));
        let measured = measured.collect::<Result<Vec<_>, _>>().map_err(impossible)?;
        let metrics = average(&measured)
            .ok_or_else(|| impossible(Invalid::new("windows", 0, "at least one is expected")))?;
        let placed: Vec<_> = workloads.iter().zip(&outcomes).map(|(w, o)| (w, o.as_slice())).collect();
        let named = |(workload, metrics): (&Workload, _)| Window { name: workload.name.clone(), metrics };
        let several = workloads.len() > 1;
        let setup = self.setup(combination);
        let run = Run {
            policy: combination.policy.name().to_owned(),
            discipline: combination.discipline.name().to_owned(),
            placement: self.varies_placement().then(|| combination.placement.name().to_owned()),
            shortcut: !self.thorough && workloads.iter().all(|w| engine::has_shortcut(w, &setup)),
            series: if self.plots { Series::of(&placed) } else { Series::default() },
            windows: workloads.iter().zip(measured).filter(|_| several).map(named).collect(),
            metrics,
        };
        Ok(Tried { run, outcomes: if self.keep_outcomes { outcomes } else { Vec::new() } })
    }

    /// Whether the placement is part of what a run is called.
    fn varies_placement(&self) -> bool {
        let first = self.combinations.first().map(|c| c.placement);
        first != Some(Placement::default()) || self.combinations.iter().any(|c| Some(c.placement) != first)
    }
}

#[cfg(test)]
mod tests;
