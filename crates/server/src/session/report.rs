//! What the agent reports: all that has come in goes into one entry, and is acknowledged when that is applied.

use super::talk::{Session, SessionEnd};
use std::time::Duration;
use taskyard_consensus::ProposeError;
use taskyard_model::Report;
use taskyard_model::report::Item;
use taskyard_state::{Command, Rejection, Reply};
use taskyard_wire::ToAgent;
use tokio::sync::mpsc;

/// Items of one entry: keeps it well below the size of a message.
const ITEMS_MAX: usize = 32_768;

/// One report that came in.
pub(super) struct WaitingReport {
    pub(super) seq: u64,
    pub(super) items: Vec<Item>,
}

pub(super) async fn report(session: &Session, mut waiting: mpsc::Receiver<WaitingReport>) -> SessionEnd {
    while let Some(first) = waiting.recv().await {
        let WaitingReport { mut seq, mut items } = first;
        while items.len() < ITEMS_MAX
            && let Ok(next) = waiting.try_recv()
        {
            seq = next.seq;
            items.extend(next.items);
        }
        if let Some(end) = commit(session, items).await {
            return end;
        }
        if session.handle.outbox.send(ToAgent::Ack { seq }).await.is_err() {
            return SessionEnd::Closed;
        }
    }
    SessionEnd::Closed
}

/// Proposes until it is known to be applied. An outcome that is not known ends the session: the agent sends the report
/// again in the next one, and what was applied already changes nothing a second time.
async fn commit(session: &Session, items: Vec<Item>) -> Option<SessionEnd> {
    let report = Report { node: session.node, incarnation: session.incarnation, items };
    loop {
        if !session.leads() {
            return Some(SessionEnd::NotLeading);
        }
        match session.app.consensus.propose_system(Command::Report(report.clone())).await {
            Ok(committed) => match committed.reply {
                Reply::Rejected(Rejection::StaleIncarnation(_)) => return Some(SessionEnd::LifeEnded),
                _ => return None,
            },
            Err(ProposeError::Overloaded { retry_after_ms }) => {
                tokio::time::sleep(Duration::from_millis(retry_after_ms)).await
            }
            Err(ProposeError::StorageFull) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(_) => return Some(SessionEnd::NotLeading),
        }
    }
}
