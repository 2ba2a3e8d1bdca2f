//! From records to jobs: what each filter keeps, and what it changes.

use super::{Estimates, Filter, Header, Log, SwfOptions, SwfRecord};
use crate::workload::{TraceJob, Workload, machine, procs_request};
use crate::{TraceError, limits};
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::Invalid;

/// What RLScheduler makes of an unknown run time, in milliseconds.
const RLWIN_UNKNOWN_RUN_MS: i64 = 10_000;

/// A record that a filter keeps. Times are whole seconds, in milliseconds.
struct SelectedJob {
    submit_ms: i64,
    run_ms: i64,
    estimate_ms: i64,
    limit_ms: Option<i64>,
    procs: i32,
    changed: Option<&'static str>,
}

impl Log {
    /// The workloads that the options ask for: one for each window, or one.
    pub fn workloads(&self, options: &SwfOptions) -> Result<Vec<Workload>, TraceError> {
        if self.records.is_empty() {
            return Err(self.nothing());
        }
        let whole = self.filtered(options)?.not_empty(self.records.len())?;
        let Some(windows) = &options.windows else { return Ok(vec![in_order_of_submit(whole)]) };
        windows.check("windows", whole.jobs.len())?;
        let cut = |start: &usize| {
            let jobs = whole.jobs[*start..*start + windows.length].to_vec();
            let name = format!("{} [{start}+{}]", whole.name, windows.length);
            in_order_of_submit(Workload { name, jobs, ..without_jobs(&whole) })
        };
        Ok(windows.starts.iter().map(cut).collect())
    }

    /// Why there is no record at all.
    fn nothing(&self) -> TraceError {
        let why = match self.malformed.first.first() {
            _ if self.lines == 0 => "the file is empty".to_owned(),
            Some(first) => format!("is this a log in SWF? line {}: {}", first.line, first.why),
            None => "the file holds nothing but comments".to_owned(),
        };
        TraceError::Empty { trace: self.name.clone(), records: 0, malformed: self.malformed.total, why }
    }

    /// Cpus of the machine.
    fn procs(&self, options: &SwfOptions) -> Result<u32, Invalid> {
        let Header { max_procs, max_nodes, max_procs_unread, .. } = &self.header;
        let procs = match (options.procs.or(*max_procs), max_procs_unread) {
            (None, Some(unread)) => {
                let remedy =
                    format!("the log says MaxProcs: {unread}, which is no whole number: give --procs N");
                return Err(Invalid::new("procs", &self.name, remedy));
            }
            (procs, _) => procs.or(*max_nodes).ok_or_else(|| {
                let remedy = "the log does not say how large the machine was: give --procs N";
                Invalid::new("procs", &self.name, remedy)
            })?,
        };
        if procs == 0 || procs > limits::PROCS_MAX {
            let remedy = format!("between 1 and {}", limits::PROCS_MAX);
            return Err(Invalid::new("procs", procs, remedy));
        }
        Ok(procs)
    }

    /// What is assumed of the log as a whole.
    fn notes(&self, options: &SwfOptions) -> Vec<String> {
        let mut notes = Vec::new();
        if let (None, None, Some(nodes)) = (options.procs, self.header.max_procs, self.header.max_nodes) {
            notes.push(format!(
                "The log does not say MaxProcs; the machine has its MaxNodes, {nodes}: if its nodes had several processors, give --procs N."
            ));
        }
        if self.header.allow_overuse && options.filter != Filter::Rlwin {
            notes.push(
                "The log says AllowOveruse: jobs ran beyond their requested time; here they end at it."
                    .to_owned(),
            );
        }
        notes
    }

