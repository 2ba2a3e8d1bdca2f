//! The ten windows of the published table, once, and two hundred others.

use crate::protocol::{Job, Rank, Window};
use crate::statistics::{interval, parallel};
use crate::{Constants, LENGTH, MODES, Mode, TEST, TRACES, options, row};
use std::error::Error;
use taskyard_model::{Policy, PoolConfig, QueueConfig};
use taskyard_sim::engine::{self, KeptSettings, Planner, Setup, Ties};
use taskyard_sim::metrics::{Bounds, measure};
use taskyard_sim::swf::Log;

/// RLScheduler's learned column, in the order of [`MODES`].
const LEARNED: [f64; 4] = [254.67, 724.51, 58.64, 118.79];

/// Policies to compare with.
pub(crate) const KNOWN: [(&str, Rank<'static>); 3] = [("sjf", &sjf), ("f1", &f1), ("saf", &saf)];

fn sjf(job: &Job) -> f64 {
    job.estimate as f64
}

fn saf(job: &Job) -> f64 {
    (job.estimate * job.procs) as f64
}

fn f1(job: &Job) -> f64 {
    let log = |x: u64| if x > 0 { (x as f64).log10() } else { -1.0 };
    log(job.estimate) * job.procs as f64 + 870.0 * log(job.submit)
}

/// Holds the small simulation against the product's engine, before anything is said about the ten windows: all four
/// rows under F1.
pub(crate) fn agrees_with_the_product(
    logs: &[Log; 2],
    test: &[Vec<Window>; 2],
) -> Result<(), Box<dyn Error>> {
    let rows = parallel(&MODES, |mode| (product(&logs[mode.0], mode.1), row(test, *mode, &f1)));
    for (mode, (product, small)) in MODES.iter().zip(rows) {
        let product = product?;
        if (product / small - 1.0).abs() > 1e-9 {
            return Err(format!("{mode:?}: the product says {product}, the small simulation {small}").into());
        }
    }
    println!(
        "\nF1 on the ten windows: the product's engine and the simulation used here agree to 1e-9 on all four rows"
    );
    Ok(())
}

fn product(log: &Log, backfill: bool) -> Result<f64, String> {
    let queue = QueueConfig { policy: Policy::F1, max_wait_ms: u64::MAX, ..QueueConfig::default() };
    let planner = Planner::Commit { backfill };
    let setup = Setup {
        queue,
        pool: PoolConfig::default(),
        planner,
        ties: Ties::Batch,
        own: KeptSettings::default(),
    };
    let workloads = log.workloads(&options(&TEST, LENGTH)).map_err(|e| e.to_string())?;
    let mut total = 0.0;
    for workload in &workloads {
        let outcomes = engine::run(workload, &setup, &mut |_| ()).map_err(|e| e.to_string())?;
        let metrics = measure(workload, &outcomes, Bounds::default()).map_err(|e| e.to_string())?;
        total += metrics.mean_bounded_slowdown;
    }
    Ok(total / workloads.len() as f64)
}

/// The four rows of the table beside the learned column.
pub(crate) fn test(test: &[Vec<Window>; 2], chosen: Constants) {
    println!("\nthe ten windows, mean bounded slowdown:");
    println!("{:>28} {:>8} {:>8} {:>8} {:>8} {:>8}", "row", "sjf", "f1", "saf", "learned", "chosen");
    let rank = |job: &Job| chosen.rank(job);
    let ranks: [Rank<'_>; 4] = [&sjf, &f1, &saf, &rank];
    let rows = parallel(&MODES, |mode| ranks.map(|rank| row(test, *mode, rank)));
    for ((mode, rows), learned) in MODES.iter().zip(rows).zip(LEARNED) {
        let [sjf, f1, saf, own] = rows;
        let verdict = if own < learned { "below" } else { "ABOVE" };
        println!("{:>28} {sjf:8.2} {f1:8.2} {saf:8.2} {learned:8.2} {own:8.2} {verdict}", name(*mode));
    }
}

/// Paired differences on further windows.
pub(crate) fn further(windows: &[Vec<Window>; 2], chosen: Constants) {
    let each = windows[0].len();
    println!(
        "\n{each} further windows of each trace; difference = known − chosen, mean with its 95 % confidence interval:"
    );
    println!("{:>28} {:>5} {:>10} {:>10}   {:>22}   wins", "row", "than", "known", "chosen", "difference");
    for mode in MODES {
        let rank = |job: &Job| chosen.rank(job);
        let own = parallel(&windows[mode.0], |w| w.slowdown(&rank, mode.1));
        for (known, rank) in KNOWN {
            let theirs = parallel(&windows[mode.0], |w| w.slowdown(rank, mode.1));
            let differences: Vec<f64> = theirs.iter().zip(&own).map(|(theirs, own)| theirs - own).collect();
            let (mean, half) = interval(&differences);
            let wins = differences.iter().filter(|d| **d > 0.0).count();
            let (theirs, own) = (crate::statistics::mean(&theirs), crate::statistics::mean(&own));
            println!(
                "{:>28} {known:>5} {theirs:10.2} {own:10.2}   {mean:10.2} ± {half:9.2}   {wins}/{each}",
                name(mode)
            );
        }
    }
}

fn name((trace, backfill): Mode) -> String {
    format!("{}, {}", TRACES[trace], if backfill { "backfill" } else { "no backfill" })
}
