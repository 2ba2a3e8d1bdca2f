//! Times in which nodes are to be maintained.

use crate::outcome::{Event, Rejection, Reply};
use crate::{Maintenance, State};
use taskyard_model::constraint::Labels;
use taskyard_model::limits;
use taskyard_model::view::Window;

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
        self.view_maintenance();
        events.push(Event::MaintenanceChanged { window: name.to_owned() });
        Reply::Done
    }

    /// Calls a time of maintenance off.
    pub(crate) fn delete_maintenance(&mut self, name: &str, events: &mut Vec<Event>) -> Reply {
        if self.core.maintenance.remove(name).is_none() {
            return Reply::Rejected(Rejection::NoMaintenance(name.to_owned()));
        }
        self.view_maintenance();
        events.push(Event::MaintenanceChanged { window: name.to_owned() });
        Reply::Done
    }

    fn view_maintenance(&mut self) {
        for at in 0..self.view.nodes.len() {
            self.view.nodes[at].maintenance = self.maintenance_of(&self.view.nodes[at].labels);
        }
    }

    /// When a node with these labels is to be maintained, in order of begin.
    pub(crate) fn maintenance_of(&self, labels: &Labels) -> Vec<Window> {
        let of_node =
            self.core.maintenance.iter().filter(|(_, window)| window.nodes.broken(labels).is_none());
        let mut windows: Vec<Window> = of_node
            .map(|(name, window)| Window {
                name: name.clone(),
                from_wall_ms: window.from_wall_ms,
                until_wall_ms: window.until_wall_ms,
            })
            .collect();
        windows.sort_by_key(|window| window.from_wall_ms);
        windows
    }
}
