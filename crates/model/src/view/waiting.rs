//! Who waits: each class knows its jobs, and each queue the first job of each of its classes, in order. So a pass comes to classes in the order of
//! the queue, and what it does not reach costs nothing.

use crate::{ClassId, ClassView, JobId, JobView, OrderKey, QueueId, QueueView, View};

/// The first waiting job of a class, as its queue knows it: enough to see that a task of it fits nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassHead {
    /// The class.
    pub class: ClassId,
    /// Thousandths of cores that a task asks for.
    pub cpu_milli: u64,
    /// Memory that a task asks for, in bytes.
    pub memory: u64,
}

impl ClassHead {
    fn of(class: &ClassView) -> ClassHead {
        let asked = &class.request.amounts;
        ClassHead { class: class.id, cpu_milli: asked.cpu_milli, memory: asked.memory }
    }
}

/// By what a job stands among those that wait: its place in the queue, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its class.
    pub class: ClassId,
    /// Its place in the queue.
    pub key: OrderKey,
    /// State time since which it waits.
    pub since_ms: u64,
}

impl JobView {
    /// Where the job stands if it waits.
    pub fn stand(&self) -> Stand {
        Stand { class: self.class, key: self.key, since_ms: self.submitted_ms }
    }
}

impl Stand {
    fn age(&self) -> (u64, JobId) {
        (self.since_ms, self.key.job)
    }
}

impl QueueView {
    /// Takes the first jobs of a class out.
    fn forget_firsts(&mut self, class: &ClassView) {
        if let Some(key) = class.waiting.get_min() {
            self.heads.remove(key);
        }
        if let Some(age) = class.by_age.get_min() {
            self.ages.remove(age);
        }
    }

    /// Takes note of the first jobs of a class.
    fn note_firsts(&mut self, class: &ClassView) {
        if let Some(key) = class.waiting.get_min() {
            self.heads.insert(*key, ClassHead::of(class));
        }
        if let Some(age) = class.by_age.get_min().filter(|_| self.config.ages()) {
            self.ages.insert(*age, class.id);
        }
    }
}

impl View {
    /// Puts a job among those that wait, or takes it out.
    pub fn set_waiting(&mut self, stand: Stand, waits: bool) {
        let Some(class) = self.classes.get_mut(stand.class) else { return };
        let Some(queue) = self.queues.get_mut(class.queue) else { return };
        let firsts = |class: &ClassView| (class.waiting.get_min().copied(), class.by_age.get_min().copied());
        let before = firsts(class);
        if waits {
            class.waiting.insert(stand.key);
            class.by_age.insert(stand.age());
        } else {
            class.waiting.remove(&stand.key);
            class.by_age.remove(&stand.age());
        }
        let after = firsts(class);
        if before.0 != after.0 {
            before.0.map(|key| queue.heads.remove(&key));
            after.0.map(|key| queue.heads.insert(key, ClassHead::of(class)));
        }
        if before.1 != after.1 && queue.config.ages() {
            before.1.map(|age| queue.ages.remove(&age));
            after.1.map(|age| queue.ages.insert(age, class.id));
        }
    }

    /// Shows a class, new or changed, with the jobs that wait in it.
    pub fn set_class(&mut self, class: ClassView) {
        if let Some(old) = self.classes.get(class.id)
            && let Some(queue) = self.queues.get_mut(old.queue)
        {
            queue.forget_firsts(old);
        }
        if let Some(queue) = self.queues.get_mut(class.queue) {
            queue.note_firsts(&class);
        }
        match self.classes.get_mut(class.id) {
            Some(there) => *there = class,
            None => drop(self.classes.push(class)),
        }
    }

    /// Looks anew which jobs of a queue are the first of their classes.
    pub fn find_firsts(&mut self, id: QueueId) {
        let Some(queue) = self.queues.get_mut(id) else { return };
        queue.heads.clear();
        queue.ages.clear();
        self.classes.iter().filter(|class| class.queue == id).for_each(|class| queue.note_firsts(class));
    }
}
