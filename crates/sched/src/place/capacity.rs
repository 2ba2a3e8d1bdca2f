//! What each node has free as the pass uses it up, and the sets of nodes that are searched.

use super::candidates::{CandidateSet, NodeQuery, SlotView};
use super::placed::{Placed, PlacedTask};
use super::remaining::Remaining;
use super::smallest::SmallestRequest;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::resources::place_gpus;
use taskyard_model::{ClassHead, ClassId, ClassView, JobId, NodeView, OtherLoad, PoolId, Room, Rule, View};

/// A node that had room for something when the pass began. Kept apart from the view so that looking for a node runs
/// through little memory.
struct NodeSlot {
    /// Index into `View::nodes`. Slots are in its order.
    node: u32,
    cpu: u64,
    memory: u64,
    /// Index into `FreeCapacity::placed` once something was placed here.
    placed: Option<u32>,
    /// Kept for this job: nothing more goes here.
    kept: Option<JobId>,
    /// Not even the smallest task that waits has room here.
    full: bool,
    /// When it last got something.
    given: u64,
    /// The first of its places in sets.
    link: Option<usize>,
}

/// Later than any entry of the log: what a pass gives, it gives last.
const GIVEN_NOW: u64 = 1 << 47;

/// This many sets are compared one by one before the map is asked: most clusters have no more.
const SETS_LOOKED_THROUGH: usize = 4;
/// With more slots than these, [`FreeCapacity::largest`] stays what it was when the pass began: one placement changes
/// little.
const EXACT_LARGEST_SLOTS_MAX: usize = 16;

/// The most cpu and the most memory of slots.
fn largest_free(slots: &[NodeSlot]) -> (u64, u64) {
    slots.iter().fold((0, 0), |(cpu, memory), slot| (cpu.max(slot.cpu), memory.max(slot.memory)))
}

/// Where a slot stands in a set.
#[derive(Clone, Copy)]
struct SetLink {
    set: usize,
    position: usize,
    /// The slot's next link.
    next: Option<usize>,
}

/// All nodes with room, and what the pass has looked at so far.
pub(crate) struct FreeCapacity<'v> {
    pub(crate) view: &'v View,
    /// By position of the node in the view; nothing is known of nodes beyond its end.
    pub(crate) other_load: &'v [OtherLoad],
    smallest: SmallestRequest,
    /// At least the most cpu and the most memory that any one slot has.
    largest: (u64, u64),
    slots: Vec<NodeSlot>,
    placed: Vec<Placed<'v>>,
    /// Nodes (indexes) that are kept for jobs whose start is unknown, also those that have no room at all.
    pub(crate) kept: Vec<(u32, JobId)>,
    /// Where tasks of classes are that run apart by a label: its values. Only of classes for which a place was looked
    /// for.
    domains: BTreeMap<ClassId, BTreeSet<&'v str>>,
    sets: Vec<CandidateSet<'v>>,
    /// Without the first ones.
    set_of: BTreeMap<NodeQuery<'v>, usize>,
    /// Tasks placed, and looks for a place.
    searches: u64,
    links: Vec<SetLink>,
    /// Slots neither full nor kept.
    open: usize,
    /// Nodes looked at.
    pub(crate) nodes_examined: u64,
}

impl<'v> FreeCapacity<'v> {
    pub(crate) fn new(view: &'v View, other_load: &'v [OtherLoad], holds: bool) -> Self {
        let smallest = SmallestRequest::of(view, holds);
        let has_room = |n: &NodeView| {
            smallest.has_room(n.free.cpu_milli, n.free.memory, n.running)
                && n.takes_work().is_ok()
                && !n.alone
        };
        let slots: Vec<NodeSlot> = (0u32..)
            .zip(&view.nodes)
            .filter(|(_, n)| has_room(n))
            .map(|(node, n)| NodeSlot {
                node,
                cpu: n.free.cpu_milli,
                memory: n.free.memory,
                placed: None,
                kept: None,
                full: false,
                given: n.given,
                link: None,
            })
            .collect();
        let open = slots.len();
        // This loop does little for each node: sixteen count as one that is examined for a class.
        let nodes_examined = view.nodes.len() as u64 / 16;
        FreeCapacity {
            view,
            other_load,
            smallest,
            largest: largest_free(&slots),
            slots,
            placed: Vec::new(),
            kept: Vec::new(),
            domains: BTreeMap::new(),
            sets: Vec::new(),
            set_of: BTreeMap::new(),
            searches: 0,
            links: Vec::new(),
            open,
            nodes_examined,
        }
    }

    /// Whether any node could take even the smallest task.
    pub(crate) fn has_open_slot(&self) -> bool {
        self.open > 0
    }

