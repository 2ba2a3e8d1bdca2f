//! Output through a real session with an agent that is none: it says what the test wants.

use super::Bench;
use axum::body::Body;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use taskyard_model::report::Item;
use taskyard_model::{AttemptEnd, Capacity, Fence, Finish, Incarnation, Outcome, TaskRef};
use taskyard_state::Command;
use taskyard_wire::{Codec, Hello, LogChunk, LogRead, PROTOCOL, SESSION_PATH, ToAgent, ToServer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;

type Line = Framed<TokioIo<hyper::upgrade::Upgraded>, Codec<ToAgent, ToServer>>;

/// Connects as the node's agent, going on with its life.
async fn connect(bench: &Bench) -> Line {
    let (line, answer) = call(bench, hello(bench.node.unwrap().1)).await;
    assert!(matches!(answer, ToAgent::Welcome(_)), "{answer:?}");
    line
}

/// Connects and says hello; what the server says first.
async fn call(bench: &Bench, hello: Hello) -> (Line, ToAgent) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = bench.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(SESSION_PATH)
        .header("host", address.to_string())
        .header("connection", "upgrade")
        .header("upgrade", PROTOCOL)
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut line = Framed::new(TokioIo::new(hyper::upgrade::on(response).await.unwrap()), Codec::default());
    line.send(&ToServer::Hello(hello)).await.unwrap();
    let answer = line.next().await.unwrap().unwrap();
    (line, answer)
}

fn hello(incarnation: Incarnation) -> Hello {
    Hello {
        version: "0".into(),
        node: "n1".into(),
        agent_uuid: "a".into(),
        boot_id: "b".into(),
        incarnation: Some(incarnation),
        term: 0,
        capacity: Capacity::default(),
        labels: Default::default(),
        process: 1,
        isolation: String::new(),
        ending: false,
        standby: false,
        cluster: None,
    }
}

/// After a restore: by name if the agent knows its cluster, else by the life that it would go on with.
#[tokio::test]
async fn agents_of_another_cluster_are_refused() {
    let bench = Bench::with_node().await;
    let incarnation = bench.node.unwrap().1;
    let ours = bench.app.consensus.cluster_id().to_owned();
    let of = |cluster: Option<&str>, incarnation| {
        let cluster = cluster.map(str::to_owned);
        call(&bench, Hello { cluster, incarnation, ..hello(Incarnation(0)) })
    };
    let (_line, answer) = of(Some(&ours), Some(incarnation)).await;
    let ToAgent::Welcome(welcome) = answer else { panic!("{answer:?}") };
    assert_eq!(welcome.cluster, Some(ours.clone()));
    for incarnation in [None, Some(incarnation)] {
        let (_, answer) = of(Some("elsewhere"), incarnation).await;
        let ToAgent::Refused(refused) = answer else { panic!("{answer:?}") };
        assert_eq!((refused.lost, refused.retry_after_ms), (false, 0), "for good");
        for part in ["\"elsewhere\"", &ours, "--data-dir"] {
            assert!(refused.message.contains(part), "{}", refused.message);
        }
    }
    bench.propose(Command::Restored { cluster: ours, at: 1 }).await;
    let (_, answer) = of(None, Some(incarnation)).await;
    assert!(matches!(&answer, ToAgent::Refused(refused) if refused.lost), "{answer:?}");
    // It has made sure that nothing of its old life is left.
    let (_line, answer) = of(None, None).await;
    assert!(matches!(&answer, ToAgent::Welcome(welcome) if welcome.incarnation > incarnation), "{answer:?}");
    bench.stop().await;
}

/// Answers reads of `text`, at most three bytes at a time, until one asks for the tail. The attempt's end is reported after the end of its
/// output was read.
async fn answer(mut line: Line, text: &'static [u8]) -> Vec<LogRead> {
    let mut reads = Vec::new();
    let mut attempt = None;
    while let Some(Ok(message)) = line.next().await {
        let read = match message {
            ToAgent::Start { runs, .. } => {
                attempt = Some((TaskRef { job: runs[0].job, index: runs[0].first }, runs[0].fence));
                continue;
            }
            ToAgent::ReadLog(read) => read,
            _ => continue,
        };
        let offset = read.offset.unwrap_or(text.len() as u64 - 3) as usize;
        let data = text[offset.min(text.len())..].iter().copied().take(3).collect::<Vec<_>>();
        let end = offset + data.len() >= text.len();
        let chunk =
            LogChunk { request: read.request, offset: offset as u64, data, end, error: None, dropped: 0 };
        line.send(&ToServer::Log(chunk)).await.unwrap();
        reads.push(read);
        if end && let Some((task, fence)) = attempt.take() {
            line.send(&ToServer::Report { seq: 1, items: vec![finished(task, fence)] }).await.unwrap();
        }
        if reads.last().is_some_and(|r| r.tail_lines > 0) {
            break;
        }
    }
    reads
}

fn finished(task: TaskRef, fence: Fence) -> Item {
    let end = AttemptEnd {
        outcome: Outcome::Succeeded,
        code: 0,
        started_wall_ms: 5,
        ran_ms: 1,
        cpu_ms: 0,
        max_rss_kib: 0,
    };
    Item::Finished(Finish { task, fence, end })
}

async fn text(response: axum::http::Response<Body>) -> (u16, String, String, String) {
    let header = |name| response.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    let (attempt, offset) = (header("taskyard-attempt"), header("taskyard-offset"));
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, attempt, offset, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn output_comes_from_the_node() {
    let bench = Bench::with_node().await;
    let job = bench.submit("").await;
    let agent = tokio::spawn(answer(connect(&bench).await, b"one two three"));
    let path = format!("/v1/jobs/{job}/tasks/1/logs");
    // The task has not started: who follows waits for it.
    let follow = format!("{path}?follow=true");
    let following = bench.send("GET", &follow, None);
    let (response, ()) = tokio::join!(following, async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await; // sleep: lets the reader wait first; either order passes
        bench.plan().await;
    });
    let got = text(response).await;
    assert_eq!(got, (200, "1".into(), "0".into(), "one two three".into()));
    let got = text(bench.send("GET", &format!("{path}?tail=1&stream=stderr"), None).await).await;
    assert_eq!(got, (200, "1".into(), "10".into(), "ree".into()));
    let reads = agent.await.unwrap();
    assert_eq!((reads[0].offset, reads[0].wait_ms, reads[1].offset), (Some(0), 0, Some(3)));
    assert!(reads[1].wait_ms > 0, "who follows waits at the agent");
    assert_eq!(reads.last().map(|r| (r.offset, r.tail_lines)), Some((None, 1)));
    bench.stop().await;
}
