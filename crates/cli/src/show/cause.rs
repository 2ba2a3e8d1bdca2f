//! Ends that are not the program's doing, in full: which program, directory or file was missing, and what to do about
//! it.
//!
//! The node reports the kind of a failed start and its error number; the names are those of the job.

use super::text::{errno_text, result};
use taskyard_client::api::pattern::{self, Values};
use taskyard_client::api::units::show_duration;
use taskyard_client::api::{Attempt, Blob, JobSpec, Task};

/// Error numbers of Linux that deserve words of their own.
pub(crate) const NOT_FOUND: i32 = 2;
const NOT_EXECUTABLE_FORMAT: i32 = 8;
const DENIED: i32 = 13;
pub(crate) const NOT_A_DIRECTORY: i32 = 20;

/// What was wrong and what a user can do, if that can be told better than by the program's own output.
pub(crate) fn cause(task: &Task, spec: &JobSpec) -> Option<String> {
    let last = &task.last;
    let (what, remedy) = match last.result.as_deref()? {
        "no_program" => program(spec, last),
        "no_cwd" => directory(&named(task, spec, spec.cwd.as_deref().unwrap_or("its own")), last),
        "no_file" => file(task, spec),
        "time_limit" => {
            // The limit that stopped it: the job's may have been changed since.
            let limit = last.time_limit_ms.map(|ms| format!(" of {}", show_duration(ms))).unwrap_or_default();
            let what = format!("{}: it ran longer than its --time-limit{limit}", result(last));
            (what, "set a longer limit, or none".to_owned())
        }
        _ => return None,
    };
    Some(format!("{what}; {remedy}"))
}

fn program(spec: &JobSpec, last: &Attempt) -> (String, String) {
    let errno = last.errno.unwrap_or_default();
    let Some(name) = spec.command.as_ref().and_then(|words| words.first()) else {
        return interpreter(spec, last);
    };
    match errno {
        NOT_FOUND if name.contains('/') => (
            format!("program not found: {name}"),
            "it must be on that node, as must the interpreter that its first line names; a relative path counts from --cwd"
                .to_owned(),
        ),
        NOT_FOUND => (
            format!("program not found: {name}"),
            "it is in no directory of the tasks' PATH on that node: install it there, give its full path, or pass your own PATH with --env PATH"
                .to_owned(),
        ),
        DENIED => (
            format!("program not executable: {name}"),
            format!("make it so with `chmod +x`, or name its interpreter, as in `-- sh {name}`"),
        ),
        NOT_EXECUTABLE_FORMAT => (
            format!("program not executable: {name}"),
            format!("it is no program of that node's kind and has no #! line; name its interpreter, as in `-- sh {name}`"),
        ),
        _ => (
            format!("program cannot be run: {name}{}", errno_text(last.errno)),
            "give another path, absolute or relative to --cwd".to_owned(),
        ),
    }
}

/// A script is kept with the job, so what is missing can only be what runs it.
fn interpreter(spec: &JobSpec, last: &Attempt) -> (String, String) {
    let first = match &spec.script {
        Some(Blob::Text(text)) => text.lines().next().unwrap_or_default(),
        _ => "",
    };
    let name = first.strip_prefix("#!").map(str::trim).unwrap_or("/bin/sh");
    (
        format!("interpreter of the script not found: {name}{}", errno_text(last.errno)),
        "install it on that node, or name another in the first line of the script".to_owned(),
    )
}

fn directory(path: &str, last: &Attempt) -> (String, String) {
    let what = match last.errno {
        Some(NOT_FOUND) => format!("directory not found: {path}"),
        Some(NOT_A_DIRECTORY) => format!("not a directory: {path}"),
        errno => format!("directory cannot be entered: {path}{}", errno_text(errno)),
    };
    (what, "give one that is on that node with --cwd, or --cwd none for an empty one".to_owned())
}

fn file(task: &Task, spec: &JobSpec) -> (String, String) {
    let given = [("--stdin", &spec.stdin), ("--stdout", &spec.stdout), ("--stderr", &spec.stderr)];
    let named: Vec<String> = given
        .iter()
        .filter_map(|(flag, path)| Some(format!("{} ({flag})", named(task, spec, path.as_deref()?))))
        .collect();
    let errno = task.last.errno;
    if errno == Some(NOT_FOUND)
        && let Some(missing) = missing_file(task, spec)
    {
        return missing;
    }
    if named.is_empty() {
        let what = format!("no file for its output could be made{}", errno_text(errno));
        return (
            what,
            "the data directory of that node's agent takes nothing: see the agent's log".to_owned(),
        );
    }
    let what = format!("file cannot be opened{}: {}", errno_text(errno), named.join(" or "));
    (what, "name one that its user may open on that node; a relative path counts from --cwd".to_owned())
}

