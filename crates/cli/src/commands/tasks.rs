//! `tasks`.

use crate::args::TasksArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::select::all_tasks;
use crate::show::{Align, Format, Table, output::say, style, text};
use futures_util::TryStreamExt;
use std::pin::pin;
use taskyard_client::api::units::show_size;
use taskyard_client::api::{Task, TasksQuery};

/// Rows of a table without `--all`: more than anybody reads, less than drowns a terminal.
const TABLE_ROWS: usize = 1_000;
const PAGE_ROWS: usize = 10_000;
const NONE: &str = "no matching tasks";

pub(crate) async fn tasks(ctx: &mut Context, args: TasksArgs) -> Result<u8, Failure> {
    let picked = ctx.pick_one(&args.target).await?;
    let client = ctx.client.clone();
    let query = |limit| TasksQuery {
        state: args.state.clone(),
        tasks: picked.tasks.as_ref().map(ToString::to_string),
        limit: Some(limit),
        after: None,
    };
    if ctx.out.format == Format::Table && !args.all {
        let page = client.tasks(picked.job, &query(TABLE_ROWS)).await?;
        show(ctx, &page.items)?;
        if page.next.is_some() {
            ctx.out.flush()?;
            say(&format!("the first {TABLE_ROWS} tasks; all with --all, or filter with --state"));
        }
        return Ok(exit::OK);
    }
    let mut all = pin!(all_tasks(&client, picked.job, query(PAGE_ROWS)));
    if ctx.out.format == Format::Table {
        let tasks: Vec<Task> = all.try_collect().await?;
        show(ctx, &tasks)?;
        return Ok(exit::OK);
    }
    // Rows are written as they come, so that a million tasks need no memory.
    let mut rows = ctx.out.rows();
    let mut is_empty = true;
    while let Some(task) = all.try_next().await? {
        is_empty = false;
        rows.push(&task, id)?;
    }
    rows.end()?;
    if is_empty {
        say(NONE);
    }
    Ok(exit::OK)
}

fn show(ctx: &mut Context, tasks: &[Task]) -> Result<(), Failure> {
    if tasks.is_empty() {
        say(NONE);
        return Ok(());
    }
    table(tasks, text::now_ms()).write(&mut ctx.out)
}

fn id(task: &Task) -> String {
    format!("{}.{}", task.job, task.task)
}

pub(crate) fn table(tasks: &[Task], now_ms: u64) -> Table {
    let mut table = Table::new(&[
        ("TASK", Align::Right),
        ("STATE", Align::Left),
        ("ATTEMPT", Align::Right),
        ("NODE", Align::Flex),
        ("RESULT", Align::Flex),
        ("STARTED", Align::Right),
        ("RAN", Align::Right),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("ENTRY", Align::Flex),
        ("REASON", Align::Flex),
        ("FENCE", Align::Right),
        ("ENDED", Align::Left),
        ("OUTPUT DROPPED", Align::Right),
    ])
    .less_important(&["MEMORY", "CPU", "STARTED", "ATTEMPT", "NODE", "RAN", "REASON", "ENTRY"])
    .extra(&["FENCE", "ENDED", "OUTPUT DROPPED"]);
    for task in tasks {
        let last = &task.last;
        let ended = last.ended_at_ms.is_some() || task.state.is_finished();
        table.row(vec![
            task.task.to_string(),
            task.shown_state().to_owned(),
            if task.attempt > 0 { task.attempt.to_string() } else { String::new() },
            last.node.clone().unwrap_or_default(),
            if ended { text::result_and_output(last) } else { String::new() },
            last.started_at_ms.map(|at| text::clock(at, now_ms)).unwrap_or_default(),
            last.ran_ms.map(text::span).unwrap_or_default(),
            last.cpu_ms.map(text::span).unwrap_or_default(),
            last.max_rss_kib.filter(|kib| *kib > 0).map(|kib| show_size(kib * 1_024)).unwrap_or_default(),
            task.entry.clone().unwrap_or_default(),
            task.reason.clone().unwrap_or_default(),
            last.fence.map(|fence| fence.to_string()).unwrap_or_default(),
            last.ended_at_ms.map(text::time).unwrap_or_default(),
            last.output_dropped_bytes.map(show_size).unwrap_or_default(),
        ]);
        table.paint(1, style::state(task.state.name()));
        table.paint(10, style::DIM);
    }
    table
}
