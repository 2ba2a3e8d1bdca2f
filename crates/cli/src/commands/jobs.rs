//! `jobs`.

use crate::args::JobsArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::{Align, Format, Table, output::say, style, text};
use crate::time;
use jiff::Zoned;
use taskyard_client::api::{JobSummary, JobsQuery, Selector, page};

pub(crate) async fn jobs(ctx: &mut Context, args: JobsArgs) -> Result<u8, Failure> {
    let user = match args.user {
        Some(name) if name == "me" => Some(ctx.owner().await?.to_owned()),
        other => other,
    };
    let mut query = JobsQuery {
        state: args.state,
        name: args.name,
        user,
        since: args.since.map(|text| time::behind("--since", &text, &Zoned::now())).transpose()?,
        queue: args.queue,
        namespace: ctx.within(args.namespace),
        ids: ids(ctx, &args.targets).await?,
        ..JobsQuery::default()
    };
    let asks_for_all = query == JobsQuery::default();
    // Only tables are cut short: what a program reads is whole, unless a limit was asked for.
    let (items, more) = if args.all {
        (ctx.all_jobs(query).await?, false)
    } else {
        query.limit = Some(args.limit);
        page::rows(query.limit).map_err(|e| e.in_field("--limit"))?;
        let page = ctx.client.jobs(&query).await?;
        (page.items, page.next.is_some())
    };
    if ctx.out.format != Format::Table {
        ctx.out.list(&items, |job| job.id.to_string())?;
        return Ok(exit::OK);
    }
    if items.is_empty() {
        say(if asks_for_all { "no jobs; submit one with `taskyard submit -- CMD`" } else { "no such jobs" });
        return Ok(exit::OK);
    }
    table(&items, text::now_ms()).write(&mut ctx.out)?;
    if more {
        ctx.out.flush()?;
        say(&format!("the newest {}; all with --all, or more with --limit", items.len()));
    }
    Ok(exit::OK)
}

/// The ids that the words name, as the API reads them.
async fn ids(ctx: &Context, words: &[String]) -> Result<Option<String>, Failure> {
    let mut ids = Vec::new();
    for word in words {
        for selector in Selector::parse_list("JOB", word)? {
            match selector {
                Selector::Job { id, .. } => ids.push(id.to_string()),
                Selector::Last { .. } => ids.push(ctx.last().await?.to_string()),
                Selector::Range(range) => ids.push(format!("{}-{}", range.first, range.last)),
                Selector::All => return Ok(None),
            }
        }
    }
    Ok((!ids.is_empty()).then(|| ids.join(",")))
}

pub(crate) fn table(jobs: &[JobSummary], now_ms: u64) -> Table {
    let mut columns = vec![
        ("ID", Align::Right),
        ("NAME", Align::Flex),
        ("STATE", Align::Left),
        ("DONE", Align::Right),
        ("QUEUE", Align::Left),
        ("USER", Align::Left),
        ("AGE", Align::Right),
        ("REASON", Align::Flex),
    ];
    // Where there is only one namespace, nobody needs to read its name.
    let with_namespace = jobs.iter().any(|job| job.namespace != "default");
    if with_namespace {
        columns.push(("NAMESPACE", Align::Left));
    }
    let mut table = Table::new(&columns);
    for job in jobs {
        let mut row = vec![
            job.id.to_string(),
            job.name.clone(),
            job.state.name().to_owned(),
            text::done(&job.tasks),
            job.queue.clone(),
            job.owner.clone(),
            text::age(job.submitted_at_ms, now_ms),
            text::remark(job),
        ];
        row.extend(with_namespace.then(|| job.namespace.clone()));
        table.row(row);
        table.paint(2, style::state(job.state.name()));
        table.paint(7, style::DIM);
    }
    table
}
