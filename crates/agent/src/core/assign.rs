//! Taking assignments, handing them to drivers, and taking them back.

use super::attempts::{Attempt, Group, Stage};
use super::{Action, AgentCore, Leaving, TOMBSTONES_MAX};
use crate::clock::Now;
use crate::driver::DriverKind;
use crate::journal::JournalRecord;
use crate::orders::Order;
use taskyard_model::report::{AttemptEnd, Finish, Item, Returned, Start};
use taskyard_model::{Fence, JobId, Outcome, TaskRef};
use taskyard_wire::StartRun;

/// How long a group without a place keeps what it holds.
const STRANDED_MS: u64 = 200;

impl AgentCore {
    /// Takes one run of assignments; what was here before is ignored, what cannot run here is given back.
    pub(super) fn accept(&mut self, run: StartRun, out: &mut Vec<Action>) {
        if self.lost {
            return;
        }
        // The server learns that nothing starts here before it learns what came back, or at about the same time.
        let takes_work = self.leaving == Leaving::No && !self.unfit;
        let mut accepted = false;
        let has_body = self.jobs.contains_key(&run.job);
        for index in run.first..run.first.saturating_add(run.count) {
            let task = TaskRef { job: run.job, index };
            if self.seen.has(task, run.fence) {
                continue;
            }
            if let Some((_, live)) = self.attempts.by_task(task) {
                // A server that assigns a task again while its attempt lives here does not know that it does. Two must
                // never run.
                if live.fence < run.fence {
                    self.give_back(task, run.fence, out);
                }
                continue;
            }
            if self.buried(task, run.fence) {
                self.finish_unstarted(task, run.fence, Outcome::Cancelled, out);
            } else if !has_body || !takes_work {
                self.give_back(task, run.fence, out);
            } else {
                accepted = true;
                self.take(&run, task);
            }
        }
        if accepted {
            out.push(Action::Journal(JournalRecord::Accepted(run)));
        }
    }

    fn take(&mut self, run: &StartRun, task: TaskRef) {
        let key = self.attempts.insert(Attempt {
            task,
            attempt: run.attempt,
            fence: run.fence,
            group: run.group,
            gpus: run.gpus.iter().map(|gpu| gpu.0).collect(),
            stage: if run.prefetched { Stage::Held } else { Stage::Placed },
            cancelled: false,
            recalled: false,
            started_at: None,
        });
        if let Some(job) = self.jobs.get_mut(&run.job) {
            job.live += 1;
        }
        let group = self.groups.touch(run.group);
        if run.prefetched {
            group.hold(key);
        } else {
            group.places += 1;
            self.runs.push_back(key);
        }
    }

    fn buried(&mut self, task: TaskRef, fence: Fence) -> bool {
        self.tombstones.iter().any(|(buried, upto)| *buried == task && fence <= *upto)
    }

    /// Hands over what may start: everything with a place, and a few held ones for each group that has places.
    pub(super) fn pump(&mut self, now: Now, out: &mut Vec<Action>) {
        if self.may_start(now) {
            while let Some(key) = self.runs.pop_front() {
                self.hand_over(now, key, true, out);
            }
        }
        let may_start = self.may_start(now);
        while let Some(number) = self.groups.changed.pop() {
            let Some(group) = self.groups.all.get_mut(&number) else { continue };
            if group.is_empty() {
                self.groups.all.remove(&number);
                continue;
            }
            if group.ended > 0 {
                group.pace = group.ended.max(group.pace - group.pace / 4);
                group.ended = 0;
            }
            if may_start && group.places > 0 {
                self.prepare_ahead(now, number, out);
            }
        }
    }

    /// Keeps the drivers supplied with held attempts of a group.
    fn prepare_ahead(&mut self, now: Now, number: u32, out: &mut Vec<Action>) {
        while let Some(group) = self.groups.all.get_mut(&number)
            && let Some(key) = group.next_held(&self.attempts)
        {
            let (places, pace, prepared) = (group.places, group.pace, group.prepared_count);
            let task = self.attempts.get(key).map(|attempt| attempt.task);
            let Some(task) = task else { return };
            if prepared >= self.driver_of(task.job).prepared_max(places, pace) {
                return;
            }
            self.hand_over(now, key, false, out);
        }
    }

    /// Whether what starts now need not be stopped at once for the lease. What must wait starts when the lease is
    /// renewed.
    pub(super) fn may_start(&self, now: Now) -> bool {
        let in_time =
            self.lease.may_start(now.boot_ms) && now.boot_ms < self.lease.term_at(self.grace_max_ms);
        self.leaving == Leaving::No && !self.unfit && !self.lost && in_time
    }

