//! How jobs, tasks and nodes of the state look in the API.

use super::after;
use super::natural;
use crate::agents::{LiveAgent, idle, is_fresh};
use crate::app::App;
use crate::failure::Answer;
use std::borrow::Cow;
use std::collections::BTreeMap;
use taskyard_api::{
    self as api, Attempt, BeingStopped, JobState, JobSummary, Resources, StopReason, StoppingTasks,
    TaskCounts, TaskState,
};
use taskyard_model::quantity::show_duration;
use taskyard_model::{Amounts, Gate, JobId, NodeId, NodeView, OtherLoad, TaskIndex};
use taskyard_state::{Job, PastAttempt, Phase, State, StopCause, StopOrders, Stopping, TaskRecord};

/// Nodes shown while the state is locked.
const NODES_AT_ONCE: usize = 512;

pub(crate) fn counts(job: &Job) -> TaskCounts {
    let count = |phase| u64::from(job.count(phase));
    TaskCounts {
        total: job.tasks().into(),
        pending: count(Phase::Pending),
        prefetched: count(Phase::Queued),
        running: count(Phase::Running),
        succeeded: count(Phase::Succeeded),
        failed: count(Phase::Failed),
        cancelled: count(Phase::Cancelled),
        skipped: count(Phase::Skipped),
    }
}

pub(crate) fn job_state(job: &Job) -> JobState {
    JobState::of(&counts(job), job.head.held, job.head.cancelled && !job.head.failed_too_often)
}

/// One line of a list of jobs. The reason costs more than the rest, so the caller says what it is.
pub(crate) fn summary(state: &State, job: &Job, reason: Option<String>) -> JobSummary {
    let head = &job.head;
    JobSummary {
        id: head.id.0,
        name: job.spec.name.clone(),
        user: head.owner.clone(),
        namespace: job.spec.namespace.to_string(),
        account: job.spec.account.clone(),
        queue: state.queue_name(head.queue).to_owned(),
        priority: job.spec.priority,
        state: job_state(job),
        reason,
        begin_at_ms: head.begin.map(|begin| begin.wall_ms),
        submitted_at_ms: head.submitted_wall_ms,
        started_at_ms: head.started_wall_ms,
        finished_at_ms: head.finished_wall_ms,
        tasks: counts(job),
    }
}

pub(crate) fn task_state(phase: Phase) -> TaskState {
    match phase {
        Phase::Pending => TaskState::Pending,
        Phase::Queued => TaskState::Prefetched,
        Phase::Running => TaskState::Running,
        Phase::Succeeded => TaskState::Succeeded,
        Phase::Failed => TaskState::Failed,
        Phase::Cancelled => TaskState::Cancelled,
        Phase::Skipped => TaskState::Skipped,
    }
}

/// Names of nodes by id.
pub(crate) type NodeNames = BTreeMap<NodeId, String>;

/// What a task looks like depends on more than its job.
pub(crate) struct Around {
    /// Names of the nodes where it ran.
    pub(crate) names: NodeNames,
    /// State time now.
    pub(crate) now_ms: u64,
    wall_ms: u64,
    /// Orders to stop tasks of the job.
    stops: StopOrders,
}

impl Around {
    /// The names of these nodes; ids that occur often are looked up once.
    pub(crate) fn of(state: &State, ids: impl IntoIterator<Item = NodeId>) -> Around {
        let mut names = NodeNames::new();
        for id in ids {
            if let Some(node) = state.node(id).filter(|_| !names.contains_key(&id)) {
                names.insert(id, node.head.registered.name.clone());
            }
        }
        Around { names, now_ms: state.now_ms(), wall_ms: state.wall_ms(), stops: StopOrders::default() }
    }

    /// The same, with what stops tasks of a job.
    pub(crate) fn of_job(state: &State, job: JobId, ids: impl IntoIterator<Item = NodeId>) -> Around {
        Around { stops: state.stop_orders(job), ..Around::of(state, ids) }
    }

    fn stopping(&self, job: &Job, index: TaskIndex, record: &TaskRecord) -> Option<BeingStopped> {
        let stopping = self.stops.of(job, index, record, self.now_ms)?;
        Some(being_stopped(&stopping, self.now_ms, self.wall_ms))
    }
}

