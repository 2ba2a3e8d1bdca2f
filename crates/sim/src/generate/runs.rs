//! How long jobs run.

use super::{RUN_S_MAX, between};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, Gamma};
use taskyard_model::Invalid;

/// Distribution of run times. All are cut at [`RUN_S_MAX`] and at least a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Runs {
    /// The logarithm of the seconds has one of two gamma distributions; the larger the job, the rarer the shorter one.
    HyperGamma {
        /// Shape and scale of the shorter.
        short: (f64, f64),
        /// Shape and scale of the longer.
        long: (f64, f64),
        /// Share of the shorter for a job of no cpus.
        share: f64,
        /// What each cpu adds to that share; negative.
        share_per_cpu: f64,
    },
    /// A power law: the smaller `alpha`, the more of all work is in a few jobs.
    Pareto {
        /// Tail index.
        alpha: f64,
        /// Shortest, in seconds.
        min_s: f64,
    },
    /// Without memory.
    Exponential {
        /// Mean, in seconds.
        mean_s: f64,
    },
}

impl Runs {
    /// Lublin and Feitelson's parameters for batch jobs.
    pub const LUBLIN: Runs =
        Runs::HyperGamma { short: (4.2, 0.94), long: (312.0, 0.03), share: 0.78, share_per_cpu: -0.0054 };

    pub(super) fn check(&self) -> Result<(), Invalid> {
        match *self {
            Runs::HyperGamma { short, long, share, share_per_cpu } => {
                for (shape, scale) in [short, long] {
                    between("gamma shape", shape, 0.001, 10_000.0)?;
                    between("gamma scale", scale, 0.0001, 1_000.0)?;
                }
                between("share", share, 0.0, 1.0)?;
                between("share-per-cpu", share_per_cpu, -1.0, 1.0)
            }
            Runs::Pareto { alpha, min_s } => {
                between("alpha", alpha, 0.1, 100.0)?;
                between("min", min_s, 1.0, RUN_S_MAX)
            }
            Runs::Exponential { mean_s } => between("mean", mean_s, 1.0, RUN_S_MAX),
        }
    }

    /// Whole seconds.
    pub(super) fn draw(&self, procs: u32, chance: &mut impl Rng) -> u64 {
        let seconds = match *self {
            Runs::HyperGamma { short, long, share, share_per_cpu } => {
                let share = share + share_per_cpu * f64::from(procs);
                let (shape, scale) = if chance.random::<f64>() < share { short } else { long };
                // Checked to be in range; a mean is a harmless answer if it were not.
                Gamma::new(shape, scale).map_or(shape * scale, |gamma| gamma.sample(chance)).exp()
            }
            Runs::Pareto { alpha, min_s } => min_s * (1.0 - chance.random::<f64>()).powf(-1.0 / alpha),
            Runs::Exponential { mean_s } => mean_s * Distribution::<f64>::sample(&Exp1, chance),
        };
        seconds.clamp(1.0, RUN_S_MAX).round() as u64
    }
}
