//! How refusals of the log and of the state become errors of the API, each saying whether something happened and what
//! to do.

use std::fmt;
use taskyard_api::{ApiError, ErrorCode};
use taskyard_consensus::ProposeError;
use taskyard_model::{Invalid, JobId, quantity};
use taskyard_state::{Rejection, State};

/// When a server that does not lead is asked again.
const RETRY_UNAVAILABLE_MS: u64 = 200;
/// When a full disk is looked at again.
const RETRY_FULL_MS: u64 = 5_000;

/// A proposal that got no answer.
pub(crate) fn not_proposed(error: &ProposeError) -> ApiError {
    let unavailable = |retry_after_ms| ApiError {
        retry_after_ms: Some(retry_after_ms),
        ..ApiError::new(ErrorCode::Unavailable, error.to_string())
    };
    match error {
        ProposeError::NotLeader { leader: Some(id) } => {
            unavailable(RETRY_UNAVAILABLE_MS).remedy(format!("ask server {id}"))
        }
        ProposeError::NotLeader { leader: None } => {
            unavailable(RETRY_UNAVAILABLE_MS).remedy("try again in a moment")
        }
        ProposeError::Overloaded { retry_after_ms } => ApiError::overloaded(*retry_after_ms),
        ProposeError::StorageFull => {
            unavailable(RETRY_FULL_MS).remedy("free space in the data directory of the server")
        }
        ProposeError::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, error.to_string())
            .remedy("put large input into a file on the nodes"),
        ProposeError::Unknown(_) | ProposeError::Stopped => {
            ApiError::new(ErrorCode::Indefinite, error.to_string())
                .remedy("check whether it happened, or repeat it with the same request_id, which is safe")
        }
    }
}

/// A command that was applied and changed nothing.
pub(crate) fn rejected(state: &State, rejection: &Rejection) -> ApiError {
    let conflict = |message: String| ApiError::new(ErrorCode::Conflict, message);
    match rejection {
        Rejection::NoJob(id) => no_job(state, *id),
        Rejection::NoQueue(name) => no_queue(state, name).into(),
        Rejection::NoPool(name) => no_pool(state, name).into(),
        Rejection::NoMaintenance(name) => ApiError::not_found(format!("maintenance {name}")),
        Rejection::Unfit(invalid) => invalid.clone().into(),
        Rejection::QueueBusy { queue, jobs: 0 } => {
            conflict(format!("queue {queue} is the default one and cannot be deleted"))
        }
        Rejection::QueueBusy { queue, jobs } => {
            conflict(format!("queue {queue} has {jobs} jobs that are not finished"))
                .remedy("cancel them, wait for them, or move them with: taskyard update JOB --queue OTHER")
        }
        Rejection::PoolBusy { pool, queues } if queues.is_empty() => {
            conflict(format!("pool {pool} is the default one and cannot be deleted"))
        }
        Rejection::PoolBusy { pool, queues } => {
            conflict(format!("pool {pool} is used by {}", queues.join(", ")))
                .remedy("give these queues another pool first: taskyard queue set QUEUE --pool OTHER")
        }
        Rejection::NoPredecessor { job, was_there } => no_predecessor(*job, *was_there).into(),
        Rejection::NoNode(id) => ApiError::not_found(format!("node {id}")),
        Rejection::JobFinished(id) => {
            conflict(format!("job {id} has finished")).remedy("retry it to run tasks of it again")
        }
        Rejection::JobBusy(id) => {
            let what = "its queue, cpus, memory, gpus and constraint";
            conflict(format!("job {id} has tasks on nodes, so {what} cannot change"))
                .remedy("hold it, wait until its running tasks end, change it, and release it")
        }
        Rejection::Limit(what, most) => {
            Invalid::new(*what, format!("more than {most}"), format!("at most {most} are allowed")).into()
        }
        Rejection::StateFull { bytes, limit } => state_full(*bytes, *limit),
        Rejection::NoNamespace(name) => no_namespace(name).into(),
        Rejection::NoToken(id) => ApiError::not_found(format!("token {id}")),
        Rejection::TokenUsed(id) => conflict(format!("token {id} was used before"))
            .remedy("ask an administrator for a new one; each is valid for one machine"),
        Rejection::TokenExists(id) => conflict(format!("there is a token {id} already")),
        Rejection::NotFirstToken => conflict("a token was created before".into()),
        Rejection::NoNodeNamed(name) => ApiError::not_found(format!("node {name}"))
            .remedy("`taskyard nodes` lists them; --force also removes a name that never registered"),
        Rejection::NodeBusy(name) => conflict(format!("node {name} is up and not drained")).remedy(format!(
            "`taskyard node drain {name}`, and wait until nothing runs on it; or use --force"
        )),
        Rejection::NodeRemoved(name) => conflict(removed(name)),
        Rejection::StillAlive(name) => conflict(format!("node {name} still has a live agent")),
        Rejection::NameTaken(name) => conflict(format!("the name {name} is taken by another machine")),
        Rejection::NoServer(id) => ApiError::not_found(format!("server {id}")),
        Rejection::LastVoter(id) => conflict(format!(
            "server {id} is the last voter; without it the cluster could not commit anything"
        ))
        .remedy("promote another server first"),
        Rejection::Impostor(id, impostor) => conflict(format!("server {id} is refused: {impostor}")),
        Rejection::StaleIncarnation(_) => internal(&"an unexpected rejection"),
    }
}

