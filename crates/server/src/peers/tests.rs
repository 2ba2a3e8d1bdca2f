//! Several servers in one process, each behind a socket of its own, as users reach them.

use crate::app::App;
use crate::outward::{own, whole};
use crate::{Server, ServerConfig, ServerError};
use axum::body::to_bytes;
use axum::http::{Method, Request, header};
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;
use taskyard_api::routes;
use taskyard_model::limits::MESSAGE_BYTES_MAX;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

const SOON: Duration = Duration::from_secs(30);

/// A server that runs, and how to end it.
struct Running {
    app: App,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServerError>>,
    _dir: tempfile::TempDir,
}

impl Running {
    /// Begins a cluster, or joins the servers that are there already.
    async fn start(others: &[Running]) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServerConfig::new(dir.path().to_owned(), "127.0.0.1:0".parse().unwrap());
        config.segment_bytes = 8 << 20;
        config.join = others.iter().map(|other| other.app.url.clone()).collect();
        let server = Server::start(config).await.unwrap();
        let app = server.app.clone();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(async {
            let _ = stopped.await;
        }));
        Running { app, stop, served, _dir: dir }
    }

    fn leads(&self) -> bool {
        self.app.consensus.leadership().borrow().is_some()
    }

    fn votes(&self, id: u64) -> bool {
        self.app.consensus.servers().iter().any(|server| server.id == id && server.voter == Some(true))
    }

    /// Status and JSON of an answer.
    async fn ask(&self, method: Method, path: &str, body: &'static str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.app.url))
            .header(header::CONTENT_TYPE, "application/json")
            .header(routes::USER_HEADER, "ada")
            .body(whole(Bytes::from_static(body.as_bytes())))
            .unwrap();
        let response = own(self.app.outward.send(request).await.unwrap());
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), MESSAGE_BYTES_MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }
}

/// This number of servers, all voters.
async fn start(count: u64) -> Vec<Running> {
    let mut servers = Vec::new();
    for id in 1..=count {
        servers.push(Running::start(&servers).await);
        until("it votes", || servers[0].votes(id)).await;
    }
    servers
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await; // sleep: between two looks, with a deadline
    }
}

async fn stop(servers: Vec<Running>) {
    for Running { stop, served, .. } in servers {
        let _ = stop.send(());
        timeout(SOON, served).await.expect("in time").expect("runs").expect("stops in good order");
    }
}

const ONCE: &str = r#"{"spec": {"command": ["true"]}, "request_id": "once"}"#;

/// Submits as clients do: again, while the server cannot tell whether it happened.
async fn submit(by: &Running) -> Value {
    let deadline = Instant::now() + SOON;
    loop {
        let (status, answer) = by.ask(Method::POST, routes::JOBS, ONCE).await;
        if status == 200 {
            return answer;
        }
        assert!(status == 503 && Instant::now() < deadline, "{status}: {answer:#}");
        sleep(Duration::from_millis(20)).await; // sleep: between two tries, with a deadline
    }
}

/// Repeats the write by way of every server. All but the leader pass it on.
async fn repeat(servers: &[Running], job: &Value) {
    let leading = || servers.iter().filter(|server| server.leads()).count();
    until("one leads", || leading() == 1).await;
    for server in servers {
        let again = submit(server).await;
        assert!(again["job"] == *job, "a repeated write made another job: {again}");
        assert_eq!(again["duplicate"], true, "{again}");
    }
}

/// A caller that does not know whether a write that was passed on took effect sends it again, by way of any server, and
/// another one may lead by then. The mutant must fail here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_passed_on_and_repeated_makes_one_job() {
    let servers = start(3).await;
    let follower = servers.iter().find(|server| !server.leads()).unwrap();
    let made = submit(follower).await;
    repeat(&servers, &made["job"]).await;

    let leader = servers.iter().find(|server| server.leads()).unwrap();
    leader.app.consensus.transfer(follower.app.consensus.me(), SOON).await.unwrap();
    until("the follower leads", || follower.leads() && !leader.leads()).await;
    repeat(&servers, &made["job"]).await;
    let (_, jobs) = leader.ask(Method::GET, routes::JOBS, "").await;
    assert_eq!(jobs["items"].as_array().map(Vec::len), Some(1), "{jobs:#}");
    stop(servers).await;
}
