//! What each route does when all is well.

use super::{Bench, numbers};
use serde_json::json;

#[tokio::test]
async fn a_job_from_submit_to_retry() {
    let bench = Bench::with_node().await;
    let answer = bench
        .post("/v1/jobs", r#"{"spec": {"command": ["sh", "-c", "x"], "array": "10-50:10", "name": "five"}, "request_id": "r1"}"#)
        .await;
    assert_eq!(answer, json!({"job": 1, "tasks": 5, "duplicate": false}));
    let again = bench
        .post("/v1/jobs", r#"{"spec": {"command": ["sh", "-c", "x"], "array": "10-50:10", "name": "five"}, "request_id": "r1"}"#)
        .await;
    assert_eq!(again, json!({"job": 1, "tasks": 5, "duplicate": true}));

    let job = bench.get("/v1/jobs/1").await;
    assert_eq!(
        (&job["state"], &job["user"], &job["name"]),
        (&json!("pending"), &json!("ada"), &json!("five"))
    );
    assert_eq!(job["spec"]["array"], "10-50:10");
    bench.plan().await;
    let tasks = bench.get("/v1/jobs/1/tasks?state=running").await;
    assert_eq!(numbers(&tasks, "task"), [10, 20, 30, 40]);
    assert_eq!(tasks["items"][0]["node"], "n1");
    let explained = bench.get("/v1/jobs/1/explain?task=10").await;
    assert_eq!((&explained["reason"], &explained["sentence"]), (&json!("running"), &json!("it runs on n1")));

    for (index, code) in [(0, 0), (1, 3), (2, 0), (3, 3)] {
        bench.finish(1, index, code).await;
    }
    bench.plan().await;
    bench.finish(1, 4, 0).await;
    let job = bench.get("/v1/jobs/1?spec=false").await;
    assert_eq!(
        (&job["state"], &job["tasks"]["failed"], &job["spec"]),
        (&json!("failed"), &json!(2), &json!(null))
    );
    assert_eq!(
        job["outcomes"],
        json!([{"outcome": "succeeded", "tasks": 3}, {"outcome": "exited", "code": 3, "tasks": 2}])
    );
    let failed: Vec<_> =
        job["failures"].as_array().unwrap().iter().map(|t| (&t["task"], &t["exit_code"])).collect();
    assert_eq!(failed, [(&json!(20), &json!(3)), (&json!(40), &json!(3))]);
    let task = bench.get("/v1/jobs/1/tasks/20").await;
    assert_eq!((&task["attempts"][0]["number"], &task["ran_ms"]), (&json!(1), &json!(20)));

    let retried = bench.post("/v1/jobs/1/retry", r#"{"failed_only": true, "request_id": "r2"}"#).await;
    assert_eq!(retried, json!({"job": 2, "tasks": 2, "duplicate": false}));
    assert_eq!(bench.get("/v1/jobs/2?spec=false").await["retry_of"], 1);
    assert_eq!(job["retry_of"], json!(null));
    assert_eq!(numbers(&bench.get("/v1/jobs/2/tasks").await, "task"), [20, 40]);
    assert_eq!(
        bench.post("/v1/jobs/1/retry", r#"{"failed_only": true, "request_id": "r2"}"#).await["duplicate"],
        true
    );
    bench.stop().await;
}

#[tokio::test]
async fn acts_on_a_job() {
    let bench = Bench::with_node().await;
    let id = bench.submit(r#", "array": "1-6", "retries": 1, "backoff": "1h""#).await;
    let held = bench.post(&format!("/v1/jobs/{id}/hold"), "{}").await;
    assert_eq!((&held["job"]["state"], &held["job"]["reason"]), (&json!("held"), &json!("held")));
    bench.plan().await;
    assert_eq!(bench.get(&format!("/v1/jobs/{id}/explain")).await["reason"], "held");
    let (status, released) = bench.call("POST", &format!("/v1/jobs/{id}/release"), None).await;
    assert_eq!((status, &released["job"]["state"]), (200, &json!("pending")), "a body may be missing");
    bench.plan().await;
    let explained = bench.get(&format!("/v1/jobs/{id}/explain?task=6")).await;
    assert_eq!(explained["reason"], "no_node_free", "{explained:#}");
    assert_eq!(explained["nodes"][0]["nodes"], json!(["n1"]));

    bench.finish(id, 0, 9).await;
    let again = bench.get(&format!("/v1/jobs/{id}/tasks/1")).await;
    // State time stands still here.
    assert_eq!((&again["state"], &again["reason"]), (&json!("pending"), &json!("retried in 1h")));
    let explained = bench.get(&format!("/v1/jobs/{id}/explain?task=1")).await;
    assert_eq!((&explained["reason"], &explained["retry_in_ms"]), (&json!("backoff"), &json!(3_600_000)));
    assert_eq!((&again["exit_code"], &again["attempts"][0]["exit_code"]), (&json!(9), &json!(9)));

    let some = bench.post(&format!("/v1/jobs/{id}/cancel"), r#"{"tasks": "2,5-6"}"#).await;
    assert_eq!(some["tasks"], 3);
    let cancelled = bench.get(&format!("/v1/jobs/{id}/tasks?state=cancelled")).await;
    assert_eq!(numbers(&cancelled, "task"), [5, 6], "what runs is cancelled when it is dead");
    let update = format!("/v1/jobs/{id}");
    let (status, updated) =
        bench.call("PATCH", &update, Some(r#"{"priority": 7, "time_limit": "2h"}"#)).await;
    assert_eq!((status, &updated["job"]["priority"]), (200, &json!(7)));
    assert_eq!(bench.get(&update).await["spec"]["time_limit"], "2h");
    let all = bench.post(&format!("/v1/jobs/{id}/cancel"), "{}").await;
    assert_eq!(all["job"]["tasks"]["pending"], 0);
    bench.stop().await;
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let bench = Bench::start().await;
    for (name, tasks) in [("a", "1-3"), ("b", "1-3"), ("a", "1-3"), ("b", "1-3"), ("a", "1-3000")] {
        bench.submit(&format!(r#", "name": "{name}", "array": "{tasks}""#)).await;
    }
    assert_eq!(numbers(&bench.get("/v1/jobs").await, "id"), [5, 4, 3, 2, 1]);
    let page = bench.get("/v1/jobs?limit=2").await;
    assert_eq!((numbers(&page, "id"), &page["next"]), (vec![5, 4], &json!("4")));
    let page = bench.get("/v1/jobs?limit=2&after=4").await;
    assert_eq!((numbers(&page, "id"), &page["next"]), (vec![3, 2], &json!("2")));
    let page = bench.get("/v1/jobs?limit=2&after=2").await;
    assert_eq!((numbers(&page, "id"), &page["next"]), (vec![1], &json!(null)));
    let page = bench.get("/v1/jobs?name=a&limit=2&ids=1-4").await;
    assert_eq!((numbers(&page, "id"), &page["next"]), (vec![3, 1], &json!(null)));
    assert_eq!(numbers(&bench.get("/v1/jobs?state=running,held").await, "id"), [0; 0]);
    assert_eq!(numbers(&bench.get("/v1/jobs?user=ada&queue=default&ids=2,4").await, "id"), [4, 2]);
    assert_eq!(bench.get("/v1/jobs?limit=1").await["items"][0]["reason"], "no agent");

    let page = bench.get("/v1/jobs/5/tasks?tasks=10-12,1024-1026&limit=4").await;
    assert_eq!((numbers(&page, "task"), &page["next"]), (vec![10, 11, 12, 1024], &json!("1023")));
    let page = bench.get("/v1/jobs/5/tasks?tasks=10-12,1024-1026&limit=4&after=1023").await;
    assert_eq!((numbers(&page, "task"), &page["next"]), (vec![1025, 1026], &json!(null)));
    assert_eq!(numbers(&bench.get("/v1/jobs/5/tasks?state=failed").await, "task"), [0; 0]);
    assert_eq!(numbers(&bench.get("/v1/jobs/5/tasks?limit=10000").await, "task").len(), 3000);
    bench.stop().await;
}

#[tokio::test]
async fn nodes_queues_and_the_cluster() {
    let bench = Bench::with_node().await;
    let nodes = bench.get("/v1/nodes").await;
    assert_eq!(nodes["items"][0]["capacity"]["cpu_milli"], 4_000);
    assert_eq!(
        (&nodes["items"][0]["state"], &nodes["items"][0]["labels"]["zone"]),
        (&json!("up"), &json!("a"))
    );
    let (status, drained) = bench.call("POST", "/v1/nodes/n1/drain", None).await;
    assert_eq!((status, &drained["node"]["state"]), (200, &json!("draining")));
    let warned = bench.post("/v1/jobs", r#"{"spec": {"command": ["true"]}}"#).await;
    assert!(warned["warnings"][0].as_str().unwrap().contains("draining"), "{warned:#}");
    assert_eq!(bench.post("/v1/nodes/n1/resume", "").await["node"]["state"], "up");
    let (status, refused) = bench.call("DELETE", "/v1/nodes/n1", None).await;
    assert_eq!(status, 409);
    assert!(refused["error"]["message"].as_str().unwrap().contains("without TLS"), "{refused:#}");

    let (status, queue) =
        bench.call("PUT", "/v1/queues/gpu", Some(r#"{"policy": "sjf", "weight": 3}"#)).await;
    assert_eq!((status, &queue["policy"], &queue["weight"]), (200, &json!("sjf"), &json!(3)));
    let (_, queue) = bench.call("PUT", "/v1/queues/gpu", Some(r#"{"tier": 2}"#)).await;
    assert_eq!((&queue["policy"], &queue["tier"]), (&json!("sjf"), &json!(2)), "what is left out stays");
    bench.submit(r#", "queue": "gpu", "array": "1-7""#).await;
    let queues = bench.get("/v1/queues").await;
    assert_eq!(
        (&queues["items"][1]["name"], &queues["items"][1]["waiting_tasks"]),
        (&json!("gpu"), &json!(7))
    );

    let cluster = bench.get("/v1/cluster?digest=true").await;
    assert_eq!(
        (&cluster["nodes_up"], &cluster["tasks_pending"], &cluster["leader"]),
        (&json!(1), &json!(8), &json!(1))
    );
    let digest = bench.app.consensus.read(|state| format!("{:016x}", state.digest()));
    assert_eq!(cluster["digest"], json!(digest));
    assert_eq!(bench.get("/v1/cluster").await["digest"], json!(null));
    assert_eq!(bench.send("GET", "/readyz", None).await.status(), 200);
    bench.stop().await;
}
