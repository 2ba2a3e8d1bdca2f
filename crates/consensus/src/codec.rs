//! How Raft's own data stands in the log and in snapshots. Explicit field numbers and kinds: old and new servers
//! read each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use openraft::BasicNode;
use taskyard_state::Entry;

use crate::types::{Membership, Payload, Proposal, Vote};
use crate::wal::Content;

const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

#[derive(Encode, Decode)]
struct VoteRecord {
    #[n(0)]
    term: u64,
    #[n(1)]
    server: u64,
    #[n(2)]
    committed: bool,
}

#[derive(Encode, Decode)]
struct MembershipRecord {
    #[n(0)]
    configs: Vec<BTreeSet<u64>>,
    #[n(1)]
    nodes: BTreeMap<u64, NodeRecord>,
}

#[derive(Encode, Decode)]
struct NodeRecord {
    #[n(0)]
    addr: String,
}

/// An entry of the application as it stands in the log.
pub(crate) fn encode_entry(entry: &Entry) -> Content {
    let mut out = Vec::with_capacity(256);
    out.push(NORMAL);
    encode_into(entry, &mut out);
    Arc::new(out)
}

/// What any entry has in the log.
pub(crate) fn encode_payload(payload: &Payload) -> Content {
    match payload {
        Payload::Blank => Arc::new(vec![BLANK]),
        Payload::Normal(proposal) => Arc::clone(proposal.content()),
        Payload::Membership(membership) => {
            let mut out = vec![MEMBERSHIP];
            out.extend(encode_membership(membership));
            Arc::new(out)
        }
    }
}

/// The opposite of [`encode_payload`].
pub(crate) fn decode_payload(bytes: Vec<u8>) -> io::Result<Payload> {
    match bytes.split_first() {
        Some((&BLANK, [])) => Ok(Payload::Blank),
        Some((&NORMAL, entry)) => {
            let entry = decode(entry, "an entry")?;
            Ok(Payload::Normal(Proposal::new(entry, Arc::new(bytes), None)))
        }
        Some((&MEMBERSHIP, membership)) => Ok(Payload::Membership(decode_membership(membership)?)),
        _ => Err(invalid("an entry", "its kind is unknown: a newer version wrote it")),
    }
}

pub(crate) fn encode_vote(vote: &Vote) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    let (term, server) = (vote.leader_id.term, vote.leader_id.voted_for);
    encode_into(&VoteRecord { term, server, committed: vote.committed }, &mut out);
    out
}

pub(crate) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    let vote: VoteRecord = decode(bytes, "a vote")?;
    Ok(if vote.committed {
        Vote::new_committed(vote.term, vote.server)
    } else {
        Vote::new(vote.term, vote.server)
    })
}

pub(crate) fn encode_membership(membership: &Membership) -> Vec<u8> {
    let nodes = membership.nodes().map(|(id, node)| (*id, NodeRecord { addr: node.addr.clone() })).collect();
    let record = MembershipRecord { configs: membership.get_joint_config().clone(), nodes };
    let mut out = Vec::new();
    encode_into(&record, &mut out);
    out
}

pub(crate) fn decode_membership(bytes: &[u8]) -> io::Result<Membership> {
    let MembershipRecord { configs, nodes } = decode(bytes, "a membership")?;
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    let nodes: BTreeMap<u64, BasicNode> =
        nodes.into_iter().map(|(id, node)| (id, BasicNode { addr: node.addr })).collect();
    Membership::new(configs, nodes).map_err(|error| invalid("a membership", error))
}

fn encode_into<T: Encode<()>>(value: &T, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    if let Err(error) = minicbor::encode(value, out) {
        unreachable!("encoding: {error}");
    }
}

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], what: &str) -> io::Result<T> {
    minicbor::decode(bytes).map_err(|error| invalid(what, error))
}

fn invalid(what: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} in the log cannot be read: {why}"))
}
