//! What servers say to each other, as bytes. Explicit field numbers: old and new servers read each other.

use std::io;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use openraft::entry::RaftEntry as _;
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    VoteRequest, VoteResponse,
};

use super::frame::invalid;
use crate::codec;
use crate::types::{LogId, RaftEntry, Types, Vote, log_id, pos};
use crate::wal::Pos;

pub(super) const HELLO: u8 = 1;
pub(super) const REFUSED: u8 = 2;
pub(super) const APPEND: u8 = 3;
pub(super) const APPENDED: u8 = 4;
pub(super) const VOTE: u8 = 5;
pub(super) const PRE_VOTE: u8 = 6;
pub(super) const VOTED: u8 = 7;
pub(super) const TRANSFER: u8 = 8;
pub(super) const TRANSFERRED: u8 = 9;
pub(super) const SNAPSHOT: u8 = 10;
pub(super) const CHUNK: u8 = 11;
pub(super) const SNAPSHOT_END: u8 = 12;
pub(super) const INSTALLED: u8 = 13;
pub(super) const ASK_STATUS: u8 = 14;
pub(super) const STATUS: u8 = 15;
/// The caller stops in good order; answered with the same.
pub(super) const GOODBYE: u8 = 16;

/// How a server stands.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(crate) struct PeerStatus {
    /// Index of its last entry.
    #[n(0)]
    pub(crate) last_index: u64,
    /// Who leads, as far as it knows.
    #[n(1)]
    pub(crate) leader: Option<u64>,
    /// Whether its disk has no room for users' commands.
    #[n(2)]
    pub(crate) full: bool,
}

#[derive(Clone, Copy, Encode, Decode)]
struct Id {
    #[n(0)]
    term: u64,
    #[n(1)]
    index: u64,
}

#[derive(Encode, Decode)]
struct Append {
    #[n(0)]
    vote: ByteVec,
    #[n(1)]
    previous: Option<Id>,
    #[n(2)]
    committed: Option<Id>,
    #[n(3)]
    entries: Vec<Appending>,
}

#[derive(Encode, Decode)]
struct Appending {
    #[n(0)]
    id: Id,
    #[n(1)]
    content: ByteVec,
}

