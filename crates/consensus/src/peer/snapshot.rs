//! A snapshot on its way to a server that lags too far behind: a file in pieces, never whole in memory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openraft::alias::SnapshotOf;
use openraft::raft::SnapshotResponse;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::frame::{FrameReader, PeerFrame, invalid};
use super::link::{PeerLink, silent};
use super::message::{self, CHUNK, INSTALLED, SNAPSHOT, SNAPSHOT_END};
use super::{Network, frame};
use crate::codec;
use crate::machine::Raft;
use crate::snapshot::{self, SnapshotFile};
use crate::types::{Types, Vote};

/// Small enough that a slow line makes progress within [`PIECE_WITHIN`].
const PIECE_BYTES: usize = 64 << 10;
/// A piece that does not get through for so long ends the transfer.
const PIECE_WITHIN: Duration = Duration::from_secs(20);
/// Reading it in takes seconds for millions of tasks.
const INSTALL_WITHIN: Duration = Duration::from_secs(300);

impl PeerLink {
    pub(super) async fn send_snapshot(
        &mut self,
        vote: &Vote,
        snapshot: &SnapshotFile,
    ) -> io::Result<SnapshotResponse<Types>> {
        let mut file = File::open(&snapshot.path).await?;
        let open = self.open().await.map_err(io::Error::other)?;
        open.send(SNAPSHOT, &codec::encode_vote(vote)).await?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = file.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            let sent = frame::write(&mut open.writer, CHUNK, &piece[..length]);
            tokio::time::timeout(PIECE_WITHIN, sent).await.map_err(|_| silent())??;
        }
        frame::write(&mut open.writer, SNAPSHOT_END, &[]).await?;
        let answer =
            tokio::time::timeout(INSTALL_WITHIN, open.reader.next()).await.map_err(|_| silent())??;
        let installed = self.take_installed(answer)?;
        message::decode_installed(&installed.content)
    }

    fn take_installed(&mut self, answer: PeerFrame) -> io::Result<PeerFrame> {
        let network = std::sync::Arc::clone(self.network_shared());
        let open = self.opened().ok_or_else(|| invalid("the connection is gone"))?;
        open.take(&network, answer, INSTALLED)
    }
}

/// Takes a snapshot in and installs it.
pub(super) async fn receive<R: AsyncRead + Unpin>(
    network: &Network,
    raft: &Raft,
    reader: &mut FrameReader<R>,
    begin: &[u8],
) -> io::Result<Vec<u8>> {
    let vote = codec::decode_vote(begin)?;
    let incoming = Incoming::new(network.replica.snapshots.incoming());
    let mut file = File::from_std(taskyard_datadir::create(&incoming.path)?);
    loop {
        let piece = tokio::time::timeout(PIECE_WITHIN, reader.next()).await.map_err(|_| silent())??;
        match piece.kind {
            CHUNK => file.write_all(&piece.content).await?,
            SNAPSHOT_END => break,
            other => {
                return Err(invalid(format!("a piece of a snapshot was expected, and kind {other} came")));
            }
        }
    }
    file.sync_all().await?;
    drop(file);
    let path = incoming.path.clone();
    let about =
        tokio::task::spawn_blocking(move || snapshot::check(&path)).await.map_err(io::Error::other)?;
    // Handed on only when it is whole: the library takes a failure to install it for the end.
    let about = about.map_err(io::Error::other)?;
    let meta = openraft::alias::SnapshotMetaOf::<Types> {
        last_log_id: about.last,
        last_membership: about.membership,
    };
    let snapshot =
        SnapshotOf::<Types, SnapshotFile> { meta, snapshot: SnapshotFile { path: incoming.path.clone() } };
    let response = raft.install_full_snapshot(vote, snapshot).await.map_err(io::Error::other)?;
    Ok(message::encode_installed(&response))
}

/// Removes the file unless it was given its name.
struct Incoming {
    path: PathBuf,
}

impl Incoming {
    fn new(path: PathBuf) -> Incoming {
        Incoming { path }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    // It is gone when it was installed.
    let _ = std::fs::remove_file(path);
}
