//! Output, files and environment of tasks.

use super::{Agent, sh};
use crate::support::{Server, array};
use std::time::{Duration, Instant};
use taskyard_model::spec::Stdin;
use taskyard_model::{Driver, Fence, JobId, JobSpec, Outcome, TaskRef};
use taskyard_wire::{LogRead, Stream, ToAgent, Unread};

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
        shown: true,
    }
}

fn command(spec: &mut JobSpec) -> &mut taskyard_model::spec::ProcessCommand {
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
    std::fs::create_dir(home.path().join("out")).unwrap();
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
    let error = chunk.error;
    assert!(matches!(&error, Some(Unread::Elsewhere(e)) if e.contains("out/%{name}.%{task}")), "{error:?}");
    agent.stop().await;
}

pub async fn past_its_limit_is_dropped_in_the_middle() {
    let server = Server::start(1, 0).await;
    let agent = Agent::start_with(&server, tempfile::tempdir().unwrap(), |c| c.output_bytes_max = 8_192);
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo line $i; done; exec sleep 86432";
    let job = server.submit(array(&sh(script), 1));
    server.until("the start", |s| s.live.keys().next().map(drop)).await;
    let written: u64 = (1..=20_000).map(|i| format!("line {i}\n").len() as u64).sum();
    let mut requests = 1..;
    let mut ask = |read| server.read_log(requests.next().unwrap(), read);
    let from_start = |job| read(job, 0);
    let started = Instant::now();
    let dropped = loop {
        let chunk = ask(LogRead { wait_ms: 50, ..from_start(job) }).await;
        // A running task may have a quarter more than its limit.
        if chunk.dropped + 8_192 + 2_048 + 4_096 >= written {
            break chunk.dropped;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{} dropped", chunk.dropped);
        tokio::time::sleep(Duration::from_millis(20)).await; // sleep: between polls for the keeper's look at the size
    };
    server.send(ToAgent::Cancel { task: TaskRef { job, index: 0 }, fence: Fence(u64::MAX), now: false });
    let ends = server.ends(job).await;
    assert_eq!(ends[&0].end.outcome, Outcome::Cancelled);
    let head = ask(from_start(job)).await;
    let tail = ask(LogRead { offset: Some(head.next), shown: false, ..from_start(job) }).await;
    assert!(tail.end && tail.dropped >= dropped, "{tail:?}");
    let (head, tail) = (String::from_utf8(head.data).unwrap(), String::from_utf8(tail.data).unwrap());
    assert!(
        head.starts_with("line 1\nline 2\n") && tail.ends_with("line 19999\nline 20000\n"),
        "{head}{tail}"
    );
    assert!(tail.contains("bytes of output dropped here"), "{tail}");
    assert!(head.len() + tail.len() < 8_192 + 4_096 + 100, "{} and {}", head.len(), tail.len());
    agent.stop().await;
}

/// A job with a file for each of its tasks and streams would have thousands.
pub async fn is_packed_when_it_is_small() {
    let server = Server::start(4, 64).await;
    let agent = Agent::start(&server);
    let job = server.submit(array(&sh("echo out $TASKYARD_TASK; echo err $TASKYARD_TASK >&2"), 400));
    server.ends(job).await;
    let dir = agent.dir.path().join("jobs/1");
    let files = std::fs::read_dir(&dir).unwrap().count();
    assert!(files < 100, "{files} files");
    for index in [0, 7, 399] {
        for (stream, name) in [(Stream::Stdout, "out"), (Stream::Stderr, "err")] {
            let request = u64::from(index) * 2 + stream as u64 + 1;
            let chunk = server.read_log(request, LogRead { stream, ..read(job, index) }).await;
            let expected = format!("{name} {}\n", index + 1);
            assert_eq!(
                (String::from_utf8(chunk.data).unwrap(), chunk.end, chunk.error),
                (expected, true, None)
            );
        }
    }
    // The next agent finds it too.
    let dir = agent.stop().await;
    let agent = Agent::start_with(&server, dir, |_| {});
    let chunk = server.read_log(9_000, read(job, 123)).await;
    assert_eq!(chunk.data, b"out 124\n");
    let dir = agent.stop().await;
    // Damage is an error for what it hit, after another restart too, and for nothing else.
    let data = dir.path().join("jobs/1/output.data");
    let mut bytes = std::fs::read(&data).unwrap();
    let at = bytes.windows(8).position(|text| text == b"out 124\n").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let agent = Agent::start_with(&server, dir, |_| {});
    let error = server.read_log(9_001, read(job, 123)).await.error;
    let place = format!("output.data is damaged at offset {at}");
    assert!(matches!(&error, Some(Unread::Lost(e)) if e.contains(&place)), "{error:?}, not {place}");
    assert_eq!(server.read_log(9_002, read(job, 122)).await.data, b"out 123\n");
    agent.stop().await;
}

pub async fn links_in_its_place_are_not_read() {
    let server = Server::start(1, 0).await;
    let agent = Agent::start(&server);
    let dir = agent.dir.path().to_owned();
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, "canary\n").unwrap();
    let (secret, jobs) = (secret.display(), dir.join("jobs"));
    let large = "head -c 40000 /dev/zero | tr '\\0' x; exit 0";
    let tricks = [
        ("a hard link", format!("ln {secret} ../0.1.out; cat ../0.1.out >/dev/null; {large}")),
        ("a link", format!("(sleep 0.2; rm -f ../0.1.out; ln -s {secret} ../0.1.out) & {large}")),
        ("a FIFO", "mkfifo ../0.1.out".to_owned()),
        ("a device", "ln -s /dev/zero ../0.1.out".to_owned()),
        ("packed output", format!("ln {secret} ../output.data; echo own")),
        (
            "another directory",
            "cd ..; J=$PWD; cd /; mv $J $J.x; mkdir $J.y; ln -s $J.y $J; echo canary > $J/0.1.out".to_owned(),
        ),
    ];
    for (at, (name, script)) in tricks.into_iter().enumerate() {
        let job = server.submit(array(&sh(&script), 1));
        server.ends(job).await;
        let chunk = server.read_log(at as u64 + 1, LogRead { wait_ms: 0, ..read(job, 0) }).await;
        assert!(!String::from_utf8_lossy(&chunk.data).contains("canary"), "{name}: {chunk:?}");
        assert!(jobs.exists());
    }
    assert_eq!(
        std::fs::read_to_string(elsewhere.path().join("secret")).unwrap(),
        "canary\n",
        "nothing was written through"
    );
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
    c.script = Some(b"#!/bin/sh\necho \"$TASKYARD_JOB $TASKYARD_TASK/$TASKYARD_TASK_COUNT $TASKYARD_ATTEMPT $TASKYARD_NODE\"\necho \"$TASKYARD_ENTRY|$2|$MINE\"\n[ \"$PWD\" = \"$TASKYARD_TASK_DIR\" ] && [ $TASKYARD_FENCE -gt 0 ] || exit 9\ncat\n".to_vec());
    c.env = vec![("MINE".into(), "yes".into())];
    let job = server.submit(spec);
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    let chunk = server.read_log(1, read(job, 1)).await;
    assert_eq!(String::from_utf8(chunk.data).unwrap(), "1 15/3 1 n1\nb b|y z|yes\n");
    agent.stop().await;
}
