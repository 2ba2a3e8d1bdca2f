//! Which module of a crate may name which. The table is in the README of the crate, so that the document cannot lag
//! behind.

mod graph;
mod paths;

use super::Findings;
use anyhow::{Context, Result};
use graph::Graph;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const HEADING: &str = "\n## Modules\n";
const TOP_DOWN: &str = "top down";
const BOTTOM_UP: &str = "bottom up";
const CIRCLES: &str = "Import circles: ";

/// The floors that a README declares.
#[derive(Debug, Default, PartialEq, Eq)]
struct Floors {
    /// The floor of each module; those of one row are on one floor, and a module names none that is higher.
    of: BTreeMap<String, usize>,
    /// How many import circles the crate has.
    circles: usize,
}

/// A crate with more modules than this needs a table.
const WITHOUT_TABLE_MAX: usize = 6;

/// Checks each crate against the table of modules in its README. A small crate without circles needs none.
pub fn check(findings: &mut Findings) -> Result<()> {
    let mut crates: Vec<_> = std::fs::read_dir("crates")?.collect::<Result<_, _>>()?;
    crates.sort_by_key(|entry| entry.file_name());
    for entry in crates.iter().filter(|entry| entry.path().join("src/lib.rs").is_file()) {
        let graph = Graph::of(&entry.path().join("src"))?;
        let readme = entry.path().join("README.md");
        let text = if readme.is_file() { std::fs::read_to_string(&readme)? } else { String::new() };
        match text.split_once(HEADING) {
            Some((_, section)) => {
                let floors = floors(section.split("\n## ").next().unwrap_or_default())
                    .with_context(|| format!("the table of modules in {}", readme.display()))?;
                compare(&readme, &floors, &graph, findings);
            }
            None if graph.circles().is_empty() && graph.modules.len() <= WITHOUT_TABLE_MAX => {}
            None => {
                let what =
                    format!("has {} modules, circles {}, and no table", graph.modules.len(), show(&graph));
                findings.error(readme.display(), what);
            }
        }
    }
    Ok(())
}

/// Reads rows like ``| `a`, `b` | what they are |``.
fn floors(section: &str) -> Result<Floors> {
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut rows: Vec<Vec<&str>> = rows.map(|row| names(row.split('|').nth(1).unwrap_or_default())).collect();
    match (section.contains(TOP_DOWN), section.contains(BOTTOM_UP)) {
        (true, false) => rows.reverse(),
        (false, true) => {}
        _ => anyhow::bail!("says neither \"{TOP_DOWN}\" nor \"{BOTTOM_UP}\", or both"),
    }
    let number = section.split(CIRCLES).nth(1).and_then(|rest| rest.split(['.', ' ', '\n']).next());
    let circles = number.with_context(|| format!("does not say \"{CIRCLES}N.\""))?;
    let of =
        (1..).zip(&rows).flat_map(|(floor, row)| row.iter().map(move |name| ((*name).to_owned(), floor)));
    Ok(Floors { of: of.collect(), circles: circles.parse().context(CIRCLES)? })
}

/// The code spans of a cell.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn compare(readme: &Path, floors: &Floors, graph: &Graph, findings: &mut Findings) {
    let place = readme.display();
    let listed: BTreeSet<&String> = floors.of.keys().filter(|name| *name != graph::ROOT).collect();
    for module in graph.modules.iter().filter(|module| !listed.contains(module)) {
        findings.error(&place, format!("does not list the module `{module}`"));
    }
    for module in listed.into_iter().filter(|module| !graph.modules.contains(*module)) {
        findings.error(&place, format!("lists the module `{module}`, which is not there"));
    }
    for ((from, to), written) in &graph.edges {
        if let (Some(own), Some(other)) = (floors.of.get(from), floors.of.get(to).or(Some(&usize::MAX)))
            && other > own
        {
            findings.error(written, format!("`{from}` names `{to}`, which is on a higher floor in {place}"));
        }
    }
    let circles = graph.circles().len();
    if circles != floors.circles {
        let there = show(graph);
        findings.error(&place, format!("says \"{CIRCLES}{}\", and there are {there}", floors.circles));
    }
}

/// `2 (a b, c d e)`.
fn show(graph: &Graph) -> String {
    let circles = graph.circles();
    let each = circles.iter().map(|circle| circle.iter().copied().collect::<Vec<_>>().join(" "));
    format!("{} ({})", circles.len(), each.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "From the top down.\n| modules | what |\n|---|---|\n| `lib` | all |\n| `a`, `b` | x |\n| `c` | y |\n\
                         \nImport circles: 1.\n";

    fn found(table: &str, modules: &[&str], edges: &[(&str, &str)]) -> Vec<String> {
        let edge = |(from, to): &(&str, &str)| ((from.to_string(), to.to_string()), format!("{from}.rs:1"));
        let graph = Graph {
            modules: modules.iter().map(ToString::to_string).collect(),
            edges: edges.iter().map(edge).collect(),
        };
        let mut findings = Findings::default();
        compare(Path::new("README.md"), &floors(table).unwrap(), &graph, &mut findings);
        findings.errors
    }

    #[test]
    fn allows_what_is_below_and_a_circle_in_one_row() {
        assert_eq!(found(TABLE, &["a", "b", "c"], &[("a", "b"), ("b", "a"), ("b", "c")]), [""; 0]);
        let up = TABLE.replace(TOP_DOWN, BOTTOM_UP);
        assert_eq!(found(&up, &["a", "b", "c"], &[("a", "b"), ("b", "a"), ("c", "a")]), [""; 0]);
    }

    #[test]
    fn sees_what_points_upwards() {
        let circle = [("a", "b"), ("b", "a")];
        for (bad, what) in [(("c", "a"), "`c` names `a`"), (("a", "lib"), "`a` names `lib`")] {
            let found = found(TABLE, &["a", "b", "c"], &[circle[0], circle[1], bad]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(what), "{found:?}");
        }
    }

    #[test]
    fn sees_what_is_missing_on_either_side() {
        let circle = [("a", "b"), ("b", "a")];
        assert_eq!(found(TABLE, &["a", "b", "c", "d"], &circle), ["README.md: does not list the module `d`"]);
        assert_eq!(
            found(TABLE, &["a", "b"], &circle),
            ["README.md: lists the module `c`, which is not there"]
        );
    }

    #[test]
    fn counts_circles_both_ways() {
        let none = found(TABLE, &["a", "b", "c"], &[("a", "b")]);
        assert_eq!(none, ["README.md: says \"Import circles: 1\", and there are 0 ()"]);
        let table = TABLE.replace("circles: 1", "circles: 0");
        let one = found(&table, &["a", "b", "c"], &[("a", "b"), ("b", "a")]);
        assert_eq!(one, ["README.md: says \"Import circles: 0\", and there are 1 (a b)"]);
    }

    #[test]
    fn a_table_that_says_no_direction_is_refused() {
        assert!(floors(&TABLE.replace(TOP_DOWN, "")).is_err());
        assert!(floors(&TABLE.replace(CIRCLES, "")).is_err());
    }
}
