//! The simulator against published numbers: SC'15 (Gaussier et al.), the reference simulator job by job, and
//! RLScheduler's table (SC'20).
//!
//! The traces may not be redistributed. They are looked for where `TASKYARD_TRACES` says, else at `../shared/traces`
//! beside the project; a test without them says that it is skipped. Without optimisation only rows of some seconds
//! are run: `cargo xtask ci` runs this file optimised, and `TASKYARD_FULL=1` runs every row in any build.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails when it cannot go on, and says what it skips"
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use taskyard_sim::compare::{Combination, Comparison, MaxWait, Tried, disciplines, placements, policies};
use taskyard_sim::engine::Ties;
use taskyard_sim::metrics::Bounds;
use taskyard_sim::swf::{self, Estimates, Filter, SwfOptions, Windows};
use taskyard_sim::{Workload, jobs_csv};

const KTH: &str = "KTH-SP2_unfiltered.swf.xz";
const SDSC: &str = "SDSC-BLUE-2000-4.1-cln.swf.gz";
const LUBLIN: [&str; 2] = ["lublin_256.swf.xz", "lublin_256_new2.swf.xz"];

/// A file of the traces, or word that there is none.
fn file(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let folder = std::env::var_os("TASKYARD_TRACES").map_or_else(beside, PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: {} is not there; set TASKYARD_TRACES to the folder of the traces", path.display());
    None
}

/// Whether rows that take long are wanted.
fn full(row: &str) -> bool {
    let asked = std::env::var_os("TASKYARD_FULL").is_some_and(|v| !v.is_empty() && v != "0");
    let wanted = asked || !cfg!(debug_assertions);
    if !wanted {
        println!("SKIPPED: {row}: too slow without optimisation; TASKYARD_FULL=1 runs it");
    }
    wanted
}

fn workloads(trace: &str, options: &SwfOptions) -> Option<Vec<Workload>> {
    Some(swf::read(&file(trace)?).unwrap().workloads(options).unwrap())
}

/// Runs every combination of these through the scheduler, and as `simulate` does, which may take a shortcut and has
/// to start every job at the same time.
fn compare(workloads: &[Workload], policy: &str, discipline: &str, ties: Ties) -> Vec<Tried> {
    let (policies, disciplines) =
        (policies("policy", policy).unwrap(), disciplines("discipline", discipline).unwrap());
    let comparison = Comparison {
        combinations: Combination::all(
            &policies,
            &disciplines,
            &placements("placement", "least-loaded").unwrap(),
            &[MaxWait::Off],
        ),
        ties,
        factors: None,
        bounds: Bounds::default(),
        copies: 0,
        slow_copies: true,
        keep_outcomes: true,
        plots: false,
        thorough: false,
    };
    let tried = comparison.run(workloads, &AtomicU64::new(0)).unwrap();
    let thorough = Comparison { thorough: true, ..comparison };
    let thorough = thorough.run(workloads, &AtomicU64::new(0)).unwrap();
    for (short, thorough) in tried.iter().zip(&thorough) {
        assert!(!thorough.run.shortcut);
        assert!(short.outcomes == thorough.outcomes, "{}: other starts by the shortcut", short.run.name());
    }
    thorough
}

fn near(is: f64, should: f64, relative: f64, what: &str) {
    assert!((is - should).abs() <= should * relative, "{what}: {is} is not {should}");
}

/// The four columns of SC'15 on a log: means to 1e-9, and every start by their sum.
fn sc15(trace: &str, jobs: usize, means: [f64; 4], sums: [u128; 2]) {
    for (estimates, columns) in [(Estimates::User, [0, 2]), (Estimates::Clairvoyant, [1, 3])] {
        let options = SwfOptions { filter: Filter::Sc15, estimates, ..SwfOptions::default() };
        let Some(workloads) = workloads(trace, &options) else { return };
        assert_eq!(workloads[0].jobs.len(), jobs);
        let tried = compare(&workloads, "fcfs", "easy,easy-sjf", Ties::Pyss);
        for (i, tried) in tried.iter().enumerate() {
            let name = format!("{trace} {} {estimates:?}", tried.run.name());
            near(tried.run.metrics.mean_bounded_slowdown, means[columns[i]], 1e-9, &name);
            if estimates == Estimates::User {
                assert_eq!(tried.run.metrics.sum_start, sums[i], "{name}");
            }
        }
    }
}

#[test]
fn sc15_on_kth() {
    if full("SC'15 on KTH-SP2") {
        let means = [92.57653974, 71.72238511, 69.40540058, 49.84771893];
        sc15(KTH, 28_481, means, [432_996_261_891, 432_969_694_942]);
    }
}

#[test]
fn sc15_on_sdsc_blue() {
    if full("SC'15 on SDSC-BLUE") {
        let means = [36.52336354, 30.62145394, 19.82601151, 13.17758801];
        sc15(SDSC, 232_542, means, [10_256_373_479_584, 10_255_938_836_800]);
    }
}

/// Mean wait, mean bounded slowdown, utilisation and Σ start of a run of the reference simulator.
type Reference = (&'static str, &'static str, [f64; 3], u128);

fn reference(trace: &str, filter: Filter, rows: &[Reference]) {
    let Some(workloads) = workloads(trace, &SwfOptions { filter, ..SwfOptions::default() }) else { return };
    for (policy, discipline, means, sum_start) in rows {
        let tried = compare(&workloads, policy, discipline, Ties::Batch);
        let (m, name) = (&tried[0].run.metrics, format!("{trace} {}", tried[0].run.name()));
        assert_eq!(m.sum_start, *sum_start, "{name}");
        // As many digits as the table has.
        for (is, should, digits) in [
            (m.mean_wait_s, means[0], 1e-3),
            (m.mean_bounded_slowdown, means[1], 1e-6),
            (m.utilisation, means[2], 1e-6),
        ] {
            assert!((is - should).abs() <= digits, "{name}: {is} is not {should}");
        }
    }
}

#[test]
fn the_reference_simulator_on_kth() {
    let rows: [Reference; 5] = [
        ("sjf", "easy", [4_598.682, 42.348710, 0.685613], 432_932_516_002),
        ("saf", "easy", [5_651.091, 39.145146, 0.685613], 432_962_489_658),
        ("fcfs", "strict", [353_776.409, 6_814.973310, 0.685240], 442_877_446_846),
        ("sjf", "strict", [13_333.229, 135.295906, 0.685613], 433_181_284_619),
        ("fcfs", "conservative", [7_936.171, 101.826934, 0.685613], 433_027_571_025),
    ];
    let wanted = if full("more rows of the reference simulator on KTH-SP2") { &rows[..] } else { &rows[..1] };
    reference(KTH, Filter::Sc15, wanted);
}

#[test]
fn the_reference_simulator_on_lublin() {
    let first: [Reference; 2] = [
        ("fcfs", "easy", [97_155.995, 590.053777, 0.936343], 40_753_117_597),
        ("sjf", "easy", [59_632.195, 40.559571, 0.789707], 40_377_879_605),
    ];
    let second: [Reference; 2] = [
        ("fcfs", "easy", [9_703.562, 256.628737, 0.602619], 23_858_587_949),
        ("sjf", "easy", [4_889.784, 101.005700, 0.596368], 23_810_450_167),
    ];
    if full("the reference simulator on the Lublin traces") {
        reference(LUBLIN[0], Filter::None, &first);
        reference(LUBLIN[1], Filter::None, &second);
    }
}

/// Every start, as the reference simulator has written it.
#[test]
fn kth_job_by_job() {
    let rows = [
        ("SJF.easy.batch", "sjf", "easy", Ties::Batch),
        ("FCFS.easy.pyss", "fcfs", "easy", Ties::Pyss),
        ("FCFS.easy-sjbf.pyss", "fcfs", "easy-sjf", Ties::Pyss),
        ("FCFS.strict.pyss", "fcfs", "strict", Ties::Pyss),
    ];
    let wanted = if full("KTH-SP2 job by job under three more policies") { &rows[..] } else { &rows[..1] };
    let options = SwfOptions { filter: Filter::Sc15, ..SwfOptions::default() };
    let Some(workloads) = workloads(KTH, &options) else { return };
    for (name, policy, discipline, ties) in wanted {
        let Some(path) = file(&format!("reference/KTH-SP2.{name}.csv.gz")) else { return };
        let mut expected = String::new();
        let packed = std::fs::File::open(path).unwrap();
        flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut expected).unwrap();
        let tried = compare(&workloads, policy, discipline, *ties);
        let mut written = Vec::new();
        jobs_csv::header(&mut written).unwrap();
        jobs_csv::rows(&mut written, &workloads[0], &tried[0].outcomes[0]).unwrap();
        let written = String::from_utf8(written).unwrap();
        let differs = written.lines().zip(expected.lines()).find(|(is, should)| is != should);
        assert_eq!(differs, None, "{name}");
        assert_eq!(written.len(), expected.len(), "{name}");
    }
}

