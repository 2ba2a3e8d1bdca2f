//! Length of functions. Relies on rustfmt: a function ends at the first line that closes a brace at its own
//! indentation.

use super::{Findings, allow};
use std::path::Path;

const LINES_MAX: usize = 70;

pub fn check(path: &Path, text: &str, findings: &mut Findings) {
    let place = path.display().to_string();
    for (line, name, lines) in functions(text) {
        let exempt = allow::LONG_FUNCTIONS.iter().find(|(file, of, _)| *file == place && *of == name);
        let max = exempt.map_or(LINES_MAX, |(_, _, max)| *max);
        if lines > max {
            findings.error(format!("{place}:{line}"), format!("fn {name} has {lines} lines, {max} at most"));
        }
    }
}

/// First line, name and length of each function.
fn functions(text: &str) -> Vec<(usize, &str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let Some(name) = name_of(code) else { continue };
        let closes = |l: &&str| l.strip_prefix(indent).is_some_and(|rest| rest == "}" || rest == "};");
        let ends_here = code.ends_with(';') || code.ends_with('}');
        let length = lines[i..].iter().position(closes).map_or(1, |end| end + 1);
        found.push((i + 1, name, if ends_here { 1 } else { length }));
    }
    found
}

/// The name, if a line begins a function.
fn name_of(code: &str) -> Option<&str> {
    let words = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "];
    let mut rest = code;
    while let Some(shorter) = words.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = shorter;
    }
    let name = rest.strip_prefix("fn ")?;
    Some(&name[..name.find(|c: char| !c.is_alphanumeric() && c != '_')?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures() {
        let text = "pub(crate) async fn a<T>(\n    x: T,\n) {\n    if x {\n    }\n}\n\nimpl A {\n    fn b() {\n    }\n    fn c();\n}\n";
        assert_eq!(functions(text), [(1, "a", 6), (9, "b", 2), (11, "c", 1)]);
    }
}
