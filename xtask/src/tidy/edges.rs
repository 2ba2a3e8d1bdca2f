//! Which crate may use which. The table is the one in `ARCHITECTURE.md`, so that the document cannot lag behind.

use super::{Findings, allow};
use crate::metadata::{Package, packages};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};

const TABLE: &str = "ARCHITECTURE.md";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    /// `None`: everything.
    may_use: Option<BTreeSet<String>>,
    pure: bool,
}

pub fn check(findings: &mut Findings) -> Result<()> {
    let text = std::fs::read_to_string(TABLE).context(TABLE)?;
    let table = table(&text);
    let packages = packages()?;
    for package in &packages {
        match table.get(&package.name) {
            None => findings.error(TABLE, format!("no row for crate `{}`", package.name)),
            Some(row) => check_package(package, row, findings),
        }
    }
    for name in table.keys() {
        if !packages.iter().any(|p| p.name == *name) {
            findings.error(TABLE, format!("there is no crate `{name}`"));
        }
    }
    Ok(())
}

fn check_package(package: &Package, row: &Row, findings: &mut Findings) {
    let manifest = format!("crates/{}/Cargo.toml", package.name);
    for used in &package.ours {
        if row.may_use.as_ref().is_some_and(|may| !may.contains(used)) {
            findings.error(&manifest, format!("may not use `{used}`; the edges are in {TABLE}"));
        }
    }
    for used in &package.others {
        if row.pure && !allow::PURE_MAY_USE.contains(&used.as_str()) {
            findings.error(&manifest, format!("is pure and may not use `{used}`"));
        }
        if used == "anyhow" && !allow::ENDS_THE_PROCESS.contains(&package.name.as_str()) {
            findings.error(&manifest, "has callers that must tell its errors apart: no `anyhow`");
        }
        for (library, only) in allow::NAMED_ONCE {
            if used == library && package.name != only {
                findings.error(&manifest, format!("only `{only}` names `{library}`"));
            }
        }
    }
}

/// Reads rows like ``| `sched` | what it is | model | yes |``.
fn table(text: &str) -> BTreeMap<String, Row> {
    let section = text.split("\n## Crates\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let row = |line: &str| {
        // A command in the second column may hold a bar; the first and the last two columns are what counts.
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [first, .., may_use, pure] = cells.as_slice() else { return None };
        let name = first.strip_prefix('`')?.strip_suffix('`')?;
        let may_use = match *may_use {
            "everything" => None,
            "–" | "" => Some(BTreeSet::new()),
            list => Some(list.split(',').map(|n| n.trim().trim_matches('`').to_owned()).collect()),
        };
        Some((name.to_owned(), Row { may_use, pure: *pure == "yes" }))
    };
    section.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_table() {
        let text = "\n## Crates\n| crate | what | may use | pure |\n|---|---|---|---|\n| `model` | types | – | yes |\n\
                    | `server` | all | model, `wire` | |\n| `app` | main | everything | |\n\n## Next\n| `no` | x | – | yes |\n";
        let table = table(text);
        assert_eq!(table.len(), 3);
        assert_eq!(table["model"], Row { may_use: Some(BTreeSet::new()), pure: true });
        assert_eq!(table["server"].may_use, Some(["model", "wire"].map(String::from).into()));
        assert_eq!(table["app"], Row { may_use: None, pure: false });
    }
}