/// FCFS, SJF and F1 as published, without and with backfilling, to the two decimals of the table.
#[test]
fn the_table_of_rlscheduler() {
    let starts = vec![1_981, 2_756, 4_299, 8_850, 3_316, 2_714, 5_228, 7_762, 4_022, 7_085];
    let table = [
        [[7_273.77, 277.35, 258.37], [235.82, 73.31, 75.07]],
        [[7_842.47, 787.89, 698.34], [247.61, 91.99, 148.25]],
    ];
    let windows = Some(Windows { starts, length: 1_024 });
    let options = SwfOptions { filter: Filter::Rlwin, windows, ..SwfOptions::default() };
    let all = full("RLScheduler's table but for SJF without backfilling");
    for (trace, modes) in LUBLIN.iter().zip(table) {
        let Some(workloads) = workloads(trace, &options) else { return };
        for (discipline, expected) in ["commit", "commit-backfill"].into_iter().zip(modes) {
            for (policy, expected) in ["fcfs", "sjf", "f1"].into_iter().zip(expected) {
                if all || (policy == "sjf" && discipline == "commit") {
                    let tried = compare(&workloads, policy, discipline, Ties::Batch);
                    let is = tried[0].run.metrics.mean_bounded_slowdown;
                    assert!(
                        (is - expected).abs() < 0.005 + 1e-9,
                        "{trace} {policy}/{discipline}: {is} is not {expected}"
                    );
                }
            }
        }
    }
}
