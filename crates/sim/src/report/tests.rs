//! What reports promise.

use super::*;
use crate::metrics::tests::{job, outcomes, workload};
use crate::metrics::{Bounds, measure};

pub(crate) fn run(policy: &str, discipline: &str, w: &Workload, starts: &[u64]) -> PolicyRun {
    let o = outcomes(w, starts);
    PolicyRun {
        policy: policy.into(),
        discipline: discipline.into(),
        placement: None,
        max_wait: None,
        today: false,
        copies: None,
        notes: Vec::new(),
        shortcut: false,
        metrics: measure(w, &o, Bounds::default()).unwrap(),
        windows: Vec::new(),
        series: Series::of(&[(w, &o)]),
    }
}

fn report() -> SimulationReport {
    let mut w = workload(vec![job(0, 100, 4, 0), job(0, 4_000, 4, 1), job(10, 50, 4, 1)]);
    w.name = "a<b".into();
    w.dropped.insert("run_not_positive", 7);
    w.malformed.add(3, || "field 1: \"<script>\"".into());
    let runs = vec![run("fcfs", "easy", &w, &[0, 100, 4_100]), run("sjf", "easy", &w, &[0, 150, 100])];
    let recommendation = crate::recommend::recommend(&runs);
    SimulationReport::new(
        WorkloadSource::of(&[w]).unwrap(),
        runs,
        recommendation,
        "taskyard simulate --trace 'x'".into(),
        Some(7),
    )
}

#[test]
fn the_table_is_aligned_and_marks_the_best() {
    let shown = table(&report().runs, usize::MAX);
    let expected = "\
policy/discipline wait mean    p50    p95    p99    max  slowdown  slowdown p99   used  worst user  Gini  starved
                        min      s    min    min    min                              %                       jobs
fcfs/easy             23.28  100.0  68.17  68.17  68.17     28.28         82.80  100.0       41.91  0.48        0
sjf/easy               1.33*  90.0*  2.50*  2.50*  2.50*     1.61*         2.80* 100.0        1.92* 0.16*       0
* best of its column. starved: waited more than 24 h.
";
    assert_eq!(shown, expected, "\n{shown}");
}

#[test]
fn one_that_starves_does_not_turn_the_others_to_zero() {
    let w = workload(vec![job(0, 100, 4, 0)]);
    let runs = [50, 60, 9_000_000].map(|s| run("fcfs", "easy", &w, &[s]));
    let shown = table(&runs, usize::MAX);
    assert!(shown.contains(" 50.00") && shown.contains("9000000.00"), "\n{shown}");
}

#[test]
fn json_has_what_scripts_want() {
    let value: serde_json::Value = serde_json::from_str(&json(&report(), false).unwrap()).unwrap();
    let run = &value["runs"][1];
    assert_eq!((run["policy"].as_str(), run["discipline"].as_str()), (Some("sjf"), Some("easy")));
    assert_eq!((run["jobs"].as_u64(), run["dropped"]["run_not_positive"].as_u64()), (Some(3), Some(7)));
    assert_eq!((run["mean_wait_s"].as_f64(), run["sum_start"].as_u64()), (Some(80.0), Some(250)));
    assert!(run["mean_bounded_slowdown"].is_f64() && run["utilisation"].is_f64() && run["series"].is_null());
    assert_eq!(value["source"]["malformed"]["first"][0]["line"], 3);
    assert_eq!((value["seed"].as_u64(), value["recommendation"]["policy"].as_str()), (Some(7), Some("sjf")));
    assert_eq!((&value["runs"][0]["recommended"], &run["recommended"]), (&false.into(), &true.into()));
    assert!(value["jobs"].is_null(), "several runs have no figures in common");
    let long: serde_json::Value = serde_json::from_str(&json(&report(), true).unwrap()).unwrap();
    assert!(long["runs"][0]["series"]["waits"].is_array());
}

