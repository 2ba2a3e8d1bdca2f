//! The jobs that a cluster has run, asked for page by page.

use super::inputs::told;
use crate::args::SimulateArgs;
use crate::context::Context;
use crate::exit::Failure;
use crate::progress::Counted;
use crate::show::text;
use crate::time;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeMap;
use taskyard_client::Client;
use taskyard_client::api::{
    self, Invalid, JobDetail, JobQuery, JobSummary, JobsQuery, Node, NodeState, Page, Task, TaskState,
    TasksQuery,
};
use taskyard_model::{
    Amounts, Capacity, Constraint, Discipline, Placement, Policy, PoolConfig, QueueConfig, policy::Factors,
    spec,
};
use taskyard_sim::history::{History, PastEnd, PastJob, PastTask};
use taskyard_sim::workload::{ClusterSettings, NodeShape, Terms};
use taskyard_sim::{Workload, limits};

/// Without `--since`.
const SINCE: &str = "7d";
/// Jobs asked for at once: enough to hide the way to the server, too few to be a load.
const AT_ONCE: usize = 8;
/// Rows of one page.
const PAGE_ROWS: usize = 10_000;

/// Reads the workload.
pub(super) async fn read(ctx: &Context, args: &SimulateArgs, clairvoyant: bool) -> Result<Workload, Failure> {
    let since = args.since.as_deref().unwrap_or(SINCE);
    let nodes = nodes(ctx.client.nodes().await?.items);
    let (settings, notes) = settings(&ctx.client).await?;
    let name = format!("this cluster since {since}");
    let mut history = History::new(name, nodes, settings, notes)?;
    let jobs = jobs(&ctx.client, time::behind("--since", since, &time::now()?)?).await?;
    let finished: BTreeMap<u64, u64> = jobs.iter().filter_map(|j| Some((j.id, j.finished_at_ms?))).collect();
    let mut shown = Counted::new("reading", jobs.len() as u64, "jobs");
    // Ordered, so that the same jobs make the same workload.
    let mut answers = stream::iter(jobs.iter().rev().map(|job| one(&ctx.client, job))).buffered(AT_ONCE);
    let mut read = 0;
    while let Some((detail, tasks)) = answers.try_next().await? {
        let job = past(detail, &finished)?;
        history.add(&job, tasks).map_err(|e| told("--since", e))?;
        read += 1;
        shown.show(read);
    }
    shown.clear();
    history.workload(clairvoyant).map_err(|e| told("--from-cluster", e))
}

/// Jobs since then that have something to show, newest first.
async fn jobs(client: &Client, since: String) -> Result<Vec<JobSummary>, Failure> {
    let mut query = JobsQuery { since: Some(since), limit: Some(PAGE_ROWS), ..JobsQuery::default() };
    let mut all = Vec::new();
    loop {
        let Page { items, next } = client.jobs(&query).await?;
        all.extend(items);
        if all.len() > limits::HISTORY_JOBS_MAX {
            let remedy =
                format!("at most {} jobs are read: ask for a shorter time", limits::HISTORY_JOBS_MAX);
            let since = query.since.unwrap_or_default();
            return Err(Invalid::new("--since", since, remedy).into());
        }
        match next {
            Some(next) => query.after = Some(next),
            None => return Ok(all),
        }
    }
}

async fn one(client: &Client, job: &JobSummary) -> Result<(JobDetail, Vec<PastTask>), Failure> {
    let detail = client.job(job.id, &JobQuery::default()).await?;
    let mut query = TasksQuery { limit: Some(PAGE_ROWS), ..TasksQuery::default() };
    let mut tasks = Vec::new();
    loop {
        let Page { items, next } = client.tasks(job.id, &query).await?;
        tasks.extend(items.iter().map(|task| past_task(task, text::now_ms())));
        match next {
            Some(next) if tasks.len() <= limits::HISTORY_TASKS_MAX => query.after = Some(next),
            _ => return Ok((detail, tasks)),
        }
    }
}

fn past_task(task: &Task, now_ms: u64) -> PastTask {
    let end = match (task.state, task.last.ran_ms, task.last.started_at_ms) {
        (_, Some(ran_ms), _) => PastEnd::Ended { ran_ms },
        (TaskState::Running, None, Some(at)) => PastEnd::Running { ran_ms: now_ms.saturating_sub(at) },
        _ => PastEnd::NotStarted,
    };
    PastTask { end, tried_before: task.attempt > 1, cancelled: task.state == TaskState::Cancelled }
}

