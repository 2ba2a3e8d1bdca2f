//! Classes.

use super::PlannerView;
use crate::class::Class;
use taskyard_model::{ClassId, ClassView, QueueId, Span};

impl PlannerView {
    /// Shows a class, or with `None` that its place is free for another one. It has no jobs yet.
    pub(crate) fn set_class(&mut self, id: ClassId, class: Option<&Class>) {
        let view = view_of(id, class);
        match self.0.classes.get_mut(id) {
            Some(there) => *there = view,
            None => drop(self.0.classes.push(view)),
        }
    }

    /// Tasks of a class take another time from now on. Its running attempts are the caller's business.
    pub(crate) fn set_span(&mut self, id: ClassId, span: Span) {
        self.0.classes[id].span = span;
    }

    /// Learns how long attempts of a class take: how much is held ahead of need follows from that.
    pub(crate) fn learn_run_time(&mut self, class: ClassId, ran_ms: u64) {
        const SMOOTHING: u64 = 8;
        let ran_us = ran_ms.saturating_mul(1_000);
        let typical = &mut self.0.classes[class].typical_us;
        *typical = Some(match *typical {
            None => ran_us,
            Some(before) => (before.saturating_mul(SMOOTHING - 1).saturating_add(ran_us)) / SMOOTHING,
        });
    }
}

fn view_of(id: ClassId, class: Option<&Class>) -> ClassView {
    ClassView {
        id,
        queue: class.map_or(QueueId(1), |c| c.queue),
        party: class.map(|c| c.party).unwrap_or_default(),
        request: class.map(|c| c.request.clone()).unwrap_or_default(),
        constraint: class.map(|c| c.constraint.clone()).unwrap_or_default(),
        span: class.map(|c| c.span).unwrap_or_default(),
        affinity: class.map(|c| c.affinity.clone()).unwrap_or_default(),
        targets: None,
        waiting: Default::default(),
        by_age: Default::default(),
        jobs: 0,
        running: 0,
        typical_us: None,
    }
}
