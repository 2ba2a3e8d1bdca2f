//! The client against a server of scripted answers: failover, safe retries, long polls and streams that break.

// Clippy knows functions marked as tests only, not the helpers beside them.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use taskyard_client::api::{self, ErrorCode, EventKind, EventQuery, JobSpec, LogQuery, SubmitRequest};
use taskyard_client::{Client, Error, Patience, ServerList, ServerSource};

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What the server does with one request.
enum Answer {
    Json(u16, String),
    /// Chunks, then a clean end.
    Chunks(Vec<(&'static str, String)>, Vec<&'static str>),
    /// Chunks, then a broken connection.
    Broken(Vec<(&'static str, String)>, Vec<&'static str>),
    /// Reads the request and closes without an answer.
    HangUp,
}

#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<(String, String, String)>>>,
    /// What it answers when it is asked whether it is ready; that is not in the script.
    not_ready: Arc<Mutex<Option<api::ApiError>>>,
}

impl Script {
    fn of(answers: Vec<Answer>) -> Script {
        Script { answers: Arc::new(Mutex::new(answers.into())), ..Script::default() }
    }

    /// Paths, bodies and the header `last-event-id` of the requests so far.
    fn seen(&self) -> Vec<(String, String, String)> {
        self.seen.lock().unwrap().clone()
    }

    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = script.clone();
                let service = service_fn(move |request| serve(script.clone(), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        url
    }
}

async fn serve(script: Script, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let path = request.uri().to_string();
    if path == "/readyz" {
        let not_ready = script.not_ready.lock().unwrap().clone();
        let (status, text) = not_ready.map_or((200, "ready\n".to_owned()), |error| {
            (error.code.status(), serde_json::to_string(&api::ErrorBody { error }).unwrap())
        });
        let body = Full::new(Bytes::from(text)).map_err(|e: Infallible| match e {});
        return Ok(Response::builder().status(status).body(body.boxed_unsync()).unwrap());
    }
    let last_id = request.headers().get("last-event-id").map_or("", |v| v.to_str().unwrap()).to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    script.seen.lock().unwrap().push((path, String::from_utf8_lossy(&body).into_owned(), last_id));
    let answer = script.answers.lock().unwrap().pop_front().expect("a request too many");
    match answer {
        Answer::Json(status, text) => {
            let body = Full::new(Bytes::from(text)).map_err(|e: Infallible| match e {});
            Ok(Response::builder().status(status).body(body.boxed_unsync()).unwrap())
        }
        Answer::Chunks(headers, chunks) => Ok(stream(headers, chunks, false)),
        Answer::Broken(headers, chunks) => Ok(stream(headers, chunks, true)),
        Answer::HangUp => Err(io::Error::other("hung up")),
    }
}

fn stream(headers: Vec<(&'static str, String)>, chunks: Vec<&'static str>, broken: bool) -> Response<Body> {
    let frames = chunks.into_iter().map(|c| Ok(Frame::data(Bytes::from_static(c.as_bytes()))));
    let end = broken.then(|| Err(io::Error::other("broken")));
    let frames = futures_util::stream::iter(frames.chain(end)).then(|frame| async move {
        if frame.is_err() {
            // What was written goes out when the body has nothing at once; only then it breaks.
            tokio::task::yield_now().await;
        }
        frame
    });
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

fn client(urls: Vec<String>, later_ms: u64) -> Client {
    let found = ServerList { urls, source: ServerSource::Flag };
    Client::new(found, "ann", Patience { first: Duration::ZERO, later: Duration::from_millis(later_ms) })
        .unwrap()
}

fn submit() -> SubmitRequest {
    SubmitRequest {
        spec: JobSpec { command: Some(vec!["true".into()]), ..JobSpec::default() },
        request_id: None,
    }
}

fn submitted() -> Answer {
    Answer::Json(201, "{\"job\":7,\"tasks\":1,\"duplicate\":false}".into())
}

fn error(code: ErrorCode, retry_after_ms: Option<u64>) -> Answer {
    let error = api::ApiError { retry_after_ms, ..api::ApiError::new(code, "no") };
    Answer::Json(code.status(), serde_json::to_string(&api::ErrorBody { error }).unwrap())
}

/// An address without a listener.
async fn silent() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn goes_on_to_the_next_server_and_stays_there() {
    let script = Script::of(vec![submitted(), submitted()]);
    let client = client(vec![silent().await, script.start().await], 0);
    assert_eq!(client.submit(submit()).await.unwrap().job, 7);
    assert_eq!(client.submit(submit()).await.unwrap().job, 7);
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn an_absent_server_is_told_at_once_and_definite() {
    let client = client(vec![silent().await], 60_000);
    let error = client.nodes().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_definite(), "{error}");
    assert!(error.remedy().unwrap().contains("taskyard dev"));
}

#[tokio::test]
async fn a_lost_answer_is_asked_again_with_the_same_request_id() {
    let script =
        Script::of(vec![submitted(), Answer::HangUp, error(ErrorCode::Unavailable, None), submitted()]);
    let client = client(vec![script.start().await], 5_000);
    client.submit(submit()).await.unwrap();
    client.submit(submit()).await.unwrap();
    let ids: Vec<String> = script
        .seen()
        .iter()
        .map(|(_, body, _)| serde_json::from_str::<SubmitRequest>(body).unwrap().request_id.unwrap())
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert!(ids[1] == ids[2] && ids[2] == ids[3], "{ids:?}");
}

#[tokio::test]
async fn a_lost_answer_without_another_is_indefinite() {
    let script = Script::of(vec![submitted(), Answer::HangUp, error(ErrorCode::Unavailable, None)]);
    let client = client(vec![script.start().await], 60);
    client.submit(submit()).await.unwrap();
    let error = client.submit(submit()).await.unwrap_err();
    assert!(!error.is_definite(), "{error}");
}

#[tokio::test]
async fn overload_waits_as_asked_and_then_says_so() {
    let script = Script::of(vec![
        error(ErrorCode::Overloaded, Some(20)),
        submitted(),
        error(ErrorCode::Overloaded, Some(90_000)),
    ]);
    let client = client(vec![script.start().await], 1_000);
    client.submit(submit()).await.unwrap();
    let error = client.submit(submit()).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Overloaded));
}

#[tokio::test]
async fn refusals_are_not_retried() {
    let script = Script::of(vec![
        error(ErrorCode::NotFound, None),
        Answer::Json(200, "<html>".into()),
        Answer::Json(418, "tea".into()),
    ]);
    let client = client(vec![script.start().await], 5_000);
    assert_eq!(client.task(1, 2).await.unwrap_err().code(), Some(ErrorCode::NotFound));
    assert!(matches!(client.nodes().await.unwrap_err(), Error::Protocol { .. }));
    let error = client.nodes().await.unwrap_err().to_string();
    assert!(error.contains("418") && error.contains("tea"), "{error}");
    assert_eq!(script.seen()[0].0, "/v1/jobs/1/tasks/2");
}

#[tokio::test]
async fn output_goes_on_where_it_broke() {
    let headers =
        |offset: u64| vec![("taskyard-attempt", "2".to_owned()), ("taskyard-offset", offset.to_string())];
    let script = Script::of(vec![
        Answer::Broken(headers(100), vec!["abc", "de"]),
        Answer::Broken(headers(105), vec![]),
        Answer::Chunks(headers(105), vec!["f"]),
    ]);
    let client = client(vec![script.start().await], 1_000);
    let query = LogQuery { follow: true, tail: Some(3), ..LogQuery::default() };
    let mut stream = client.logs(3, 4, query).await.unwrap();
    let mut all = Vec::new();
    while let Some(bytes) = stream.next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    assert_eq!((all.as_slice(), stream.attempt(), stream.offset()), (&b"abcdef"[..], Some(2), 106));
    let seen = script.seen();
    assert_eq!(seen[0].0, "/v1/jobs/3/tasks/4/logs?follow=true&stream=stdout&tail=3");
    assert_eq!(seen[2].0, "/v1/jobs/3/tasks/4/logs?attempt=2&follow=true&offset=105&stream=stdout");
}

#[tokio::test]
async fn events_go_on_after_the_last_seen() {
    let first = "id: 5.0\ndata: {\"index\":5,\"seq\":0,\"at_ms\":1,\"kind\":\"job_submitted\",\"job\":1}\n\n";
    let second = ": hello\n\nid: 6.1\ndata: {\"index\":6,\"seq\":1,\"at_ms\":2,\"kind\":\"of_tomorrow\"}\n\n";
    let script = Script::of(vec![Answer::Broken(vec![], vec![first]), Answer::Chunks(vec![], vec![second])]);
    let client = client(vec![script.start().await], 1_000);
    let mut events = client.events(EventQuery { job: Some(1), ..EventQuery::default() }).await.unwrap();
    assert_eq!(events.next().await.unwrap().kind, EventKind::JobSubmitted);
    assert_eq!(events.next().await.unwrap().kind, EventKind::Unknown);
    let seen = script.seen();
    assert_eq!((seen[0].2.as_str(), seen[1].2.as_str()), ("", "5.0"));
    assert_eq!(seen[1].0, "/v1/events?job=1");
}

/// An address at which connections are accepted, and answered with these bytes or not at all.
async fn odd(answer: Option<&'static [u8]>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            match answer {
                Some(bytes) => {
                    tokio::spawn(async move {
                        let mut request = [0; 1024];
                        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await;
                        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await;
                    });
                }
                None => kept.push(stream),
            }
        }
    });
    address
}

