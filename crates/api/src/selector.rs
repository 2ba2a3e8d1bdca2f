//! How users name jobs and tasks: `last`, `12`, `12.5`, `12.1-5`, `12-15`, `all`, and lists of these.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use taskyard_model::Invalid;

/// Numbers and ranges, both ends included: `1-5,7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges(pub Vec<(u64, u64)>);

impl Ranges {
    /// Reads `1-5,7`.
    pub fn parse(field: &str, text: &str) -> Result<Ranges, Invalid> {
        text.split(',').map(|part| range(field, part.trim())).collect::<Result<Vec<_>, _>>().map(Ranges)
    }

    /// Whether a number is in it.
    pub fn contains(&self, n: u64) -> bool {
        self.0.iter().any(|(a, b)| (*a..=*b).contains(&n))
    }

    /// The number, if it is a single one.
    pub fn single(&self) -> Option<u64> {
        match self.0[..] {
            [(a, b)] if a == b => Some(a),
            _ => None,
        }
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (a, b)) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            if a == b { write!(f, "{a}")? } else { write!(f, "{a}-{b}")? }
        }
        Ok(())
    }
}

impl Serialize for Ranges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ranges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ranges::parse("tasks", &text).map_err(|e| serde::de::Error::custom(e.remedy))
    }
}

/// Jobs from one id to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobRange {
    /// First id.
    pub first: u64,
    /// Last id, included.
    pub last: u64,
}

/// One item of what a user selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The newest job of this user.
    Last {
        /// Only these tasks of it.
        tasks: Option<Ranges>,
    },
    /// Every job of this user that the command can concern.
    All,
    /// One job.
    Job {
        /// Its id.
        id: u64,
        /// Only these tasks of it.
        tasks: Option<Ranges>,
    },
    /// Several jobs.
    Range(JobRange),
}

impl Selector {
    /// Reads a list. A comma goes on with tasks only after a range of tasks: in `12.1-5,7` the 7 is a task of job 12;
    /// in `12,13.2` they are jobs.
    pub fn parse_list(field: &str, text: &str) -> Result<Vec<Selector>, Invalid> {
        let mut out: Vec<Selector> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let bare = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || c == '-');
            if let Some(Selector::Job { tasks: Some(r), .. } | Selector::Last { tasks: Some(r) }) =
                out.last_mut()
                && bare
            {
                r.0.push(range(field, part)?);
                continue;
            }
            out.push(Selector::parse(field, part)?);
        }
        Ok(out)
    }

    /// Reads one item.
    pub fn parse(field: &str, text: &str) -> Result<Selector, Invalid> {
        if text == "all" {
            return Ok(Selector::All);
        }
        let (job, tasks) = match text.split_once('.') {
            Some((job, tasks)) => (job, Some(Ranges(vec![range(field, tasks)?]))),
            None => (text, None),
        };
        if job == "last" {
            return Ok(Selector::Last { tasks });
        }
        let (first, last) = range(field, job).map_err(|_| bad(field, text))?;
        match (first == last, tasks) {
            (true, tasks) => Ok(Selector::Job { id: first, tasks }),
            (false, None) => Ok(Selector::Range(JobRange { first, last })),
            (false, Some(_)) => Err(bad(field, text)),
        }
    }
}

fn range(field: &str, text: &str) -> Result<(u64, u64), Invalid> {
    let (a, b) = text.split_once('-').unwrap_or((text, text));
    match (a.parse(), b.parse()) {
        (Ok(a), Ok(b)) if a <= b => Ok((a, b)),
        (Ok(_), Ok(_)) => Err(Invalid::new(field, text, "the last number is before the first")),
        _ => Err(bad(field, text)),
    }
}

fn bad(field: &str, text: &str) -> Invalid {
    Invalid::new(
        field,
        text,
        "write a job as 12 or last, tasks as 12.5 or 12.1-5, several as 12-15 or 12,14, or all",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, tasks: Option<&str>) -> Selector {
        Selector::Job { id, tasks: tasks.map(|t| Ranges::parse("t", t).unwrap()) }
    }

    #[test]
    fn reads() {
        let list = |text| Selector::parse_list("JOB", text).unwrap();
        assert_eq!(list("last"), [Selector::Last { tasks: None }]);
        assert_eq!(list("all"), [Selector::All]);
        assert_eq!(list("12"), [job(12, None)]);
        assert_eq!(list("12.5"), [job(12, Some("5"))]);
        assert_eq!(list("12.1-5,7"), [job(12, Some("1-5,7"))]);
        assert_eq!(list("12,13.2"), [job(12, None), job(13, Some("2"))]);
        assert_eq!(list("12-15"), [Selector::Range(JobRange { first: 12, last: 15 })]);
        assert_eq!(list("last.3"), [Selector::Last { tasks: Some(Ranges(vec![(3, 3)])) }]);
    }

    #[test]
    fn refuses() {
        for text in ["", "x", "12.", "12-", "15-12", "12-15.3", "12,,13", "-5", "12.5-3", "all.1", "1.5.2"] {
            let error = Selector::parse_list("JOB", text).unwrap_err();
            assert_eq!(error.field, "JOB", "{text}");
            assert!(!error.remedy.is_empty());
        }
    }

    #[test]
    fn ranges_show_as_read() {
        let r = Ranges::parse("tasks", "1-5,7").unwrap();
        assert_eq!(r.to_string(), "1-5,7");
        assert!(r.contains(5) && r.contains(7) && !r.contains(6));
        assert_eq!(Ranges::parse("tasks", "7").unwrap().single(), Some(7));
    }
}
