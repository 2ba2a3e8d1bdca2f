//! One session from welcome to end. Some parts run side by side; when one ends, the session does.

use super::accept::{ASK_AGAIN_MS, Admitted, Line, not_leading};
use super::{health, lease, push, report};
use crate::agents::Handle;
use crate::app::App;
use bytes::BytesMut;
use futures_util::StreamExt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use taskyard_consensus::boottime;
use taskyard_model::{Incarnation, NodeId};
use taskyard_state::Command;
use taskyard_wire::{Codec, FrameError, Health, Hello, Servers, ToAgent, ToServer, Welcome};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, watch};
use tokio_util::codec::{Encoder, FramedRead};

type Reader = FramedRead<ReadHalf<Line>, Codec<ToServer, ToAgent>>;

/// Reports that wait to be proposed. Past them the agent's connection is not read, which slows it down.
const REPORTS_WAITING: usize = 64;
/// Messages written with one flush.
const WRITE_BATCH: usize = 128;
/// How long a server that was deposed waits for its successor, to send its agents there.
const SUCCESSOR_WITHIN: Duration = Duration::from_millis(ASK_AGAIN_MS);
/// How long it tries to tell them.
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);

/// A session as its parts see it.
pub(super) struct Session {
    pub(super) app: App,
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) term: u64,
    /// D of this life.
    pub(super) lease_ms: u64,
    pub(super) handle: Handle,
}

impl Session {
    /// Whether the leadership under which this session began goes on: after it nothing is granted, started or proposed
    /// here.
    pub(super) fn leads(&self) -> bool {
        self.app.consensus.leadership().borrow().is_some_and(|l| l.term == self.term)
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    #[error("the connection closed")]
    Closed,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("this agent was declared lost")]
    LifeEnded,
    #[error("this server no longer leads")]
    NotLeading,
    #[error("a newer session of the node began")]
    Replaced,
    #[error("the agent said goodbye")]
    Goodbye,
    #[error("a second hello")]
    Protocol,
}

pub(super) async fn talk(app: App, line: Line, hello: Hello, admitted: Admitted) {
    let Some(leadership) = *app.consensus.leadership().borrow() else { return };
    let Admitted { node, incarnation, lease_ms } = admitted;
    let (handle, outbox) = app.agents.begin(node, incarnation, leadership.term);
    let session = Session {
        app: app.clone(),
        node,
        incarnation,
        term: leadership.term,
        lease_ms,
        handle: handle.clone(),
    };
    tracing::info!(node = hello.node, %incarnation, session = handle.number, "agent connected");
    let (reader, writer) = split(line);
    let reader = Reader::new(reader, Codec::default());
    let (reports, waiting) = mpsc::channel(REPORTS_WAITING);
    let (health, said) = watch::channel(None);
    let (beats, heard) = watch::channel(None);
    let mut leads = app.consensus.leadership();
    let mut replaced = handle.replaced.subscribe();
    let welcome = ToAgent::Welcome(Welcome {
        node,
        incarnation,
        term: leadership.term,
        session: handle.number,
        lease_ms,
        heartbeat_ms: app.config.heartbeat_ms,
        cluster: Some(app.consensus.cluster_id().to_owned()),
    });
    let mut writing = pin!(write(writer, outbox, welcome));
    let end = tokio::select! {
        end = &mut writing => end,
        end = read(&session, reader, Takers { reports, health, beats }) => end,
        end = lease::renew(&session, heard) => end,
        end = health::keep(&session, said) => end,
        end = push::push(&session) => end,
        end = report::report(&session, waiting) => end,
        end = tell(&session) => end,
        _ = replaced.wait_for(|r| *r) => SessionEnd::Replaced,
        _ = leads.wait_for(|l| l.is_none_or(|l| l.term != leadership.term)) => SessionEnd::NotLeading,
    };
    app.agents.end(node, handle.number);
    tracing::info!(node = hello.node, session = handle.number, reason = %end, "agent disconnected");
    match end {
        SessionEnd::Goodbye => left(&app, node, incarnation).await,
        SessionEnd::NotLeading => farewell(&session, writing).await,
        _ => {}
    }
}

/// Tells the agent which servers there are, now and when that changes.
async fn tell(session: &Session) -> SessionEnd {
    let mut servers = session.app.agents.servers();
    servers.mark_changed();
    while servers.changed().await.is_ok() {
        let servers = servers.borrow_and_update().clone();
        // Of another leadership the farewell tells.
        if servers.leads
            && session.handle.outbox.send(ToAgent::Servers(Servers::clone(&servers))).await.is_err()
        {
            break;
        }
    }
    SessionEnd::Closed
}

