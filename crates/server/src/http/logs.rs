//! Captured output, as bytes.

use super::input::{Params, TaskPath};
use crate::app::App;
use crate::failure::ErrorResponse;
use crate::usecase::{LogWish, TaskOutput};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use taskyard_api::{LogQuery, routes};

/// Bytes that were dropped because the output passed its limit.
const DROPPED_HEADER: &str = "taskyard-dropped";

/// Read captured output of a task
///
/// With `follow`, the answer continues until the attempt ends. If it breaks off instead, continue with `attempt`
/// and `offset`.
#[utoipa::path(
    get, path = routes::TASK_LOGS, operation_id = "read_logs", tag = "tasks",
    params(
        ("job" = u64, Path, description = "The job's id."),
        ("task" = u64, Path, description = "The task's number."),
        LogQuery,
    ),
    responses(
        (status = 200, description = "The output, unchanged.", content_type = "application/octet-stream", body = Vec<u8>, headers(
            ("Taskyard-Attempt" = u32, description = "The attempt that wrote it."),
            ("Taskyard-Offset" = u64, description = "Offset of the first byte."),
            ("Taskyard-Dropped" = u64, description = "Bytes dropped so far because of the output limit, if any."),
        )),
        ErrorResponse,
    ),
)]
pub(super) async fn read(
    State(app): State<App>,
    TaskPath(job, task): TaskPath,
    Params(query): Params<LogQuery>,
) -> Result<Response, ErrorResponse> {
    let output = TaskOutput::open(app, LogWish { job, task, query }).await?;
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: u64| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    };
    set(routes::ATTEMPT_HEADER, output.attempt().into());
    set(routes::OFFSET_HEADER, output.offset());
    if output.dropped() > 0 {
        set(DROPPED_HEADER, output.dropped());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    // An error ends the body without its last chunk, so the reader knows that it is not the end.
    let pieces = futures_util::stream::try_unfold(output, |mut output| async move {
        let piece = output.next().await.inspect_err(|error| tracing::debug!(%error, "output broke off"))?;
        Ok::<_, taskyard_api::ApiError>(piece.map(|bytes| (bytes, output)))
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}
