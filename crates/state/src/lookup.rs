//! Where to find things in the core, and sums over it: derived from it, like the view, and not in snapshots.

use crate::accounts::AccountIndex;
use crate::class::ClassIndex;
use crate::memory::Memory;
use crate::usage::Meter;
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::JobId;

#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup {
    pub(crate) classes: ClassIndex,
    pub(crate) accounts: AccountIndex,
    pub(crate) dependants: Dependants,
    /// Jobs that wait for an instant of the wall clock.
    pub(crate) instants: BTreeSet<JobId>,
    pub(crate) memory: Memory,
    pub(crate) meter: Meter,
}

/// By job, those that wait for its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dependants(BTreeMap<JobId, BTreeSet<JobId>>);

impl Dependants {
    /// An unfinished job waits for these.
    pub(crate) fn add(&mut self, id: JobId, waits: &BTreeSet<JobId>) {
        for predecessor in waits {
            self.0.entry(*predecessor).or_default().insert(id);
        }
    }

    /// A job ended while it waited for these: their ends are no concern of it any more.
    pub(crate) fn remove(&mut self, id: JobId, waits: &BTreeSet<JobId>) {
        for predecessor in waits {
            if let Some(dependants) = self.0.get_mut(predecessor) {
                dependants.remove(&id);
                if dependants.is_empty() {
                    self.0.remove(predecessor);
                }
            }
        }
    }

    /// Those that waited for a job that has ended, in order of id.
    pub(crate) fn take(&mut self, predecessor: JobId) -> BTreeSet<JobId> {
        self.0.remove(&predecessor).unwrap_or_default()
    }
}
