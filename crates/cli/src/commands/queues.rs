//! Queues and pools.

use crate::args::{PoolCommand, QueueCommand, QueueOptions};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::{Align, Format, Table, output::say};
use serde::Serialize;
use taskyard_client::api::units::{show_duration, show_size, show_thousandths};
use taskyard_client::api::{
    FactorSettings, Invalid, Pool, PoolSettings, Quantity, Queue, QueueQuery, QueueSettings, limits, validate,
};

/// The pool that is always there.
const DEFAULT: &str = "default";

pub(crate) async fn queues(ctx: &mut Context) -> Result<u8, Failure> {
    let queues = ctx.client.queues().await?.items;
    ctx.out.table_or_list(&queues, "no queues", |queue| queue.name.clone(), queue_table)?;
    Ok(exit::OK)
}

/// What matters, in 100 columns; JSON has everything.
pub(crate) fn queue_table(queues: &[Queue]) -> Table {
    let mut table = Table::new(&[
        ("QUEUE", Align::Flex),
        ("POLICY", Align::Left),
        ("POOL", Align::Flex),
        ("TIER", Align::Right),
        ("WEIGHT", Align::Right),
        ("MAX WAIT", Align::Right),
        ("JOBS", Align::Right),
        ("WAITING", Align::Right),
        ("RUNNING", Align::Right),
        ("LIMITS", Align::Flex),
    ])
    .less_important(&["WEIGHT", "TIER", "MAX WAIT", "POOL", "POLICY", "LIMITS"]);
    let pools = queues.iter().any(|queue| queue.pool != DEFAULT);
    for queue in queues {
        table.row(vec![
            queue.name.clone(),
            queue.policy.clone(),
            if pools { queue.pool.clone() } else { String::new() },
            queue.tier.to_string(),
            queue.weight.to_string(),
            show_duration(queue.max_wait_ms),
            queue.waiting_jobs.to_string(),
            queue.waiting_tasks.to_string(),
            queue.running_tasks.to_string(),
            at_most(queue),
        ]);
    }
    table
}

