//! Answers to heartbeats: what is left of the lease.
//!
//! A lease is counted from the newest entry of this leadership that was applied, because until then no other server can
//! have led (semantics, lease protocol, 3). An idle leader applies one each second, and one that was paused, or has
//! just begun to lead, has none that is fresh. So a heartbeat is answered twice: at once with what can be granted, and
//! in full as soon as an entry that was proposed after it is applied. Both are counted from when the agent sent it,
//! which was before either.

use super::talk::{Session, SessionEnd};
use std::time::Duration;
use taskyard_consensus::boottime;
use taskyard_wire::{Granted, ToAgent};
use tokio::sync::watch;

/// A second answer must be worth a message.
const WORTH_MS: u64 = 100;

/// A heartbeat that was answered once.
#[derive(Clone, Copy)]
pub(super) struct Beat {
    /// The agent's clock before it sent it.
    pub(super) sent_boot_ms: u64,
    /// This server's when it came.
    pub(super) heard: Duration,
}

/// Grants what can be granted now.
pub(super) async fn grant(session: &Session, sent_boot_ms: u64) -> Result<(), SessionEnd> {
    let app = &session.app;
    if !session.leads() {
        return Err(SessionEnd::NotLeading);
    }
    let alive = app.consensus.read(|state| state.is_alive(session.node, session.incarnation));
    if !alive || !app.agents.may_live(session.node, session.handle.number) {
        return Err(SessionEnd::LifeEnded);
    }
    let granted = Granted {
        sent_boot_ms,
        remaining_ms: session.lease_ms.saturating_sub(basis_age_ms(session).unwrap_or(u64::MAX)),
        incarnation: session.incarnation,
        term: session.term,
        session: session.handle.number,
    };
    session.handle.outbox.send(ToAgent::Granted(granted)).await.map_err(|_| SessionEnd::Closed)
}

/// How old the entry is from which leases are counted.
fn basis_age_ms(session: &Session) -> Option<u64> {
    let basis = session.app.consensus.lease_basis()?;
    Some(boottime().saturating_sub(basis).as_millis() as u64)
}

/// Gives each heartbeat its second answer, unless the next one comes before.
pub(super) async fn renew(session: &Session, mut beats: watch::Receiver<Option<Beat>>) -> SessionEnd {
    let mut applied = session.app.consensus.applied();
    let mut owed: Option<Beat> = None;
    loop {
        applied.mark_unchanged();
        let basis = session.app.consensus.lease_basis();
        if let Some(beat) = owed.filter(|beat| basis.is_some_and(|basis| basis >= beat.heard)) {
            owed = None;
            if let Err(end) = grant(session, beat.sent_boot_ms).await {
                return end;
            }
        }
        tokio::select! {
            changed = beats.changed() => {
                if changed.is_err() {
                    return SessionEnd::Closed;
                }
                let is_poor = basis_age_ms(session).is_none_or(|age| age >= WORTH_MS);
                owed = beats.borrow_and_update().filter(|_| is_poor);
            }
            changed = applied.changed(), if owed.is_some() => if changed.is_err() { return SessionEnd::Closed },
        }
    }
}
