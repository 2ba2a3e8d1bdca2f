//! `man`: manual pages, made from the help texts.

use crate::exit::{self, Failure, STANDARD_OUTPUT};
use crate::host::Host;
use clap_mangen::Man;
use std::io::{self, Write};
use std::path::Path;
use taskyard_client::api::Invalid;

/// What holds for all commands: sections of the first page.
const OF_ALL: &str = "\
.SH EXIT STATUS
.IP 0
Success.
.IP 1
A task failed, was cancelled or skipped; a backup is damaged; the job would wait (plan).
.IP 2
The command line, a file or the request is wrong; nothing happened.
.IP 3
No server answered, or the result is unknown.
.IP 4
Not found, or no longer kept.
.IP 5
Not allowed.
.IP 6
A wait timed out.
.IP 7
The server is overloaded; nothing happened.
.IP 125
run: Taskyard failed. Otherwise run exits like the task: its exit code, or 128 plus the signal.
.SH ENVIRONMENT
.IP TASKYARD_SERVER
Servers to ask, as for \\-\\-server.
.IP TASKYARD_NAMESPACE
Namespace for commands without --namespace.
.IP \"TASKYARD_TOKEN, TASKYARD_TOKEN_FILE\"
The token to use, or a file that contains it.
.IP TASKYARD_CA
Certificate of the authority that signs the servers' certificates.
.IP NO_COLOR
No colours.
.SH FILES
.IP ~/.config/taskyard/config.toml
Default servers and namespace.
.IP ~/.config/taskyard/tokens.toml
Tokens saved by login.
";

pub(crate) fn man(words: &[String], dir: Option<&Path>, host: &dyn Host) -> Result<u8, Failure> {
    let mut app = host.app();
    // Gives each command its full name and the options of all.
    app.build();
    match dir {
        Some(dir) => write_all(&app, dir)?,
        None => {
            let text = page(find(&app, words)?).map_err(Failure::io("manual page"))?;
            io::stdout().lock().write_all(&text).map_err(Failure::io(STANDARD_OUTPUT))?;
        }
    }
    Ok(exit::OK)
}

fn find<'a>(app: &'a clap::Command, words: &[String]) -> Result<&'a clap::Command, Failure> {
    let mut command = app;
    for word in words {
        command = visible(command).find(|sub| sub.get_name() == word).ok_or_else(|| {
            let known: Vec<&str> = visible(command).map(clap::Command::get_name).collect();
            let remedy = match known.len() {
                0 => format!("{} has no commands of its own", name(command)),
                _ => format!("there is no such command; there are {}", known.join(", ")),
            };
            Failure::from(Invalid::new("COMMAND", word, remedy))
        })?;
    }
    Ok(command)
}

fn visible(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// `taskyard-queue-set`.
fn name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn write_all(command: &clap::Command, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(format!("{}.1", name(command)));
    let told = || path.display().to_string();
    std::fs::create_dir_all(dir).map_err(Failure::io(dir.display().to_string()))?;
    std::fs::write(&path, page(command).map_err(Failure::io(told()))?).map_err(Failure::io(told()))?;
    visible(command).try_for_each(|sub| write_all(sub, dir))
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    // What stands after the options goes into a section of its own, line by line as it is.
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().after_help("")).source("Taskyard").manual("Taskyard commands");
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        man.render_options_section(&mut out)?;
    }
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut out)?;
    }
    if !after.is_empty() {
        writeln!(out, ".SH EXAMPLES\n.nf")?;
        let lines = after.lines().filter(|line| *line != "Examples:");
        lines.map(literal).try_for_each(|line| writeln!(out, "{line}"))?;
        writeln!(out, ".fi")?;
    }
    if command.get_name() == "taskyard" {
        out.extend_from_slice(OF_ALL.as_bytes());
    } else {
        writeln!(out, ".SH SEE ALSO\n.BR taskyard (1)")?;
    }
    Ok(out)
}

/// A line that roff prints as it is.
fn literal(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_every_option_and_the_examples_as_they_are() {
        let mut app = crate::app();
        app.build();
        let text = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            String::from_utf8(page(find(&app, &words).expect("there")).expect("written")).expect("text")
        };
        let submit = text(&["submit"]);
        assert!(submit.contains(".TH taskyard-submit 1"), "{submit}");
        assert!(
            submit.contains(" Taskyard \"Taskyard commands\"\n"),
            "without a version there is a space too much"
        );
        for option in ["after", "begin", "each\\-line", "server"] {
            assert!(submit.contains(&format!("\\-\\-{option}")), "{option}: {submit}");
        }
        assert!(submit.contains(".nf\n  taskyard submit \\-\\- python3 train.py\n"), "{submit}");
        assert!(text(&["queue", "set"]).contains("taskyard\\-queue\\-set"));
        assert!(text(&[]).contains("taskyard\\-explain") && text(&[]).contains(".SH EXIT STATUS"));
        assert!(submit.contains(".SH SEE ALSO"));
        let unknown = find(&app, &["sbmit".into()]).expect_err("refused").to_string();
        assert!(unknown.contains("submit"), "{unknown}");
        assert_eq!(literal(".x \\- '"), "\\&.x \\e\\- '");
    }
}
