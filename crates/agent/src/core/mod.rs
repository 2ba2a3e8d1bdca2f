//! The agent's decisions, as a pure state machine: no I/O, no clock, no randomness. [`AgentCore::step`] takes an input
//! and answers with actions; the runtime writes their journal entries first, then does the rest in order.
//!
//! The words: a *place* is an allocation on this node, made by an assignment to `run`. An attempt that owns a place is
//! *running* from the moment its driver gets it. A *held* attempt owns none; it is *waiting* in the core or *prepared*
//! at the driver, and starts only by taking over the place of an attempt of its group that ended.
//!
//! Invariant of reports: the end of an attempt and the start of its successor enter the report buffer in one step, and
//! no report is cut so that it shows the end without the successor that runs (see [`reports`]).

mod assign;
mod attempts;
mod events;
mod reports;
#[cfg(test)]
mod tests;

use crate::clock::Now;
use crate::driver::DriverKind;
use crate::journal::JournalRecord;
use crate::orders::{DriverEvent, Lease, Order};
use attempts::{Attempts, EndedFences, Groups, Stage};
use reports::Reports;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use taskyard_model::report::Item;
use taskyard_model::{Fence, Incarnation, JobId, JobSpec, Outcome, TaskRef};
use taskyard_wire::{Granted, StartRun, Welcome};

/// Jobs without attempts that drivers keep, so that a job whose tasks come one by one is not sent each time.
const IDLE_JOBS_MAX: usize = 64;
/// Cancels of attempts that never came, oldest forgotten first.
const TOMBSTONES_MAX: usize = 4_096;

/// What came in.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// A session stands.
    Welcome(Welcome),
    /// It does not any more.
    Closed,
    Granted(Granted),
    Job {
        job: JobId,
        spec: Arc<JobSpec>,
    },
    Start {
        term: u64,
        session: u64,
        runs: Vec<StartRun>,
    },
    Cancel {
        task: TaskRef,
        fence: Fence,
        /// Without a grace.
        now: bool,
    },
    Recall {
        job: JobId,
        fence: Fence,
    },
    Ack {
        seq: u64,
    },
    Forget {
        jobs: Vec<JobId>,
    },
    /// A driver says what happened, in order.
    Happened(DriverKind, Vec<DriverEvent>),
    /// The server declared this incarnation lost: stop everything.
    Lost,
    /// The agent is to stop in an orderly way: nothing starts any more, and what did not start goes back.
    Drain,
    /// What still runs is to stop.
    Stop,
    /// And has no grace left.
    Kill,
    /// Whether the drivers can run anything. While they cannot, what is assigned goes back.
    Fit(bool),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Write this before anything else of the step.
    Journal(JournalRecord),
    /// The driver needs what the attempts of a job share.
    AddJob(DriverKind, JobId),
    /// A job that the driver has runs under other limits from now on.
    SetLimits(DriverKind, JobId),
    /// The driver may drop it.
    DropJob(DriverKind, JobId),
    Prepare(DriverKind, Order),
    /// Start a prepared attempt without waiting for a place.
    Start(DriverKind, u64),
    /// Give a prepared attempt back.
    Recall(DriverKind, u64),
    /// Ask an attempt to end, and kill it after its grace.
    Stop(DriverKind, u64, Outcome),
    /// End the grace of one that was told to stop.
    Kill(DriverKind, u64),
    Renew(Lease),
    Report {
        seq: u64,
        items: Arc<Vec<Item>>,
    },
    /// Remove everything of a job.
    Forget(JobId),
}

impl Action {
    /// What the journal is to hold.
    pub(crate) fn record(&self) -> Option<&JournalRecord> {
        if let Action::Journal(record) = self { Some(record) } else { None }
    }
}

/// How far the agent is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leaving {
    /// Not at all.
    No,
    /// Nothing starts any more, and what did not start goes back.
    Draining,
    /// What runs is asked to end.
    Stopping,
    /// And has no grace.
    Killing,
}

struct Job {
    spec: Arc<JobSpec>,
    driver: DriverKind,
    /// Attempts in the table.
    live: u32,
    /// The driver has it.
    added: bool,
}

/// See the module.
pub(crate) struct AgentCore {
    term: u64,
    session: Option<u64>,
    incarnation: Option<Incarnation>,
    lease: Lease,
    /// Longest stop grace of any job so far, as drivers count it: the last part of a lease is for stopping.
    grace_max_ms: u64,
    leaving: Leaving,
    /// The drivers cannot run anything.
    unfit: bool,
    /// The server declared this life lost.
    lost: bool,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs without attempts that drivers have, in the order in which they became so.
    idle: VecDeque<JobId>,
    attempts: Attempts,
    groups: Groups,
    /// Attempts with a place that wait for a lease.
    runs: VecDeque<u64>,
    /// Groups that hold attempts but have no place, and when these go back.
    stranded: BTreeMap<u32, u64>,
    seen: EndedFences,
    tombstones: VecDeque<(TaskRef, Fence)>,
    reports: Reports,
}

