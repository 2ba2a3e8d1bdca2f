//! What the kernel takes when a program is started (Linux, 4 KiB pages): what passes it would fail on every node, so it is refused before.

use super::{ProcessCommand, SUBMIT_DIR, Stdin};
use crate::{Invalid, limits, pattern};

/// The variable that holds a task's line.
const ENTRY: &str = "TASKYARD_ENTRY";

/// Checks everything of a command, and the lines of its tasks, that becomes part of a process. Each error names the field and the value.
pub(crate) fn check(command: &ProcessCommand, entries: &[String]) -> Result<(), Invalid> {
    let arguments = if command.script.is_some() { "args" } else { "command" };
    if command.script.is_none() && command.argv.first().is_none_or(String::is_empty) {
        return Err(Invalid::new("command", "", "give a command after --, or a script"));
    }
    for (at, argument) in command.argv.iter().enumerate() {
        let what = || format!("argument {at}");
        string(arguments, argument, argument.len(), what)?;
    }
    for (name, value) in &command.env {
        variable(name, value)?;
    }
    for (at, line) in entries.iter().enumerate() {
        string("entries", line, ENTRY.len() + 1 + line.len(), || format!("line {} with {ENTRY}=", at + 1))?;
    }
    paths(command)?;
    total(command, entries)
}

fn variable(name: &str, value: &str) -> Result<(), Invalid> {
    let bad = |remedy: &str| Err(Invalid::new("env", visible(name), remedy));
    if name.is_empty() || name.contains('=') {
        return bad("a variable's name cannot be empty or contain =");
    }
    if name.contains('\0') {
        return bad("a variable's name cannot contain a NUL byte");
    }
    if name.starts_with("TASKYARD_") && name != SUBMIT_DIR {
        return bad("names that begin with TASKYARD_ are set by Taskyard");
    }
    if value.contains('\0') {
        return bad("its value contains a NUL byte, which a program cannot receive");
    }
    let bytes = name.len() + 1 + value.len();
    match bytes > limits::EXEC_STRING_BYTES_MAX {
        true => bad(&too_long(bytes, "it has, with its name,")),
        false => Ok(()),
    }
}

fn string(field: &str, text: &str, bytes: usize, what: impl Fn() -> String) -> Result<(), Invalid> {
    if text.contains('\0') {
        let remedy = format!("{} contains a NUL byte, which a program cannot receive", what());
        return Err(Invalid::new(field, visible(text), remedy));
    }
    if bytes > limits::EXEC_STRING_BYTES_MAX {
        return Err(Invalid::new(field, text, too_long(bytes, &format!("{} has", what()))));
    }
    Ok(())
}

fn too_long(bytes: usize, what: &str) -> String {
    let most = limits::EXEC_STRING_BYTES_MAX;
    format!("{what} {bytes} bytes, and the system limit is {most}; put it into a file")
}

fn paths(command: &ProcessCommand) -> Result<(), Invalid> {
    let stdin = match &command.stdin {
        Stdin::File(path) => Some(path),
        Stdin::Empty | Stdin::Bytes(_) => None,
    };
    let paths = [
        ("cwd", command.cwd.as_ref()),
        ("stdin", stdin),
        ("stdout", command.stdout.as_ref()),
        ("stderr", command.stderr.as_ref()),
    ];
    for (field, path) in paths {
        let Some(path) = path else { continue };
        if path.is_empty() {
            return Err(Invalid::new(field, "", "a path cannot be empty; leave it out for the default"));
        }
        if path.contains('\0') {
            return Err(Invalid::new(field, visible(path), "a path cannot contain a NUL byte"));
        }
        let part = path.split('/').map(str::len).max().unwrap_or(0);
        let limits =
            [(path.len(), limits::PATH_BYTES_MAX, "it"), (part, limits::PATH_PART_BYTES_MAX, "a part of it")];
        if let Some((bytes, most, what)) = limits.into_iter().find(|(bytes, most, _)| bytes > most) {
            let remedy = format!("{what} has {bytes} bytes, and the system limit is {most}");
            return Err(Invalid::new(field, path, remedy));
        }
        pattern::check(field, path)?;
        if field == "cwd" && !path.starts_with(['/', '%']) {
            return Err(Invalid::new(
                field,
                path,
                "write an absolute path: nodes share no current directory",
            ));
        }
        // Without a working directory of the user's the path begins in the task's own one, which no one else may be reached from.
        let is_own = command.cwd.is_none() && !path.starts_with('/');
        if is_own && path.split('/').any(|part| part == "..") {
            let remedy = "it leads out of the task's own directory; give an absolute path, or a cwd for it to start in";
            return Err(Invalid::new(field, path, remedy));
        }
    }
    Ok(())
}

