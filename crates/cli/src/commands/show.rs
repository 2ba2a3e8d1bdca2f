//! `show`: everything about one job or task.

use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::cause::cause;
use crate::show::table::Facts;
use crate::show::width::cut;
use crate::show::{Align, Format, Out, Table, style, text};
use taskyard_client::api::units::{self, show_size, show_thousandths};
use taskyard_client::api::{
    Attempt, Blob, JobDetail, JobQuery, JobSpec, JobSummary, OnAgentLost, StoppingTasks, Task, TasksQuery,
};

/// Longest command line shown.
const COMMAND_SHOWN: usize = 200;

pub(crate) async fn show(ctx: &mut Context, target: &str) -> Result<u8, Failure> {
    let picked = ctx.pick_one(target).await?;
    if picked.tasks.is_some() {
        let number = ctx.one_task(&picked, "show").await?;
        let task = ctx.client.task(picked.job, number).await?;
        match ctx.out.format {
            Format::Json | Format::Jsonl => ctx.out.json(&task)?,
            Format::Ids => ctx.out.line(&format!("{}.{}", task.job, task.task))?,
            Format::Table => {
                let spec = ctx.client.job(picked.job, &JobQuery::default()).await?.spec;
                write_task(&task, spec.as_ref(), &mut ctx.out)?;
            }
        }
        return Ok(exit::OK);
    }
    let job = ctx.client.job(picked.job, &JobQuery::default()).await?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&job)?,
        Format::Ids => ctx.out.line(&job.summary.id.to_string())?,
        Format::Table => {
            // What is true of the only task is true of the job.
            let only = match job.summary.tasks.total {
                1 => ctx.client.tasks(picked.job, &TasksQuery::default()).await?.items.pop(),
                _ => None,
            };
            write_job(&job, only.as_ref(), text::now_ms(), &mut ctx.out)?;
        }
    }
    Ok(exit::OK)
}

