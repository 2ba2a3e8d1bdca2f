//! The HTTP API: a thin layer over the use cases. A handler reads its input, calls one use case and says what comes
//! out; paths and types come from `taskyard-api`, and each route is documented where it is written, so router and
//! OpenAPI document cannot drift apart.
//!
//! Nothing here proposes a command, decides anything about jobs, or keeps anything.

mod accept;
mod access;
mod acts;
mod answer;
mod backups;
mod cluster;
mod declare;
mod events;
mod exact;
mod guard;
mod health;
mod input;
mod jobs;
mod logs;
mod maintenance;
mod nodes;
mod observe;
mod pools;
mod queues;
mod retention;
mod servers;
mod shares;
mod tasks;
#[cfg(test)]
mod tests;

use crate::app::App;
use crate::auth::ObjectKind::{
    self, Backup, Cluster, Event, Health, Job, Log, Metrics, Myself, Namespace, Node, Peer, Pool, Queue,
    Retention, Server, Session, Token,
};
use crate::auth::Verb::{
    Cancel, Connect, Create, Drain, Hold, Release, Remove, Resume, Retry, Revoke, Set, Submit, Transfer,
    Update, Verify, View,
};
use crate::auth::{Permission, identify};
use crate::failure::ErrorResponse;
use crate::{outward, peers, session};
use axum::http::{Method, Uri};
use axum::{Router, middleware, routing};
use declare::Routes;
use taskyard_api::{ApiError, ErrorBody, ErrorCode};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::routes;

/// Everything that is served. Agents come in here too, on a path that is none of users.
pub(crate) fn router(app: App) -> Router {
    let tls = app.secured.is_some();
    routes()
        .router(no_such_path, no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), peers::gate))
        .layer(middleware::from_fn_with_state(app.gatekeeper.clone(), identify))
        .layer(middleware::from_fn(move |request, next| guard::guard(tls, request, next)))
        .layer(middleware::from_fn_with_state(app.metrics.clone(), observe::observe))
        .with_state(app)
}

/// The API as a document.
pub fn openapi() -> OpenApi {
    exact::exact(routes().document())
}

/// What the document says beside its routes. Failures refer to their body by name, so it is named here.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Taskyard",
        description = "Submits, follows and controls jobs. Errors say whether something may have happened (`definite`). Times end in `_ms`: `_at_ms` is wall clock since 1970, others are durations.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    components(schemas(ErrorBody))
)]
struct ApiDocument;

/// Every route, with what it does to which kind of object.
fn routes() -> Routes {
    let session = Permission { verb: Connect, kind: Session };
    let agents = (Method::POST, taskyard_wire::SESSION_PATH);
    let peer = Permission { verb: Connect, kind: Peer };
    let servers = (Method::POST, outward::PEER_PATH);
    Routes::of(ApiDocument::openapi())
        .may(Submit, Job, routes!(jobs::submit))
        .may(Submit, Job, routes!(jobs::plan))
        .may(Submit, Job, routes!(jobs::check))
        .may(View, Job, routes!(jobs::list))
        .may(View, Job, routes!(jobs::show))
        .may(Update, Job, routes!(jobs::update))
        .may(Cancel, Job, routes!(acts::cancel))
        .may(Hold, Job, routes!(acts::hold))
        .may(Release, Job, routes!(acts::release))
        .may(Retry, Job, routes!(acts::retry))
        .may(View, Job, routes!(jobs::explain))
        .may(View, Job, routes!(tasks::list))
        .may(View, Job, routes!(tasks::show))
        .may(View, Log, routes!(logs::read))
        .may(View, Node, routes!(nodes::list))
        .may(Drain, Node, routes!(nodes::drain))
        .may(Resume, Node, routes!(nodes::resume))
        .may(Remove, Node, routes!(nodes::remove))
        .may(View, Queue, routes!(queues::list))
        .may(Set, Queue, routes!(queues::set))
        .may(Remove, Queue, routes!(queues::delete))
        .may(View, Node, routes!(maintenance::list))
        .may(Set, Node, routes!(maintenance::set))
        .may(Set, Node, routes!(maintenance::delete))
        .may(View, Pool, routes!(pools::list))
        .may(Set, Pool, routes!(pools::set))
        .may(Remove, Pool, routes!(pools::delete))
        .may(View, ObjectKind::Share, routes!(shares::list))
        .may(Set, ObjectKind::Share, routes!(shares::set))
        .may(View, ObjectKind::Usage, routes!(shares::usage))
        .may(View, Retention, routes!(retention::show))
        .may(Set, Retention, routes!(retention::set))
        .may(View, Event, routes!(events::follow))
        .may(View, Cluster, routes!(cluster::status))
        .may(View, Server, routes!(servers::list))
        .may(Create, Server, routes!(servers::join))
        .may(Update, Server, routes!(servers::update))
        .may(Remove, Server, routes!(servers::remove))
        .may(Transfer, Server, routes!(servers::transfer))
        .may(View, Backup, routes!(backups::list))
        .may(Create, Backup, routes!(backups::create))
        .may(Verify, Backup, routes!(backups::verify))
        .may(View, Myself, routes!(access::whoami))
        .may(View, Namespace, routes!(access::namespaces))
        .may(Create, Namespace, routes!(access::create_namespace))
        .may(View, Token, routes!(access::tokens))
        .may(Create, Token, routes!(access::create_token))
        .may(Revoke, Token, routes!(access::revoke_token))
        .may(Create, ObjectKind::Certificate, routes!(access::create_certificate))
        .may(View, ObjectKind::Document, routes!(health::document))
        .may(View, Metrics, routes!(health::metrics))
        .may(View, Health, routes!(health::healthz))
        .may(View, Health, routes!(health::readyz))
        .may(View, Health, routes!(health::leaderz))
        .may_undocumented(session, agents, routing::post(session::accept))
        .may_undocumented(peer, servers, routing::post(peers::accept))
}

async fn no_such_path(uri: Uri) -> ErrorResponse {
    let error = ApiError::not_found(format!("path {}", uri.path()));
    error.remedy(format!("{} lists all paths", taskyard_api::routes::OPENAPI)).into()
}

async fn no_such_method(method: Method, uri: Uri) -> ErrorResponse {
    let message = format!("{} does not take {method}", uri.path());
    let remedy = format!("{} says which methods it takes", taskyard_api::routes::OPENAPI);
    ApiError::new(ErrorCode::Method, message).remedy(remedy).into()
}
