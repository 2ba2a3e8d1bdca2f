//! The measures by which jobs of a class are ordered: a queue's policy, or how long they have waited.

use std::collections::BTreeMap;
use std::ops::Bound::Excluded;
use taskyard_model::{ClassView, JobId, OrderKey, QueueConfig};

/// Time of submit and job: the order of those that have waited past `max_wait`.
pub(crate) type Age = (u64, JobId);

/// Tasks of jobs that an earlier step of the pass has placed.
pub(crate) type PlacedTasks = BTreeMap<JobId, u32>;

/// A measure by which the jobs of a class are ordered in the view.
pub(crate) trait Key: Copy + Ord + 'static {
    /// The job it places.
    fn job(self) -> JobId;
    /// The class's first.
    fn first(class: &ClassView) -> Option<Self>;
    /// Those behind this one.
    fn behind(self, class: &ClassView) -> Box<dyn Iterator<Item = Self> + '_>;
    /// The same job, further to the rear.
    #[must_use]
    fn shifted(self, offset: i128) -> Self;
}

impl Key for OrderKey {
    fn job(self) -> JobId {
        self.job
    }
    fn first(class: &ClassView) -> Option<Self> {
        class.waiting.get_min().copied()
    }
    fn behind(self, class: &ClassView) -> Box<dyn Iterator<Item = Self> + '_> {
        Box::new(class.waiting.after(Excluded(self)).copied())
    }
    fn shifted(self, offset: i128) -> Self {
        OrderKey { rank: self.rank.saturating_add(offset), ..self }
    }
}

impl Key for Age {
    fn job(self) -> JobId {
        self.1
    }
    fn first(class: &ClassView) -> Option<Self> {
        class.by_age.get_min().copied()
    }
    fn behind(self, class: &ClassView) -> Box<dyn Iterator<Item = Self> + '_> {
        Box::new(class.by_age.after(Excluded(self)).copied())
    }
    fn shifted(self, _: i128) -> Self {
        self
    }
}

/// The last age that counts as waited too long, if any can.
pub(crate) fn aged_until(now_ms: u64, config: &QueueConfig) -> Option<Age> {
    let before = now_ms.checked_sub(config.max_wait_ms)?;
    Some((before.checked_sub(1)?, JobId(u64::MAX)))
}
