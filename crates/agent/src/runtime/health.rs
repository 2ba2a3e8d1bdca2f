//! Whether this node can run tasks: each part of the agent that knows of a hindrance sets it here and clears it when it is gone. The servers
//! give no work to a node with a hindrance, and show it.

use std::collections::BTreeMap;
use taskyard_wire as wire;

/// What can be in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hindrance {
    /// The keeper hangs, or is gone and not replaced yet.
    Keeper,
    /// The keeper cannot start tasks.
    Start,
}

/// See the module.
#[derive(Default)]
pub(super) struct Health {
    hindrances: BTreeMap<Hindrance, String>,
    stopping: bool,
    /// What the server of this session was told last.
    told: Option<wire::Health>,
}

impl Health {
    /// Sets what is in the way, or clears it.
    pub(super) fn set(&mut self, what: Hindrance, reason: Option<&str>) {
        match reason {
            Some(reason) => drop(self.hindrances.insert(what, reason.to_owned())),
            None => drop(self.hindrances.remove(&what)),
        }
    }

    /// Why this node cannot run tasks; `None` if it can.
    pub(super) fn unfit(&self) -> Option<String> {
        let reasons: Vec<&str> = self.hindrances.values().map(String::as_str).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// The agent was told to stop.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// A new session knows nothing.
    pub(super) fn forget_told(&mut self) {
        self.told = None;
    }

    /// What is to be said, if that is news.
    pub(super) fn news(&mut self) -> Option<wire::Health> {
        let health = wire::Health { unfit: self.unfit(), stopping: self.stopping };
        let news = self.told.as_ref() != Some(&health);
        news.then(|| self.told.insert(health).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_news() {
        let mut health = Health::default();
        let unfit = |reason: &str| wire::Health { unfit: Some(reason.into()), stopping: false };
        let well = wire::Health::default();
        assert_eq!((health.news(), health.news()), (Some(well.clone()), None), "once in each session");
        health.set(Hindrance::Keeper, Some("it hangs"));
        assert_eq!((health.news(), health.news()), (Some(unfit("it hangs")), None));
        health.forget_told();
        assert_eq!(health.news(), Some(unfit("it hangs")));
        health.set(Hindrance::Keeper, None);
        assert_eq!((health.unfit(), health.news()), (None, Some(well)));
        health.stop();
        assert_eq!(health.news(), Some(wire::Health { unfit: None, stopping: true }));
    }
}
