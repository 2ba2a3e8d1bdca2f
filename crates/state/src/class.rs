//! Classes: work that is alike is planned once. A class is made with its first job and its place is used again after its last.

use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::{Affinity, ClassId, Constraint, JobId, PartyId, QueueId, Request, Span};

/// What makes waiting work alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) struct Class {
    #[n(0)]
    pub(crate) queue: QueueId,
    #[n(1)]
    pub(crate) owner: String,
    #[n(2)]
    pub(crate) request: Request,
    #[n(3)]
    pub(crate) constraint: Constraint,
    #[n(4)]
    #[cbor(default)]
    pub(crate) span: Span,
    #[n(5)]
    #[cbor(default)]
    pub(crate) party: PartyId,
    #[n(6)]
    #[cbor(default)]
    pub(crate) affinity: Affinity,
    /// Its only job, where tasks of one are to run apart: then tasks of the class are tasks of the job.
    #[n(7)]
    pub(crate) only: Option<JobId>,
}

/// Which class there is already, and which places are free.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClassIndex {
    ids: BTreeMap<Class, ClassId>,
    free: BTreeSet<ClassId>,
}

impl ClassIndex {
    pub(crate) fn find(&self, class: &Class) -> Option<ClassId> {
        self.ids.get(class).copied()
    }

    /// A place for a new class: one that is free, or `next`.
    pub(crate) fn claim(&mut self, class: Class, next: ClassId) -> ClassId {
        let id = self.free.pop_first().unwrap_or(next);
        self.ids.insert(class, id);
        id
    }

    /// Knows the class at a place of a state that was read, or that nothing is there.
    pub(crate) fn know(&mut self, id: ClassId, class: Option<&Class>) {
        match class {
            Some(class) => drop(self.ids.insert(class.clone(), id)),
            None => drop(self.free.insert(id)),
        }
    }

    /// A class has no job left.
    pub(crate) fn release(&mut self, id: ClassId, class: &Class) {
        self.ids.remove(class);
        self.free.insert(id);
    }

    /// A class is another one from now on, at the same place.
    pub(crate) fn replace(&mut self, before: &Class, after: Class) {
        if let Some(id) = self.ids.remove(before) {
            self.ids.insert(after, id);
        }
    }
}
