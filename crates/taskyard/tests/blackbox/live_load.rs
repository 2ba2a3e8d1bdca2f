//! A machine that is busy with other things gets less, on the real programs.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::{SOON, eventually};
use serde_json::json;

/// Two agents of one machine. The first offers more memory than any has, so most of that is used elsewhere, as far as
/// anybody can tell; the second offers so little that all of it is idle. By reservations they are equal, and then the
/// older one is taken.
#[test]
fn work_goes_where_memory_is_idle() {
    let mut cluster = Cluster::start(0, "2", ServerOptions::small());
    for (n, memory) in [(1, "100TiB"), (2, "64MiB")] {
        cluster.add_agent(&format!("n{n}"), &["--cpus", "2", "--mem", memory]);
        cluster.wait_nodes(n);
    }
    // No cpu: that is equally busy on both, maybe wholly.
    let spec = json!({ "command": ["true"], "cpus": "0", "memory": "1MiB" });
    let node = || {
        let job = cluster.submit(spec.clone());
        cluster.wait(job);
        cluster.wait_task(job, 1, "succeeded")["node"].as_str().unwrap().to_owned()
    };
    // Until a report has come in nobody knows.
    eventually("a job goes to the second node", SOON, || (node() == "n2").then_some(()));
    let nodes = cluster.server.http().get("/v1/nodes");
    let outside = |n: usize| nodes["items"][n]["other_load"]["memory_bytes"].as_u64().unwrap();
    assert!(outside(0) > 1 << 40 && outside(1) == 0, "{nodes}");
}
