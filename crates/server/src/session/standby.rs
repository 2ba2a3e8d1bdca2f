//! Connections that stand by: the agent hears who leads, and when this server comes to lead, it makes its session of
//! the connection.

use super::accept::Call;
use crate::agents::HEARTBEATS_PER_STANDBY;
use crate::app::App;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use taskyard_wire::{FrameError, Hello, Servers, ToAgent, ToServer};
use tokio::time::{Instant, sleep_until, timeout};

/// An agent that misses this number of heartbeats is gone.
const HEARTBEATS_MISSED_MAX: u64 = 3;
/// What an agent does not read for this time, it never will.
pub(super) const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Lasts until the agent asks for a session, or is gone.
pub(super) async fn stand_by(app: &App, call: &mut Call) -> Option<Hello> {
    let mut servers = app.agents.servers();
    let silence =
        Duration::from_millis(app.config.heartbeat_ms * HEARTBEATS_PER_STANDBY * HEARTBEATS_MISSED_MAX);
    // One timer, which is postponed rather than created again.
    let mut gone = std::pin::pin!(sleep_until(Instant::now() + silence));
    servers.mark_changed();
    loop {
        let answer = tokio::select! {
            changed = servers.changed() => {
                changed.ok()?;
                let news = servers.borrow_and_update().clone();
                if news.from == 0 {
                    continue;
                }
                ToAgent::Servers(Servers::clone(&news))
            }
            heard = call.next() => match heard?.ok()? {
                ToServer::Heartbeat { .. } => {
                    gone.as_mut().reset(Instant::now() + silence);
                    ToAgent::Alive
                }
                ToServer::Hello(hello) if !hello.standby => return Some(hello),
                _ => return None,
            },
            () = &mut gone => return None,
        };
        let sent: Result<(), FrameError> = timeout(SEND_WITHIN, call.send(&answer)).await.ok()?;
        sent.ok()?;
    }
}
