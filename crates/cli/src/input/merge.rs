//! Options over options over a job file. The lists here are long but flat: one line for each option.

use super::{Here, env};
use crate::args::job::JobArgs;
use crate::exit::Failure;
use crate::time;
use taskyard_client::api::{Blob, DriverName, Invalid, JobSpec, NullSpec, OnAgentLost, Quantity};

/// `near` where it says something, else `far`. Lists add up, with the nearer ones last, so that they win by name.
pub(crate) fn over(near: JobArgs, far: JobArgs) -> JobArgs {
    JobArgs {
        name: near.name.or(far.name),
        queue: near.queue.or(far.queue),
        namespace: near.namespace.or(far.namespace),
        account: near.account.or(far.account),
        priority: near.priority.or(far.priority),
        hold: near.hold || far.hold,
        begin: near.begin.or(far.begin),
        after: [far.after, near.after].concat(),
        request_id: near.request_id.or(far.request_id),
        array: near.array.or(far.array),
        each_line: near.each_line.or(far.each_line),
        max_running: near.max_running.or(far.max_running),
        max_fails: near.max_fails.or(far.max_fails),
        cpus: near.cpus.or(far.cpus),
        mem: near.mem.or(far.mem),
        gpus: near.gpus.or(far.gpus),
        resource: [far.resource, near.resource].concat(),
        constraint: near.constraint.or(far.constraint),
        prefer: [far.prefer, near.prefer].concat(),
        exclusive: near.exclusive || far.exclusive,
        apart: near.apart || far.apart,
        apart_by: near.apart_by.or(far.apart_by),
        locality: near.locality.or(far.locality),
        broadcast: near.broadcast || far.broadcast,
        wait_for_nodes: near.wait_for_nodes || far.wait_for_nodes,
        time_limit: near.time_limit.or(far.time_limit),
        estimate: near.estimate.or(far.estimate),
        grace: near.grace.or(far.grace),
        retries: near.retries.or(far.retries),
        backoff: near.backoff.or(far.backoff),
        on_agent_lost: near.on_agent_lost.or(far.on_agent_lost),
        env: [far.env, near.env].concat(),
        env_all: near.env_all || far.env_all,
        cwd: near.cwd.or(far.cwd),
        stdin: near.stdin.or(far.stdin),
        stdout: near.stdout.or(far.stdout),
        stderr: near.stderr.or(far.stderr),
        driver: near.driver.or(far.driver),
        null_fail_per_mille: near.null_fail_per_mille.or(far.null_fail_per_mille),
        null_run_ms: near.null_run_ms.or(far.null_run_ms),
    }
}

/// The option that fills a field of the API.
pub(crate) fn flag_of(field: &str) -> Option<&'static str> {
    const FLAGS: [(&str, &str); 40] = [
        ("name", "--name"),
        ("queue", "--queue"),
        ("namespace", "--namespace"),
        ("account", "--account"),
        ("priority", "--priority"),
        ("request_id", "--request-id"),
        ("array", "--array"),
        ("entries", "--each-line"),
        ("max_running", "--max-running"),
        ("max_fails", "--max-fails"),
        ("cpus", "--cpus"),
        ("memory", "--mem"),
        ("gpus", "--gpus"),
        ("resource", "--resource"),
        ("resources", "--resource"),
        ("constraint", "--constraint"),
        ("prefer", "--prefer"),
        ("exclusive", "--exclusive"),
        ("apart", "--apart"),
        ("apart_by", "--apart-by"),
        ("locality", "--locality"),
        ("broadcast", "--broadcast"),
        ("wait_for_nodes", "--wait-for-nodes"),
        ("time_limit", "--time-limit"),
        ("estimate", "--estimate"),
        ("grace", "--grace"),
        ("retries", "--retries"),
        ("backoff", "--backoff"),
        ("on_agent_lost", "--on-agent-lost"),
        ("env", "--env"),
        ("cwd", "--cwd"),
        ("stdin", "--stdin"),
        ("stdin_data", "--stdin"),
        ("stdout", "--stdout"),
        ("stderr", "--stderr"),
        ("driver", "--driver"),
        ("fail_per_mille", "--null-fail-per-mille"),
        ("hold", "--hold"),
        ("after", "--after"),
        ("begin", "--begin"),
    ];
    FLAGS.iter().find(|(f, _)| *f == field).map(|(_, flag)| *flag)
}