/// Memory for no more jobs. What is there goes on, and makes room as it ends.
fn state_full(bytes: u64, limit: u64) -> ApiError {
    let show = quantity::show_size;
    let message = format!("overloaded: the state holds {} of at most {}", show(bytes), show(limit));
    let remedy = "wait until jobs end, or cancel some; put large input into files on the nodes; with more memory in all servers, `taskyard retention set --state-bytes SIZE`";
    ApiError {
        retry_after_ms: Some(RETRY_FULL_MS),
        ..ApiError::new(ErrorCode::Overloaded, message).remedy(remedy)
    }
}

/// A pool that does not exist, as a field of what was sent.
fn no_pool(state: &State, name: &str) -> Invalid {
    let known: Vec<_> = state.view().pools.iter().filter(|p| !p.deleted).map(|p| p.name.as_str()).collect();
    let remedy = format!(
        "no pool has this name; the pools are {}; create one with: taskyard pool set {name}",
        known.join(", ")
    );
    Invalid::new("pool", name, remedy)
}

/// A queue that does not exist, as a field of what was sent.
pub(crate) fn no_queue(state: &State, name: &str) -> Invalid {
    let known: Vec<_> =
        state.view().queues.iter().filter(|q| !q.deleted).map(|q| q.name.as_str()).take(20).collect();
    let remedy = format!(
        "no queue has this name; the queues are {}; create one with: taskyard queue create {name}",
        known.join(", ")
    );
    Invalid::new("queue", name, remedy)
}

/// A namespace that does not exist, as a field of what was sent.
pub(crate) fn no_namespace(name: &str) -> Invalid {
    let remedy =
        format!("there is no namespace of this name; make it with: taskyard namespace create {name}");
    Invalid::new("namespace", name, remedy)
}

/// A job that another was to wait for, and that is not there.
pub(crate) fn no_predecessor(job: JobId, was_there: bool) -> Invalid {
    let remedy = if was_there {
        format!("job {job} has ended and is no longer kept, so its result is unknown; leave it out")
    } else {
        format!("there is no job {job}; a job can only wait for one that was submitted before it")
    };
    Invalid::new("after", job, remedy)
}

/// A job that is not there: it never was, or it has been forgotten.
pub(crate) fn no_job(state: &State, id: JobId) -> ApiError {
    if !state.was_forgotten(id) {
        return ApiError::not_found(format!("job {id}"));
    }
    let rule = state.retention();
    let remedy = format!(
        "finished jobs are kept for {} after their end, at most {} jobs with {} tasks; see `taskyard retention`",
        quantity::show_duration(rule.keep_ms),
        rule.max_jobs,
        rule.max_tasks
    );
    ApiError::new(ErrorCode::Gone, format!("job {id} has ended and is no longer kept")).remedy(remedy)
}

/// A namespace that is not there, or that the caller may not see: which of the two is not for them to know.
pub(crate) fn namespace_not_found(name: &str) -> ApiError {
    ApiError::not_found(format!("namespace {name}"))
        .remedy("list the namespaces with: taskyard namespace list")
}

/// No leadership yet, or no longer.
pub(crate) fn not_ready() -> ApiError {
    let message = "this server is not the leader, or is still starting";
    ApiError {
        retry_after_ms: Some(RETRY_UNAVAILABLE_MS),
        ..ApiError::new(ErrorCode::Unavailable, message).remedy("try again in a moment")
    }
}

