//! Jobs that no node could hold: refused where they are asked for, unless they may wait or were taken already.

use super::Bench;
use serde_json::json;

const BIG: &str = r#""command": ["x"], "cpus": 9"#;

#[tokio::test]
async fn what_no_node_could_hold_is_refused_with_the_nearest_and_the_way_out() {
    let bench = Bench::start().await;
    let early = format!(r#"{{"spec": {{{BIG}}}, "request_id": "once"}}"#);
    assert_eq!(bench.post("/v1/jobs", &early).await["job"], 1, "the nodes are not known yet");
    let bench = bench.and_node().await;
    let (status, refused) = bench.call("POST", "/v1/jobs", Some(&format!(r#"{{"spec": {{{BIG}}}}}"#))).await;
    assert_eq!(
        (status, &refused["error"]["field"], &refused["error"]["value"]),
        (422, &json!("cpus"), &json!("9"))
    );
    let remedy = refused["error"]["remedy"].as_str().unwrap();
    assert!(remedy.contains("n1 comes closest") && remedy.contains("--wait-for-nodes"), "{refused:#}");
    let waits = bench.post("/v1/jobs", &format!(r#"{{"spec": {{{BIG}, "wait_for_nodes": true}}}}"#)).await;
    assert_eq!(waits["job"], 2);
    assert!(waits["warnings"][0].as_str().unwrap().contains("waits for another node"), "{waits:#}");
    bench.stop().await;
}

#[tokio::test]
async fn what_was_taken_once_is_not_refused_later() {
    let bench = Bench::start().await;
    let early = format!(r#"{{"spec": {{{BIG}}}, "request_id": "once"}}"#);
    bench.post("/v1/jobs", &early).await;
    let bench = bench.and_node().await;
    let again = bench.post("/v1/jobs", &early).await;
    assert_eq!((&again["job"], &again["duplicate"]), (&json!(1), &json!(true)), "its answer was lost");
    bench.post("/v1/jobs/1/cancel", "").await;
    assert_eq!(bench.post("/v1/jobs/1/retry", "{}").await["job"], 2);
    bench.stop().await;
}

#[tokio::test]
async fn a_job_moves_only_to_where_it_could_run_unless_it_waits_for_a_node_anyway() {
    let bench = Bench::with_node().await;
    let nowhere = r#"{"nodes": "zone == z"}"#;
    assert_eq!(bench.send("PUT", "/v1/queues/nowhere", Some(nowhere)).await.status(), 200);
    bench.post("/v1/jobs", r#"{"spec": {"command": ["x"], "cpus": 4}}"#).await;
    bench.post("/v1/jobs", &format!(r#"{{"spec": {{{BIG}, "wait_for_nodes": true}}}}"#)).await;
    let moves = Some(r#"{"queue": "nowhere"}"#);
    let (status, refused) = bench.call("PATCH", "/v1/jobs/1", moves).await;
    assert_eq!(
        (status, &refused["error"]["field"], &refused["error"]["value"]),
        (422, &json!("queue"), &json!("nowhere"))
    );
    assert_eq!(bench.get("/v1/jobs/1").await["queue"], "default");
    assert_eq!(bench.call("PATCH", "/v1/jobs/2", moves).await.0, 200);
    bench.stop().await;
}
