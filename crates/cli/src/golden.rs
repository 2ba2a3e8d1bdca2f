//! What people see, as files beside the tests. `UPDATE_GOLDEN=1 cargo test` rewrites them.

use crate::commands::{access, backup, cluster, events, jobs, nodes, retention, show, tasks, wait};
use crate::show::{Format, Out};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use taskyard_client::api::{
    Attempt, Backup, BackupContent, BackupState, ClusterStatus, Event, EventId, EventKind, Grant, JobDetail,
    JobSpec, JobState, JobSummary, Node, NodeState, Predecessor, Quantity, Resources, ResultCount,
    RetentionStatus, Task, TaskCounts, TaskState, Token, TokenState, Whoami,
};

mod forecast;
mod queues;

const NOW: u64 = 1_780_000_000_000;

/// What was written, to be looked at.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    /// Without colours.
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().expect("one thread").clone();
        anstream::adapter::strip_str(std::str::from_utf8(&bytes).expect("text")).to_string()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares what `write` writes at a width with the file of that name.
fn golden(name: &str, columns: usize, write: impl FnOnce(&mut Out)) {
    let shared = Shared::default();
    let mut out = Out::of(Format::Table, Box::new(shared.clone()), columns);
    write(&mut out);
    let text = shared.text();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tables").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, &text).expect("written");
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, want, "{} differs; UPDATE_GOLDEN=1 accepts it", path.display());
}

fn job(id: u64, name: &str, state: JobState, tasks: TaskCounts) -> JobSummary {
    JobSummary {
        id,
        name: name.into(),
        user: "ann".into(),
        namespace: "default".into(),
        account: None,
        queue: "default".into(),
        priority: 0,
        state,
        reason: None,
        begin_at_ms: None,
        submitted_at_ms: NOW - id * 700_000,
        started_at_ms: None,
        finished_at_ms: None,
        tasks,
    }
}

fn some_jobs() -> Vec<JobSummary> {
    let waits = TaskCounts { total: 1, pending: 1, ..TaskCounts::default() };
    let runs = TaskCounts {
        total: 20_000,
        pending: 15_000,
        running: 8,
        prefetched: 64,
        succeeded: 4_926,
        failed: 2,
        ..waits
    };
    let done = TaskCounts { total: 1, succeeded: 1, ..TaskCounts::default() };
    vec![
        JobSummary {
            reason: Some("every node that could run it is busy".into()),
            queue: "batch".into(),
            ..job(120, "train-with-a-name-that-goes-on", JobState::Pending, waits)
        },
        job(119, "sweep", JobState::Running, runs),
        JobSummary { user: "bob".into(), ..job(3, "echo", JobState::Succeeded, done) },
        JobSummary { reason: Some("held".into()), ..job(1, "later", JobState::Held, waits) },
        JobSummary {
            reason: Some("job 3 failed".into()),
            ..job(
                2,
                "report",
                JobState::Skipped,
                TaskCounts { total: 1, skipped: 1, ..TaskCounts::default() },
            )
        },
    ]
}

fn failed_task(task: u64, attempt: u32, last: Attempt) -> Task {
    Task {
        job: 119,
        task,
        index: 0,
        state: TaskState::Failed,
        reason: None,
        stopping: None,
        entry: None,
        attempt,
        last,
        attempts: vec![],
    }
}

fn some_tasks() -> Vec<Task> {
    let node = Some("n1".to_owned());
    let ran = Attempt {
        node: node.clone(),
        result: Some("succeeded".into()),
        exit_code: Some(0),
        // No wall clock here: it would show in the zone of the machine that tests.
        ran_ms: Some(4_250),
        cpu_ms: Some(3_900),
        max_rss_kib: Some(51_200),
        ..Attempt::default()
    };
    let exited = Attempt { result: Some("exited".into()), exit_code: Some(3), ..ran.clone() };
    let killed =
        Attempt { result: Some("signalled".into()), exit_code: None, signal: Some(9), ..ran.clone() };
    let missing = Attempt { node, result: Some("no_program".into()), errno: Some(2), ..Attempt::default() };
    vec![
        Task { state: TaskState::Succeeded, ..failed_task(1, 1, ran) },
        failed_task(3, 2, exited),
        failed_task(5, 1, killed),
        failed_task(7, 1, missing),
        Task {
            state: TaskState::Pending,
            reason: Some("waits before the next try".into()),
            ..failed_task(9, 0, Attempt::default())
        },
    ]
}

