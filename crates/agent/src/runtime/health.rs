//! Whether this node takes work: not while one of its drivers cannot run anything, and not once the agent was told to
//! stop. Servers give no work to such a node, and show why.

use crate::driver::DriverKind;
use std::collections::BTreeMap;
use taskyard_wire as wire;

/// See the module.
#[derive(Default)]
pub(super) struct AgentHealth {
    /// What keeps drivers from running anything.
    hindrances: BTreeMap<DriverKind, String>,
    stopping: bool,
    /// What the server of this session was told last.
    told: Option<wire::Health>,
}

impl AgentHealth {
    /// A driver says what is in its way.
    pub(super) fn set(&mut self, driver: DriverKind, reason: Option<String>) {
        match reason {
            Some(reason) => drop(self.hindrances.insert(driver, reason)),
            None => drop(self.hindrances.remove(&driver)),
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
        let mut health = AgentHealth::default();
        let unfit = |reason: &str| wire::Health { unfit: Some(reason.into()), stopping: false };
        let well = wire::Health::default();
        assert_eq!((health.news(), health.news()), (Some(well.clone()), None), "once in each session");
        health.set(DriverKind::Process, Some("it hangs".into()));
        assert_eq!((health.news(), health.news()), (Some(unfit("it hangs")), None));
        health.forget_told();
        assert_eq!(health.news(), Some(unfit("it hangs")));
        health.set(DriverKind::Process, None);
        assert_eq!((health.unfit(), health.news()), (None, Some(well)));
        health.stop();
        assert_eq!(health.news(), Some(wire::Health { unfit: None, stopping: true }));
    }
}
