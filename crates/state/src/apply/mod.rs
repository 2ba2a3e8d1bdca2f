//! What each command does. One file per concern; each checks again whatever its proposer saw.

mod access;
mod accounts;
mod after;
mod begin;
mod control;
mod end;
mod maintenance;
mod node;
mod plan;
mod possible;
mod queue;
mod remove;
mod report;
mod restored;
mod retain;
mod server;
mod submit;
mod update;

pub use possible::Prospect;

use crate::command::{Command, Entry};
use crate::core::Due;
use crate::outcome::{Applied, Event, Reply};
use crate::state::State;
use taskyard_model::{Drain, limits};

impl State {
    /// Does what an entry says. `index` is its place in the log, one past the last.
    pub fn apply(&mut self, index: u64, entry: &Entry) -> Applied {
        self.skip(index);
        let clock = &mut self.core.clock;
        clock.now_ms = clock.now_ms.max(entry.now_ms);
        clock.wall_ms = entry.wall_ms;
        self.view.set_clock(clock.now_ms, clock.wall_ms);
        let mut events = Vec::new();
        let reply = self.command(&entry.command, &mut events);
        self.lookup.meter.put_down(self.core.clock.wall_ms, &mut self.core.ledger);
        Applied { reply, events }
    }

    fn command(&mut self, command: &Command, events: &mut Vec<Event>) -> Reply {
        match command {
            Command::LeaderStart { .. } => {
                self.core.clock.leader_since_ms = self.core.clock.now_ms;
                self.core.clock.leader_since = self.core.clock.index;
                self.anchor_begins();
                Reply::Done
            }
            Command::Tick => Reply::Done,
            Command::Pulse => self.pulse(events),
            Command::Submit(submit) => self.submit(submit, events),
            Command::CommitPlan(plan) => self.commit_plan(plan, events),
            Command::Register(register) => self.register(register, events),
            Command::Report(report) => self.report(report, events),
            Command::Lost { node, incarnation, silent_ms } => {
                self.lost(*node, *incarnation, *silent_ms, events)
            }
            Command::Left { node, incarnation } => self.left(*node, *incarnation, events),
            Command::Quarantine { node, incarnation, rival } => {
                self.quarantine(*node, *incarnation, rival.as_deref(), events)
            }
            Command::Cancel { job, tasks, now } => self.cancel(*job, tasks, *now, events),
            Command::Hold { job } => self.set_held(*job, true, events),
            Command::Release { job } => self.set_held(*job, false, events),
            Command::Update { job, change } => self.update(*job, change, events),
            Command::SetQueue { name, config } => self.set_queue(name, config, events),
            Command::DeleteQueue { name } => self.delete_queue(name, events),
            Command::DeletePool { name } => self.delete_pool(name, events),
            Command::SetPool { name, config } => self.set_pool(name, config, events),
            Command::SetShare { account, user, weight } => {
                self.set_share(account, user.as_deref(), *weight, events)
            }
            Command::SetAccount { name, change } => self.set_account(name, change, events),
            Command::SetHalfLife { ms } => self.set_half_life(*ms, events),
            Command::SetMaintenance { name, window } => self.set_maintenance(name, window, events),
            Command::DeleteMaintenance { name } => self.delete_maintenance(name, events),
            Command::Ending { node, incarnation } => self.ending(*node, *incarnation, events),
            Command::NodeHealth { node, incarnation, unfit } => {
                self.node_health(*node, *incarnation, unfit.as_deref(), events)
            }
            Command::AdmitServer { directory, url, role } => self.admit_server(*directory, url, *role),
            Command::ServerStarted(started) => self.server_started(started),
            Command::SetServer { id, role } => self.set_server(*id, *role),
            Command::Restored { .. } => self.restored(),
            Command::SetRetention(change) => self.set_retention(change, events),
            Command::Drain { node, draining, reason, by } => {
                let since_wall_ms = self.core.clock.wall_ms;
                let drain = Drain { reason: reason.clone(), by: by.clone(), since_wall_ms };
                self.drain(*node, Some(drain).filter(|_| *draining), events)
            }
            Command::CreateNamespace { name } => self.create_namespace(name),
            Command::CreateToken(new) => self.create_token(new),
            Command::RevokeToken { id } => self.revoke_token(id),
            Command::UseToken { id, key } => self.use_token(id, *key),
            Command::RemoveNode { name, force } => self.remove_node(name, *force, events),
        }
    }

    /// Does everything that is due.
    fn pulse(&mut self, _events: &mut Vec<Event>) -> Reply {
        let mut done = self.forget_due();
        while let Some((at, due)) = self.core.deadlines.get_min().cloned() {
            if at > self.core.clock.now_ms || done >= limits::DUE_PER_ENTRY_MAX {
                break;
            }
            self.core.deadlines.remove(&(at, due.clone()));
            match due {
                Due::Retry(job, index) => self.retry_is_due(job, index),
                Due::Begin(job) => self.begin_is_due(job),
                Due::ForgetRequest(owner, id) => drop(self.core.requests.remove(&(owner, id))),
                Due::ForgetToken(id) => self.forget_token(&id),
            }
            done += 1;
        }
        Reply::Changed { tasks: done }
    }
}
