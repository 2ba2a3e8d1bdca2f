//! Options over options over a job file. No option is listed here: it is a field of [`JobArgs`] that has the name of
//! a field of the API, and what is said here holds for all of them. The few that are read on this machine first are
//! the exception.

use super::{Here, env, job_file};
use crate::args::job::JobArgs;
use crate::exit::Failure;
use crate::time;
use clap::Args as _;
use serde_json::{Map, Value};
use taskyard_client::api::{Blob, DriverName, Invalid, JobSpec, NullSpec, body, json};

/// Options by the name of their field.
type Options = Map<String, Value>;

/// Options that are no field of the API as they are typed, and the fields that they fill.
const READ_HERE: [(&str, &[&str]); 9] = [
    ("request_id", &["request_id"]),
    ("each_line", &["entries"]),
    ("env", &["env"]),
    ("env_all", &["env"]),
    ("resources", &["resources", "resource"]),
    ("cwd", &["cwd"]),
    ("stdin", &["stdin", "stdin_data"]),
    ("null_fail_per_mille", &["fail_per_mille"]),
    ("null_run_ms", &["run_ms"]),
];

/// `near` where it says something, else `far`. Lists add up, with the nearer ones last, so that they win by name.
pub(crate) fn over(near: &JobArgs, far: &JobArgs) -> JobArgs {
    let all = Value::Object(laid(given(near), given(far)));
    serde_json::from_value(all).expect("it is made of the fields of two of these")
}

/// The options that were typed.
fn given(args: &JobArgs) -> Options {
    let all = serde_json::to_value(args).expect("options are text, numbers and lists");
    let Value::Object(mut all) = all else { return Options::new() };
    let is_typed = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    all.retain(|_, value| is_typed(value));
    all
}

