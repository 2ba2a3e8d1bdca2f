//! Known-bad variants of the code, each behind a feature of its crate. A check that passes on one of them checks nothing.

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
}

const MUTANTS: [Mutant; 1] = [Mutant {
    package: "taskyard-consensus",
    feature: "mutant-ack-before-fsync",
    test: &["--lib", "lost_power"],
    wrong: "acknowledges before what it acknowledges is durable",
}];

/// Runs each test on its variant. It must have run, and failed.
pub fn all_are_caught() -> Result<()> {
    for Mutant { package, feature, test, wrong } in MUTANTS {
        let mut command = cargo(&["test", "--package", package, "--features", feature]);
        let out = command.args(test).output().context("cargo test")?;
        let text = String::from_utf8_lossy(&out.stdout);
        let failed: u32 = text.lines().filter_map(failures).sum();
        if !text.lines().any(|l| l.starts_with("test result:")) {
            bail!("{package} with {feature} does not build:\n{}", String::from_utf8_lossy(&out.stderr));
        }
        if failed == 0 {
            bail!("{package} with {feature} {wrong}, and {test:?} did not notice");
        }
        println!("{package} {feature}: caught by {failed} of {test:?}");
    }
    Ok(())
}

/// The number of failed tests of a closing line.
fn failures(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("test result:")?;
    rest.split(';').find_map(|part| part.trim().strip_suffix(" failed"))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::failures;

    #[test]
    fn reads_closing_lines() {
        assert_eq!(failures("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured"), Some(2));
        assert_eq!(failures("test result: ok. 3 passed; 0 failed; 0 ignored"), Some(0));
        assert_eq!(failures("running 3 tests"), None);
    }
}
