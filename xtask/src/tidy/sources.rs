//! Rules about the text of a file.

use super::{Findings, allow};
use std::path::Path;

const LINES_WARN: usize = 500;
const LINES_MAX: usize = 800;

/// Put together so that this file does not find itself.
const UNFINISHED: [&str; 5] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("TO", "DO"),
];
const IGNORED: &str = concat!("#[ign", "ore");
const SLEEPS: [&str; 2] = [concat!("thread::sl", "eep("), concat!("time::sl", "eep(")];
const UNSAFE: [&str; 4] = [
    concat!("unsafe", " {"),
    concat!("unsafe", " fn"),
    concat!("unsafe", " impl"),
    concat!("unsafe", " extern"),
];
const MACHINES: [&str; 3] = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
/// What the pure heart of the agent may not name; pure crates have their bans in `clippy.toml`.
const IMPURE: [&str; 5] = ["tokio::", "std::fs", "std::net", "Instant::now", "SystemTime"];

pub fn check(path: &Path, text: &str, findings: &mut Findings) {
    let place = path.display().to_string();
    if place.ends_with(".lock") || place == "openapi.json" || place.starts_with("LICENSE") {
        return;
    }
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        findings.error(&place, "does not end in one newline");
    }
    let is_golden = place.contains(allow::GOLDEN);
    for (number, line) in (1..).zip(text.lines()) {
        if is_golden {
            break;
        }
        if line.ends_with([' ', '\t']) {
            findings.error(format!("{place}:{number}"), "white space at the end of the line");
        }
        for machine in MACHINES.iter().filter(|m| line.contains(*m)) {
            findings.error(format!("{place}:{number}"), format!("{machine} is a path of one machine"));
        }
    }
    if place.ends_with(".rs") {
        rust(&place, text, findings);
    }
}

fn rust(place: &str, text: &str, findings: &mut Findings) {
    if !text.starts_with("//!") {
        findings.error(place, "does not begin with a `//!` comment that says why it exists");
    }
    let lines: Vec<&str> = text.lines().collect();
    length(place, lines.len(), findings);
    let may_be_unsafe =
        allow::UNSAFE.iter().any(|(start, end)| place.starts_with(start) && place.ends_with(end));
    let is_core = place.starts_with("crates/agent/src/core/");
    let mut in_tests = place.contains("/tests/") || place.ends_with("tests.rs");
    for (i, line) in lines.iter().enumerate() {
        let at = format!("{place}:{}", i + 1);
        in_tests |= line.starts_with("mod tests {");
        if let Some(word) = UNFINISHED.iter().find(|w| line.contains(*w)) {
            findings.error(&at, format!("{word} is not for what is checked in"));
        }
        if line.contains(IGNORED) {
            findings.error(&at, "a test that is ignored is none");
        }
        let code = line.split("//").next().unwrap_or_default();
        if in_tests && SLEEPS.iter().any(|s| code.contains(s)) && !says_why(&lines, i) {
            findings.error(
                &at,
                "a test that sleeps is slow or flaky: wait for what it waits for, or say `// sleep: why`",
            );
        }
        if !may_be_unsafe && UNSAFE.iter().any(|word| code.contains(word)) {
            findings.error(&at, "unsafe belongs in the agent's spawn.rs alone");
        }
        for word in IMPURE.iter().filter(|w| is_core && !in_tests && code.contains(*w)) {
            findings.error(&at, format!("the agent's core is pure: no {word}"));
        }
        for (library, only) in allow::NAMED_ONCE {
            if code.contains(&format!("{library}::"))
                && !place.starts_with(&format!("crates/{only}/"))
                && !place.starts_with("xtask/")
            {
                findings.error(&at, format!("only `{only}` names {library}"));
            }
        }
    }
}

/// Whether only tests know of a file.
pub fn is_test(place: &str) -> bool {
    place.contains("/tests/") || ["tests.rs", "testing.rs"].iter().any(|name| place.ends_with(name))
}

fn length(place: &str, lines: usize, findings: &mut Findings) {
    if lines > LINES_MAX && !allow::LONG_FILES.contains(&place) {
        findings.error(place, format!("{lines} lines, {LINES_MAX} at most"));
    } else if lines > LINES_WARN {
        findings.warning(place, format!("{lines} lines: is it one thing?"));
    }
}

/// Whether the line or the one above says why it sleeps.
fn says_why(lines: &[&str], i: usize) -> bool {
    let above = i.checked_sub(1).map_or("", |j| lines[j]);
    [lines[i], above].iter().any(|l| l.contains("// sleep: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(place: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(Path::new(place), text, &mut findings);
        findings.errors
    }

    #[test]
    fn finds_what_it_should() {
        let bad = |place: &str, body: &str| found(place, &format!("//! Why.\n{body}\n")).len();
        assert_eq!(bad("crates/a/src/b.rs", "fn a() {}"), 0);
        assert_eq!(bad("crates/a/src/b.rs", "fn a() {} "), 1);
        assert_eq!(
            bad("crates/a/src/b.rs", &format!("{}\n", UNFINISHED[0])),
            2,
            "and a blank line at the end"
        );
        assert_eq!(bad("crates/a/src/b.rs", MACHINES[1]), 1);
        assert_eq!(bad("crates/a/tests/b.rs", SLEEPS[0]), 1);
        assert_eq!(bad("crates/a/tests/b.rs", &format!("// sleep: polls a file\n{}", SLEEPS[0])), 0);
        assert_eq!(bad("crates/a/src/b.rs", SLEEPS[0]), 0);
        assert_eq!(bad("crates/a/src/b.rs", UNSAFE[0]), 1);
        assert_eq!(bad("crates/agent/src/keeper/spawn.rs", UNSAFE[0]), 0);
        assert_eq!(bad("crates/agent/src/core/b.rs", "use tokio::x;"), 1);
        assert_eq!(bad("crates/server/src/b.rs", "use openraft::x;"), 1);
        assert_eq!(bad("crates/consensus/src/b.rs", "use openraft::x;"), 0);
        assert_eq!(found("crates/a/src/b.rs", "fn a() {}\n").len(), 1);
    }
}