/// Whether these options fill a field of the API.
pub(crate) fn is_given(args: &JobArgs, field: &str) -> bool {
    match flag_of(field) {
        Some("--name") => args.name.is_some(),
        Some("--queue") => args.queue.is_some(),
        Some("--namespace") => args.namespace.is_some(),
        Some("--account") => args.account.is_some(),
        Some("--priority") => args.priority.is_some(),
        Some("--request-id") => args.request_id.is_some(),
        Some("--array") => args.array.is_some(),
        Some("--each-line") => args.each_line.is_some(),
        Some("--max-running") => args.max_running.is_some(),
        Some("--max-fails") => args.max_fails.is_some(),
        Some("--cpus") => args.cpus.is_some(),
        Some("--mem") => args.mem.is_some(),
        Some("--gpus") => args.gpus.is_some(),
        Some("--resource") => !args.resource.is_empty(),
        Some("--constraint") => args.constraint.is_some(),
        Some("--prefer") => !args.prefer.is_empty(),
        Some("--exclusive") => args.exclusive,
        Some("--apart") => args.apart,
        Some("--apart-by") => args.apart_by.is_some(),
        Some("--locality") => args.locality.is_some(),
        Some("--broadcast") => args.broadcast,
        Some("--wait-for-nodes") => args.wait_for_nodes,
        Some("--time-limit") => args.time_limit.is_some(),
        Some("--estimate") => args.estimate.is_some(),
        Some("--grace") => args.grace.is_some(),
        Some("--retries") => args.retries.is_some(),
        Some("--backoff") => args.backoff.is_some(),
        Some("--on-agent-lost") => args.on_agent_lost.is_some(),
        Some("--env") => !args.env.is_empty() || args.env_all,
        Some("--cwd") => args.cwd.is_some(),
        Some("--stdin") => args.stdin.is_some(),
        Some("--stdout") => args.stdout.is_some(),
        Some("--stderr") => args.stderr.is_some(),
        Some("--driver") => args.driver.is_some(),
        Some("--null-fail-per-mille") => args.null_fail_per_mille.is_some(),
        Some("--hold") => args.hold,
        Some("--begin") => args.begin.is_some(),
        Some("--after") => !args.after.is_empty(),
        _ => false,
    }
}