/// How the cluster is set up, and what of it this user may not know or a replay does not have.
async fn settings(client: &Client) -> Result<(ClusterSettings, Vec<String>), Failure> {
    let mut notes = Vec::new();
    let mut known = |what: &str, instead: &str| {
        notes.push(format!(
        "You may not see {what} of this cluster, so {instead}. Ask an administrator for the role viewer in *."
    ))
    };
    let mut settings = ClusterSettings::default();
    match allowed(client.queues().await)? {
        Some(queues) => settings.queues = all(queues.items.iter().map(queue))?,
        None => {
            known("the queues", "all jobs are replayed in one queue, without tiers, weights and max_wait")
        }
    }
    match allowed(client.pools().await)? {
        Some(pools) => settings.pools = all(pools.items.iter().map(pool))?,
        None => known("the pools", "all nodes are replayed as one"),
    }
    match allowed(client.shares().await)? {
        Some(shares) => {
            settings.half_life_ms = Some(shares.half_life_ms);
            settings.weights = shares.items.into_iter().map(weight).collect();
        }
        None => known("the shares", "accounts and users are replayed with equal weights"),
    }
    if allowed(client.maintenance().await)?.is_some_and(|planned| !planned.items.is_empty()) {
        notes.push("Maintenance is not replayed: every node takes work all the time.".to_owned());
    }
    Ok((settings, notes))
}

/// What this user may not see is no answer; whatever else goes wrong is an error.
fn allowed<T>(answer: taskyard_client::Result<T>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.code() == Some(api::ErrorCode::Denied) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn all<T>(of: impl Iterator<Item = Result<T, Invalid>>) -> Result<Vec<T>, Failure> {
    Ok(of.collect::<Result<_, _>>()?)
}

fn queue(queue: &api::Queue) -> Result<(String, QueueConfig), Invalid> {
    let factors = queue.factors.as_ref().map(|f| Factors {
        age: f.age,
        priority: f.priority,
        size: f.size,
        fair_share: f.fair_share,
    });
    let config = QueueConfig {
        policy: Policy::parse("policy", &queue.policy)?,
        factors,
        tier: queue.tier,
        weight: queue.weight,
        aging_ms: queue.aging_ms,
        max_wait_ms: queue.max_wait_ms,
        pool: Some(queue.pool.clone()).filter(|pool| !pool.is_empty()),
        nodes: constraint(queue.nodes.as_deref())?,
        ..QueueConfig::default()
    };
    Ok((queue.name.clone(), config))
}

fn pool(pool: &api::Pool) -> Result<(String, PoolConfig), Invalid> {
    let config = PoolConfig {
        discipline: Discipline::parse("discipline", &pool.discipline)?,
        placement: Placement::parse("placement", &pool.placement)?,
        spread: pool.spread.clone(),
        reserve_after_ms: pool.reserve_after_ms.unwrap_or(u64::MAX),
        nodes: constraint(pool.nodes.as_deref())?.unwrap_or_default(),
    };
    Ok((pool.name.clone(), config))
}

/// No text is no constraint.
fn constraint(text: Option<&str>) -> Result<Option<Constraint>, Invalid> {
    text.filter(|text| !text.is_empty()).map(|text| Constraint::parse("nodes", text)).transpose()
}

fn weight(share: api::Share) -> (String, Option<String>, u32) {
    (share.account.unwrap_or_default(), share.user, share.weight)
}

/// A job with its wishes. What it waited for by its own wish (a time, the end of other jobs) is no waiting that a
/// policy could shorten.
fn past(detail: JobDetail, finished: &BTreeMap<u64, u64>) -> Result<PastJob, Failure> {
    let JobDetail { summary, spec, after, .. } = detail;
    let ends = after.iter().filter_map(|other| finished.get(&other.job).copied());
    let ready_ms = ends.chain(summary.begin_at_ms).fold(summary.submitted_at_ms, u64::max);
    let spec = spec::JobSpec::try_from(spec.unwrap_or_default())?;
    Ok(PastJob {
        id: summary.id,
        owner: summary.user,
        ready_ms,
        request: spec.request,
        constraint: spec.constraint,
        estimate_ms: spec.estimate_ms,
        limit_ms: spec.time_limit_ms,
        waited_for_others: !after.is_empty(),
        terms: Terms {
            queue: summary.queue,
            account: spec.account,
            priority: summary.priority,
            affinity: spec.affinity,
            max_running: spec.array.max_running,
            ..Terms::default()
        },
    })
}

/// The nodes that take work, or will again.
fn nodes(nodes: Vec<Node>) -> Vec<NodeShape> {
    let there = nodes.into_iter().filter(|node| node.state != NodeState::Down);
    let shape = |node: Node| NodeShape {
        name: node.name,
        capacity: Capacity {
            amounts: Amounts {
                cpu_milli: node.capacity.cpu_milli,
                memory: node.capacity.memory_bytes,
                named: node.capacity.named,
            },
            gpus: u32::try_from(node.capacity.gpu_milli / 1_000).unwrap_or(u32::MAX),
        },
        labels: node.labels,
    };
    there.map(shape).collect()
}
