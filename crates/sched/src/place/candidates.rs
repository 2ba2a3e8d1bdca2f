//! Sets of nodes to search: those that one pool and constraint allow, in the order in which the pool's placement
//! prefers them.
//!
//! Classes that ask for the same resources under the same constraint share a set, whatever amounts they ask for; under
//! the placement `spread` each class has its own, because what it has where is what counts.

use super::tree::{RankTree, Summary};
use taskyard_model::affinity::Preference;
use taskyard_model::{
    Amounts, ClassId, ClassView, Constraint, NodeView, OtherLoad, Placement, PoolId, Request, Room, View,
};

/// What decides which nodes come into question and in which order. The amounts do not matter for either.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeQuery<'v> {
    pub(crate) pool: PoolId,
    pub(crate) placement: Placement,
    constraint: &'v Constraint,
    prefer: &'v [Preference],
    /// Under `spread`.
    class: Option<ClassId>,
    cpu: bool,
    memory: bool,
    gpu: bool,
    named: Vec<&'v str>,
}

impl<'v> NodeQuery<'v> {
    pub(crate) fn of(view: &'v View, pool: PoolId, class: &'v ClassView) -> Self {
        let Request { amounts, gpu_milli, .. } = &class.request;
        let named: Vec<&str> =
            amounts.named.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name.as_str()).collect();
        let (memory, gpu) = (amounts.memory > 0, *gpu_milli > 0);
        // Tasks that ask for nothing are spread by cpu.
        let cpu = amounts.cpu_milli > 0 || !(memory || gpu || !named.is_empty());
        let placement = view.pool(pool).map(|pool| pool.config.placement).unwrap_or_default();
        let (constraint, prefer) = (&class.constraint, class.affinity.prefer.as_slice());
        let class = (placement == Placement::Spread).then_some(class.id);
        NodeQuery { pool, placement, constraint, prefer, class, cpu, memory, gpu, named }
    }

    pub(crate) fn allow(&self, node: &NodeView) -> bool {
        node.pool == self.pool && self.constraint.broken(&node.labels).is_none()
    }

    /// The least share that is free of what is asked for, in thousandths.
    fn free(&self, node: &NodeView, room: Room<'_>, other_load: OtherLoad) -> u32 {
        let all = &node.capacity.amounts;
        let mut least = 1_000;
        if self.cpu {
            least = least.min(share(room.free.cpu_milli.saturating_sub(other_load.cpu_milli), all.cpu_milli));
        }
        if self.memory {
            least = least.min(share(room.free.memory.saturating_sub(other_load.memory), all.memory));
        }
        if self.gpu {
            let free: u64 = room.gpu_free.iter().copied().map(u64::from).sum();
            least = least.min(share(free, u64::from(node.capacity.gpus) * 1_000));
        }
        for name in &self.named {
            let of = |amounts: &Amounts| amounts.named.get(*name).copied().unwrap_or(0);
            least = least.min(share(of(room.free), of(all)));
        }
        least
    }

    /// The same with what is used besides Taskyard; `free` is what reservations leave.
    fn idle(&self, node: &NodeView, room: Room<'_>, other_load: Option<&OtherLoad>, free: u64) -> u64 {
        other_load.map_or(free, |other_load| self.free(node, room, *other_load).into())
    }

    /// A node's place in the order, the best highest, at least 1. `fellows`: tasks of the class where it is, under
    /// `spread`.
    fn rank(&self, seen: SlotView<'_>, fellows: u32) -> u64 {
        const LIKED_FROM: i32 = 2_000;
        let SlotView { node, room, given, other_load, .. } = seen;
        let liked: i32 = self.prefer.iter().filter(|p| p.term.holds(&node.labels)).map(|p| p.weight).sum();
        let liked = u64::from((liked + LIKED_FROM).unsigned_abs());
        let free = u64::from(self.free(node, room, OtherLoad::default()));
        match self.placement {
            // Reservations decide between machines that are equally busy, such as several agents on one.
            Placement::LeastLoaded => {
                1 + ((liked * 10 + self.idle(node, room, other_load, free)) << 32) + liked * 10 + free
            }
            Placement::RandomOfTwo | Placement::Hash => 1 + liked * 10 + free,
            Placement::BinPack => 1 + liked * 10 + 1_000 - free,
            Placement::RoundRobin => (liked << 48) + ((1 << 48) - given.min((1 << 48) - 1)),
            Placement::Spread => (u64::from(u32::MAX - fellows) << 24) + liked * 10 + free + 1,
        }
    }
}

/// A set.
pub(crate) struct CandidateSet<'v> {
    pub(crate) query: NodeQuery<'v>,
    /// Slots by position.
    pub(crate) slots: Vec<u32>,
    pub(crate) tree: RankTree,
    spread: Option<Spread>,
    /// Points on a ring, with the positions of their nodes.
    ring: Vec<(u64, u32)>,
}

/// Where the tasks of a class are, by value of a label.
struct Spread {
    /// By position.
    domains: Vec<usize>,
    /// Tasks by domain.
    counts: Vec<u32>,
}

/// A slot as a set sees it.
#[derive(Clone, Copy)]
pub(crate) struct SlotView<'a> {
    pub(crate) node: &'a NodeView,
    pub(crate) room: Room<'a>,
    pub(crate) given: u64,
    pub(crate) other_load: Option<&'a OtherLoad>,
    /// It takes nothing more.
    pub(crate) shut: bool,
}

