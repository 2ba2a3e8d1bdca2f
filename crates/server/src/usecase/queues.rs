//! Queues: list, make, change, delete.

use super::{Attribution, Totals, change, totals};
use crate::auth::Caller;
use crate::failure::Answer;
use taskyard_api::{ApiError, ErrorCode, Queue, QueueSettings};
use taskyard_consensus::Consensus;
use taskyard_model::{QueueView, validate};
use taskyard_state::Command;
use tokio::sync::Mutex;

/// A change of settings reads what is there and writes all of it: two at a time could undo each other's.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

pub(crate) async fn list_queues(consensus: &Consensus) -> Answer<Vec<Queue>> {
    let totals = totals(consensus).await?;
    Ok(consensus.read(|state| {
        let queues = state.view().queues.iter().filter(|queue| !queue.deleted);
        queues.map(|queue| show(queue, &totals)).collect()
    }))
}

/// Makes a queue, or changes one unless it `must_be_new`.
pub(crate) async fn set_queue(
    consensus: &Consensus,
    by: &Caller,
    name: String,
    settings: QueueSettings,
    must_be_new: bool,
) -> Answer<Queue> {
    validate::name("queue", &name)?;
    let one = ONE_AT_A_TIME.lock().await;
    let base = consensus
        .read(|state| state.queue(&name).and_then(|id| Some(state.view().queue(id)?.config.clone())));
    if base.is_some() && must_be_new {
        let error = ApiError::new(ErrorCode::Conflict, format!("there is a queue {name} already"));
        return Err(error.remedy(format!("change it with: taskyard queue set {name}")));
    }
    let config = settings.over(&base.unwrap_or_default())?;
    change(consensus, on(by, &name), Command::SetQueue { name: name.clone(), config }).await?;
    drop(one);
    find(consensus, &name).await
}

/// Deletes a queue; answers what it was.
pub(crate) async fn delete_queue(consensus: &Consensus, by: &Caller, name: String) -> Answer<Queue> {
    let _one = ONE_AT_A_TIME.lock().await;
    let queue = find(consensus, &name).await?;
    change(consensus, on(by, &name), Command::DeleteQueue { name }).await?;
    Ok(queue)
}

fn on<'a>(by: &'a Caller, name: &str) -> Attribution<'a> {
    Attribution::everywhere(by, format!("queue {name}"))
}

async fn find(consensus: &Consensus, name: &str) -> Answer<Queue> {
    let totals = totals(consensus).await?;
    let queue =
        consensus.read(|state| state.queue(name).and_then(|id| Some(show(state.view().queue(id)?, &totals))));
    queue.ok_or_else(|| ApiError::not_found(format!("queue {name}")))
}

fn show(queue: &QueueView, totals: &Totals) -> Queue {
    let sum = totals.of(queue.id);
    Queue {
        waiting_jobs: sum.waiting_jobs,
        waiting_tasks: sum.pending,
        running_tasks: sum.running,
        ..Queue::new(&queue.name, &queue.config)
    }
}
