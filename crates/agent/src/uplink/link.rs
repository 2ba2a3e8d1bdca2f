//! One connection to a server, as far as it has come.

use super::dial::{self, Credential, DialError, SessionReader, SessionWriter};
use crate::clock::boot_ms;
use crate::random::random_unit;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use taskyard_wire::{FrameError, Load, ToAgent, ToServer};
use tokio::time::Instant;

/// A connection is given up after this many heartbeats in a row without an answer, or as many as fit into a third of a
/// lease if those are more. Time must be left to find another server before tasks are asked to end.
const UNANSWERED_MIN: u32 = 2;
/// The longest pause between two tries while a lease runs down.
const URGENT: Duration = Duration::from_millis(300);

type Dial = Pin<Box<dyn Future<Output = Result<(SessionReader, SessionWriter), DialError>> + Send>>;

pub(super) enum Connection {
    /// There is no server to call.
    Idle,
    /// Until then, nothing is tried.
    Waiting(Instant),
    Dialling(Dial),
    Open(Box<(SessionReader, SessionWriter)>),
}

/// What happened on a connection.
pub(crate) enum LinkEvent {
    Dialled(Result<(SessionReader, SessionWriter), DialError>),
    /// There is something to read.
    Readable,
    /// Something was sent.
    Sent,
    Broke(io::Error),
}

/// A connection, or the wish for one.
pub(super) struct ServerLink {
    /// The server's address.
    pub(super) url: String,
    pub(super) credential: Credential,
    pub(super) connection: Connection,
    pub(super) heartbeat: Option<Heartbeat>,
    backoff: Duration,
    limits: Backoff,
    /// Until then tries are never far apart.
    urgent_until: Instant,
}

/// Between tries: doubled from the first to the last, with jitter.
#[derive(Clone, Copy)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) last: Duration,
}

pub(super) struct Heartbeat {
    every: Duration,
    next: Instant,
    pub(super) unanswered: u32,
    unanswered_max: u32,
    /// How far answers have carried the lease.
    deadline_ms: u64,
}

impl Heartbeat {
    /// `silence_ms` may pass without an answer.
    pub(super) fn new(every_ms: u64, silence_ms: u64, first: Instant) -> Heartbeat {
        let every_ms = every_ms.max(1);
        let unanswered_max = u32::try_from(silence_ms / every_ms).unwrap_or(u32::MAX);
        Heartbeat {
            every: Duration::from_millis(every_ms),
            unanswered_max: unanswered_max.max(UNANSWERED_MIN),
            next: first,
            unanswered: 0,
            deadline_ms: 0,
        }
    }

    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    /// A server that answers but cannot extend the lease has lost its majority, and counts as one that does not answer.
    pub(super) fn granted(&mut self, deadline_ms: u64) {
        if deadline_ms > self.deadline_ms {
            self.deadline_ms = deadline_ms;
            self.unanswered = 0;
        }
    }
}

impl ServerLink {
    pub(super) fn new(limits: Backoff, first: Instant) -> ServerLink {
        let connection = Connection::Waiting(first);
        ServerLink {
            url: String::new(),
            credential: Credential::default(),
            connection,
            heartbeat: None,
            backoff: limits.first,
            limits,
            urgent_until: first,
        }
    }

    /// Waits for what happens. Cancel-safe.
    pub(super) async fn event(&mut self) -> LinkEvent {
        match &mut self.connection {
            Connection::Idle | Connection::Waiting(_) => std::future::pending().await,
            Connection::Dialling(dial) => LinkEvent::Dialled(dial.await),
            Connection::Open(open) => {
                let (reader, writer) = &mut **open;
                let busy = !writer.is_empty();
                let result = tokio::select! {
                    result = reader.fill() => result.map(|()| LinkEvent::Readable),
                    result = writer.send_some(), if busy => result.map(|()| LinkEvent::Sent),
                };
                result.unwrap_or_else(LinkEvent::Broke)
            }
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.connection, Connection::Open(_))
    }

    pub(super) fn writer(&mut self) -> Option<&mut SessionWriter> {
        match &mut self.connection {
            Connection::Open(open) => Some(&mut open.1),
            _ => None,
        }
    }

    /// A message that has come whole.
    pub(super) fn message(&mut self) -> Result<Option<ToAgent>, FrameError> {
        match &mut self.connection {
            Connection::Open(open) => open.0.message(),
            _ => Ok(None),
        }
    }

    /// Adds a message to what is to be sent, if there is a connection.
    pub(super) fn push(&mut self, message: &ToServer) -> Result<(), FrameError> {
        self.writer().map_or(Ok(()), |writer| writer.push(message))
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().map_or(Ok(()), SessionWriter::send_now)
    }

    pub(super) fn dial(&mut self, url: String) {
        self.url.clone_from(&url);
        let credential = self.credential.clone();
        let dialling = async move { dial::dial(&url, &credential).await };
        self.connection = Connection::Dialling(Box::pin(dialling));
    }

    /// Tries again after the back-off, or later.
    pub(super) fn back_off(&mut self, unit: f64, at_least: Duration) {
        let last = if Instant::now() < self.urgent_until { URGENT } else { self.limits.last };
        let wait = self.backoff.min(last).mul_f64(0.5 + unit);
        self.backoff = (self.backoff * 2).min(last);
        self.wait(wait.max(at_least));
    }

    pub(super) fn wait(&mut self, wait: Duration) {
        self.heartbeat = None;
        self.connection = Connection::Waiting(Instant::now() + wait);
    }

    /// Within this time, tries are never far apart.
    pub(super) fn hurry(&mut self, within: Duration) {
        self.urgent_until = Instant::now() + within;
    }

    pub(super) fn succeeded(&mut self) {
        self.backoff = self.limits.first;
    }

    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self.connection {
            Connection::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// Sends a heartbeat when it is time; an error when too many brought nothing.
    pub(super) fn beat(&mut self, load: impl FnOnce() -> Load) -> Result<(), FrameError> {
        let Some(heartbeat) = self.heartbeat.as_mut().filter(|h| h.next <= Instant::now()) else {
            return Ok(());
        };
        // Agents that found a new leader together must not go on beating together.
        heartbeat.next = Instant::now() + heartbeat.every.mul_f64(1.0 - 0.2 * random_unit());
        heartbeat.unanswered += 1;
        if heartbeat.unanswered > heartbeat.unanswered_max {
            return Err(FrameError::Io(io::Error::other("heartbeats bring nothing")));
        }
        let load = load();
        self.push(&ToServer::Heartbeat { sent_boot_ms: boot_ms(), load })
    }

    pub(super) fn next_beat(&self) -> Option<Instant> {
        self.heartbeat.as_ref().map(|heartbeat| heartbeat.next)
    }
}
