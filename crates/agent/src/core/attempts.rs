//! The tables of the core: attempts by key and by task, groups, and the fences of what has ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use taskyard_model::{Fence, TaskRef};

/// Ended and acknowledged attempts whose fences are remembered, so that a belated order to start one is refused. What
/// is not acknowledged is always remembered; beyond that a few suffice, since orders of an old session or term are
/// refused anyway.
const SEEN_MAX: usize = 4_096;

/// Tables by task are looked into several times for each attempt, and their keys come from our own servers: a
/// multiplication is enough.
type ByTask<V> = HashMap<TaskRef, V, BuildHasherDefault<TaskHasher>>;

#[derive(Default)]
struct TaskHasher(u64);

impl Hasher for TaskHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        let mixed = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Here, without a place.
    Held,
    /// Here, with a place: waits for a lease.
    Placed,
    /// At its driver, without a place.
    Prepared,
    /// At its driver, with a place.
    Running,
}

#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) task: TaskRef,
    pub(crate) attempt: u32,
    pub(crate) fence: Fence,
    pub(crate) group: u32,
    pub(crate) gpus: Vec<u16>,
    pub(crate) stage: Stage,
    /// A user cancelled it; decides the outcome of one that never started.
    pub(crate) cancelled: bool,
    /// Its driver was asked to give it back.
    pub(crate) recalled: bool,
    /// Position of its `Started` item in the report buffer.
    pub(crate) started_at: Option<u64>,
}

/// Live attempts. A key is the slot and a generation, so that a belated event about an old one finds nothing.
#[derive(Default)]
pub(crate) struct Attempts {
    slots: Vec<(u32, Option<Attempt>)>,
    free: Vec<u32>,
    by_task: ByTask<u64>,
}

impl Attempts {
    pub(crate) fn insert(&mut self, attempt: Attempt) -> u64 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            (self.slots.len() - 1) as u32
        });
        let entry = &mut self.slots[slot as usize];
        entry.0 = entry.0.wrapping_add(1);
        let key = u64::from(entry.0) << 32 | u64::from(slot);
        let old = self.by_task.insert(attempt.task, key);
        debug_assert!(old.is_none(), "two live attempts of {:?}", attempt.task);
        entry.1 = Some(attempt);
        key
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<Attempt> {
        let slot = key as u32;
        let entry = self.slots.get_mut(slot as usize).filter(|e| u64::from(e.0) == key >> 32)?;
        let attempt = entry.1.take()?;
        self.free.push(slot);
        self.by_task.remove(&attempt.task);
        if self.by_task.is_empty() {
            // A burst must not keep its memory.
            self.by_task.shrink_to(64);
        }
        Some(attempt)
    }

    pub(crate) fn get(&self, key: u64) -> Option<&Attempt> {
        let entry = self.slots.get(key as u32 as usize).filter(|e| u64::from(e.0) == key >> 32)?;
        entry.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut Attempt> {
        let entry = self.slots.get_mut(key as u32 as usize).filter(|e| u64::from(e.0) == key >> 32)?;
        entry.1.as_mut()
    }

    pub(crate) fn by_task(&self, task: TaskRef) -> Option<(u64, &Attempt)> {
        let key = *self.by_task.get(&task)?;
        Some((key, self.get(key)?))
    }

    /// Every attempt, in order of slot.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Attempt)> {
        self.slots.iter().enumerate().filter_map(|(slot, (generation, attempt))| {
            Some((u64::from(*generation) << 32 | slot as u64, attempt.as_ref()?))
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_task.is_empty()
    }
}

/// Attempts that may take over each other's places. The queues are cleaned lazily: what left its stage stays until it
/// comes to the front.
#[derive(Default)]
pub(crate) struct Group {
    /// Attempts that own a place.
    pub(crate) places: u32,
    /// Held here, in order of arrival.
    held: VecDeque<u64>,
    /// How many of them are.
    pub(crate) held_count: u32,
    /// Held at the driver, about in the order in which it starts them.
    prepared: VecDeque<u64>,
    /// How many of them are.
    pub(crate) prepared_count: u32,
    /// About how many end between two messages of the driver.
    pub(crate) pace: u32,
    /// How many have ended in the message at hand.
    pub(crate) ended: u32,
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.places == 0 && self.held_count == 0 && self.prepared_count == 0
    }

    /// It holds attempts that nothing here could ever start.
    pub(crate) fn is_stranded(&self) -> bool {
        self.places == 0 && !self.is_empty()
    }

    pub(crate) fn hold(&mut self, key: u64) {
        self.held.push_back(key);
        self.held_count += 1;
    }

    pub(crate) fn prepare(&mut self, key: u64) {
        self.prepared.push_back(key);
        self.prepared_count += 1;
    }

    /// The first that is held here.
    pub(crate) fn next_held(&mut self, attempts: &Attempts) -> Option<u64> {
        clean(&mut self.held, attempts, Stage::Held);
        self.held.front().copied()
    }

    /// The first that its driver has and that is not wanted back.
    pub(crate) fn next_prepared(&mut self, attempts: &Attempts) -> Option<u64> {
        clean(&mut self.prepared, attempts, Stage::Prepared);
        let willing = |a: &Attempt| a.stage == Stage::Prepared && !a.cancelled && !a.recalled;
        self.prepared.iter().copied().find(|key| attempts.get(*key).is_some_and(willing))
    }

    /// All without a place, and perhaps some that have left.
    pub(crate) fn placeless(&self) -> impl Iterator<Item = u64> {
        self.held.iter().chain(&self.prepared).copied()
    }
}

