//! The life of a node: its states, what moves it from one to the next, and which of them take work. `docs/lives.md` has the picture; a test
//! here holds it against the transitions.

use crate::{Incarnation, limits};
use minicbor::{Decode, Encode};
use std::borrow::Cow;
use std::fmt;

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// Its agent is connected and takes work.
    Up,
    /// A person lets it take no new work.
    Draining,
    /// Its agent is connected and cannot run tasks now, or is stopping.
    NotReady,
    /// Two machines run agents with its identity: neither can be trusted to be the only one.
    Quarantined,
    /// Its agent was lost or left.
    Down,
    /// It was removed from the cluster; what it still runs ends with its lease.
    Removed,
}

/// The words for a state, in one place: adding a state means one row here.
struct Words {
    /// In the API and on the terminal.
    name: &'static str,
    /// What it says of one node, and of several, as the end of a sentence.
    predicate: [&'static str; 2],
    /// Why such a node takes no task; the reason follows where there is one.
    verdict: &'static str,
}

impl NodeState {
    /// Every state.
    pub const ALL: [NodeState; 6] = [
        NodeState::Up,
        NodeState::Draining,
        NodeState::NotReady,
        NodeState::Quarantined,
        NodeState::Down,
        NodeState::Removed,
    ];

    const fn words(self) -> Words {
        let (name, predicate, verdict) = match self {
            NodeState::Up => ("up", ["is up", "are up"], "up"),
            NodeState::Draining => ("draining", ["is draining", "are draining"], "draining"),
            NodeState::NotReady => ("not_ready", ["is not ready", "are not ready"], "not ready"),
            NodeState::Quarantined => ("quarantined", ["is quarantined", "are quarantined"], "quarantined"),
            NodeState::Down => ("down", ["is down", "are down"], "agent is not connected"),
            NodeState::Removed => ("removed", ["was removed", "were removed"], "removed from the cluster"),
        };
        Words { name, predicate, verdict }
    }

    /// Its name in the API and on the terminal.
    pub const fn name(self) -> &'static str {
        self.words().name
    }

    /// The state of a name.
    pub fn parse(name: &str) -> Option<NodeState> {
        NodeState::ALL.into_iter().find(|state| state.name() == name)
    }

    /// What it says of one node, or of several.
    pub fn predicate(self, several: bool) -> &'static str {
        self.words().predicate[usize::from(several)]
    }

    /// Whether new work is given to a node in this state.
    pub const fn takes_work(self) -> bool {
        matches!(self, NodeState::Up)
    }
}

/// That a node takes no work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unavailable {
    /// Its state.
    pub state: NodeState,
    /// Why, if somebody said so.
    pub reason: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.state.words().verdict;
        match self.reason.as_str() {
            "" => f.write_str(verdict),
            reason => write!(f, "{verdict}: {reason}"),
        }
    }
}

/// What moved a node from one state to another, for event streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeChange {
    /// A life of its agent began.
    Registered,
    /// That life ended: its lease ran out, or the agent left.
    Lost,
    /// A person drained it.
    Drained,
    /// A person lets it take work again.
    Resumed,
    /// Its agent cannot run tasks, or is stopping.
    NotReady,
    /// Another machine runs an agent with its identity.
    Quarantined,
    /// Its agent can run tasks again, or is the only one of its identity again.
    Ready,
    /// A person removed it.
    Removed,
}

/// Everything that decides a node's state. Several things may hold at once: a drained node may be lost and come back, and one whose agent
/// cannot run tasks may be drained meanwhile. So the state is not kept: [`NodeStatus::state`] follows from these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NodeStatus {
    #[n(0)]
    incarnation: Option<Incarnation>,
    #[n(1)]
    drain: Option<Drain>,
    #[n(2)]
    stopping: bool,
    #[n(3)]
    unfit: Option<String>,
    #[n(4)]
    rival: Option<String>,
    #[n(5)]
    removed: bool,
}

/// That a person drained a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Drain {
    /// Why, for people; may be empty.
    #[n(0)]
    pub reason: String,
    /// Who did it.
    #[n(1)]
    pub by: String,
    /// Wall clock of that.
    #[n(2)]
    pub since_wall_ms: u64,
}

