//! `simulate` as a user types it: exact figures on a small log, what is wrong with input, the HTML file, and the
//! cluster's own history.

use crate::common::cli::{self, Done};
use crate::common::process::Process;
use crate::common::{SOON, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Four cpus; ten seconds of all of them, then a long narrow one, a wide one, and a short narrow one. Two lines are
/// no jobs, and one can not run.
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

/// A wide job, and narrow ones that come all the time: without a longest wait `sjf` leaves it for the end, which a
/// day ends too late.
fn log_that_starves() -> String {
    let line = |id: u64, submit: u64, run: u64, procs: u64| {
        format!("{id} {submit} -1 {run} {procs} -1 -1 {procs} {run} -1 1 1 -1 1 -1 -1 -1 -1\n")
    };
    let narrow = (0..4_000).map(|i| line(i + 3, 10 + i * 100, 390, 1));
    let wide = [line(1, 0, 50, 4), line(2, 5, 4_000, 4)];
    "; MaxProcs: 4\n".to_owned() + &wide.into_iter().chain(narrow).collect::<String>()
}

#[test]
fn what_is_recommended_is_a_pair_that_no_run_beats() {
    let desk = Traces::new();
    fs::write(desk.0.path().join("starves.swf"), log_that_starves()).unwrap();
    let value = desk.run("--trace starves.swf --copies 2 --output json").code(0).json();
    let runs = value["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10, "five orders, each with a longest wait of a day and without");
    let key = |run: &Value| {
        ["mean_bounded_slowdown", "wait_max_s", "utilisation"].map(|field| run[field].as_f64().unwrap())
    };
    let taken = runs.iter().find(|run| run["recommended"] == true).unwrap();
    has(&value["recommendation"], json!({"policy": taken["policy"], "max_wait": taken["max_wait"]}));
    let [slowdown, longest, used] = key(taken);
    for run in runs {
        let [its_slowdown, its_longest, its_used] = key(run);
        let no_worse = its_slowdown <= slowdown && its_longest <= longest && its_used >= used;
        assert!(!no_worse || key(run) == key(taken), "{run:#} beats {taken:#}");
        assert_eq!(run["copies"]["count"], 2);
    }
    let longest_of = |wait: &str| {
        let of = |run: &&Value| run["policy"] == "sjf" && run["max_wait"] == wait;
        runs.iter().find(of).unwrap()["wait_max_s"].as_f64().unwrap()
    };
    assert!(longest_of("1d") < 100_000.0 && longest_of("off") > 300_000.0, "as it is lived: {runs:#?}");
}

#[test]
fn logs_as_they_come() {
    let desk = Traces::new();
    let figures = |words: &str, stdin: &str| {
        let words: Vec<&str> = ["simulate"].into_iter().chain(words.split(' ')).collect();
        let words = [&words[..], &["--policy", "fcfs", "--discipline", "easy", "--output", "json"]].concat();
        cli::run(desk.0.path(), "", &words, stdin)
    };
    let expected = figures("--trace log.swf", "").code(0).json();
    let marked = figures("--trace -", &format!("\u{feff}{}", LOG.replace('\n', "\r\n")));
    let marked = marked.code(0).says(&["line 4:", "lines of standard input are malformed"]).json();
    assert_eq!((&marked["sum_start"], &marked["jobs"]), (&expected["sum_start"], &expected["jobs"]));
    let parts = "; MaxProcs: 1,024\n1 0 0 300 512 -1 -1 512 400 -1 1 1 1 1 1 1 -1 -1\n1 0 0 100 4 -1 -1 4 400 -1 2 1 1 1 1 1 -1 -1\n";
    let value = figures("--trace -", parts).code(0).json();
    has(&value, json!({"jobs": 1, "dropped": {"part_of_a_job_with_a_line_of_its_own": 1}}));
    assert_eq!(value["source"]["cpus"], 1_024.0);
    let twice = figures("--trace -", &LOG.replace("\n2 0 -1", "\n1 0 -1")).code(0).json();
    assert_eq!(twice["source"]["changed"]["job_number_seen_before"], 1);
    for (text, says) in [("", "the file is empty"), ("\u{1}\u{2}\n", "is this a log in SWF?")] {
        let refused = figures("--trace -", text).code(2);
        assert!(refused.stderr.contains(says) && !refused.stderr.contains("--procs"), "{refused:?}");
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
        ("--trace log.swf --policy drf --discipline commit", 2, "leave out drf"),
        ("--trace log.swf --html no/where.html", 2, "no/where.html"),
        ("--trace log.swf --generate daily", 2, "cannot be used with"),
        ("--generate lublin:load=-1", 2, "load"),
        ("--generate weekly", 2, "heavy-tail"),
        ("--policy fcfs", 2, "--trace"),
        ("--trace none.swf", 2, "none.swf"),
        ("--trace empty.swf --procs 4", 2, "no job remains"),
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
    let nothing = run(&["simulate", "--from-cluster"]).says(&["no job remains"]);
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
    run(&["queue", "set", "default", "--policy", "priority"]).code(0);
    let block = run(&["submit", "--parsable", "--cpus", "2", "--", "sleep", "1"]).code(0).id().to_string();
    let mut ids = vec![block];
    for (priority, account) in [("1", "a"), ("2", "b"), ("3", "c")] {
        let words = ["submit", "--parsable", "--cpus", "2", "--priority", priority, "--account", account];
        let words = [&words[..], &["--estimate", "1s", "--", "sleep", "0.1"]].concat();
        ids.push(run(&words).code(0).id().to_string());
    }
    let words: Vec<&str> = ["wait"].into_iter().chain(ids.iter().map(String::as_str)).collect();
    run(&words).code(0);
    let words = ["simulate", "--from-cluster", "--policy", "fcfs,priority", "--jobs-csv", "starts.csv"];
    let told = run(&[&words[..], &["--output", "json"]].concat()).code(0).json();
    let today = told["runs"].as_array().unwrap().iter().find(|run| run["today"] == true).unwrap();
    has(today, json!({"policy": "priority", "users": 4}));
    let order = |file: &str| {
        let text = fs::read_to_string(home.join(file)).unwrap();
        let mut rows: Vec<(f64, String)> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect::<Vec<_>>())
            .map(|fields| (fields[2].parse().unwrap(), fields[0].to_owned()))
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.into_iter().map(|(_, id)| id).filter(|id| ids.contains(id)).collect::<Vec<_>>()
    };
    assert_eq!(order("starts.fcfs-easy.csv"), ids);
    assert_eq!(order("starts.priority-easy.csv"), [0, 3, 2, 1].map(|i: usize| ids[i].clone()));
    let one = run(&["simulate", "--from-cluster", "--policy", "sjf"]).code(0);
    assert!(one.stdout.contains("this cluster since 7d") && Path::new(home).is_dir(), "{one:?}");
}
