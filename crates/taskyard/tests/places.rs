//! Where tasks run, as jobs and operators wish it: alone, apart, preferred, everywhere, and not before maintenance. On a server and three agents.

#![allow(clippy::unwrap_used, reason = "a test fails when it cannot go on")]

mod common;

use common::cli::{self, Done};
use common::daemon::{Cluster, ServerOptions};
use common::{SOON, eventually};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Nodes `n1`, `n2` and `n3` of four cores, in zones a, b and c; the first two in one row.
struct Desk {
    cluster: Cluster,
    home: PathBuf,
}

impl Desk {
    fn new() -> Desk {
        let mut cluster = Cluster::start(0, "4", ServerOptions::default());
        for (name, zone, row) in [("n1", "a", "left"), ("n2", "b", "left"), ("n3", "c", "right")] {
            let labels = [format!("zone={zone}"), format!("row={row}")];
            cluster.add_agent(name, &["--cpus", "4", "--label", &labels[0], "--label", &labels[1]]);
        }
        cluster.wait_nodes(3);
        let home = cluster.dir.path().join("home");
        fs::create_dir(&home).unwrap();
        Desk { cluster, home }
    }

    fn run(&self, args: &[&str]) -> Done {
        cli::run(&self.home, &self.cluster.server.url, args, "")
    }

    /// Submits a job whose tasks stay until they are cancelled.
    fn sleeps(&self, options: &[&str]) -> String {
        let args = [&["submit", "--parsable"], options, &["--", "sleep", "600"]].concat();
        self.run(&args).code(0).id().to_string()
    }

    /// The nodes of a job's running tasks, once there are so many; a task for each.
    fn nodes(&self, job: &str, running: usize) -> Vec<String> {
        let mut http = self.cluster.server.http();
        eventually(&format!("{running} tasks of job {job} run"), SOON, || {
            let tasks = http.get(&format!("/v1/jobs/{job}/tasks?state=running"));
            let on = |task: &serde_json::Value| task["node"].as_str().unwrap().to_owned();
            let nodes: Vec<String> = tasks["items"].as_array()?.iter().map(on).collect();
            (nodes.len() == running).then_some(nodes)
        })
    }

    /// Waits until `explain` says this of a job that does not run.
    fn waits(&self, job: &str, why: &str) {
        eventually(&format!("job {job} waits: {why}"), SOON, || {
            let said = self.run(&["explain", job]).code(0).stdout;
            said.contains(why).then_some(())
        });
        let counts = &self.cluster.server.http().get(&format!("/v1/jobs/{job}"))["tasks"];
        assert!(counts["pending"].as_u64().unwrap() > 0, "{counts}");
    }

    fn cancel(&self, target: &str) {
        self.run(&["cancel", target]).code(0);
    }
}

fn distinct(nodes: &[String]) -> BTreeSet<&str> {
    nodes.iter().map(String::as_str).collect()
}

#[test]
fn nothing_starts_that_may_run_into_maintenance() {
    let desk = Desk::new();
    let set = ["maintenance", "set", "kernel", "--from", "+1h", "--until", "+2h", "--nodes", "zone in (a,b)"];
    desk.run(&set).code(0);
    assert!(desk.run(&["maintenance"]).code(0).stdout.contains("kernel"));
    let here = ["--constraint", "zone == a"];
    let endless = desk.sleeps(&here);
    let long = desk.sleeps(&[&here[..], &["--time-limit", "2h"]].concat());
    let short = desk.sleeps(&[&here[..], &["--time-limit", "30m"]].concat());
    assert_eq!(desk.nodes(&short, 1), ["n1"], "it is sure to have ended by then");
    for job in [&endless, &long] {
        desk.waits(job, "maintenance \"kernel\" begins before the task is sure to have ended");
    }
    let elsewhere = desk.sleeps(&["--array", "1-4"]);
    assert_eq!(
        distinct(&desk.nodes(&elsewhere, 4)),
        BTreeSet::from(["n3"]),
        "the only node without a window"
    );
    desk.run(&["maintenance", "delete", "kernel"]).code(0);
    for job in [&endless, &long] {
        assert_eq!(desk.nodes(job, 1), ["n1"], "it was called off");
    }
    desk.run(&["maintenance", "delete", "kernel"]).code(4);
}