/// The transitions, each with what causes it.
impl NodeStatus {
    /// A life of the node's agent begins. `unfit`: why it cannot run tasks yet. `same_boot`: on the machine of the life before, since it was
    /// started last.
    pub fn register(&mut self, incarnation: Incarnation, unfit: Option<&str>, same_boot: bool) {
        // A removed node that comes back is another one: nothing that was said of the old one holds.
        let known = if self.removed { NodeStatus::default() } else { std::mem::take(self) };
        *self = NodeStatus {
            incarnation: Some(incarnation),
            drain: known.drain,
            // Of two machines with one identity, a restart of one leaves the other.
            rival: known.rival.filter(|_| same_boot),
            unfit: unfit.map(cut),
            ..NodeStatus::default()
        };
    }

    /// The life has ended: its lease ran out, or the agent left.
    pub fn lose(&mut self) {
        self.incarnation = None;
    }

    /// A person lets the node take no new work.
    pub fn drain(&mut self, drain: Drain) {
        self.drain = Some(drain);
    }

    /// A person lets it take work again.
    pub fn resume(&mut self) {
        self.drain = None;
        // Resuming a node vouches for it, until the other machine calls again.
        self.rival = None;
    }

    /// The agent is about to end. It can only be followed by another life.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// The agent says whether it can run tasks, and why not.
    pub fn set_health(&mut self, unfit: Option<&str>) {
        self.unfit = unfit.map(cut);
    }

    /// Another machine runs an agent with this identity too, by the boot id of its kernel; or none does any more.
    pub fn set_rival(&mut self, rival: Option<&str>) {
        self.rival = rival.map(str::to_owned);
    }

    /// A person removes the node.
    pub fn remove(&mut self) {
        self.removed = true;
    }
}

impl NodeStatus {
    /// Where the node is. Of several things that hold at once, the one that a person must mend first counts.
    pub fn state(&self) -> NodeState {
        match self.incarnation {
            _ if self.removed => NodeState::Removed,
            None => NodeState::Down,
            Some(_) if self.rival.is_some() => NodeState::Quarantined,
            Some(_) if self.drain.is_some() => NodeState::Draining,
            Some(_) if self.stopping || self.unfit.is_some() => NodeState::NotReady,
            Some(_) => NodeState::Up,
        }
    }

    /// Whether the node takes new work: the one definition, for the planner and for `apply`.
    pub fn takes_work(&self) -> Result<(), Unavailable> {
        match self.state() {
            state if state.takes_work() => Ok(()),
            state => Err(Unavailable { state, reason: self.reason(state).into_owned() }),
        }
    }

    fn reason(&self, state: NodeState) -> Cow<'_, str> {
        match (state, &self.drain) {
            (NodeState::Draining, Some(drain)) => drain.reason.as_str().into(),
            (NodeState::NotReady | NodeState::Quarantined, _) => self.unready().unwrap_or_default(),
            _ => "".into(),
        }
    }

    /// Why its agent gets no work although it lives, whether or not a person drained the node.
    pub fn unready(&self) -> Option<Cow<'_, str>> {
        match &self.unfit {
            _ if self.rival.is_some() => Some(TWO_MACHINES.into()),
            _ if self.stopping => Some("its agent is stopping".into()),
            unfit => unfit.as_deref().map(Cow::from),
        }
    }

    /// What moved it from `before` to this, as far as its agent is concerned.
    pub fn agent_change(&self, before: &NodeStatus) -> Option<NodeChange> {
        match self.unready() {
            // Nothing that the agent of a removed node says makes a difference.
            after if self.removed || after == before.unready() => None,
            None => Some(NodeChange::Ready),
            Some(_) if self.rival.is_some() => Some(NodeChange::Quarantined),
            Some(_) => Some(NodeChange::NotReady),
        }
    }

    /// The life of its agent; `None` when it was lost or left.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// Whether its agent lives, as far as that is known.
    pub fn is_alive(&self) -> bool {
        self.incarnation.is_some()
    }

    /// Who drained it, and why.
    pub fn drained(&self) -> Option<&Drain> {
        self.drain.as_ref()
    }

    /// Whether its agent has said that it is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether two machines run agents with its identity.
    pub fn is_quarantined(&self) -> bool {
        self.rival.is_some()
    }

    /// Whether this is what its agent said last of its health.
    pub fn is_known_health(&self, unfit: Option<&str>) -> bool {
        self.unfit == unfit.map(cut)
    }

    /// Whether it was removed, and has not come back since.
    pub fn is_removed(&self) -> bool {
        self.removed
    }

    /// Whether it was removed and its last life has ended: it is only kept because others refer to it.
    pub fn is_gone(&self) -> bool {
        self.removed && self.incarnation.is_none()
    }
}