impl AgentCore {
    /// A core that has seen servers up to this term.
    pub(crate) fn new(term: u64) -> AgentCore {
        AgentCore {
            term,
            session: None,
            incarnation: None,
            lease: Lease::default(),
            grace_max_ms: 0,
            leaving: Leaving::No,
            unfit: false,
            lost: false,
            jobs: BTreeMap::new(),
            idle: VecDeque::new(),
            attempts: Attempts::default(),
            groups: Groups::default(),
            runs: VecDeque::new(),
            stranded: BTreeMap::new(),
            seen: EndedFences::default(),
            tombstones: VecDeque::new(),
            reports: Reports::default(),
        }
    }

    /// A core that only reports what an older process left; whatever is assigned meanwhile ends with the registration
    /// that follows.
    pub(crate) fn recovering(term: u64, incarnation: Incarnation, items: Vec<Item>) -> AgentCore {
        let mut core = AgentCore::new(term);
        core.incarnation = Some(incarnation);
        core.leaving = Leaving::Draining;
        for item in items {
            match &item {
                Item::Finished(finish) => core.seen.insert(finish.task, finish.fence),
                Item::Returned(returned) => core.seen.insert(returned.task, returned.fence),
                Item::Started(_) => {}
            }
            core.reports.push(item);
        }
        core
    }

    /// Takes one input. Actions are appended in order; every [`Action::Journal`] of a step must be written before its
    /// other actions are done.
    pub(crate) fn step(&mut self, now: Now, input: Input, out: &mut Vec<Action>) {
        match input {
            Input::Welcome(welcome) => self.welcome(now, &welcome, out),
            Input::Closed => self.session = None,
            Input::Granted(granted) => self.granted(&granted, out),
            Input::Job { job, spec } => self.job(job, spec, out),
            Input::Start { term, session, runs } => {
                if term >= self.term && self.session == Some(session) {
                    runs.into_iter().for_each(|run| self.accept(run, out));
                }
            }
            Input::Cancel { task, fence, now: at_once } => {
                self.cancel(now, task, fence, out);
                if at_once {
                    self.kill_cancelled(task, fence, out);
                }
            }
            Input::Recall { job, fence } => self.recall(job, fence, out),
            Input::Ack { seq } => self.ack(seq, out),
            Input::Forget { jobs } => jobs.into_iter().for_each(|job| self.forget(job, out)),
            Input::Happened(driver, events) => self.happened(now, driver, events, out),
            Input::Lost => {
                self.lost = true;
                self.stop_all(Outcome::LeaseLost, out);
            }
            Input::Drain => {
                self.leaving = self.leaving.max(Leaving::Draining);
                self.give_back_unstarted(out);
            }
            Input::Stop => {
                self.leaving = self.leaving.max(Leaving::Stopping);
                self.stop_all(Outcome::AgentStopped, out);
            }
            Input::Kill => {
                if self.leaving < Leaving::Stopping {
                    self.stop_all(Outcome::AgentStopped, out);
                }
                self.leaving = Leaving::Killing;
                self.kill_all(out);
            }
            Input::Fit(fit) => {
                self.unfit = !fit;
                if self.unfit {
                    self.give_back_unstarted(out);
                }
            }
            Input::Tick => {}
        }
        self.return_stranded(now, out);
        self.pump(now, out);
        self.reports.flush(now.boot_ms, self.session.is_some(), out);
    }

    /// When [`Input::Tick`] is wanted.
    pub(crate) fn next_tick_ms(&self) -> Option<u64> {
        let report = self.reports.due_ms(self.session.is_some());
        report.into_iter().chain(self.stranded.values().copied()).min()
    }

    /// Highest term seen.
    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    /// A session stands.
    pub(crate) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// The registered life this process goes on with.
    pub(crate) fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// Nothing runs and nothing is held.
    pub(crate) fn is_quiet(&self) -> bool {
        self.attempts.is_empty()
    }