fn laid(near: Options, mut far: Options) -> Options {
    for (name, value) in near {
        match (far.get_mut(&name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (_, value) => {
                far.insert(name, value);
            }
        }
    }
    far
}

/// The options that fill a field of the API.
fn options_of(field: &str) -> Vec<&str> {
    let here = READ_HERE.iter().filter(|(_, fields)| fields.contains(&field)).map(|(option, _)| *option);
    let here: Vec<&str> = here.collect();
    if here.is_empty() { vec![field] } else { here }
}

/// The option that fills a field of the API, as it is typed.
pub(crate) fn flag_of(field: &str) -> Option<String> {
    let option = *options_of(field).first()?;
    let table = JobArgs::augment_args(clap::Command::new("job"));
    let arg = table.get_arguments().find(|arg| arg.get_id() == option)?;
    arg.get_long().map(|long| format!("--{long}"))
}

/// Whether these options fill a field of the API.
pub(crate) fn is_given(args: &JobArgs, field: &str) -> bool {
    let given = given(args);
    options_of(field).iter().any(|option| given.contains_key(*option))
}

/// Lays the options over a job. Only what was typed here takes the current directory: a job file means the same from
/// everywhere.
pub(crate) fn apply(args: &JobArgs, base: JobSpec, here: &Here, in_file: bool) -> Result<JobSpec, Failure> {
    let mut spec = plain(args, base)?;
    spec.begin = begin(spec.begin.as_deref(), here)?;
    spec.resources = env::resources(args, spec.resources)?;
    spec.env = env::env(args, spec.env, here)?;
    null(args, &mut spec);
    if spec.driver != Some(DriverName::Null) {
        cwd(args, &mut spec, here, in_file)?;
    }
    if let Some(path) = &args.each_line {
        spec.entries = lines(path, &here.read("--each-line", path)?)?;
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

/// Lays those over it that are fields of the API as they are.
fn plain(args: &JobArgs, base: JobSpec) -> Result<JobSpec, Invalid> {
    let mut options = given(args);
    options.retain(|name, _| READ_HERE.iter().all(|(option, _)| option != name));
    if options.is_empty() {
        return Ok(base);
    }
    let base = serde_json::to_value(base).expect("a job is plain JSON");
    let Value::Object(base) = base else { return Ok(JobSpec::default()) };
    body::from_value(Value::Object(laid(options, base)))
}

fn begin(text: Option<&str>, here: &Here) -> Result<Option<String>, Invalid> {
    text.map(|text| time::ahead("begin", text, &(here.now)()?)).transpose()
}

fn null(args: &JobArgs, spec: &mut JobSpec) {
    if args.null_fail_per_mille.is_some() || args.null_run_ms.is_some() {
        let base = spec.null.take().unwrap_or_default();
        spec.null = Some(NullSpec {
            fail_per_mille: args.null_fail_per_mille.unwrap_or(base.fail_per_mille),
            run_ms: args.null_run_ms.unwrap_or(base.run_ms),
        });
    }
}

fn cwd(args: &JobArgs, spec: &mut JobSpec, here: &Here, in_file: bool) -> Result<(), Invalid> {
    // The current directory is text, not a pattern.
    let current = || match &here.cwd {
        Ok(dir) => Ok(dir.replace('%', "%%")),
        Err(why) => {
            let remedy =
                format!("{why}; name a directory with --cwd PATH, or give each task its own with --cwd none");
            Err(Invalid::new("cwd", args.cwd.as_deref().unwrap_or("."), remedy))
        }
    };
    spec.cwd = match args.cwd.as_deref() {
        Some("none") => None,
        Some("") => return Err(Invalid::new("cwd", "", "name a directory, or write none")),
        Some(path) if path == "~" || path.starts_with("~/") => {
            return Err(Invalid::new("cwd", path, "no shell expands this ~; write \"$HOME\" instead"));
        }
        Some(path) if path.starts_with(['/', '%']) => Some(path.to_owned()),
        Some(path) => Some(format!("{}/{path}", current()?)),
        None if in_file => spec.cwd.take(),
        None => Some(current()?),
    };
    Ok(())
}

/// Lines of a file, each one a task's entry.
fn lines(path: &str, content: &[u8]) -> Result<Vec<String>, Invalid> {
    let text = std::str::from_utf8(json::without_mark(content)).map_err(|e| {
        let cause = job_file::strange(content);
        Invalid::new("entries", path, format!("the lines must be UTF-8 text: {e}{cause}"))
    })?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(Invalid::new("entries", path, "the file is empty, so there is no task to run"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::words;
    use clap::Parser;

    #[derive(Parser)]
    #[command(no_binary_name = true)]
    struct TypedLine {
        #[command(flatten)]
        job: JobArgs,
    }

    fn args(line: &str) -> JobArgs {
        TypedLine::try_parse_from(words::split(line).unwrap()).unwrap().job
    }

    #[test]
    fn the_nearer_wins_and_lists_add_up() {
        let near = args("--cpus 2 --after ok:2 --env A=2 --hold");
        let far = args("--cpus 1 --mem 4GiB --after ok:1 --env A=1 --exclusive --priority -3");
        let both = over(&near, &far);
        assert_eq!((both.cpus.as_deref(), both.memory.as_deref()), (Some("2"), Some("4GiB")));
        assert_eq!(
            (both.after, both.env),
            (vec!["ok:1".to_owned(), "ok:2".into()], vec!["A=1".to_owned(), "A=2".into()])
        );
        assert_eq!((both.hold, both.exclusive, both.apart, both.priority), (true, true, false, Some(-3)));
    }

    /// A field of the API with an option is named by it, and an option is a field or is read here: no list has to be
    /// kept.
    #[test]
    fn every_option_fills_a_field() {
        let schema = taskyard_client::api::schema::job_file();
        let fields = schema["properties"].as_object().unwrap();
        let table = JobArgs::augment_args(clap::Command::new("job"));
        let mut seen = 0;
        for arg in table.get_arguments() {
            let id = arg.get_id().as_str();
            let filled: Vec<&str> =
                READ_HERE.iter().find(|(option, _)| *option == id).map_or(vec![id], |r| r.1.to_vec());
            let inner = ["request_id", "fail_per_mille", "run_ms"];
            for field in filled.into_iter().filter(|field| *field != "resource") {
                assert!(fields.contains_key(field) || inner.contains(&field), "{id} fills no field");
                assert!(flag_of(field).is_some(), "{field}");
                seen += 1;
            }
        }
        assert!(seen >= 40, "{seen}");
        assert_eq!(flag_of("memory").as_deref(), Some("--mem"));
        assert_eq!(flag_of("stdin_data").as_deref(), Some("--stdin"));
        assert_eq!(flag_of("command"), None);
        assert!(is_given(&args("--env-all"), "env") && !is_given(&args("--env-all"), "cwd"));
    }
}
