//! What would be if a command were applied now, without a log that says so.

use crate::command::{Command, Entry};
use crate::outcome::Reply;
use crate::state::State;

impl State {
    /// Another state in which the command has been applied as the next entry, and what it answered. This one stays as it is; they share what is
    /// large. The copy knows no other servers and must not be served: it is for questions.
    pub fn supposing(&self, command: Command) -> (State, Reply) {
        let mut other =
            State { core: self.core.clone(), view: self.view.clone(), lookup: self.lookup.clone() };
        let entry = Entry { now_ms: self.now_ms(), wall_ms: self.wall_ms(), command };
        let reply = other.apply(self.index() + 1, &entry).reply;
        (other, reply)
    }
}
