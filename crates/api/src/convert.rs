//! From a job as users write it to the model's, with every complaint naming the field as it was written.

use crate::act::positive_duration;
use crate::{Blob, JobSpec, OnAgentLost, Quantity};
use crate::{after, array, begin, json};
use taskyard_model::affinity::{Affinity, Preference};
use taskyard_model::spec::{self, ArraySpec, Driver, ProcessCommand, Stdin};
use taskyard_model::{Amounts, Constraint, Invalid, Namespace, Request, Retry, limits, quantity, validate};

/// Wait before the first retry when the user names none: long enough that a task which fails at once does not spin.
const BACKOFF_MS: u64 = 1_000;
/// Cores of a task when the user names none.
const CPU_MILLI: u64 = 1_000;

impl TryFrom<JobSpec> for spec::JobSpec {
    type Error = Invalid;

    fn try_from(mut api: JobSpec) -> Result<Self, Invalid> {
        let base = spec::JobSpec::command(Vec::new());
        let entries = std::mem::take(&mut api.entries);
        let array = tasks(&api, entries.len())?;
        let request = request(&api)?;
        let driver = driver(&mut api)?;
        let name = match api.name.take() {
            Some(name) => name,
            None => default_name(&driver),
        };
        let spec = spec::JobSpec {
            name,
            queue: api.queue.take().unwrap_or(base.queue),
            priority: api.priority.unwrap_or(base.priority),
            driver,
            array,
            entries,
            request,
            constraint: constraint(api.constraint.as_deref())?,
            time_limit_ms: duration("time_limit", &api.time_limit)?,
            estimate_ms: duration("estimate", &api.estimate)?,
            grace_ms: any_duration("grace", &api.grace)?.unwrap_or(base.grace_ms),
            retry: Retry {
                max: api.retries.unwrap_or(0),
                backoff_ms: any_duration("backoff", &api.backoff)?.unwrap_or(BACKOFF_MS),
            },
            max_fails: api.max_fails,
            hold: api.hold,
            begin: api.begin.as_deref().map(|text| begin::parse("begin", text)).transpose()?,
            after: api.after.iter().map(|text| after::parse("after", text)).collect::<Result<_, _>>()?,
            on_agent_lost: match api.on_agent_lost {
                Some(OnAgentLost::Fail) => spec::OnAgentLost::Fail,
                Some(OnAgentLost::Retry) | None => spec::OnAgentLost::Retry,
            },
            namespace: match &api.namespace {
                Some(name) => Namespace::parse("namespace", name)?,
                None => Namespace::default(),
            },
            account: api.account.take(),
            affinity: affinity(&mut api)?,
        };
        spec.check()?;
        Ok(spec)
    }
}

fn duration(field: &str, text: &Option<Quantity>) -> Result<Option<u64>, Invalid> {
    text.as_ref().map(|q| positive_duration(field, &q.0)).transpose()
}

/// A duration that may be zero.
fn any_duration(field: &str, text: &Option<Quantity>) -> Result<Option<u64>, Invalid> {
    text.as_ref().map(|q| quantity::duration_ms(field, &q.0)).transpose()
}

fn constraint(text: Option<&str>) -> Result<Constraint, Invalid> {
    match text {
        None => Ok(Constraint::default()),
        Some("") => {
            Err(Invalid::new("constraint", "", "write a condition, as in zone == a, or leave it out"))
        }
        Some(text) => Constraint::parse("constraint", text),
    }
}

fn affinity(api: &mut JobSpec) -> Result<Affinity, Invalid> {
    let prefer = api.prefer.iter().map(|text| Preference::parse("prefer", text)).collect::<Result<_, _>>()?;
    let (locality, apart_by) = (api.locality.take(), api.apart_by.take());
    Ok(Affinity { prefer, apart: api.apart, locality, broadcast: api.broadcast, apart_by })
}

fn tasks(api: &JobSpec, entries: usize) -> Result<ArraySpec, Invalid> {
    let mut array = match (&api.array, entries) {
        (Some(text), _) => array::parse("array", text)?,
        (None, 0) => ArraySpec::single(),
        (None, n) => {
            let count = u32::try_from(n).map_err(|_| {
                Invalid::new("entries", n, format!("at most {} lines", limits::ARRAY_TASKS_MAX))
            })?;
            ArraySpec { first: 1, step: 1, count, max_running: None, only: Vec::new() }
        }
    };
    match (api.max_running, array.max_running) {
        (Some(0), _) => return Err(Invalid::new("max_running", 0, "at least 1")),
        (Some(_), Some(_)) => {
            let value = api.array.as_deref().unwrap_or_default();
            return Err(Invalid::new("array", value, "leave %N out when max_running is set"));
        }
        (Some(n), None) => array.max_running = Some(n),
        (None, _) => {}
    }
    Ok(array)
}

