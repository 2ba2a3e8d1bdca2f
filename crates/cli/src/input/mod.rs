//! From words, scripts and job files to a job of the API. Nothing here talks to a server.

mod directives;
mod env;
mod foreign;
mod hint;
mod job_file;
pub(crate) mod many;
mod merge;
mod reading;
mod words;

use crate::args::job::{JobArgs, Target};
use crate::exit::Failure;
use crate::time;
use jiff::Zoned;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use taskyard_client::api::after::{self, PredecessorWish};
use taskyard_client::api::{Blob, Invalid, JobSpec, Need, SubmitRequest, body, json, limits, lookalike};

/// What is around the command; a value, so that tests need no process of their own.
pub(crate) struct Here {
    /// The current directory, or why there is none.
    pub(crate) cwd: Result<String, String>,
    /// The environment.
    pub(crate) env: BTreeMap<String, String>,
    /// Names of variables that cannot be passed on, because they are not UTF-8.
    pub(crate) env_unread: Vec<String>,
    /// What the clock says, in which zone.
    pub(crate) now: fn() -> Result<Zoned, Invalid>,
    /// Reads a file, or standard input for `-`.
    pub(crate) read: fn(&str) -> io::Result<Vec<u8>>,
    /// The content of a regular file that may be a script: `None` for whatever is not, or is too large for one.
    pub(crate) peek: fn(&str) -> Option<Vec<u8>>,
}

impl Here {
    /// What is around this process.
    pub(crate) fn of_process() -> Here {
        let mut env = BTreeMap::new();
        let mut env_unread = Vec::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(env.insert(name, value)),
                (Ok(name), Err(_)) => env_unread.push(name),
                (Err(name), _) => env_unread.push(name.to_string_lossy().into_owned()),
            }
        }
        Here {
            cwd: current_dir(),
            env,
            env_unread,
            now: time::now,
            read: |path| match path {
                "-" => standard_input(),
                path => bounded(std::fs::File::open(path)?),
            },
            peek: |path| {
                let most = limits::JOB_SPEC_BYTES_MAX as u64;
                let file = std::fs::metadata(path).ok().filter(|file| file.is_file() && file.len() <= most);
                file.and_then(|_| std::fs::read(path).ok())
            },
        }
    }

    fn read(&self, field: &str, path: &str) -> Result<Vec<u8>, Failure> {
        (self.read)(path)
            .map_err(|error| Invalid::new(field, path, format!("cannot be read: {error}")).into())
    }
}

fn current_dir() -> Result<String, String> {
    let dir = std::env::current_dir().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "the current directory has been removed".to_owned(),
        _ => format!("the current directory cannot be found: {error}"),
    })?;
    dir.into_os_string()
        .into_string()
        .map_err(|dir| format!("the path of the current directory is not UTF-8: {}", dir.display()))
}

/// Can be had once: a second reader would find nothing, and take that for its input.
fn standard_input() -> io::Result<Vec<u8>> {
    static READ: AtomicBool = AtomicBool::new(false);
    if READ.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("another option has read standard input; name a file here"));
    }
    bounded(io::stdin().lock())
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = limits::INPUT_FILE_BYTES_MAX;
    from.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// A job ready to be submitted, and what to say about it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) request: SubmitRequest,
    pub(crate) warnings: Vec<String>,
    /// How amounts were read that others read otherwise.
    pub(crate) notes: Vec<String>,
    /// How the newest job of the user must end before this one starts: which job that is, only the server knows.
    pub(crate) after_last: Vec<Need>,
    origin: FieldOrigin,
}

impl Built {
    /// Where in which file the job is, if it is in one.
    pub(crate) fn place(&self) -> Option<&str> {
        self.origin.file.as_deref()
    }

    /// Names the field of a complaint as the user wrote it.
    pub(crate) fn located(&self, invalid: Invalid) -> Invalid {
        self.origin.locate(invalid)
    }
}

