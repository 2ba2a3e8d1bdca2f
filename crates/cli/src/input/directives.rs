//! `#TASKYARD --flag value` lines at the head of a script: the same options as on the command line, which go before
//! them.
//!
//! A line that looks like a directive and is not read is always told of: it is misspelt, stands too late, or is
//! another scheduler's.

use super::{env, foreign, merge, words};
use crate::args::job::JobArgs;
use crate::exit::Failure;
use clap::Parser;
use taskyard_client::api::{Invalid, json, lookalike, script};

const MARK: &str = "#TASKYARD";
/// Lines of one script that are told of one by one.
const TOLD_MAX: usize = 20;
/// Letters by which a word may differ from the mark and be meant as it.
const MISSPELT_MAX: usize = 2;

/// What begins a comment in the languages of scripts.
const COMMENTS: [&str; 6] = ["#", "//", "--", ";", "%", "REM "];
/// Options without their dashes.
const SETTINGS: [&str; 8] = ["cpus", "mem", "gpus", "name", "queue", "array", "env", "time"];

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
struct DirectiveLine {
    #[command(flatten)]
    job: JobArgs,
}

/// What a line of a script is.
#[derive(Debug, PartialEq, Eq)]
enum Mark<'a> {
    /// A directive.
    Ours(&'a str),
    /// Meant as one.
    Misspelt(&'a str),
    /// Another scheduler's: its mark, and what the line is here.
    Foreign(String, String),
    /// A comment, or nothing.
    Comment,
    /// A command.
    Command,
}

/// Reads the directives of a script. They end at its first command, as the lines of a shell script that are read
/// before it runs.
pub(crate) fn read(path: &str, content: &[u8]) -> Result<Script, Failure> {
    let mut script = Script::default();
    let mut unread = Vec::new();
    let mut in_head = true;
    let mut read = Vec::new();
    for (place, line) in lines(path, content) {
        let line = line.trim();
        match mark(line) {
            Mark::Ours(options) if in_head => {
                let line = DirectiveOptions::split(place, options)?;
                script
                    .directives
                    .push(Directive { args: line.parse(&line.words)?, place: line.place.clone() });
                read.push(line);
            }
            Mark::Ours(_) => unread
                .push(format!("{place}: this {MARK} line comes after the first command and is not read")),
            Mark::Misspelt(options) if line.contains('#') => {
                unread.push(format!("{place}: this line is not read; write {MARK} {options}"))
            }
            // In a language with other comments, that mark would be no comment.
            Mark::Misspelt(options) => unread.push(format!(
                "{place}: this line is not read, because directives begin with {MARK}; give {options} to the command"
            )),
            Mark::Foreign(mark, here) => {
                unread.push(format!("{place}: this {mark} line is not read; {here}"))
            }
            Mark::Comment => {}
            Mark::Command => in_head = false,
        }
    }
    go_together(&read)?;
    env::check_once(script.directives.iter().map(|line| &line.args)).map_err(|(nth, invalid)| {
        let flag = merge::flag_of(&invalid.field).unwrap_or_default();
        invalid.in_field(format!("{}: {flag}", script.directives[nth].place))
    })?;
    let more = unread.len().saturating_sub(TOLD_MAX);
    unread.truncate(TOLD_MAX);
    script.warnings = unread;
    script.warnings.extend((more > 0).then(|| format!("{path}: {more} more such lines are not read")));
    script.warnings.extend(script::carriage_return(content).map(|line| {
        format!("{path}:{line}: the line ends with a carriage return (a Windows line ending), which the shell reads as part of the last word")
    }));
    Ok(script)
}

/// The first line that `submit FILE` would read as a directive, or tell of as one: its place and mark.
pub(crate) fn first(path: &str, content: &[u8]) -> Option<(String, String)> {
    lines(path, content).find_map(|(place, line)| match mark(line.trim()) {
        Mark::Ours(_) | Mark::Misspelt(_) => Some((place, MARK.to_owned())),
        Mark::Foreign(mark, _) => Some((place, mark)),
        Mark::Comment | Mark::Command => None,
    })
}

/// The lines of a text with their places; a program in machine code has none.
fn lines<'a>(
    path: &'a str,
    content: &'a [u8],
) -> impl Iterator<Item = (String, std::borrow::Cow<'a, str>)> + 'a {
    let content = json::without_mark(content);
    let content = if content.starts_with(b"\x7fELF") { &content[..0] } else { content };
    let numbered = content.split(|b| *b == b'\n').enumerate();
    numbered.map(move |(index, line)| (format!("{path}:{}", index + 1), String::from_utf8_lossy(line)))
}

fn mark(line: &str) -> Mark<'_> {
    if let Some(rest) = line.strip_prefix(MARK)
        && (rest.is_empty() || rest.starts_with([' ', '\t']))
    {
        return Mark::Ours(rest);
    }
    if let Some(options) = misspelt(line) {
        return Mark::Misspelt(options);
    }
    if let Some((mark, here)) = foreign::translated(line) {
        return Mark::Foreign(mark, here);
    }
    if line.is_empty() || line.starts_with('#') { Mark::Comment } else { Mark::Command }
}

