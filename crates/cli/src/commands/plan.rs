//! `plan`.

use super::explain;
use super::submit::{Prepared, complete, warn};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::table::Facts;
use crate::show::{Format, Out, ahead, style};
use taskyard_client::api::{JobPlan, PlanVerdict};

pub(crate) async fn plan(ctx: &mut Context, prepared: Prepared) -> Result<u8, Failure> {
    let prepared = complete(ctx, prepared, None).await?;
    let answer = ctx.client.plan(&prepared.built.request).await.map_err(|error| prepared.located(error))?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&answer)?,
        Format::Ids => ctx.out.line(word(answer.verdict))?,
        Format::Table => {
            write(&answer, &mut ctx.out)?;
            ctx.out.flush()?;
            for warning in &answer.warnings {
                warn(warning);
            }
        }
    }
    Ok(code(answer.verdict))
}

fn word(verdict: PlanVerdict) -> &'static str {
    match verdict {
        PlanVerdict::Starts => "starts",
        PlanVerdict::Waits => "waits",
        PlanVerdict::Never => "never",
    }
}

fn code(verdict: PlanVerdict) -> u8 {
    match verdict {
        PlanVerdict::Starts => exit::OK,
        PlanVerdict::Waits => exit::WOULD_WAIT,
        PlanVerdict::Never => exit::WOULD_NEVER_START,
    }
}

pub(crate) fn write(answer: &JobPlan, out: &mut Out) -> Result<(), Failure> {
    let explanation = &answer.explanation;
    let verdict = match answer.verdict {
        PlanVerdict::Starts if answer.tasks > 1 => {
            let all = format!("{} of its {} tasks would start now", answer.starts_now, answer.tasks);
            style::paint(style::HEAD, &all)
        }
        PlanVerdict::Starts => style::paint(style::HEAD, "it would start now"),
        PlanVerdict::Waits => {
            format!("{}: {}", style::paint(style::WARN, "it would wait"), explanation.sentence)
        }
        PlanVerdict::Never => {
            format!("{}: {}", style::paint(style::BAD, "it would never start"), explanation.sentence)
        }
    };
    out.line(&verdict)?;
    let mut facts = Facts::default();
    explain::place(explanation, &mut facts);
    if answer.verdict != PlanVerdict::Never {
        facts.add("delays", ahead::delays(&answer.delays, answer.delayed, answer.delays_complete));
    }
    facts.write(out)?;
    if answer.verdict == PlanVerdict::Starts { Ok(()) } else { explain::nodes(explanation, out) }
}
