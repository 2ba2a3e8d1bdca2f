//! Which nodes may run a job: terms over node labels, all of which must hold.

mod contradiction;
mod number;
mod parse;
#[cfg(test)]
mod tests;

use minicbor::{Decode, Encode};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// Labels of a node.
pub type Labels = BTreeMap<String, String>;

/// A conjunction of terms. Empty: every node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Constraint(#[n(0)] pub Vec<Term>);

/// One test of one label, or a choice between several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Term {
    /// `zone == a` (also `zone=a`, `zone in (a,b)`): the label has one of these values.
    #[n(0)]
    In(#[n(0)] String, #[n(1)] Vec<String>),
    /// `zone != a`, `zone not in (a,b)`: the label is absent or has another value.
    #[n(1)]
    NotIn(#[n(0)] String, #[n(1)] Vec<String>),
    /// `ssd`: the label is there.
    #[n(2)]
    Has(#[n(0)] String),
    /// `!ssd`: the label is not there.
    #[n(3)]
    HasNot(#[n(0)] String),
    /// `ssd || zone == a`: one of these holds. Each has a term at least, and none is a choice by itself: that would be part of this one.
    #[n(4)]
    Any(#[n(0)] Vec<Constraint>),
    /// `cuda >= 12.4`: the label is a number, and compares so to this one. The number is written without a superfluous digit.
    #[n(5)]
    Compare(#[n(0)] String, #[n(1)] CompareOperator, #[n(2)] String),
}

/// How the number in a label compares to that in a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum CompareOperator {
    /// `<`
    #[n(0)]
    Below,
    /// `<=`
    #[n(1)]
    AtMost,
    /// `>`
    #[n(2)]
    Above,
    /// `>=`
    #[n(3)]
    AtLeast,
}

impl Constraint {
    /// The first term that a node with these labels breaks.
    pub fn broken<'a>(&'a self, labels: &Labels) -> Option<&'a Term> {
        self.0.iter().find(|t| !t.holds(labels))
    }

    /// Tests of labels in all of it.
    fn tests(&self) -> usize {
        self.0.iter().map(Term::tests).sum()
    }
}

impl Term {
    /// Whether it holds for a node with these labels.
    pub fn holds(&self, labels: &Labels) -> bool {
        match self {
            Term::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Term::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Term::Has(key) => labels.contains_key(key),
            Term::HasNot(key) => !labels.contains_key(key),
            Term::Any(choices) => choices.iter().any(|choice| choice.broken(labels).is_none()),
            Term::Compare(key, comparison, number) => {
                labels.get(key).is_some_and(|v| comparison.holds(v, number))
            }
        }
    }

    fn tests(&self) -> usize {
        match self {
            Term::Any(choices) => choices.iter().map(Constraint::tests).sum(),
            _ => 1,
        }
    }
}

impl CompareOperator {
    /// Whether both are numbers, and the first compares so to the second.
    fn holds(self, value: &str, number: &str) -> bool {
        let Some(order) = number::compare(value, number) else { return false };
        match self {
            CompareOperator::Below => order == Ordering::Less,
            CompareOperator::AtMost => order != Ordering::Greater,
            CompareOperator::Above => order == Ordering::Greater,
            CompareOperator::AtLeast => order != Ordering::Less,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            CompareOperator::Below => "<",
            CompareOperator::AtMost => "<=",
            CompareOperator::Above => ">",
            CompareOperator::AtLeast => ">=",
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, t) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { " && " } else { "" })?;
            match t {
                Term::Any(_) if self.0.len() > 1 => write!(f, "({t})")?,
                _ => write!(f, "{t}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::In(k, v) if v.len() == 1 => write!(f, "{k} == {}", Value(&v[0])),
            Term::In(k, v) => write!(f, "{k} in ({})", List(v)),
            Term::NotIn(k, v) if v.len() == 1 => write!(f, "{k} != {}", Value(&v[0])),
            Term::NotIn(k, v) => write!(f, "{k} not in ({})", List(v)),
            Term::Has(k) => write!(f, "{k}"),
            Term::HasNot(k) => write!(f, "!{k}"),
            Term::Compare(k, comparison, number) => write!(f, "{k} {} {number}", comparison.sign()),
            Term::Any(choices) => choices.iter().enumerate().try_for_each(|(i, choice)| {
                f.write_str(if i > 0 { " || " } else { "" })?;
                if choice.0.len() > 1 { write!(f, "({choice})") } else { write!(f, "{choice}") }
            }),
        }
    }
}

/// A value as one can type it.
struct Value<'a>(&'a str);

struct List<'a>(&'a [String]);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if parse::is_plain(self.0) { f.write_str(self.0) } else { write!(f, "\"{}\"", self.0) }
    }
}

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(i, value)| write!(f, "{}{}", if i > 0 { "," } else { "" }, Value(value)))
    }
}
