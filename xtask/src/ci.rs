//! All that must hold before a change lands.

use crate::run::{cargo, must, step};
use crate::{mutants, openapi, tidy};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The fast checks first; the tests last, so that their closing lines end the log. All are run, whatever fails: one
/// run tells everything.
pub fn ci() -> Result<()> {
    let clippy =
        || must(cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]));
    let steps: [(&str, &dyn Fn() -> Result<()>); 8] = [
        ("format", &|| must(cargo(&["fmt", "--all", "--check"]))),
        ("tidy", &tidy::tidy),
        ("licences", &licences),
        ("clippy", &clippy),
        ("openapi", &openapi::is_current),
        ("mutants", &mutants::all_are_caught),
        ("published", &published),
        ("tests", &|| tests(&[])),
    ];
    let failed = |(name, act): &(&str, &dyn Fn() -> Result<()>)| {
        step(name, act).err().inspect(|error| println!("{error:#}")).map(|_| name.to_string())
    };
    let failed: Vec<String> = steps.iter().filter_map(failed).collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Holds the simulator against published results, optimised: without, most rows are left out because they would take
/// minutes.
fn published() -> Result<()> {
    // The traces may not be redistributed, so most machines have none, and an optimised build for nothing takes
    // minutes.
    let traces = std::env::var_os("TASKYARD_TRACES").map_or_else(|| "../shared/traces".into(), PathBuf::from);
    if !traces.is_dir() {
        println!(
            "SKIPPED: no traces in {}; crates/sim/tests/published.rs names those it wants",
            traces.display()
        );
        return Ok(());
    }
    let test = ["test", "--quiet", "--release", "-p", "taskyard-sim", "--test", "published"];
    let mut command = cargo(&test);
    command.env("TASKYARD_TRACES", traces.canonicalize()?).args(["--", "--nocapture"]);
    let ran = command.stderr(Stdio::inherit()).output().context("cargo test")?;
    let out = String::from_utf8_lossy(&ran.stdout);
    print!("{out}");
    ensure!(ran.status.success(), "cargo test: {}", ran.status);
    let skipped: Vec<&str> = out.lines().filter(|line| line.starts_with("SKIPPED")).collect();
    ensure!(skipped.is_empty(), "{} rows were not examined, as {}", skipped.len(), skipped[0]);
    Ok(())
}

/// All tests in their long version, with fresh seeds: those of properties from here, the others print theirs.
pub fn long() -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    println!("repeat properties with PROPTEST_RNG_SEED={seed}");
    tests(&[("TASKYARD_FULL", "1"), ("PROPTEST_RNG_SEED", &seed.to_string())])
}

/// Runs all tests with these variables, and closes with one line that sums up what the test binaries say each for
/// itself.
fn tests(env: &[(&str, &str)]) -> Result<()> {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast"]);
    let mut child = command.envs(env.iter().copied()).stdout(Stdio::piped()).spawn().context("cargo test")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(child.stdout.take().context("piped")?).split(b'\n') {
        // Not all that tests print is UTF-8.
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        passed += count(&line, "passed").unwrap_or(0);
        failed += count(&line, "failed").unwrap_or(0);
    }
    let status = child.wait()?;
    println!("{passed} passed, {failed} failed");
    ensure!(status.success() && failed == 0 && passed > 0, "cargo test: {status}");
    Ok(())
}

/// A number of the closing line of a test binary.
pub fn count(line: &str, what: &str) -> Option<u32> {
    let rest = line.strip_prefix("test result:")?;
    let words: Vec<&str> = rest.split([' ', ';', '.']).collect();
    let at = words.iter().position(|word| *word == what)?;
    words.get(at.checked_sub(1)?)?.parse().ok()
}

/// Writes what can be written.
pub fn fix() -> Result<()> {
    step("format", || must(cargo(&["fmt", "--all"])))?;
    step("openapi", openapi::write)
}

/// `cargo deny` where it is installed. Our own list is checked by `tidy` in any case, since building that tool takes
/// many minutes. Advisories need the network and change without a change of ours, so they are looked at apart.
fn licences() -> Result<()> {
    let deny =
        Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if deny.is_ok_and(|status| status.success()) {
        // Not offline: it wants the crates of every platform, of which a build fetches only those of its own.
        return must(cargo(&["deny", "--locked", "check", "licenses", "bans", "sources"]));
    }
    println!("cargo-deny is not installed; tidy has checked the licences");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn reads_closing_lines() {
        let line = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (Some(3), Some(2)));
        assert_eq!(count("test result: ok. 3 passed; 0 failed; 0 ignored", "failed"), Some(0));
        assert_eq!(count("running 3 tests", "passed"), None);
    }
}
