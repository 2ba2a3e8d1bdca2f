//! `simulate` as a user types it: exact figures on a small log, what is wrong with input, the HTML file, and the cluster's own history.

use crate::common::cli::{self, Done};
use crate::common::process::Process;
use crate::common::{SOON, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Four cpus; ten seconds of all of them, then a long narrow one, a wide one, and a short narrow one. Two lines are no jobs, and one can not run.
const LOG: &str = "\
; MaxProcs: 4
1 0 -1 10 4 -1 -1 4 10 -1 1 1 -1 -1 -1 -1 -1 -1
2 0 -1 100 1 -1 -1 1 100 -1 1 1 -1 -1 -1 -1 -1 -1
not a job
3 1 -1 10 4 -1 -1 4 10 -1 1 2 -1 -1 -1 -1 -1 -1
4 2 -1 x 1 -1 -1 1 10 -1 1 2 -1 -1 -1 -1 -1 -1
5 2 -1 20 1 -1 -1 1 20 -1 1 2 -1 -1 -1 -1 -1 -1
6 3 -1 20 9 -1 -1 9 20 -1 1 2 -1 -1 -1 -1 -1 -1
";

struct Traces(tempfile::TempDir);

impl Traces {
    fn new() -> Traces {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("log.swf"), LOG).unwrap();
        Traces(dir)
    }

    fn run(&self, words: &str) -> Done {
        let words: Vec<&str> = ["simulate"].into_iter().chain(words.split(' ')).collect();
        cli::run(self.0.path(), "", &words, "")
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }
}

fn has(value: &Value, expected: Value) {
    for (field, should) in expected.as_object().unwrap() {
        assert_eq!(&value[field], should, "{field} of {value:#}");
    }
}

#[test]
fn one_combination_has_its_figures_at_the_top() {
    let traces = Traces::new();
    let one = traces
        .run("--trace log.swf --procs 4 --policy fcfs --discipline easy --jobs-csv jobs.csv --output json");
    let value = one.code(0).says(&["line 4:", "line 6:", "2 lines of log are malformed"]).json();
    // 1 at 0, 2 at 10, 3 after it at 110, and 5 passes it at 10 without delaying it.
    has(
        &value,
        json!({
            "policy": "fcfs", "discipline": "easy", "jobs": 4, "dropped": {"procs_above_machine": 1},
            "mean_wait_s": (0.0 + 10.0 + 109.0 + 8.0) / 4.0, "mean_bounded_slowdown": (1.0 + 1.1 + 11.9 + 1.4) / 4.0,
            "utilisation": (40.0 + 100.0 + 40.0 + 20.0) / (4.0 * 120.0), "sum_start": 130,
        }),
    );
    let lines = &value["source"]["malformed"];
    assert_eq!((lines["total"].as_u64(), lines["first"][1]["line"].as_u64()), (Some(2), Some(6)));
    let jobs = "job_id,submit,start,end,procs,est\n1,0,0,10,4,10\n2,0,10,110,1,100\n3,1,110,120,4,10\n5,2,10,30,1,20\n";
    assert_eq!(traces.text("jobs.csv"), jobs);
}

