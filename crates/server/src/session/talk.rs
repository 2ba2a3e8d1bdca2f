//! One session from welcome to end. Four parts run side by side; when one ends, the session does.

use super::accept::Line;
use super::{Handle, push, report};
use crate::app::App;
use crate::leader::{boot_ms, declare_lost};
use bytes::BytesMut;
use futures_util::StreamExt;
use taskyard_model::{Incarnation, NodeId};
use taskyard_wire::{Codec, FrameError, Granted, Hello, ToAgent, ToServer, Welcome};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio_util::codec::{Encoder, FramedRead};

type Reader = FramedRead<ReadHalf<Line>, Codec<ToServer, ToAgent>>;

/// Reports that wait to be proposed. Past them the agent's connection is not read, which slows it down.
const REPORTS_WAITING: usize = 64;
/// Messages written with one flush.
const WRITE_BATCH: usize = 128;

/// A session as its parts see it.
pub(super) struct Session {
    pub(super) app: App,
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) term: u64,
    pub(super) handle: Handle,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the connection closed")]
    Closed,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("this life of the agent has ended")]
    LifeEnded,
    #[error("this server does not lead any more")]
    NotLeading,
    #[error("a newer session of the node began")]
    Replaced,
    #[error("the agent said goodbye")]
    Goodbye,
    #[error("a second hello")]
    Protocol,
}

pub(super) async fn talk(app: App, line: Line, hello: Hello, node: NodeId, incarnation: Incarnation) {
    let Some(leadership) = *app.consensus.leadership().borrow() else { return };
    let (handle, outbox) = app.nodes.begin(node, incarnation);
    let session =
        Session { app: app.clone(), node, incarnation, term: leadership.term, handle: handle.clone() };
    tracing::info!(node = hello.node, %incarnation, session = handle.number, "agent connected");
    let (reader, writer) = split(line);
    let reader = Reader::new(reader, Codec::default());
    let (reports, waiting) = mpsc::channel(REPORTS_WAITING);
    let mut replaced = handle.replaced.subscribe();
    let welcome = ToAgent::Welcome(Welcome {
        node,
        incarnation,
        term: leadership.term,
        session: handle.number,
        lease_ms: app.config.lease_ms,
        heartbeat_ms: app.config.heartbeat_ms,
        cluster: Some(app.config.cluster_id.clone()),
    });
    let end = tokio::select! {
        end = write(writer, outbox, welcome) => end,
        end = read(&session, reader, reports) => end,
        end = push::push(&session) => end,
        end = report::report(&session, waiting) => end,
        _ = replaced.wait_for(|r| *r) => End::Replaced,
    };
    app.nodes.end(node, handle.number);
    tracing::info!(node = hello.node, session = handle.number, reason = %end, "agent disconnected");
    if matches!(end, End::Goodbye) {
        declare_lost(&app, node, incarnation).await;
    }
}

/// Encodes what waits into one buffer and writes it with one call.
async fn write(mut line: WriteHalf<Line>, mut outbox: mpsc::Receiver<ToAgent>, welcome: ToAgent) -> End {
    let mut codec = Codec::<ToServer, ToAgent>::default();
    let mut batch = vec![welcome];
    let mut bytes = BytesMut::new();
    let result: Result<(), FrameError> = async {
        loop {
            for message in batch.drain(..) {
                codec.encode(&message, &mut bytes)?;
            }
            line.write_all(&bytes).await?;
            bytes.clear();
            if outbox.recv_many(&mut batch, WRITE_BATCH).await == 0 {
                return Ok(());
            }
        }
    }
    .await;
    result.err().map_or(End::Closed, End::Frame)
}

/// Takes what the agent says.
async fn read(session: &Session, mut line: Reader, reports: mpsc::Sender<report::Waiting>) -> End {
    while let Some(message) = line.next().await {
        let message = match message {
            Ok(message) => message,
            Err(error) => return End::Frame(error),
        };
        match message {
            ToServer::Heartbeat { sent_boot_ms, load } => {
                if let Err(end) = heartbeat(session, sent_boot_ms, load).await {
                    return end;
                }
            }
            ToServer::Report { seq, items } => {
                if reports.send(report::Waiting { seq, items }).await.is_err() {
                    return End::Closed;
                }
            }
            ToServer::Log(chunk) => {
                let waiting = session.handle.reads.lock().remove(&chunk.request);
                if let Some(waiting) = waiting {
                    // A reader that gave up is no error.
                    let _ = waiting.send(chunk);
                }
            }
            ToServer::Goodbye => return End::Goodbye,
            ToServer::Hello(_) => return End::Protocol,
        }
    }
    End::Closed
}

/// Answers with what is left of the lease: counted from the newest entry of this leadership that was applied, because until then no other
/// server can have led (semantics, lease protocol, 3).
async fn heartbeat(session: &Session, sent_boot_ms: u64, load: taskyard_wire::Load) -> Result<(), End> {
    let app = &session.app;
    if app.consensus.leadership().borrow().is_none_or(|l| l.term != session.term) {
        return Err(End::NotLeading);
    }
    if !app.consensus.read(|state| state.is_alive(session.node, session.incarnation)) {
        return Err(End::LifeEnded);
    }
    if !app.nodes.heard(session.node, session.handle.number, load) {
        return Err(End::LifeEnded);
    }
    let since_basis = app.consensus.lease_basis().map(|q| boot_ms().saturating_sub(q.as_millis() as u64));
    let remaining_ms = since_basis.map_or(0, |passed| app.config.lease_ms.saturating_sub(passed));
    let granted = Granted {
        sent_boot_ms,
        remaining_ms,
        incarnation: session.incarnation,
        term: session.term,
        session: session.handle.number,
    };
    session.handle.outbox.send(ToAgent::Granted(granted)).await.map_err(|_| End::Closed)
}
