//! Constraints that no node could meet, whatever its labels: a mistake, and a job that waits for ever.

use super::{CompareOperator, Constraint, Labels, Term, number};
use std::cmp::Ordering;

/// So many combinations of choices are looked at. A constraint of sixteen tests has fewer, but for odd ones; what is left is taken to be possible.
const COMBINATIONS_MAX: u32 = 4_096;

/// Terms that never hold together, as few as it takes; `None` if they may.
pub(super) fn within(constraint: &Constraint) -> Option<Vec<&Term>> {
    let mut terms: Vec<&Term> = constraint.0.iter().collect();
    if possible(&terms) {
        return None;
    }
    let mut at = 0;
    while at < terms.len() {
        let term = terms.remove(at);
        if possible(&terms) {
            terms.insert(at, term);
            at += 1;
        }
    }
    Some(terms)
}

fn possible(terms: &[&Term]) -> bool {
    let (choices, tests): (Vec<&Term>, Vec<&Term>) = terms.iter().partition(|t| matches!(t, Term::Any(_)));
    search(&tests, &choices, &mut { COMBINATIONS_MAX })
}

/// Whether the tests hold together, with an alternative of each choice.
fn search<'a>(tests: &[&'a Term], choices: &[&'a Term], left: &mut u32) -> bool {
    if *left == 0 {
        return true;
    }
    *left -= 1;
    if !hold_together(tests) {
        return false;
    }
    let Some((Term::Any(alternatives), others)) = choices.split_last() else { return true };
    alternatives.iter().any(|alternative| {
        let (inner, more): (Vec<&Term>, Vec<&Term>) =
            alternative.0.iter().partition(|t| matches!(t, Term::Any(_)));
        let tests: Vec<&Term> = tests.iter().copied().chain(more).collect();
        let choices: Vec<&Term> = others.iter().copied().chain(inner).collect();
        search(&tests, &choices, left)
    })
}

/// Whether some labels meet all of these tests. Labels do not depend on each other, so each is looked at by itself.
fn hold_together(tests: &[&Term]) -> bool {
    let keys: Vec<&str> = tests.iter().filter_map(|test| key(test)).collect();
    keys.iter().enumerate().all(|(at, key)| keys[..at].contains(key) || one_label(key, tests))
}

/// Whether some value of a label, or none, meets all tests of it.
fn one_label(label: &str, tests: &[&Term]) -> bool {
    let tests: Vec<&Term> = tests.iter().copied().filter(|test| key(test) == Some(label)).collect();
    let meets = |value: Option<&str>| {
        let labels: Labels = value.map(|v| (label.to_owned(), v.to_owned())).into_iter().collect();
        tests.iter().all(|test| test.holds(&labels))
    };
    let named =
        tests.iter().find_map(|test| if let Term::In(_, values) = test { Some(values) } else { None });
    match named {
        Some(values) => values.iter().any(|value| meets(Some(value))),
        None if meets(None) => true,
        // Some other value: there are endlessly many, also between two numbers, so what is left out does not matter.
        None => !tests.iter().any(|test| matches!(test, Term::HasNot(_))) && between(&tests),
    }
}

/// Whether a number lies between all of these bounds. As each bound is a half line, looking at pairs is enough.
fn between(tests: &[&Term]) -> bool {
    let bounds = |low: bool| {
        tests.iter().filter_map(move |test| match test {
            Term::Compare(_, c @ (CompareOperator::Above | CompareOperator::AtLeast), n) if low => {
                Some((*c, n))
            }
            Term::Compare(_, c @ (CompareOperator::Below | CompareOperator::AtMost), n) if !low => {
                Some((*c, n))
            }
            _ => None,
        })
    };
    bounds(true).all(|(above, low)| {
        bounds(false).all(|(below, high)| match number::compare(low, high) {
            Some(Ordering::Equal) => (above, below) == (CompareOperator::AtLeast, CompareOperator::AtMost),
            order => order == Some(Ordering::Less),
        })
    })
}

fn key(test: &Term) -> Option<&str> {
    match test {
        Term::In(key, _)
        | Term::NotIn(key, _)
        | Term::Has(key)
        | Term::HasNot(key)
        | Term::Compare(key, ..) => Some(key),
        Term::Any(_) => None,
    }
}