fn no_nodes() -> Answer {
    Answer::Json(200, "{\"items\":[]}".into())
}

#[tokio::test]
async fn too_few_servers_are_counted_and_named() {
    let script = Script::of(vec![error(ErrorCode::Unavailable, None)]);
    let no_leader = api::ApiError::new(ErrorCode::Unavailable, "no server leads");
    *script.not_ready.lock().unwrap() = Some(no_leader);
    let urls = vec![script.start().await, silent().await, silent().await];
    let client = client(urls.clone(), 0);
    let error = client.submit(submit()).await.unwrap_err();
    assert!(error.is_definite() && error.remedy().unwrap().contains("start the other servers"), "{error}");
    let text = error.to_string();
    for part in ["1 of 3 servers answers, no majority", "no server leads", "connection refused", &urls[2]] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// A person at a terminal learns within two seconds why nothing happens, however patient the call is.
#[tokio::test]
async fn what_a_call_waits_for_is_told_within_two_seconds() {
    let script = Script::of((0..200).map(|_| error(ErrorCode::Unavailable, None)).collect());
    *script.not_ready.lock().unwrap() = Some(api::ApiError::new(ErrorCode::Unavailable, "no leader"));
    let urls = vec![script.start().await, silent().await, silent().await];
    let client = client(urls, 60_000);
    let (told, mut notices) = tokio::sync::mpsc::channel(16);
    client.on_wait(Box::new(move |text| told.try_send(text.to_owned()).unwrap_or_default()));
    let call = client.nodes();
    let text = tokio::select! {
        answer = call => panic!("no server can answer: {answer:?}"),
        text = tokio::time::timeout(Duration::from_secs(2), notices.recv()) => text.unwrap().unwrap(),
    };
    assert!(text.starts_with("waiting: ") && text.contains("1 of 3 servers answers, no majority"), "{text}");
}

#[tokio::test]
async fn only_reads_of_the_state_ask_for_stale_answers() {
    let script = Script::of(vec![no_nodes(), Answer::Json(200, "{}".into()), submitted()]);
    let client = client(vec![silent().await, script.start().await], 0);
    client.allow_stale();
    client.nodes().await.unwrap();
    client.openapi().await.unwrap();
    assert!(!client.has_changed_something());
    client.submit(submit()).await.unwrap();
    assert!(client.has_changed_something());
    let paths: Vec<String> = script.seen().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(paths, ["/v1/nodes?consistency=stale", "/openapi.json", "/v1/jobs"]);
    // The fake server, as the real one, knows `/readyz` without parameters only.
    assert_eq!(client.survey().await.0[1].1, taskyard_client::ServerHealth::Ready);
}

/// Paused servers accept connections and answer nothing; a call does not wait for the second of them once a survey has
/// named the server that answers.
#[tokio::test]
async fn a_stale_read_goes_to_the_server_that_answers_past_paused_ones() {
    let script = Script::of(vec![no_nodes()]);
    *script.not_ready.lock().unwrap() = Some(api::ApiError::new(ErrorCode::Unavailable, "no leader"));
    let client = client(vec![odd(None).await, odd(None).await, script.start().await], 20_000);
    client.allow_stale();
    let answer = tokio::time::timeout(Duration::from_secs(8), client.nodes()).await;
    assert_eq!(answer.expect("within seconds").unwrap().items.len(), 0);
}

/// A stopped server accepts connections: neither that nor a stranger at one of the addresses is in the way of a
/// server that is ready.
#[tokio::test]
async fn one_wrong_address_is_passed_over() {
    let script = Script::of(vec![no_nodes(), submitted(), no_nodes()]);
    let good = script.start().await;
    let web = odd(Some(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nwhat?")).await;
    client(vec![web.clone(), good.clone()], 0).nodes().await.unwrap();
    let began = std::time::Instant::now();
    client(vec![odd(None).await, good.clone()], 0).submit(submit()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    client(vec!["http://no-such-name.invalid:1".into(), good], 0).nodes().await.unwrap();

    let error = client(vec![web], 0).nodes().await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }) && error.to_string().contains("404"), "{error}");
}

#[tokio::test]
async fn what_is_said_while_nothing_answers() {
    let silent = odd(None).await;
    let client = client(vec![silent.clone()], 0);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    client.on_wait(Box::new(move |text| drop(tell.send(text.to_owned()))));
    let asked = tokio::spawn(async move { client.nodes().await });
    let text = tokio::time::timeout(Duration::from_secs(4), told.recv()).await.unwrap().unwrap();
    assert!(text.contains(&silent) && text.contains("accepts connections but does not answer"), "{text}");
    asked.abort();
}

#[tokio::test]
async fn servers_of_another_kind_are_told_apart() {
    let plain = Script::of(vec![]).start().await.replace("http://", "https://");
    let secure = odd(Some(b"\x15\x03\x03\x00\x02\x02\x28")).await;
    let name = "http://no-such-name.invalid:1".to_owned();
    for (url, remedy) in [(plain, "write http://"), (secure.clone(), "write https://"), (name, "name")] {
        let error = client(vec![url], 0).submit(submit()).await.unwrap_err();
        assert!(error.to_string().contains(remedy) && error.is_definite(), "{error}");
    }
    let error = client(vec![secure], 0).nodes().await.unwrap_err();
    assert!(error.to_string().contains("write https://"), "{error}");
}
