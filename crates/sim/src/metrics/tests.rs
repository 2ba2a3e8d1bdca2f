//! By hand, and against the reference results where they are.

use super::*;
use crate::swf;
use crate::workload::{TraceJob, machine, procs_request};
use std::io::Read;

pub(crate) fn job(submit_s: u64, run_s: u64, procs: u32, user: u32) -> TraceJob {
    TraceJob {
        id: submit_s + 1,
        submit_ms: submit_s * 1_000,
        run_ms: run_s * 1_000,
        request: procs_request(procs),
        estimate_ms: None,
        limit_ms: None,
        user,
        procs,
    }
}

pub(crate) fn workload(jobs: Vec<TraceJob>) -> Workload {
    let users = (0..3).map(|u| format!("user{u}")).collect();
    Workload { name: "t".into(), jobs, users, nodes: vec![machine(4)], ..Workload::default() }
}

/// Outcomes by their starts in seconds; each runs as long as its job.
pub(crate) fn outcomes(workload: &Workload, starts_s: &[u64]) -> Vec<JobTimes> {
    let run = |(s, j): (&u64, &TraceJob)| JobTimes { start_ms: s * 1_000, end_ms: s * 1_000 + j.run_ms };
    starts_s.iter().zip(&workload.jobs).map(run).collect()
}

#[test]
fn by_hand() {
    let w = workload(vec![job(10, 100, 2, 0), job(20, 5, 4, 1), job(30, 50, 2, 1)]);
    let m = measure(&w, &outcomes(&w, &[10, 110, 60]), Bounds { starvation_ms: 30_000, ..Bounds::default() });
    let m = m.unwrap();
    assert_eq!((m.jobs, m.mean_wait_s, m.wait_p50_s, m.wait_max_s), (3, 40.0, 30.0, 90.0));
    assert_eq!(m.bounded_slowdown_max, 9.5, "(90 + 5) / τ");
    assert!((m.mean_bounded_slowdown - (1.0 + 9.5 + 1.6) / 3.0).abs() < 1e-12);
    assert_eq!(m.utilisation, (200.0 + 20.0 + 100.0) / (4.0 * 105.0));
    assert_eq!(m.utilisation_to_last_start, 320.0 / 400.0);
    assert_eq!((m.sum_start, m.makespan_s, m.gpu_utilisation), (180, 105.0, None));
    assert_eq!((m.users, m.user_slowdown_max), (2, (9.5 + 1.6) / 2.0));
    assert_eq!((m.starved_jobs, m.starvation_bound_s), (1, 30.0), "a wait of the bound itself is none");
}

#[test]
fn gpus_have_a_share_of_their_own() {
    let mut w = workload(vec![job(0, 100, 1, 0)]);
    w.nodes[0].capacity.gpus = 2;
    w.jobs[0].request.gpu_milli = 500;
    let m = measure(&w, &outcomes(&w, &[100]), Bounds::default()).unwrap();
    assert_eq!(m.gpu_utilisation, Some(0.125));
}

#[test]
fn refuses_what_cannot_be() {
    let w = workload(vec![job(10, 100, 2, 0)]);
    let fails = |outcomes: &[JobTimes], says: &str| {
        let error = measure(&w, outcomes, Bounds::default()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    fails(&[], "one for each of the 1 jobs");
    fails(&[JobTimes { start_ms: 9_000, end_ms: 99_000 }], "job 11 is submitted at 10000");
    fails(&[JobTimes { start_ms: 19_000, end_ms: 18_000 }], "19000..18000");
    assert!(measure(&workload(vec![]), &[], Bounds::default()).is_err());
    let no_tau = Bounds { tau_ms: 0, ..Bounds::default() };
    assert!(measure(&w, &outcomes(&w, &[10]), no_tau).is_err());
}

#[test]
fn a_moment_is_no_division_by_zero() {
    let mut w = workload(vec![job(10, 0, 2, 0)]);
    w.nodes.clear();
    let m = measure(&w, &outcomes(&w, &[10]), Bounds::default()).unwrap();
    assert_eq!((m.utilisation, m.utilisation_to_last_start, m.mean_bounded_slowdown), (0.0, 0.0, 1.0));
}

#[test]
fn windows_count_the_same() {
    let one = workload(vec![job(0, 10, 1, 0)]);
    let two = workload(vec![job(0, 10, 1, 0), job(0, 10, 1, 1)]);
    let of = |w: &Workload, starts: &[u64]| measure(w, &outcomes(w, starts), Bounds::default()).unwrap();
    let m = average(&[of(&one, &[10]), of(&two, &[40, 40])]).unwrap();
    assert_eq!((m.jobs, m.mean_wait_s, m.wait_max_s, m.sum_start), (3, 25.0, 40.0, 90));
    assert_eq!(m.mean_bounded_slowdown, 3.5, "the mean of means");
    assert!(average(&[]).is_none());
}

#[test]
fn sums_lose_nothing() {
    assert_eq!(sum([1e100, 1.0, -1e100].into_iter()), 1.0);
}

/// Starts of the reference simulations, measured here, give the numbers that it (and for the first two, a
/// publication) gave.
#[test]
fn equals_the_reference() {
    let check = |name, wait, slowdown, utilisation, sum_start| {
        check_reference(
            &format!("reference/KTH-SP2.{name}.csv.gz"),
            [wait, slowdown, utilisation],
            sum_start,
        );
    };
    let (all, less) = (0.685_613_241_361_949, 0.685_240_279_584_397_5);
    check("FCFS.easy.pyss", 6_836.872_090_165_373, 92.576_539_733_629_18, all, 432_996_261_891);
    check("FCFS.easy-sjbf.pyss", 5_904.076_577_367_367_5, 69.405_400_580_303_42, all, 432_969_694_942);
    check("FCFS.strict.pyss", 353_776.409_149_959_6, 6_814.973_310_176_236, less, 442_877_446_846);
    check("SJF.easy.batch", 4_598.682_103_858_713, 42.348_709_558_310_33, all, 432_932_516_002);
}

fn check_reference(name: &str, expected: [f64; 3], sum_start: u128) {
    let (Some(log), Some(starts)) = (swf::public("KTH-SP2_unfiltered.swf.xz"), swf::public(name)) else {
        return;
    };
    let options = swf::SwfOptions { filter: swf::Filter::Sc15, ..swf::SwfOptions::default() };
    let workload = swf::read(&log).unwrap().workloads(&options).unwrap().remove(0);
    let mut text = String::new();
    crate::input::open(&starts).unwrap().read_to_string(&mut text).unwrap();
    let outcomes: Vec<JobTimes> = text.lines().skip(1).map(outcome).collect();
    let m = measure(&workload, &outcomes, Bounds::default()).unwrap();
    assert_eq!(m.sum_start, sum_start, "{name}");
    for (is, should) in [m.mean_wait_s, m.mean_bounded_slowdown, m.utilisation].into_iter().zip(expected) {
        assert!((is - should).abs() <= should * 1e-12, "{name}: {is} is not {should}");
    }
    let mut written = Vec::new();
    crate::jobs_csv::header(&mut written).unwrap();
    crate::jobs_csv::rows(&mut written, &workload, &outcomes).unwrap();
    assert!(written == text.as_bytes(), "{name}: written again it is the same file");
}

fn outcome(line: &str) -> JobTimes {
    let cells: Vec<u64> = line.split(',').map(|c| c.parse().unwrap()).collect();
    JobTimes { start_ms: cells[2] * 1_000, end_ms: cells[3] * 1_000 }
}
