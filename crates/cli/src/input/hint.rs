//! `submit -- ./train.py` runs a script as any other command, so nothing reads the directives in it. That is told.

use super::{Here, directives};
use taskyard_client::api::{Invalid, limits};

/// Programs whose first argument that is no option is a script.
const INTERPRETERS: [&str; 14] = [
    "sh", "bash", "dash", "ksh", "zsh", "fish", "python", "perl", "ruby", "Rscript", "julia", "node", "php",
    "lua",
];

/// What to say of a command that is a script with directives.
pub(super) fn of_command(command: &[String], here: &Here) -> Option<String> {
    let at = script(command)?;
    let path = &command[at];
    let content = (here.peek)(path).filter(|content| content.starts_with(b"#!"))?;
    let (place, mark) = directives::first(path, &content)?;
    let rest = match &command[at + 1..] {
        [] => String::new(),
        rest => format!(" -- {}", rest.join(" ")),
    };
    Some(format!(
        "{place}: this {mark} line is not read, because the script stands after --; `taskyard submit {path}{rest}` reads it"
    ))
}

/// What to say of a file that is a program and not a script: it is sent with the job. One that is too large for that is
/// refused.
pub(super) fn of_program(path: &str, content: &[u8]) -> Result<Option<String>, Invalid> {
    if !content.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    if content.len() > limits::JOB_SPEC_BYTES_MAX {
        let remedy =
            "this is a program, and too large to be sent with a job; one that the nodes have goes after --";
        return Err(Invalid::new("FILE", path, remedy));
    }
    Ok(Some(format!(
        "{path} is a program: a copy of it is sent with the job; after -- the nodes use their own"
    )))
}

/// Which word of a command may be a script.
fn script(command: &[String]) -> Option<usize> {
    let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    let first = usize::from(command.first().map(name)? == "env");
    let program = command.get(first).map(name)?;
    let interpreter = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if !INTERPRETERS.contains(&interpreter) {
        return Some(first);
    }
    let next = first + 1 + command[first + 1..].iter().position(|word| !word.starts_with('-'))?;
    // Behind -c and -m stand no scripts.
    let runs_text = command[first + 1..next].iter().any(|word| ["-c", "-m", "-e"].contains(&word.as_str()));
    (!runs_text).then_some(next)
}