/// A file for output is made, so what is missing is one to read, or a directory in the absolute path of one to write.
fn missing_file(task: &Task, spec: &JobSpec) -> Option<(String, String)> {
    let read =
        spec.stdin.as_ref().map(|path| format!("file not found: {} (--stdin)", named(task, spec, path)));
    let written =
        [("--stdout", &spec.stdout), ("--stderr", &spec.stderr)].into_iter().filter_map(|(flag, path)| {
            let path = path.as_deref().filter(|path| path.starts_with('/'))?;
            Some(format!("directory not found for {} ({flag})", named(task, spec, path)))
        });
    let what: Vec<String> = read.into_iter().chain(written).collect();
    let remedy = "name one that is on that node; a relative path counts from --cwd, and of an absolute path to write to, directories are made from its first %{…} on";
    (!what.is_empty()).then(|| (what.join(", or "), remedy.to_owned()))
}

/// A path as the attempt had it.
fn named(task: &Task, spec: &JobSpec, path: &str) -> String {
    let values = Values {
        job: task.job,
        task: task.task,
        attempt: task.attempt,
        node: task.last.node.as_deref().unwrap_or_default(),
        name: spec.name.as_deref().unwrap_or_default(),
    };
    pattern::fill(path, &values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_client::api::TaskState;

    #[test]
    fn what_is_missing_is_named() {
        let check = |outcome: &str, errno: i32, change: &dyn Fn(&mut JobSpec), want: &[&str]| {
            let mut spec = JobSpec { command: Some(vec!["prog".into()]), ..JobSpec::default() };
            change(&mut spec);
            let last = Attempt { result: Some(outcome.into()), errno: Some(errno), ..Attempt::default() };
            let state = TaskState::Failed;
            let task = Task {
                job: 4,
                task: 7,
                index: 6,
                state,
                reason: None,
                stopping: None,
                entry: None,
                attempt: 1,
                last,
                attempts: vec![],
            };
            let text = cause(&task, &spec).expect("a cause");
            assert!(want.iter().all(|part| text.contains(part)), "{want:?} in {text}");
        };
        let same = |_: &mut JobSpec| ();
        let path = |s: &mut JobSpec| s.command = Some(vec!["./prog".into(), "x".into()]);
        check("no_program", 2, &same, &["program not found: prog;", "--env PATH"]);
        check("no_program", 2, &path, &["program not found: ./prog;", "--cwd"]);
        check("no_program", 13, &path, &["program not executable: ./prog;", "chmod +x"]);
        check("no_program", 8, &path, &["not executable: ./prog;", "-- sh ./prog"]);
        check("no_program", 40, &path, &["cannot be run: ./prog (errno 40);"]);
        let script = |s: &mut JobSpec| {
            s.command = None;
            s.script = Some(Blob::Text("#! /no/such\ntrue\n".into()));
        };
        check("no_program", 2, &script, &["interpreter of the script not found: /no/such;"]);
        let cwd = |s: &mut JobSpec| s.cwd = Some("/data/%{job}-%{task}".into());
        check("no_cwd", 2, &cwd, &["directory not found: /data/4-7;", "--cwd none"]);
        check("no_cwd", 20, &cwd, &["not a directory: /data/4-7;"]);
        check("no_cwd", 13, &cwd, &["cannot be entered: /data/4-7 (permission denied);"]);
        let files = |s: &mut JobSpec| {
            s.stdin = Some("in-%{task}".into());
            s.stdout = Some("out".into());
        };
        check("no_file", 2, &files, &["file not found: in-7 (--stdin);"]);
        let typo = |s: &mut JobSpec| s.stdout = Some("/typo/%{job}.txt".into());
        check("no_file", 2, &typo, &["directory not found for /typo/4.txt (--stdout);", "%{…}"]);
        check("no_file", 13, &files, &["(permission denied): in-7 (--stdin) or out (--stdout);"]);
        check("no_file", 28, &same, &["no file for its output", "disk full", "agent"]);
    }
}
