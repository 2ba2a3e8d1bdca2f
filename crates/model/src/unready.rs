//! Why a node takes no work although its agent lives and nobody drains it.

use crate::limits;
use minicbor::{Decode, Encode};
use std::fmt;

/// Why a node whose agent lives takes no work. It keeps what it runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Unready {
    /// Two machines run agents with the node's identity: neither can be trusted to be the only one.
    #[n(0)]
    Quarantined,
    /// Its agent is about to end.
    #[n(1)]
    Stopping,
    /// Its agent says that it cannot run tasks, and why.
    #[n(2)]
    Unfit(#[n(0)] String),
}

impl Unready {
    /// What an agent says of itself, cut to its limit.
    pub fn unfit(reason: &str) -> Unready {
        let fits = |(at, c): (usize, char)| at + c.len_utf8() <= limits::NODE_REASON_BYTES_MAX;
        Unready::Unfit(reason.char_indices().take_while(|c| fits(*c)).map(|(_, c)| c).collect())
    }
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unready::Quarantined => write!(
                f,
                "two machines run agents with this node's identity; give one of them a data directory and a name of its own: \
                 the quarantine ends when only one is left"
            ),
            Unready::Stopping => write!(f, "its agent is stopping"),
            Unready::Unfit(reason) => write!(f, "{reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = "é".repeat(limits::NODE_REASON_BYTES_MAX);
        let Unready::Unfit(cut) = Unready::unfit(&long) else { panic!("not unfit") };
        assert_eq!(cut.len(), limits::NODE_REASON_BYTES_MAX / 2 * 2);
        assert_eq!(Unready::unfit("no memory").to_string(), "no memory");
    }
}
