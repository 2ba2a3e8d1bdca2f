//! The session in the README, typed as it stands there: its answers are those of the binary, but for the figures.

use crate::common::cli::{self, Done};
use crate::common::desk::Desk;
use crate::common::{SOON, binary, eventually};
use std::fs;

/// A command of the session, and the lines that it answers.
struct Typed {
    command: String,
    answer: Vec<String>,
}

/// The commands of the block under this heading.
fn session(heading: &str) -> Vec<Typed> {
    let readme = include_str!("../../../../README.md");
    let block = readme.split(heading).nth(1).and_then(|rest| rest.split("```").nth(1)).unwrap();
    let mut typed: Vec<Typed> = Vec::new();
    for line in block.lines().skip(1) {
        match (line.strip_prefix("$ "), typed.last_mut()) {
            (Some(command), _) => typed.push(Typed { command: command.to_owned(), answer: Vec::new() }),
            (None, Some(last)) => last.answer.push(line.to_owned()),
            (None, None) => panic!("{line} answers nothing"),
        }
    }
    typed
}

/// A line without its figures: `4.2s`, `1-20000` and `2839/20000` are `#`, and columns stand one space apart.
fn masked(line: &str) -> String {
    let mask = |word: &str| -> String {
        let mut out = String::new();
        let mut chars = word.chars().peekable();
        while let Some(c) = chars.next() {
            if !c.is_ascii_digit() {
                out.push(c);
                continue;
            }
            // A number goes on with its unit.
            while chars.next_if(|c| c.is_ascii_alphanumeric() || "./-".contains(*c)).is_some() {}
            out.push('#');
        }
        out
    };
    line.split_whitespace().map(mask).collect::<Vec<_>>().join(" ")
}

/// Types it in a shell, where the binary is found as `taskyard`.
fn types(desk: &Desk, command: &str) -> Done {
    let mut shell = cli::command_of("sh", &desk.home, &desk.cluster.server.url);
    let path = format!("{}:{}", binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    shell.args(["-c", command]).env("PATH", path).env("USER", "root");
    cli::run_as(shell, command, "")
}

#[test]
fn the_readme_shows_what_the_binary_answers() {
    let mut desk = Desk::new("2");
    let hold = desk.home.join("hold");
    fs::write(&hold, "").unwrap();
    // The sweep is shorter here, and goes on until it is waited for.
    let held = format!("$TASKYARD_JOB\"; while [ -e {} ]; do sleep 0.02; done'", hold.display());
    let mut examined = 0;
    for Typed { command, answer } in session("## A day with it") {
        if command.starts_with("kill -9") {
            desk.cluster.server.kill9();
            desk.cluster.server.restart();
            desk.cluster.wait_nodes(1);
            let running = || desk.state("1") == "running";
            eventually("the sweep runs", SOON, || running().then_some(()));
            continue;
        }
        if command.starts_with("taskyard wait") {
            fs::remove_file(&hold).unwrap();
        }
        let shorter = command.replace("1-20000", "1-100").replace("777", "77");
        let done = types(&desk, &shorter.replace("$TASKYARD_JOB\"'", &held)).code(0);
        let mut lines = done.stdout.lines().chain(done.stderr.lines()).map(masked);
        for line in &answer {
            let found = lines.any(|answered| answered == masked(line));
            assert!(found, "{command} does not answer {line:?} but {done:?}");
            examined += 1;
        }
    }
    assert!(examined > 10, "{examined} lines of answers");
}