impl<'v> CandidateSet<'v> {
    pub(crate) fn new<'a>(
        view: &View,
        query: NodeQuery<'v>,
        slots: Vec<u32>,
        seen: impl Fn(u32) -> SlotView<'a>,
    ) -> Self {
        let spread =
            query.class.map(|class| Spread::of(view, &query, class, slots.iter().map(|r| seen(*r).node)));
        let ring = match query.placement {
            Placement::Hash => ring(slots.iter().map(|r| seen(*r).node)),
            _ => Vec::new(),
        };
        let mut set = CandidateSet { query, slots, tree: RankTree::new(std::iter::empty()), spread, ring };
        let summaries =
            set.slots.iter().enumerate().map(|(position, slot)| set.summary(seen(*slot), position));
        set.tree = RankTree::new(summaries);
        set
    }

    /// Takes note that a slot has changed.
    pub(crate) fn update(&mut self, position: usize, seen: SlotView<'_>) {
        let summary = self.summary(seen, position);
        self.tree.set(position, summary);
    }

    fn summary(&self, seen: SlotView<'_>, position: usize) -> Summary {
        if seen.shut {
            return Summary::default();
        }
        let fellows = self.spread.as_ref().map_or(0, |spread| spread.counts[spread.domains[position]]);
        let rank = self.query.rank(seen, fellows);
        Summary::of(rank, seen.room.free.cpu_milli, seen.room.free.memory)
    }

    /// Counts a task placed at a position under `spread`; answers with the positions whose rank is another one now.
    pub(crate) fn spread(&mut self, position: usize, class: ClassId) -> Vec<usize> {
        let Some(spread) = self.spread.as_mut().filter(|_| self.query.class == Some(class)) else {
            return Vec::new();
        };
        let domain = spread.domains[position];
        spread.counts[domain] += 1;
        (0..spread.domains.len()).filter(|&p| spread.domains[p] == domain).collect()
    }

    /// The position that the placement wants for one task of a class, among those that fit. `draw` numbers the lots of
    /// a pass.
    pub(crate) fn find(
        &self,
        class: &ClassView,
        draw: u64,
        mut fits: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let amounts = &class.request.amounts;
        let best = self.tree.find(amounts.cpu_milli, amounts.memory, &mut fits)?;
        let other = match self.query.placement {
            Placement::RandomOfTwo => self.one_of_two(class, draw, fits),
            Placement::Hash => self.on_ring(class, fits),
            _ => None,
        };
        Some(other.unwrap_or(best))
    }

    /// The better of two drawn by lot, of those that fit. After a few lots without any, the best of all will do.
    fn one_of_two(&self, class: &ClassView, draw: u64, mut fits: impl FnMut(usize) -> bool) -> Option<usize> {
        const LOTS: u64 = 8;
        let seed = mix(draw ^ u64::from(class.id.0) << 32);
        let one_of =
            |lot: u64| usize::try_from(lot % self.slots.len() as u64).expect("less than there are slots");
        let drawn = (0..LOTS).map(|n| one_of(mix(seed ^ n)));
        let two = drawn.filter(|&position| fits(position)).take(2);
        two.max_by_key(|&position| (self.tree.rank(position), std::cmp::Reverse(position)))
    }

    /// The first on the ring, from the key's point on, that fits.
    fn on_ring(&self, class: &ClassView, mut fits: impl FnMut(usize) -> bool) -> Option<usize> {
        let key = match &class.affinity.locality {
            Some(key) => hash(key.as_bytes()),
            None => mix(u64::from(class.party.0)),
        };
        let from = self.ring.partition_point(|(point, _)| *point < key);
        let (behind, ahead) = self.ring.split_at(from);
        ahead.iter().chain(behind).map(|(_, position)| *position as usize).find(|position| fits(*position))
    }
}

impl Spread {
    fn of<'a>(
        view: &View,
        query: &NodeQuery<'_>,
        class: ClassId,
        slots: impl Iterator<Item = &'a NodeView>,
    ) -> Spread {
        let label = view.pool(query.pool).and_then(|pool| pool.config.spread.as_deref());
        let value = |node: &'a NodeView| match label {
            Some(label) => node.labels.get(label).map_or("", String::as_str),
            None => node.name.as_str(),
        };
        let mut values: Vec<&str> = Vec::new();
        let mut known = std::collections::BTreeMap::new();
        let domains = slots
            .map(|node| {
                *known.entry(value(node)).or_insert_with(|| {
                    values.push(value(node));
                    values.len() - 1
                })
            })
            .collect();
        let mut counts = vec![0; values.len()];
        let of_label = |node: &NodeView| match label {
            Some(label) => node.labels.get(label).cloned().unwrap_or_default(),
            None => node.name.clone(),
        };
        for node in view.nodes.iter().filter(|node| query.allow(node)) {
            let here = node.by_class.get(&class).map_or(0, |here| here.running + here.prefetched);
            if here > 0
                && let Some(domain) = known.get(of_label(node).as_str())
            {
                counts[*domain] += here;
            }
        }
        Spread { domains, counts }
    }
}

/// Several points for each node, so that what a node leaves is taken over by many.
fn ring<'a>(nodes: impl Iterator<Item = &'a NodeView>) -> Vec<(u64, u32)> {
    const POINTS: u64 = 32;
    let mut ring = Vec::new();
    for (position, node) in (0u32..).zip(nodes) {
        let name = hash(node.name.as_bytes());
        ring.extend((0..POINTS).map(|n| (mix(name ^ n), position)));
    }
    ring.sort_unstable();
    ring
}

/// FNV-1a, mixed: the same on every machine and in every version.
fn hash(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Per mille of `all` that is free; 1,000 of nothing.
fn share(free: u64, all: u64) -> u32 {
    let of_thousand = free.saturating_mul(1_000).checked_div(all).unwrap_or(1_000);
    u32::try_from(of_thousand.min(1_000)).unwrap_or(1_000)
}
