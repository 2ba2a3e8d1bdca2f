//! Where tasks like to be, beyond what they need.

use crate::constraint::{Labels, Term};
use crate::{Constraint, Invalid, Rule, limits};
use minicbor::{Decode, Encode};

/// Wishes of a job for the places of its tasks. Without any: [`Affinity::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Affinity {
    /// Nodes to prefer or to avoid where there is a choice.
    #[n(0)]
    #[cbor(default)]
    pub prefer: Vec<Preference>,
    /// No two tasks of the job at once on one node.
    #[n(1)]
    #[cbor(default)]
    pub apart: bool,
    /// Under the placement `hash`, work with the same key goes to the same node as long as there is room. Without one, a user's work does.
    #[n(2)]
    pub locality: Option<String>,
    /// One task on each node that could run it when it is submitted.
    #[n(3)]
    #[cbor(default)]
    pub broadcast: bool,
    /// No two tasks of the job at once on nodes with the same value of this label. A node without the label stands for itself.
    #[n(4)]
    pub apart_by: Option<String>,
}

/// One preference: a term, and how much it counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Preference {
    /// What a node should have; or should not, if the weight is below 0.
    #[n(0)]
    pub term: Term,
    /// In hundredths of a node's load, -100 to 100: with 100 an empty node without it and a full one with it are equals.
    #[n(1)]
    pub weight: i32,
}

/// The largest weight, either way.
pub const PREFERENCE_WEIGHT_MAX: i32 = 100;

impl Preference {
    /// Parses `ssd`, `zone == a:50` or `spot:-20`; without a weight it is 50.
    pub fn parse(field: &str, text: &str) -> Result<Preference, Invalid> {
        let (term, weight) = match text.rsplit_once(':') {
            Some((term, weight)) => (term, weight.trim().parse::<i32>().ok()),
            None => (text, Some(50)),
        };
        let weight = weight.filter(|w| *w != 0 && w.abs() <= PREFERENCE_WEIGHT_MAX).ok_or_else(|| {
            let remedy = "write a term and a weight between -100 and 100, such as zone == a:50 or spot:-20";
            Invalid::new(field, text, remedy)
        })?;
        let mut terms = Constraint::parse(field, term)?.0;
        match (terms.pop(), terms.is_empty()) {
            (Some(term), true) => Ok(Preference { term, weight }),
            _ => Err(Invalid::new(field, text, "one term for each preference")),
        }
    }
}

impl std::fmt::Display for Preference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.term, self.weight)
    }
}

impl Affinity {
    /// Checks limits.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.prefer.len() > limits::CONSTRAINT_TERMS_MAX {
            let remedy = format!("at most {} preferences", limits::CONSTRAINT_TERMS_MAX);
            return Err(Invalid::new("prefer", self.prefer.len(), remedy));
        }
        let name = |field, name: &Option<String>| {
            name.as_deref().map_or(Ok(()), |n| crate::validate::name(field, n))
        };
        name("apart_by", &self.apart_by)?;
        name("locality", &self.locality)
    }

    /// Whether a node has at most one task of the job at a time.
    pub fn is_apart(&self) -> bool {
        self.apart || self.broadcast || self.apart_by.is_some()
    }

    /// What a node has in common with others that a task of the job excludes: the value of the label by which they are apart.
    pub fn domain<'a>(&self, labels: &'a Labels) -> Option<&'a str> {
        labels.get(self.apart_by.as_ref()?).map(String::as_str)
    }

    /// Why no task goes to a node of a domain in which there is one.
    pub fn apart_from(&self, domain: &str) -> Rule {
        Rule::ApartBy(format!("{} == {domain}", self.apart_by.as_deref().unwrap_or_default()))
    }

    /// The sum of what speaks for a node with these labels, in hundredths.
    pub fn preference(&self, labels: &Labels) -> i32 {
        self.prefer.iter().filter(|p| p.term.holds(labels)).map(|p| p.weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_and_shown() {
        let read = |text| Preference::parse("--prefer", text).map(|p| p.to_string());
        assert_eq!(read("ssd").unwrap(), "ssd:50");
        assert_eq!(read("zone in (a,b):-20").unwrap(), "zone in (a,b):-20");
        for bad in ["", "ssd:0", "ssd:101", "ssd:x", "a == b && c:4"] {
            assert_eq!(read(bad).unwrap_err().field, "--prefer", "{bad}");
        }
    }
}
