//! The rule, case by case.

use super::*;
use crate::metrics::tests::{job, workload};
use crate::report::tests::run;

/// A run with these metrics: policy, slowdown, p99 and longest wait in hours, starved jobs of 100,000.
fn made(policy: &str, slowdown: f64, p99_h: f64, longest_h: f64, starved: u64) -> PolicyRun {
    let w = workload(vec![job(0, 100, 4, 0)]);
    let mut run = run(policy, "easy", &w, &[0]);
    let m = &mut run.metrics;
    (m.jobs, m.starved_jobs, m.mean_bounded_slowdown) = (100_000, starved, slowdown);
    (m.wait_p99_s, m.wait_max_s, m.mean_wait_s) = (p99_h * 3_600.0, longest_h * 3_600.0, 600.0);
    (m.user_slowdown_gini, m.user_slowdown_max, m.utilisation) = (0.3, 50.0, 0.8);
    run
}

fn take(runs: &[PolicyRun]) -> Recommendation {
    recommend(runs).unwrap()
}

#[test]
fn the_smallest_slowdown_is_taken() {
    let r = take(&[made("fcfs", 90.0, 9.0, 20.0, 0), made("sjf", 45.0, 8.0, 21.0, 0)]);
    assert_eq!((r.run, r.policy.as_str(), r.discipline.as_str()), (1, "sjf", "easy"));
    assert_eq!(
        r.why,
        "sjf/easy has a mean bounded slowdown of 45.00, 50 % below that of fcfs/easy (90.00). Jobs waited 10 min on average and 99 of 100 at \
         most 8 h; 80.0 % of CPU was used."
    );
    assert_eq!(r.warnings, Vec::<String>::new());
}

#[test]
fn what_starves_is_not_taken_and_is_named() {
    // Twice as many as the fewest may starve and ten, and one of a thousand always.
    let r = take(&[made("fcfs", 90.0, 9.0, 40.0, 300), made("sjf", 45.0, 8.0, 41.0, 611)]);
    assert_eq!(r.policy, "fcfs");
    assert!(
        r.warnings[0].contains("sjf/easy has a lower mean slowdown (45.00)")
            && r.warnings[0].contains("611 jobs"),
        "{r:?}"
    );
    assert_eq!(take(&[made("fcfs", 90.0, 9.0, 40.0, 300), made("sjf", 45.0, 8.0, 41.0, 610)]).policy, "sjf");
    assert_eq!(take(&[made("fcfs", 90.0, 9.0, 40.0, 0), made("sjf", 45.0, 8.0, 41.0, 100)]).policy, "sjf");
    let small = |policy, slowdown, starved| {
        let mut run = made(policy, slowdown, 8.0, 130.0 - slowdown, starved);
        run.metrics.jobs = 1_500;
        run
    };
    assert_eq!(
        take(&[small("fcfs", 90.0, 9), small("sjf", 45.0, 20)]).policy,
        "sjf",
        "of few, twice as many is chance"
    );
    assert_eq!(take(&[small("fcfs", 90.0, 9), small("sjf", 45.0, 29)]).policy, "fcfs");
    // A single job that waits for weeks is one too many.
    let long = take(&[made("fcfs", 90.0, 9.0, 40.0, 0), made("sjf", 45.0, 8.0, 161.0, 1)]);
    assert_eq!(long.policy, "fcfs");
    assert_eq!(
        take(&[made("fcfs", 90.0, 9.0, 5.0, 0), made("sjf", 45.0, 8.0, 23.0, 0)]).policy,
        "sjf",
        "below the bound"
    );
}

#[test]
fn alike_goes_to_the_shorter_tail_and_then_to_the_first() {
    let r = take(&[made("fcfs", 45.5, 7.0, 19.0, 0), made("sjf", 45.0, 8.0, 20.0, 0)]);
    assert_eq!(r.policy, "fcfs");
    assert!(r.why.starts_with("All runs are alike within 2 %"), "{}", r.why);
    let twins = [made("a", 45.0, 8.0, 20.0, 0), made("b", 45.0, 8.0, 20.0, 0)];
    assert_eq!(take(&twins).run, 0);
}

#[test]
fn the_price_is_said() {
    let mut sjf = made("sjf", 45.0, 8.0, 70.0, 10);
    sjf.metrics.user_slowdown_max = 61.0;
    sjf.metrics.utilisation = 0.7;
    let r = take(&[made("fcfs", 90.0, 9.0, 40.0, 10), sjf]);
    assert_eq!((r.policy.as_str(), r.warnings.len()), ("sjf", 3), "{r:?}");
    assert!(r.warnings[0].contains("2.9 d") && r.warnings[0].contains("max_wait"), "{r:?}");
    assert!(r.warnings[1].contains("slowdown of 61.0, under fcfs/easy of 50.0"), "{r:?}");
    assert!(r.warnings[2].contains("70.0 %") && r.warnings[2].contains("fcfs/easy 80.0 %"), "{r:?}");
}