/// Why an attempt is being stopped, and how long it has.
pub(crate) fn being_stopped(stopping: &Stopping, now_ms: u64, wall_ms: u64) -> BeingStopped {
    let (reason, time_limit_ms) = match stopping.cause {
        StopCause::Cancelled => (StopReason::Cancelled, None),
        StopCause::MaxFails => (StopReason::MaxFails, None),
        StopCause::TimeLimit { limit_ms } => (StopReason::TimeLimit, Some(limit_ms)),
    };
    let kill_in_ms = stopping.until_ms.saturating_sub(now_ms);
    let then = match kill_in_ms {
        0 => "it is being killed".to_owned(),
        left => {
            format!("it is killed in {} unless it ends before", show_duration(left.next_multiple_of(1_000)))
        }
    };
    BeingStopped {
        cause: reason,
        time_limit_ms,
        kill_in_ms,
        kill_at_ms: wall_ms.saturating_add(kill_in_ms),
        sentence: format!("{}; {then}", stopping.cause),
    }
}

/// The tasks of a job that are being stopped, if any are.
pub(crate) fn stopping_tasks(state: &State, job: &Job) -> Option<StoppingTasks> {
    let all = state.stopping(job);
    let last = all.values().max_by_key(|stopping| stopping.until_ms)?;
    let last = being_stopped(last, state.now_ms(), state.wall_ms());
    Some(StoppingTasks { tasks: all.len() as u64, last })
}

/// One task with its last attempt.
pub(crate) fn task(job: &Job, index: TaskIndex, record: &TaskRecord, around: &Around) -> api::Task {
    let stopping = around.stopping(job, index, record);
    let waits = waiting_reason(job, index, record, around.now_ms);
    api::Task {
        job: job.head.id.0,
        task: job.spec.array.number(index),
        index,
        state: task_state(record.phase),
        reason: waits.or_else(|| stopping.as_ref().map(|stopping| stopping.sentence.clone())),
        stopping,
        attempt: record.attempt.into(),
        last: last_attempt(job, index, record, &around.names),
        entry: job.spec.entries.get(index as usize).cloned(),
        attempts: Vec::new(),
    }
}

fn waiting_reason(job: &Job, index: TaskIndex, record: &TaskRecord, now_ms: u64) -> Option<String> {
    let gate = gate_word(job.gate());
    match record.phase {
        Phase::Pending if job.head.held => Some("held".into()),
        Phase::Pending if gate.is_some() => gate,
        Phase::Pending if record.backing_off => Some(next_try(job.again_ms(index), now_ms)),
        Phase::Pending if record.attempt > 0 => Some("to be retried".into()),
        Phase::Queued => Some("prefetched: starts when a task like it ends there".into()),
        Phase::Skipped => after::skipped_in_short(job),
        _ => None,
    }
}

/// What must come before any task of a job starts, in a few words.
pub(crate) fn gate_word(gate: Gate) -> Option<String> {
    match gate {
        Gate::Open => None,
        Gate::After { job, more: 0 } => Some(format!("after job {job}")),
        Gate::Begin { .. } => Some("waits for its begin time".into()),
        Gate::After { job, more } => Some(format!("after job {job} and {more} more")),
    }
}

/// `retried in 12s`. The time is unknown only of back-offs that an older version began.
pub(crate) fn next_try(again_ms: Option<u64>, now_ms: u64) -> String {
    const SECOND: u64 = 1_000;
    match again_ms.map(|at| at.saturating_sub(now_ms)) {
        None => "to be retried".into(),
        // Fractions matter only where there is little else.
        Some(left) if left >= 10 * SECOND => {
            format!("retried in {}", show_duration(left.next_multiple_of(SECOND)))
        }
        Some(left) => format!("retried in {}", show_duration(left)),
    }
}

/// All attempts that are known, oldest first.
pub(crate) fn attempts(job: &Job, index: TaskIndex, record: &TaskRecord, names: &NodeNames) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = job
        .past_attempts(index)
        .map(|(number, past)| Attempt { number: Some(number), ..past_attempt(past, names) })
        .collect();
    let last = u32::from(record.attempt);
    if last > 0 && all.last().is_none_or(|a| a.number != Some(last)) {
        all.push(Attempt { number: Some(last), ..last_attempt(job, index, record, names) });
    }
    all
}

