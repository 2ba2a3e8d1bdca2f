//! Which nodes may run a job: terms over node labels, all of which must hold.

use crate::{Invalid, limits, validate};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;

/// Labels of a node.
pub type Labels = BTreeMap<String, String>;

/// A conjunction of terms. Empty: every node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(transparent)]
pub struct Constraint(#[n(0)] pub Vec<Term>);

/// One test of one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Term {
    /// `zone == a` (also `zone=a`, `zone in (a,b)`): the label has one of these values.
    #[n(0)]
    In(#[n(0)] String, #[n(1)] Vec<String>),
    /// `zone != a`: the label is absent or has another value.
    #[n(1)]
    NotIn(#[n(0)] String, #[n(1)] Vec<String>),
    /// `ssd`: the label is there.
    #[n(2)]
    Has(#[n(0)] String),
    /// `!ssd`: the label is not there.
    #[n(3)]
    HasNot(#[n(0)] String),
}

impl Constraint {
    /// Parses terms joined by `&&`: `zone in (a,b) && gpu.model == h100 && !spot`.
    pub fn parse(field: &str, text: &str) -> Result<Constraint, Invalid> {
        let terms = text.split("&&").map(|t| term(field, t.trim())).collect::<Result<Vec<_>, _>>()?;
        if terms.len() > limits::CONSTRAINT_TERMS_MAX {
            return Err(Invalid::new(field, text, format!("at most {} terms", limits::CONSTRAINT_TERMS_MAX)));
        }
        Ok(Constraint(terms))
    }

    /// The first term that a node with these labels breaks.
    pub fn broken<'a>(&'a self, labels: &Labels) -> Option<&'a Term> {
        self.0.iter().find(|t| !t.holds(labels))
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
        }
    }
}

fn term(field: &str, text: &str) -> Result<Term, Invalid> {
    let bad = || {
        Invalid::new(
            field,
            text,
            "write terms as zone == a, zone != a, zone in (a,b), ssd or !ssd, joined by &&",
        )
    };
    let key = |k: &str| validate::name(field, k.trim()).map(|()| k.trim().to_owned()).map_err(|_| bad());
    let value = |v: &str| {
        let v = v.trim().trim_matches('"');
        if v.is_empty() || v.contains(['=', '(', ')', '&', '|', ',']) { Err(bad()) } else { Ok(v.to_owned()) }
    };
    if let Some((k, v)) = text.split_once("!=") {
        return Ok(Term::NotIn(key(k)?, vec![value(v)?]));
    }
    if let Some((k, v)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Term::In(key(k)?, vec![value(v)?]));
    }
    if let Some((k, list)) = text.split_once(" in ") {
        let list = list.trim().strip_prefix('(').and_then(|l| l.strip_suffix(')')).ok_or_else(bad)?;
        return Ok(Term::In(key(k)?, list.split(',').map(value).collect::<Result<_, _>>()?));
    }
    match text.strip_prefix('!') {
        Some(k) => Ok(Term::HasNot(key(k)?)),
        None => Ok(Term::Has(key(text)?)),
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, t) in self.0.iter().enumerate() {
            write!(f, "{}{t}", if i > 0 { " && " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::In(k, v) if v.len() == 1 => write!(f, "{k} == {}", v[0]),
            Term::In(k, v) => write!(f, "{k} in ({})", v.join(",")),
            Term::NotIn(k, v) => write!(f, "{k} != {}", v.join(",")),
            Term::Has(k) => write!(f, "{k}"),
            Term::HasNot(k) => write!(f, "!{k}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_shows_and_decides() {
        let c =
            Constraint::parse("--constraint", "zone in (a,b) && gpu.model==\"h100\" && !spot && os != win")
                .unwrap();
        assert_eq!(c.to_string(), "zone in (a,b) && gpu.model == h100 && !spot && os != win");
        assert_eq!(Constraint::parse("c", &c.to_string()).unwrap(), c);
        let mut labels: Labels =
            [("zone", "b"), ("gpu.model", "h100")].map(|(k, v)| (k.into(), v.into())).into();
        assert_eq!(c.broken(&labels), None);
        labels.insert("spot".into(), "yes".into());
        assert_eq!(c.broken(&labels), Some(&Term::HasNot("spot".into())));
    }

    #[test]
    fn refuses() {
        for bad in ["", "zone in a", "zone ==", "a b", "a && ", "zone == (a)"] {
            assert!(Constraint::parse("--constraint", bad).is_err(), "{bad}");
        }
    }
}