/// The options behind something like the mark: `# TASKYARD`, `#taskyard`, `#TASKYRAD:`, as a comment of another
/// language, or with an invisible character in between.
fn misspelt(line: &str) -> Option<&str> {
    let strange = |c: char| lookalike::find(c.encode_utf8(&mut [0; 4])).is_some();
    let line = line.trim_start_matches(strange);
    let rest = COMMENTS.iter().find_map(|mark| line.strip_prefix(mark))?;
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || strange(c));
    let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (word, options) = rest.split_at(end);
    let options = options.trim_start_matches(|c: char| matches!(c, ':' | '=') || c.is_whitespace());
    // A dash, or what a word processor makes of two.
    let is_option = options.trim_start_matches(|c: char| strange(c) && !"–—―".contains(c));
    let near = strsim::osa_distance(&word.to_uppercase(), &MARK[1..]) <= MISSPELT_MAX;
    let is_option = is_option.starts_with(['-', '–', '—', '―']);
    // In prose the name is not in capitals, and something else than a setting follows it.
    let is_setting = word == &MARK[1..] && SETTINGS.iter().any(|name| options.starts_with(name));
    (near && (is_option || is_setting)).then_some(options)
}

/// The options of one line.
struct DirectiveOptions {
    place: String,
    options: String,
    words: Vec<String>,
}

impl DirectiveOptions {
    fn split(place: String, options: &str) -> Result<DirectiveOptions, Failure> {
        let options = options.trim().to_owned();
        let words = words::split(&options).map_err(|why| Invalid::new(&place, &options, why))?;
        Ok(DirectiveOptions { place, options, words })
    }

    /// Reads options; what is wrong with them is this line's fault.
    fn parse(&self, words: &[String]) -> Result<JobArgs, Failure> {
        DirectiveLine::try_parse_from(words).map(|line| line.job).map_err(|error| {
            // Clap writes a paragraph for the terminal; the first line holds the reason, a later one the tip.
            let text = error.to_string();
            let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("Usage"));
            let first = lines.next().unwrap_or("bad options").trim_start_matches("error: ").to_owned();
            let tip = lines.find_map(|l| l.strip_prefix("tip: "));
            let remedy = tip.map_or_else(|| first.clone(), |tip| format!("{first}; {tip}"));
            Invalid::new(&self.place, &self.options, remedy).into()
        })
    }
}