#[test]
fn the_page_needs_nothing_and_lets_nothing_in() {
    let page = html(&report());
    for word in ["http", "<script", "@import", "url(", "src="] {
        assert!(!page.contains(word), "{word}");
    }
    for word in [
        "a&lt;b",
        "&lt;script&gt;",
        "Take <b>sjf/easy</b>",
        "prefers-color-scheme",
        "run not positive",
        "seed 7",
    ] {
        assert!(page.contains(word), "{word}");
    }
    for tag in ["svg", "figure", "div", "table", "dl", "p", "label"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"));
    assert!(page.len() < 60_000, "{} bytes", page.len());
}

#[test]
fn chance_and_today_are_shown() {
    let mut runs = report().runs;
    runs[0].today = true;
    for run in &mut runs {
        run.copies = Copies::of(run.metrics.mean_bounded_slowdown, &[2.0, 3.0]);
    }
    let shown = table(&runs, usize::MAX);
    assert!(shown.contains("fcfs/easy (today)") && shown.contains("1.61*"), "{shown}");
    let first = shown.lines().nth(2).unwrap();
    assert!(first.contains(" 2.00  28.28") && shown.contains("on 2 copies of the jobs"), "{shown}");
}

#[test]
fn what_is_not_known_of_a_run_is_a_dash() {
    let mut runs = report().runs;
    runs[1].copies = Copies::of(runs[1].metrics.mean_bounded_slowdown, &[3.0]);
    let shown = table(&runs, usize::MAX);
    assert!(shown.lines().nth(2).unwrap().contains(" -  ") && shown.contains(" 3.00"), "{shown}");
}

#[test]
fn windows_have_no_time() {
    let w = workload(vec![job(0, 100, 4, 0)]);
    let mut run = run("fcfs", "easy", &w, &[0]);
    run.series.time = None;
    let named = |name: &str| Workload { name: name.into(), ..w.clone() };
    let source = WorkloadSource::of(&[named("t [0+1]"), named("t [5+1]")]).unwrap();
    assert_eq!((source.name.as_str(), source.windows, source.jobs), ("t", 2, 2));
    let page = html(&SimulationReport::new(source, vec![run], None, String::new(), None));
    assert!(page.contains("no plot over time") && page.contains("2 windows"));
}

#[test]
fn an_empty_report_is_a_page() {
    let source = WorkloadSource::of(&[workload(vec![])]).unwrap();
    let report = SimulationReport::new(source, vec![], None, String::new(), None);
    assert!(html(&report).contains("</html>"));
    assert!(json(&report, true).is_ok());
    assert_eq!(table(&[], 0).lines().count(), 2);
}

#[test]
fn cautions() {
    let mut w = workload(vec![job(0, 100, 4, 0), job(10, 100, 4, 0)]);
    w.changed.insert("estimate_missing_taken_from_run", 2);
    let cautions = WorkloadSource::of(&[w]).unwrap().cautions();
    assert!(cautions[0].contains("20.00 times") && cautions[1].contains("2 records"), "{cautions:?}");
}

#[test]
fn durations() {
    for (s, shown) in [
        (0.0, "0 s"),
        (0.25, "0.2 s"),
        (43.0, "43 s"),
        (120.0, "2 min"),
        (7_200.0, "2 h"),
        (19_000.0, "5.3 h"),
        (86_400.0, "24 h"),
        (270_000.0, "3.1 d"),
    ] {
        assert_eq!(duration(s), shown);
    }
}

#[test]
fn json_of_one_run_has_its_fields_at_the_top() {
    let mut report = report();
    report.runs.truncate(1);
    let value: serde_json::Value = serde_json::from_str(&json(&report, false).unwrap()).unwrap();
    let fields =
        ["policy", "discipline", "jobs", "dropped", "mean_wait_s", "mean_bounded_slowdown", "utilisation"];
    for field in fields.iter().chain(&["sum_start"]) {
        assert!(!value[field].is_null() && value[field] == value["runs"][0][field], "{field}: {value}");
    }
    assert!(value["series"].is_null() && value["version"].is_string());
}

#[test]
fn a_narrow_table_says_what_it_leaves_out() {
    let runs = report().runs;
    let widest = |shown: &str| shown.lines().take(4).map(|l| l.chars().count()).max().unwrap();
    let whole = table(&runs, usize::MAX);
    assert_eq!(table(&runs, widest(&whole)), whole);
    let narrow = table(&runs, 80);
    assert!(
        widest(&narrow) <= 80 && narrow.contains("to fit the width: Gini, slowdown p99, p50"),
        "\n{narrow}"
    );
}
