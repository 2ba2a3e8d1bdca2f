//! All that must hold before a change lands.

use crate::run::{cargo, must, step};
use crate::{mutants, openapi, tidy};
use anyhow::Result;
use std::process::{Command, Stdio};

/// The fast checks first; the tests last, so that their closing lines end the log.
pub fn ci() -> Result<()> {
    step("format", || must(cargo(&["fmt", "--all", "--check"])))?;
    step("tidy", tidy::tidy)?;
    step("licences", licences)?;
    step("clippy", || {
        must(cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
    })?;
    step("openapi", openapi::is_current)?;
    step("mutants", mutants::all_are_caught)?;
    step("tests", || must(cargo(&["test", "--workspace", "--no-fail-fast"])))
}

/// Writes what can be written.
pub fn fix() -> Result<()> {
    step("format", || must(cargo(&["fmt", "--all"])))?;
    step("openapi", openapi::write)
}

/// `cargo deny` where it is installed. Our own list is checked by `tidy` in any case, since building that tool takes many minutes.
/// Advisories need the network and change without a change of ours, so they are looked at apart.
fn licences() -> Result<()> {
    let deny =
        Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if deny.is_ok_and(|status| status.success()) {
        return must(cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]));
    }
    println!("cargo-deny is not installed; tidy has checked the licences");
    Ok(())
}
