//! Whether the agent takes work: what it says of itself goes into the state if that does not say so already.

use super::talk::{Session, SessionEnd};
use std::time::Duration;
use taskyard_state::{Command, Rejection, Reply};
use taskyard_wire::Health;
use tokio::sync::watch;

/// After a proposal failed.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn keep(session: &Session, mut said: watch::Receiver<Option<Health>>) -> SessionEnd {
    while said.changed().await.is_ok() {
        let Some(health) = said.borrow_and_update().clone() else { continue };
        while let Some(command) = news(session, &health) {
            if !session.leads() {
                return SessionEnd::NotLeading;
            }
            match session.app.consensus.propose_system(command).await {
                Ok(committed)
                    if matches!(committed.reply, Reply::Rejected(Rejection::StaleIncarnation(_))) =>
                {
                    return SessionEnd::LifeEnded;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the health of a node was not committed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    SessionEnd::Closed
}

/// What the state does not know yet.
fn news(session: &Session, health: &Health) -> Option<Command> {
    let (node, incarnation) = (session.node, session.incarnation);
    session.app.consensus.read(|state| {
        let status = &state.node(node)?.head.status;
        if health.stopping && !status.is_stopping() && !status.is_removed() {
            return Some(Command::Ending { node, incarnation });
        }
        (!status.is_known_health(health.unfit.as_deref())).then(|| Command::NodeHealth {
            node,
            incarnation,
            unfit: health.unfit.clone(),
        })
    })
}