/// Where each option came from, nearest first.
#[derive(Debug, Default)]
struct FieldOrigin {
    line: JobArgs,
    directives: Vec<directives::Directive>,
    file: Option<String>,
    /// The script; complaints about its content are about its first line.
    script: Option<String>,
}

impl FieldOrigin {
    /// Names a field of the file, whatever the options say.
    fn in_file(&self, invalid: Invalid) -> Invalid {
        let field = self
            .file
            .as_ref()
            .map_or_else(|| invalid.field.clone(), |file| format!("{file}: {}", invalid.field));
        invalid.in_field(field)
    }

    fn locate(&self, invalid: Invalid) -> Invalid {
        let field = invalid.field.clone();
        if let Some(script) = self.script.as_ref().filter(|_| field == "script") {
            return invalid.in_field(format!("{script}:1"));
        }
        let flag = merge::flag_of(&field);
        if let Some(flag) = flag.clone().filter(|_| merge::is_given(&self.line, &field)) {
            return invalid.in_field(flag);
        }
        let directive = self.directives.iter().rev().find(|d| merge::is_given(&d.args, &field));
        match (directive, &self.file) {
            (Some(d), _) => invalid.in_field(format!("{}: {}", d.place, flag.unwrap_or(field))),
            (None, Some(file)) => invalid.in_field(format!("{file}: {field}")),
            (None, None) => invalid,
        }
    }
}

/// Builds the job of a command line.
pub(crate) fn build(target: &Target, line: &JobArgs, here: &Here) -> Result<Built, Failure> {
    let mut origin = FieldOrigin { line: line.clone(), ..FieldOrigin::default() };
    let mut warnings = Vec::new();
    env::check_once(std::iter::once(line)).map_err(|(_, invalid)| origin.locate(invalid))?;
    let mut args = line.clone();
    let base = match target.words.split_first() {
        None => {
            warnings.extend(hint::of_command(&target.command, here));
            of_command(target, line)?
        }
        Some((path, rest)) => {
            let content = read_target(path, target, here)?;
            match kind(path, &content) {
                SourceKind::Script => {
                    let script = directives::read(path, &content)?;
                    warnings.extend(script.warnings);
                    for directive in script.directives.iter().rev() {
                        args = merge::over(&args, &directive.args);
                    }
                    origin.directives = script.directives;
                    origin.script = Some(path.clone());
                    warnings.extend(hint::of_program(path, &content)?);
                    of_script(path, content, rest, target)
                }
                syntax => {
                    origin.file = Some(path.clone());
                    of_file(path, &content, &syntax, target)?
                }
            }
        }
    };
    if args.env_all && !here.env_unread.is_empty() {
        let names = here.env_unread.join(", ");
        warnings.push(format!("--env-all: not UTF-8, so the tasks do not get: {names}"));
    }
    let built = finish(&args, base, here, origin)?;
    warnings.extend(passed(&built, here)?);
    Ok(Built { warnings, ..built })
}

/// A begin that has passed is no mistake in a job file that is used again, but a slip in most others.
fn passed(built: &Built, here: &Here) -> Result<Option<String>, Invalid> {
    let Some(begin) = &built.request.spec.begin else { return Ok(None) };
    let has_passed = time::has_passed(begin, &(here.now)()?) == Some(true);
    let warning =
        || built.located(Invalid::new("begin", begin, "this has passed, so the job may start at once"));
    Ok(has_passed.then(|| warning().to_string()))
}

/// Lays the options over the base and checks everything that needs no server.
fn finish(args: &JobArgs, base: JobSpec, here: &Here, origin: FieldOrigin) -> Result<Built, Failure> {
    let in_file = origin.file.is_some();
    let mut spec = merge::apply(args, base, here, in_file).map_err(|f| match f {
        Failure::Invalid(invalid) => Failure::Invalid(origin.locate(invalid)),
        other => other,
    })?;
    let after_last = predecessors(&mut spec).map_err(|invalid| origin.locate(invalid))?;
    spec.check().map_err(|invalid| origin.locate(invalid))?;
    let request = SubmitRequest { spec, request_id: args.request_id.clone() };
    request.check_request_id().map_err(|invalid| origin.locate(invalid))?;
    let notes = reading::of(&request.spec).into_iter().map(|note| origin.locate(note).to_string()).collect();
    Ok(Built { request, warnings: Vec::new(), notes, after_last, origin })
}

