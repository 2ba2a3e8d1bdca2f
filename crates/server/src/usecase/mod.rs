//! What a server does for users, apart from HTTP: each file is one use case, in the words of the API. They read the applied state and propose
//! commands; they keep nothing of their own.

mod access;
mod after;
mod backup;
mod certificate;
mod check;
mod entitled;
mod events;
mod explain;
mod jobs;
mod output;
mod plan;
mod possible;
mod present;
mod retry;
mod scrape;
mod select;
mod servers;
mod submit;
mod tasks;
mod totals;
mod usage;
mod wait;

pub(crate) use access::{create_namespace, create_token, namespaces, revoke_token, tokens, whoami};
pub(crate) use backup::{BackupWork, list_backups};
pub(crate) use certificate::{create_certificate, remove_node};
pub(crate) use check::check;
pub(crate) use entitled::check_change as check_entitled;
pub(crate) use events::api_events;
pub(crate) use explain::explain;
pub(crate) use jobs::{JobFilter, detail, list_jobs};
pub(crate) use output::{LogWish, Output};
pub(crate) use plan::plan;
pub(crate) use possible::check_change;
pub(crate) use present::{all_nodes, node};
pub(crate) use retry::retry;
pub(crate) use scrape::{as_plain, scrape};
pub(crate) use select::runs_of;
pub(crate) use servers::{change_server, may_remove, servers, transfer};
pub(crate) use submit::{Wanted, submit};
pub(crate) use tasks::{list_tasks, one_task};
pub(crate) use totals::{Totals, totals};
pub(crate) use usage::{shares, usage};
pub(crate) use wait::until_finished;

use crate::app::App;
use crate::auth::{Caller, Outcome, Visible};
use crate::failure::{Answer, internal, no_job, not_ready, refusal};
use crate::heavy::heavy;
use std::sync::Arc;
use taskyard_api::{ApiError, JobSummary};
use taskyard_model::{EVERYWHERE, JobId, JobSpec};
use taskyard_state::{Command, Job, Reply, Whole};

/// Who asks for a change, and in which words it is remembered.
#[derive(Clone)]
pub(crate) struct Act<'a> {
    /// Who, and what: `submit`, `cancel`.
    pub(crate) by: &'a Caller,
    /// To what: `job 12`.
    pub(crate) object: String,
    /// Where that lies.
    pub(crate) namespace: String,
}

impl<'a> Act<'a> {
    /// On a job, or a part of one.
    pub(crate) fn on_job(app: &App, by: &'a Caller, job: JobId, object: String) -> Act<'a> {
        let namespace = app.consensus.read(|state| {
            state.job(job).map_or_else(|| EVERYWHERE.to_owned(), |job| job.spec.namespace.to_string())
        });
        Act { by, object, namespace }
    }
}

/// Proposes a change and waits until it is applied. Every call leaves one line in the audit, whatever came of it.
pub(crate) async fn change(app: &App, act: Act<'_>, command: Command) -> Answer<Reply> {
    let audit = |outcome, index, why| act.by.audit(&act.object, &act.namespace, (outcome, index), why);
    match app.consensus.propose(command).await {
        Ok(committed) => {
            let index = Some(committed.index);
            if let Reply::Rejected(rejection) = committed.reply {
                audit(Outcome::Rejected, index, Some(format!("{rejection:?}")));
                return Err(app.consensus.read(|state| refusal::rejected(state, &rejection)));
            }
            audit(Outcome::Done, index, None);
            Ok(committed.reply)
        }
        Err(error) => {
            let outcome = if error.is_definite() { Outcome::NotDone } else { Outcome::Indefinite };
            audit(outcome, None, Some(error.to_string()));
            Err(refusal::not_proposed(&error))
        }
    }
}

/// A server to which nothing has come for so long is cut off, or far behind.
const SILENCE_MAX_MS: u64 = 3_000;

/// Whether this server can serve users: it leads, or knows who does and follows. A leader that a majority follows proves itself each second, here and
/// there, so that silence tells: also one that still believes in itself may have been replaced.
pub(crate) fn may_serve(app: &App) -> Answer<()> {
    let consensus = &app.consensus;
    let is_led = consensus.leadership().borrow().is_some() || consensus.leader().is_some();
    if *app.stopping().borrow() {
        return Err(not_ready());
    }
    if !is_led || consensus.applied_age_ms() >= SILENCE_MAX_MS {
        return Err(not_led(app));
    }
    Ok(())
}

/// What a server says that all others refuse: it cannot serve until somebody has mended that.
pub(crate) fn stands_apart(app: &App) -> Option<ApiError> {
    app.consensus.refused_by_all().map(|why| refusal::refused_by_all(app.consensus.me(), &why))
}

/// No leader serves: how many of the servers that decide are heard here, this one among them.
pub(crate) fn not_led(app: &App) -> ApiError {
    if let Some(apart) = stands_apart(app) {
        return apart;
    }
    let mut voters = app.consensus.servers();
    voters.retain(|server| server.voter == Some(true));
    let heard = voters.iter().filter(|server| server.silent_ms.is_some_and(|ms| ms < SILENCE_MAX_MS)).count();
    match voters.len() {
        0 | 1 => not_ready(),
        all => refusal::no_leader(heard, all),
    }
}

/// A job as it is now. It is shared with the state, and what is kept of it makes the next change of the job copy it: do not keep it long.
pub(crate) fn find_job(app: &App, id: JobId) -> Answer<Arc<Job>> {
    app.consensus.read(|state| state.job(id).cloned().ok_or_else(|| no_job(state, id)))
}

/// The same with all that its tasks were run with, which is on disk once it has finished.
pub(crate) async fn find_whole_job(app: &App, id: JobId) -> Answer<Arc<Job>> {
    let job = find_job(app, id)?;
    let spec = whole(&job).await?;
    Ok(if Arc::ptr_eq(&spec, &job.spec) { job } else { Arc::new(job.with_spec(spec)) })
}

/// The job's line after an act, with a reason that costs nothing.
pub(crate) fn quick_summary(app: &App, visible: &Visible, id: JobId) -> Answer<JobSummary> {
    app.consensus.read(|state| {
        let job = state.job(id).ok_or_else(|| no_job(state, id))?;
        Ok(present::summary(state, job, explain::Quick::new(state, visible).word(job)))
    })
}

/// Whether the disk takes changes.
pub(crate) fn storage_takes(app: &App) -> Answer<()> {
    if app.consensus.storage_ok() {
        return Ok(());
    }
    Err(refusal::not_proposed(&taskyard_consensus::ProposeError::StorageFull))
}

/// What a job was asked for with, also where its input is on disk.
pub(crate) async fn whole(job: &Job) -> Answer<Arc<JobSpec>> {
    match job.whole() {
        Whole::Here(spec) => Ok(spec),
        stored => heavy(move || stored.load()).await?.map_err(|error| internal(&error)),
    }
}