    /// Gives an attempt to its driver: with `run` to start at once, else to be prepared. The record comes first.
    pub(super) fn hand_over(&mut self, now: Now, key: u64, run: bool, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get_mut(key) else { return };
        let Some(job) = self.jobs.get_mut(&attempt.task.job) else { return };
        out.push(Action::Journal(JournalRecord::Starting {
            first: attempt.task,
            count: 1,
            attempt: attempt.attempt,
            fence: attempt.fence,
        }));
        self.groups.leave(attempt.group, attempt.stage);
        attempt.stage = if run { Stage::Running } else { Stage::Prepared };
        if !job.added {
            job.added = true;
            self.idle.retain(|idle| *idle != attempt.task.job);
            out.push(Action::AddJob(job.driver, attempt.task.job));
        }
        let order = Order {
            key,
            job: attempt.task.job.0,
            number: job.spec.array.number(attempt.task.index),
            attempt: attempt.attempt,
            fence: attempt.fence.0,
            group: attempt.group,
            run,
            index: attempt.task.index,
            entry: job.spec.entries.get(attempt.task.index as usize).cloned(),
            gpus: attempt.gpus.clone(),
        };
        out.push(Action::Prepare(job.driver, order));
        if run {
            self.report_start(now, key);
        } else if let Some(attempt) = self.attempts.get(key) {
            self.groups.touch(attempt.group).prepare(key);
        }
    }

    /// Puts the start of an attempt that now owns a place into the report buffer.
    pub(super) fn report_start(&mut self, now: Now, key: u64) {
        let Some(attempt) = self.attempts.get_mut(key) else { return };
        let start = Start { task: attempt.task, fence: attempt.fence, started_wall_ms: now.wall_ms };
        attempt.started_at = Some(self.reports.push(Item::Started(start)));
    }

    /// A user cancelled: stops what runs, ends what is held, and remembers the cancel of what has not come yet.
    pub(super) fn cancel(&mut self, now: Now, task: TaskRef, fence: Fence, out: &mut Vec<Action>) {
        let Some((key, attempt)) = self.attempts.by_task(task).filter(|(_, a)| a.fence <= fence) else {
            if !self.seen.has(task, fence) {
                out.push(Action::Journal(JournalRecord::Tombstone { task, fence }));
                self.tombstones.push_back((task, fence));
                if self.tombstones.len() > TOMBSTONES_MAX {
                    self.tombstones.pop_front();
                }
            }
            return;
        };
        match attempt.stage {
            Stage::Held | Stage::Placed => {
                let placed = attempt.stage == Stage::Placed;
                let Some(attempt) = self.drop_attempt(key, out) else { return };
                self.finish_unstarted(task, attempt.fence, Outcome::Cancelled, out);
                if placed {
                    self.fill_place(now, attempt.group, out);
                }
            }
            Stage::Prepared | Stage::Running => {
                let driver = self.driver_of(task.job);
                if let Some(attempt) = self.attempts.get_mut(key) {
                    attempt.cancelled = true;
                }
                out.push(Action::Stop(driver, key, Outcome::Cancelled));
            }
        }
    }

    /// Kills what was cancelled, without waiting for the end of its grace.
    pub(super) fn kill_cancelled(&mut self, task: TaskRef, fence: Fence, out: &mut Vec<Action>) {
        if let Some((key, attempt)) = self.attempts.by_task(task)
            && attempt.fence <= fence
            && attempt.cancelled
        {
            out.push(Action::Kill(self.driver_of(task.job), key));
        }
    }

