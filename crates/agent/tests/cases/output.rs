//! Output, files and environment of tasks.

use super::{Agent, sh};
use crate::support::{Server, array};
use std::time::{Duration, Instant};
use taskyard_model::spec::Stdin;
use taskyard_model::{Driver, JobId, JobSpec, Outcome, TaskRef};
use taskyard_wire::{LogRead, Stream};

fn read(job: JobId, index: u32) -> LogRead {
    LogRead {
        request: 0,
        task: TaskRef { job, index },
        attempt: 1,
        stream: Stream::Stdout,
        offset: Some(0),
        tail_lines: 0,
        max: 1 << 16,
        wait_ms: 10_000,
    }
}

fn command(spec: &mut JobSpec) -> &mut taskyard_model::spec::Command {
    match &mut spec.driver {
        Driver::Process(command) => command,
        Driver::Null(_) => panic!("a null job"),
    }
}

pub async fn is_captured_and_read() {
    let server = Server::start(2, 8).await;
    let agent = Agent::start(&server);
    // Every other task writes, so that files are used again in between.
    let job = server
        .submit(array(&sh("[ $((TASKYARD_TASK % 2)) = 0 ] || { echo $TASKYARD_TASK; echo e >&2; }"), 60));
    server.ends(job).await;
    for index in 0..60 {
        let chunk = server.read_log(u64::from(index) + 1, read(job, index)).await;
        let expected = if index % 2 == 0 { format!("{}\n", index + 1) } else { String::new() };
        assert_eq!((String::from_utf8(chunk.data).unwrap(), chunk.end, chunk.error), (expected, true, None));
    }
    let stderr = server.read_log(100, LogRead { stream: Stream::Stderr, ..read(job, 0) }).await;
    assert_eq!(stderr.data, b"e\n");

    let job = server.submit(array(&sh("echo one; echo two; sleep 0.3; echo three; exec sleep 86431"), 1));
    server.until("the start", |s| s.live.keys().any(|t| t.job == job).then_some(())).await;
    let first = server.read_log(101, read(job, 0)).await;
    assert!(first.data.starts_with(b"one\n") && !first.end, "{first:?}");
    let mut text = first.data;
    for request in 110.. {
        let next =
            server.read_log(request, LogRead { offset: Some(text.len() as u64), ..read(job, 0) }).await;
        text.extend(next.data);
        if text == b"one\ntwo\nthree\n" {
            break;
        }
    }
    let tail = server.read_log(102, LogRead { offset: None, tail_lines: 2, ..read(job, 0) }).await;
    assert_eq!((tail.offset, tail.data.as_slice()), (4, &b"two\nthree\n"[..]));
    agent.stop().await;
}

pub async fn goes_to_named_files() {
    let server = Server::start(2, 4).await;
    let agent = Agent::start(&server);
    let home = tempfile::tempdir().unwrap();
    let mut spec = array(&sh("cat; pwd; echo err >&2"), 2);
    spec.name = "named".into();
    let c = command(&mut spec);
    c.cwd = Some(home.path().to_str().unwrap().into());
    c.stdin = Stdin::Bytes(b"input\n".to_vec());
    c.stdout = Some("out/%{name}.%{task}".into());
    c.stderr = Some("both.err".into());
    let job = server.submit(spec);
    server.ends(job).await;
    let text = |name: &str| std::fs::read_to_string(home.path().join(name)).unwrap();
    let pwd = home.path().canonicalize().unwrap();
    assert_eq!(text("out/named.1"), format!("input\n{}\n", pwd.display()));
    assert_eq!(text("both.err"), "err\nerr\n");
    let chunk = server.read_log(1, read(job, 0)).await;
    assert!(chunk.error.is_some_and(|e| e.contains("out/%{name}.%{task}")));
    agent.stop().await;
}

pub async fn past_its_limit_is_dropped() {
    let server = Server::start(1, 0).await;
    let agent = Agent::start_with(&server, tempfile::tempdir().unwrap(), |c| c.output_bytes_max = 1_000);
    let job = server.submit(array(&sh("head -c 50000 /dev/zero; sleep 86432"), 1));
    let started = Instant::now();
    server.until("the start", |s| s.live.keys().next().map(drop)).await;
    for request in 1.. {
        let chunk = server.read_log(request, LogRead { wait_ms: 50, ..read(job, 0) }).await;
        if chunk.dropped == 49_000 {
            assert_eq!(chunk.data.len(), 1_000);
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{chunk:?}");
        tokio::time::sleep(Duration::from_millis(20)).await; // sleep: between polls for the keeper's check, once a second
    }
    agent.stop().await;
}

pub async fn scripts_and_environment() {
    let server = Server::start(2, 0).await;
    let agent = Agent::start(&server);
    let mut spec = array(&["x", "y z"], 3);
    spec.array.first = 10;
    spec.array.step = 5;
    spec.entries = vec!["a".into(), "b b".into(), "c".into()];
    let c = command(&mut spec);
    c.script = Some(b"#!/bin/sh\necho \"$TASKYARD_JOB $TASKYARD_TASK $TASKYARD_ATTEMPT $TASKYARD_NODE\"\necho \"$TASKYARD_ENTRY|$2|$MINE\"\n[ \"$PWD\" = \"$TASKYARD_TASK_DIR\" ] && [ $TASKYARD_FENCE -gt 0 ] || exit 9\ncat\n".to_vec());
    c.env = vec![("MINE".into(), "yes".into())];
    let job = server.submit(spec);
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    let chunk = server.read_log(1, read(job, 1)).await;
    assert_eq!(String::from_utf8(chunk.data).unwrap(), "1 15 1 n1\nb b|y z|yes\n");
    agent.stop().await;
}
