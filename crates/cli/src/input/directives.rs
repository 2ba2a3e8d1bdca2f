//! `#TASKYARD --flag value` lines at the head of a script: the same options as on the command line, which go before them.

use super::words;
use crate::args::job::JobArgs;
use crate::exit::Failure;
use clap::Parser;
use taskyard_client::api::Invalid;

const MARK: &str = "#TASKYARD";

/// One line of options.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    /// File and line.
    pub(crate) place: String,
    /// What it says.
    pub(crate) args: JobArgs,
}

/// The lines of a script.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) directives: Vec<Directive>,
    pub(crate) warnings: Vec<String>,
}

#[derive(Parser, Debug)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Line {
    #[command(flatten)]
    job: JobArgs,
}

/// Reads the directives of a script. They end at its first command, as the lines of a shell script that are read before it runs.
pub(crate) fn read(path: &str, content: &[u8]) -> Result<Script, Failure> {
    let mut script = Script::default();
    let mut in_head = true;
    for (number, line) in content.split(|b| *b == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let place = format!("{path}:{}", number + 1);
        match directive(line) {
            Some(options) if in_head => {
                script.directives.push(Directive { args: parse(&place, options)?, place })
            }
            Some(_) => script
                .warnings
                .push(format!("{place}: this {MARK} line comes after the first command and is not read")),
            None => in_head &= line.is_empty() || line.starts_with('#'),
        }
    }
    Ok(script)
}

fn directive(line: &str) -> Option<&str> {
    line.strip_prefix(MARK).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
}

fn parse(place: &str, options: &str) -> Result<JobArgs, Failure> {
    let words = words::split(options)
        .map_err(|quote| Invalid::new(place, options.trim(), format!("a quote {quote} is not closed")))?;
    Line::try_parse_from(words).map(|line| line.job).map_err(|error| {
        // Clap writes a paragraph for the terminal; the first line holds the reason, a later one the tip.
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("Usage"));
        let first = lines.next().unwrap_or("bad options").trim_start_matches("error: ").to_owned();
        let tip = lines.find_map(|l| l.strip_prefix("tip: "));
        let remedy = tip.map_or_else(|| first.clone(), |tip| format!("{first}; {tip}"));
        Invalid::new(place, options.trim(), remedy).into()
    })
}