fn some_predecessors() -> Vec<Predecessor> {
    let after = |job, need: &str, state| Predecessor { job, need: need.into(), state, waits: true };
    vec![after(5, "ok", Some(JobState::Running)), after(6, "any", None)]
}

#[test]
fn job_tables() {
    for columns in [80, 120] {
        golden(&format!("jobs-{columns}"), columns, |out| {
            jobs::table(&some_jobs(), NOW).write(out).expect("written");
        });
    }
}

#[test]
fn task_tables() {
    golden("tasks-80", 80, |out| tasks::table(&some_tasks(), NOW).write(out).expect("written"));
}

#[test]
fn one_job() {
    let spec = JobSpec {
        command: Some(vec!["sh".into(), "-c".into(), "exit $((TASKYARD_TASK % 7))".into()]),
        array: Some("1-20000".into()),
        cpus: Some("0.5".into()),
        memory: Some("4GiB".into()),
        resources: [("licence".to_owned(), 1)].into(),
        time_limit: Some(Quantity("1h".into())),
        retries: Some(2),
        backoff: Some("1s".into()),
        env: [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "2".to_owned())].into(),
        cwd: Some("/data/sweep".into()),
        ..JobSpec::default()
    };
    let results = [("succeeded", Some(0), 4_926), ("exited", Some(3), 1), ("no_program", Some(2), 1)]
        .map(|(result, code, tasks)| ResultCount { result: result.into(), code, tasks });
    let detail = JobDetail {
        summary: some_jobs().remove(1),
        spec: Some(spec),
        results: results.into(),
        failures: some_tasks()[1..4].to_vec(),
        retry_of: Some(7),
        after: some_predecessors(),
        cancelled: true,
        max_fails_exceeded: false,
        stopping: None,
    };
    golden("show-job", 100, |out| {
        let mut text = Out::of(Format::Table, Box::new(Shared::default()), 100);
        show::write_job(&detail, None, NOW, &mut text).expect("written");
        // Times of day depend on the machine's zone: compared without them.
        let mut without = detail.clone();
        without.summary.submitted_at_ms = 0;
        show::write_job(&without, None, 60_000, out).expect("written");
    });
    golden("show-task", 100, |out| {
        show::write_task(&detail.failures[2], detail.spec.as_ref(), out).expect("written")
    });
    golden("sentence", 100, |out| {
        let mut ended = detail.clone();
        let tasks = TaskCounts { total: 5, succeeded: 3, failed: 2, ..TaskCounts::default() };
        ended.summary = job(12, "sweep", JobState::Failed, tasks);
        ended.summary.finished_at_ms = Some(ended.summary.submitted_at_ms + 190_000);
        out.line(&wait::sentence(&ended)).expect("written");
        ended.results.push(ResultCount { result: "time_limit".into(), code: None, tasks: 1 });
        ended.results.push(ResultCount { result: "signalled".into(), code: Some(9), tasks: 1 });
        ended.summary.tasks.failed = 4;
        out.line(&wait::sentence(&ended)).expect("written");
        ended.results.truncate(3);
        ended.summary.tasks = TaskCounts { total: 1, failed: 1, ..TaskCounts::default() };
        ended.failures.truncate(1);
        out.line(&wait::sentence(&ended)).expect("written");
    });
}

#[test]
fn cluster_tables() {
    let all = Resources {
        cpu_milli: 8_000,
        memory_bytes: 32 << 30,
        gpu_milli: 2_000,
        named: [("licence".to_owned(), 4)].into(),
    };
    let free = Resources {
        cpu_milli: 1_500,
        memory_bytes: 5 << 29,
        gpu_milli: 300,
        named: [("licence".to_owned(), 3)].into(),
    };
    let node = Node {
        id: 1,
        name: "n1".into(),
        state: NodeState::Up,
        reason: None,
        pool: "default".into(),
        incarnation: Some(5),
        capacity: all.clone(),
        free: free.clone(),
        labels: [("zone".to_owned(), "a".to_owned()), ("ssd".to_owned(), String::new())].into(),
        running: 13,
        prefetched: 64,
        load_milli: Some(6_525),
        other_load: Some(Resources { cpu_milli: 1_250, memory_bytes: 1 << 30, ..Resources::default() }),
        last_seen_age_ms: Some(1_200),
        drained: None,
        without_cpu_max: 512,
        isolation: Some("pid namespace".into()),
    };
    let down = Node {
        name: "n2".into(),
        state: NodeState::Down,
        load_milli: None,
        other_load: None,
        last_seen_age_ms: None,
        ..node.clone()
    };
    golden("nodes-120", 120, |out| nodes::node_table(&[node, down]).write(out).expect("written"));
    let status = ClusterStatus {
        cluster_id: "a1b2".into(),
        version: "0.1.0".into(),
        server: 1,
        leader: Some(1),
        term: 2,
        applied_index: 977,
        digest: None,
        servers: Vec::new(),
        now_ms: 5,
        nodes_up: 1,
        nodes: 2,
        capacity: all,
        free,
        jobs_active: 2,
        tasks_pending: 15_001,
        tasks_prefetched: 64,
        tasks_running: 8,
    };
    golden("status", 100, |out| {
        cluster::write_status(&status, "http://127.0.0.1:7070", out).expect("written")
    });
}