fn request(api: &JobSpec) -> Result<Request, Invalid> {
    let milli = |field, text: &Option<Quantity>| match text {
        Some(Quantity(text)) => quantity::thousandths(field, text).map(Some),
        None => Ok(None),
    };
    let gpu_milli = milli("gpus", &api.gpus)?.unwrap_or(0);
    let amounts = Amounts {
        cpu_milli: milli("cpus", &api.cpus)?.unwrap_or(CPU_MILLI),
        memory: match &api.memory {
            Some(Quantity(text)) => quantity::size_bytes("memory", text)?,
            None => 0,
        },
        named: api.resources.clone(),
    };
    let most = limits::GPU_DEVICES_MAX;
    let gpu_milli =
        u32::try_from(gpu_milli).ok().filter(|g| *g as usize <= most * 1_000).ok_or_else(|| {
            let value = quantity::show_thousandths(gpu_milli);
            Invalid::new("gpus", value, format!("a node has at most {most}"))
        })?;
    Ok(Request { amounts, gpu_milli, exclusive: api.exclusive })
}

fn driver(api: &mut JobSpec) -> Result<Driver, Invalid> {
    match api.take_driver()? {
        Some(driver) => Ok(driver),
        None => Ok(Driver::Process(command(api)?)),
    }
}

fn command(api: &mut JobSpec) -> Result<ProcessCommand, Invalid> {
    let script = api.script.take().map(script).transpose()?;
    let argv = match (api.command.take(), &script) {
        (Some(_), Some(_)) => {
            return Err(Invalid::new(
                "script",
                "",
                "give a command or a script, not both; arguments of a script go into args",
            ));
        }
        (Some(_), None) if !api.args.is_empty() => {
            return Err(Invalid::new(
                "args",
                api.args.join(" "),
                "args belong to a script; put all arguments into command",
            ));
        }
        (Some(argv), None) => argv,
        (None, Some(_)) => std::mem::take(&mut api.args),
        (None, None) => {
            return Err(Invalid::new("command", "", "give a command or a script"));
        }
    };
    let stdin = match (api.stdin.take(), api.stdin_data.take()) {
        (Some(path), Some(_)) => {
            return Err(Invalid::new("stdin", path, "give stdin or stdin_data, not both"));
        }
        (Some(path), None) => Stdin::File(path),
        (None, Some(data)) => Stdin::Bytes(data.into_bytes("stdin_data")?),
        (None, None) => Stdin::Empty,
    };
    Ok(ProcessCommand {
        argv,
        script,
        env: std::mem::take(&mut api.env).into_iter().collect(),
        cwd: api.cwd.take(),
        stdin,
        stdout: api.stdout.take(),
        stderr: api.stderr.take(),
    })
}

/// Without its byte order mark, which is no part of the text and which the kernel does not know.
fn script(blob: Blob) -> Result<Vec<u8>, Invalid> {
    let bytes = json::without_mark(&blob.into_bytes("script")?).to_vec();
    crate::script::check(&bytes)?;
    Ok(bytes)
}

/// The program's file name, as far as it can be seen.
pub fn name_of(program: &str) -> String {
    let file = program.rsplit('/').next().unwrap_or(program);
    validate::to_title(file, limits::NAME_CHARS_MAX).unwrap_or_else(|| "job".to_owned())
}

fn default_name(driver: &Driver) -> String {
    match driver {
        Driver::Process(ProcessCommand { script: Some(_), .. }) => "script".to_owned(),
        Driver::Process(command) => name_of_command(&command.argv),
        other => other.name().to_owned(),
    }
}

/// The program's name, or the first words of what a shell is to run.
fn name_of_command(argv: &[String]) -> String {
    /// As much of a script as tells it from others in a list.
    const SCRIPT_CHARS: usize = 32;
    const SHELLS: [&str; 7] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "ash"];
    let Some(program) = argv.first() else { return "job".to_owned() };
    let name = name_of(program);
    let script = SHELLS.contains(&name.as_str()).then(|| script_of(&argv[1..])).flatten();
    script.and_then(|script| validate::to_title(script, SCRIPT_CHARS)).unwrap_or(name)
}

/// What follows the `-c` of a shell, which may stand among other letters as in `-euc`.
fn script_of(args: &[String]) -> Option<&str> {
    let is_command = |arg: &String| {
        arg.starts_with('-') && !arg.starts_with("--") && arg.ends_with('c') && !arg.contains('=')
    };
    let at = args.iter().position(is_command)?;
    // After a file it is an argument of that.
    let is_option = |arg: &String| arg.starts_with('-') || arg == "pipefail";
    let only_options = args[..at].iter().all(is_option);
    args.get(at + 1).filter(|_| only_options).map(String::as_str)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
