//! Workloads made up from a seed: for those who have no trace, and for loads that no trace has.
//!
//! Jobs are drawn first; the time they are spread over follows from their work and the load that is asked for, so the
//! load is met exactly however heavy the tail. The same settings give the same workload (ADR 17).

mod arrivals;
mod runs;
mod sizes;
mod spec;

pub use arrivals::Cycle;
pub use runs::Runs;
pub use sizes::Sizes;
pub use spec::PRESETS;

use crate::workload::{TraceJob, machine, procs_request};
use crate::{Workload, limits};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_pcg::Pcg64;
use taskyard_model::Invalid;

/// Users of one generated workload.
pub const USERS_MAX: u32 = 100_000;
/// Load that may be asked for: with more, all that can be seen is the queue growing.
pub const LOAD_MAX: f64 = 10.0;
/// How many times the run time an estimate may be.
pub const OVERESTIMATE_MAX: f64 = 1_000.0;
/// Longest run time that is drawn, in seconds: thirty days.
pub const RUN_S_MAX: f64 = 30.0 * 86_400.0;

/// Estimates that people give, in seconds: they round up to one of these, then to whole days.
const ROUND_ESTIMATES_S: [u64; 14] =
    [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 28_800, 43_200, 64_800, 86_400];

/// What to make. Start from a preset ([`GeneratorSettings::lublin`], [`GeneratorSettings::heavy_tail`],
/// [`GeneratorSettings::daily`]) and change what matters.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorSettings {
    /// The preset they began as, for the name.
    pub preset: &'static str,
    /// What chance begins with.
    pub seed: u64,
    /// How many jobs.
    pub jobs: usize,
    /// Cpus of the one node.
    pub procs: u32,
    /// Σ run × cpus of all jobs, as a share of what the node offers from the first submit to the last.
    pub load: f64,
    /// Users; the n-th most active submits 1/n as much as the first.
    pub users: u32,
    /// Estimates are up to this multiple of the run time, then rounded up as people do.
    pub overestimate: f64,
    /// How submits follow the hour.
    pub cycle: Cycle,
    /// How many cpus jobs ask for.
    pub sizes: Sizes,
    /// How long they run.
    pub runs: Runs,
}

impl GeneratorSettings {
    /// After Lublin and Feitelson (JPDC 2003), batch jobs of a parallel machine: sizes are often powers of two, run
    /// times are hyper-gamma and longer for larger jobs. Their cycle of submits is replaced by a cosine.
    pub fn lublin() -> GeneratorSettings {
        GeneratorSettings {
            preset: "lublin",
            seed: 1,
            jobs: 10_000,
            procs: 256,
            load: 0.85,
            users: 32,
            overestimate: 5.0,
            cycle: Cycle { amplitude: 0.6, peak_hour: 14.0 },
            sizes: Sizes::default(),
            runs: Runs::LUBLIN,
        }
    }

    /// Many short tasks and a few that never seem to end: Pareto run times, most of one cpu, no cycle.
    pub fn heavy_tail() -> GeneratorSettings {
        GeneratorSettings {
            preset: "heavy-tail",
            cycle: Cycle { amplitude: 0.0, peak_hour: 14.0 },
            sizes: Sizes { serial: 0.8, ..Sizes::default() },
            runs: Runs::Pareto { alpha: 1.2, min_s: 10.0 },
            ..GeneratorSettings::lublin()
        }
    }

    /// Requests of a service's day: a Poisson process that nearly stops at night, with short run times of one kind.
    pub fn daily() -> GeneratorSettings {
        GeneratorSettings {
            preset: "daily",
            cycle: Cycle { amplitude: 0.9, peak_hour: 14.0 },
            sizes: Sizes { serial: 0.5, ..Sizes::default() },
            runs: Runs::Exponential { mean_s: 600.0 },
            ..GeneratorSettings::lublin()
        }
    }

    /// Checks ranges.
    pub fn check(&self) -> Result<(), Invalid> {
        whole("jobs", self.jobs as u64, 2, limits::JOBS_MAX as u64)?;
        whole("procs", self.procs.into(), 1, limits::PROCS_MAX.into())?;
        whole("users", self.users.into(), 1, USERS_MAX.into())?;
        between("load", self.load, 0.001, LOAD_MAX)?;
        between("overestimate", self.overestimate, 1.0, OVERESTIMATE_MAX)?;
        self.cycle.check()?;
        self.sizes.check()?;
        self.runs.check()
    }
}

/// A job before it has a time.
struct DrawnJob {
    run_ms: u64,
    estimate_ms: u64,
    procs: u32,
    user: u32,
}

/// Makes the workload. Its name is the settings as text, so that it can be made again.
pub fn generate(settings: &GeneratorSettings) -> Result<Workload, Invalid> {
    settings.check()?;
    let mut chance = Pcg64::seed_from_u64(settings.seed);
    let popularity =
        Zipf::new(f64::from(settings.users), 1.0).map_err(|_| refused("users", settings.users))?;
    let drawn: Vec<DrawnJob> = (0..settings.jobs)
        .map(|_| {
            let procs = settings.sizes.draw(settings.procs, &mut chance);
            let run_s = settings.runs.draw(procs, &mut chance);
            let factor = chance.random_range(1.0..=settings.overestimate);
            // Zipf counts from 1.
            let user = popularity.sample(&mut chance) as u32 - 1;
            DrawnJob {
                run_ms: run_s * 1_000,
                estimate_ms: round_up(run_s as f64 * factor) * 1_000,
                procs,
                user,
            }
        })
        .collect();
    let work: u128 = drawn.iter().map(|d| u128::from(d.run_ms) * u128::from(d.procs)).sum();
    let span_ms = (work as f64 / (f64::from(settings.procs) * settings.load)).round();
    let submits = settings.cycle.arrivals(settings.jobs, span_ms as u64, &mut chance);
    Ok(Workload {
        name: settings.to_string(),
        jobs: (1..).zip(drawn).zip(submits).map(|((id, drawn), at)| drawn.job(id, at)).collect(),
        users: (1..=settings.users).map(|u| format!("user{u}")).collect(),
        nodes: vec![machine(settings.procs)],
        ..Workload::default()
    })
}

impl DrawnJob {
    fn job(self, id: u64, submit_ms: u64) -> TraceJob {
        TraceJob {
            id,
            submit_ms,
            run_ms: self.run_ms,
            request: procs_request(self.procs),
            estimate_ms: Some(self.estimate_ms),
            limit_ms: Some(self.estimate_ms),
            user: self.user,
            procs: self.procs,
        }
    }
}

/// The next estimate that somebody would write down, in seconds.
fn round_up(seconds: f64) -> u64 {
    let whole = seconds.ceil() as u64;
    let round = ROUND_ESTIMATES_S.iter().copied().find(|r| *r >= whole);
    round.unwrap_or_else(|| whole.div_ceil(86_400) * 86_400)
}

fn whole(field: &str, value: u64, min: u64, max: u64) -> Result<(), Invalid> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(field, value, format!("between {min} and {max}")))
}

/// Refuses what is no number, too.
fn between(field: &str, value: f64, min: f64, max: f64) -> Result<(), Invalid> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(field, value, format!("between {min} and {max}")))
}

/// A distribution did not take what was checked to be in range.
fn refused(field: &str, value: impl std::fmt::Display) -> Invalid {
    Invalid::new(field, value, "no distribution has this parameter: use the default")
}

#[cfg(test)]
mod tests;
