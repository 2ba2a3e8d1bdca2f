//! `plan`.

use super::submit::{PreparedJob, PreparedJobs, complete, warn};
use super::{check, explain};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::table::Facts;
use crate::show::{Format, Out, forecast, style};
use taskyard_client::api::{JobPlan, PlanVerdict};

/// Of a job that comes after the one before it in the file.
const CHAINED: &str = "as if the previous job had ended";

/// Plans each job by itself, as if it alone were submitted now; the worst verdict counts.
pub(crate) async fn plan(ctx: &mut Context, prepared: PreparedJobs, many: bool) -> Result<u8, Failure> {
    let all = check::before_plan(ctx, prepared).await?;
    let mut answers: Vec<JobPlan> = Vec::new();
    let mut failed = None;
    for (number, prepared) in all.into_iter().enumerate() {
        match one(ctx, prepared, number, many).await {
            Ok(answer) => answers.push(answer),
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        }
    }
    // A list is one document; what was planned is told also when the rest was not.
    if many && ctx.out.format == Format::Json {
        ctx.out.json(&answers)?;
    }
    let worst = answers.iter().map(|answer| answer.verdict).max_by_key(|verdict| severity(*verdict));
    match (failed, worst) {
        (Some(failure), _) => Err(failure),
        (None, worst) => Ok(worst.map_or(exit::OK, code)),
    }
}

async fn one(
    ctx: &mut Context,
    mut prepared: PreparedJob,
    number: usize,
    many: bool,
) -> Result<JobPlan, Failure> {
    // The one before it in the file was not submitted, and the newest that was is another.
    let chained = number > 0 && !std::mem::take(&mut prepared.built.after_last).is_empty();
    let prepared = complete(ctx, prepared, None).await?;
    let mut answer =
        ctx.client.plan(&prepared.built.request).await.map_err(|error| prepared.located(error))?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => {
            answer.warnings.extend(chained.then(|| CHAINED.to_owned()));
            if !many || ctx.out.format == Format::Jsonl {
                ctx.out.json(&answer)?;
            }
        }
        Format::Ids => ctx.out.line(word(answer.verdict))?,
        Format::Table => {
            if many {
                heading(&prepared, number, chained, &mut ctx.out)?;
            }
            write(&answer, &mut ctx.out)?;
            ctx.out.flush()?;
            for warning in &answer.warnings {
                warn(warning);
            }
        }
    }
    Ok(answer)
}

/// Says which of many jobs it is about.
fn heading(prepared: &PreparedJob, number: usize, chained: bool, out: &mut Out) -> Result<(), Failure> {
    if number > 0 {
        out.line("")?;
    }
    let spec = &prepared.built.request.spec;
    let mut text = prepared.built.place().unwrap_or_default().to_owned();
    text.extend(spec.name.iter().map(|name| format!(" {name}")));
    text.extend(chained.then(|| format!(", {CHAINED}")));
    out.line(&style::paint(style::DIM, &text))
}

fn severity(verdict: PlanVerdict) -> u8 {
    match verdict {
        PlanVerdict::Starts => 0,
        PlanVerdict::Waits => 1,
        PlanVerdict::Never => 2,
    }
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
    let sentence = explain::local_begin(explanation).unwrap_or_else(|| explanation.sentence.clone());
    let verdict = match answer.verdict {
        PlanVerdict::Starts if answer.tasks > 1 => {
            let all = format!("{} of its {} tasks would start now", answer.starts_now, answer.tasks);
            style::paint(style::HEAD, &all)
        }
        PlanVerdict::Starts => style::paint(style::HEAD, "it would start now"),
        PlanVerdict::Waits => {
            format!("{}: {}", style::paint(style::WARN, "it would wait"), sentence)
        }
        PlanVerdict::Never => {
            format!("{}: {}", style::paint(style::BAD, "it would never start"), sentence)
        }
    };
    out.line(&verdict)?;
    let mut facts = Facts::default();
    explain::place(explanation, &mut facts);
    if answer.verdict != PlanVerdict::Never {
        facts.add("delays", forecast::delays(&answer.delays, answer.delayed, answer.delays_complete));
    }
    facts.write(out)?;
    if answer.verdict == PlanVerdict::Starts { Ok(()) } else { explain::nodes(explanation, out) }
}
