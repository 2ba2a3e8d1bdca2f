//! Times in which nodes are to be maintained.

use crate::command::Maintenance;
use crate::outcome::{Event, Rejection, Reply};
use crate::state::State;
use taskyard_model::limits;

impl State {
    /// Plans a time of maintenance, or changes it. Those that are over are forgotten.
    pub(crate) fn set_maintenance(
        &mut self,
        name: &str,
        window: &Maintenance,
        events: &mut Vec<Event>,
    ) -> Reply {
        let wall_ms = self.core.clock.wall_ms;
        let over = self.core.maintenance.iter().filter(|(_, window)| window.until_wall_ms <= wall_ms);
        let over: Vec<String> = over.map(|(name, _)| name.clone()).collect();
        for name in over {
            self.core.maintenance.remove(&name);
        }
        let is_new = !self.core.maintenance.contains_key(name);
        if is_new && self.core.maintenance.len() >= limits::MAINTENANCE_WINDOWS_MAX {
            let most = limits::MAINTENANCE_WINDOWS_MAX as u64;
            return Reply::Rejected(Rejection::Limit("maintenance windows", most));
        }
        self.core.maintenance.insert(name.to_owned(), window.clone());
        self.show_maintenance();
        events.push(Event::MaintenanceChanged { window: name.to_owned() });
        Reply::Done
    }

    /// Calls a time of maintenance off.
    pub(crate) fn delete_maintenance(&mut self, name: &str, events: &mut Vec<Event>) -> Reply {
        if self.core.maintenance.remove(name).is_none() {
            return Reply::Rejected(Rejection::NoMaintenance(name.to_owned()));
        }
        self.show_maintenance();
        events.push(Event::MaintenanceChanged { window: name.to_owned() });
        Reply::Done
    }
}
