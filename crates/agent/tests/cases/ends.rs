//! How attempts end.

use super::{Agent, eventually, sh, sleepers};
use crate::support::{Server, Stand, array, outcomes};
use taskyard_model::spec::Null;
use taskyard_model::{Driver, Fence, JobId, JobSpec, Outcome, TaskRef};
use taskyard_wire::ToAgent;

pub async fn quick_tasks_are_chained() {
    let server = Server::start(2, 64).await;
    let agent = Agent::start(&server);
    let job = server.submit(array(&["/bin/true"], 500));
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Succeeded), "{ends:?}");
    let reports = server.lock().reports;
    assert!(reports < 450, "ends are reported in batches, not {reports} reports");
    let left = std::fs::read_dir(agent.dir.path().join("jobs/1")).unwrap().count();
    assert!(left <= 20, "empty files and directories are used again, not {left} left");
    agent.stop().await;
}

pub async fn outcomes_are_told_apart() {
    let server = Server::start(4, 0).await;
    let agent = Agent::start(&server);
    let one = |argv: &[&str]| server.submit(array(argv, 1));
    let mut no_cwd = array(&["/bin/true"], 1);
    let mut no_file = no_cwd.clone();
    if let (Driver::Process(a), Driver::Process(b)) = (&mut no_cwd.driver, &mut no_file.driver) {
        a.cwd = Some("/does/not/exist".into());
        b.stdout = Some("/proc/none/%{task}".into());
    }
    let expected = [
        (one(&sh("exit 3")), (Outcome::Exited, 3)),
        (one(&sh("kill -9 $$")), (Outcome::Signalled, 9)),
        (one(&["true"]), (Outcome::Succeeded, 0)),
        (one(&["no-such-program"]), (Outcome::NoProgram, libc::ENOENT)),
        (one(&["/no/such/program"]), (Outcome::NoProgram, libc::ENOENT)),
        (one(&["/etc/passwd"]), (Outcome::NoProgram, libc::EACCES)),
        (server.submit(no_cwd), (Outcome::NoCwd, libc::ENOENT)),
        (server.submit(no_file), (Outcome::NoFile, libc::ENOENT)),
    ];
    for (job, end) in expected {
        assert_eq!(outcomes(&server.ends(job).await), [end], "job {job}");
    }
    agent.stop().await;
}

pub async fn a_time_limit_ends_a_task_and_its_children() {
    let server = Server::start(1, 0).await;
    let agent = Agent::start(&server);
    let mut spec = array(&sh("sleep 86421 & wait"), 1);
    spec.time_limit_ms = Some(200);
    let job = server.submit(spec);
    assert_eq!(server.ends(job).await[&0].end.outcome, Outcome::TimeLimit);
    eventually("the child's death", || sleepers("86421").is_empty()).await;
    agent.stop().await;
}

pub async fn a_cancel_kills_what_ignores_it() {
    let server = Server::start(1, 4).await;
    let agent = Agent::start(&server);
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ready");
    let script = format!("trap '' TERM; : > {}; while :; do sleep 86422; done", mark.display());
    let mut spec = array(&sh(&script), 2);
    spec.grace_ms = 300;
    let job = server.submit(spec);
    let task = |index| TaskRef { job, index };
    server.until("the start", |s| (s.starts == 1).then_some(())).await;
    eventually("the trap", || mark.exists()).await;
    for index in [1, 0] {
        server.send(ToAgent::Cancel { task: task(index), fence: Fence(u64::MAX), now: false });
    }
    let ends = server.ends(job).await;
    assert!(ends.values().all(|f| f.end.outcome == Outcome::Cancelled), "{ends:?}");
    assert!(ends[&0].end.ran_ms >= 300 && ends[&1].end.started_wall_ms == 0, "{ends:?}");
    eventually("everyone's death", || sleepers("86422").is_empty()).await;
    // A cancel may come before the start it concerns.
    server.send(ToAgent::Cancel {
        task: TaskRef { job: JobId(2), index: 0 },
        fence: Fence(u64::MAX),
        now: false,
    });
    let job = server.submit(array(&["/bin/true"], 1));
    assert_eq!(server.ends(job).await[&0].end.outcome, Outcome::Cancelled);
    agent.stop().await;
}

