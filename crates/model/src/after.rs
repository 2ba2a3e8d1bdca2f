//! Jobs that wait for the end of others.

use crate::{Invalid, JobId, limits};
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;
use std::fmt;

/// No task of a job starts before this job has ended as needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct After {
    /// The predecessor.
    #[n(0)]
    pub job: JobId,
    /// How it must end.
    #[n(1)]
    pub need: Need,
}

/// How a predecessor must end. One that ends otherwise leaves its dependants `skipped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Need {
    /// Every task succeeded.
    #[n(0)]
    Ok,
    /// However it ended, also when it was skipped.
    #[n(1)]
    Any,
    /// It ran and not every task succeeded, or a user cancelled it. A job that was skipped has not failed: whoever waits for the failure of the job
    /// before it hears of that one.
    #[n(2)]
    Fail,
}

impl Need {
    /// All of them with their names, as users write them.
    pub const NAMES: [(&'static str, Need); 3] = [("ok", Need::Ok), ("any", Need::Any), ("fail", Need::Fail)];

    /// The need of a name.
    pub fn parse(text: &str) -> Option<Need> {
        Need::NAMES.iter().find(|(name, _)| *name == text).map(|(_, need)| *need)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Need::NAMES[self as usize].0
    }

    /// What the predecessor must have done, as in "when job 5 …".
    pub fn words(self) -> &'static str {
        match self {
            Need::Ok => "has succeeded",
            Need::Any => "has ended",
            Need::Fail => "has failed",
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.need.name(), self.job)
    }
}

/// Checks the predecessors of one job: not too many, and each named once, so that what is needed of it is one thing.
pub fn check(all: &[After]) -> Result<(), Invalid> {
    let most = limits::PREDECESSORS_MAX;
    if all.len() > most {
        let remedy =
            format!("a job waits for at most {most} jobs; add a job in between that waits for some of them");
        return Err(Invalid::new("after", format!("{} jobs", all.len()), remedy));
    }
    let mut seen = BTreeSet::new();
    match all.iter().find(|after| !seen.insert(after.job)) {
        Some(twice) => {
            let remedy = format!("job {} is named twice; name it once", twice.job);
            Err(Invalid::new("after", twice, remedy))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_of_number() {
        for (i, (name, need)) in Need::NAMES.iter().enumerate() {
            assert_eq!((*need as usize, need.name(), Need::parse(name)), (i, *name, Some(*need)));
        }
        assert_eq!(Need::parse("done"), None);
    }

    #[test]
    fn predecessors_are_bounded_and_named_once() {
        let after = |job| After { job: JobId(job), need: Need::Ok };
        let many: Vec<After> = (0..=limits::PREDECESSORS_MAX as u64).map(after).collect();
        assert_eq!(check(&many[1..]), Ok(()));
        assert!(check(&many).unwrap_err().remedy.contains("at most 64"));
        let twice = [after(5), After { need: Need::Any, ..after(5) }];
        assert!(check(&twice).unwrap_err().remedy.contains("job 5 is named twice"));
    }
}
