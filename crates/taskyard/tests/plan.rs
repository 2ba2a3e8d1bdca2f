//! `plan` and `explain` on the real binary: what would come of a job, when one that waits starts, what would help it, and how it was before.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails when it cannot go on, and tells what it saw"
)]

mod common;

use common::cli::{self, Done};
use common::daemon::{Cluster, ServerOptions};
use common::{SOON, eventually};
use std::fs;
use std::path::PathBuf;

/// A cluster whose one node has four cores.
struct Desk {
    cluster: Cluster,
    home: PathBuf,
}

impl Desk {
    fn new() -> Desk {
        let cluster = Cluster::start(1, "4", ServerOptions::default());
        let home = cluster.dir.path().join("home");
        fs::create_dir(&home).unwrap();
        Desk { cluster, home }
    }

    fn run(&self, args: &[&str]) -> Done {
        self.with_input(args, "")
    }

    fn with_input(&self, args: &[&str], input: &str) -> Done {
        cli::run(&self.home, &self.cluster.server.url, args, input)
    }

    fn submit(&self, args: &[&str]) -> String {
        let all: Vec<&str> = ["submit", "--parsable"].iter().chain(args).copied().collect();
        self.run(&all).code(0).id().to_string()
    }

    fn runs(&self, job: &str) {
        eventually("it runs", SOON, || {
            let shown = self.run(&["show", job, "--output", "json"]).code(0).json();
            (shown["state"] == "running").then_some(())
        });
    }
}

#[test]
fn a_plan_tells_and_changes_nothing() {
    let desk = Desk::new();
    let file = |text: &str| fs::write(desk.home.join("job.toml"), text).unwrap();
    file("command = [\"true\"]\ncpus = 4\n");
    let starts = desk.run(&["plan", "job.toml"]).code(0);
    assert!(starts.stdout.starts_with("it would start now\n"), "{starts:?}");
    assert!(starts.stdout.contains("delays    nobody"), "{starts:?}");

    let long = desk.submit(&["--cpus", "3", "--time-limit", "1h", "--", "sleep", "600"]);
    desk.runs(&long);
    let waits = desk.run(&["plan", "job.toml"]).code(1);
    assert!(waits.stdout.starts_with("it would wait: every node that could run it is busy"), "{waits:?}");
    assert!(waits.stdout.contains(", as planned"), "{waits:?}");
    assert!(waits.stdout.contains(&format!("the end of job {long}, in ")), "{waits:?}");
    assert!(waits.stdout.contains("with 3 cpu less it would start now on "), "{waits:?}");
    let small = desk.run(&["plan", "job.toml", "--cpus", "1", "--output", "json"]).code(0).json();
    assert_eq!((&small["verdict"], &small["starts_now"]), (&"starts".into(), &1.into()), "{small}");

    let input = "{\"command\": [\"true\"], \"cpus\": 5, \"array\": \"1-3\"}";
    let never = desk.with_input(&["plan", "-"], input).code(255);
    assert!(never.stdout.starts_with("it would never start: no node could ever run it"), "{never:?}");
    never.says(&["submit refuses it without --wait-for-nodes", "comes nearest: ask for at most 4 of cpu"]);

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
    let desk = Desk::new();
    let first = desk.submit(&["--cpus", "3", "--estimate", "30m", "--", "sleep", "600"]);
    desk.runs(&first);
    let waits = desk.submit(&["--cpus", "2", "--time-limit", "2h", "--", "true"]);
    let said = desk.run(&["explain", &waits]).code(0).stdout;
    let end = format!("the end of job {first}, in ");
    for part in [", as planned", &end, "by its estimate", "with 1 cpu less it would start now on "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    desk.run(&["hold", &waits]).code(0);
    // The leader looks by itself: nobody asks while the job is held.
    eventually("the leader has seen the hold", SOON, || {
        // sleep: nobody may ask before the leader has looked, which it does every two seconds.
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        desk.run(&["release", &waits]).code(0);
        let why = desk.run(&["explain", &waits, "--output", "json"]).code(0).json();
        let reasons: Vec<_> = why["history"].as_array()?.iter().map(|past| past["reason"].clone()).collect();
        let seen = reasons == ["no_node_free", "held", "no_node_free"];
        if !seen {
            desk.run(&["hold", &waits]).code(0);
        }
        seen.then_some(())
    });
    desk.run(&["cancel", &first]).code(0);
}