    /// Whether a node might have room for the first task of a class: no promise that it has.
    pub(crate) fn may_have_room(&self, head: &ClassHead) -> bool {
        head.cpu_milli <= self.largest.0 && head.memory <= self.largest.1
    }

    /// The set of nodes of a pool to search for a class, as an index.
    pub(crate) fn candidates(&mut self, pool: PoolId, class: &'v ClassView) -> usize {
        if class.affinity.apart_by.is_some() && !self.domains.contains_key(&class.id) {
            self.nodes_examined += self.view.nodes.len() as u64 / 16;
            self.domains.insert(class.id, self.view.domains(class).collect());
        }
        let query = NodeQuery::of(self.view, pool, class);
        // Most clusters have few; with many, looking through all of them for each class would be quadratic.
        let first = self.sets.iter().take(SETS_LOOKED_THROUGH).position(|set| set.query == query);
        if let Some(set) = first.or_else(|| self.set_of.get(&query).copied()) {
            return set;
        }
        self.nodes_examined += self.slots.len() as u64;
        let index = self.sets.len();
        let all = 0..u32::try_from(self.slots.len()).expect("within NODES_MAX");
        let slots: Vec<u32> =
            all.filter(|slot| query.allow(self.node(&self.slots[*slot as usize]))).collect();
        let set = CandidateSet::new(self.view, query.clone(), slots, |slot| self.seen(slot));
        for (position, slot) in set.slots.iter().enumerate() {
            let slot = &mut self.slots[*slot as usize];
            self.links.push(SetLink { set: index, position, next: slot.link });
            slot.link = Some(self.links.len() - 1);
        }
        self.sets.push(set);
        if index >= SETS_LOOKED_THROUGH {
            self.set_of.insert(query, index);
        }
        index
    }

    /// The node of a set that the pool's placement wants for one task, as a slot. `allowed` says of a node (an index)
    /// on which the task fits whether it may start there.
    pub(crate) fn find(
        &mut self,
        set: usize,
        class: &ClassView,
        allowed: impl Fn(u32) -> Result<(), Rule>,
    ) -> Option<u32> {
        self.searches += 1;
        // Other lots for each task and in each pass, and the same ones on each replica.
        let draw = self.searches ^ self.view.now_ms << 20;
        let set = &self.sets[set];
        let mut nodes_examined = 1;
        let fits = |position: usize| {
            nodes_examined += 1;
            let slot = &self.slots[set.slots[position] as usize];
            slot.kept.is_none() && self.fits(slot, class).is_ok() && allowed(slot.node).is_ok()
        };
        let slot = set.find(class, draw, fits).map(|position| set.slots[position]);
        self.nodes_examined += nodes_examined;
        slot
    }

    /// Places one task of a class in a slot that [`FreeCapacity::find`] gave. Returns the devices that it gets.
    pub(crate) fn place(&mut self, class: &'v ClassView, index: u32) -> Vec<(u16, u32)> {
        let request = &class.request;
        let slot = &mut self.slots[index as usize];
        let node = &self.view.nodes[slot.node as usize];
        let placed = *slot.placed.get_or_insert_with(|| {
            self.placed.push(Placed {
                remaining: Remaining::of(node.room()),
                tasks: Vec::new(),
                apart: Vec::new(),
            });
            u32::try_from(self.placed.len() - 1).expect("no more than there are nodes")
        });
        let placed = &mut self.placed[placed as usize];
        let gpus = place_gpus(&placed.remaining.gpu_free, request.gpu_milli).expect("it fits");
        placed.remaining.take(request, &gpus);
        slot.cpu = placed.remaining.free.cpu_milli;
        slot.memory = placed.remaining.free.memory;
        slot.given = GIVEN_NOW + self.searches;
        let full = placed.remaining.alone
            || !self.smallest.has_room(slot.cpu, slot.memory, placed.remaining.running);
        if class.affinity.is_apart() {
            placed.apart.push(class.id);
        }
        if let Some((domain, taken)) =
            class.affinity.domain(&node.labels).zip(self.domains.get_mut(&class.id))
        {
            taken.insert(domain);
        }
        if class.span.expected_ms().is_some() {
            placed.tasks.push(PlacedTask { span: class.span, request, gpus: gpus.clone() });
        }
        if full {
            slot.full = true;
            self.open -= 1;
        }
        self.update_sets(index, Some(class.id));
        if self.slots.len() <= EXACT_LARGEST_SLOTS_MAX {
            self.largest = largest_free(&self.slots);
        }
        gpus
    }

    /// Tells the sets of a slot that it has changed; by one more task of a class, if so.
    fn update_sets(&mut self, index: u32, class: Option<ClassId>) {
        let mut link = self.slots[index as usize].link;
        // Sets and slots are apart from each other, so that the one may be changed by a look at the other.
        let mut sets = std::mem::take(&mut self.sets);
        while let Some(at) = link {
            let SetLink { set, position, next } = self.links[at];
            let set = &mut sets[set];
            set.update(position, self.seen(index));
            if let Some(class) = class {
                for fellow in set.spread(position, class) {
                    let slot = set.slots[fellow];
                    set.update(fellow, self.seen(slot));
                }
            }
            link = next;
        }
        self.sets = sets;
    }