/// All of it is on the stack of a new process.
fn total(command: &ProcessCommand, entries: &[String]) -> Result<(), Invalid> {
    let argv: usize = command.argv.iter().map(|argument| argument.len() + 1).sum();
    let env: usize = command.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let entry = entries.iter().map(|line| ENTRY.len() + line.len() + 2).max().unwrap_or(0);
    let bytes = argv + env + entry + limits::EXEC_ADDED_BYTES;
    if bytes <= limits::EXEC_BYTES_MAX {
        return Ok(());
    }
    let largest = [("command", argv), ("env", env), ("entries", entry)];
    let field = largest.into_iter().max_by_key(|(_, bytes)| *bytes).map_or("command", |(field, _)| field);
    let field = if field == "command" && command.script.is_some() { "args" } else { field };
    let remedy = format!(
        "arguments, environment and the longest line may have at most {} bytes together, of which Taskyard uses {}; put large input into a file",
        limits::EXEC_BYTES_MAX,
        limits::EXEC_ADDED_BYTES
    );
    Err(Invalid::new(field, format!("{bytes} bytes"), remedy))
}

fn visible(text: &str) -> String {
    text.replace('\0', "\\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRING: usize = limits::EXEC_STRING_BYTES_MAX;

    fn refused(change: &dyn Fn(&mut ProcessCommand, &mut Vec<String>)) -> Option<Invalid> {
        let mut command = ProcessCommand { argv: vec!["x".into()], ..ProcessCommand::default() };
        let mut entries = Vec::new();
        change(&mut command, &mut entries);
        check(&command, &entries).err()
    }

    /// Of a job's command and its entries.
    type Change<'a> = dyn Fn(&mut ProcessCommand, &mut Vec<String>) + 'a;

    #[test]
    fn each_field_is_bounded_as_exec_bounds_it() {
        let long = |n: usize| "x".repeat(n);
        let fits: [&Change<'_>; 6] = [
            &|c, _| (c.cwd, c.stdout) = (Some("/d".into()), Some("../x".into())),
            &|c, _| c.argv.push(long(STRING)),
            &|c, _| c.env.push(("A".into(), long(STRING - 2))),
            &|_, e| e.push(long(STRING - ENTRY.len() - 1)),
            &|c, _| c.stdout = Some(["x"; 1_000].join("/")),
            &|c, _| c.cwd = Some(format!("/{}", long(limits::PATH_PART_BYTES_MAX))),
        ];
        for fit in fits {
            assert_eq!(refused(fit), None);
        }
        type Case<'a> = (&'a Change<'a>, &'a str, &'a str);
        let cases: [Case<'_>; 23] = [
            (&|c, _| c.stdout = Some("../../x".into()), "stdout", "out of the task's own directory"),
            (&|c, _| c.stdin = Stdin::File("in/../../x".into()), "stdin", "out of the task's own directory"),
            (&|c, _| c.argv.clear(), "command", "give a command"),
            (&|c, _| c.argv[0].clear(), "command", "give a command"),
            (&|c, _| c.argv.push(long(STRING + 1)), "command", "argument 1 has 131072 bytes"),
            (&|c, _| c.argv.push("a\0b".into()), "command", "argument 1 contains a NUL byte"),
            (&|c, _| (c.script, c.argv) = (Some(vec![]), vec![long(STRING + 1)]), "args", "argument 0"),
            (&|c, _| c.env.push(("A".into(), long(STRING - 1))), "env", "with its name, 131072 bytes"),
            (&|c, _| c.env.push(("A".into(), "a\0".into())), "env", "its value contains a NUL"),
            (&|c, _| c.env.push(("A\0".into(), "a".into())), "env", "NUL"),
            (&|c, _| c.env.push(("A=B".into(), "a".into())), "env", "or contain ="),
            (&|c, _| c.env.push((String::new(), "a".into())), "env", "cannot be empty"),
            (&|c, _| c.env.push(("TASKYARD_JOB".into(), "a".into())), "env", "set by Taskyard"),
            (
                &|_, e| e.extend(["a".into(), long(STRING - ENTRY.len())]),
                "entries",
                "line 2 with TASKYARD_ENTRY= has",
            ),
            (&|_, e| e.push("a\0b".into()), "entries", "line 1 with TASKYARD_ENTRY= contains a NUL"),
            (&|c, _| c.cwd = Some("a\0".into()), "cwd", "NUL"),
            (&|c, _| c.cwd = Some("work".into()), "cwd", "absolute"),
            (&|c, _| c.cwd = Some(String::new()), "cwd", "cannot be empty"),
            (&|c, _| c.stdin = Stdin::File(long(256)), "stdin", "a part of it has 256 bytes"),
            (&|c, _| c.stdout = Some(["x"; 2_049].join("/")), "stdout", "it has 4097 bytes"),
            (&|c, _| c.stderr = Some("%{jobb}".into()), "stderr", "unknown pattern"),
            (&|c, _| c.argv.extend([long(STRING), long(STRING)]), "command", "together"),
            (
                &|c, e| {
                    c.env.push(("A".into(), long(100_000)));
                    e.push(long(131_000));
                    c.argv.push(long(40_000));
                },
                "entries",
                "together",
            ),
        ];
        for (at, (change, field, part)) in cases.into_iter().enumerate() {
            let invalid = refused(change).unwrap_or_else(|| panic!("case {at} is refused"));
            assert!(invalid.field == field && invalid.remedy.contains(part), "case {at}: {invalid}");
            assert!(!invalid.value.contains('\0'), "case {at}: {invalid:?}");
        }
    }
}
