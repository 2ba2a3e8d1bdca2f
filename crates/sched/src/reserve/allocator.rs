//! Free capacity together with what of it is reserved: where a task may start now.

use super::table::Reservations;
use crate::place::FreeCapacity;
use taskyard_model::{ClassView, JobId, NodeView, OtherLoad, Rule, View};

/// What a pass takes nodes from.
pub(crate) struct Allocator<'v> {
    pub(crate) capacity: FreeCapacity<'v>,
    pub(crate) reservations: Reservations<'v>,
}

impl<'v> Allocator<'v> {
    pub(crate) fn new(view: &'v View, other_load: &'v [OtherLoad], holds: bool) -> Self {
        Allocator {
            capacity: FreeCapacity::new(view, other_load, holds),
            reservations: Reservations::default(),
        }
    }

    /// The node of a set that the pool's placement prefers for one task and on which no reservation is in its way, as a
    /// slot.
    pub(crate) fn find(&mut self, set: usize, class: &ClassView) -> Option<u32> {
        let Allocator { capacity, reservations } = self;
        if reservations.not_before_ms().is_some() {
            return None;
        }
        let now_ms = capacity.view.now_ms;
        capacity.find(set, class, |node| reservations.allow(now_ms, node, class))
    }

    /// Places one task of a class in a slot that [`Allocator::find`] gave.
    pub(crate) fn place(&mut self, class: &'v ClassView, slot: u32) {
        let gpus = self.capacity.place(class, slot);
        self.reservations.placed(self.capacity.view.now_ms, self.capacity.node_of(slot), class, &gpus);
    }

    /// Why a node does not take one more such task of a job now, at the end of the pass; `Ok` if it does.
    pub(crate) fn rule(&self, node: &NodeView, class: &ClassView, of: JobId) -> Result<(), Rule> {
        let now_ms = self.capacity.view.now_ms;
        self.capacity.rule(node, class, of, |node| self.reservations.allow(now_ms, node, class))
    }
}