/// Lays the options over a job. Only what was typed here takes the current directory: a job file means the same from everywhere.
pub(crate) fn apply(args: &JobArgs, base: JobSpec, here: &Here, in_file: bool) -> Result<JobSpec, Failure> {
    let quantity = |text: &Option<String>, base: Option<Quantity>| text.clone().map(Quantity).or(base);
    let mut spec = JobSpec {
        name: args.name.clone().or(base.name),
        queue: args.queue.clone().or(base.queue),
        namespace: args.namespace.clone().or(base.namespace),
        account: args.account.clone().or(base.account),
        priority: args.priority.or(base.priority),
        hold: args.hold || base.hold,
        begin: begin(args.begin.as_deref().or(base.begin.as_deref()), here)?,
        after: [base.after, args.after.clone()].concat(),
        array: args.array.clone().or(base.array),
        max_running: args.max_running.or(base.max_running),
        max_fails: args.max_fails.or(base.max_fails),
        cpus: quantity(&args.cpus, base.cpus),
        memory: quantity(&args.mem, base.memory),
        gpus: quantity(&args.gpus, base.gpus),
        resources: env::resources(args, base.resources)?,
        constraint: args.constraint.clone().or(base.constraint),
        prefer: [base.prefer, args.prefer.clone()].concat(),
        exclusive: args.exclusive || base.exclusive,
        apart: args.apart || base.apart,
        apart_by: args.apart_by.clone().or(base.apart_by),
        locality: args.locality.clone().or(base.locality),
        broadcast: args.broadcast || base.broadcast,
        wait_for_nodes: args.wait_for_nodes || base.wait_for_nodes,
        time_limit: quantity(&args.time_limit, base.time_limit),
        estimate: quantity(&args.estimate, base.estimate),
        grace: quantity(&args.grace, base.grace),
        retries: args.retries.or(base.retries),
        backoff: quantity(&args.backoff, base.backoff),
        on_agent_lost: on_agent_lost(args)?.or(base.on_agent_lost),
        env: env::env(args, base.env, here)?,
        stdout: args.stdout.clone().or(base.stdout),
        stderr: args.stderr.clone().or(base.stderr),
        ..base
    };
    driver(args, &mut spec)?;
    if spec.driver != Some(DriverName::Null) {
        cwd(args, &mut spec, here, in_file);
    }
    if let Some(path) = &args.each_line {
        spec.entries = lines(&here.read("--each-line", path)?)?;
    }
    match args.stdin.as_deref() {
        Some("-") => {
            spec.stdin_data = Some(Blob::from_bytes(&here.read("--stdin", "-")?));
            spec.stdin = None;
        }
        Some(path) => {
            spec.stdin = Some(path.to_owned());
            spec.stdin_data = None;
        }
        None => {}
    }
    Ok(spec)
}

fn begin(text: Option<&str>, here: &Here) -> Result<Option<String>, Invalid> {
    text.map(|text| time::ahead("begin", text, &(here.now)())).transpose()
}

fn on_agent_lost(args: &JobArgs) -> Result<Option<OnAgentLost>, Invalid> {
    match args.on_agent_lost.as_deref() {
        None => Ok(None),
        Some("retry") => Ok(Some(OnAgentLost::Retry)),
        Some("fail") => Ok(Some(OnAgentLost::Fail)),
        Some(other) => Err(Invalid::new("on_agent_lost", other, "write retry or fail")),
    }
}

fn driver(args: &JobArgs, spec: &mut JobSpec) -> Result<(), Invalid> {
    match args.driver.as_deref() {
        None => {}
        Some("process") => spec.driver = Some(DriverName::Process),
        Some("null") => spec.driver = Some(DriverName::Null),
        Some(other) => return Err(Invalid::new("driver", other, "drivers are process and null")),
    }
    if args.null_fail_per_mille.is_some() || args.null_run_ms.is_some() {
        let base = spec.null.take().unwrap_or_default();
        spec.null = Some(NullSpec {
            fail_per_mille: args.null_fail_per_mille.unwrap_or(base.fail_per_mille),
            run_ms: args.null_run_ms.unwrap_or(base.run_ms),
        });
    }
    Ok(())
}

fn cwd(args: &JobArgs, spec: &mut JobSpec, here: &Here, in_file: bool) {
    // The current directory is text, not a pattern.
    let current = here.cwd.as_ref().map(|dir| dir.replace('%', "%%"));
    spec.cwd = match args.cwd.as_deref() {
        Some("none") => None,
        Some(path) if path.starts_with(['/', '%']) => Some(path.to_owned()),
        Some(path) => Some(current.map_or_else(|| path.to_owned(), |dir| format!("{dir}/{path}"))),
        None if in_file => spec.cwd.take(),
        None => current,
    };
}

/// Lines of a file, each one a task's entry.
fn lines(content: &[u8]) -> Result<Vec<String>, Invalid> {
    let text = std::str::from_utf8(content)
        .map_err(|e| Invalid::new("entries", "", format!("the lines are text in UTF-8: {e}")))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Invalid::new("entries", "", "the file is empty, so there is no task to run"));
    }
    Ok(lines)
}
