//! The paths that a file names within its own crate, and the modules it declares. What is compiled for tests only is
//! left out.

use crate::tidy::tokens::{Token, tokens_without_tests};

/// What one file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Absolute paths within the crate, with their line. A path that ends in `*` is a glob.
    pub paths: Vec<(Vec<String>, usize)>,
    /// Paths of `use` that begin with no keyword: a module of this one, or a crate. The last part is the name they
    /// are known by.
    pub imports: Vec<Vec<String>>,
    /// Modules whose text is in another file, by absolute path.
    pub modules: Vec<Vec<String>>,
}

/// Reads the text of the module `here`.
pub fn named(text: &str, here: &[String]) -> Named {
    let tokens = tokens_without_tests(text);
    let mut reader =
        Reader { tokens: &tokens, at: 0, inside: vec![(here.to_vec(), 0)], named: Named::default() };
    while reader.at < reader.tokens.len() {
        reader.step();
    }
    reader.named
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// The modules that enclose the place, each with the number of braces open in it.
    inside: Vec<(Vec<String>, usize)>,
    named: Named,
}

impl<'a> Reader<'a> {
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn here(&self) -> &[String] {
        self.inside.last().map_or(&[], |(module, _)| module.as_slice())
    }

    fn step(&mut self) {
        match self.text(0) {
            "mod" if matches!(self.text(2), ";" | "{") => self.module(),
            "use" => {
                self.at += 1;
                if !is_keyword(self.text(0)) {
                    let mut found = Vec::new();
                    self.tree(&[], &mut found);
                    self.named.imports.extend(found.into_iter().map(|(path, _)| path));
                }
            }
            first if is_keyword(first) && self.text(1) == "::" => {
                let mut found = Vec::new();
                self.tree(&[], &mut found);
                self.named.paths.extend(found);
            }
            "{" => self.brace(true),
            "}" => self.brace(false),
            _ => self.at += 1,
        }
    }

    fn brace(&mut self, opens: bool) {
        self.at += 1;
        let Some((_, open)) = self.inside.last_mut() else { return };
        match (opens, *open) {
            (true, _) => *open += 1,
            (false, 0) => drop(self.inside.pop()),
            (false, _) => *open -= 1,
        }
    }

    fn module(&mut self) {
        let path: Vec<String> = self.here().iter().cloned().chain([self.text(1).to_owned()]).collect();
        let is_here = self.text(2) == "{";
        self.at += 3;
        if is_here {
            self.inside.push((path, 0));
        } else {
            self.named.modules.push(path);
        }
    }

    /// A path, or a tree of them below `prefix`. Each leaf is noted as an absolute path.
    fn tree(&mut self, prefix: &[String], found: &mut Vec<(Vec<String>, usize)>) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut path = prefix.to_vec();
        loop {
            match self.text(0) {
                "crate" => path.clear(),
                "self" if path.is_empty() => path = self.here().to_vec(),
                "super" if path == prefix && prefix.is_empty() => {
                    path = self.here().to_vec();
                    path.pop();
                }
                "super" => drop(path.pop()),
                "self" => {}
                "{" => return self.group(&path, found),
                word => path.push(word.to_owned()),
            }
            self.at += 1;
            if self.text(0) != "::" || !is_name(self.text(1)) {
                break;
            }
            self.at += 1;
        }
        if self.text(0) == "as" {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        found.push((path, line));
    }

    fn group(&mut self, path: &[String], found: &mut Vec<(Vec<String>, usize)>) {
        self.at += 1;
        while !matches!(self.text(0), "}" | "") {
            self.tree(path, found);
            if self.text(0) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

fn is_keyword(text: &str) -> bool {
    matches!(text, "crate" | "super" | "self")
}

/// What may follow `::` in the path of an item; `<` begins arguments.
fn is_name(text: &str) -> bool {
    matches!(text, "{" | "*") || text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str, here: &str) -> Vec<String> {
        let here: Vec<String> = here.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        named(text, &here).paths.iter().map(|(path, _)| path.join("::")).collect()
    }

    #[test]
    fn reads_nested_groups() {
        let text = "use crate::{a, b::{self, c as d, e::*}};\nuse super::{f::G, super::h};";
        assert_eq!(paths(text, "x::y"), ["a", "b", "b::c::d", "b::e::*", "x::f::G", "h"]);
    }

    #[test]
    fn reads_paths_in_bodies() {
        let text = "fn f() -> crate::a::B { super::c(); crate::d::<u8>(self::e::f) }";
        assert_eq!(paths(text, "x"), ["a::B", "c", "d", "x::e::f"]);
        assert_eq!(paths("pub(crate) fn f(self) { self.x; Self::y() }", "x"), [""; 0]);
        assert_eq!(paths("macro_rules! m { () => { $crate::a::b!() } }", "x"), ["a::b"]);
    }

    #[test]
    fn a_module_in_the_file_is_one_floor_deeper() {
        assert_eq!(paths("mod y { fn f() { if a {} super::b() } }\nuse super::c;", "x"), ["x::b", "c"]);
    }

    #[test]
    fn leaves_out_tests() {
        let text = "#[cfg(test)]\nuse crate::{a};\n#[cfg(test)]\nmod tests { use crate::b; }\n#[cfg(test)]\nmod c;\n\
                    struct S { #[cfg(test)] x: crate::d::D, y: crate::e::E }\n#[cfg(test)]\nfn f<A, B>() { crate::g() }\nmod h;";
        assert_eq!(paths(text, "x"), ["e::E"]);
        assert_eq!(named(text, &[]).modules, [["h"]]);
    }

    #[test]
    fn tells_what_the_root_takes_from_its_modules() {
        let found = named("pub use a::{B, c::D as E};\nuse std::fmt;", &[]);
        assert_eq!(
            found.imports.iter().map(|path| path.join("::")).collect::<Vec<_>>(),
            ["a::B", "a::c::D::E", "std::fmt"]
        );
    }
}
