//! How long a server may be away without any task noticing, with the default settings: the figure that the guide tells.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::{SOON, eventually};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the guide promises (`docs/guide/promises.md`, `docs/guide/operations.md`).
const PROMISED: Duration = Duration::from_secs(8);
/// Agents with heartbeats of their own, so that an outage begins at several moments between two of them.
const NODES: usize = 4;

/// Two tasks on each node, which write when they are asked to end, and go on.
fn start_tasks(cluster: &Cluster, dir: &Path) {
    let script = format!(
        "cd {0}; trap 'echo $TASKYARD_NODE >> asked' TERM; echo >> started; until [ -e done ]; do sleep 0.1; done",
        dir.display()
    );
    for grace in ["5s", "30s"] {
        let spec = json!({ "command": ["sh", "-c", script], "cpus": "1", "grace": grace, "array": format!("1-{NODES}") });
        cluster.submit(spec);
    }
    let started = || fs::read_to_string(dir.join("started")).unwrap_or_default().lines().count();
    eventually("all tasks run", SOON, || (started() == 2 * NODES).then_some(()));
}

/// Who was asked to end.
fn asked(dir: &Path) -> String {
    fs::read_to_string(dir.join("asked")).unwrap_or_default()
}

/// Waits until every lease is as long as it gets: each agent was heard of twice after this moment.
fn settle(cluster: &Cluster) {
    let began = Instant::now();
    let mut http = cluster.server.http();
    eventually("all agents are heard of again", SOON, || {
        let nodes = http.get("/v1/nodes");
        let fresh = |node: &serde_json::Value| node["last_seen_age_ms"].as_u64().is_some_and(|ms| ms < 2_000);
        let all = nodes["items"].as_array().unwrap().iter().filter(|node| fresh(node)).count() == NODES;
        (all && began.elapsed() > Duration::from_millis(2_500)).then_some(())
    });
}

#[test]
fn no_task_notices_an_outage_as_short_as_the_guide_says() {
    let mut cluster = Cluster::start(NODES, "2", ServerOptions::default());
    let dir = cluster.workplace("witness");
    start_tasks(&cluster, &dir);
    settle(&cluster);

    let away = Instant::now();
    cluster.server.pause(true);
    eventually("the server was paused long enough", 2 * PROMISED, || {
        (away.elapsed() >= PROMISED).then_some(())
    });
    cluster.server.pause(false);
    settle(&cluster);
    assert_eq!(asked(&dir), "", "a pause of {PROMISED:?} was noticed");

    // Killed and started again: it is away until it takes agents.
    let away = Instant::now();
    cluster.server.kill9();
    let down = PROMISED - Duration::from_secs(2);
    eventually("the server was down long enough", PROMISED, || (away.elapsed() >= down).then_some(()));
    cluster.server.restart();
    let restarted = away.elapsed();
    settle(&cluster);
    if restarted <= PROMISED {
        assert_eq!(asked(&dir), "", "a restart that took {restarted:?} was noticed");
    }

    // The true figure: when the first of all tasks is asked to end.
    let away = Instant::now();
    cluster.server.pause(true);
    let first = eventually("a task is asked to end", 2 * PROMISED, || {
        (!asked(&dir).is_empty()).then(|| away.elapsed())
    });
    assert!(first > PROMISED + Duration::from_millis(500), "the first task was asked to end after {first:?}");
    cluster.server.pause(false);
    fs::write(dir.join("done"), "").unwrap();
    println!(
        "paused for {PROMISED:?}, restarted in {restarted:?}; the first of {} tasks noticed after {first:?}",
        2 * NODES
    );
}
