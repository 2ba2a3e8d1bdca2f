//! How the constants of the policy `soft-area` were chosen: `cargo run --release -p taskyard-sim --example
//! choose_constants [-- TRACES [SEED]]`.
//!
//! Constants that are chosen on the windows of a published table prove nothing about the policy. So the choice sees
//! only windows that overlap none of the ten of RLScheduler's table. Those cover so much of both traces that such
//! windows begin at 0 to 957 only, so they share the same two thousand jobs; their submit times are shifted a little
//! at each draw, so that what is compared is not the luck of one run. Every constant of a fixed grid is tried on them
//! and printed; the smallest objective is taken; and only then the ten windows are looked at. Two hundred more
//! windows say how sure the differences to known policies are. `docs/research/soft-area.md` has the record of all
//! that was tried.

#![allow(clippy::print_stdout)]

mod protocol;
mod statistics;
mod table;
mod training;

use protocol::{Job, Rank, Window};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use statistics::{mean, parallel};
use std::error::Error;
use std::path::PathBuf;
use table::KNOWN;
use taskyard_sim::swf::{self, Filter, Log, SwfOptions, Windows};

/// Jobs of a window.
const LENGTH: usize = 1_024;
/// Where the windows of the table begin.
const TEST: [usize; 10] = [1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085];
const TRACES: [&str; 2] = ["lublin_256", "lublin_256_new2"];
/// Further windows of each trace.
const FURTHER: usize = 100;
const SEED: u64 = 18;

/// Weight of the length: (estimate + softening)^weight.
const WEIGHTS: [f64; 6] = [0.2, 0.3, 0.4, 0.5, 0.7, 1.0];
/// Softening of the length, in seconds.
const LENGTHS_S: [f64; 4] = [0.0, 30.0, 120.0, 600.0];
/// Softening of the size, in cores.
const SIZES: [f64; 5] = [0.0, 8.0, 30.0, 60.0, 120.0];

/// One row of the table: a trace, with or without backfilling.
pub(crate) type Mode = (usize, bool);
/// In the order of the table.
pub(crate) const MODES: [Mode; 4] = [(0, false), (1, false), (0, true), (1, true)];

/// `(estimate + length)^weight × (size + softening)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Constants {
    pub(crate) weight: f64,
    pub(crate) length_s: f64,
    pub(crate) size: f64,
}

impl Constants {
    pub(crate) fn rank(self, job: &Job) -> f64 {
        self.weight * (job.estimate as f64 + self.length_s).log2() + (job.procs as f64 + self.size).log2()
    }

    fn grid() -> Vec<Constants> {
        let sizes = |weight, length_s| SIZES.map(|size| Constants { weight, length_s, size });
        let lengths = |weight| LENGTHS_S.into_iter().flat_map(move |length_s| sizes(weight, length_s));
        WEIGHTS.into_iter().flat_map(lengths).collect()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().or_else(|| std::env::var("TASKYARD_TRACES").ok());
    let folder = PathBuf::from(folder.unwrap_or_else(|| "../shared/traces".to_owned()));
    let seed = words.next().map_or(Ok(SEED), |text| text.parse())?;
    let read = |name: &str| swf::read(&folder.join(format!("{name}.swf.xz")));
    let logs = [read(TRACES[0])?, read(TRACES[1])?];
    let mut chance = Pcg64::seed_from_u64(seed);

    println!("seed {seed}");
    let training = [training::draw(&logs[0], &mut chance)?, training::draw(&logs[1], &mut chance)?];
    let chosen = choose(&training);

    let test = [windows(&logs[0], &TEST)?, windows(&logs[1], &TEST)?];
    table::agrees_with_the_product(&logs, &test)?;
    table::test(&test, chosen);

    let further = [further(&logs[0], &mut chance)?, further(&logs[1], &mut chance)?];
    table::further(&further, chosen);
    Ok(())
}

fn options(starts: &[usize], length: usize) -> SwfOptions {
    let windows = Windows { starts: starts.to_vec(), length };
    SwfOptions { filter: Filter::Rlwin, windows: Some(windows), ..SwfOptions::default() }
}

fn windows(log: &Log, starts: &[usize]) -> Result<Vec<Window>, Box<dyn Error>> {
    Ok(log.workloads(&options(starts, LENGTH))?.iter().map(Window::of).collect())
}

/// Windows that begin anywhere but where the table's do.
fn further(log: &Log, chance: &mut impl RngExt) -> Result<Vec<Window>, Box<dyn Error>> {
    let last = training::whole(log)?.jobs.len() - LENGTH;
    let any = std::iter::repeat_with(|| chance.random_range(0..=last));
    let starts: Vec<usize> = any.filter(|start| !TEST.contains(start)).take(FURTHER).collect();
    windows(log, &starts)
}

/// Mean over windows of the mean bounded slowdown: a row of the table.
pub(crate) fn row(windows: &[Vec<Window>; 2], (trace, backfill): Mode, rank: Rank<'_>) -> f64 {
    mean(&windows[trace].iter().map(|window| window.slowdown(rank, backfill)).collect::<Vec<_>>())
}

/// The objective: the mean over the four rows of the logarithm of the row's mean bounded slowdown, so that no row
/// counts more because its numbers are larger.
fn objective(rows: &[f64; 4]) -> f64 {
    mean(&rows.map(f64::ln))
}

/// Tries the grid on the training windows, prints all of it, and takes the smallest objective.
fn choose(training: &[Vec<Window>; 2]) -> Constants {
    let known = parallel(&KNOWN, |(_, rank)| MODES.map(|mode| row(training, mode, *rank)));
    let grid = Constants::grid();
    let tried =
        parallel(&grid, |constants| MODES.map(|mode| row(training, mode, &|job: &Job| constants.rank(job))));
    println!("\n{} constants on the training windows (rows in the order of the table):", grid.len());
    println!("weight length_s size  objective  rows");
    let shown = |rows: &[f64; 4]| {
        format!("{:9.4}  {}", objective(rows), rows.map(|row| format!("{row:7.2}")).join(" "))
    };
    for ((name, _), rows) in KNOWN.iter().zip(&known) {
        println!("{name:20}  {}", shown(rows));
    }
    for (Constants { weight, length_s, size }, rows) in grid.iter().zip(&tried) {
        println!("{weight:6} {length_s:8} {size:4}  {}", shown(rows));
    }
    let measure = |i: &usize| objective(&tried[*i]);
    let chosen = (0..grid.len()).min_by(|a, b| measure(a).total_cmp(&measure(b)));
    let chosen = grid[chosen.unwrap_or_default()];
    println!("chosen: {chosen:?}");
    chosen
}
