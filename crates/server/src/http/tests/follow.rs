//! Answers that take their time: waits and streams.

use super::Bench;
use axum::body::Body;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tower::ServiceExt;

#[tokio::test]
async fn a_wait_ends_with_the_job() {
    let bench = Bench::with_node().await;
    let id = bench.submit("").await;
    bench.plan().await;
    let path = format!("/v1/jobs/{id}?wait_ms=60000&spec=false");
    let began = Instant::now();
    let ((), job) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(30)).await; // sleep: lets the reader wait first; either order passes
            bench.finish(id, 0, 0).await;
        },
        bench.get(&path)
    );
    assert_eq!(job["state"], "succeeded");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    let waiting = bench.submit(r#", "hold": true"#).await;
    let job = bench.get(&format!("/v1/jobs/{waiting}?wait_ms=20")).await;
    assert_eq!(job["state"], "held", "the time is over");
    bench.stop().await;
}

/// Events of a stream, parsed.
struct Events(Body, String);

impl Events {
    async fn open(bench: &Bench, path: &str) -> Events {
        let response = bench.send("GET", path, None).await;
        assert_eq!(response.status(), 200);
        Events(response.into_body(), String::new())
    }

    /// The next: id and data.
    async fn next(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            if let Some((frame, rest)) = self.1.split_once("\n\n") {
                let field = |name: &str| {
                    frame.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned()))
                };
                let event = field("data:").map(|data| (field("id:"), serde_json::from_str(&data).unwrap()));
                self.1 = rest.to_owned();
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.0.frame()).await.unwrap()?;
            let data = frame.unwrap().into_data().unwrap();
            self.1.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn take(&mut self, n: usize) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for _ in 0..n {
            let (id, event) = self.next().await.unwrap();
            all.push((id.unwrap_or_default(), event["kind"].as_str().unwrap().to_owned()));
        }
        all
    }
}

#[tokio::test]
async fn events_have_no_gap_and_no_repeat() {
    let bench = Bench::with_node().await;
    let mut live = Events::open(&bench, "/v1/events").await;
    let id = bench.submit(r#", "array": "1-3""#).await;
    let other = bench.submit("").await;
    bench.post(&format!("/v1/jobs/{other}/hold"), "{}").await;
    bench.plan().await;
    bench.finish(id, 1, 0).await;
    let kinds = ["job_submitted", "job_submitted", "job_held", "tasks_changed", "tasks_changed"];
    let seen = live.take(5).await;
    assert_eq!(seen.iter().map(|e| e.1.as_str()).collect::<Vec<_>>(), kinds);

    let mut again = Events::open(&bench, &format!("/v1/events?from={}", seen[1].0)).await;
    assert_eq!(again.take(4).await, seen[1..], "from is inclusive");
    let mut of_one = Events::open(&bench, &format!("/v1/events?from=0&job={other}")).await;
    let of_one = of_one.take(2).await;
    assert_eq!(of_one, seen[1..3]);
    let mut all = Events::open(&bench, "/v1/events?from=0").await;
    assert_eq!(all.next().await.unwrap().1["kind"], "node_up", "a fresh log has lost nothing");
    let (_, started) =
        Events::open(&bench, &format!("/v1/events?from={}", seen[4].0)).await.next().await.unwrap();
    assert_eq!(
        (&started["task"], &started["tasks"], &started["state"]),
        (&json!(2), &json!(1), &json!("succeeded"))
    );

    bench.app.stop();
    assert!(live.next().await.is_none(), "streams end when the server stops");
    bench.stop().await;
}

#[tokio::test]
async fn metrics_are_readable() {
    let bench = Bench::with_node().await;
    bench.submit(r#", "array": "1-3""#).await;
    bench.get("/v1/jobs").await;
    let ask = async |method: &str, accept: &str| {
        let request = axum::http::Request::builder().method(method).uri("/metrics").header("accept", accept);
        bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let kind =
        |response: &axum::response::Response| response.headers()["content-type"].to_str().unwrap().to_owned();
    for method in ["GET", "HEAD"] {
        assert_eq!(kind(&ask(method, "text/plain").await), "text/plain; version=0.0.4; charset=utf-8");
    }
    assert_eq!(ask("GET", "image/png").await.status(), 406);
    let plain = bench.send("GET", "/metrics", None).await;
    let plain = axum::body::to_bytes(plain.into_body(), 1 << 20).await.unwrap();
    let plain = String::from_utf8_lossy(&plain).into_owned();
    assert!(
        plain.contains("# TYPE taskyard_plan_passes_total counter\n") && !plain.contains("# EOF"),
        "{plain}"
    );
    let response = ask("GET", "application/openmetrics-text; version=1.0.0").await;
    assert_eq!(kind(&response), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for line in [
        "taskyard_tasks{state=\"pending\"} 3",
        "taskyard_queue_tasks_waiting{queue=\"default\"} 3",
        "taskyard_http_requests_total{method=\"GET\",route=\"/v1/jobs\",code=\"200\"} 1",
        "taskyard_nodes_up 1",
        "taskyard_leader 1",
        "taskyard_log_fsync_seconds_bucket{le=\"+Inf\"}",
        "taskyard_plan_passes_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line} in\n{text}");
    }
}