    /// Everything that happened is acknowledged.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_quiet() && self.reports.is_empty()
    }

    /// What a journal must hold to go on from here.
    pub(crate) fn records(&self) -> Vec<JournalRecord> {
        let mut records = vec![JournalRecord::Term(self.term)];
        records.extend(self.incarnation.map(JournalRecord::Incarnation));
        for &(task, fence) in &self.tombstones {
            records.push(JournalRecord::Tombstone { task, fence });
        }
        for item in self.reports.results() {
            records.push(match item {
                Item::Finished(finish) => JournalRecord::Ended(finish.clone()),
                Item::Returned(returned) => {
                    JournalRecord::Returned { task: returned.task, fence: returned.fence }
                }
                Item::Started(_) => continue,
            });
        }
        for (_, a) in self.attempts.iter() {
            let run = StartRun {
                job: a.task.job,
                first: a.task.index,
                count: 1,
                attempt: a.attempt,
                fence: a.fence,
                prefetched: true,
                group: a.group,
                gpus: Vec::new(),
            };
            records.push(JournalRecord::Accepted(run));
            if matches!(a.stage, Stage::Prepared | Stage::Running) {
                let (first, attempt, fence) = (a.task, a.attempt, a.fence);
                records.push(JournalRecord::Starting { first, count: 1, attempt, fence });
            }
        }
        records
    }

    /// A job's body.
    pub(crate) fn spec(&self, job: JobId) -> Option<&Arc<JobSpec>> {
        self.jobs.get(&job).map(|job| &job.spec)
    }

    /// The driver did not get a job that it was to have: it must come again.
    pub(crate) fn job_not_added(&mut self, job: JobId) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.added = false;
        }
    }

    /// The driver's key of a live attempt that may have output.
    pub(crate) fn running_key(&self, task: TaskRef, attempt: u32) -> Option<u64> {
        let (key, found) = self.attempts.by_task(task)?;
        (found.attempt == attempt).then_some(key)
    }

    fn welcome(&mut self, now: Now, welcome: &Welcome, out: &mut Vec<Action>) {
        if welcome.term < self.term {
            return;
        }
        if welcome.term > self.term {
            self.term = welcome.term;
            out.push(Action::Journal(JournalRecord::Term(welcome.term)));
        }
        if self.incarnation != Some(welcome.incarnation) {
            debug_assert!(self.is_quiet(), "a new life begins with nothing left of the old");
            let fresh = AgentCore { jobs: std::mem::take(&mut self.jobs), ..AgentCore::new(self.term) };
            *self = AgentCore { leaving: self.leaving, unfit: self.unfit, ..fresh };
            self.incarnation = Some(welcome.incarnation);
            out.push(Action::Journal(JournalRecord::Incarnation(welcome.incarnation)));
        }
        self.session = Some(welcome.session);
        self.lease.length_ms = welcome.lease_ms;
        self.reports.send_again(now.boot_ms, out);
    }

    fn granted(&mut self, granted: &Granted, out: &mut Vec<Action>) {
        let ours = self.incarnation == Some(granted.incarnation)
            && self.session == Some(granted.session)
            && granted.term >= self.term;
        if !ours || granted.remaining_ms == 0 || self.lost {
            return;
        }
        let deadline_ms = granted.sent_boot_ms.saturating_add(granted.remaining_ms);
        if deadline_ms > self.lease.deadline_ms {
            self.lease.deadline_ms = deadline_ms;
            out.push(Action::Renew(self.lease));
        }
    }

    fn job(&mut self, job: JobId, spec: Arc<JobSpec>, out: &mut Vec<Action>) {
        self.grace_max_ms = self.grace_max_ms.max(spec.grace_ms);
        let driver = DriverKind::of(&spec.driver);
        // A new session sends it again, and so does a change of it.
        let known =
            self.jobs.entry(job).or_insert_with(|| Job { spec: spec.clone(), driver, live: 0, added: false });
        if known.spec == spec {
            return;
        }
        let before = std::mem::replace(&mut known.spec, spec);
        let limits = |spec: &JobSpec| (spec.time_limit_ms, spec.grace_ms);
        if known.added && limits(&before) != limits(&known.spec) {
            out.push(Action::SetLimits(known.driver, job));
        }
        // What tasks are started with is made again when it has changed.
        known.added &= before.name == known.spec.name && before.driver == known.spec.driver;
    }

    fn ack(&mut self, seq: u64, out: &mut Vec<Action>) {
        let results = self.reports.acked(seq);
        if results > 0 {
            self.seen.acked(results);
            out.push(Action::Journal(JournalRecord::Acked(results)));
        }
    }

    fn forget(&mut self, job: JobId, out: &mut Vec<Action>) {
        if self.jobs.get(&job).is_none_or(|known| known.live == 0) {
            if let Some(known) = self.jobs.remove(&job).filter(|known| known.added) {
                out.push(Action::DropJob(known.driver, job));
            }
            self.idle.retain(|idle| *idle != job);
            out.push(Action::Forget(job));
        }
    }
}