/// No server leads: too few of them hear each other, or they are electing one.
pub(crate) fn no_leader(heard: usize, all: usize) -> ApiError {
    let message = match heard * 2 > all {
        true => format!("no leader yet; this server reaches {heard} of {all} servers"),
        false => format!("no leader; this server reaches {heard} of {all} servers, no majority"),
    };
    ApiError {
        retry_after_ms: Some(RETRY_UNAVAILABLE_MS),
        ..ApiError::new(ErrorCode::Unavailable, message)
            .remedy("start the other servers, or restore the network between them")
    }
}

/// It takes no part in the cluster, and does not get into it by waiting.
pub(crate) fn refused_by_all(me: u64, why: &str) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, format!("every other server refuses this one: {why}")).remedy(format!(
        "ask another server; if this one's data directory is damaged or belongs to another cluster, remove the server there (`taskyard cluster remove {me}`) \
         and let it join with an empty directory"
    ))
}

/// It leads, as far as it knows, and cannot show it.
pub(crate) fn not_proved() -> ApiError {
    let message = "this server may have lost the leadership: it cannot reach a majority";
    ApiError {
        retry_after_ms: Some(RETRY_UNAVAILABLE_MS),
        ..ApiError::new(ErrorCode::Unavailable, message)
            .remedy("try another server, or read stale data with consistency=stale (--stale)")
    }
}

/// A request was passed on to the leader, and its answer got lost.
pub(crate) fn lost_on_the_way(leader: u64, why: &str) -> ApiError {
    ApiError::new(
        ErrorCode::Indefinite,
        format!("it was forwarded to server {leader}, and the answer was lost: {why}"),
    )
    .remedy("check whether it happened, or repeat it with the same request_id, which is safe")
}

/// What an agent hears whose node was removed.
pub(crate) fn removed(node: &str) -> String {
    format!(
        "node {node} was removed from the cluster: join again with a new token and an empty data directory"
    )
}

pub(crate) fn internal(cause: &dyn fmt::Display) -> ApiError {
    tracing::error!(%cause, "internal error while handling a request");
    ApiError::new(ErrorCode::Internal, format!("internal error: {cause}"))
}

/// A change was applied, but its answer is not of the kind that it should be.
pub(crate) fn odd_reply(reply: &taskyard_state::Reply) -> ApiError {
    internal(&format!("unexpected reply: {reply:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_say_whether_something_happened() {
        let check = |error: ProposeError, code: ErrorCode, definite: bool, again: bool| {
            let api = not_proposed(&error);
            assert_eq!(
                (api.code, api.definite, api.retry_after_ms.is_some()),
                (code, definite, again),
                "{error}"
            );
            assert_eq!(api.definite, error.is_definite());
        };
        check(ProposeError::NotLeader { leader: None }, ErrorCode::Unavailable, true, true);
        check(ProposeError::NotLeader { leader: Some(2) }, ErrorCode::Unavailable, true, true);
        check(ProposeError::Overloaded { retry_after_ms: 7 }, ErrorCode::Overloaded, true, true);
        check(ProposeError::StorageFull, ErrorCode::Unavailable, true, true);
        check(ProposeError::TooLarge { bytes: 2, limit: 1 }, ErrorCode::TooLarge, true, false);
        check(ProposeError::Unknown("x".into()), ErrorCode::Indefinite, false, false);
        check(ProposeError::Stopped, ErrorCode::Indefinite, false, false);
    }

    #[test]
    fn rejections_name_what_is_wrong() {
        let state = State::new();
        let check = |rejection: Rejection, code: ErrorCode, part: &str| {
            let api = rejected(&state, &rejection);
            let text = format!("{} {}", api.message, api.remedy.clone().unwrap_or_default());
            assert!(api.code == code && text.contains(part), "{api:?}");
        };
        check(Rejection::NoJob(JobId(7)), ErrorCode::NotFound, "job 7");
        let gone = |was_there| Rejection::NoPredecessor { job: JobId(7), was_there };
        check(gone(true), ErrorCode::Invalid, "no longer kept");
        check(gone(false), ErrorCode::Invalid, "no job 7");
        check(Rejection::NoQueue("gpu".into()), ErrorCode::Invalid, "the queues are default");
        check(Rejection::JobFinished(JobId(7)), ErrorCode::Conflict, "retry");
        check(Rejection::JobBusy(JobId(7)), ErrorCode::Conflict, "hold it");
        check(Rejection::Limit("queues", 9), ErrorCode::Invalid, "at most 9");
        let full = Rejection::StateFull { bytes: 2 << 30, limit: 1 << 30 };
        check(full, ErrorCode::Overloaded, "the state holds 2GiB of at most 1GiB");
    }
}
