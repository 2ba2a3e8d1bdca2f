//! Known-bad variants of the code, each behind a feature of its crate. A check that passes on one of them checks nothing.

use crate::ci::count;
use crate::run::cargo;
use anyhow::{Context, Result, bail};

/// A variant and the test that must notice it.
struct Mutant {
    package: &'static str,
    feature: &'static str,
    /// Arguments of `cargo test` that choose the test.
    test: &'static [&'static str],
    /// What it does wrong.
    wrong: &'static str,
    /// What the test says when it notices, so that another failure is not taken for it.
    says: &'static str,
    /// A test with chance in it may miss once.
    tries: u32,
}

const MUTANTS: [Mutant; 7] = [
    Mutant {
        package: "taskyard-consensus",
        feature: "mutant-ack-before-fsync",
        test: &["--lib", "an_acknowledgement_never_precedes_the_sync"],
        wrong: "acknowledges before what it acknowledges is durable",
        says: "acknowledged before they were durable",
        tries: 1,
    },
    Mutant {
        package: "taskyard",
        feature: "mutant-ack-before-fsync",
        test: &["--test", "blackbox", "powercut::a_power_cut_of_the_server"],
        wrong: "acknowledges before what it acknowledges is durable",
        says: "panicked at crates/taskyard/tests/",
        tries: 3,
    },
    Mutant {
        package: "taskyard-consensus",
        feature: "mutant-read-without-barrier",
        test: &["--lib", "a_leader_that_was_replaced_unawares_reads_nothing"],
        wrong: "lets a leader that was replaced answer reads",
        says: "a read from the past",
        tries: 1,
    },
    Mutant {
        package: "taskyard-consensus",
        feature: "mutant-no-leader-start",
        test: &["--lib", "a_leadership_counts_only_once_its_own_start_is_applied"],
        wrong: "leads without an entry of its own, so perhaps without what was acknowledged before",
        says: "it leads before its LeaderStart is applied",
        tries: 1,
    },
    Mutant {
        package: "taskyard-state",
        feature: "mutant-start-before-predecessors",
        test: &["--test", "after", "no_task_starts_before_its_predecessors"],
        wrong: "lets tasks start before the jobs that they are to wait for have ended",
        says: "started before its predecessor ended as needed",
        tries: 1,
    },
    Mutant {
        package: "taskyard-server",
        feature: "mutant-no-authorisation",
        test: &["--lib", "every_route_lets_through_whom_it_declares"],
        wrong: "lets a role count in every namespace",
        says: "cells are not as declared",
        tries: 1,
    },
    Mutant {
        package: "taskyard-server",
        feature: "mutant-forwarded-write-without-dedupe",
        test: &["--lib", "a_write_that_is_passed_on_and_repeated_makes_one_job"],
        wrong: "makes a second job of a write that is repeated to the next leader",
        says: "a repeated write made another job",
        tries: 1,
    },
];

/// Runs each test on its variant. It must have run, and failed.
pub fn all_are_caught() -> Result<()> {
    for mutant in MUTANTS {
        let Mutant { package, feature, test, wrong, .. } = mutant;
        if !(0..mutant.tries)
            .map(|_| is_caught(&mutant))
            .find(|r| !matches!(r, Ok(false)))
            .unwrap_or(Ok(false))?
        {
            bail!("{package} with {feature} {wrong}, and {test:?} did not notice");
        }
        println!("{package} with {feature} is caught by {}", test.last().unwrap_or(&""));
    }
    Ok(())
}

fn is_caught(mutant: &Mutant) -> Result<bool> {
    let Mutant { package, feature, test, says, .. } = mutant;
    let mut command = cargo(&["test", "--package", package, "--features", feature]);
    let out = command.args(*test).output().context("cargo test")?;
    let text = String::from_utf8_lossy(&out.stdout);
    if !text.lines().any(|l| l.starts_with("test result:")) {
        bail!("{package} with {feature} does not build:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    let failed: u32 = text.lines().filter_map(|line| count(line, "failed")).sum();
    if failed > 0 && !text.contains(says) {
        bail!("{package} with {feature} fails {test:?}, but not by saying {says:?}:\n{text}");
    }
    Ok(failed > 0)
}
