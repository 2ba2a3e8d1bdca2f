//! What the agent is to do: everything assigned to it, and every order about it, that this session has not sent yet.

use super::talk::{Session, SessionEnd};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use taskyard_model::{Fence, JobId, JobSpec, NodeId, TaskRef};
use taskyard_state::{AgentOrder, AssignedRun, Forgotten, Job, OrderDue, State};
use taskyard_wire::{StartRun, ToAgent};

/// Tasks looked up at once: bounds the time the state is locked.
const TASKS_AT_ONCE: u32 = 16_384;
/// Bodies remembered as sent. Past them all are forgotten and sent again when needed, which costs only bytes.
const BODIES_REMEMBERED: usize = 10_000;

/// Between two messages about jobs that are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How far this session has come.
#[derive(Default)]
struct Sent {
    /// Assignments up to this fence.
    fence: Fence,
    /// Orders up to this log index.
    orders: u64,
    /// The forgotten jobs the agent was told of, and when that was looked at.
    forgotten: Option<(Forgotten, Instant)>,
    /// Version of each job's body.
    bodies: BTreeMap<JobId, u32>,
}

/// What is to be sent next, as read from the state at one moment.
struct Batch {
    alive: bool,
    bodies: Vec<(JobId, u32, Arc<JobSpec>, String)>,
    runs: Vec<AssignedRun>,
    orders: Vec<(OrderDue, Vec<(u32, Fence)>)>,
    upto: u64,
    forgotten: Option<Forgotten>,
}

/// Sends until the connection or the agent's life ends. Wakes with each applied entry.
pub(super) async fn push(session: &Session) -> SessionEnd {
    let mut applied = session.app.consensus.applied();
    let mut sent = Sent::default();
    loop {
        applied.mark_unchanged();
        let batch = session.app.consensus.read(|state| sent.next(state, session));
        // What another leader assigned is for its own session to send.
        if !session.leads() {
            return SessionEnd::NotLeading;
        }
        if !batch.alive {
            return SessionEnd::LifeEnded;
        }
        if sent.forget(session, &batch.forgotten).await.is_none() {
            return SessionEnd::Closed;
        }
        if batch.runs.is_empty() && batch.orders.is_empty() {
            if applied.changed().await.is_err() {
                return SessionEnd::Closed;
            }
            continue;
        }
        if sent.send(session, batch).await.is_none() {
            return SessionEnd::Closed;
        }
    }
}

impl Sent {
    fn next(&self, state: &State, session: &Session) -> Batch {
        let node = session.node;
        let alive = state.is_alive(node, session.incarnation);
        let runs = state.assigned_after(node, self.fence, TASKS_AT_ONCE);
        let orders = state.orders_after(node, self.orders);
        let mut bodies: Vec<(JobId, u32, Arc<JobSpec>, String)> = Vec::new();
        for run in &runs {
            if let Some(job) = state.job(run.job)
                && self.bodies.get(&run.job) != Some(&job.head.spec_version)
                && bodies.last().is_none_or(|(last, ..)| *last != run.job)
            {
                bodies.push(body(job));
            }
        }
        for order in orders.iter().filter(|order| order.order == AgentOrder::Limits) {
            if let Some(job) = state.job(order.job)
                && self.bodies.get(&order.job) != Some(&job.head.spec_version)
                && bodies.iter().all(|(id, ..)| *id != order.job)
            {
                bodies.push(body(job));
            }
        }
        let orders = orders.into_iter().map(|order| (order, concerned(state, node, &order))).collect();
        let looks = self.forgotten.as_ref().is_none_or(|(_, at)| at.elapsed() >= FORGET_EVERY);
        let forgotten = looks.then(|| state.forgotten());
        Batch { alive, bodies, runs, orders, upto: state.index(), forgotten }
    }

    /// Tells the agent what it may drop, now and then: it looks through a directory for it.
    async fn forget(&mut self, session: &Session, forgotten: &Option<Forgotten>) -> Option<()> {
        let Some(now) = forgotten else { return Some(()) };
        let before = self.forgotten.replace((now.clone(), Instant::now()));
        if before.is_none_or(|(before, _)| before != *now) {
            let Forgotten { before, gaps } = now.clone();
            session.handle.outbox.send(ToAgent::Forget { before, gaps }).await.ok()?;
        }
        Some(())
    }

    async fn send(&mut self, session: &Session, batch: Batch) -> Option<()> {
        let outbox = &session.handle.outbox;
        if self.bodies.len() > BODIES_REMEMBERED {
            self.bodies.clear();
        }
        for (job, version, spec, owner) in batch.bodies {
            outbox.send(ToAgent::Job { job, spec: Box::new((*spec).clone()), owner }).await.ok()?;
            self.bodies.insert(job, version);
        }
        if let Some(last) = batch.runs.last() {
            self.fence = last.fence;
            let runs = batch.runs.into_iter().map(start).collect();
            outbox
                .send(ToAgent::Start { term: session.term, session: session.handle.number, runs })
                .await
                .ok()?;
        }
        for (order, attempts) in batch.orders {
            self.orders = self.orders.max(order.index);
            let fence = Fence(batch.upto);
            match order.order {
                AgentOrder::Recall => outbox.send(ToAgent::Recall { job: order.job, fence }).await.ok()?,
                // They are in the job's body, which has been sent.
                AgentOrder::Limits => {}
                AgentOrder::CancelTask
                | AgentOrder::CancelJob
                | AgentOrder::KillTask
                | AgentOrder::KillJob => {
                    let now = matches!(order.order, AgentOrder::KillTask | AgentOrder::KillJob);
                    for (index, fence) in attempts {
                        let task = TaskRef { job: order.job, index };
                        outbox.send(ToAgent::Cancel { task, fence, now }).await.ok()?;
                    }
                }
            }
        }
        Some(())
    }
}

fn body(job: &Job) -> (JobId, u32, Arc<JobSpec>, String) {
    (job.head.id, job.head.spec_version, job.spec.clone(), job.head.owner.clone())
}

/// The attempts that a cancel is about.
fn concerned(state: &State, node: NodeId, order: &OrderDue) -> Vec<(u32, Fence)> {
    match order.order {
        AgentOrder::Recall | AgentOrder::Limits => Vec::new(),
        AgentOrder::CancelJob | AgentOrder::KillJob => state.assigned_of(node, order.job),
        AgentOrder::CancelTask | AgentOrder::KillTask => {
            let of_job = state.assigned_of(node, order.job);
            of_job.into_iter().filter(|(index, _)| *index == order.task).collect()
        }
    }
}

fn start(run: AssignedRun) -> StartRun {
    StartRun {
        job: run.job,
        first: run.first,
        count: run.count,
        attempt: run.attempt,
        fence: run.fence,
        prefetched: run.prefetched,
        group: run.class.0,
        gpus: run.gpus,
    }
}
