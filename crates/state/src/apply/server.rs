//! Servers joining, starting, and changing what they are meant to be.

use crate::outcome::{Rejection, Reply};
use crate::server::{ServerRecord, ServerRole, ServerStarted};
use crate::state::State;
use taskyard_model::limits::SERVERS_MAX;

impl State {
    /// Gives a data directory a number. The same directory asks twice when it did not hear the answer.
    pub(crate) fn admit_server(&mut self, directory: u64, url: &str, role: ServerRole) -> Reply {
        if let Some(known) = self.core.servers.values().find(|s| s.directory == directory) {
            return Reply::Server { id: known.id };
        }
        let living = self.core.servers.values().filter(|s| s.role != ServerRole::Removed).count();
        if living >= SERVERS_MAX {
            return Reply::Rejected(Rejection::Limit("servers", SERVERS_MAX as u64));
        }
        // The founder is number 1, whether or not it has been heard of here.
        let id = self.core.servers.keys().next_back().map_or(1, |last| *last) + 1;
        let record = ServerRecord {
            id,
            directory,
            starts: 0,
            process: 0,
            url: url.to_owned(),
            version: String::new(),
            role,
            pid: 0,
        };
        self.core.servers.insert(id, record);
        Reply::Server { id }
    }

    /// Remembers the process that speaks for a server now. The founder is not admitted by anyone, so it is new here.
    pub(crate) fn server_started(&mut self, started: &ServerStarted) -> Reply {
        if let Some(known) = self.core.servers.get(&started.id)
            && let Err(impostor) = known.vet(started)
        {
            return Reply::Rejected(Rejection::Impostor(started.id, impostor));
        }
        let role = self.core.servers.get(&started.id).map_or(ServerRole::Voter, |known| known.role);
        let ServerStarted { id, directory, starts, process, url, version, pid } = started.clone();
        self.core
            .servers
            .insert(id, ServerRecord { id, directory, starts, process, url, version, role, pid });
        Reply::Server { id }
    }

    /// Changes what a server is meant to be. Leaving is for ever, and the last voter stays.
    pub(crate) fn set_server(&mut self, id: u64, role: ServerRole) -> Reply {
        let voters = |state: &State| {
            state
                .core
                .servers
                .values()
                .filter(|s| s.role == ServerRole::Voter)
                .map(|s| s.id)
                .collect::<Vec<_>>()
        };
        match self.core.servers.get(&id).map(|known| known.role) {
            None | Some(ServerRole::Removed) => return Reply::Rejected(Rejection::NoServer(id)),
            Some(_) if role != ServerRole::Voter && voters(self) == [id] => {
                return Reply::Rejected(Rejection::LastVoter(id));
            }
            Some(_) => {}
        }
        if let Some(known) = self.core.servers.get_mut(&id) {
            known.role = role;
        }
        Reply::Server { id }
    }
}