/// SDSC-BLUE as it was once recommended: the run that starves fewest is worst in all else.
#[test]
fn what_another_beats_is_not_taken() {
    let mut soft = made("soft-area", 38.72, 60.0, 7_814.4, 700);
    let mut fcfs = made("fcfs", 37.41, 40.0, 120.0, 2_000);
    (soft.metrics.utilisation, fcfs.metrics.utilisation) = (0.750, 0.762);
    assert_eq!(take(&[soft, fcfs]).policy, "fcfs");
    let with = |of: fn(&mut PolicyRun)| {
        let mut other = made("sjf", 45.0, 8.0, 20.0, 0);
        of(&mut other);
        take(&[made("fcfs", 45.0, 8.5, 20.0, 0), other]).policy
    };
    assert_eq!(with(|_| ()), "sjf", "alike in all but the tail of waits");
    assert_eq!(with(|run| run.metrics.utilisation -= 0.01), "fcfs", "uses less");
    assert_eq!(with(|run| run.metrics.utilisation -= 0.00001), "sjf", "the same use");
    assert_eq!(with(|run| run.metrics.user_slowdown_max += 1.0), "fcfs", "all alike, and a user fares worse");
}

/// Both starve, each by its own measure: the longest wait counts.
#[test]
fn the_fewest_starved_jobs_excuse_no_endless_wait() {
    let few = made("sjf", 20.0, 8.0, 8_000.0, 500);
    let many = made("fcfs", 30.0, 9.0, 100.0, 9_000);
    let r = take(&[few, many]);
    assert_eq!(r.policy, "fcfs");
    assert!(r.warnings[0].contains("sjf/easy has a lower mean slowdown"), "{r:?}");
}

#[test]
fn what_chance_makes_of_it_is_alike() {
    let run = |policy, slowdown, p99_h, copies: [f64; 2]| {
        let mut run = made(policy, slowdown, p99_h, 60.0 - slowdown, 0);
        run.copies = crate::report::Copies::of(slowdown, &copies);
        run
    };
    let by_chance = [run("sjf", 40.0, 9.0, [38.0, 46.0]), run("saf", 44.0, 8.0, [41.0, 45.0])];
    assert_eq!(take(&by_chance).policy, "saf", "44 is within 38 to 46, and its waits are shorter");
    let beyond = [run("sjf", 40.0, 9.0, [38.0, 43.0]), run("saf", 44.0, 8.0, [44.0, 45.0])];
    let r = take(&beyond);
    assert_eq!(r.policy, "sjf");
    assert!(r.why.contains("40.00 (38.00 to 43.00 with submits moved at random)"), "{}", r.why);
}

#[test]
fn what_runs_today_is_what_it_is_compared_with() {
    let mut today = made("priority", 60.0, 9.0, 20.0, 0);
    today.today = true;
    let all = [made("fcfs", 90.0, 9.0, 20.0, 0), today.clone(), made("sjf", 45.0, 8.0, 20.0, 0)];
    let why = take(&all).why;
    assert!(why.contains("25 % below that of priority/easy, which runs today (60.00)"), "{why}");
    let why = take(&[made("fcfs", 90.0, 9.0, 20.0, 0), today]).why;
    assert!(why.starts_with("priority/easy, which runs today, has"), "{why}");
}

#[test]
fn nothing_to_choose_from() {
    assert_eq!(recommend(&[]), None);
    assert_eq!(recommend(&[made("fcfs", 90.0, 9.0, 40.0, 0)]), None);
}

proptest::proptest! {
    /// There is always an answer, it depends on nothing but the runs, and no other run beats it.
    #[test]
    fn always_answers_with_what_nothing_beats(
        of in proptest::collection::vec((1u32..4, 0.0f64..99.0, 1u32..300, 0u64..99_999, 1u32..4), 2..9),
    ) {
        let run = |(slowdown, p99, longest, starved, used): &(u32, f64, u32, u64, u32)| {
            let mut run = made("x", f64::from(*slowdown), *p99, f64::from(*longest), *starved);
            run.metrics.utilisation = f64::from(*used) / 4.0;
            run
        };
        let runs: Vec<PolicyRun> = of.iter().map(run).collect();
        let first = take(&runs);
        proptest::prop_assert_eq!(&first, &take(&runs));
        let key = |m: &crate::Metrics| [m.mean_bounded_slowdown, m.wait_max_s, -m.utilisation];
        let mine = key(&runs[first.run].metrics);
        for other in &runs {
            let its = key(&other.metrics);
            let no_worse = its.iter().zip(&mine).all(|(its, mine)| its <= mine);
            proptest::prop_assert!(!no_worse || its == mine, "{:?} beats {:?}", its, mine);
        }
    }
}
