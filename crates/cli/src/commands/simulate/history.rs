//! The jobs that a cluster has run, asked for page by page.

use super::inputs::told;
use crate::args::SimulateArgs;
use crate::context::Context;
use crate::exit::Failure;
use crate::progress::Counted;
use crate::show::text;
use crate::time;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Zoned;
use std::collections::BTreeMap;
use taskyard_client::Client;
use taskyard_client::api::{
    Invalid, JobDetail, JobQuery, JobSummary, JobsQuery, Node, NodeState, Page, Task, TaskState, TasksQuery,
};
use taskyard_model::{Amounts, Capacity, spec};
use taskyard_sim::history::{History, PastJob, PastTask};
use taskyard_sim::workload::NodeShape;
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
    let mut history = History::new(format!("this cluster since {since}"), nodes)?;
    let jobs = jobs(&ctx.client, time::behind("--since", since, &Zoned::now())?).await?;
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
    match (task.state, task.last.ran_ms, task.last.started_at_ms) {
        (_, Some(ran_ms), _) => PastTask::Ended { ran_ms },
        (TaskState::Running, None, Some(at)) => PastTask::Running { ran_ms: now_ms.saturating_sub(at) },
        _ => PastTask::NotStarted,
    }
}

/// A job with its wishes. What it waited for by its own wish (a time, the end of other jobs) is no waiting that a policy could shorten.
fn past(detail: JobDetail, finished: &BTreeMap<u64, u64>) -> Result<PastJob, Failure> {
    let JobDetail { summary, spec, after, .. } = detail;
    let ends = after.iter().filter_map(|other| finished.get(&other.job).copied());
    let ready_ms = ends.chain(summary.begin_at_ms).fold(summary.submitted_at_ms, u64::max);
    let spec = spec::JobSpec::try_from(spec.unwrap_or_default())?;
    Ok(PastJob {
        id: summary.id,
        owner: summary.owner,
        ready_ms,
        request: spec.request,
        constraint: spec.constraint,
        estimate_ms: spec.estimate_ms,
        limit_ms: spec.time_limit_ms,
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