    fn seen(&self, slot: u32) -> SlotView<'_> {
        let slot = &self.slots[slot as usize];
        let shut = slot.full || slot.kept.is_some();
        let other_load = self.other_load.get(slot.node as usize);
        SlotView { node: self.node(slot), room: self.room(slot), given: slot.given, other_load, shut }
    }

    /// Keeps every node that could ever take a class for one job: nothing more is placed there in this pass.
    pub(crate) fn keep_all_for(&mut self, job: JobId, class: &ClassView) {
        self.nodes_examined += self.slots.len() as u64;
        for index in 0..self.slots.len() {
            let node = &self.view.nodes[self.slots[index].node as usize];
            if self.view.could_hold(node, class).is_ok() {
                self.keep_slot(job, index);
            }
        }
    }

    /// Keeps some nodes (indexes) for one job.
    pub(crate) fn keep_nodes(&mut self, job: JobId, nodes: &[u32]) {
        for node in nodes {
            if let Ok(index) = self.slots.binary_search_by_key(node, |slot| slot.node) {
                self.keep_slot(job, index);
            }
        }
        self.kept.extend(nodes.iter().map(|node| (*node, job)));
    }

    fn keep_slot(&mut self, job: JobId, index: usize) {
        let slot = &mut self.slots[index];
        if slot.kept.is_none() {
            slot.kept = Some(job);
            self.open -= usize::from(!slot.full);
            self.update_sets(u32::try_from(index).expect("within NODES_MAX"), None);
        }
    }

    /// The node of a slot, as an index into `View::nodes`.
    pub(crate) fn node_of(&self, slot: u32) -> u32 {
        self.slots[slot as usize].node
    }

    /// Why a node does not take one more such task of a job now, at the end of the pass; `Ok` if it does.
    pub(crate) fn rule(
        &self,
        node: &NodeView,
        class: &ClassView,
        of: JobId,
        allowed: impl Fn(u32) -> Result<(), Rule>,
    ) -> Result<(), Rule> {
        let index = node.id.0.checked_sub(1).expect("nodes count from 1");
        let Ok(slot) = self.slots.binary_search_by_key(&index, |slot| slot.node) else {
            return self.view.fits(node, class);
        };
        let slot = &self.slots[slot];
        if let Some(job) = slot.kept.filter(|job| *job != of) {
            // What would keep it from there anyway says more.
            self.view.could_hold(node, class)?;
            return Err(Rule::ReservedFor(job));
        }
        self.fits(slot, class)?;
        allowed(slot.node)
    }

    fn node(&self, slot: &NodeSlot) -> &'v NodeView {
        &self.view.nodes[slot.node as usize]
    }

    fn fits(&self, slot: &NodeSlot, class: &ClassView) -> Result<(), Rule> {
        let node = self.node(slot);
        self.view.fits_room(node, self.room(slot), class)?;
        if class.affinity.is_apart() {
            let here = slot.placed.is_some_and(|placed| self.placed[placed as usize].has_apart(class.id));
            if here || node.has(class.id) {
                return Err(Rule::Apart);
            }
            self.apart_by_label(node, class)?;
        }
        Ok(())
    }

    fn apart_by_label(&self, node: &NodeView, class: &ClassView) -> Result<(), Rule> {
        let Some(domain) = class.affinity.domain(&node.labels) else { return Ok(()) };
        let taken = match self.domains.get(&class.id) {
            Some(taken) => taken.contains(domain),
            None => self.view.domains(class).any(|taken| taken == domain),
        };
        if taken { Err(class.affinity.apart_from(domain)) } else { Ok(()) }
    }

    fn room(&self, slot: &NodeSlot) -> Room<'_> {
        let placed = slot.placed.map(|placed| self.placed[placed as usize].remaining.room());
        placed.unwrap_or_else(|| self.node(slot).room())
    }

    /// What is left on a node (an index) now.
    pub(crate) fn remaining(&self, node: u32) -> Remaining {
        let placed = self.placed(node).map(|placed| placed.remaining.clone());
        placed.unwrap_or_else(|| Remaining::of(self.view.nodes[node as usize].room()))
    }

    /// What was placed on a node (an index), if anything.
    pub(crate) fn placed(&self, node: u32) -> Option<&Placed<'v>> {
        let slot = self.slots.binary_search_by_key(&node, |slot| slot.node).ok()?;
        self.slots[slot].placed.map(|placed| &self.placed[placed as usize])
    }
}
