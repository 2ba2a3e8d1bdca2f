//! `tasks`.

use crate::args::TasksArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::{Align, Format, Table, output::say, style, text};
use taskyard_client::api::units::show_size;
use taskyard_client::api::{Page, Task, TasksQuery};

/// Rows of a table without `--all`: more than anybody reads, less than drowns a terminal.
const TABLE_ROWS: usize = 1_000;
const PAGE_ROWS: usize = 10_000;

pub(crate) async fn tasks(ctx: &mut Context, args: TasksArgs) -> Result<u8, Failure> {
    let picked = ctx.pick_one(&args.target).await?;
    let short = ctx.out.format == Format::Table && !args.all;
    let mut query = TasksQuery {
        state: args.state,
        tasks: picked.tasks.map(|t| t.to_string()),
        limit: Some(if short { TABLE_ROWS } else { PAGE_ROWS }),
        after: None,
    };
    // Pages are written as they come, so that a million tasks need no memory; only one JSON document and a table must be whole.
    let mut whole: Vec<Task> = Vec::new();
    let mut more = false;
    loop {
        let Page { items, next } = ctx.client.tasks(picked.job, &query).await?;
        match ctx.out.format {
            Format::Jsonl | Format::Ids => ctx.out.list(&items, id)?,
            Format::Json | Format::Table => whole.extend(items),
        }
        match next {
            None => break,
            Some(_) if short => {
                more = true;
                break;
            }
            Some(next) => query.after = Some(next),
        }
    }
    match ctx.out.format {
        Format::Json => ctx.out.json(&whole)?,
        Format::Table if whole.is_empty() => say("no such tasks"),
        Format::Table => table(&whole).write(&mut ctx.out)?,
        Format::Jsonl | Format::Ids => {}
    }
    if more {
        ctx.out.flush()?;
        say(&format!("the first {TABLE_ROWS} tasks; all with --all, or filter with --state"));
    }
    Ok(exit::OK)
}

fn id(task: &Task) -> String {
    format!("{}.{}", task.job, task.task)
}

pub(crate) fn table(tasks: &[Task]) -> Table {
    let mut table = Table::new(&[
        ("TASK", Align::Right),
        ("STATE", Align::Left),
        ("TRY", Align::Right),
        ("NODE", Align::Flex),
        ("END", Align::Left),
        ("STARTED", Align::Left),
        ("RAN", Align::Right),
        ("CPU", Align::Right),
        ("MEMORY", Align::Right),
        ("REASON", Align::Flex),
    ]);
    for task in tasks {
        let last = &task.last;
        let ended = last.ended_at_ms.is_some() || task.state.is_finished();
        table.row(vec![
            task.task.to_string(),
            task.state.name().to_owned(),
            if task.attempt > 0 { task.attempt.to_string() } else { String::new() },
            last.node.clone().unwrap_or_default(),
            if ended { text::outcome(last) } else { String::new() },
            last.started_at_ms.map(text::clock).unwrap_or_default(),
            last.ran_ms.map(text::span).unwrap_or_default(),
            last.cpu_ms.map(text::span).unwrap_or_default(),
            last.max_rss_kib.filter(|kib| *kib > 0).map(|kib| show_size(kib * 1_024)).unwrap_or_default(),
            task.reason.clone().unwrap_or_default(),
        ]);
        table.paint(1, style::state(task.state.name()));
        table.paint(9, style::DIM);
    }
    table
}
