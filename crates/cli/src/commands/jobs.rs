//! `jobs`.

use crate::args::JobsArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::select::{JOB_PAGE_ROWS, not_named};
use crate::show::{Align, Format, Table, output::say, style, text};
use crate::time;
use taskyard_client::Client;
use taskyard_client::api::{Invalid, JobSummary, JobsQuery, Selector};

/// Rows of a table when nothing else is asked.
const TABLE_ROWS: usize = 50;

pub(crate) async fn jobs(ctx: &mut Context, args: JobsArgs) -> Result<u8, Failure> {
    let user = match args.user {
        Some(name) if name == "me" => Some(ctx.owner().await?.to_owned()),
        other => other,
    };
    let mut query = JobsQuery {
        state: args.state,
        name: args.name,
        user,
        since: args.since.map(|text| time::behind("--since", &text, &time::now()?)).transpose()?,
        queue: args.queue,
        namespace: ctx.within(args.namespace),
        ..JobsQuery::default()
    };
    narrow(ctx, &args.targets, &mut query).await?;
    let asks_for_all = query == JobsQuery::default();
    let is_table = ctx.out.format == Format::Table;
    // Only tables are cut short by themselves: what a program reads is whole, unless a limit was asked for.
    let limit = args.limit.or((is_table && !args.all).then_some(TABLE_ROWS));
    let listed = if is_table {
        let mut items = Vec::new();
        let listed = each_job(&ctx.client, query, limit, |job| {
            items.push(job);
            Ok(())
        })
        .await?;
        if !items.is_empty() {
            table(&items, text::now_ms()).write(&mut ctx.out)?;
        }
        listed
    } else {
        let mut rows = ctx.out.rows();
        let listed =
            each_job(&ctx.client, query, limit, |job| rows.push(&job, |job| job.id.to_string())).await?;
        rows.end()?;
        listed
    };
    match listed.count {
        0 if asks_for_all => say("no jobs; submit one with `taskyard submit -- CMD`"),
        0 => say("no matching jobs"),
        _ => {}
    }
    if listed.more {
        ctx.out.flush()?;
        say(&format!("the newest {}; all with --all, or more with --limit", listed.count));
    }
    Ok(exit::OK)
}

/// How much of a list was taken.
struct JobRow {
    count: usize,
    more: bool,
}

/// Hands over jobs, newest first, page by page, until the limit.
async fn each_job(
    client: &Client,
    mut query: JobsQuery,
    limit: Option<usize>,
    mut take: impl FnMut(JobSummary) -> Result<(), Failure>,
) -> Result<JobRow, Failure> {
    let mut count = 0;
    loop {
        let left = limit.map_or(usize::MAX, |limit| limit - count);
        query.limit = Some(left.min(JOB_PAGE_ROWS));
        let page = client.jobs(&query).await?;
        count += page.items.len();
        page.items.into_iter().try_for_each(&mut take)?;
        match page.next {
            None => return Ok(JobRow { count, more: false }),
            Some(_) if limit == Some(count) => return Ok(JobRow { count, more: true }),
            next => query.after = next,
        }
    }
}

/// Restricts the query to what the words name: numbers and ranges, or a name.
async fn narrow(ctx: &Context, words: &[String], query: &mut JobsQuery) -> Result<(), Failure> {
    match (words, ids(ctx, words).await) {
        (_, Ok(ids)) => query.ids = ids,
        ([word], Err(Failure::Invalid(strange))) if query.name.is_none() => {
            let name = ctx.full_name(word, query).await?;
            query.name = Some(name.ok_or_else(|| not_named(word, strange))?);
        }
        ([_, _, ..], Err(Failure::Invalid(strange))) if strange.value.contains(char::is_alphabetic) => {
            let remedy = "a name stands alone; several jobs are given by their ids, as in 12 14";
            return Err(Invalid { remedy: remedy.to_owned(), ..strange }.into());
        }
        (_, Err(failure)) => return Err(failure),
    }
    Ok(())
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
    let columns = [
        ("ID", Align::Right),
        ("NAME", Align::Flex),
        ("STATE", Align::Left),
        ("DONE", Align::Right),
        ("QUEUE", Align::Flex),
        ("USER", Align::Flex),
        ("AGE", Align::Right),
        ("REASON", Align::Flex),
        ("NAMESPACE", Align::Flex),
        ("ACCOUNT", Align::Flex),
        ("PRIORITY", Align::Right),
        ("SUBMITTED", Align::Left),
        ("STARTED", Align::Left),
        ("FINISHED", Align::Left),
    ];
    let mut table = Table::new(&columns)
        .less_important(&["USER", "QUEUE", "NAMESPACE", "AGE", "REASON"])
        .extra(&["ACCOUNT", "PRIORITY", "SUBMITTED", "STARTED", "FINISHED"]);
    // Where there is only one namespace, its name says nothing.
    let with_namespace = jobs.iter().any(|job| job.namespace != "default");
    let time = |at: Option<u64>| at.map(text::time).unwrap_or_default();
    for job in jobs {
        table.row(vec![
            job.id.to_string(),
            job.name.clone(),
            job.state.name().to_owned(),
            text::done(&job.tasks),
            job.queue.clone(),
            job.user.clone(),
            text::age_and_date(job.submitted_at_ms, now_ms),
            text::remark(job),
            if with_namespace { job.namespace.clone() } else { String::new() },
            job.account.clone().unwrap_or_default(),
            job.priority.to_string(),
            text::time(job.submitted_at_ms),
            time(job.started_at_ms),
            time(job.finished_at_ms),
        ]);
        table.paint(2, style::state(job.state.name()));
        table.paint(7, style::DIM);
    }
    table
}
