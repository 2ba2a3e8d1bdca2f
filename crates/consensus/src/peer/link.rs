//! The calling end: a connection to one server, made when it is needed and made anew after any failure.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend, RaftNetworkV2};
use parking_lot::Mutex;
use tokio::io::{ReadHalf, WriteHalf, split};

use super::frame::{self, FrameReader, PeerFrame, invalid};
use super::message::{
    self, APPEND, APPENDED, ASK_STATUS, GOODBYE, PRE_VOTE, PeerStatus, REFUSED, STATUS, TRANSFER,
    TRANSFERRED, VOTE, VOTED, decode,
};
use super::{Duplex, Network};
use crate::snapshot::SnapshotFile;
use crate::types::Types;

/// A server that cannot be connected to for so long is unreachable.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A server that owes an answer and says nothing for so long has lost the connection, whatever the kernel thinks.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Requests sent ahead of their answers.
const AHEAD_MAX: usize = 32;

/// Calls one server.
pub(crate) struct PeerLink {
    network: Arc<Network>,
    target: u64,
    joined_at: String,
    /// Behind a lock only because a connection need not be shareable; nobody else takes it.
    open: Mutex<Option<OpenLink>>,
}

/// A connection that has been greeted.
pub(crate) struct OpenLink {
    pub(super) reader: FrameReader<ReadHalf<Box<dyn Duplex>>>,
    pub(super) writer: WriteHalf<Box<dyn Duplex>>,
    /// Requests without an answer yet. A connection that was left with some is of no use any more.
    owed: usize,
}

impl PeerLink {
    pub(crate) fn new(network: Arc<Network>, target: u64, joined_at: String) -> PeerLink {
        PeerLink { network, target, joined_at, open: Mutex::new(None) }
    }

    /// A connection on which nothing is owed.
    pub(crate) async fn open(&mut self) -> Result<&mut OpenLink, Unreachable<Types>> {
        if self.open.get_mut().as_ref().is_none_or(|open| open.owed > 0) {
            self.close();
            let open = match tokio::time::timeout(CONNECT_WITHIN, self.connect()).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
            };
            let open = open.map_err(|error| {
                // A refusal has its own line in the log.
                if error.kind() != io::ErrorKind::PermissionDenied {
                    let url = self.network.url_of(self.target, &self.joined_at);
                    self.network.reach.failed(self.target, &url, &error);
                }
                Unreachable::new(&error)
            })?;
            self.network.reach.answered(self.target);
            *self.open.get_mut() = Some(open);
        }
        self.open.get_mut().as_mut().ok_or_else(|| Unreachable::new(&AnyError::error("not connected")))
    }

    async fn connect(&self) -> io::Result<OpenLink> {
        let url = self.network.url_of(self.target, &self.joined_at);
        let stream = self.network.dial.dial(url).await?;
        let (reader, mut writer) = split(stream);
        let mut reader = FrameReader::new(reader, self.network.frame_bytes_max);
        self.network.greet(&mut reader, &mut writer, self.target).await?;
        Ok(OpenLink { reader, writer, owed: 0 })
    }

    /// One request and its answer.
    async fn call(&mut self, kind: u8, content: &[u8], answer: u8) -> Result<PeerFrame, RPCError<Types>> {
        let network = Arc::clone(&self.network);
        let target = self.target;
        let open = self.open().await?;
        let called = async {
            open.send(kind, content).await?;
            open.answer(&network, answer).await
        };
        let result = called.await;
        match result {
            Ok(frame) => {
                network.known.heard(target);
                network.reach.answered(target);
                Ok(frame)
            }
            Err(error) => {
                self.close();
                Err(failed(&error))
            }
        }
    }

    /// How the server stands.
    pub(crate) async fn status(&mut self) -> io::Result<PeerStatus> {
        let answer = self.call(ASK_STATUS, &[], STATUS).await.map_err(io::Error::other)?;
        decode(&answer.content)
    }

    /// Tells the server that this one stops, so that it is not missed.
    pub(crate) async fn say_goodbye(&mut self) {
        // One that does not hear it will notice.
        let _ = self.call(GOODBYE, &[], GOODBYE).await;
    }

    pub(super) fn network_shared(&self) -> &Arc<Network> {
        &self.network
    }

    pub(super) fn opened(&mut self) -> Option<&mut OpenLink> {
        self.open.get_mut().as_mut()
    }

    fn close(&mut self) {
        *self.open.get_mut() = None;
    }
}

impl OpenLink {
    pub(super) async fn send(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        self.owed += 1;
        let sent = frame::write(&mut self.writer, kind, content);
        tokio::time::timeout(ANSWER_WITHIN, sent).await.map_err(|_| silent())?
    }

