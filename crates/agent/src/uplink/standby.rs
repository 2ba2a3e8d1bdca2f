//! The connection that stands by: what its server says, and how it becomes the session.

use super::link::{Connection, Heartbeat};
use super::{News, STANDBY, Uplink};
use crate::error::chain;
use crate::random::random_unit;
use std::time::Duration;
use taskyard_wire::{FrameError, Refused, Servers, ToAgent};
use tokio::time::Instant;

impl Uplink {
    pub(super) fn receive_standby(&mut self) {
        loop {
            match self.standby.message() {
                Ok(None) => return,
                Ok(Some(ToAgent::Alive)) => {
                    if let Some(heartbeat) = &mut self.standby.heartbeat {
                        heartbeat.answered();
                    }
                }
                Ok(Some(ToAgent::Servers(servers))) => self.advised(servers),
                Ok(Some(ToAgent::Refused(refused))) => return self.standby_refused(refused),
                Ok(Some(_)) => return self.drop_standby("it says what belongs into a session"),
                Err(error) => return self.standby_broke(&error),
            }
        }
    }

    /// The server that stands by says how it sees the cluster.
    fn advised(&mut self, servers: Servers) {
        self.book.learn(&self.standby.url, &servers, false);
        if self.peer.is_some_and(|peer| peer.server == servers.from) {
            // Another address of the same server.
            return self.drop_standby("the session is with it");
        }
        self.standby.succeeded();
        if self.advice.is_none() {
            tracing::info!(server = self.standby.url, "this server is standby");
            let first = Instant::now() + Duration::from_millis(servers.heartbeat_ms).mul_f64(random_unit());
            self.standby.heartbeat = Some(Heartbeat::new(servers.heartbeat_ms, 0, first));
        }
        self.advice = Some(servers);
        self.follow();
    }

    /// Goes where the server that stands by says, if it knows of a later leader than we do.
    fn follow(&mut self) {
        let Some(advice) = &self.advice else { return };
        if advice.term < self.term || self.peer.is_some_and(|peer| peer.term >= advice.term) {
            return;
        }
        if advice.leads {
            self.promote();
        } else if let Some(leader) = advice.leader.clone() {
            let is_on_its_way = self.peer.is_none()
                && self.session.url == leader
                && matches!(self.session.connection, Connection::Dialling(_) | Connection::Open(_));
            if !is_on_its_way {
                tracing::info!(leader, "another server leads");
                self.close_session();
                self.go_to(leader);
            }
        }
    }

    /// The server that was called is the leader, as the one that stands by says.
    pub(super) fn is_told_to_lead(&self) -> bool {
        let leader = self.advice.as_ref().and_then(|advice| advice.leader.as_ref());
        self.standby.is_open() && leader == Some(&self.session.url)
    }

    /// The connection that stands by becomes the session.
    pub(super) fn promote(&mut self) {
        if !self.may_call || !self.standby.is_open() {
            return;
        }
        tracing::info!(server = self.standby.url, "the standby server leads");
        self.close_session();
        self.session.url.clone_from(&self.standby.url);
        self.session.connection = std::mem::replace(&mut self.standby.connection, Connection::Idle);
        self.news.push_back(News::Open);
        self.advice = None;
        self.look_for_standby();
    }

    pub(super) fn standby_broke(&mut self, error: &FrameError) {
        self.drop_standby(&chain(error));
    }

    /// A final refusal is the same from every server, so it counts here too: to find the leader and hear it in a
    /// session may take long.
    fn standby_refused(&mut self, refused: Refused) {
        self.drop_standby(&refused.message);
        if refused.is_final() {
            self.news.push_back(News::Message(ToAgent::Refused(refused)));
        }
    }

    pub(super) fn drop_standby(&mut self, why: &str) {
        tracing::debug!(server = self.standby.url, why, "the server is no longer standby");
        self.advice = None;
        self.standby.back_off(random_unit(), Duration::ZERO);
    }

    /// Unless there is a connection or a try. Not all agents at once.
    pub(super) fn look_for_standby(&mut self) {
        if matches!(self.standby.connection, Connection::Idle) {
            self.standby.wait(STANDBY.first.mul_f64(0.5 + 2.0 * random_unit()));
        }
    }
}
