//! What the planner promises, and what it says of work that waits.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::desk::Desk;
use crate::common::{SOON, eventually};
use serde_json::Value;

/// At a node of 4 CPUs.
fn at_one() -> Desk {
    let mut cluster = Cluster::start(0, "4", ServerOptions::default());
    cluster.add_agent("n1", &["--cpus", "4", "--mem", "8GiB"]);
    cluster.wait_nodes(1);
    Desk::at(cluster)
}

/// Explains a job once its sentence has a part.
fn explained(desk: &Desk, job: &str, part: &str) -> Value {
    eventually(part, SOON, || {
        let answer = desk.types(&format!("explain {job} --output json")).code(0).json();
        answer["sentence"].as_str().unwrap().contains(part).then_some(answer)
    })
}

/// The change of one thing with which it would start.
fn helps(answer: &Value, dimension: &str) -> Value {
    let all = answer["counterfactuals"].as_array().unwrap();
    let found = all.iter().find(|one| one["dimension"] == dimension && one["outcome"] == "starts");
    found.unwrap_or_else(|| panic!("{dimension} would help: {answer:#}")).clone()
}

#[test]
fn explain_names_what_keeps_a_job_and_what_would_help() {
    let desk = at_one();
    desk.types("node drain n1").code(0);
    let job = desk.submit(&["--", "true"]);
    let drained = explained(&desk, &job, "every node that could run it is draining");
    assert_eq!(drained["start"]["kind"], "nodes_away");
    assert_eq!(helps(&drained, "resume")["name"], "n1");
    desk.types("node resume n1").code(0);
    desk.types(&format!("wait {job} --timeout 30s")).code(0);

    let apart = desk.submit(&["--array", "1-2", "--apart", "--", "sh", "-c", &desk.until("go")]);
    let apart = explained(&desk, &apart, "already runs a task of the job");
    assert_eq!(apart["start"]["kind"], "own_ends_unknown");
    assert_eq!(helps(&apart, "apart")["node"], "n1");

    desk.types("submit --hold --priority 5 -- true").code(0).says(&["priority 5 has no effect", "fcfs"]);
    desk.types("queue set default --policy priority").code(0);
    let full = desk.submit(&["--cpus", "4", "--priority", "1", "--", "true"]);
    desk.types("pool set default --discipline strict").code(0);
    let behind = desk.submit(&["--cpus", "1", "--", "true"]);
    let behind = explained(&desk, &behind, &format!("job {full} goes first"));
    assert_eq!(helps(&behind, "priority")["with"], 2);
    desk.let_go("go", 0);
}

#[test]
fn small_jobs_without_limits_do_not_pass_a_wide_one_for_good() {
    let desk = at_one();
    let order = desk.home.join("order");
    let submit = |name: &str, options: &[&str]| {
        let script = format!("echo {name} >> {}; sleep 0.5", order.display());
        desk.submit(&[options, &["--", "sh", "-c", &script]].concat())
    };
    let jobs = [
        submit("front", &["--array", "1-8"]),
        submit("wide", &["--cpus", "4"]),
        submit("later", &["--array", "1-24"]),
    ];
    desk.types(&format!("wait {} --timeout 60s", jobs.join(" "))).code(0);
    let order = desk.read("order");
    let passed = order.lines().take_while(|line| *line != "wide").filter(|line| *line == "later").count();
    assert_eq!(order.lines().count(), 33, "{order}");
    assert!(passed <= 8, "{passed} of 24 passed it: {order}");
}

#[test]
fn a_pool_says_what_conservative_means() {
    let desk = at_one();
    desk.types("pool set default --discipline conservative")
        .code(0)
        .says(&["plans the first 2000 waiting tasks"]);
    let pool = desk.types("pool set default --reserve-after none --output json").code(0).json();
    assert_eq!(pool["reserve_after_ms"], Value::Null);
    desk.types("pool set default --reserve-after soon").code(2).says(&["--reserve-after", "soon"]);
}
