//! What cargo knows of the workspace.

use crate::run::{cargo, output};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(here.parent().context("xtask lies in the workspace")?.to_owned())
}

/// A package of the workspace, by its short name: `sched` for `taskyard-sched`.
pub struct Package {
    pub name: String,
    /// Packages of ours that it uses, by short name.
    pub ours: BTreeSet<String>,
    /// Others, by name.
    pub others: BTreeSet<String>,
}

/// The short name of one of our packages.
fn short(name: &str) -> Option<&str> {
    match name {
        "taskyard" => Some(name),
        _ => name.strip_prefix("taskyard-"),
    }
}

/// Our packages with what they use to be built; what only tests use is left out.
pub fn packages() -> Result<Vec<Package>> {
    let text = output(cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let Some(name) = short(package["name"].as_str().unwrap_or_default()) else { continue };
        let (mut ours, mut others) = (BTreeSet::new(), BTreeSet::new());
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let name = dependency["name"].as_str().unwrap_or_default();
            match (dependency["kind"].as_str(), short(name)) {
                (Some("dev"), _) => {}
                (_, Some(own)) => drop(ours.insert(own.to_owned())),
                (_, None) => drop(others.insert(name.to_owned())),
            }
        }
        packages.push(Package { name: name.to_owned(), ours, others });
    }
    Ok(packages)
}

/// What we build for; `deny.toml` names the same.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Name, version and licence expression of everything that is linked in or runs at build time.
pub fn licences() -> Result<Vec<(String, String, String)>> {
    let [one, other] = TARGETS;
    let platforms = ["--filter-platform", one, "--filter-platform", other];
    let text = output(cargo(&[&["metadata", "--format-version", "1"][..], &platforms].concat()))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let field = |package: &Value, name: &str| package[name].as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().context("packages")?;
    Ok(packages.iter().map(|p| (field(p, "name"), field(p, "version"), field(p, "license"))).collect())
}