    /// The kept jobs, in the order in which windows count them.
    fn filtered(&self, options: &SwfOptions) -> Result<Workload, TraceError> {
        let procs = self.procs(options)?;
        let mut workload =
            Workload { name: self.name.clone(), nodes: vec![machine(procs)], ..Workload::default() };
        workload.malformed = self.malformed.clone();
        workload.notes = self.notes(options);
        workload.jobs.reserve(self.records.len());
        let mut users = Users::default();
        let whole = self.ids_of_partial();
        for record in &self.records {
            let kept = match record.partial {
                true if whole.contains(&record.id) => Err("part_of_a_job_with_a_line_of_its_own"),
                true => Err("part_of_a_job_without_a_line_of_its_own"),
                false => self.keep(record, options.filter).and_then(|kept| kept.fits(procs)),
            };
            match kept {
                Ok(kept) => {
                    kept.changed.iter().for_each(|rule| *workload.changed.entry(rule).or_default() += 1);
                    workload.note(record);
                    let user = users.number(record.user);
                    workload.jobs.push(kept.job(record.id, user, options.estimates));
                }
                Err(rule) => *workload.dropped.entry(rule).or_default() += 1,
            }
        }
        workload.users = users.names;
        workload.note_order();
        match options.filter {
            Filter::None | Filter::Sc15 => workload.jobs.sort_by_key(|j| j.submit_ms),
            Filter::Rlwin => workload.jobs.sort_by_key(|j| j.id),
        }
        Ok(workload)
    }

    /// The numbers of jobs that have lines for parts of them and one for the whole.
    fn ids_of_partial(&self) -> BTreeSet<u64> {
        let partial: BTreeSet<u64> = self.records.iter().filter(|r| r.partial).map(|r| r.id).collect();
        let whole = self.records.iter().filter(|r| !partial.is_empty() && !r.partial);
        whole.map(|r| r.id).filter(|id| partial.contains(id)).collect()
    }

    fn keep(&self, record: &SwfRecord, filter: Filter) -> Result<SelectedJob, &'static str> {
        match filter {
            Filter::None => plain(*record),
            Filter::Sc15 => plain(strong(*record, self.header.max_procs)?),
            Filter::Rlwin => rlwin(record),
        }
    }
}

/// What can be run at all.
fn plain(record: SwfRecord) -> Result<SelectedJob, &'static str> {
    let (submit_ms, mut run_ms) = (seconds(record.submit_ms), seconds(record.run_ms));
    let requested_ms = Some(seconds(record.requested_ms)).filter(|ms| *ms > 0);
    let procs = if record.requested > 0 { record.requested } else { record.allocated };
    let mut changed = None;
    match requested_ms {
        None => changed = Some("estimate_missing_taken_from_run"),
        Some(limit) if run_ms > limit => {
            changed = Some("run_cut_at_limit");
            run_ms = limit;
        }
        Some(_) => {}
    }
    if run_ms <= 0 {
        return Err("run_not_positive");
    }
    if procs <= 0 {
        return Err("procs_not_positive");
    }
    if submit_ms < 0 {
        return Err("submit_negative");
    }
    Ok(SelectedJob {
        submit_ms,
        run_ms,
        estimate_ms: requested_ms.unwrap_or(run_ms),
        limit_ms: requested_ms,
        procs,
        changed,
    })
}

/// The strong filter: its rules in its order.
fn strong(mut record: SwfRecord, max_procs: Option<u32>) -> Result<SwfRecord, &'static str> {
    let max = max_procs.map_or(i64::MAX, i64::from);
    if i64::from(record.allocated) > max || i64::from(record.requested) > max {
        return Err("procs_above_machine");
    }
    match (record.allocated > 0, record.requested > 0) {
        (true, true) => {}
        (false, true) => record.allocated = record.requested,
        (true, false) => record.requested = record.allocated,
        (false, false) => return Err("procs_not_positive"),
    }
    if record.run_ms <= 0 {
        return Err("run_not_positive");
    }
    if record.requested_ms <= 0 {
        return Err("estimate_not_positive");
    }
    if record.submit_ms < 0 {
        return Err("submit_negative");
    }
    // A run longer than its request is cut by what follows.
    Ok(record)
}

