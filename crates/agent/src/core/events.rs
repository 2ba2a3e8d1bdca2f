//! What the drivers tell: ends, and what happens to the places that ends leave.

use super::attempts::{Attempt, Stage};
use super::{Action, AgentCore, Leaving};
use crate::clock::Now;
use crate::driver::DriverKind;
use crate::orders::{DriverEvent, Ended};
use taskyard_model::Outcome;
use taskyard_model::report::{AttemptEnd, Finish};

impl AgentCore {
    pub(super) fn happened(
        &mut self,
        now: Now,
        driver: DriverKind,
        events: Vec<DriverEvent>,
        out: &mut Vec<Action>,
    ) {
        for event in events {
            match event {
                DriverEvent::Ended(ended) => self.ended(now, &ended, out),
                DriverEvent::Returned(key) => self.returned(key, out),
                DriverEvent::Lost => self.driver_lost(now, driver, out),
                // These were for the runtime.
                DriverEvent::Published(_) | DriverEvent::Health(_) => {}
            }
        }
    }

    fn ended(&mut self, now: Now, ended: &Ended, out: &mut Vec<Action>) {
        let Some(attempt) = self.drop_attempt(ended.key, out) else { return };
        let end = AttemptEnd {
            outcome: ended.outcome,
            code: ended.code,
            started_wall_ms: ended.started_wall_ms,
            ran_ms: ended.ran_ms,
            cpu_ms: ended.cpu_ms,
            max_rss_kib: ended.max_rss_kib,
            limit_ms: ended.limit_ms,
            cut: ended.cut,
        };
        self.finish(Finish { task: attempt.task, fence: attempt.fence, end }, attempt.started_at, out);
        if attempt.stage != Stage::Running {
            // Its driver could not even prepare it: no place is concerned.
            return;
        }
        self.groups.touch(attempt.group).ended += 1;
        match ended.next {
            // The driver has put a prepared one in its place.
            Some(next) if self.attempts.get(next).is_some_and(|a| a.stage == Stage::Prepared) => {
                self.takes_place(now, attempt.group, next);
                self.stop_if_leaving(next, out);
            }
            // Nothing, or one that we had already put in another's place.
            _ => self.fill_place(now, attempt.group, out),
        }
    }

    fn takes_place(&mut self, now: Now, group: u32, key: u64) {
        self.groups.leave(group, Stage::Prepared);
        if let Some(attempt) = self.attempts.get_mut(key) {
            attempt.stage = Stage::Running;
        }
        self.report_start(now, key);
    }

    /// The driver started this one before it heard that everything is to stop.
    fn stop_if_leaving(&mut self, key: u64, out: &mut Vec<Action>) {
        if let Some(attempt) = self.attempts.get(key)
            && (self.leaving >= Leaving::Stopping || self.lost)
        {
            let why = if self.lost { Outcome::LeaseLost } else { Outcome::AgentStopped };
            let driver = self.driver_of(attempt.task.job);
            out.push(Action::Stop(driver, key, why));
            if self.leaving == Leaving::Killing {
                out.push(Action::Kill(driver, key));
            }
        }
    }

    /// A place of the group is vacant: the next held attempt takes it, or it is given back.
    pub(super) fn fill_place(&mut self, now: Now, number: u32, out: &mut Vec<Action>) {
        if !self.may_start(now) {
            return self.free_place(number);
        }
        let group = self.groups.touch(number);
        if let Some(key) = group.next_prepared(&self.attempts) {
            self.takes_place(now, number, key);
            out.extend(self.attempts.get(key).map(|a| Action::Start(self.driver_of(a.task.job), key)));
        } else if let Some(key) = group.next_held(&self.attempts) {
            self.hand_over(now, key, true, out);
        } else {
            self.free_place(number);
        }
    }

    /// Gives a place back: the server frees it when the report shows no successor.
    pub(super) fn free_place(&mut self, number: u32) {
        let group = self.groups.touch(number);
        debug_assert!(group.places > 0, "a place is given back once");
        group.places = group.places.saturating_sub(1);
    }

    /// A driver gave an attempt back: it never started.
    fn returned(&mut self, key: u64, out: &mut Vec<Action>) {
        let Some(attempt) = self.drop_attempt(key, out) else { return };
        let reported = attempt.started_at.is_some_and(|at| !self.reports.is_pending(at));
        if attempt.cancelled {
            self.finish_without_run(&attempt, Outcome::Cancelled, out);
        } else if reported && self.leaving == Leaving::No {
            // The server counts it as running, and a successor may have its place, so it needs an end that blames the
            // infrastructure.
            let outcome = if self.unfit { Outcome::NodeFault } else { Outcome::LeaseLost };
            self.finish_without_run(&attempt, outcome, out);
        } else {
            self.give_back(attempt.task, attempt.fence, out);
            if let Some(position) = attempt.started_at {
                self.reports.ended(position);
            }
        }
        if attempt.stage == Stage::Running {
            self.free_place(attempt.group);
        }
    }

    fn finish_without_run(&mut self, attempt: &Attempt, outcome: Outcome, out: &mut Vec<Action>) {
        self.finish_unstarted(attempt.task, attempt.fence, outcome, out);
        if let Some(position) = attempt.started_at {
            self.reports.ended(position);
        }
    }

    /// A driver has lost all it had. What was prepared may have started, so it has ended as well.
    fn driver_lost(&mut self, now: Now, driver: DriverKind, out: &mut Vec<Action>) {
        for job in self.jobs.values_mut().filter(|job| job.driver == driver) {
            job.added = false;
        }
        let jobs = &self.jobs;
        self.idle.retain(|job| jobs.get(job).is_some_and(|job| job.driver != driver));
        let at_driver = |a: &Attempt| {
            matches!(a.stage, Stage::Prepared | Stage::Running) && self.driver_of(a.task.job) == driver
        };
        let mut keys: Vec<(u64, Stage)> =
            self.attempts.iter().filter(|(_, a)| at_driver(a)).map(|(key, a)| (key, a.stage)).collect();
        // What was prepared goes first, so that none of it is chosen to fill a place.
        keys.sort_by_key(|(_, stage)| *stage == Stage::Running);
        for (key, stage) in keys {
            let Some(attempt) = self.drop_attempt(key, out) else { continue };
            self.finish_without_run(&attempt, Outcome::KeeperLost, out);
            if stage == Stage::Running {
                self.fill_place(now, attempt.group, out);
            }
        }
    }
}