fn last_attempt(job: &Job, index: TaskIndex, record: &TaskRecord, names: &NodeNames) -> Attempt {
    if record.attempt == 0 {
        // Cancelled before the first attempt: how it ended is known all the same.
        return record.end().map_or_else(Attempt::default, |end| Attempt::default().ended(&end));
    }
    // A later attempt that never started may have left its marks in the record of a task that waits again.
    if record.phase == Phase::Pending
        && let Some((_, past)) = job.past_attempts(index).find(|(n, _)| *n == u32::from(record.attempt))
    {
        return past_attempt(past, names);
    }
    let attempt = Attempt {
        fence: Some(record.fence.0),
        node: names.get(&record.node).cloned(),
        started_at_ms: (record.started_wall_ms > 0).then_some(record.started_wall_ms),
        ..Attempt::default()
    };
    match record.end() {
        Some(end) => attempt.ended(&end),
        None => attempt,
    }
}

fn past_attempt(past: &PastAttempt, names: &NodeNames) -> Attempt {
    let attempt =
        Attempt { fence: Some(past.fence.0), node: names.get(&past.node).cloned(), ..Attempt::default() };
    attempt.ended(&past.end)
}

/// One node: what is replicated, and what this server has heard from it.
pub(crate) fn node(app: &App, state: &State, view: &NodeView) -> api::Node {
    let live = app.agents.live(view.id);
    let gpu_free = view.gpu_free.iter().map(|g| u64::from(*g)).sum();
    let head = state.node(view.id).map(|n| &n.head);
    let isolation = head.map(|head| head.registered.isolation.clone());
    let status = &view.status;
    let reason = status.unready().filter(|_| status.is_alive() && !status.is_removed());
    api::Node {
        id: view.id.0,
        name: view.name.clone(),
        state: status.state(),
        reason: reason.map(Cow::into_owned),
        pool: state.view().pool(view.pool).map(|p| p.name.clone()).unwrap_or_default(),
        incarnation: status.incarnation().map(|i| i.0),
        capacity: Resources::from(&view.capacity),
        free: Resources::new(&view.free, gpu_free),
        labels: view.labels.clone(),
        running: view.running,
        prefetched: view.prefetched,
        load_milli: live.as_ref().map(|l| l.load.load1_milli),
        other_load: live.as_ref().and_then(|live| other_load(app, live, view)),
        last_seen_age_ms: live.as_ref().map(|l| l.age_ms),
        drained: status.drained().map(|drain| api::Drained {
            reason: Some(drain.reason.clone()).filter(|reason| !reason.is_empty()),
            by: drain.by.clone(),
            since_ms: drain.since_wall_ms,
        }),
        without_cpu_max: view.capacity.without_cpu_max(),
        isolation: isolation.filter(|i| !i.is_empty()),
    }
}

/// As the planner takes it, but held against the reservations of this moment.
fn other_load(app: &App, live: &LiveAgent, node: &NodeView) -> Option<Resources> {
    let OtherLoad { cpu_milli, memory } = OtherLoad::of(node, idle(&live.load, node));
    let amounts = Amounts { cpu_milli, memory, ..Amounts::default() };
    is_fresh(live.age_ms, app.config.heartbeat_ms).then(|| Resources::new(&amounts, 0))
}

/// All nodes that are not gone for good, in the order of their names. The state is let go in between, so that many
/// nodes do not hold up the log.
pub(crate) fn all_nodes(app: &App) -> Answer<Vec<api::Node>> {
    let mut all = Vec::new();
    for from in (0..).step_by(NODES_AT_ONCE) {
        let seen = app.consensus.read(|state| {
            let nodes = &state.view().nodes;
            let some = nodes.iter().skip(from).take(NODES_AT_ONCE).filter(|view| !state.is_gone(view.id));
            all.extend(some.map(|view| node(app, state, view)));
            nodes.len()
        });
        if seen <= from + NODES_AT_ONCE {
            break;
        }
    }
    all.sort_by(|a, b| natural::compare(&a.name, &b.name));
    Ok(all)
}
