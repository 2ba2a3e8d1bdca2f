//! Known-bad variants of the code. A check that passes on one of them checks nothing.
//!
//! One build, with the feature `mutants`, holds them all (`model::is_mutant`): a build for each would cost more than
//! all other checks together.

use crate::ci::count;
use crate::run::{cargo, must};
use anyhow::{Context, Result, bail, ensure};

/// What is built once for all, so that no test of one mutant builds anything again.
const BUILD: [&str; 16] = [
    "test",
    "--package",
    "taskyard-model",
    "--package",
    "taskyard-state",
    "--package",
    "taskyard-consensus",
    "--package",
    "taskyard-server",
    "--package",
    "taskyard",
    "--features",
    "taskyard-model/mutants",
    "--lib",
    "--test=state",
    "--test=blackbox",
];

/// A variant and the test that must notice it.
struct Mutant {
    /// As `TASKYARD_MUTANT` names it.
    name: &'static str,
    /// The only test that runs.
    test: &'static str,
    /// What it does wrong.
    wrong: &'static str,
    /// What the test says when it notices, so that another failure is not taken for it.
    says: &'static str,
    /// A test with chance in it may miss once.
    tries: u32,
}

const MUTANTS: [Mutant; 7] = [
    Mutant {
        name: "ack-before-fsync",
        test: "an_acknowledgement_never_precedes_the_sync",
        wrong: "acknowledges before what it acknowledges is durable",
        says: "acknowledged before they were durable",
        tries: 1,
    },
    Mutant {
        name: "ack-before-fsync",
        test: "powercut::a_power_cut_of_the_server",
        wrong: "acknowledges before what it acknowledges is durable",
        says: "panicked at crates/taskyard/tests/",
        tries: 3,
    },
    Mutant {
        name: "read-without-barrier",
        test: "a_leader_that_was_replaced_unawares_reads_nothing",
        wrong: "lets a leader that was replaced answer reads",
        says: "a read from the past",
        tries: 1,
    },
    Mutant {
        name: "no-leader-start",
        test: "a_leadership_counts_only_once_its_own_start_is_applied",
        wrong: "leads without an entry of its own, so perhaps without what was acknowledged before",
        says: "it leads before its LeaderStart is applied",
        tries: 1,
    },
    Mutant {
        name: "start-before-predecessors",
        test: "after::no_task_starts_before_its_predecessors",
        wrong: "lets tasks start before the jobs that they are to wait for have ended",
        says: "started before its predecessor ended as needed",
        tries: 1,
    },
    Mutant {
        name: "no-authorisation",
        test: "every_route_lets_through_whom_it_declares",
        wrong: "lets a role count in every namespace",
        says: "cells are not as declared",
        tries: 1,
    },
    Mutant {
        name: "forwarded-write-without-dedupe",
        test: "a_write_that_is_passed_on_and_repeated_makes_one_job",
        wrong: "makes a second job of a write that is repeated to the next leader",
        says: "a repeated write made another job",
        tries: 1,
    },
];

/// Runs each test on its variant. It must have run, and failed.
pub fn all_are_caught() -> Result<()> {
    must(cargo(&[&BUILD[..], &["--quiet", "--no-run"]].concat()))?;
    for mutant in &MUTANTS {
        let Mutant { name, test, wrong, tries, .. } = mutant;
        let caught = (0..*tries).map(|_| is_caught(mutant)).find(|r| !matches!(r, Ok(false)));
        if !caught.unwrap_or(Ok(false))? {
            bail!("{name} {wrong}, and {test} did not notice");
        }
        println!("{name} is caught by {test}");
    }
    Ok(())
}

fn is_caught(mutant: &Mutant) -> Result<bool> {
    let Mutant { name, test, says, .. } = mutant;
    let mut command = cargo(&[&BUILD[..], &["--no-fail-fast", test]].concat());
    let out = command.env("TASKYARD_MUTANT", name).output().context("cargo test")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let ran = |what| text.lines().filter_map(|line| count(line, what)).sum::<u32>();
    let (passed, failed) = (ran("passed"), ran("failed"));
    ensure!(
        passed + failed == 1,
        "{name}: {test} chose {} tests instead of one:\n{}",
        passed + failed,
        String::from_utf8_lossy(&out.stderr)
    );
    if failed > 0 && !text.contains(says) {
        bail!("{name} fails {test}, but not by saying {says:?}:\n{text}");
    }
    Ok(failed > 0)
}
