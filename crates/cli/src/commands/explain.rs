//! `explain`.

use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::table::Facts;
use crate::show::{Align, Format, Out, Table, forecast, style, text};
use taskyard_client::api::{Explanation, Invalid, ReasonCode};

pub(crate) async fn explain(ctx: &mut Context, target: &str) -> Result<u8, Failure> {
    let picked = ctx.pick_one(target).await?;
    let task = match &picked.tasks {
        None => None,
        Some(tasks) => {
            Some(tasks.single().ok_or_else(|| Invalid::new("JOB.TASK", target, "explain takes one task"))?)
        }
    };
    let answer = ctx.client.explain(picked.job, task).await?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&answer)?,
        Format::Ids => ctx.out.line(&name(&answer))?,
        Format::Table => write(&answer, &mut ctx.out)?,
    }
    Ok(exit::OK)
}

fn name(answer: &Explanation) -> String {
    answer.task.map_or_else(|| answer.job.to_string(), |task| format!("{}.{task}", answer.job))
}

fn begin(answer: &Explanation) -> String {
    let wait = answer.begin_in_ms.map(|ms| format!(", in {}", text::span(ms))).unwrap_or_default();
    answer.begin_at_ms.map(|at| format!("{}{wait}", text::time(at))).unwrap_or_default()
}

/// That its begin has not come, in this machine's time: the server's sentence has no zone but UTC.
pub(super) fn local_begin(answer: &Explanation) -> Option<String> {
    let at = answer.begin_at_ms.filter(|_| answer.reason == ReasonCode::NotBefore)?;
    Some(format!("it starts no earlier than {}", text::time(at)))
}

pub(crate) fn write(answer: &Explanation, out: &mut Out) -> Result<(), Failure> {
    let state = style::paint(style::state(&answer.state), &answer.state);
    // "12 is held: held: release it …" says it once too often.
    let sentence = answer.sentence.strip_prefix(&format!("{}: ", answer.state)).unwrap_or(&answer.sentence);
    let sentence = local_begin(answer).unwrap_or_else(|| sentence.to_owned());
    out.line(&format!("{} is {state}: {sentence}", style::paint(style::HEAD, &name(answer))))?;
    let mut facts = Facts::default();
    facts.add("waited", answer.waiting_ms.map(text::span).unwrap_or_default());
    place(answer, &mut facts);
    facts.add("before", forecast::history(&answer.history));
    facts.add("replanned", forecast::replans(&answer.replans));
    facts.write(out)?;
    nodes(answer, out)
}

/// What it waits for, where it stands, when it starts and what would help.
pub(super) fn place(answer: &Explanation, facts: &mut Facts) {
    facts.add("after", answer.after.iter().map(text::predecessor).collect::<Vec<_>>().join("\n"));
    facts.add("begin", begin(answer));
    let place = answer.position.map(|at| format!("number {at} in its queue"));
    let jobs: Vec<String> = answer.behind.iter().map(u64::to_string).collect();
    let behind = match &jobs[..] {
        [] => None,
        [one] => Some(format!("behind job {one}")),
        all => Some(format!("behind jobs {}", all.join(", "))),
    };
    facts.add("position", place.into_iter().chain(behind).collect::<Vec<_>>().join(", "));
    if let Some(start) = &answer.start {
        facts.add("start", forecast::start(start));
        facts.add("counts on", forecast::counts_on(start));
    }
    facts.add("what if", forecast::what_if(&answer.counterfactuals));
    facts.add("note", answer.notes.join("\n"));
}

/// What each node says.
pub(super) fn nodes(answer: &Explanation, out: &mut Out) -> Result<(), Failure> {
    if answer.nodes.is_empty() {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::new(&[("NODES", Align::Right), ("ANSWER", Align::Flex), ("WHICH", Align::Wrap)]);
    for group in &answer.nodes {
        let more = group.count.saturating_sub(group.nodes.len() as u64);
        let names = group.nodes.join(", ");
        let rule = match (&group.rule, group.passing) {
            (None, _) => "takes it".to_owned(),
            (Some(rule), true) => rule.clone(),
            (Some(rule), false) => format!("never: {rule}"),
        };
        table.row(vec![
            group.count.to_string(),
            rule,
            if more > 0 { format!("{names}, and {more} more") } else { names },
        ]);
        if !group.passing {
            table.paint(1, style::WARN);
        }
    }
    table.write(out)
}