/// What a queue takes, in the words of its options: `1h, 4 cpus, 2GiB, 100 tasks, on zone == a`.
fn at_most(queue: &Queue) -> String {
    let parts = [
        queue.max_limit_ms.map(show_duration),
        queue.max_cpu_milli.map(|cpus| format!("{} cpus", show_thousandths(cpus))),
        queue.max_memory_bytes.map(show_size),
        queue.max_gpu_milli.map(|gpus| format!("{} gpus", show_thousandths(gpus.into()))),
        queue.max_tasks.map(|tasks| format!("{tasks} tasks")),
        Some(queue.max_grace_ms)
            .filter(|ms| *ms != limits::GRACE_MS_DEFAULT_MAX)
            .map(|ms| format!("grace {}", show_duration(ms))),
        Some(queue.max_priority)
            .filter(|n| *n != limits::PRIORITY_DEFAULT_MAX)
            .map(|n| format!("priority {n}")),
        queue.nodes.as_ref().map(|nodes| format!("on {nodes}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(crate) async fn queue(ctx: &mut Context, command: QueueCommand) -> Result<u8, Failure> {
    let queue = match command {
        QueueCommand::Set(options) => set_queue(ctx, options, QueueQuery::default()).await?,
        QueueCommand::Create(options) => set_queue(ctx, options, QueueQuery { new: true }).await?,
        QueueCommand::Delete { name } => {
            let queue = ctx.client.delete_queue(&name).await?;
            return deleted(ctx, &queue, "queue", &name);
        }
    };
    match ctx.out.format {
        Format::Table => queue_table(std::slice::from_ref(&queue)).write(&mut ctx.out)?,
        Format::Ids => ctx.out.line(&queue.name)?,
        Format::Json | Format::Jsonl => ctx.out.json(&queue)?,
    }
    Ok(exit::OK)
}

async fn set_queue(ctx: &mut Context, options: QueueOptions, query: QueueQuery) -> Result<Queue, Failure> {
    let QueueOptions { age, priority, size, fair_share, .. } = options;
    let factors = FactorSettings { age, priority, size, fair_share };
    let settings = QueueSettings {
        policy: options.policy,
        tier: options.tier,
        weight: options.weight,
        aging: options.aging.map(Quantity),
        max_wait: options.max_wait.map(Quantity),
        factors: Some(factors).filter(|factors| *factors != FactorSettings::default()),
        pool: options.pool,
        default_limit: options.default_limit.map(Quantity),
        max_limit: options.max_limit.map(Quantity),
        max_cpus: options.max_cpus.map(Quantity),
        max_memory: options.max_mem.map(Quantity),
        max_gpus: options.max_gpus.map(Quantity),
        max_tasks: options.max_tasks.map(Quantity),
        max_grace: options.max_grace.map(Quantity),
        max_priority: options.max_priority.map(Quantity),
        nodes: options.nodes,
    };
    validate::name("QUEUE", &options.name)?;
    settings.check().map_err(as_option)?;
    Ok(ctx.client.set_queue(&options.name, &query, &settings).await?)
}

/// Names a field by its option: `max_memory` is `--max-mem`, `memory` is `--mem`, `factors.age` is `--age`.
pub(crate) fn as_option(invalid: Invalid) -> Invalid {
    let field = invalid.field.strip_prefix("factors.").unwrap_or(&invalid.field);
    let field = match field {
        "max_memory" => "max_mem",
        "memory" => "mem",
        field => field,
    };
    let option = format!("--{}", field.replace('_', "-"));
    invalid.in_field(option)
}

pub(crate) fn deleted(
    ctx: &mut Context,
    what: &impl Serialize,
    kind: &str,
    name: &str,
) -> Result<u8, Failure> {
    match ctx.out.format {
        Format::Table => ctx.out.line(&format!("{kind} {name} is deleted"))?,
        Format::Ids => ctx.out.line(name)?,
        Format::Json | Format::Jsonl => ctx.out.json(what)?,
    }
    Ok(exit::OK)
}

pub(crate) async fn pools(ctx: &mut Context) -> Result<u8, Failure> {
    let pools = ctx.client.pools().await?.items;
    ctx.out.table_or_list(&pools, "no pools", |pool| pool.name.clone(), pool_table)?;
    Ok(exit::OK)
}

pub(crate) fn pool_table(pools: &[Pool]) -> Table {
    let mut table = Table::new(&[
        ("POOL", Align::Flex),
        ("DISCIPLINE", Align::Left),
        ("PLACEMENT", Align::Left),
        ("RESERVE AFTER", Align::Right),
        ("UP", Align::Right),
        ("NODES", Align::Right),
        ("SELECTS", Align::Flex),
        ("QUEUES", Align::Wrap),
    ])
    .less_important(&["SELECTS", "PLACEMENT"]);
    for pool in pools {
        let placement = match &pool.spread {
            Some(label) => format!("{} {label}", pool.placement),
            None => pool.placement.clone(),
        };
        let rest = || if pools.len() > 1 { "all others".to_owned() } else { String::new() };
        table.row(vec![
            pool.name.clone(),
            pool.discipline.clone(),
            placement,
            pool.reserve_after_ms.map_or_else(|| "never".into(), show_duration),
            pool.nodes_up.to_string(),
            pool.nodes_all.to_string(),
            pool.nodes.clone().unwrap_or_else(rest),
            pool.queues.join(","),
        ]);
    }
    table
}

pub(crate) async fn pool(ctx: &mut Context, command: PoolCommand) -> Result<u8, Failure> {
    let pool = match command {
        PoolCommand::Set { name, discipline, placement, spread, nodes, reserve_after } => {
            let reserve_after = reserve_after.map(Quantity);
            let settings = PoolSettings { discipline, placement, spread, nodes, reserve_after };
            validate::name("POOL", &name)?;
            settings.check(&name).map_err(as_option)?;
            let pool = ctx.client.set_pool(&name, &settings).await?;
            if settings.nodes.is_some() && pool.nodes_all == 0 {
                say("no node is selected by this now");
            }
            if settings.discipline.is_some() && pool.discipline == "conservative" {
                say(&format!(
                    "conservative plans the first {} waiting tasks; later ones may start where they delay none of these",
                    limits::PLANNED_TASKS_MAX
                ));
            }
            pool
        }
        PoolCommand::Delete { name } => {
            let pool = ctx.client.delete_pool(&name).await?;
            return deleted(ctx, &pool, "pool", &name);
        }
    };
    match ctx.out.format {
        Format::Table => pool_table(std::slice::from_ref(&pool)).write(&mut ctx.out)?,
        Format::Ids => ctx.out.line(&pool.name)?,
        Format::Json | Format::Jsonl => ctx.out.json(&pool)?,
    }
    Ok(exit::OK)
}