#[test]
fn several_are_compared() {
    let traces = Traces::new();
    let all = "--trace log.swf --policy all --discipline all --html report.html --jobs-csv jobs.csv";
    let value = traces.run(&format!("{all} --output json")).code(0).json();
    let again = traces.run(&format!("{all} --output json")).code(0).json();
    assert_eq!(value["runs"], again["runs"], "the same again");
    assert!(value["jobs"].is_null() && value["runs"].as_array().unwrap().len() == 45);
    let strict = value["runs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["policy"] == "fcfs" && r["discipline"] == "strict");
    has(strict.unwrap(), json!({"jobs": 4, "sum_start": 10 + 110 + 120}));
    assert!(value["recommendation"]["why"].as_str().unwrap().contains("slowdown"));
    let page = traces.text("report.html");
    assert!(
        page.contains("<svg") && page.contains("fcfs/strict") && !page.contains("http"),
        "needs no network"
    );
    assert!(traces.text("jobs.sjf-conservative.csv").starts_with("job_id,"));
    let table = traces.run("--trace log.swf --policy fcfs,sjf").code(0).stdout;
    for part in [
        "fcfs/easy",
        "sjf/easy",
        "Take ",
        "taskyard simulate --trace log.swf",
        "left out: 1 (procs above machine)",
    ] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
}

#[test]
fn what_is_made_up_can_be_made_again() {
    let traces = Traces::new();
    let first = traces.run("--generate lublin:jobs=200,seed=7 --policy sjf --output json").code(0).json();
    has(&first, json!({"seed": 7, "jobs": 200}));
    let name = first["source"]["name"].as_str().unwrap();
    let again = traces.run(&format!("--generate {name} --policy sjf --output json")).code(0).json();
    assert_eq!(first["runs"], again["runs"]);
    let other = traces.run("--generate lublin:jobs=200,seed=8 --policy sjf --output json").code(0).json();
    assert_ne!(first["sum_start"], other["sum_start"]);
}

#[test]
fn windows_and_protocols() {
    let traces = Traces::new();
    let words = "--trace log.swf --filter rlwin --windows 0,1:2 --policy sjf --discipline commit-backfill --output json";
    let value = traces.run(words).code(0).json();
    has(&value, json!({"jobs": 4, "discipline": "commit-backfill"}));
    assert_eq!(value["windows"].as_array().unwrap().len(), 2);
}

#[test]
fn impossible_input_is_told_with_a_remedy() {
    let traces = Traces::new();
    fs::write(traces.0.path().join("empty.swf"), "; nothing\n").unwrap();
    let cases = [
        ("--trace log.swf --policy fcsf", 2, "--policy"),
        ("--trace log.swf --discipline easy,lazy", 2, "lazy"),
        ("--trace log.swf --ties never", 2, "batch, pyss"),
        ("--trace log.swf --procs 0", 2, "--procs"),
        ("--trace log.swf --windows 3:2", 2, "begin at 2"),
        ("--trace log.swf --windows 3", 2, "--windows"),
        ("--trace log.swf --max-wait 0s", 2, "--max-wait"),
        ("--trace log.swf --policy drf --discipline commit", 2, "take drf out"),
        ("--trace log.swf --html no/where.html", 2, "no/where.html"),
        ("--trace log.swf --generate daily", 2, "cannot be used with"),
        ("--generate lublin:load=-1", 2, "load"),
        ("--generate weekly", 2, "heavy-tail"),
        ("--policy fcfs", 2, "--trace"),
        ("--trace none.swf", 2, "none.swf"),
        ("--trace empty.swf --procs 4", 2, "no job is left"),
    ];
    for (words, code, part) in cases {
        let done = traces.run(words);
        assert!(done.code == code && done.stderr.contains(part), "{words}: {done:?}");
        assert!(!done.stderr.contains("panicked"), "{words}: {done:?}");
    }
}

#[test]
fn the_past_of_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let words = ["dev", "--listen", "127.0.0.1:0", "--name", "n1", "--cpus", "2", "--mem", "2GiB"];
    let _dev = Process::spawn("dev", cli::command(home, "", &words), &home.join("dev.log"));
    let run = |words: &[&str]| cli::run(home, "", words, "");
    eventually("the node is there", SOON, || {
        run(&["nodes", "--output", "ids"]).stdout.contains("n1").then_some(())
    });
    let nothing = run(&["simulate", "--from-cluster"]).says(&["no job is left"]);
    assert_ne!(nothing.code, 0);
    let submit = [
        "submit",
        "--wait",
        "--array",
        "1-6",
        "--estimate",
        "1s",
        "--mem",
        "64MiB",
        "--",
        "sh",
        "-c",
        "sleep 0.2",
    ];
    run(&submit).code(0);
    run(&["submit", "--hold", "--", "true"]).code(0);
    let words = ["simulate", "--from-cluster", "--since", "1h", "--policy", "fcfs,sjf", "--output", "json"];
    let value = run(&words).code(0).json();
    let (source, runs) = (&value["source"], value["runs"].as_array().unwrap());
    assert_eq!((source["nodes"].as_u64(), source["cpus"].as_f64()), (Some(1), Some(2.0)), "{value:#}");
    assert_eq!(
        (runs.len(), &runs[0]["jobs"], &runs[0]["dropped"]),
        (2, &json!(6), &json!({"never_started": 1}))
    );
    assert!(runs[0]["utilisation"].as_f64().unwrap() > 0.9, "two at a time: {value:#}");
    let one = run(&["simulate", "--from-cluster", "--policy", "sjf"]).code(0);
    assert!(one.stdout.contains("this cluster since 7d") && Path::new(home).is_dir(), "{one:?}");
}
