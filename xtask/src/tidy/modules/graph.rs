//! Which top-level module of a crate names which, read from its source.

use super::paths::named;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The root of the crate, where it is more than a list of modules.
pub const ROOT: &str = "lib";

/// The modules of a crate and who names whom.
#[derive(Debug, Default)]
pub struct Graph {
    pub modules: BTreeSet<String>,
    /// From, to, and a place where it is written.
    pub edges: BTreeMap<(String, String), String>,
}

impl Graph {
    /// Follows the declarations of modules from the root of the crate.
    pub fn of(source: &Path) -> Result<Graph> {
        let root = source.join("lib.rs");
        let text = read(&root)?;
        let declared = named(&text, &[]);
        let mut graph = Graph {
            modules: declared.modules.iter().filter_map(|path| path.first().cloned()).collect(),
            ..Graph::default()
        };
        let reexports: BTreeMap<&String, &String> = (declared.imports.iter())
            .filter_map(|path| Some((path.last()?, path.first()?)))
            .filter(|(_, module)| graph.modules.contains(*module))
            .collect();
        let mut files: Vec<(Vec<String>, PathBuf)> = Vec::new();
        for module in &declared.modules {
            files.push((module.clone(), file_of(source, module)?));
        }
        while let Some((here, file)) = files.pop() {
            let text = read(&file)?;
            let found = named(&text, &here);
            for module in found.modules {
                let file = file_of(source, &module)?;
                files.push((module, file));
            }
            let Some(from) = here.first() else { continue };
            for (path, line) in found.paths {
                let name = path.first().map_or("", String::as_str);
                let to = match graph.modules.get(name) {
                    Some(module) => module.as_str(),
                    None => reexports.get(&name.to_owned()).map_or(ROOT, |module| module.as_str()),
                };
                if to != from {
                    let place = || format!("{}:{line}", file.display());
                    graph.edges.entry((from.clone(), to.to_owned())).or_insert_with(place);
                }
            }
        }
        Ok(graph)
    }

    /// Groups of modules each of which, step by step, reaches all others of its group.
    pub fn circles(&self) -> Vec<BTreeSet<&str>> {
        let mut circles: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
        for module in &self.modules {
            let below = self.reached_from(module);
            let back = |other: &&&str| self.reached_from(other).contains(module.as_str());
            let circle: BTreeSet<&str> = below.iter().filter(back).copied().collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    /// What a module names, and what that names, and so on.
    fn reached_from(&self, module: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next = vec![module];
        while let Some(module) = next.pop() {
            for (from, to) in self.edges.keys().filter(|(from, to)| from == module && to != ROOT) {
                debug_assert_eq!(from, module);
                if reached.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        reached
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("tidy reads {}", path.display()))
}

/// Where the text of a module is.
fn file_of(source: &Path, module: &[String]) -> Result<PathBuf> {
    let stem = source.join(module.join("/"));
    let places = [stem.with_extension("rs"), stem.join("mod.rs")];
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => bail!("there is no file of module {} in {}", module.join("::"), source.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in edges {
            graph.modules.extend([from.to_string(), to.to_string()]);
            graph.edges.insert((from.to_string(), to.to_string()), String::new());
        }
        graph
    }

    #[test]
    fn finds_circles() {
        let found =
            graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("f", "a")]);
        assert_eq!(found.circles(), [BTreeSet::from(["a", "b", "c"]), BTreeSet::from(["d", "e"])]);
        assert!(graph(&[("a", "b"), ("b", "c"), ("a", "c")]).circles().is_empty());
    }

    #[test]
    fn reads_a_crate() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        file(
            "lib.rs",
            "mod a;\nmod b;\n#[cfg(test)]\nmod t;\npub use b::{Of, x::Deep};\nstruct Here;\nmod c;",
        );
        file("a.rs", "use crate::Of;\nmod inner;");
        file("a/inner.rs", "use super::super::c::D;\n#[cfg(test)]\nmod tests { use crate::t; }");
        file("b/mod.rs", "mod x;\nfn f() { crate::Here }");
        file("b/x.rs", "use super::y;");
        file("c.rs", "");
        let graph = Graph::of(dir.path())?;
        assert_eq!(graph.modules, ["a", "b", "c"].map(String::from).into());
        let edges: Vec<(&str, &str)> =
            graph.edges.keys().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        assert_eq!(edges, [("a", "b"), ("a", "c"), ("b", "lib")]);
        Ok(())
    }
}