fn clean(queue: &mut VecDeque<u64>, attempts: &Attempts, stage: Stage) {
    while let Some(key) = queue.front()
        && attempts.get(*key).is_none_or(|attempt| attempt.stage != stage)
    {
        queue.pop_front();
    }
}

/// Groups by number, and those that something happened to.
#[derive(Default)]
pub(crate) struct Groups {
    pub(crate) all: BTreeMap<u32, Group>,
    pub(crate) changed: Vec<u32>,
}

impl Groups {
    /// The group, marked as changed.
    pub(crate) fn touch(&mut self, group: u32) -> &mut Group {
        if self.changed.last() != Some(&group) {
            self.changed.push(group);
        }
        self.all.entry(group).or_default()
    }

    /// An attempt leaves its stage.
    pub(crate) fn leave(&mut self, group: u32, stage: Stage) {
        let group = self.touch(group);
        match stage {
            Stage::Held => group.held_count -= 1,
            Stage::Prepared => group.prepared_count -= 1,
            Stage::Placed | Stage::Running => {}
        }
    }
}

/// Fences of attempts that ended.
#[derive(Default)]
pub(crate) struct EndedFences {
    fences: ByTask<Fence>,
    order: VecDeque<(TaskRef, Fence)>,
    /// How many of the oldest in `order` are not acknowledged.
    unacked: u64,
}

impl EndedFences {
    pub(crate) fn insert(&mut self, task: TaskRef, fence: Fence) {
        self.fences.insert(task, fence);
        self.order.push_back((task, fence));
        self.unacked += 1;
        while self.order.len() > SEEN_MAX && self.order.len() as u64 > self.unacked {
            if let Some((task, fence)) = self.order.pop_front()
                && self.fences.get(&task) == Some(&fence)
            {
                self.fences.remove(&task);
            }
        }
    }

    pub(crate) fn acked(&mut self, count: u64) {
        self.unacked = self.unacked.saturating_sub(count);
    }

    /// Whether the attempt (or a later one of the task) was here before.
    pub(crate) fn has(&self, task: TaskRef, fence: Fence) -> bool {
        self.fences.get(&task).is_some_and(|seen| *seen >= fence)
    }
}