/// How much of what was reserved an attempt used: `cpu 46% of 2, memory 12% of 4GiB`.
fn efficiency(last: &Attempt, spec: &JobSpec) -> String {
    let percent = |part: u64, all: u64| (all > 0).then(|| part.saturating_mul(100) / all);
    let cpus = spec.cpus.as_ref().and_then(|cpus| units::thousandths("cpus", &cpus.0).ok()).unwrap_or(1_000);
    let memory =
        spec.memory.as_ref().and_then(|memory| units::size_bytes("memory", &memory.0).ok()).unwrap_or(0);
    let reserved = last.ran_ms.unwrap_or(0).saturating_mul(cpus) / 1_000;
    let cpu = last.cpu_ms.and_then(|used| percent(used, reserved));
    let rss = last.max_rss_kib.filter(|kib| *kib > 0).and_then(|kib| percent(kib * 1_024, memory));
    let parts = [
        cpu.map(|percent| format!("cpu {percent}% of {}", show_thousandths(cpus))),
        rss.map(|percent| format!("memory {percent}% of {}", show_size(memory))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Of output that is not whole: how much there was, how much is gone, and why.
fn output_cut(last: &Attempt) -> String {
    let past_limit = last.output_bytes.zip(last.output_dropped_bytes).map(|(written, dropped)| {
        let (written, dropped) = (show_size(written), show_size(dropped));
        format!("{written} written, {dropped} of it dropped past the node's limit; the beginning and the end are kept")
    });
    [past_limit, text::disk_full(last)].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

pub(crate) fn write_job(
    job: &JobDetail,
    only: Option<&Task>,
    now_ms: u64,
    out: &mut Out,
) -> Result<(), Failure> {
    let s = &job.summary;
    let mut facts = Facts::default();
    facts.painted("job", format!("{} {}", s.id, s.name), style::HEAD);
    let ending = match (job.max_fails_exceeded, job.cancelled) {
        _ if s.state.is_finished() => "",
        (true, _) => ", being stopped",
        (false, true) => ", being cancelled",
        (false, false) => "",
    };
    facts.painted("state", format!("{}{ending}", s.state.name()), style::state(s.state.name()));
    facts.add(
        "stopping",
        job.stopping.as_ref().map(|stopping| stopping_tasks(s, stopping)).unwrap_or_default(),
    );
    facts.add("reason", text::reason(s).filter(|_| text::shows_reason(s)).unwrap_or_default());
    facts.add("why", max_fails_exceeded(job).unwrap_or_default());
    facts.add("tasks", format!("{} of {} done: {}", s.tasks.done(), s.tasks.total, text::counts(&s.tasks)));
    facts.add(
        "results",
        job.results
            .iter()
            .map(|end| format!("{}× {}", end.tasks, text::end(end)))
            .collect::<Vec<_>>()
            .join(", "),
    );
    facts.add("after", job.after.iter().map(text::predecessor).collect::<Vec<_>>().join("\n"));
    facts.add("begin", s.begin_at_ms.map(|at| text::begin(at, now_ms)).unwrap_or_default());
    facts.add("retry of", job.retry_of.map(|j| format!("job {j}")).unwrap_or_default());
    facts.add("queue", format!("{}, priority {}", s.queue, s.priority));
    facts.add("namespace", if s.namespace == "default" { String::new() } else { s.namespace.clone() });
    facts.add("account", s.account.clone().unwrap_or_default());
    facts.add("user", s.user.clone());
    facts.add(
        "submitted",
        format!("{}, {} ago", text::time(s.submitted_at_ms), text::age(s.submitted_at_ms, now_ms)),
    );
    if let Some(start) = s.started_at_ms {
        let waited = text::span(start.saturating_sub(s.submitted_at_ms));
        facts.add("started", format!("{}, after {waited}", text::time(start)));
    }
    if let Some(end) = s.finished_at_ms {
        let took = text::span(end.saturating_sub(s.started_at_ms.unwrap_or(s.submitted_at_ms)));
        facts.add("finished", format!("{}, after {took}", text::time(end)));
    }
    if let Some(spec) = &job.spec {
        facts.add("efficiency", only.map(|task| efficiency(&task.last, spec)).unwrap_or_default());
        add_spec(spec, &mut facts);
    }
    facts.write(out)?;
    if !job.failures.is_empty() {
        let rest = s.tasks.failed.saturating_sub(job.failures.len() as u64);
        let heading =
            if rest > 0 { format!("\nfirst failures ({rest} more)") } else { "\nfailures".to_owned() };
        out.line(&style::paint(style::HEAD, &heading))?;
        super::tasks::table(&job.failures, now_ms).write(out)?;
        let cause = job.spec.as_ref().and_then(|spec| job.failures.iter().find_map(|t| cause(t, spec)));
        if let Some(cause) = cause {
            out.line(&style::paint(style::DIM, &cause))?;
        }
    }
    Ok(())
}

/// Which of its tasks are being stopped, why, and how long they have.
fn stopping_tasks(job: &JobSummary, stopping: &StoppingTasks) -> String {
    let sentence = &stopping.last.sentence;
    if job.tasks.total == 1 {
        return sentence.clone();
    }
    format!("{} of {} on nodes: {sentence}", text::tasks(stopping.tasks), job.tasks.running)
}

/// That its limit of failures ended a job, and which tasks passed it.
fn max_fails_exceeded(job: &JobDetail) -> Option<String> {
    if !job.max_fails_exceeded {
        return None;
    }
    let named: Vec<String> = job.failures.iter().map(|task| task.task.to_string()).collect();
    let more = job.summary.tasks.failed.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let most = job.spec.as_ref().and_then(|spec| spec.max_fails).unwrap_or_default();
    let rest = if job.summary.tasks.cancelled > 0 { "; the rest was cancelled" } else { "" };
    let which = if job.summary.tasks.failed == 1 { "task" } else { "tasks" };
    Some(format!("{which} {}{more} failed, more than its --max-fails {most}{rest}", named.join(", ")))
}

fn add_spec(spec: &JobSpec, facts: &mut Facts) {
    facts.add("command", command(spec));
    facts.add("array", spec.array.clone().unwrap_or_default());
    facts.add(
        "entries",
        if spec.entries.is_empty() { String::new() } else { format!("{} lines", spec.entries.len()) },
    );
    facts.add("at once", spec.max_running.map(|n| n.to_string()).unwrap_or_default());
    facts.add("each task", request(spec));
    facts.add("constraint", spec.constraint.clone().unwrap_or_default());
    facts.add("prefers", spec.prefer.join(", "));
    let alone = [
        (spec.exclusive, "alone on its node"),
        (spec.apart, "apart from each other"),
        (spec.broadcast, "one on each node"),
    ];
    let mut alone: Vec<&str> = alone.iter().filter(|(is, _)| *is).map(|(_, how)| *how).collect();
    let by_label = spec.apart_by.as_ref().map(|label| format!("apart by {label}"));
    alone.extend(by_label.as_deref());
    facts.add("tasks run", alone.join(", "));
    facts.add("locality", spec.locality.clone().unwrap_or_default());
    facts.add("time limit", spec.time_limit.as_ref().map(|q| q.0.clone()).unwrap_or_default());
    facts.add("estimate", spec.estimate.as_ref().map(|q| q.0.clone()).unwrap_or_default());
    facts.add("grace", spec.grace.as_ref().map(|q| q.0.clone()).unwrap_or_default());
    if let Some(retries) = spec.retries.filter(|n| *n > 0) {
        let backoff =
            spec.backoff.as_ref().map(|q| format!(", {} before the first", q.0)).unwrap_or_default();
        facts.add("retries", format!("{retries}{backoff}"));
    }
    let fails = spec.on_agent_lost == Some(OnAgentLost::Fail);
    facts.add("lost node", if fails { "its tasks fail: at most one attempt runs" } else { "" });
    facts.add("max fails", spec.max_fails.map(|n| n.to_string()).unwrap_or_default());
    let env: Vec<String> = spec.env.iter().map(|(k, v)| format!("{k}={}", cut(v, 60))).collect();
    facts.add("env", if env.len() > 8 { format!("{} variables", env.len()) } else { env.join("\n") });
    facts.add("cwd", spec.cwd.clone().unwrap_or_default());
    facts.add(
        "stdin",
        match &spec.stdin_data {
            Some(_) => "given at submit".to_owned(),
            None => spec.stdin.clone().unwrap_or_default(),
        },
    );
    facts.add("stdout", spec.stdout.clone().unwrap_or_default());
    facts.add("stderr", spec.stderr.clone().unwrap_or_default());
}

/// The command as one could type it.
fn command(spec: &JobSpec) -> String {
    let words = |words: &[String]| words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ");
    let line = match (&spec.script, &spec.command, &spec.null) {
        (Some(Blob::Text(script)), ..) => {
            let lines = script.lines().count();
            format!("a script of {lines} lines {}", words(&spec.args))
        }
        (Some(_), ..) => format!("a program {}", words(&spec.args)),
        (None, Some(command), _) => words(command),
        (None, None, Some(null)) => {
            format!("nothing (driver null, {} of 1000 fail, {}ms each)", null.fail_per_mille, null.run_ms)
        }
        (None, None, None) => String::new(),
    };
    cut(line.trim_end(), COMMAND_SHOWN)
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn request(spec: &JobSpec) -> String {
    let mut parts = Vec::new();
    parts.extend(spec.cpus.as_ref().map(|q| format!("{} cpu", q.0)));
    parts.extend(spec.memory.as_ref().map(|q| q.0.clone()));
    parts.extend(spec.gpus.as_ref().map(|q| format!("{} gpu", q.0)));
    parts.extend(spec.resources.iter().map(|(name, n)| format!("{n} {name}")));
    parts.join(", ")
}

pub(crate) fn write_task(task: &Task, spec: Option<&JobSpec>, out: &mut Out) -> Result<(), Failure> {
    let last = &task.last;
    let mut facts = Facts::default();
    facts.painted("task", format!("{}.{}", task.job, task.task), style::HEAD);
    facts.painted("state", task.shown_state(), style::state(task.state.name()));
    facts.add("reason", task.reason.clone().unwrap_or_default());
    facts.add("attempt", if task.attempt > 0 { task.attempt.to_string() } else { String::new() });
    facts.add("result", text::result(last));
    facts.add("cause", spec.and_then(|spec| cause(task, spec)).unwrap_or_default());
    facts.add("node", last.node.clone().unwrap_or_default());
    facts.add("entry", task.entry.clone().unwrap_or_default());
    facts.add("fence", last.fence.map(|f| f.to_string()).unwrap_or_default());
    facts.add("started", last.started_at_ms.map(text::time).unwrap_or_default());
    facts.add("ended", last.ended_at_ms.map(text::time).unwrap_or_default());
    facts.add("ran", last.ran_ms.map(text::span).unwrap_or_default());
    facts.add("cpu", last.cpu_ms.map(text::span).unwrap_or_default());
    facts
        .add("memory", last.max_rss_kib.filter(|k| *k > 0).map(|k| show_size(k * 1_024)).unwrap_or_default());
    facts.add("output", output_cut(last));
    facts.add("efficiency", spec.map(|spec| efficiency(last, spec)).unwrap_or_default());
    facts.write(out)?;
    if task.attempts.len() < 2 {
        return Ok(());
    }
    out.line("")?;
    let mut table = Table::new(&[
        ("ATTEMPT", Align::Right),
        ("FENCE", Align::Right),
        ("NODE", Align::Flex),
        ("RESULT", Align::Flex),
        ("STARTED", Align::Left),
        ("RAN", Align::Right),
        ("CPU", Align::Right),
    ]);
    for attempt in &task.attempts {
        table.row(vec![
            attempt.number.map(|n| n.to_string()).unwrap_or_default(),
            attempt.fence.map(|f| f.to_string()).unwrap_or_default(),
            attempt.node.clone().unwrap_or_default(),
            text::result_and_output(attempt),
            attempt.started_at_ms.map(text::time).unwrap_or_default(),
            attempt.ran_ms.map(text::span).unwrap_or_default(),
            attempt.cpu_ms.map(text::span).unwrap_or_default(),
        ]);
    }
    table.write(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::JobArgs;
    use crate::golden::Shared;
    use clap::{Args, Command};
    use serde_json::{Value, json};

    /// Options of which there is nothing to see in a job: what they say is in other fields, in its state or its line
    /// in the list, or holds for the submit alone.
    const ELSEWHERE: [&str; 12] = [
        "name",
        "queue",
        "namespace",
        "account",
        "priority",
        "hold",
        "begin",
        "after",
        "request_id",
        "env_all",
        "wait_for_nodes",
        "driver",
    ];

    /// A value for a field, by which it can be told.
    fn value(field: &str) -> Value {
        match field {
            "max_running" | "max_fails" | "retries" => json!(7),
            "exclusive" | "apart" | "broadcast" => json!(true),
            "resources" => json!({"licence": 7}),
            "env" => json!({"A": "7"}),
            "prefer" | "entries" => json!(["seven"]),
            "on_agent_lost" => json!("fail"),
            "null" => json!({"run_ms": 7, "fail_per_mille": 7}),
            _ => json!("7"),
        }
    }

    fn shown(spec: &Value) -> String {
        let mut facts = Facts::default();
        add_spec(&serde_json::from_value(spec.clone()).expect("a job"), &mut facts);
        let text = Shared::default();
        facts.write(&mut Out::of(Format::Table, Box::new(text.clone()), 200)).expect("written");
        text.text()
    }

    #[test]
    fn every_job_option_is_shown() {
        let options = JobArgs::augment_args(Command::new("job"));
        let mut examined = 0;
        for option in options.get_arguments().map(|option| option.get_id().as_str()) {
            let field = match option {
                "each_line" => "entries",
                "null_fail_per_mille" | "null_run_ms" => "null",
                option => option,
            };
            if ELSEWHERE.contains(&field) {
                continue;
            }
            // A back-off means something with retries only.
            let base = json!({ "retries": if field == "backoff" { 1 } else { 0 } });
            let mut with = base.clone();
            with[field] = value(field);
            assert_ne!(shown(&with), shown(&base), "--{option} is not shown");
            examined += 1;
        }
        assert!(examined > 20, "{examined} options");
    }
}
