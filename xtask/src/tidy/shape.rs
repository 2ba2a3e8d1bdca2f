//! The shape of items: how many parameters a function takes, how many variants an error has, and where bounds in bytes
//! are written down.

use super::tokens::{Token, tokens_without_tests};
use super::{Findings, allow, sources};
use std::path::Path;

const PARAMETERS_MAX: usize = 5;
const VARIANTS_MAX: usize = 8;
/// Handlers of the API call use cases; what is proposed to the log is theirs.
const HANDLERS: &str = "crates/server/src/http/";
const COMMAND: &str = "Command";

pub fn check(path: &Path, text: &str, findings: &mut Findings) {
    let place = path.display().to_string();
    if sources::is_test(&place) {
        return;
    }
    let tokens = tokens_without_tests(text);
    for (at, token) in tokens.iter().enumerate() {
        let rest = &tokens[at + 1..];
        let here = format!("{place}:{}", token.line);
        match token.text {
            "fn" => function(&place, &here, rest, findings),
            "enum" => error(&place, &here, (&tokens[..at], rest), findings),
            "const" => limit(&place, &here, rest, findings),
            COMMAND if place.starts_with(HANDLERS) => {
                findings.error(&here, "a handler calls one use case, and names no command");
            }
            _ => {}
        }
    }
}

fn function(place: &str, here: &str, rest: &[Token<'_>], findings: &mut Findings) {
    let Some(Token { text: name, .. }) = rest.first() else { return };
    // A type such as `fn(u8)` has no name.
    if *name == "(" {
        return;
    }
    let Some(list) = after_generics(&rest[1..]).and_then(inside) else { return };
    let parameters: Vec<&[Token<'_>]> = split(list).into_iter().filter(|part| !is_self(part)).collect();
    let exempt = allow::MANY_PARAMETERS.iter().find(|(file, of, _)| *file == place && of == name);
    let max = exempt.map_or(PARAMETERS_MAX, |(_, _, max)| *max);
    if parameters.len() > max {
        let count = parameters.len();
        findings.error(here, format!("fn {name} has {count} parameters, {max} at most; give it a struct"));
    }
    let hides = parameters.iter().any(|part| is_tuple_of_bools(part));
    if hides && !allow::BOOL_TUPLES.contains(&(place, *name)) {
        findings.error(here, format!("fn {name} takes a tuple of bools; give them names in a struct"));
    }
}

/// From the bracket of the parameters on.
fn after_generics<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<&'t [Token<'a>]> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "<" => depth += 1,
            // That of an arrow closes nothing.
            ">" if at > 0 && tokens[at - 1].text == "-" => {}
            ">" => depth = depth.saturating_sub(1),
            "(" if depth == 0 => return Some(&tokens[at..]),
            _ => {}
        }
    }
    None
}

/// What is between a bracket and the one that closes it.
fn inside<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<&'t [Token<'a>]> {
    let mut depth = 0usize;
    let end = tokens.iter().position(|token| {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    })?;
    tokens.get(1..end)
}

/// The parts between the commas that are in no bracket.
fn split<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0usize;
    let mut before = "";
    let parts = tokens.split(|token| {
        match token.text {
            "(" | "[" | "{" | "<" => depth += 1,
            ">" if before == "-" => {}
            ")" | "]" | "}" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = token.text;
        depth == 0 && token.text == ","
    });
    parts.filter(|part| !part.is_empty()).collect()
}

fn is_self(parameter: &[Token<'_>]) -> bool {
    parameter.iter().take_while(|token| token.text != ":").any(|token| token.text == "self")
}

fn is_tuple_of_bools(parameter: &[Token<'_>]) -> bool {
    let Some(colon) = parameter.iter().position(|token| token.text == ":") else { return false };
    let of = inside(&parameter[colon + 1..]).unwrap_or_default();
    parameter.get(colon + 1).is_some_and(|token| token.text == "(")
        && split(of).iter().filter(|part| matches!(part, [Token { text: "bool", .. }])).count() > 1
}

/// An enum is an error if it derives `Error`.
fn error(place: &str, here: &str, (before, rest): (&[Token<'_>], &[Token<'_>]), findings: &mut Findings) {
    let attributes = before.rsplit(|token| matches!(token.text, "}" | ";")).next().unwrap_or_default();
    let Some(Token { text: name, .. }) = rest.first() else { return };
    if !attributes.iter().any(|token| token.text == "Error") {
        return;
    }
    let Some(open) = rest.iter().position(|token| token.text == "{") else { return };
    let variants = split(inside(&rest[open..]).unwrap_or_default()).len();
    let exempt = allow::LARGE_ERRORS.iter().find(|(file, of, _)| *file == place && of == name);
    let max = exempt.map_or(VARIANTS_MAX, |(_, _, max)| *max);
    if variants > max {
        findings.error(here, format!("error {name} has {variants} variants, {max} at most"));
    }
}

/// Bounds in bytes are about what others can make a process hold, so they are read in one place.
fn limit(place: &str, here: &str, rest: &[Token<'_>], findings: &mut Findings) {
    let name = rest.first().map_or("", |token| token.text);
    let is_home = place.ends_with("/limits.rs") || !place.starts_with("crates/");
    if name.ends_with("BYTES_MAX") && !is_home && !allow::LIMITS_ELSEWHERE.contains(&(place, name)) {
        findings.error(here, format!("{name} is a bound in bytes: it belongs in model::limits"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(place: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(Path::new(place), text, &mut findings);
        findings.errors.into_iter().map(|error| error.split_once(": ").unwrap().1.to_owned()).collect()
    }

    fn count(text: &str) -> usize {
        found("crates/a/src/b.rs", text).len()
    }

    #[test]
    fn counts_parameters() {
        assert_eq!(
            count("fn f(&self, a: A, b: B<X, Y>, c: (C, D), d: [u8; 2], e: impl Fn(A, B) -> C) {}"),
            0
        );
        assert_eq!(count("fn f<T: Fn(A) -> B>(a: A, b: B, c: C, d: D, e: E, f: F) {}"), 1);
        assert_eq!(count("#[cfg(test)]\nfn f(a: A, b: B, c: C, d: D, e: E, f: F) {}"), 0);
        assert_eq!(count("type F = fn(A, B, C, D, E, F);"), 0);
        assert_eq!(count("fn f((a, b): (bool, bool)) {}"), 1);
        assert_eq!(count("fn f((a, b): (bool, u8), c: Option<(bool, bool)>) {}"), 0);
    }

    #[test]
    fn counts_variants_of_errors() {
        let of = |derive: &str, variants: &str| {
            count(&format!("#[derive({derive})]\npub enum X {{ {variants} }}"))
        };
        let eight = "#[error(\"a, b\")] A, B(u8, u8), C { d: E, f: G }, D, E, F, G, H,";
        assert_eq!((of("thiserror::Error", eight), of("Error", &format!("{eight} I"))), (0, 1));
        assert_eq!(of("Debug", &format!("{eight} I")), 0);
    }

    #[test]
    fn finds_limits_and_commands_out_of_place() {
        let limit = "const LINE_BYTES_MAX: usize = 1;";
        assert_eq!(found("crates/a/src/b.rs", limit).len(), 1);
        assert_eq!(found("crates/model/src/limits.rs", limit).len(), 0);
        let command = "fn f() { propose(Command::Tick) }";
        assert_eq!(found("crates/server/src/http/b.rs", command).len(), 1);
        assert_eq!(found("crates/server/src/http/tests/b.rs", command).len(), 0);
        assert_eq!(found("crates/server/src/usecase/b.rs", command).len(), 0);
    }
}
