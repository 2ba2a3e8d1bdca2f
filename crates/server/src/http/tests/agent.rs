//! Output through a real session with an agent that is none: it says what the test wants.

use super::Bench;
use crate::secure::Peer;
use crate::secure::ShownCertificate;
use axum::Extension;
use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::time::{Duration, SystemTime};
use taskyard_model::report::Item;
use taskyard_model::{
    AttemptEnd, Capacity, CredentialKind, CutOutput, Fence, Finish, Incarnation, Outcome, TaskRef,
};
use taskyard_state::Command;
use taskyard_wire::{
    Codec, Hello, Load, LogChunk, LogRead, PROTOCOL, SESSION_PATH, Servers, ToAgent, ToServer,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::Framed;

type Line = Framed<TokioIo<hyper::upgrade::Upgraded>, Codec<ToAgent, ToServer>>;

/// Connects, and says nothing.
async fn dial(bench: &Bench) -> Line {
    dial_as(bench, None).await
}

/// The same with a certificate.
async fn dial_as(bench: &Bench, peer: Option<Peer>) -> Line {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = bench.router.clone().layer(Extension(ConnectInfo(ShownCertificate(peer))));
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
    Framed::new(TokioIo::new(hyper::upgrade::on(response).await.unwrap()), Codec::default())
}

/// Connects as the node's agent, going on with its life.
async fn connect(bench: &Bench) -> Line {
    let mut line = dial(bench).await;
    line.send(&hello(bench)).await.unwrap();
    let welcome = line.next().await.unwrap().unwrap();
    assert!(matches!(welcome, ToAgent::Welcome(_)), "{welcome:?}");
    line
}

/// Connects and says hello; what the server says first.
async fn call(bench: &Bench, hello: Hello) -> (Line, ToAgent) {
    let mut line = dial(bench).await;
    line.send(&ToServer::Hello(hello)).await.unwrap();
    let answer = line.next().await.unwrap().unwrap();
    (line, answer)
}

fn hello(bench: &Bench) -> ToServer {
    ToServer::Hello(introduction(bench.node.map(|(_, incarnation)| incarnation), false))
}

fn introduction(incarnation: Option<Incarnation>, standby: bool) -> Hello {
    Hello {
        version: "0".into(),
        node: "n1".into(),
        agent_uuid: "a".into(),
        boot_id: "b".into(),
        incarnation,
        term: 0,
        capacity: Capacity::default(),
        labels: Default::default(),
        process: 1,
        isolation: String::new(),
        replaces: None,
        unfit: None,
        standby,
        cluster: None,
    }
}

/// Answers reads of `text`, at most three bytes at a time, until one asks for the tail. The attempt's end is reported
/// after the end of its output was read.
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
        let chunk = {
            let next = (offset + data.len()) as u64;
            LogChunk {
                request: read.request,
                offset: offset as u64,
                data,
                end,
                error: None,
                dropped: 0,
                next,
            }
        };
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
        limit_ms: 0,
        cut: CutOutput::default(),
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
        tokio::time::sleep(Duration::from_millis(30)).await; // sleep: lets the reader wait first; either order passes
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

#[tokio::test]
async fn a_connection_that_stands_by_becomes_the_session() {
    let bench = Bench::with_node().await;
    let telling = tokio::spawn(crate::loops::servers::tell_agents(bench.app.clone()));
    let mut line = dial(&bench).await;
    line.send(&ToServer::Hello(introduction(None, true))).await.unwrap();
    let beat = ToServer::Heartbeat { sent_boot_ms: 0, load: Load::default() };
    line.send(&beat).await.unwrap();
    let (mut told, mut alive) = (None, false);
    // The list may come a moment after the word that this server leads.
    while !(alive && told.as_ref().is_some_and(|told: &Servers| told.leads && !told.all.is_empty())) {
        match line.next().await.unwrap().unwrap() {
            ToAgent::Servers(servers) => told = Some(servers),
            ToAgent::Alive => alive = true,
            other => panic!("{other:?}"),
        }
    }
    let told = told.unwrap();
    assert_eq!((told.from, told.leader, told.all), (1, None, vec!["http://127.0.0.1:7420".to_owned()]));
    assert_eq!(bench.app.agents.connected(), 0);

    line.send(&hello(&bench)).await.unwrap();
    let welcome = loop {
        match line.next().await.unwrap().unwrap() {
            ToAgent::Servers(_) => {}
            ToAgent::Welcome(welcome) => break welcome,
            other => panic!("{other:?}"),
        }
    };
    // As it was registered, not as this server is set.
    assert_eq!((welcome.term, welcome.lease_ms), (told.term, 15_000));
    assert_eq!(bench.app.agents.connected(), 1);
    line.send(&beat).await.unwrap();
    while !matches!(line.next().await.unwrap().unwrap(), ToAgent::Granted(_)) {}
    telling.abort();
    bench.stop().await;
}

/// After a restore: by name if the agent knows its cluster, else by the life that it would go on with.
#[tokio::test]
async fn agents_of_another_cluster_are_refused() {
    let bench = Bench::with_node().await;
    let incarnation = bench.node.unwrap().1;
    let ours = bench.app.consensus.cluster_id().to_owned();
    let of = |cluster: Option<&str>, incarnation| {
        let cluster = cluster.map(str::to_owned);
        call(&bench, Hello { cluster, incarnation, ..introduction(None, false) })
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
    let again = Hello { replaces: Some(incarnation), ..introduction(None, false) };
    let (_line, answer) = call(&bench, again).await;
    assert!(matches!(&answer, ToAgent::Welcome(welcome) if welcome.incarnation > incarnation), "{answer:?}");
    bench.stop().await;
}

/// The certificate of the node's agent, which got it by the entry `joined`.
fn certificate(joined: u64) -> Peer {
    let until = Some(SystemTime::now() + Duration::from_secs(3600));
    Peer { kind: CredentialKind::Agent, name: "n1".into(), joined, until }
}

/// What a connection brings until it ends: the last message.
async fn last(line: &mut Line) -> Option<ToAgent> {
    let mut last = None;
    while let Some(Ok(message)) = line.next().await {
        last = Some(message);
    }
    last
}

/// It ends by that, so it must not be luck which server says so, nor when.
#[tokio::test]
async fn whose_node_was_removed_hears_it_on_every_connection() {
    let bench = Bench::with_tokens().await;
    let telling = tokio::spawn(crate::loops::servers::tell_agents(bench.app.clone()));
    let mut stands_by = dial_as(&bench, Some(certificate(1))).await;
    stands_by.send(&ToServer::Hello(introduction(None, true))).await.unwrap();
    assert!(matches!(stands_by.next().await.unwrap().unwrap(), ToAgent::Servers(_)));
    bench.propose(Command::RemoveNode { name: "n1".into(), force: true }).await;
    let mut said = vec![last(&mut stands_by).await];
    // More than once: the certificate is looked at from two sides.
    for standby in [true, false].repeat(8) {
        let mut line = dial_as(&bench, Some(certificate(1))).await;
        line.send(&ToServer::Hello(introduction(None, standby))).await.unwrap();
        said.push(last(&mut line).await);
    }
    for said in said {
        let Some(ToAgent::Refused(refused)) = said else { panic!("{said:?}") };
        assert!(refused.is_final() && refused.message.contains("n1 was removed"), "{refused:?}");
    }
    let joined_anew = bench.app.consensus.read(taskyard_state::State::index) + 1;
    let mut line = dial_as(&bench, Some(certificate(joined_anew))).await;
    line.send(&ToServer::Hello(introduction(None, true))).await.unwrap();
    assert!(matches!(line.next().await.unwrap().unwrap(), ToAgent::Servers(_)), "it may stand by");
    telling.abort();
    bench.stop().await;
}
