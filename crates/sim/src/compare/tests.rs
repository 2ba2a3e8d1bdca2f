//! What a comparison promises.

use super::*;
use crate::generate::{Settings, generate};

fn comparison(policy: &str, discipline: &str, placement: &str) -> Comparison {
    let combinations = Combination::all(
        &policies("p", policy).unwrap(),
        &disciplines("d", discipline).unwrap(),
        &placements("p", placement).unwrap(),
    );
    Comparison {
        combinations,
        ties: Ties::Batch,
        max_wait_ms: None,
        factors: None,
        bounds: Bounds::default(),
        keep_outcomes: true,
    }
}

fn workload() -> Workload {
    generate(&Settings { jobs: 300, procs: 32, ..Settings::lublin() }).unwrap()
}

#[test]
fn each_run_is_as_if_it_were_alone() {
    let workloads = [workload()];
    let ended = AtomicU64::new(0);
    let all = comparison("all", "all,commit,commit-backfill", "least-loaded");
    let able = |c: &Combination| c.check("d", &workloads[0]).is_ok();
    let all = Comparison { combinations: all.combinations.into_iter().filter(able).collect(), ..all };
    let tried = all.run(&workloads, &ended).unwrap();
    assert_eq!(tried.len(), all.combinations.len());
    assert_eq!(ended.into_inner(), 300 * tried.len() as u64);
    for (combination, tried) in all.combinations.iter().zip(&tried) {
        let alone = Comparison { combinations: vec![*combination], ..all.clone() };
        let alone = alone.run(&workloads, &AtomicU64::new(0)).unwrap();
        assert_eq!(alone[0].outcomes, tried.outcomes, "{combination:?}");
        assert_eq!(alone[0].run, tried.run);
        assert_eq!(
            tried.run.name(),
            format!("{}/{}", combination.policy.name(), combination.discipline.name())
        );
    }
}

#[test]
fn windows_are_averaged_and_listed() {
    let (first, mut second) = (workload(), workload());
    second.jobs.truncate(100);
    second.name = "short".into();
    let both = comparison("fcfs", "easy", "bin-pack").run(&[first, second], &AtomicU64::new(0)).unwrap();
    let run = &both[0].run;
    assert_eq!((run.metrics.jobs, run.windows.len(), run.windows[1].name.as_str()), (400, 2, "short"));
    let mean = (run.windows[0].metrics.mean_wait_s + run.windows[1].metrics.mean_wait_s) / 2.0;
    assert!((run.metrics.mean_wait_s - mean).abs() < 1e-9);
    assert_eq!(run.placement.as_deref(), Some("bin-pack"));
    assert_eq!(both[0].outcomes.iter().map(Vec::len).collect::<Vec<_>>(), [300, 100]);
}

#[test]
fn aging_bounds_the_wait() {
    let longest = |max_wait_ms| {
        let compared = Comparison { max_wait_ms, ..comparison("sjf", "strict", "least-loaded") };
        compared.run(&[workload()], &AtomicU64::new(0)).unwrap()[0].run.metrics.wait_max_s
    };
    assert!(longest(Some(3_600_000)) < longest(None));
}

#[test]
fn protocols_refuse_what_they_do_not_know() {
    let mut workload = workload();
    let refused = |policy: &str, workload: &Workload| {
        comparison(policy, "commit", "least-loaded").combinations[0]
            .check("--discipline", workload)
            .map_err(|e| e.remedy)
    };
    assert_eq!(refused("sjf", &workload), Ok(()));
    assert!(refused("drf", &workload).unwrap_err().contains("take drf out"));
    workload.nodes[0].capacity.gpus = 1;
    assert!(refused("sjf", &workload).unwrap_err().contains("GPUs"));
    workload.nodes.push(workload.nodes[0].clone());
    assert!(refused("sjf", &workload).unwrap_err().contains("2 nodes"));
}

#[test]
fn what_fits_nowhere_is_an_error() {
    let mut workload = workload();
    workload.jobs[7].request = crate::workload::procs_request(64);
    let error = comparison("sjf", "greedy", "least-loaded").run(&[workload], &AtomicU64::new(0)).unwrap_err();
    assert!(error.to_string().contains("1 jobs never started"), "{error}");
}
