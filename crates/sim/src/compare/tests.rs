//! What a comparison promises.

use super::*;
use crate::generate::{GeneratorSettings, generate};

fn comparison(policy: &str, discipline: &str, placement: &str) -> Comparison {
    let combinations = Combination::all(
        &policies("p", policy).unwrap(),
        &disciplines("d", discipline).unwrap(),
        &placements("p", placement).unwrap(),
        &[MaxWait::Off],
    );
    Comparison {
        combinations,
        ties: Ties::Batch,
        factors: None,
        bounds: Bounds::default(),
        copies: 0,
        slow_copies: true,
        keep_outcomes: true,
        plots: true,
        thorough: false,
    }
}

fn workload() -> Workload {
    generate(&GeneratorSettings { jobs: 300, procs: 32, ..GeneratorSettings::lublin() }).unwrap()
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
    assert_eq!(ended.into_inner(), all.jobs(&workloads));
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
    // One long job, and a short one every ten seconds that takes the machine for as long.
    let mut workload = workload();
    workload.nodes = vec![crate::workload::machine(1)];
    for (i, job) in workload.jobs.iter_mut().enumerate() {
        let long = i == 1;
        let ms = if long { 1_000_000 } else { 10_000 };
        let request = crate::workload::procs_request(1);
        job.submit_ms = (i as u64).saturating_sub(1) * 10_000;
        (job.run_ms, job.estimate_ms, job.limit_ms, job.request, job.procs) =
            (ms, Some(ms), None, request, 1);
    }
    let wait_of_the_long_one = |max_wait| {
        let mut compared = comparison("sjf", "strict", "least-loaded");
        compared.combinations[0].max_wait = max_wait;
        let tried = compared.run(std::slice::from_ref(&workload), &AtomicU64::new(0)).unwrap();
        tried[0].outcomes[0][1].start_ms
    };
    assert!(wait_of_the_long_one(MaxWait::After(60_000)) <= 80_000);
    assert!(wait_of_the_long_one(MaxWait::Off) > 2_000_000);
}

#[test]
fn copies_tell_chance_apart() {
    let compared = Comparison { copies: 3, ..comparison("fcfs,sjf", "easy", "least-loaded") };
    let ended = AtomicU64::new(0);
    let tried = compared.run(&[workload()], &ended).unwrap();
    assert_eq!(ended.into_inner(), compared.jobs(&[workload()]));
    for Tried { run, .. } in &tried {
        let copies = run.copies.unwrap();
        let own = run.metrics.mean_bounded_slowdown;
        assert!(copies.count == 3 && copies.slowdown_min <= own && own <= copies.slowdown_max, "{copies:?}");
        assert!(copies.slowdown_min < copies.slowdown_max, "{copies:?}");
    }
    let without = Comparison { copies: 0, ..compared }.run(&[workload()], &AtomicU64::new(0)).unwrap();
    assert_eq!(without[0].run.metrics, tried[0].run.metrics, "the run itself is the same");
}

#[test]
fn longest_waits_are_compared_and_named() {
    let mut compared = comparison("fcfs,sjf", "easy", "least-loaded");
    compared.combinations = Combination::all(
        &policies("p", "fcfs,sjf").unwrap(),
        &disciplines("d", "easy").unwrap(),
        &placements("p", "least-loaded").unwrap(),
        &[MaxWait::After(86_400_000), MaxWait::Off],
    );
    let tried = compared.run(&[workload()], &AtomicU64::new(0)).unwrap();
    let names: Vec<String> = tried.iter().map(|tried| tried.run.name()).collect();
    let both = |policy: &str| ["1d", "off"].map(|wait| format!("{policy}/easy/max-wait={wait}"));
    assert_eq!(names, [both("fcfs"), both("sjf")].concat());
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
    assert!(refused("drf", &workload).unwrap_err().contains("leave out drf"));
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
