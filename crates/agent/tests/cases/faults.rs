//! What is left when something dies.

use super::{Agent, eventually, sh, sleepers};
use crate::support::{Server, array};
use std::time::{Duration, Instant};
use taskyard_agent::AgentError;
use taskyard_model::Outcome;

const SIGKILL: i32 = 9;

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert_eq!(SIGKILL, rustix::process::Signal::KILL.as_raw());
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub async fn a_killed_keeper_leaves_nothing() {
    let server = Server::start(2, 4).await;
    let agent = Agent::start(&server);
    // The second keeper's tasks end.
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "mkdir {0}/$TASKYARD_TASK 2>/dev/null && {{ setsid sleep 86441 & wait; }}; exit 0",
        dir.path().display()
    );
    let job = server.submit(array(&sh(&script), 2));
    // They left their process groups.
    eventually("two processes", || sleepers("86441").len() == 2).await;
    kill(agent.keeper_pid());
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    assert_eq!(sleepers("86441"), [] as [i32; 0], "all are dead before their end is reported");
    agent.stop().await;
}

pub async fn a_dead_agent_keeps_nothing_alive() {
    let server = Server::start(1, 0).await;
    server.lock().lease_ms = 2_000;
    let agent = Agent::start(&server);
    server.submit(array(&sh("trap '' TERM; sleep 86442; sleep 86442"), 1));
    eventually("the process", || !sleepers("86442").is_empty()).await;
    let started = Instant::now();
    let dir = agent.kill().await;
    eventually("its death by the deadline", || sleepers("86442").is_empty()).await;
    assert!(started.elapsed() < Duration::from_millis(2_200), "{:?}", started.elapsed());
    drop(dir);
}

pub async fn a_lost_life_ends_everything() {
    let server = Server::start(1, 3).await;
    let agent = Agent::start(&server);
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("mkdir {}/$TASKYARD_TASK 2>/dev/null && exec sleep 86443; exit 0", dir.path().display());
    let job = server.submit(array(&sh(&script), 1));
    eventually("the process", || dir.path().join("1").exists()).await;
    {
        let mut state = server.lock();
        state.refuse_lost = true;
        state.outbox.push(taskyard_wire::ToAgent::Refused(taskyard_wire::Refused {
            lost: true,
            message: "declared lost".into(),
            retry_after_ms: 0,
            leader: None,
        }));
    }
    server.submit(array(&["/bin/true"], 1));
    server
        .until("a new life", |s| {
            (s.hellos.len() >= 2 && s.hellos.last()?.incarnation.is_none()).then_some(())
        })
        .await;
    assert_eq!(sleepers("86443"), [] as [i32; 0]);
    assert_eq!(server.ends(job).await[&0].end.outcome, Outcome::Succeeded);
    agent.stop().await;
}

pub async fn a_broken_session_goes_on() {
    let server = Server::start(2, 16).await;
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let target = server.address.trim_start_matches("http://").to_owned();
    let cutting = tokio::spawn(async move {
        for connection in 0.. {
            let (mut ours, _) = proxy.accept().await.unwrap();
            let mut theirs = tokio::net::TcpStream::connect(&target).await.unwrap();
            let copy = tokio::io::copy_bidirectional(&mut ours, &mut theirs);
            if connection < 10 {
                let _ = tokio::time::timeout(Duration::from_millis(60), copy).await;
            } else {
                let _ = copy.await;
            }
        }
    });
    let agent = Agent::start_with(&server, tempfile::tempdir().unwrap(), |c| c.servers = vec![address]);
    let job = server.submit(array(&["/bin/true"], 1_500));
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded));
    agent.stop().await;
    cutting.abort();
}

pub async fn an_agent_that_restarts_reports_what_it_left() {
    let server = Server::start(1, 6).await;
    let agent = Agent::start(&server);
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("mkdir {}/$TASKYARD_TASK 2>/dev/null && exec sleep 86444; exit 0", dir.path().display());
    let job = server.submit(array(&sh(&script), 2));
    eventually("the process", || dir.path().join("1").exists()).await;
    let second = Agent::start_with(&server, tempfile::tempdir().unwrap(), |c| {
        c.data_dir = agent.dir.path().to_owned();
    });
    let refused = second.result().await;
    assert!(matches!(refused, Err(AgentError::InUse { .. })), "{refused:?}");
    let data_dir = agent.kill().await;
    std::fs::create_dir_all(dir.path().join("2")).unwrap();
    let agent = Agent::start_with(&server, data_dir, |_| {});
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    let lives: Vec<_> = server.lock().hellos.iter().map(|h| h.incarnation.map(|i| i.0)).collect();
    assert_eq!(lives, [None, Some(1), None], "first what was left is reported");
    let clusters: Vec<_> = server.lock().hellos.iter().map(|h| h.cluster.clone()).collect();
    let test = || Some("test".to_owned());
    assert_eq!(clusters, [None, test(), test()], "the first welcome decides");
    assert_eq!(sleepers("86444"), [] as [i32; 0]);
    agent.stop().await;
}

pub async fn a_stop_is_orderly() {
    let server = Server::start(2, 8).await;
    let agent = Agent::start(&server);
    let keeper = {
        server.submit(array(&sh("exec sleep 86445"), 10));
        eventually("two processes", || sleepers("86445").len() == 2).await;
        agent.keeper_pid()
    };
    agent.stop().await;
    server.until("goodbye", |s| s.goodbye.then_some(())).await;
    assert!(server.lock().live.is_empty(), "everything is reported before");
    assert_eq!(sleepers("86445"), [] as [i32; 0]);
    eventually("the keeper's end", || !std::path::Path::new(&format!("/proc/{keeper}")).exists()).await;
}

/// Sets how many files the keeper may have open; answers with how many that was.
fn set_files(keeper: i32, files: Option<u64>) -> Option<u64> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: files, maximum };
    prlimit(Pid::from_raw(keeper), Resource::Nofile, limit).unwrap().current
}

pub async fn a_node_without_descriptors_takes_no_work_until_it_has_some() {
    let server = Server::start(4, 8).await;
    let agent = Agent::start(&server);
    let before = server.submit(array(&["true"], 10));
    server.ends(before).await;
    let files = set_files(agent.keeper_pid(), Some(8));
    let job = server.submit(array(&["true"], 50));
    let fault = server.until("the fault", |s| s.fault.clone()).await;
    assert!(fault.contains("EMFILE"), "{fault}");
    assert_eq!(server.lock().jobs[&job.0].ends.len(), 0, "the tasks are not to blame");
    set_files(agent.keeper_pid(), files);
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    assert_eq!(server.lock().fault, None);
    agent.stop().await;
}

pub async fn few_descriptors_are_enough_for_many_tasks() {
    let server = Server::start(60, 64).await;
    // The keeper inherits it. Three for each task that runs would be too many.
    let files = set_files(std::process::id() as i32, Some(120));
    let agent = Agent::start(&server);
    server.ends(server.submit(array(&["true"], 10))).await;
    set_files(std::process::id() as i32, files);
    for _ in 0..3 {
        let job = server.submit(array(&sh("echo x; sleep 0.1"), 120));
        let ends = server.ends(job).await;
        assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    }
    assert_eq!(server.lock().fault, None);
    agent.stop().await;
}
