//! What a server does for users, apart from HTTP: each file is one use case, in the words of the API. They read the
//! applied state and propose commands; they keep nothing of their own.

mod access;
mod after;
mod backup;
mod certificate;
mod check;
mod cluster;
mod control;
mod entitled;
mod events;
mod explain;
mod jobs;
mod maintenance;
mod natural;
mod nodes;
mod output;
mod plan;
mod pools;
mod possible;
mod present;
mod queues;
mod retention;
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
pub(crate) use backup::{BackupWork, backups_in, begin_backup, begin_verification, list_backups};
pub(crate) use certificate::create_certificate;
pub(crate) use check::check;
pub(crate) use cluster::cluster_status;
pub(crate) use control::{cancel_job, hold_job, release_job, update_job};
pub(crate) use events::api_events;
pub(crate) use explain::explain;
pub(crate) use jobs::{JobFilter, detail, job_not_found, list_jobs};
pub(crate) use maintenance::{delete_maintenance, list_maintenance, set_maintenance};
pub(crate) use nodes::{drain_node, remove_node, resume_node};
pub(crate) use output::{LogWish, TaskOutput};
pub(crate) use plan::plan;
pub(crate) use pools::{delete_pool, list_pools, set_pool};
pub(crate) use present::all_nodes;
pub(crate) use queues::{delete_queue, list_queues, set_queue};
pub(crate) use retention::{retention, set_retention};
pub(crate) use retry::retry;
pub(crate) use scrape::{as_plain, scrape};
pub(crate) use servers::{join_server, remove_server, servers, transfer, update_server};
pub(crate) use submit::{Submission, submit};
pub(crate) use tasks::{list_tasks, one_task};
pub(crate) use usage::{set_shares, shares, usage};
pub(crate) use wait::until_finished;

use select::runs_of;
use totals::{Totals, totals};

use crate::app::App;
use crate::auth::{CallOutcome, Caller, Visible};
use crate::failure::{Answer, internal, no_job, not_ready, refusal};
use crate::heavy::heavy;
use std::sync::Arc;
use taskyard_api::{ApiError, JobSummary};
use taskyard_consensus::Consensus;
use taskyard_model::{EVERYWHERE, JobId, JobSpec};
use taskyard_state::{Command, Job, Reply, Whole};

/// Who a change is attributed to, and in which words it is remembered.
#[derive(Clone)]
pub(crate) struct Attribution<'a> {
    /// Who, and by which verb.
    by: &'a Caller,
    /// To what: `job 12`.
    object: String,
    /// Where that lies.
    namespace: String,
}

impl<'a> Attribution<'a> {
    /// On something that belongs to no namespace.
    fn everywhere(by: &'a Caller, object: String) -> Attribution<'a> {
        Attribution { by, object, namespace: EVERYWHERE.to_owned() }
    }

    /// On a job, or a part of one.
    fn on_job(consensus: &Consensus, by: &'a Caller, job: JobId, object: String) -> Attribution<'a> {
        let namespace = consensus.read(|state| {
            state.job(job).map_or_else(|| EVERYWHERE.to_owned(), |job| job.spec.namespace.to_string())
        });
        Attribution { by, object, namespace }
    }
}

/// Proposes a change and waits until it is applied. Every call leaves one line in the audit, whatever came of it.
async fn change(consensus: &Consensus, on: Attribution<'_>, command: Command) -> Answer<Reply> {
    let audit = |outcome, index, why| on.by.audit(&on.object, &on.namespace, (outcome, index), why);
    match consensus.propose(command).await {
        Ok(committed) => {
            let index = Some(committed.index);
            if let Reply::Rejected(rejection) = committed.reply {
                audit(CallOutcome::Rejected, index, Some(format!("{rejection:?}")));
                return Err(consensus.read(|state| refusal::rejected(state, &rejection)));
            }
            audit(CallOutcome::Done, index, None);
            Ok(committed.reply)
        }
        Err(error) => {
            let outcome = if error.is_definite() { CallOutcome::NotDone } else { CallOutcome::Indefinite };
            audit(outcome, None, Some(error.to_string()));
            Err(refusal::not_proposed(&error))
        }
    }
}

/// A server that has received nothing for this time is cut off, or far behind.
const SILENCE_MAX_MS: u64 = 3_000;

/// Whether this server can serve users: it leads, or has heard who does and follows. A leader that a majority follows
/// proves itself each second, here and there, so that silence tells: also one that still believes in itself may have
/// been replaced.
pub(crate) fn may_serve(app: &App) -> Answer<()> {
    let consensus = &app.consensus;
    let is_led = consensus.leadership().borrow().is_some() || consensus.leader().is_some();
    if *app.stopping().borrow() {
        return Err(not_ready());
    }
    if !is_led || consensus.applied_age_ms() >= SILENCE_MAX_MS {
        return Err(not_led(&app.consensus));
    }
    Ok(())
}

/// What a server says that all others refuse: it cannot serve until somebody has mended that.
pub(crate) fn stands_apart(consensus: &Consensus) -> Option<ApiError> {
    consensus.refused_by_all().map(|why| refusal::refused_by_all(consensus.me(), &why))
}

/// No leader serves: how many of the servers that decide are heard here, this one among them.
pub(crate) fn not_led(consensus: &Consensus) -> ApiError {
    if let Some(apart) = stands_apart(consensus) {
        return apart;
    }
    let mut voters = consensus.servers();
    voters.retain(|server| server.voter == Some(true));
    let heard = voters.iter().filter(|server| server.silent_ms.is_some_and(|ms| ms < SILENCE_MAX_MS)).count();
    match voters.len() {
        0 | 1 => not_ready(),
        all => refusal::no_leader(heard, all),
    }
}

/// A job as it is now. It is shared with the state, and what is kept of it makes the next change of the job copy it: do
/// not keep it long.
pub(crate) fn find_job(consensus: &Consensus, id: JobId) -> Answer<Arc<Job>> {
    consensus.read(|state| state.job(id).cloned().ok_or_else(|| no_job(state, id)))
}

/// The same with all that its tasks were run with, which is on disk once it has finished.
pub(crate) async fn find_whole_job(consensus: &Consensus, id: JobId) -> Answer<Arc<Job>> {
    let job = find_job(consensus, id)?;
    let spec = whole(&job).await?;
    Ok(if Arc::ptr_eq(&spec, &job.spec) { job } else { Arc::new(job.with_spec(spec)) })
}

/// The job's line after an act, with a reason that costs nothing.
pub(crate) fn quick_summary(consensus: &Consensus, visible: &Visible, id: JobId) -> Answer<JobSummary> {
    consensus.read(|state| {
        let job = state.job(id).ok_or_else(|| no_job(state, id))?;
        Ok(present::summary(state, job, explain::Quick::new(state, visible).word(job)))
    })
}

/// Whether the disk takes changes.
pub(crate) fn storage_takes(consensus: &Consensus) -> Answer<()> {
    if consensus.storage_ok() {
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