#[test]
fn retention() {
    let retention = RetentionStatus {
        keep_ms: 7 * 86_400_000,
        max_jobs: 100_000,
        max_tasks: 20_000_000,
        max_bytes: 1 << 30,
        state_bytes_max: 2 << 30,
        jobs: 1_204,
        tasks: 96_310,
        bytes: 300 << 20,
        state_bytes: 41 << 20,
        oldest_end_at_ms: Some(NOW - 500_000_000),
    };
    golden("retention", 100, |out| retention::write_retention(&retention, NOW, out).expect("written"));
}

#[test]
fn event_lines() {
    let event = Event::new(EventId { index: 977, seq: 1 }, NOW, EventKind::TasksChanged);
    let tasks = Event {
        job: Some(119),
        task: Some(5),
        tasks: Some(64),
        state: Some("running".into()),
        node: Some("n1".into()),
        ..event.clone()
    };
    let node = Event { kind: EventKind::NodeDown, node: Some("n2".into()), ..event };
    golden("events", 100, |out| {
        for event in [tasks, node] {
            // Without the time of day, which depends on the machine's zone.
            let line = events::event_line(&event, NOW);
            out.line(&line[9..]).expect("written");
        }
    });
}

#[test]
fn namespaces_and_tokens() {
    let jobs = some_jobs().into_iter().take(2).map(|job| JobSummary { namespace: "team-a".into(), ..job });
    let jobs: Vec<JobSummary> = jobs.collect();
    golden("jobs-namespace-120", 120, |out| jobs::table(&jobs, NOW).write(out).expect("written"));
    let grant = |namespace: &str, role: &str| Grant { namespace: namespace.into(), role: role.into() };
    let token = Token {
        id: "3f9a0c12e4b7".into(),
        user: "ada".into(),
        kind: "user".into(),
        label: Some("laptop".into()),
        grants: vec![grant("team-a", "submitter"), grant("*", "viewer")],
        state: TokenState::Active,
        created_by: Some("admin".into()),
        created_at_ms: NOW,
        // No wall clock here: it would show in the zone of the machine that tests.
        expires_at_ms: None,
        uses: None,
        used: None,
    };
    let agent = Token {
        id: "77aa00bb11cc".into(),
        kind: "agent".into(),
        user: "rack1".into(),
        grants: Vec::new(),
        label: None,
        state: TokenState::Revoked,
        ..token.clone()
    };
    golden("tokens-100", 100, |out| {
        access::token_table(&[token.clone(), agent]).write(out).expect("written");
    });
    let who =
        Whoami { user: "ada".into(), kind: "user".into(), grants: token.grants.clone(), token: Some(token) };
    golden("whoami", 100, |out| access::write_whoami(&who, out).expect("written"));
}

#[test]
fn backups() {
    let content = BackupContent {
        cluster_id: "a1b2".into(),
        index: 977,
        term: 2,
        digest: "2e5b781d7dd0e509".into(),
        jobs: 12,
        tasks: 15_000,
        nodes: 3,
        made_at_ms: NOW,
        state_at_ms: NOW - 1,
        bytes: 3 << 20,
        state_bytes: 12 << 20,
        version: "0.1.0".into(),
    };
    let good = Backup {
        name: "20260528T202640Z-0000000000000977-a1b2".into(),
        state: BackupState::Complete,
        problem: None,
        content: Some(content),
    };
    let unfinished = Backup {
        name: "20260528T142640Z-0000000000000801-a1b2".into(),
        state: BackupState::Incomplete,
        problem: Some("it has no manifest: it is unfinished, or still being made".into()),
        content: None,
    };
    golden("backups", 120, |out| {
        backup::backup_table(&[good.clone(), unfinished]).write(out).expect("written");
    });
    let verified = Backup { state: BackupState::Verified, ..good };
    golden("backup", 100, |out| {
        backup::facts(&verified, |at_ms| at_ms.to_string()).write(out).expect("written");
    });
}