    /// Gives back every held attempt of the job.
    pub(super) fn recall(&mut self, job: JobId, fence: Fence, out: &mut Vec<Action>) {
        let held = |a: &Attempt| matches!(a.stage, Stage::Held | Stage::Prepared);
        let of_job = |a: &Attempt| a.task.job == job && a.fence <= fence && held(a);
        let keys: Vec<u64> = self.attempts.iter().filter(|(_, a)| of_job(a)).map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.take_back(key, out));
    }

    /// Returns an attempt that owns no place, now or when its driver gives it back.
    pub(super) fn take_back(&mut self, key: u64, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.get_mut(key) else { return };
        let task = attempt.task;
        match attempt.stage {
            Stage::Held | Stage::Placed => {
                let fence = attempt.fence;
                if let Some(attempt) = self.drop_attempt(key, out) {
                    self.give_back(task, fence, out);
                    if attempt.stage == Stage::Placed {
                        self.free_place(attempt.group);
                    }
                }
            }
            Stage::Prepared if !attempt.recalled => {
                attempt.recalled = true;
                let driver = self.driver_of(task.job);
                out.push(Action::Recall(driver, key));
            }
            Stage::Prepared | Stage::Running => {}
        }
    }

    /// Groups without a place give back what they hold, but only after a while. Held attempts may have been on their
    /// way when the last place was given back; then the server soon sends an attempt with a place, and they follow it.
    pub(super) fn return_stranded(&mut self, now: Now, out: &mut Vec<Action>) {
        for number in &self.groups.changed {
            let stranded = self.groups.all.get(number).is_some_and(Group::is_stranded);
            if stranded {
                self.stranded.entry(*number).or_insert(now.boot_ms + STRANDED_MS);
            } else if !self.stranded.is_empty() {
                self.stranded.remove(number);
            }
        }
        while let Some((&number, _)) = self.stranded.iter().find(|(_, due)| **due <= now.boot_ms) {
            self.stranded.remove(&number);
            let group = self.groups.all.get(&number);
            let keys: Vec<u64> = group.map(|group| group.placeless().collect()).unwrap_or_default();
            keys.into_iter().for_each(|key| self.take_back(key, out));
        }
    }

    /// Gives back what owns no place, and what owns one and was not handed to a driver.
    pub(super) fn give_back_unstarted(&mut self, out: &mut Vec<Action>) {
        let unstarted = |a: &Attempt| a.stage != Stage::Running;
        let keys: Vec<u64> = self.attempts.iter().filter(|(_, a)| unstarted(a)).map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.take_back(key, out));
    }

    /// Stops what runs and gives back the rest.
    pub(super) fn stop_all(&mut self, why: Outcome, out: &mut Vec<Action>) {
        self.runs.clear();
        let mut keys: Vec<(u64, Stage, JobId)> =
            self.attempts.iter().map(|(key, a)| (key, a.stage, a.task.job)).collect();
        // What is prepared comes back before a place falls vacant.
        keys.sort_by_key(|(_, stage, _)| *stage == Stage::Running);
        for (key, stage, job) in keys {
            if stage == Stage::Running {
                out.push(Action::Stop(self.driver_of(job), key, why));
            } else {
                self.take_back(key, out);
            }
        }
    }

    /// Ends the grace of everything that was told to stop.
    pub(super) fn kill_all(&mut self, out: &mut Vec<Action>) {
        let running = self.attempts.iter().filter(|(_, a)| a.stage == Stage::Running);
        out.extend(running.map(|(key, a)| Action::Kill(self.driver_of(a.task.job), key)));
    }

    /// Takes an attempt out of every table but the reports.
    pub(super) fn drop_attempt(&mut self, key: u64, out: &mut Vec<Action>) -> Option<Attempt> {
        let attempt = self.attempts.remove(key)?;
        self.groups.leave(attempt.group, attempt.stage);
        if attempt.stage == Stage::Placed {
            self.runs.retain(|placed| *placed != key);
        }
        if let Some(job) = self.jobs.get_mut(&attempt.task.job) {
            job.live -= 1;
            if job.live == 0 && job.added {
                self.idle.push_back(attempt.task.job);
                self.drop_idle(out);
            }
        }
        Some(attempt)
    }

    fn drop_idle(&mut self, out: &mut Vec<Action>) {
        while self.idle.len() > super::IDLE_JOBS_MAX {
            let Some(id) = self.idle.pop_front() else { return };
            // It may have attempts again.
            if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.live == 0 && job.added) {
                job.added = false;
                out.push(Action::DropJob(job.driver, id));
            }
        }
    }

    pub(super) fn give_back(&mut self, task: TaskRef, fence: Fence, out: &mut Vec<Action>) {
        self.seen.insert(task, fence);
        self.reports.push(Item::Returned(Returned { task, fence }));
        out.push(Action::Journal(JournalRecord::Returned { task, fence }));
    }

    /// Ends an attempt that never started.
    pub(super) fn finish_unstarted(
        &mut self,
        task: TaskRef,
        fence: Fence,
        outcome: Outcome,
        out: &mut Vec<Action>,
    ) {
        let end = AttemptEnd::without_run(outcome);
        self.finish(Finish { task, fence, end }, None, out);
    }

    /// Puts an end into the journal and the report buffer. `started_at` is the position of its start there.
    pub(super) fn finish(&mut self, finish: Finish, started_at: Option<u64>, out: &mut Vec<Action>) {
        self.seen.insert(finish.task, finish.fence);
        out.push(Action::Journal(JournalRecord::Ended(finish.clone())));
        self.reports.push(Item::Finished(finish));
        if let Some(position) = started_at {
            self.reports.ended(position);
        }
    }

    /// The driver that runs a job's attempts.
    pub(crate) fn driver_of(&self, job: JobId) -> DriverKind {
        self.jobs.get(&job).map_or(DriverKind::Process, |job| job.driver)
    }
}