/// Turns lists of predecessors into what the API takes, but for those that only the server can name.
fn predecessors(spec: &mut JobSpec) -> Result<Vec<Need>, Invalid> {
    let mut after_last = Vec::new();
    let mut after = Vec::new();
    for text in &spec.after {
        for wish in after::parse_list("after", text)? {
            match wish {
                PredecessorWish::Job(job) => after.push(job.to_string()),
                PredecessorWish::Last(need) => after_last.push(need),
            }
        }
    }
    spec.after = after;
    Ok(after_last)
}

fn of_command(target: &Target, line: &JobArgs) -> Result<JobSpec, Failure> {
    if target.command.is_empty() && line.driver.is_none() {
        let remedy = "give a command after --, as in `-- sleep 10`, or the path of a script or a job file";
        return Err(Invalid::new("CMD", "", remedy).into());
    }
    let command = (!target.command.is_empty()).then(|| target.command.clone());
    Ok(JobSpec { command, ..JobSpec::default() })
}

fn read_target(path: &str, target: &Target, here: &Here) -> Result<Vec<u8>, Failure> {
    (here.read)(path).map_err(|error| {
        let all: Vec<&str> = target.words.iter().chain(&target.command).map(String::as_str).collect();
        let remedy = match error.kind() {
            io::ErrorKind::NotFound if lookalike::find(path).is_some() => {
                let found = lookalike::find(path).map(|found| found.to_string()).unwrap_or_default();
                format!("no such script or job file here: {found}")
            }
            io::ErrorKind::NotFound => {
                format!(
                    "no such script or job file here; a command goes after --, as in `-- {}`",
                    all.join(" ")
                )
            }
            _ => format!("cannot be read: {error}"),
        };
        Invalid::new("FILE", path, remedy).into()
    })
}

enum SourceKind {
    Script,
    Toml,
    Json,
}

/// What a file is: by its name, or by its first bytes where the name does not tell.
fn kind(path: &str, content: &[u8]) -> SourceKind {
    let content = json::without_mark(content);
    let first = content.trim_ascii_start().first();
    match path.rsplit_once('.').map(|(_, ext)| ext) {
        Some("toml") => SourceKind::Toml,
        Some("json") => SourceKind::Json,
        _ if path != "-" || content.starts_with(b"#!") => SourceKind::Script,
        _ if first == Some(&b'{') => SourceKind::Json,
        _ => SourceKind::Toml,
    }
}

fn of_script(path: &str, content: Vec<u8>, rest: &[String], target: &Target) -> JobSpec {
    let name = if path == "-" { "stdin" } else { path };
    JobSpec {
        name: Some(taskyard_client::api::convert::name_of(name)),
        script: Some(Blob::from_bytes(&content)),
        args: rest.iter().chain(&target.command).cloned().collect(),
        ..JobSpec::default()
    }
}

fn of_file(path: &str, content: &[u8], syntax: &SourceKind, target: &Target) -> Result<JobSpec, Failure> {
    if target.words.len() > 1 || !target.command.is_empty() {
        let remedy = "a job file holds the whole command; arguments go into it";
        let extra = target.words.iter().skip(1).chain(&target.command).cloned().collect::<Vec<_>>();
        return Err(Invalid::new("CMD", extra.join(" "), remedy).into());
    }
    let name = if path == "-" { "standard input" } else { path };
    let value = match syntax {
        SourceKind::Json => job_file::json(name, content)?,
        _ => job_file::toml(name, content)?,
    };
    body::from_value(value).map_err(|e| {
        let field = format!("{name}: {}", e.field);
        e.in_field(field).into()
    })
}

#[cfg(test)]
mod tests;