pub async fn held_attempts_are_recalled() {
    let server = Server::start(1, 40).await;
    let agent = Agent::start(&server);
    let job = server.submit(array(&sh("sleep 86423"), 41));
    server.until("the start", |s| (s.starts == 1).then_some(())).await;
    server.lock().slots = 0;
    server.send(ToAgent::Recall { job, fence: Fence(u64::MAX) });
    server
        .until("the return", |s| s.live.values().all(|(_, stand)| *stand == Stand::Running).then_some(()))
        .await;
    assert_eq!(server.lock().live.len(), 1, "what runs goes on");
    agent.stop().await;
}

pub async fn null_tasks_run_in_memory() {
    let server = Server::start(8, 4_096).await;
    let agent = Agent::start(&server);
    let mut spec = array(&["x"], 50_000);
    spec.driver = Driver::Null(Null { fail_per_mille: 20, run_ms: 0 });
    let job = server.submit(spec.clone());
    let ends = server.ends(job).await;
    let failed = ends.values().filter(|f| f.end.outcome == Outcome::Exited).count();
    assert!((800..1_200).contains(&failed), "{failed}");
    spec.driver = Driver::Null(Null { fail_per_mille: 0, run_ms: 100 });
    spec.array.count = 16;
    let job = server.submit(spec);
    assert!(server.ends(job).await.values().all(|f| f.end.ran_ms == 100));
    agent.stop().await;
}

pub async fn new_limits_hold_for_what_runs() {
    let server = Server::start(3, 0).await;
    let agent = Agent::start(&server);
    let dir = tempfile::tempdir().unwrap();
    let started = dir.path().join("started");
    let script = format!("trap '' TERM; : > {}; while :; do sleep 0.05; done", started.display());
    let mut spec = array(&sh(&script), 1);
    (spec.time_limit_ms, spec.grace_ms) = (Some(3_600_000), 3_600_000);
    let shorter = server.submit(spec.clone());
    server.until("the start", |s| (s.starts == 1).then_some(())).await;
    eventually("the trap", || started.exists()).await;
    (spec.time_limit_ms, spec.grace_ms) = (Some(50), 100);
    let body = |job, spec: &JobSpec| ToAgent::Job { job, spec: Box::new(spec.clone()), owner: "me".into() };
    server.send(body(shorter, &spec));
    // Twice is as good as once.
    server.send(body(shorter, &spec));
    let end = server.ends(shorter).await[&0].end.clone();
    assert_eq!((end.outcome, end.code, end.limit_ms), (Outcome::TimeLimit, -libc::SIGKILL, 50));

    let mut spec = array(&sh("sleep 1.7"), 1);
    spec.time_limit_ms = Some(1_500);
    let longer = server.submit(spec.clone());
    server.until("the start", |s| (s.starts == 2).then_some(())).await;
    spec.time_limit_ms = Some(3_600_000);
    server.send(body(longer, &spec));
    let end = server.ends(longer).await[&0].end.clone();
    assert_eq!((end.outcome, end.limit_ms), (Outcome::Succeeded, 0));
    agent.stop().await;
}

pub async fn a_cancel_without_grace_kills_at_once() {
    let server = Server::start(1, 0).await;
    let agent = Agent::start(&server);
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ready");
    let script = format!("trap '' TERM; : > {}; while :; do sleep 0.05; done", mark.display());
    let mut spec = array(&sh(&script), 1);
    spec.grace_ms = 3_600_000;
    let job = server.submit(spec);
    eventually("the trap", || mark.exists()).await;
    let task = TaskRef { job, index: 0 };
    for now in [false, true] {
        server.send(ToAgent::Cancel { task, fence: Fence(u64::MAX), now });
    }
    let end = server.ends(job).await[&0].end.clone();
    assert_eq!((end.outcome, end.code), (Outcome::Cancelled, -libc::SIGKILL));
    agent.stop().await;
}
