//! What is promised of generated workloads.

use super::*;

fn made(text: &str) -> Workload {
    generate(&GeneratorSettings::parse("--generate", text).unwrap()).unwrap()
}

#[test]
fn the_load_is_met_and_limits_hold() {
    for preset in ["lublin", "heavy-tail", "daily"] {
        for load in [0.3, 0.95, 1.5] {
            let w = made(&format!("{preset}:jobs=2000,procs=100,users=5,load={load}"));
            let offered = w.offered_load().unwrap();
            assert!((offered - load).abs() < 1e-6, "{preset} {load}: {offered}");
            assert_eq!((w.jobs.len(), w.users.len()), (2_000, 5));
            assert!(w.jobs.is_sorted_by_key(|j| j.submit_ms));
            for job in &w.jobs {
                assert!((1..=100).contains(&job.procs) && job.user < 5 && job.run_ms >= 1_000);
                assert!(job.estimate_ms >= Some(job.run_ms) && job.limit_ms == job.estimate_ms);
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_workload_and_another_one_does_not() {
    let one = made("lublin:jobs=500,seed=7");
    assert_eq!(one, made(&one.name), "the name holds all settings");
    assert_ne!(one.jobs, made("lublin:jobs=500,seed=8").jobs);
    let heavy = made("heavy-tail:jobs=50,alpha=1.5,min=3");
    assert_eq!(heavy, made(&heavy.name));
}

/// Holds today's numbers: if a library draws differently after an update, seeds that people wrote down mean something
/// else, which a changelog must say.
#[test]
fn seeds_mean_what_they_meant() {
    let w = made("lublin:jobs=3,seed=1");
    let seen: Vec<_> = w.jobs.iter().map(|j| (j.submit_ms, j.run_ms, j.procs, j.user)).collect();
    let expected = [(0, 10_657_000, 3, 4), (67_972, 15_347_000, 1, 8), (246_241, 783_000, 8, 8)];
    assert_eq!(seen, expected);
}

#[test]
fn shapes_are_what_they_are_called() {
    let share = |w: &Workload, f: fn(&TraceJob) -> bool| {
        w.jobs.iter().filter(|j| f(j)).count() as f64 / w.jobs.len() as f64
    };
    let lublin = made("lublin:jobs=20000");
    let powers = share(&lublin, |j| j.procs.is_power_of_two());
    assert!((0.65..0.9).contains(&powers), "{powers}");
    let by_day = |j: &TraceJob| (8..20).contains(&(j.submit_ms / 3_600_000 % 24));
    assert!(share(&lublin, by_day) > 0.6);
    assert!(share(&made("daily:jobs=20000"), by_day) > 0.7);
    let heavy = made("heavy-tail:jobs=20000,procs=1");
    assert!((share(&heavy, by_day) - 0.5).abs() < 0.05, "no cycle");
    let mut runs: Vec<u64> = heavy.jobs.iter().map(|j| j.run_ms).collect();
    runs.sort_unstable();
    let top = runs[runs.len() * 99 / 100..].iter().sum::<u64>() as f64 / runs.iter().sum::<u64>() as f64;
    assert!(top > 0.3, "one job of a hundred has {top} of the time");
    assert!(
        share(&lublin, |j| j.user == 0) > 3.0 * share(&lublin, |j| j.user == 9),
        "few users are most active"
    );
}

#[test]
fn small_machines_are_no_trouble() {
    for procs in [1, 2, 3] {
        let w = made(&format!("lublin:jobs=200,procs={procs}"));
        assert!(w.jobs.iter().all(|j| j.procs <= procs));
    }
}

#[test]
fn bad_settings_name_key_and_remedy() {
    for (text, says) in [
        ("", "lublin, heavy-tail, daily"),
        ("lublin:load", "KEY=VALUE"),
        ("lublin:load=x", "--generate load: \"x\""),
        ("lublin:load=0", "between 0.001 and 10"),
        ("lublin:load=NaN", "between 0.001 and 10"),
        ("lublin:jobs=1", "between 2 and"),
        ("lublin:jobs=-1", "write a number"),
        ("lublin:procs=0", "between 1 and"),
        ("lublin:users=0", "between 1 and"),
        ("lublin:amplitude=1.5", "between 0 and 1"),
        ("lublin:alpha=2", "lublin has the keys"),
        ("heavy-tail:alpha=0", "between 0.1"),
        ("heavy-tail:mean=0", "alpha, min"),
    ] {
        let error = GeneratorSettings::parse("--generate", text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn estimates_are_round() {
    for (run, estimate) in [(1.0, 60), (60.0, 60), (61.0, 120), (3_601.0, 7_200), (86_401.0, 172_800)] {
        assert_eq!(round_up(run), estimate);
    }
}
