//! `openapi.json` is generated from the types of the API; the one that is checked in must be the one the binary prints.

use crate::run::{cargo, output};
use anyhow::{Context, Result, bail};

const PATH: &str = "openapi.json";

/// What the binary prints.
fn document() -> Result<String> {
    output(cargo(&["run", "--quiet", "--package", "taskyard", "--", "openapi"]))
}

/// Fails if the two differ; says where first.
pub fn is_current() -> Result<()> {
    let checked_in = std::fs::read_to_string(PATH).context(PATH)?;
    let printed = document()?;
    let differing = checked_in.lines().zip(printed.lines()).position(|(a, b)| a != b);
    match differing {
        Some(line) => bail!("{PATH} is out of date from line {}; run cargo xtask fix", line + 1),
        None if checked_in.lines().count() != printed.lines().count() => {
            bail!("{PATH} is out of date; run cargo xtask fix")
        }
        None => Ok(()),
    }
}

/// Writes it.
pub fn write() -> Result<()> {
    Ok(std::fs::write(PATH, document()?)?)
}