const TWO_MACHINES: &str = "two machines run agents with this node's identity; give one of them its own data directory and name: \
                            the quarantine ends when only one is left";

/// What an agent says of itself, within its limit.
fn cut(reason: &str) -> String {
    let fits = |(at, c): (usize, char)| at + c.len_utf8() <= limits::NODE_REASON_BYTES_MAX;
    reason.char_indices().take_while(|c| fits(*c)).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    type Transition = (&'static str, fn(&mut NodeStatus));

    /// Every transition, by the name that `docs/lives.md` gives it.
    const TRANSITIONS: [Transition; 12] = [
        ("register", |status| status.register(Incarnation(1), None, true)),
        ("register", |status| status.register(Incarnation(1), None, false)),
        ("register", |status| status.register(Incarnation(1), Some("x"), true)),
        ("lose", |status| status.lose()),
        ("drain", |status| status.drain(Drain::default())),
        ("resume", |status| status.resume()),
        ("stop", |status| status.stop()),
        ("report unfit", |status| status.set_health(Some("x"))),
        ("report fit", |status| status.set_health(None)),
        ("see a rival", |status| status.set_rival(Some("boot"))),
        ("miss the rival", |status| status.set_rival(None)),
        ("remove", |status| status.remove()),
    ];

    type Edges = BTreeSet<(&'static str, &'static str)>;

    /// Whether `apply` does this to a node as it is: a life begins where none is, and only a life can end, be ill or have a rival.
    fn happens(name: &str, status: &NodeStatus) -> bool {
        match name {
            "drain" | "resume" | "remove" => true,
            "register" => !status.is_alive(),
            _ => status.is_alive(),
        }
    }

    /// By transition, all moves between states that it can cause.
    fn moves() -> BTreeMap<&'static str, Edges> {
        let mut seen = vec![NodeStatus::default()];
        let mut next = VecDeque::from(seen.clone());
        let mut moves = BTreeMap::<_, Edges>::new();
        let mut reached = BTreeSet::new();
        while let Some(before) = next.pop_front() {
            for (name, transition) in TRANSITIONS.into_iter().filter(|(name, _)| happens(name, &before)) {
                let mut after = before.clone();
                transition(&mut after);
                let (from, to) = (before.state(), after.state());
                reached.insert(to);
                let edges = moves.entry(name).or_default();
                if from != to {
                    edges.insert((from.name(), to.name()));
                }
                if !seen.contains(&after) {
                    seen.push(after.clone());
                    next.push_back(after);
                }
            }
        }
        assert_eq!(Vec::from_iter(reached), NodeState::ALL, "each state is reached by some transition");
        assert!(seen.len() > 30, "only {} statuses were examined", seen.len());
        moves
    }

    #[test]
    fn the_picture_in_the_docs_has_exactly_these_transitions() {
        let docs = include_str!("../../../docs/lives.md");
        let (_, node) = docs.split_once("## A node").expect("the life of a node");
        for (name, edges) in moves() {
            let row = node.lines().find(|line| line.starts_with(&format!("| {name} |")));
            let row = row.unwrap_or_else(|| panic!("docs/lives.md has no row for \"{name}\""));
            let shown: BTreeSet<_> =
                row.split('`').skip(1).step_by(2).filter_map(|edge| edge.split_once(" → ")).collect();
            assert_eq!(shown, edges, "docs/lives.md, row \"{name}\"");
        }
        let rows = node.lines().filter(|line| line.contains(" → ") && line.starts_with("| ")).count();
        assert_eq!(rows, moves().len(), "a row for each transition and no more");
    }

    #[test]
    fn each_state_has_its_name() {
        for state in NodeState::ALL {
            assert_eq!(NodeState::parse(state.name()), Some(state));
        }
        assert!(NodeState::ALL.is_sorted());
        assert_eq!(NodeState::parse("ill"), None);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut status = NodeStatus::default();
        status.register(Incarnation(1), None, false);
        let long = "é".repeat(limits::NODE_REASON_BYTES_MAX);
        status.set_health(Some(&long));
        assert_eq!(status.unready().map(|why| why.len()), Some(limits::NODE_REASON_BYTES_MAX / 2 * 2));
        assert!(status.is_known_health(Some(&long)), "the agent is not asked again and again");
        status.set_health(Some("no memory"));
        assert_eq!(status.takes_work().unwrap_err().to_string(), "not ready: no memory");
    }
}
