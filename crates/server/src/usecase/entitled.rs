//! What of a job is not for everybody who may submit it: whose account it is charged to, and how far it goes ahead of
//! others.

use crate::auth::Caller;
use crate::failure::Answer;
use taskyard_api::{ApiError, ErrorCode};
use taskyard_model::{Invalid, JobId, JobSpec};
use taskyard_state::{Change, State};

/// Accounts that a refusal names.
const ACCOUNTS_SHOWN: usize = 10;

/// Refuses an account that the caller may not charge, and a priority that is above the queue's for them.
pub(super) fn check(state: &State, by: &Caller, spec: &JobSpec) -> Answer<()> {
    may_charge(state, by, spec)?;
    may_go_ahead(state, by, spec)
}

/// The same of a change of a job.
pub(crate) fn check_change(state: &State, by: &Caller, id: JobId, change: &Change) -> Answer<()> {
    let asked = change.priority.is_some() || change.queue.is_some();
    let Some(job) = state.job(id).filter(|_| asked) else { return Ok(()) };
    let mut after = (*job.spec).clone();
    change.apply_to(&mut after);
    may_go_ahead(state, by, &after)
}

fn may_charge(state: &State, by: &Caller, spec: &JobSpec) -> Answer<()> {
    let Some(account) = spec.account.as_deref() else { return Ok(()) };
    if state.may_charge(account, by.user()) || by.may_grant_accounts() {
        return Ok(());
    }
    let accounts = state.accounts_of(by.user());
    let shown = accounts.iter().take(ACCOUNTS_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let yours = match accounts.len() {
        0 => "leave it out".to_owned(),
        n if n > ACCOUNTS_SHOWN => format!("leave it out, or name one of your {n}: {shown}, …"),
        _ => format!("leave it out, or name one of yours: {shown}"),
    };
    let user = by.user();
    let remedy = format!("{yours}; an operator allows it by `taskyard account grant {account} {user}`");
    Err(denied("you may not charge this account", &Invalid::new("account", account, remedy)))
}

fn may_go_ahead(state: &State, by: &Caller, spec: &JobSpec) -> Answer<()> {
    let queue = state.queue(&spec.queue).and_then(|id| state.view().queue(id));
    let Some(queue) = queue else { return Ok(()) };
    match queue.config.admit_priority(&spec.queue, spec.priority) {
        Err(invalid) if !by.controls(spec.namespace.as_str()) => {
            Err(denied("you may not give a job this priority", &invalid))
        }
        _ => Ok(()),
    }
}

fn denied(what: &str, invalid: &Invalid) -> ApiError {
    let Invalid { field, value, remedy } = invalid;
    ApiError {
        field: Some(field.clone()),
        value: Some(value.clone()),
        ..ApiError::new(ErrorCode::Denied, format!("{what}: {field} \"{value}\"")).remedy(remedy.clone())
    }
}
