//! Where tasks run, as jobs and operators wish it: alone, apart, preferred, everywhere, and not before maintenance.
//! On a server and three agents.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::desk::Desk;
use crate::common::{SOON, eventually};
use std::collections::BTreeSet;

/// At three nodes in places of their own.
fn at_three() -> Desk {
    let mut cluster = Cluster::start(0, "4", ServerOptions::default());
    for (name, zone, row) in [("n1", "a", "left"), ("n2", "b", "left"), ("n3", "c", "right")] {
        let labels = [format!("zone={zone}"), format!("row={row}")];
        cluster.add_agent(name, &["--cpus", "4", "--label", &labels[0], "--label", &labels[1]]);
    }
    cluster.wait_nodes(3);
    Desk::at(cluster)
}

/// Submits a job whose tasks stay until they are cancelled.
fn sleeps(desk: &Desk, options: &[&str]) -> String {
    desk.submit(&[options, &["--", "sleep", "600"]].concat())
}

/// The nodes of a job's running tasks, once `running` of them run; one for each task.
fn nodes_of(desk: &Desk, job: &str, running: usize) -> Vec<String> {
    let mut http = desk.cluster.server.http();
    eventually(&format!("{running} tasks of job {job} run"), SOON, || {
        let tasks = http.get(&format!("/v1/jobs/{job}/tasks?state=running"));
        let on = |task: &serde_json::Value| task["node"].as_str().unwrap().to_owned();
        let nodes: Vec<String> = tasks["items"].as_array()?.iter().map(on).collect();
        (nodes.len() == running).then_some(nodes)
    })
}

/// Waits until `explain` says this of a job that does not run.
fn waits(desk: &Desk, job: &str, why: &str) {
    eventually(&format!("job {job} waits: {why}"), SOON, || {
        let said = desk.run(&["explain", job]).code(0).stdout;
        said.contains(why).then_some(())
    });
    let counts = &desk.cluster.server.http().get(&format!("/v1/jobs/{job}"))["tasks"];
    assert!(counts["pending"].as_u64().unwrap() > 0, "{counts}");
}

fn cancel(desk: &Desk, target: &str) {
    desk.run(&["cancel", target]).code(0);
}

fn distinct(nodes: &[String]) -> BTreeSet<&str> {
    nodes.iter().map(String::as_str).collect()
}

#[test]
fn nothing_starts_that_may_run_into_maintenance() {
    let desk = at_three();
    let set = ["maintenance", "set", "kernel", "--from", "+1h", "--until", "+2h", "--nodes", "zone in (a,b)"];
    desk.run(&set).code(0);
    assert!(desk.run(&["maintenance"]).code(0).stdout.contains("kernel"));
    let here = ["--constraint", "zone == a"];
    let endless = sleeps(&desk, &here);
    let long = sleeps(&desk, &[&here[..], &["--time-limit", "2h"]].concat());
    let short = sleeps(&desk, &[&here[..], &["--time-limit", "30m"]].concat());
    assert_eq!(nodes_of(&desk, &short, 1), ["n1"], "it is sure to have ended by then");
    for job in [&endless, &long] {
        waits(&desk, job, "maintenance \"kernel\" begins before the task is sure to have ended");
    }
    let elsewhere = sleeps(&desk, &["--array", "1-4"]);
    assert_eq!(
        distinct(&nodes_of(&desk, &elsewhere, 4)),
        BTreeSet::from(["n3"]),
        "the only node without a window"
    );
    desk.run(&["maintenance", "delete", "kernel"]).code(0);
    for job in [&endless, &long] {
        assert_eq!(nodes_of(&desk, job, 1), ["n1"], "it was called off");
    }
    desk.run(&["maintenance", "delete", "kernel"]).code(4);
}

#[test]
fn exclusive_tasks_run_alone_and_tasks_of_one_job_apart() {
    let desk = at_three();
    let here = ["--constraint", "zone == b"];
    let small = sleeps(&desk, &here);
    nodes_of(&desk, &small, 1);
    let alone = sleeps(&desk, &[&here[..], &["--exclusive"]].concat());
    waits(&desk, &alone, "runs other work, and the task needs a node to itself");
    cancel(&desk, &small);
    assert_eq!(nodes_of(&desk, &alone, 1), ["n2"]);
    let after = sleeps(&desk, &here);
    waits(&desk, &after, "runs a task that has the node to itself");
    cancel(&desk, &alone);
    assert_eq!(nodes_of(&desk, &after, 1), ["n2"]);

    let apart = sleeps(&desk, &["--apart", "--array", "1-4"]);
    let nodes = nodes_of(&desk, &apart, 3);
    assert_eq!(distinct(&nodes), BTreeSet::from(["n1", "n2", "n3"]));
    waits(&desk, &apart, "already runs a task of the job, and its tasks must run apart");
    let by_label = sleeps(&desk, &["--apart-by", "row", "--array", "1-3"]);
    let nodes = nodes_of(&desk, &by_label, 2);
    assert!(nodes.contains(&"n3".to_owned()), "n1 and n2 are in one row: {nodes:?}");
    waits(&desk, &by_label, "a node with \"row == left\" already runs a task of the job");
    cancel(&desk, &by_label);
    // Another job's tasks may be there, and the fourth task goes where the first one was.
    nodes_of(&desk, &sleeps(&desk, &["--apart", "--array", "1-3"]), 3);
    let first = desk.cluster.server.http().get(&format!("/v1/jobs/{apart}/tasks/1"));
    cancel(&desk, &format!("{apart}.1"));
    let fourth = desk.cluster.wait_task(apart.parse().unwrap(), 4, "running");
    assert_eq!(fourth["node"], first["node"]);
    assert_eq!(distinct(&nodes_of(&desk, &apart, 3)).len(), 3);
}

#[test]
fn preferred_nodes_come_first_and_a_broadcast_goes_everywhere() {
    let desk = at_three();
    // The least loaded node is another each time but for the wish; a full one is no choice.
    let liked = sleeps(&desk, &["--array", "1-4", "--prefer", "zone == b:100"]);
    assert_eq!(distinct(&nodes_of(&desk, &liked, 4)), BTreeSet::from(["n2"]));
    let next = sleeps(&desk, &["--array", "1-4", "--prefer", "zone == b:100", "--prefer", "zone == a:-100"]);
    assert_eq!(distinct(&nodes_of(&desk, &next, 4)), BTreeSet::from(["n3"]), "the other one is avoided");
    cancel(&desk, &liked);
    cancel(&desk, &next);

    let all = sleeps(&desk, &["--broadcast"]);
    assert_eq!(distinct(&nodes_of(&desk, &all, 3)), BTreeSet::from(["n1", "n2", "n3"]));
    let some = sleeps(&desk, &["--broadcast", "--constraint", "zone == a || zone == c"]);
    assert_eq!(distinct(&nodes_of(&desk, &some, 2)), BTreeSet::from(["n1", "n3"]));
    let shown = desk.run(&["show", &some, "--output", "json"]).code(0).json();
    assert_eq!(shown["tasks"]["total"], 2, "{shown}");
    desk.run(&["submit", "--broadcast", "--array", "1-3", "--", "true"]).code(2).says(&["--broadcast"]);
    let nowhere = ["submit", "--broadcast", "--constraint", "zone == d", "--wait-for-nodes", "--", "true"];
    desk.run(&nowhere).code(2).says(&["--broadcast", "no node that is up could run it"]);
}