    pub(super) async fn answer(&mut self, network: &Network, kind: u8) -> io::Result<PeerFrame> {
        let frame = tokio::time::timeout(ANSWER_WITHIN, self.reader.next()).await.map_err(|_| silent())??;
        self.take(network, frame, kind)
    }

    pub(super) fn take(&mut self, network: &Network, frame: PeerFrame, kind: u8) -> io::Result<PeerFrame> {
        if frame.kind == REFUSED {
            return Err(network.refused(decode(&frame.content)?));
        }
        if frame.kind != kind {
            return Err(invalid(format!(
                "an answer of kind {kind} was expected, and kind {} came",
                frame.kind
            )));
        }
        self.owed -= 1;
        Ok(frame)
    }
}

pub(super) fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "a server owes an answer and is silent")
}

fn failed(error: &io::Error) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(error))
}

/// A stream of appends in the making.
struct AppendStream<'s, S> {
    link: &'s mut PeerLink,
    input: S,
    /// The first request, which waits for a connection.
    first: Option<AppendEntriesRequest<Types>>,
    /// All that is to be sent was sent.
    all: bool,
}

impl<S> AppendStream<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
{
    /// The next answer; `None` when everything is answered.
    async fn next(&mut self) -> Option<Result<StreamAppendResult<Types>, RPCError<Types>>> {
        if let Some(first) = self.first.take()
            && let Err(error) = self.begin(first).await
        {
            return Some(Err(error));
        }
        Some(self.exchange().await?.map_err(|error| failed(&error)))
    }

    async fn begin(&mut self, first: AppendEntriesRequest<Types>) -> Result<(), RPCError<Types>> {
        let open = self.link.open().await?;
        open.send(APPEND, &message::encode_append(&first)).await.map_err(|error| failed(&error))
    }

    /// Sends what there is until an answer comes.
    async fn exchange(&mut self) -> Option<io::Result<StreamAppendResult<Types>>> {
        let network = Arc::clone(&self.link.network);
        let target = self.link.target;
        let open = self.link.opened()?;
        loop {
            if self.all && open.owed == 0 {
                return None;
            }
            let (may_read, may_send) = (open.owed > 0, !self.all && open.owed < AHEAD_MAX);
            tokio::select! {
                biased;
                frame = tokio::time::timeout(ANSWER_WITHIN, open.reader.next()), if may_read => {
                    let frame = frame.map_err(|_| silent()).flatten();
                    let frame = frame.and_then(|frame| open.take(&network, frame, APPENDED));
                    network.known.heard(target);
                    if frame.is_ok() {
                        network.reach.answered(target);
                    }
                    return Some(frame.and_then(|frame| message::decode_appended(&frame.content)));
                }
                request = self.input.next(), if may_send => match request {
                    Some(request) => {
                        if let Err(error) = open.send(APPEND, &message::encode_append(&request)).await {
                            return Some(Err(error));
                        }
                    }
                    None => self.all = true,
                },
            }
        }
    }
}

impl RaftNetworkV2<Types> for PeerLink {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.call(APPEND, &message::encode_append(&request), APPENDED).await?;
        let result = message::decode_appended(&answer.content).map_err(|error| failed(&error))?;
        if result.is_err() {
            // The other side ends a stream of appends there.
            self.close();
        }
        Ok(result.into())
    }

    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            // The library waits between two tries where it gives out the first request: a connection that fails before would be
            // tried again without a pause, as fast as two cores can.
            let first = input.next().await;
            let appending = AppendStream { all: first.is_none(), link: self, input, first };
            let answers = futures_util::stream::unfold(Some(appending), |appending| async move {
                let mut appending = appending?;
                let result = appending.next().await?;
                let goes_on = matches!(result, Ok(Ok(_)));
                if !goes_on {
                    appending.link.close();
                }
                Some((result, goes_on.then_some(appending)))
            });
            let answers: BoxStream<'s, _> = Box::pin(answers);
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.call(VOTE, &message::encode_vote(&request), VOTED).await?;
        message::decode_voted(&answer.content).map_err(|error| failed(&error))
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.call(PRE_VOTE, &message::encode_vote(&request), VOTED).await?;
        message::decode_voted(&answer.content).map_err(|error| failed(&error))
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sent = tokio::select! {
            sent = self.send_snapshot(&vote, &snapshot.snapshot) => sent,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        sent.map_err(|error| {
            tracing::warn!(server = self.target, %error, "a snapshot was not sent to the end");
            self.close();
            StreamingError::Unreachable(Unreachable::new(&error))
        })
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        self.call(TRANSFER, &message::encode_transfer(&request), TRANSFERRED).await?;
        // A server that cannot take over stays quiet; the old leader's time runs out then.
        Ok(Ok(()))
    }
}
