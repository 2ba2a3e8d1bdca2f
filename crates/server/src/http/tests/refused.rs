//! Bad input and what is not there: each answer names what is wrong, and nothing happens.

use super::Bench;
use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};
use taskyard_model::limits;
use tower::ServiceExt;

/// One request and what its error must say: status, code, field, and a part of message and remedy.
async fn check(
    bench: &Bench,
    (method, path, body): (&str, &str, Option<&str>),
    want: (u16, &str, &str, &str),
) {
    let index = bench.app.consensus.read(|state| state.last_job());
    let (status, json) = bench.call(method, path, body).await;
    let error = &json["error"];
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    let said = format!("{} {}", text("message"), text("remedy"));
    assert_eq!(
        (status, text("code").as_str(), text("field").as_str()),
        (want.0, want.1, want.2),
        "{method} {path}: {json:#}"
    );
    assert!(said.contains(want.3), "{method} {path}: {said}");
    assert_eq!(error["definite"], true, "{json:#}");
    assert_eq!(bench.app.consensus.read(|state| state.last_job()), index, "nothing is half done");
}

#[tokio::test]
async fn bad_input_is_named() {
    let bench = Bench::start().await;
    let id = bench.submit(r#", "array": "1-9:2""#).await;
    let submit = |spec: &str| format!("{{\"spec\": {spec}}}");
    let bodies = [
        (submit(r#"{"command": ["true"], "memry": "1GiB"}"#), "memry", "memory"),
        (submit(r#"{"command": ["true"], "memory": 5}"#), "memory", "5"),
        (submit(r#"{"command": "true"}"#), "command", "write a list"),
        (submit(r#"{}"#), "command", "give a command"),
        (submit(r#"{"command": ["true"], "queue": "gpu"}"#), "queue", "the queues are default"),
        (submit(r#"{"command": ["true"], "array": "5-1"}"#), "array", "before the first"),
        (
            format!(r#"{{"spec": {{"command": ["true"]}}, "request_id": "{}"}}"#, "x".repeat(65)),
            "request_id",
            "64",
        ),
        ("{\"spec\": ".to_owned(), "body", "not JSON"),
        ("[]".to_owned(), "submit", "object"),
    ];
    for (body, field, part) in &bodies {
        check(&bench, ("POST", "/v1/jobs", Some(body)), (422, "invalid", field, part)).await;
    }
    let job = format!("/v1/jobs/{id}");
    let at = |rest: &str| format!("{job}{rest}");
    let gets = [
        ("/v1/jobs?limit=0".to_owned(), "limit"),
        ("/v1/jobs?limit=x".to_owned(), "limit"),
        ("/v1/jobs?colour=red".to_owned(), "colour"),
        ("/v1/nodes?stat=up".to_owned(), "stat"),
        ("/metrics?name=x".to_owned(), "name"),
        ("/v1/jobs?limit=1&limit=2".to_owned(), "limit"),
        ("/v1/jobs?state=done".to_owned(), "state"),
        ("/v1/jobs/x".to_owned(), "job"),
        (at("?wait_ms=60001"), "wait_ms"),
        (at("/tasks?after=x"), "after"),
        (at("/tasks?tasks=2-2000000000000:3"), "tasks"),
        (at("/tasks/x"), "task"),
        (at("/tasks/1/logs?tail=3&offset=4"), "tail"),
        ("/v1/events?from=x".to_owned(), "from"),
    ];
    for (path, field) in &gets {
        check(&bench, ("GET", path, None), (422, "invalid", field, "")).await;
    }
    check(&bench, ("GET", "/v1/jobs?stat=up", None), (422, "invalid", "stat", "did you mean \"state\""))
        .await;
    let twice = r#"{"spec": {"command": ["x"], "env": {"A": "1", "A": "2"}}}"#;
    check(&bench, ("POST", "/v1/jobs", Some(twice)), (422, "invalid", "A", "given twice")).await;
    check(&bench, ("PATCH", &job, Some("{}")), (422, "invalid", "update", "priority")).await;
    check(&bench, ("PATCH", &job, Some(r#"{"queue": "gpu"}"#)), (422, "invalid", "queue", "default")).await;
    check(&bench, ("POST", &at("/hold"), Some(r#"{"tasks": "1"}"#)), (422, "invalid", "tasks", "whole job"))
        .await;
    check(
        &bench,
        ("POST", &at("/cancel"), Some(r#"{"tasks": "10-12"}"#)),
        (422, "invalid", "tasks", "1-9:2"),
    )
    .await;
    check(&bench, ("PUT", "/v1/queues/Big", Some("{}")), (422, "invalid", "queue", "a-z")).await;
    check(
        &bench,
        ("PUT", "/v1/queues/big", Some(r#"{"policy": "lifo"}"#)),
        (422, "invalid", "policy", "fcfs"),
    )
    .await;
    bench.stop().await;
}

#[tokio::test]
async fn what_is_not_there_and_what_does_not_go() {
    let bench = Bench::with_node().await;
    let id = bench.submit(r#", "array": "1-9:2""#).await;
    let at = |rest: &str| format!("/v1/jobs/{id}{rest}");
    for path in ["/v1/jobs/99", "/v1/jobs/99/tasks", "/v1/jobs/99/explain", "/v1/jobs/99?wait_ms=5"] {
        check(&bench, ("GET", path, None), (404, "not_found", "", "job 99")).await;
    }
    check(&bench, ("POST", "/v1/jobs/99/cancel", None), (404, "not_found", "", "job 99")).await;
    check(&bench, ("GET", &at("/tasks/2"), None), (404, "not_found", "", "1-9:2")).await;
    check(&bench, ("POST", &at("/cancel"), Some(r#"{"tasks": "2"}"#)), (404, "not_found", "", "task 1.2"))
        .await;
    check(&bench, ("GET", &at("/tasks/1/logs"), None), (404, "not_found", "", "follow")).await;
    check(&bench, ("POST", "/v1/nodes/n9/drain", None), (404, "not_found", "", "node n9")).await;
    // An empty list would look like an answer.
    for (path, missing) in [
        ("/v1/jobs?queue=typo", "queue typo"),
        ("/v1/jobs?namespace=typo", "namespace typo"),
        ("/v1/jobs?ids=99", "job 99"),
        ("/v1/jobs?ids=70-80,90", "job among 70-80,90"),
        ("/v1/jobs?ids=99&state=failed", "job 99"),
        ("/v1/events?namespace=typo", "namespace typo"),
        ("/v1/events?job=99", "job 99"),
    ] {
        check(&bench, ("GET", path, None), (404, "not_found", "", missing)).await;
    }
    for path in [
        "/v1/jobs?user=typo",
        "/v1/jobs?name=typo",
        "/v1/jobs?ids=1&state=failed",
        "/v1/jobs?queue=default&state=failed",
    ] {
        assert_eq!(bench.get(path).await["items"], json!([]), "{path}");
    }
    check(
        &bench,
        ("GET", &at("/tasks/1/logs?attempt=7&follow=true"), None),
        (404, "not_found", "", "has 0 attempts"),
    )
    .await;
    check(&bench, ("GET", "/v1/job", None), (404, "not_found", "", "path /v1/job")).await;
    check(&bench, ("DELETE", "/v1/jobs/1", None), (405, "method", "", "DELETE")).await;
    check(
        &bench,
        ("POST", &at("/retry"), Some(r#"{"failed_only": true}"#)),
        (409, "conflict", "", "has failed so far"),
    )
    .await;

    bench.plan().await;
    bench.call("PUT", "/v1/queues/other", Some("{}")).await;
    check(&bench, ("PATCH", &at(""), Some(r#"{"queue": "other"}"#)), (409, "conflict", "", "hold it")).await;
    let (_, away) = bench.call("GET", &at("/tasks/1/logs"), None).await;
    assert_eq!(
        (&away["error"]["code"], &away["error"]["retry_after_ms"]),
        (&json!("unavailable"), &json!(1_000))
    );
    assert!(away["error"]["message"].as_str().unwrap().contains("node n1"), "{away:#}");

    let done = bench.submit("").await;
    bench.post(&format!("/v1/jobs/{done}/cancel"), "{}").await;
    check(&bench, ("POST", &format!("/v1/jobs/{done}/hold"), None), (409, "conflict", "", "has finished"))
        .await;
    let logs = format!("/v1/jobs/{done}/tasks/1/logs?follow=true");
    check(&bench, ("GET", &logs, None), (404, "not_found", "", "before it started")).await;
    bench.post("/v1/jobs", r#"{"spec": {"command": ["true"]}, "request_id": "r"}"#).await;
    let other = r#"{"spec": {"command": ["false"]}, "request_id": "r"}"#;
    check(&bench, ("POST", "/v1/jobs", Some(other)), (409, "conflict", "request_id", "new request id")).await;
    bench.stop().await;
}

#[tokio::test]
async fn bodies_are_bounded_and_of_one_type() {
    let bench = Bench::start().await;
    let big = "x".repeat(limits::HTTP_BODY_BYTES_MAX + 1);
    check(&bench, ("POST", "/v1/jobs", Some(&big)), (413, "too_large", "body", "4194304")).await;
    let send = async |request: Request<Body>| {
        let response = bench.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<Value>(&bytes).unwrap())
    };
    // Without a length in front, so that it shows only while it is read.
    let pieces = futures_util::stream::iter((0..128).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let streamed = Request::post("/v1/jobs").header(header::CONTENT_TYPE, "application/json");
    let (status, json) = send(streamed.body(Body::from_stream(pieces)).unwrap()).await;
    assert_eq!((status, &json["error"]["code"]), (413, &json!("too_large")));
    for kind in ["text/plain", "application/json; charset=latin1", "application/jsonx", ""] {
        let form = Request::post("/v1/jobs").header(header::CONTENT_TYPE, kind).body("{}".into()).unwrap();
        let (status, json) = send(form).await;
        assert_eq!((status, &json["error"]["field"]), (415, &json!("content-type")), "{kind}");
    }
    let utf8 = Request::post("/v1/jobs").header(header::CONTENT_TYPE, "Application/JSON; charset=\"UTF-8\"");
    assert_eq!(send(utf8.body("{}".into()).unwrap()).await.0, 422, "read, and then refused for what it says");
    let bad_name = Request::post("/v1/jobs").header("taskyard-user", "a b").body("{}".into()).unwrap();
    assert_eq!(send(bad_name).await.1["error"]["field"], "taskyard-user");
    bench.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_lead_says_so() {
    let bench = Bench::start().await;
    bench.app.consensus.shutdown().await;
    for (method, path, body) in [
        ("GET", "/v1/jobs", None),
        ("GET", "/readyz", None),
        ("POST", "/v1/jobs", Some(r#"{"spec": {"command": ["true"]}}"#)),
    ] {
        let response = bench.send(method, path, body).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()),
            (503, "1"),
            "{path}"
        );
    }
    assert_eq!(bench.send("GET", "/healthz", None).await.status(), 200);
}

#[tokio::test]
async fn backups_go_to_configured_stores_only() {
    let bench = Bench::start().await;
    for (method, path, body, field) in [
        ("POST", "/v1/backups", Some(r#"{"to": "/tmp"}"#), "to"),
        ("POST", "/v1/backups", Some(r#"{"too": "x"}"#), "too"),
        ("GET", "/v1/backups?from=/etc", None, "from"),
        ("POST", "/v1/backups/latest/verify", Some(r#"{"from": "s3://bucket/x"}"#), "from"),
    ] {
        let (status, json) = bench.call(method, path, body).await;
        assert_eq!((status, &json["error"]["field"]), (422, &json!(field)), "{path}: {json}");
    }
    let (status, json) = bench.call("POST", "/v1/backups/latest/verify", None).await;
    assert_eq!((status, &json["error"]["code"]), (200, &json!("not_found")), "known only on the way: {json}");
    bench.stop().await;
}
