//! The network between servers: there is none yet, so every other server is unreachable.

use std::future::Future;

use openraft::alias::{SnapshotOf, VoteOf};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use crate::snapshot::SnapshotFile;
use crate::types::Types;

/// Makes [`Nowhere`].
pub(crate) struct NoNetwork;

/// A connection that never gets anywhere.
pub(crate) struct Nowhere;

fn unreachable() -> Unreachable<Types> {
    Unreachable::new(&AnyError::error("this build runs single servers only"))
}

impl RaftNetworkFactory<Types> for NoNetwork {
    type Network = Nowhere;

    async fn new_client(&mut self, _target: u64, _node: &BasicNode) -> Nowhere {
        Nowhere
    }
}

impl RaftNetworkV2<Types> for Nowhere {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        _request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Err(unreachable().into())
    }

    async fn vote(
        &mut self,
        _request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(unreachable().into())
    }

    /// The library's default grants, which would make an isolated server elect itself.
    async fn pre_vote(
        &mut self,
        _request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Err(unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: VoteOf<Types>,
        _snapshot: SnapshotOf<Types, SnapshotFile>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(unreachable().into())
    }
}
