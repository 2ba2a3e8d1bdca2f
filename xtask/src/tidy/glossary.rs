//! One name, one meaning: a type that is declared in several places is a twin of one thing that `docs/glossary.md`
//! lists, or a debt that [`allow::TWICE_NAMED`] lists.

use super::{Findings, allow};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const GLOSSARY: &str = "docs/glossary.md";

/// Types by name, with the files that declare them.
type Declared = BTreeMap<String, BTreeSet<PathBuf>>;

/// Checks the names of types against the glossary, and the glossary against the code.
pub fn check(files: &[PathBuf], findings: &mut Findings) -> Result<()> {
    let glossary = fs::read_to_string(GLOSSARY).with_context(|| format!("tidy reads {GLOSSARY}"))?;
    let sources = files.iter().filter(|path| is_product(path));
    let texts: Vec<(&PathBuf, String)> =
        sources.filter_map(|path| Some((path, fs::read_to_string(path).ok()?))).collect();
    let mut declared = Declared::new();
    for (path, text) in &texts {
        for name in types(text) {
            declared.entry(name.to_owned()).or_default().insert((*path).clone());
        }
    }
    for name in named(&glossary) {
        // Ids are declared by a macro, so a name counts that stands anywhere in the code.
        if !declared.contains_key(name) && !texts.iter().any(|(_, text)| text.contains(name)) {
            findings.error(GLOSSARY, format!("names {name}, which is not in the code"));
        }
    }
    compare(&declared, &named(&glossary), allow::TWICE_NAMED, findings);
    Ok(())
}

/// Each name that is declared twice is a known twin or a known debt, and each known debt is still one.
fn compare(declared: &Declared, twins: &BTreeSet<&str>, debts: &[&str], findings: &mut Findings) {
    for (name, places) in declared.iter().filter(|(_, places)| places.len() > 1) {
        if !twins.contains(name.as_str()) && !debts.contains(&name.as_str()) {
            let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
            let what =
                format!("is declared in {}; rename one, or list twins in {GLOSSARY}", places.join(" and "));
            findings.error(format!("type {name}"), what);
        }
    }
    for debt in debts {
        if declared.get(*debt).is_none_or(|places| places.len() < 2) {
            findings.error(
                "xtask/src/tidy/allow.rs",
                format!("TWICE_NAMED lists {debt}, which is named once now"),
            );
        }
    }
}

/// Source files of crates, without tests and examples.
fn is_product(path: &Path) -> bool {
    let shown = path.to_string_lossy();
    let tests = ["/tests/", "tests.rs", "/testing", "/golden", "/examples/"];
    shown.starts_with("crates/") && shown.ends_with(".rs") && !tests.iter().any(|test| shown.contains(test))
}

/// Types that a file declares, outside its tests.
fn types(text: &str) -> impl Iterator<Item = &str> {
    let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    product.lines().filter_map(|line| {
        let line = line.trim_start();
        let line =
            ["pub ", "pub(crate) ", "pub(super) "].iter().find_map(|w| line.strip_prefix(w)).unwrap_or(line);
        let rest = ["struct ", "enum ", "trait "].iter().find_map(|word| line.strip_prefix(word))?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    })
}

/// Names of types in code spans of the glossary.
fn named(glossary: &str) -> BTreeSet<&str> {
    let spans = glossary.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    spans
        .filter(|span| span.starts_with(char::is_uppercase) && span.chars().all(char::is_alphanumeric))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_types_and_names() {
        let code = "pub struct A;\n    enum B<T> {\npub(crate) trait C: D {\nlet x = 1;\n#[cfg(test)]\nmod tests {\nstruct E;";
        assert_eq!(types(code).collect::<Vec<_>>(), ["A", "B", "C"]);
        assert_eq!(named("**a** — b (`Node`, `on_lost`, `--x`).\nNo `Two words`."), BTreeSet::from(["Node"]));
    }

    #[test]
    fn a_name_of_two_things_is_told_and_a_debt_that_was_paid_too() {
        let at = |names: &[&str]| names.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let declared = Declared::from([
            ("Twin".into(), at(&["crates/a/x.rs", "crates/b/y.rs"])),
            ("Debt".into(), at(&["crates/a/x.rs", "crates/b/y.rs"])),
            ("Two".into(), at(&["crates/a/x.rs", "crates/b/y.rs"])),
            ("Paid".into(), at(&["crates/a/x.rs"])),
        ]);
        let mut findings = Findings::default();
        compare(&declared, &BTreeSet::from(["Twin"]), &["Debt", "Paid"], &mut findings);
        assert_eq!(findings.errors.len(), 2, "{:?}", findings.errors);
        assert!(findings.errors[0].starts_with("type Two: is declared in crates/a/x.rs and crates/b/y.rs"));
        assert!(findings.errors[1].contains("lists Paid"));
    }
}
