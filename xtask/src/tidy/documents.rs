//! Rules about documents: what they point at is there.

use super::Findings;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Checks the links and the names of files in a document.
pub fn check(path: &Path, text: &str, findings: &mut Findings) {
    let folder = path.parent().unwrap_or(Path::new(""));
    for (number, line) in (1..).zip(text.lines()) {
        let at = format!("{}:{number}", path.display());
        for link in links(line).filter(|link| !folder.join(link).exists()) {
            findings.error(&at, format!("links to {link}, which is not there"));
        }
        for name in sources(line).filter(|name| !places(name).iter().any(|place| place.exists())) {
            findings.error(&at, format!("names {name}, which is not there"));
        }
    }
}

/// Each number names one decision.
pub fn one_decision_per_number(files: &[PathBuf], findings: &mut Findings) {
    let mut taken: BTreeMap<&str, &Path> = BTreeMap::new();
    for path in files.iter().filter(|path| path.starts_with("docs/adr")) {
        let number = path.file_name().and_then(|name| name.to_str()?.get(..4)).unwrap_or_default();
        if let Some(other) = taken.insert(number, path) {
            findings.error(path.display(), format!("has the number of {}", other.display()));
        }
    }
}

/// The architecture lists the commands of the log as the code has them.
pub fn commands_of_the_log(findings: &mut Findings) -> Result<()> {
    const LIST: &str = "ARCHITECTURE.md";
    const CODE: &str = "crates/state/src/command/mod.rs";
    let read = |path| fs::read_to_string(path).with_context(|| format!("tidy reads {path}"));
    let (list, code) = (read(LIST)?, read(CODE)?);
    let (listed, there) = (listed_commands(&list), variants(&code, "Command"));
    if there.is_empty() {
        findings.error(CODE, "has no enum Command that tidy can read");
    }
    for name in there.difference(&listed) {
        findings.error(LIST, format!("does not list the command {name} of {CODE}"));
    }
    for name in listed.difference(&there) {
        findings.error(LIST, format!("lists the command {name}, which {CODE} does not have"));
    }
    Ok(())
}

/// The names in the paragraph that begins with `Commands:`, up to its first full stop.
fn listed_commands(text: &str) -> BTreeSet<&str> {
    let list = text.split("\nCommands: ").nth(1).and_then(|rest| rest.split(". ").next()).unwrap_or_default();
    list.split('`').skip(1).step_by(2).collect()
}

/// The variants of an enum, by their indentation.
fn variants<'a>(code: &'a str, name: &str) -> BTreeSet<&'a str> {
    let head = format!("pub enum {name} {{\n");
    let body = code.split(&head).nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    let names = lines.filter(|line| line.starts_with(char::is_uppercase));
    names.filter_map(|line| line.split(|c: char| !c.is_alphanumeric()).next()).collect()
}

/// Targets of links to other files of the repository.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter_map(|target| target.split('#').next());
    files.filter(|target| !target.is_empty() && !target.contains("://"))
}

/// Names of source files in code spans, such as `server/src/http/mod.rs`.
fn sources(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter(|span| span.ends_with(".rs") && span.contains('/') && !span.contains([' ', '*', '{']))
}

/// Where a document may mean by a name: from the root, or from the folder of the crates.
fn places(name: &str) -> [PathBuf; 2] {
    [PathBuf::from(name), Path::new("crates").join(name)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_and_names() {
        let line = "see [a](b.md#c), [d](https://e.org) and `model/src/limits.rs`, `a b.rs`, `x.rs`";
        assert_eq!(links(line).collect::<Vec<_>>(), ["b.md"]);
        assert_eq!(sources(line).collect::<Vec<_>>(), ["model/src/limits.rs"]);
    }

    #[test]
    fn reads_commands_on_both_sides() {
        let list = "\nCommands: `A`, `B`. A rejected `C` is a reply.";
        assert_eq!(listed_commands(list), BTreeSet::from(["A", "B"]));
        let code = "pub enum Command {\n    /// X\n    #[n(0)]\n    A {\n        Q: u8,\n    },\n    B(u8),\n}\nenum Other {\n    C,\n}";
        assert_eq!(variants(code, "Command"), BTreeSet::from(["A", "B"]));
    }

    #[test]
    fn tells_two_decisions_of_one_number() {
        let files = ["docs/adr/0001-a.md", "docs/adr/0002-b.md", "docs/adr/0002-c.md"].map(PathBuf::from);
        let mut findings = Findings::default();
        one_decision_per_number(&files, &mut findings);
        assert_eq!(findings.errors, ["docs/adr/0002-c.md: has the number of docs/adr/0002-b.md"]);
    }
}