#[test]
fn exclusive_tasks_run_alone_and_tasks_of_one_job_apart() {
    let desk = Desk::new();
    let here = ["--constraint", "zone == b"];
    let small = desk.sleeps(&here);
    desk.nodes(&small, 1);
    let alone = desk.sleeps(&[&here[..], &["--exclusive"]].concat());
    desk.waits(&alone, "something runs there, and the task is to run alone");
    desk.cancel(&small);
    assert_eq!(desk.nodes(&alone, 1), ["n2"]);
    let after = desk.sleeps(&here);
    desk.waits(&after, "what runs there is to run alone");
    desk.cancel(&alone);
    assert_eq!(desk.nodes(&after, 1), ["n2"]);

    let apart = desk.sleeps(&["--apart", "--array", "1-4"]);
    let nodes = desk.nodes(&apart, 3);
    assert_eq!(distinct(&nodes), BTreeSet::from(["n1", "n2", "n3"]));
    desk.waits(&apart, "has a task of the job, and they are to run apart");
    let by_label = desk.sleeps(&["--apart-by", "row", "--array", "1-3"]);
    let nodes = desk.nodes(&by_label, 2);
    assert!(nodes.contains(&"n3".to_owned()), "n1 and n2 are in one row: {nodes:?}");
    desk.waits(&by_label, "runs where \"row == left\" holds");
    desk.cancel(&by_label);
    // Another job's tasks may be there, and the fourth task goes where the first one was.
    desk.nodes(&desk.sleeps(&["--apart", "--array", "1-3"]), 3);
    let first = desk.cluster.server.http().get(&format!("/v1/jobs/{apart}/tasks/1"));
    desk.cancel(&format!("{apart}.1"));
    let fourth = desk.cluster.wait_task(apart.parse().unwrap(), 4, "running");
    assert_eq!(fourth["node"], first["node"]);
    assert_eq!(distinct(&desk.nodes(&apart, 3)).len(), 3);
}

#[test]
fn preferred_nodes_come_first_and_a_broadcast_goes_everywhere() {
    let desk = Desk::new();
    // The least loaded node is another each time but for the wish; a full one is no choice.
    let liked = desk.sleeps(&["--array", "1-4", "--prefer", "zone == b:100"]);
    assert_eq!(distinct(&desk.nodes(&liked, 4)), BTreeSet::from(["n2"]));
    let next = desk.sleeps(&["--array", "1-4", "--prefer", "zone == b:100", "--prefer", "zone == a:-100"]);
    assert_eq!(distinct(&desk.nodes(&next, 4)), BTreeSet::from(["n3"]), "the other one is avoided");
    desk.cancel(&liked);
    desk.cancel(&next);

    let all = desk.sleeps(&["--broadcast"]);
    assert_eq!(distinct(&desk.nodes(&all, 3)), BTreeSet::from(["n1", "n2", "n3"]));
    let some = desk.sleeps(&["--broadcast", "--constraint", "zone == a || zone == c"]);
    assert_eq!(distinct(&desk.nodes(&some, 2)), BTreeSet::from(["n1", "n3"]));
    let shown = desk.run(&["show", &some, "--output", "json"]).code(0).json();
    assert_eq!(shown["tasks"]["total"], 2, "{shown}");
    desk.run(&["submit", "--broadcast", "--array", "1-3", "--", "true"]).code(2).says(&["--broadcast"]);
    let nowhere = ["submit", "--broadcast", "--constraint", "zone == d", "--wait-for-nodes", "--", "true"];
    desk.run(&nowhere).code(2).says(&["--broadcast", "no node that is up could run it"]);
}
