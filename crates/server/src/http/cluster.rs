//! The cluster as this server sees it.

use super::answer::Reply;
use super::input::{ClusterQuery, Params};
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{ClusterStatus, routes};
use taskyard_consensus::Consensus;

/// Show the cluster
#[utoipa::path(
    get, path = routes::CLUSTER, operation_id = "show_cluster", tag = "cluster", params(ClusterQuery),
    responses((status = 200, description = "The cluster.", body = ClusterStatus), ErrorResponse),
)]
pub(super) async fn status(
    State(consensus): State<Consensus>,
    Params(query): Params<ClusterQuery>,
) -> Reply<ClusterStatus> {
    Ok(Json(usecase::cluster_status(&consensus, query.digest).await?))
}
