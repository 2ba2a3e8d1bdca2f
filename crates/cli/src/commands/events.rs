//! The stream of events.

use crate::args::EventsArgs;
use crate::context::Context;
use crate::exit::Failure;
use crate::show::{Format, style, text};
use taskyard_client::api::{Event, EventId, EventKind, EventQuery};

pub(crate) async fn events(ctx: &mut Context, args: EventsArgs) -> Result<u8, Failure> {
    let from = args.from.as_deref().map(|text| EventId::parse("--from", text)).transpose()?;
    let job = match &args.job {
        Some(word) => Some(ctx.pick_one(word).await?.job),
        None => None,
    };
    let namespace = ctx.within(args.namespace);
    let query = EventQuery { from: from.map(|id| id.to_string()), namespace, job };
    let mut events = ctx.client.events(query).await?;
    loop {
        let event = events.next().await?;
        match ctx.out.format {
            Format::Table => ctx.out.line(&event_line(&event, text::now_ms()))?,
            Format::Ids => ctx.out.line(&event.id().to_string())?,
            // A stream has no end, so that even `json` is one document a line.
            Format::Json | Format::Jsonl => {
                ctx.out.format = Format::Jsonl;
                ctx.out.json(&event)?;
            }
        }
        ctx.out.flush()?;
    }
}

pub(crate) fn event_line(event: &Event, now_ms: u64) -> String {
    let mut words = Vec::new();
    words.extend(event.job.map(|job| format!("job {job}")));
    match (event.task, event.tasks) {
        (Some(task), Some(n)) if n > 1 => words.push(format!("{n} tasks from {task} on")),
        (Some(task), _) => words.push(format!("task {task}")),
        (None, Some(n)) => words.push(text::tasks(n)),
        (None, None) => {}
    }
    words.extend(event.state.as_deref().map(|state| style::paint(style::state(state), state)));
    words.extend(event.node.as_deref().map(|node| format!("on {node}")));
    words.extend(event.queue.as_deref().map(|queue| format!("queue {queue}")));
    words.extend(event.pool.as_deref().map(|pool| format!("pool {pool}")));
    words.extend(event.reason.clone());
    if event.kind == EventKind::CompactedAt {
        words.push("earlier events are no longer kept".to_owned());
    }
    let id = style::paint(style::DIM, &format!("{:>10}", event.id().to_string()));
    format!("{} {id} {:<15} {}", text::clock(event.at_ms, now_ms), event.kind.name(), words.join(" "))
        .trim_end()
        .to_owned()
}