/// Tells the agent that this server leads no more, and who does.
async fn farewell(session: &Session, writing: impl Future<Output = SessionEnd>) {
    let consensus = &session.app.consensus;
    let me = consensus.leader().filter(|leader| leader.id == consensus.me());
    let successor = consensus.until_leader(me.as_ref(), SUCCESSOR_WITHIN).await;
    let refused = not_leading(successor.filter(|leader| leader.id != consensus.me()));
    let last = session.handle.outbox.send(ToAgent::Refused(refused));
    let _ = tokio::time::timeout(FAREWELL_WITHIN, async { tokio::join!(last, writing) }).await;
}

/// Encodes what waits into one buffer and writes it with one call. A refusal is the last.
async fn write(
    mut line: WriteHalf<Line>,
    mut outbox: mpsc::Receiver<ToAgent>,
    welcome: ToAgent,
) -> SessionEnd {
    let mut codec = Codec::<ToServer, ToAgent>::default();
    let mut batch = vec![welcome];
    let mut bytes = BytesMut::new();
    let result: Result<(), FrameError> = async {
        loop {
            let mut is_last = false;
            for message in batch.drain(..) {
                is_last |= matches!(message, ToAgent::Refused(_));
                codec.encode(&message, &mut bytes)?;
            }
            line.write_all(&bytes).await?;
            // TLS may have kept the end of it.
            line.flush().await?;
            bytes.clear();
            if is_last {
                return Ok(());
            }
            if outbox.recv_many(&mut batch, WRITE_BATCH).await == 0 {
                return Ok(());
            }
        }
    }
    .await;
    result.err().map_or(SessionEnd::Closed, SessionEnd::Frame)
}

/// Who takes what the agent says.
struct Takers {
    reports: mpsc::Sender<report::WaitingReport>,
    health: watch::Sender<Option<Health>>,
    beats: watch::Sender<Option<lease::Beat>>,
}

/// Takes what the agent says.
async fn read(session: &Session, mut line: Reader, takers: Takers) -> SessionEnd {
    let Takers { reports, health, beats } = takers;
    while let Some(message) = line.next().await {
        let message = match message {
            Ok(message) => message,
            Err(error) => return SessionEnd::Frame(error),
        };
        match message {
            ToServer::Heartbeat { sent_boot_ms, load } => {
                let heard = boottime();
                if let Err(end) = heartbeat(session, sent_boot_ms, load).await {
                    return end;
                }
                beats.send_replace(Some(lease::Beat { sent_boot_ms, heard }));
            }
            ToServer::Report { seq, items } => {
                if reports.send(report::WaitingReport { seq, items }).await.is_err() {
                    return SessionEnd::Closed;
                }
            }
            ToServer::Log(chunk) => {
                let waiting = session.handle.reads.lock().remove(&chunk.request);
                if let Some(waiting) = waiting {
                    // A reader that gave up is no error.
                    let _ = waiting.send(chunk);
                }
            }
            ToServer::Health(new) => {
                health.send_replace(Some(new));
            }
            ToServer::Goodbye => return SessionEnd::Goodbye,
            ToServer::Hello(_) => return SessionEnd::Protocol,
        }
    }
    SessionEnd::Closed
}

/// Takes note of a heartbeat and answers it.
async fn heartbeat(
    session: &Session,
    sent_boot_ms: u64,
    load: taskyard_wire::Load,
) -> Result<(), SessionEnd> {
    if !session.leads() {
        return Err(SessionEnd::NotLeading);
    }
    if !session.app.agents.heard(session.node, session.handle.number, load) {
        return Err(SessionEnd::LifeEnded);
    }
    lease::grant(session, sent_boot_ms).await
}

/// An agent said goodbye: nothing runs there, and what it did not report never started.
async fn left(app: &App, node: NodeId, incarnation: Incarnation) {
    let Some(term) = app.consensus.led_term() else { return };
    app.agents.mark_lost(node, incarnation, term);
    match app.consensus.propose_system(Command::Left { node, incarnation }).await {
        Ok(_) => tracing::info!(%node, %incarnation, "agent left"),
        // Its lease will end.
        Err(error) => tracing::warn!(%node, %error, "that an agent left was not committed"),
    }
}
