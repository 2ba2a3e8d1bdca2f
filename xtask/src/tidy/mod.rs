//! The house rules that neither compiler nor clippy checks. Each finding names file and line; none may be silenced
//! but in [`allow`].

mod allow;
mod documents;
mod edges;
mod figures;
mod functions;
mod glossary;
mod licences;
mod modules;
mod prose;
mod shape;
mod sources;
mod tokens;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was found.
#[derive(Default)]
pub struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.errors.push(format!("{place}: {what}"));
    }

    fn warning(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        self.warnings.push(format!("{place}: {what}"));
    }
}

/// Runs all checks and prints what they found.
pub fn tidy() -> Result<()> {
    let mut findings = Findings::default();
    let files = files()?;
    for path in &files {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        sources::check(path, &text, &mut findings);
        prose::check(path, &text, &mut findings);
        if path.extension().is_some_and(|e| e == "rs") {
            functions::check(path, &text, &mut findings);
            shape::check(path, &text, &mut findings);
        }
        if path.extension().is_some_and(|e| e == "md") {
            documents::check(path, &text, &mut findings);
        }
    }
    documents::one_decision_per_number(&files, &mut findings);
    documents::commands_of_the_log(&mut findings)?;
    figures::check(&mut findings)?;
    glossary::check(&files, &mut findings)?;
    edges::check(&mut findings)?;
    modules::check(&mut findings)?;
    licences::check(&mut findings)?;
    for warning in &findings.warnings {
        println!("warning: {warning}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    if !findings.errors.is_empty() {
        bail!("{} findings", findings.errors.len());
    }
    println!("{} files are tidy", files.len());
    Ok(())
}

/// Files that are, or would be, checked in.
fn files() -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = crate::run::output(git).context("tidy asks git which files there are")?;
    let files = listed.lines().map(PathBuf::from).filter(|p| Path::is_file(p));
    Ok(files.collect())
}
