//! The HTTP API: a thin layer over the use cases. A handler reads its input, calls one use case and says what comes out; paths and types come
//! from `taskyard-api`, and each route is documented where it is written, so router and OpenAPI document cannot drift apart.
//!
//! Nothing here decides anything about jobs, and nothing here keeps anything.

mod acts;
mod answer;
mod backups;
mod cluster;
mod events;
mod guard;
mod health;
mod input;
mod jobs;
mod logs;
mod nodes;
mod observe;
mod queues;
mod tasks;
#[cfg(test)]
mod tests;

use crate::app::App;
use crate::session;
use answer::Failure;
use axum::http::{Method, Uri};
use axum::{Router, middleware, routing};
use taskyard_api::{ApiError, ErrorBody, ErrorCode};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Everything that is served. Agents come in here too, on a path that is none of users.
pub(crate) fn router(app: App) -> Router {
    let (router, _) = documented().split_for_parts();
    router
        .route(taskyard_wire::SESSION_PATH, routing::post(session::accept))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn(guard::guard))
        .layer(middleware::from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

/// The API as a document.
pub fn openapi() -> OpenApi {
    documented().into_openapi()
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
struct Document;

fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(jobs::submit, jobs::list))
        .routes(routes!(jobs::show, jobs::update))
        .routes(routes!(acts::cancel))
        .routes(routes!(acts::hold))
        .routes(routes!(acts::release))
        .routes(routes!(acts::retry))
        .routes(routes!(jobs::explain))
        .routes(routes!(tasks::list))
        .routes(routes!(tasks::show))
        .routes(routes!(logs::read))
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::drain))
        .routes(routes!(nodes::resume))
        .routes(routes!(queues::list))
        .routes(routes!(queues::set))
        .routes(routes!(events::follow))
        .routes(routes!(cluster::status))
        .routes(routes!(backups::create, backups::list))
        .routes(routes!(backups::verify))
        .routes(routes!(health::document))
        .routes(routes!(health::metrics))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

async fn no_such_path(uri: Uri) -> Failure {
    let error = ApiError::not_found(format!("path {}", uri.path()));
    error.remedy(format!("{} lists all paths", taskyard_api::routes::OPENAPI)).into()
}

async fn no_such_method(method: Method, uri: Uri) -> Failure {
    let message = format!("{} does not take {method}", uri.path());
    let remedy = format!("{} says which methods it takes", taskyard_api::routes::OPENAPI);
    ApiError::new(ErrorCode::Method, message).remedy(remedy).into()
}