#[derive(Encode, Decode)]
enum Appended {
    #[n(0)]
    Upto(#[n(0)] Option<Id>),
    #[n(1)]
    Conflict(#[n(0)] Id),
    #[n(2)]
    HigherVote(#[n(0)] ByteVec),
}

#[derive(Encode, Decode)]
struct VoteAsked {
    #[n(0)]
    vote: ByteVec,
    #[n(1)]
    last: Option<Id>,
    #[n(2)]
    transfer: bool,
}

#[derive(Encode, Decode)]
struct Voted {
    #[n(0)]
    vote: ByteVec,
    #[n(1)]
    last: Option<Id>,
    #[n(2)]
    granted: bool,
}

#[derive(Encode, Decode)]
struct Transfer {
    #[n(0)]
    from: ByteVec,
    #[n(1)]
    to: u64,
    #[n(2)]
    last: Option<Id>,
}

fn id(log_id: &LogId) -> Id {
    let Pos { term, index } = pos(log_id);
    Id { term, index }
}

fn of(id: Id) -> LogId {
    log_id(Pos { term: id.term, index: id.index })
}

fn vote_bytes(vote: &Vote) -> ByteVec {
    codec::encode_vote(vote).into()
}

pub(super) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    match minicbor::to_vec(value) {
        Ok(bytes) => bytes,
        // Writing to memory cannot fail.
        Err(error) => unreachable!("encoding: {error}"),
    }
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> io::Result<T> {
    minicbor::decode(bytes).map_err(|error| invalid(format!("a message of a server cannot be read: {error}")))
}

pub(super) fn encode_append(request: &AppendEntriesRequest<Types>) -> Vec<u8> {
    let entries = request.entries.iter().map(|entry| Appending {
        id: id(&entry.log_id()),
        content: codec::encode_payload(&entry.payload).to_vec().into(),
    });
    encode(&Append {
        vote: vote_bytes(&request.vote),
        previous: request.prev_log_id.as_ref().map(id),
        committed: request.leader_commit.as_ref().map(id),
        entries: entries.collect(),
    })
}

pub(super) fn decode_append(bytes: &[u8]) -> io::Result<AppendEntriesRequest<Types>> {
    let append: Append = decode(bytes)?;
    let entry = |appending: Appending| -> io::Result<RaftEntry> {
        Ok(RaftEntry::new(of(appending.id), codec::decode_payload(appending.content.into())?))
    };
    Ok(AppendEntriesRequest {
        vote: codec::decode_vote(&append.vote)?,
        prev_log_id: append.previous.map(of),
        leader_commit: append.committed.map(of),
        entries: append.entries.into_iter().map(entry).collect::<io::Result<_>>()?,
    })
}

pub(super) fn encode_appended(result: &StreamAppendResult<Types>) -> Vec<u8> {
    encode(&match result {
        Ok(upto) => Appended::Upto(upto.as_ref().map(id)),
        Err(StreamAppendError::Conflict(at)) => Appended::Conflict(id(at)),
        Err(StreamAppendError::HigherVote(vote)) => Appended::HigherVote(vote_bytes(vote)),
    })
}

pub(super) fn decode_appended(bytes: &[u8]) -> io::Result<StreamAppendResult<Types>> {
    Ok(match decode(bytes)? {
        Appended::Upto(upto) => Ok(upto.map(of)),
        Appended::Conflict(at) => Err(StreamAppendError::Conflict(of(at))),
        Appended::HigherVote(vote) => Err(StreamAppendError::HigherVote(codec::decode_vote(&vote)?)),
    })
}

pub(super) fn encode_vote(request: &VoteRequest<Types>) -> Vec<u8> {
    encode(&VoteAsked {
        vote: vote_bytes(&request.vote),
        last: request.last_log_id.as_ref().map(id),
        transfer: request.leadership_transfer,
    })
}

pub(super) fn decode_vote(bytes: &[u8]) -> io::Result<VoteRequest<Types>> {
    let asked: VoteAsked = decode(bytes)?;
    let mut request = VoteRequest::new(codec::decode_vote(&asked.vote)?, asked.last.map(of));
    request.leadership_transfer = asked.transfer;
    Ok(request)
}

pub(super) fn encode_voted(response: &VoteResponse<Types>) -> Vec<u8> {
    encode(&Voted {
        vote: vote_bytes(&response.vote),
        last: response.last_log_id.as_ref().map(id),
        granted: response.vote_granted,
    })
}

pub(super) fn decode_voted(bytes: &[u8]) -> io::Result<VoteResponse<Types>> {
    let voted: Voted = decode(bytes)?;
    Ok(VoteResponse::new(codec::decode_vote(&voted.vote)?, voted.last.map(of), voted.granted))
}

pub(super) fn encode_transfer(request: &TransferLeaderRequest<Types>) -> Vec<u8> {
    encode(&Transfer {
        from: vote_bytes(request.from_leader()),
        to: *request.to_node_id(),
        last: request.last_log_id().map(id),
    })
}

pub(super) fn decode_transfer(bytes: &[u8]) -> io::Result<TransferLeaderRequest<Types>> {
    let transfer: Transfer = decode(bytes)?;
    Ok(TransferLeaderRequest::new(codec::decode_vote(&transfer.from)?, transfer.to, transfer.last.map(of)))
}

pub(super) fn encode_installed(response: &SnapshotResponse<Types>) -> Vec<u8> {
    codec::encode_vote(&response.vote)
}

pub(super) fn decode_installed(bytes: &[u8]) -> io::Result<SnapshotResponse<Types>> {
    Ok(SnapshotResponse::new(codec::decode_vote(bytes)?))
}
