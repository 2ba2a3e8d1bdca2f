//! The answering end: takes one connection's requests to the Raft library, and its answers back in the same order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{Stream, StreamExt as _};
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::mpsc;

use super::frame::{self, FrameReader, invalid};
use super::message::{
    self, APPEND, APPENDED, ASK_STATUS, GOODBYE, INSTALLED, PRE_VOTE, PeerStatus, REFUSED, SNAPSHOT, STATUS,
    TRANSFER, TRANSFERRED, VOTE, VOTED, decode, encode,
};
use super::{Duplex, Network, snapshot};
use crate::machine::Raft;
use crate::types::Types;

/// Requests of one connection that wait for their answer; past them it is not read.
const WAITING_MAX: usize = 64;

/// An answer, in the order of the requests.
enum Owed {
    /// It is there.
    Ready(u8, Vec<u8>),
    /// The next of the stream of appends.
    Append,
}

type Appends = Pin<Box<dyn Stream<Item = Result<StreamAppendResult<Types>, Fatal<Types>>> + Send>>;

/// Answers one connection until it ends.
pub(crate) async fn serve(network: Arc<Network>, raft: Raft, stream: Box<dyn Duplex>) -> io::Result<()> {
    let (reader, mut writer) = split(stream);
    let mut reader = FrameReader::new(reader, network.frame_bytes_max);
    let from = network.answer(&mut reader, &mut writer).await?;
    let (appends, waiting) = mpsc::channel(WAITING_MAX);
    let (owe, owed) = mpsc::channel(WAITING_MAX);
    let appended: Appends = Box::pin(raft.stream_append(requests(waiting)));
    let listening = Listening { network: &network, raft: &raft, from, appends, owe };
    let ended = tokio::select! {
        heard = listening.listen(reader) => heard,
        said = speak(writer, owed, appended) => said,
    };
    network.known.loses(from);
    ended
}

fn requests(
    waiting: mpsc::Receiver<AppendEntriesRequest<Types>>,
) -> impl Stream<Item = AppendEntriesRequest<Types>> + Send + 'static {
    futures_util::stream::unfold(waiting, |mut waiting| async move { Some((waiting.recv().await?, waiting)) })
}

struct Listening<'a> {
    network: &'a Network,
    raft: &'a Raft,
    from: u64,
    appends: mpsc::Sender<AppendEntriesRequest<Types>>,
    owe: mpsc::Sender<Owed>,
}

impl Listening<'_> {
    async fn listen<R: AsyncRead + Unpin>(self, mut reader: FrameReader<R>) -> io::Result<()> {
        let gone = |_| io::Error::other("consensus has stopped");
        loop {
            let request = reader.next().await?;
            self.network.known.heard(self.from);
            if request.kind == APPEND {
                self.appends.send(message::decode_append(&request.content)?).await.map_err(|_| gone(()))?;
                self.owe.send(Owed::Append).await.map_err(|_| gone(()))?;
                continue;
            }
            let (kind, answer) = self.answer(&mut reader, request).await?;
            self.owe.send(Owed::Ready(kind, answer)).await.map_err(|_| gone(()))?;
        }
    }

    async fn answer<R: AsyncRead + Unpin>(
        &self,
        reader: &mut FrameReader<R>,
        request: frame::PeerFrame,
    ) -> io::Result<(u8, Vec<u8>)> {
        let content = &request.content;
        Ok(match request.kind {
            VOTE => {
                let voted = self.raft.vote(message::decode_vote(content)?).await.map_err(io::Error::other)?;
                (VOTED, message::encode_voted(&voted))
            }
            PRE_VOTE => {
                let voted =
                    self.raft.pre_vote(message::decode_vote(content)?).await.map_err(io::Error::other)?;
                (VOTED, message::encode_voted(&voted))
            }
            TRANSFER => {
                let transfer = message::decode_transfer(content)?;
                let taken = self.raft.handle_transfer_leader(transfer).await.map_err(io::Error::other)?;
                if let Err(refusal) = taken {
                    tracing::warn!(%refusal, "the leadership offered was not taken");
                }
                (TRANSFERRED, Vec::new())
            }
            SNAPSHOT => (INSTALLED, snapshot::receive(self.network, self.raft, reader, content).await?),
            ASK_STATUS => {
                let metrics = self.raft.metrics().borrow_watched().clone();
                let last_index = metrics.last_log_index.unwrap_or(0);
                let full = self.network.replica.full.load(Ordering::Relaxed);
                (STATUS, encode(&PeerStatus { last_index, leader: metrics.current_leader, full }))
            }
            GOODBYE => {
                self.network.reach.leaves(self.from);
                (GOODBYE, Vec::new())
            }
            REFUSED => return Err(self.network.refused(decode(content)?)),
            other => return Err(invalid(format!("a request of the unknown kind {other}"))),
        })
    }
}

/// Writes what is owed. Ends after an append that did not succeed: those sent behind it are void.
async fn speak(
    mut writer: impl AsyncWrite + Unpin,
    mut owed: mpsc::Receiver<Owed>,
    mut appended: Appends,
) -> io::Result<()> {
    while let Some(next) = owed.recv().await {
        match next {
            Owed::Ready(kind, answer) => frame::write(&mut writer, kind, &answer).await?,
            Owed::Append => {
                let result = appended.next().await.ok_or_else(|| invalid("the stream of appends ended"))?;
                let result = result.map_err(io::Error::other)?;
                frame::write(&mut writer, APPENDED, &message::encode_appended(&result)).await?;
                if result.is_err() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