/// All lines are one command line: an option that may be given once there is not silently replaced by a later line.
fn go_together(lines: &[DirectiveOptions]) -> Result<(), Failure> {
    let up_to = |count: usize| -> Vec<String> {
        lines[..count].iter().flat_map(|line| line.words.iter().cloned()).collect()
    };
    if DirectiveLine::try_parse_from(up_to(lines.len())).is_ok() {
        return Ok(());
    }
    // More lines never mend what fewer have broken, so the first that does not go with those before it is found by
    // halves.
    let counts: Vec<usize> = (1..=lines.len()).collect();
    let good = counts.partition_point(|&count| DirectiveLine::try_parse_from(up_to(count)).is_ok());
    lines[good].parse(&up_to(good + 1)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks() {
        for line in [
            "# TASKYARD --cpus 3",
            "#Taskyard --cpus 3",
            "#TASKYRAD --cpus 3",
            "#TASKYARDS: --cpus 3",
            "#TASKYARD--cpus 3",
            "#TASKYARD: --cpus 3",
            "#\u{200b}TASKYARD --cpus 3",
            "//TASKYARD --cpus 3",
            "// TASKYARD: --cpus 3",
            "--TASKYARD --cpus 3",
            ";TASKYARD --cpus 3",
            "\u{feff}#TASKYARD --cpus 3",
        ] {
            assert_eq!(mark(line), Mark::Misspelt("--cpus 3"), "{line}");
        }
        assert_eq!(mark("# TASKYARD –cpus 3"), Mark::Misspelt("–cpus 3"));
        assert_eq!(mark("#TASKYARD --cpus 3"), Mark::Ours(" --cpus 3"));
        assert_eq!(mark("# TASKYARD cpus=3"), Mark::Misspelt("cpus=3"));
        for line in [
            "# TASKYARD runs this",
            "# Taskyard names it",
            "# Taskyard runs this",
            "##TASKYARD --cpus 3",
            "#",
            "",
            "# TASK --x",
            "#!/bin/sh -e",
        ] {
            assert_eq!(mark(line), Mark::Comment, "{line}");
        }
        for line in ["TASKYARD --cpus 3", "// comment", "echo //TASKYARD --cpus 3"] {
            assert_eq!(mark(line), Mark::Command, "{line}");
        }
    }

    #[test]
    fn a_variable_or_a_resource_is_named_once() {
        let told = |text: &str| read("s.sh", text.as_bytes()).unwrap_err().to_string();
        let env = told("#TASKYARD --env A=1\n#TASKYARD --env B=1 --env A=2\n");
        assert_eq!(env, "s.sh:2: --env: \"A=2\": A is given twice, as A=1 and as A=2; leave one of them out");
        let resource = told("#TASKYARD --resource a=1 --resource a=1\n");
        assert!(resource.starts_with("s.sh:1: --resource: "), "{resource}");
    }

    #[test]
    fn an_option_that_may_be_given_once_stands_in_one_line() {
        let read = |text: &str| read("s.sh", text.as_bytes()).map(|script| script.directives.len());
        assert_eq!(read("#TASKYARD --env A=1\n#TASKYARD --env B=2\n#TASKYARD --cpus 1\n").unwrap(), 3);
        let twice =
            format!("{}#TASKYARD --cpus 1\n#TASKYARD --hold --cpus 2\n", "#TASKYARD --env A=1\n".repeat(100));
        let told = read(&twice).unwrap_err().to_string();
        assert!(told.contains("s.sh:102") && told.contains("--cpus"), "{told}");
        assert!(told.contains("multiple times"), "{told}");
    }

    #[test]
    fn what_is_not_read_is_told_of_and_bounded() {
        let text = "#!/bin/sh\n#SBATCH -c 4\n# TASKYARD --cpus 3\ntrue\n#TASKYARD --hold\n#PBS -N x\n";
        let script = read("s.sh", text.as_bytes()).unwrap();
        assert_eq!(
            script.warnings,
            [
                "s.sh:2: this #SBATCH line is not read; write #TASKYARD --cpus 4",
                "s.sh:3: this line is not read; write #TASKYARD --cpus 3",
                "s.sh:5: this #TASKYARD line comes after the first command and is not read",
                "s.sh:6: this #PBS line is not read; write #TASKYARD --name x",
            ]
        );
        let many = format!("#!/bin/sh\n{}", "#SBATCH -c 4\n".repeat(1_000));
        let script = read("s.sh", many.as_bytes()).unwrap();
        assert_eq!(script.warnings.len(), TOLD_MAX + 1);
        assert_eq!(script.warnings[TOLD_MAX], "s.sh: 980 more such lines are not read");
        let mixed = read("s.sh", b"#!/bin/sh\ntrue\r\n").unwrap();
        assert!(mixed.warnings[0].starts_with("s.sh:2: the line ends with a carriage return"));
        assert!(read("a.out", b"\x7fELF\n#SBATCH -c 4\n").unwrap().warnings.is_empty());
    }
}
