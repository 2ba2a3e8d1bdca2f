//! Agents that call with the identity of one that is alive: a data directory or a disk was copied, and both copies run.
//!
//! The second is refused until the lease of the first has run out. If they run on two machines, which their boot ids
//! tell, it is unknown which is the right one, so the node is quarantined until only one of them is left.

use super::Agents;
use crate::clock::boot_ms;
use std::collections::BTreeMap;
use taskyard_model::{Incarnation, NodeId};
use taskyard_state::{Command, Node};

/// The last agents that were refused because another of their identity is alive, by the name of the node.
#[derive(Default)]
pub(super) struct Rivals(BTreeMap<String, Rival>);

/// One of them. CLOCK_BOOTTIME in milliseconds.
struct Rival {
    boot_id: String,
    first_ms: u64,
    last_ms: u64,
}

/// What the state says of the agent that was registered.
struct Registered<'a> {
    node: NodeId,
    incarnation: Incarnation,
    name: &'a str,
    boot_id: &'a str,
    quarantined: bool,
}

impl<'a> Registered<'a> {
    fn of(node: &'a Node) -> Option<Registered<'a>> {
        let (head, registered) = (&node.head, &node.head.registered);
        Some(Registered {
            node: head.id,
            incarnation: head.status.incarnation()?,
            name: &registered.name,
            boot_id: &registered.boot_id,
            quarantined: head.status.is_quarantined(),
        })
    }
}

impl Rivals {
    fn called(&mut self, name: &str, boot_id: &str, now_ms: u64) {
        match self.0.get_mut(name).filter(|rival| rival.boot_id == boot_id) {
            Some(rival) => rival.last_ms = now_ms,
            None => {
                let rival = Rival { boot_id: boot_id.to_owned(), first_ms: now_ms, last_ms: now_ms };
                self.0.insert(name.to_owned(), rival);
            }
        }
    }

    /// Forgets those that have not called for that long.
    fn drop_silent(&mut self, now_ms: u64, silent_ms: u64) {
        self.0.retain(|_, rival| now_ms.saturating_sub(rival.last_ms) <= silent_ms);
    }

    /// Whether a node is to be quarantined, and for whose sake, or not any more; if that is news. `heard_ms` is when
    /// the registered agent was last heard of.
    fn verdict(&self, of: &Registered<'_>, heard_ms: u64) -> Option<Option<&str>> {
        let rival = self.0.get(of.name).filter(|rival| rival.boot_id != of.boot_id);
        match rival {
            // Both live: the first was heard of after the second had called.
            Some(rival) if !of.quarantined && heard_ms > rival.first_ms => Some(Some(&rival.boot_id)),
            None if of.quarantined => Some(None),
            _ => None,
        }
    }
}

impl Agents {
    /// An agent of this name was refused because another is alive.
    pub(crate) fn called_too(&self, name: &str, boot_id: &str) {
        self.0.rivals.lock().called(name, boot_id, boot_ms());
    }

    /// Forgets those that have not called for that long.
    pub(crate) fn drop_silent_rivals(&self, silent_ms: u64) {
        self.0.rivals.lock().drop_silent(boot_ms(), silent_ms);
    }

    /// A person says that there is no other agent of this name any more.
    pub(crate) fn forget_rival(&self, name: &str) {
        self.0.rivals.lock().0.remove(name);
    }

    pub(crate) fn quarantine(&self, node: &Node) -> Option<Command> {
        let of = Registered::of(node)?;
        let heard_ms = self.last_heard_ms(of.node, of.incarnation).unwrap_or(0);
        let rivals = self.0.rivals.lock();
        let rival = rivals.verdict(&of, heard_ms)?.map(str::to_owned);
        Some(Command::Quarantine { node: of.node, incarnation: of.incarnation, rival })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_machines_that_both_live_are_quarantined_until_one_is_left() {
        let registered = |quarantined| Registered {
            node: NodeId(1),
            incarnation: Incarnation(1),
            name: "n1",
            boot_id: "ours",
            quarantined,
        };
        let (alone, quarantined) = (registered(false), registered(true));
        let mut rivals = Rivals::default();
        assert_eq!(rivals.verdict(&alone, 1_000), None);
        rivals.called("n1", "ours", 2_000);
        assert_eq!(
            rivals.verdict(&alone, 3_000),
            None,
            "a copy on the same machine is refused, and that is all"
        );
        rivals.called("n1", "other", 4_000);
        assert_eq!(rivals.verdict(&alone, 3_000), None, "the first may have died with its machine");
        assert_eq!(rivals.verdict(&alone, 5_000), Some(Some("other")));
        assert_eq!(rivals.verdict(&quarantined, 5_000), None, "once");
        rivals.called("n1", "other", 6_000);
        rivals.drop_silent(16_000, 10_000);
        assert_eq!(rivals.verdict(&quarantined, 16_000), None);
        rivals.drop_silent(16_001, 10_000);
        assert_eq!(rivals.verdict(&quarantined, 16_001), Some(None));
        assert_eq!(rivals.verdict(&alone, 16_001), None);
    }
}