/// RLScheduler's reading. It kills nothing, so there is no limit; a job may run longer than it said.
fn rlwin(record: &SwfRecord) -> Result<SelectedJob, &'static str> {
    if !record.whole {
        return Err("fields_missing");
    }
    let (submit_ms, mut run_ms) = (seconds(record.submit_ms), seconds(record.run_ms));
    let mut estimate_ms = seconds(record.requested_ms);
    let mut changed = None;
    if estimate_ms == -1_000 {
        changed = Some("estimate_missing_taken_from_run");
        estimate_ms = run_ms;
    }
    if run_ms == 0 {
        return Err("run_zero");
    }
    if run_ms < 0 {
        changed = Some("run_unknown_taken_as_10s");
        run_ms = RLWIN_UNKNOWN_RUN_MS;
    }
    if submit_ms < 0 {
        return Err("submit_negative");
    }
    let procs = record.allocated.max(record.requested);
    if procs <= 0 {
        return Err("procs_not_positive");
    }
    Ok(SelectedJob { submit_ms, run_ms, estimate_ms: estimate_ms.max(0), limit_ms: None, procs, changed })
}

impl Workload {
    /// Counts what is corrected in a record that is kept, whatever the filter.
    fn note(&mut self, record: &SwfRecord) {
        let part = |ms: i64| ms % 1_000 != 0;
        if part(record.submit_ms) || part(record.run_ms) || part(record.requested_ms) {
            *self.changed.entry("times_cut_to_whole_seconds").or_default() += 1;
        }
        if !record.whole {
            *self.changed.entry("fields_missing_at_the_end").or_default() += 1;
        }
    }

    /// Counts jobs that stand after a later one, and numbers that several jobs have. Jobs are in the order of the file.
    fn note_order(&mut self) {
        let late = self.jobs.windows(2).filter(|pair| pair[1].submit_ms < pair[0].submit_ms).count();
        let mut twice = 0;
        if !self.jobs.is_sorted_by(|a, b| a.id < b.id) {
            let mut ids: Vec<u64> = self.jobs.iter().map(|job| job.id).collect();
            ids.sort_unstable();
            twice = ids.windows(2).filter(|pair| pair[0] == pair[1]).count();
        }
        for (rule, count) in
            [("submit_before_the_line_above_put_in_order", late), ("job_number_seen_before", twice)]
        {
            if count > 0 {
                self.changed.insert(rule, count as u64);
            }
        }
    }
}

impl SelectedJob {
    fn fits(self, procs: u32) -> Result<SelectedJob, &'static str> {
        if self.procs.unsigned_abs() > procs { Err("procs_above_machine") } else { Ok(self) }
    }

    fn job(&self, id: u64, user: u32, estimates: Estimates) -> TraceJob {
        let (run_ms, procs) = (self.run_ms.unsigned_abs(), self.procs.unsigned_abs());
        let estimate_ms = match estimates {
            Estimates::User => self.estimate_ms.unsigned_abs(),
            Estimates::Clairvoyant => run_ms,
        };
        TraceJob {
            id,
            submit_ms: self.submit_ms.unsigned_abs(),
            run_ms,
            request: procs_request(procs),
            estimate_ms: Some(estimate_ms),
            limit_ms: self.limit_ms.map(i64::unsigned_abs),
            user,
            procs,
        }
    }
}

/// Whole seconds, cut towards zero, in milliseconds: published numbers know nothing finer.
fn seconds(ms: i64) -> i64 {
    ms / 1_000 * 1_000
}

fn in_order_of_submit(mut workload: Workload) -> Workload {
    workload.jobs.sort_by_key(|j| j.submit_ms);
    workload
}

fn without_jobs(whole: &Workload) -> Workload {
    Workload {
        name: String::new(),
        jobs: Vec::new(),
        users: whole.users.clone(),
        nodes: whole.nodes.clone(),
        constraints: BTreeMap::new(),
        terms: BTreeMap::new(),
        settings: None,
        notes: whole.notes.clone(),
        dropped: whole.dropped.clone(),
        changed: whole.changed.clone(),
        malformed: whole.malformed.clone(),
    }
}

/// Users, numbered as they come.
#[derive(Default)]
struct Users {
    numbers: BTreeMap<i32, u32>,
    names: Vec<String>,
}

impl Users {
    fn number(&mut self, user: i32) -> u32 {
        let names = &mut self.names;
        *self.numbers.entry(user).or_insert_with(|| {
            names.push(if user < 0 { "unknown".to_owned() } else { user.to_string() });
            (names.len() - 1) as u32
        })
    }
}
