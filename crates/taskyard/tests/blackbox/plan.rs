//! `plan` and `explain` on the real binary: what would come of a job, when one that waits starts, what would help it,
//! and how it was before.

use crate::common::desk::Desk;
use crate::common::{SOON, eventually};
use std::fs;

/// How often the leader has looked at why jobs wait.
fn looks(desk: &Desk) -> u64 {
    let metrics = desk.cluster.server.http().ask("GET", "/metrics", None).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("taskyard_reason_looks_total "));
    line.unwrap().parse().unwrap()
}

fn runs(desk: &Desk, job: &str) {
    eventually("it runs", SOON, || (desk.state(job) == "running").then_some(()));
}

#[test]
fn a_plan_tells_and_changes_nothing() {
    let desk = Desk::new("4");
    let file = |text: &str| fs::write(desk.home.join("job.toml"), text).unwrap();
    file("command = [\"true\"]\ncpus = 4\n");
    let starts = desk.run(&["plan", "job.toml"]).code(0);
    assert!(starts.stdout.starts_with("it would start now\n"), "{starts:?}");
    assert!(starts.stdout.contains("delays    no job"), "{starts:?}");

    let long = desk.submit(&["--cpus", "3", "--time-limit", "1h", "--", "sleep", "600"]);
    runs(&desk, &long);
    let waits = desk.run(&["plan", "job.toml"]).code(1);
    assert!(waits.stdout.starts_with("it would wait: every node that could run it is busy"), "{waits:?}");
    assert!(waits.stdout.contains(", as planned"), "{waits:?}");
    assert!(waits.stdout.contains(&format!("the end of job {long}, in ")), "{waits:?}");
    assert!(waits.stdout.contains("with 3 fewer CPUs it would start now on "), "{waits:?}");
    let small = desk.run(&["plan", "job.toml", "--cpus", "1", "--output", "json"]).code(0).json();
    assert_eq!((&small["verdict"], &small["starts_now"]), (&"starts".into(), &1.into()), "{small}");

    let input = "{\"command\": [\"true\"], \"cpus\": 5, \"array\": \"1-3\"}";
    let never = desk.input(&["plan", "-"], input).code(255);
    assert!(never.stdout.starts_with("it would never start: no node could ever run it"), "{never:?}");
    never.says(&["submit refuses it, unless with --wait-for-nodes"]);

    // Mistakes have the codes that they have everywhere.
    file("command = [\"true\"]\nqueue = \"nowhere\"\n");
    desk.run(&["plan", "job.toml"]).code(2).says(&["job.toml: queue"]);
    file("command = [\"true\"]\ncpu = 4\n");
    desk.run(&["plan", "job.toml"]).code(2).says(&["cpu"]);
    let jobs = desk.run(&["jobs", "--output", "ids"]).code(0);
    assert_eq!(jobs.stdout.trim(), long, "nothing was submitted");
}

#[test]
fn explain_tells_the_start_and_what_was_before() {
    let desk = Desk::new("4");
    let first = desk.submit(&["--cpus", "3", "--estimate", "30m", "--", "sleep", "600"]);
    runs(&desk, &first);
    let waits = desk.submit(&["--cpus", "2", "--time-limit", "2h", "--", "true"]);
    let said = desk.run(&["explain", &waits]).code(0).stdout;
    let end = format!("the end of job {first}, in ");
    for part in [", as planned", &end, "by its estimate", "with 1 fewer CPU it would start now on "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    desk.run(&["hold", &waits]).code(0);
    // Nobody asks while it is held: the leader looks by itself. A look under way may be from before, the one after it
    // is not.
    let seen = looks(&desk) + 2;
    eventually("the leader has seen the hold", SOON, || (looks(&desk) >= seen).then_some(()));
    desk.run(&["release", &waits]).code(0);
    let why = desk.run(&["explain", &waits, "--output", "json"]).code(0).json();
    let reasons: Vec<_> =
        why["history"].as_array().unwrap().iter().map(|past| past["reason"].clone()).collect();
    assert_eq!(reasons, ["no_node_free", "held", "no_node_free"], "{why}");
    desk.run(&["cancel", &first]).code(0);
}

#[test]
fn many_jobs_are_planned_each_by_itself() {
    let desk = Desk::new("4");
    let file = |name: &str, text: &str| fs::write(desk.home.join(name), text).unwrap();
    file(
        "now.json",
        r#"[{"command": ["a"], "name": "a", "cpus": 4}, {"command": ["b"], "cpus": 4, "after": ["ok:last"]}]"#,
    );
    let both = desk.run(&["plan", "--from-json", "now.json"]).code(0);
    let starts = both.stdout.lines().filter(|line| line.starts_with("it would start now")).count();
    assert_eq!(starts, 2, "{both:?}");
    assert!(both.stdout.starts_with("now.json: element 1 a\n"), "{both:?}");
    assert!(both.stdout.contains("\nnow.json: element 2, as if the previous job had ended\n"), "{both:?}");

    let long = desk.submit(&["--cpus", "3", "--", "sleep", "600"]);
    runs(&desk, &long);
    let (now, waits, never) =
        (r#"{"command": ["a"]}"#, r#"{"command": ["a"], "cpus": 2}"#, r#"{"command": ["a"], "cpus": 9}"#);
    let ids = |jobs: &[&str], code| {
        desk.input(&["plan", "--from-json", "-", "--output", "ids"], &jobs.join("\n")).code(code).stdout
    };
    assert_eq!(ids(&[now, waits], 1), "starts\nwaits\n");
    assert_eq!(ids(&[never, now, waits], 255), "never\nstarts\nwaits\n");
    let list = desk.input(&["plan", "--from-json", "-", "--output", "json"], now).code(0).json();
    assert_eq!(list[0]["verdict"], "starts", "one alone is a list too: {list}");

    // All are checked before the first is planned.
    file("bad.jsonl", &format!("{waits}\n{}\n", r#"{"command": ["a"], "queue": "nowhere"}"#));
    let bad = desk.run(&["plan", "--from-json", "bad.jsonl", "--output", "json"]).code(2);
    assert_eq!(bad.stdout, "", "{bad:?}");
    bad.says(&["1 of 2 jobs were refused", "bad.jsonl:2: queue", "nowhere"]);
    desk.run(&["plan", "--from-json", "bad.jsonl", "--", "true"]).code(2).says(&["cannot be used with"]);
    assert_eq!(desk.run(&["jobs", "--output", "ids"]).code(0).stdout.trim(), long, "nothing was submitted");
}
