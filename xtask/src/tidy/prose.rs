//! Prose is short and plain: comments and documents keep to the width of a line, and to words that a reader expects.

use super::{Findings, allow};
use std::path::Path;

const COLUMNS_MAX: usize = 120;

/// Words that read as translated, or that need a second look; each has a plain one.
const BANNED: [&str; 11] = [
    "whoever",
    "nobody",
    "so many",
    "so long",
    "for ever",
    "anew",
    "of before",
    "in vain",
    "becomes of",
    "good here",
    "shut out",
];

/// Checks comments, strings and documents; golden files are what the program prints, so help and tables are checked
/// too.
pub fn check(path: &Path, text: &str, findings: &mut Findings) {
    let shown = path.to_string_lossy();
    let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let exempt = shown.starts_with("patches")
        || shown.starts_with("docs/adr")
        || shown.starts_with("docs/research")
        || shown.ends_with("tidy/prose.rs");
    if exempt
        || !matches!(kind, "rs" | "md" | "txt")
        || allow::PROSE.iter().any(|place| shown.starts_with(place))
    {
        return;
    }
    let mut in_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        in_code ^= kind == "md" && line.trim_start().starts_with("```");
        let wraps = match kind {
            "rs" => line.trim_start().starts_with("//"),
            // Neither tables nor examples can be wrapped.
            "md" => !in_code && !line.starts_with('|'),
            _ => false,
        };
        let at = format!("{shown}:{number}");
        if wraps && line.chars().count() > COLUMNS_MAX {
            findings.error(&at, format!("has more than {COLUMNS_MAX} columns"));
        }
        for word in BANNED.iter().filter(|word| says(line, word)) {
            findings.error(&at, format!("says \"{word}\"; use a plain word"));
        }
    }
}

/// Whether a line has a word as a whole.
fn says(line: &str, word: &str) -> bool {
    let lower = line.to_lowercase();
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    lower.match_indices(word).any(|(at, _)| {
        !letter(lower[..at].chars().next_back()) && !letter(lower[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_and_banned_words_are_told() {
        let long = "x".repeat(121);
        let code = format!(
            "// {long}\nlet a = \"Nobody\"; // fine\n// for every node, nobody_else\nlet {long} = 1;\n"
        );
        let mut findings = Findings::default();
        check(Path::new("crates/x/src/y.rs"), &code, &mut findings);
        assert_eq!(findings.errors.len(), 2, "{:?}", findings.errors);
        let guide = format!("{long}\n| {long} |\n```\n{long}\n```\nwaits for ever\n");
        let mut findings = Findings::default();
        check(Path::new("CHANGELOG.md"), &guide, &mut findings);
        assert_eq!(findings.errors.len(), 2, "{:?}", findings.errors);
    }
}
