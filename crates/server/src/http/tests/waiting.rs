//! Jobs that wait: when they start, what would help, how it was before, and what a job would lead to before it is
//! submitted.

use super::Bench;
use serde_json::{Value, json};

const HOUR: u64 = 3_600_000;

/// A node of four cores, three of them busy for an hour, and a job that needs them all.
async fn busy() -> Bench {
    let bench = Bench::with_node().await;
    let first = r#"{"spec": {"command": ["x"], "cpus": 3, "time_limit": "1h", "name": "first"}}"#;
    bench.post("/v1/jobs", first).await;
    bench.plan().await;
    bench.post("/v1/jobs", r#"{"spec": {"command": ["x"], "cpus": 4, "time_limit": "2h"}}"#).await;
    bench
}

/// Within what may have passed since.
fn about(value: &Value, ms: u64) -> bool {
    value.as_u64().is_some_and(|value| (ms - 60_000..=ms).contains(&value))
}

#[tokio::test]
async fn explain_says_when_it_starts_and_what_would_help() {
    let bench = busy().await;
    let why = bench.get("/v1/jobs/2/explain").await;
    let start = &why["start"];
    assert_eq!((&start["kind"], &start["node"]), (&json!("planned"), &json!("n1")), "{why:#}");
    assert!(about(&start["in_ms"], HOUR), "{why:#}");
    let end = &start["counts_on"][0];
    assert_eq!((&end["jobs"], &end["by"], &end["work"]), (&json!([1]), &json!("limit"), &json!("running")));
    let helps = why["counterfactuals"].as_array().unwrap();
    assert_eq!(helps[0]["sentence"], "with 3 fewer CPUs it would start now on n1");
    assert_eq!((&helps[0]["requested"], &helps[0]["with"]), (&json!(4_000), &json!(1_000)));
    assert_eq!((&helps[1]["dimension"], &helps[1]["outcome"]), (&json!("time"), &json!("nothing_helps")));
    bench.stop().await;
}

#[tokio::test]
async fn the_reasons_of_before_are_kept_while_a_job_waits() {
    let bench = busy().await;
    let reasons = async || {
        let why = bench.get("/v1/jobs/2/explain").await;
        let all = why["history"].as_array().cloned().unwrap_or_default();
        all.iter().map(|past| past["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(reasons().await, ["no_node_free"]);
    bench.post("/v1/jobs/2/hold", "{}").await;
    assert_eq!(reasons().await, ["held", "no_node_free"]);
    assert_eq!(reasons().await, ["held", "no_node_free"], "only changes");
    bench.post("/v1/jobs/2/release", "{}").await;
    bench.finish(1, 0, 0).await;
    bench.plan().await;
    assert_eq!(reasons().await, [""; 0], "it does not wait any more");
    bench.stop().await;
}

#[tokio::test]
async fn a_plan_says_what_would_be_and_changes_nothing() {
    let bench = busy().await;
    let digest = || bench.app.consensus.read(|state| (state.index(), state.digest()));
    let before = digest();
    let plan = async |spec: &str| bench.post("/v1/plan", &format!(r#"{{"spec": {spec}}}"#)).await;

    let starts = plan(r#"{"command": ["x"], "cpus": 1, "time_limit": "30m"}"#).await;
    assert_eq!(
        (&starts["verdict"], &starts["starts_now"], &starts["delayed"]),
        (&json!("starts"), &json!(1), &json!(0))
    );
    assert_eq!(starts["explanation"]["start"]["node"], "n1", "{starts:#}");

    let waits = plan(r#"{"command": ["x"], "cpus": 1, "time_limit": "3h"}"#).await;
    assert_eq!(waits["verdict"], "waits", "{waits:#}");
    let start = &waits["explanation"]["start"];
    assert_eq!(start["kind"], "forecast");
    assert!(about(&start["in_ms"], 3 * HOUR), "{waits:#}");
    assert_eq!(start["counts_on"][0]["jobs"], json!([2]));
    let helps = waits["explanation"]["counterfactuals"].as_array().unwrap();
    let time = helps.iter().find(|help| help["dimension"] == "time").unwrap();
    assert!(time["with"].as_u64().is_some_and(|with| (HOUR - 120_000..=HOUR).contains(&with)), "{waits:#}");

    let never = plan(r#"{"command": ["x"], "cpus": 9, "array": "1-5"}"#).await;
    assert_eq!((&never["verdict"], &never["tasks"]), (&json!("never"), &json!(5)));
    assert_eq!(never["explanation"]["start"]["kind"], "never", "{never:#}");
    let refusal = never["warnings"][0].as_str().unwrap();
    assert!(refusal.contains("submit refuses it"), "{never:#}");
    assert_eq!(never["explanation"]["position"], json!(null), "{never:#}");
    let may_wait = plan(r#"{"command": ["x"], "cpus": 9, "wait_for_nodes": true}"#).await;
    assert_eq!(may_wait["verdict"], "never", "as things are: {may_wait:#}");
    assert_eq!(may_wait["warnings"], json!(null), "its explanation says why it waits: {may_wait:#}");

    assert_eq!(digest(), before, "nothing was proposed, and nothing has changed");
    let refused = bench.send("POST", "/v1/jobs", Some(r#"{"spec": {"command": ["x"], "cpus": 9}}"#)).await;
    assert_eq!(refused.status(), 422);
    bench.post("/v1/jobs/2/cancel", "{}").await;
    bench.post("/v1/jobs", r#"{"spec": {"command": ["x"], "cpus": 2, "time_limit": "1h"}}"#).await;
    assert_eq!(bench.send("PUT", "/v1/queues/urgent", Some(r#"{"tier": 5}"#)).await.status(), 200);
    let delays = plan(r#"{"command": ["x"], "cpus": 4, "time_limit": "10m", "queue": "urgent"}"#).await;
    assert_eq!(delays["delayed"], 1, "{delays:#}");
    assert_eq!((&delays["delays"][0]["job"], &delays["delays"][0]["by_ms"]), (&json!(3), &json!(600_000)));
    assert_eq!(delays["delays_complete"], true);

    let refused =
        bench.send("POST", "/v1/plan", Some(r#"{"spec": {"command": ["x"], "queue": "nowhere"}}"#)).await;
    assert_eq!(refused.status(), 422, "refused as a submit is");
    assert_eq!(bench.get("/v1/jobs").await["items"].as_array().unwrap().len(), 3);
    bench.stop().await;
}

#[tokio::test]
async fn a_planned_start_that_moves_says_why() {
    let bench = busy().await;
    let replans = async || bench.get("/v1/jobs/2/explain").await["replans"].clone();
    assert_eq!(replans().await, Value::Null, "it is planned for the first time");
    assert_eq!(replans().await, Value::Null, "and that holds");
    bench.post("/v1/jobs", r#"{"spec": {"command": ["x"], "cpus": 4, "time_limit": "3h"}}"#).await;
    bench.call("PUT", "/v1/queues/default", Some(r#"{"policy": "sjf"}"#)).await;
    assert_eq!(replans().await, Value::Null, "who comes later and is longer changes nothing");
    bench.post("/v1/jobs", r#"{"spec": {"command": ["x"], "cpus": 4, "time_limit": "1h"}}"#).await;
    let moved = replans().await;
    assert_eq!((&moved[0]["cause"], &moved[0]["job"]), (&json!("outranked"), &json!(4)), "{moved:#}");
    assert_eq!(moved[0]["sentence"], "no longer planned: job 4 goes first");
    assert_eq!(replans().await.as_array().map(Vec::len), Some(1), "only changes");
}
