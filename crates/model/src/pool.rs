//! Pools: nodes that share queues. A queue has its order; a pool says who may pass whom, and where a task goes.

use crate::{Constraint, Invalid};
use minicbor::{Decode, Encode};

/// Who may start before a job that is ahead of it and has no room yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Discipline {
    /// Nobody: the first that does not fit stops the pool.
    #[n(0)]
    Strict,
    /// Everybody who fits. What is large can starve until its queue's `max_wait`.
    #[n(1)]
    Greedy,
    /// Who does not delay the first that does not fit: EASY backfilling (Lifka, JSSPP 1995). Without any expected end in the pool nobody knows
    /// what would delay it: see [`PoolConfig::reserve_after_ms`].
    #[default]
    #[n(2)]
    Easy,
    /// The same, and the shortest candidates are tried first (SJBF: Tsafrir, Etsion, Feitelson, TPDS 2007).
    #[n(3)]
    EasySjf,
    /// Who delays nobody ahead: each job has its planned start (Mu'alem, Feitelson, TPDS 2001).
    #[n(4)]
    Conservative,
}

impl Discipline {
    /// All disciplines with their names, as users write them.
    pub const NAMES: [(&'static str, Discipline); 5] = [
        ("strict", Discipline::Strict),
        ("greedy", Discipline::Greedy),
        ("easy", Discipline::Easy),
        ("easy-sjf", Discipline::EasySjf),
        ("conservative", Discipline::Conservative),
    ];

    /// The discipline of a name.
    pub fn parse(field: &str, text: &str) -> Result<Discipline, Invalid> {
        by_name(&Discipline::NAMES, field, text)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        name_of(&Discipline::NAMES, self)
    }
}

/// Which of the nodes that have room takes a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Placement {
    /// The one with the largest share free of what the task asks for.
    #[default]
    #[n(0)]
    LeastLoaded,
    /// The fullest: whole nodes stay free for what is large.
    #[n(1)]
    BinPack,
    /// The one that has gone longest without getting anything.
    #[n(2)]
    RoundRobin,
    /// The value of a label with the fewest tasks of this kind, and there the least loaded.
    #[n(3)]
    Spread,
    /// The less loaded of two drawn by lot.
    #[n(4)]
    RandomOfTwo,
    /// The same node for the same work as long as it has room: what it has cached is used again.
    #[n(5)]
    Hash,
}

impl Placement {
    /// All strategies with their names, as users write them.
    pub const NAMES: [(&'static str, Placement); 6] = [
        ("least-loaded", Placement::LeastLoaded),
        ("bin-pack", Placement::BinPack),
        ("round-robin", Placement::RoundRobin),
        ("spread", Placement::Spread),
        ("random-of-two", Placement::RandomOfTwo),
        ("hash", Placement::Hash),
    ];

    /// The strategy of a name.
    pub fn parse(field: &str, text: &str) -> Result<Placement, Invalid> {
        by_name(&Placement::NAMES, field, text)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        name_of(&Placement::NAMES, self)
    }
}

pub(crate) fn by_name<T: Copy>(names: &[(&'static str, T)], field: &str, text: &str) -> Result<T, Invalid> {
    let known = names.iter().find(|(name, _)| *name == text);
    known.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        Invalid::new(field, text, format!("one of {}", all.join(", ")))
    })
}

pub(crate) fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, v)| *v == value).map_or("", |(name, _)| name)
}

/// How long the first job that has no room waits for a node to be kept for it, where its start is unknown and nobody has set another time.
const RESERVE_AFTER_MS_DEFAULT: u64 = 600_000;

/// Settings of a pool, replicated.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PoolConfig {
    /// Who may pass whom.
    #[n(0)]
    pub discipline: Discipline,
    /// Where a task goes.
    #[n(1)]
    pub placement: Placement,
    /// The label over which [`Placement::Spread`] spreads; without one each node counts for itself.
    #[n(2)]
    pub spread: Option<String>,
    /// Its nodes. A node belongs to the first pool that selects it; the pool `default` has those that no other selects.
    #[n(3)]
    pub nodes: Constraint,
    /// Where the first job that has no room cannot be planned, as nobody knows when what runs ends: after so long a wait, the node that is nearest to
    /// having room is kept for it. Never, at the largest number.
    #[n(4)]
    pub reserve_after_ms: u64,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            discipline: Discipline::default(),
            placement: Placement::default(),
            spread: None,
            nodes: Constraint::default(),
            reserve_after_ms: RESERVE_AFTER_MS_DEFAULT,
        }
    }
}

impl PoolConfig {
    /// Checks what belongs together.
    pub fn check(&self, name: &str) -> Result<(), Invalid> {
        let is_default = name == PoolConfig::DEFAULT;
        if is_default && !self.nodes.0.is_empty() {
            let remedy =
                "the default pool has the nodes that no other pool selects; create another pool for these";
            return Err(Invalid::new("nodes", &self.nodes, remedy));
        }
        if !is_default && self.nodes.0.is_empty() {
            return Err(Invalid::new(
                "nodes",
                "",
                "give a constraint that selects its nodes, such as zone == a",
            ));
        }
        Ok(())
    }

    /// Name of the pool that is always there.
    pub const DEFAULT: &'static str = "default";
}
