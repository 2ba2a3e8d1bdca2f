//! Backups: make, list, verify. Slow work answers with lines that say how far it is; silence would look like a dead
//! connection.

use super::answer::Reply;
use super::input::{BackupPath, MaybeJsonBody, Params};
use crate::app::App;
use crate::auth::Caller;
use crate::failure::{Answer, ErrorResponse};
use crate::usecase;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use taskyard_api::{Backup, BackupLine, BackupQuery, BackupRequest, Page, routes};
use taskyard_backup::{Progress, Watch};
use tokio::sync::watch;

/// A line comes at least so often.
const LINE_EVERY: Duration = Duration::from_millis(500);

/// Create a backup
///
/// It includes everything acknowledged before the request; the cluster keeps working. Errors known at once are
/// answered as such. Otherwise the answer is lines of JSON; the last has `backup` or `error`. A request that breaks
/// off leaves no valid backup.
#[utoipa::path(
    post, path = routes::BACKUPS, operation_id = "create_backup", tag = "backups",
    request_body(content = BackupRequest, description = "Where to write it. May be missing."),
    responses((status = 200, description = "Lines of JSON: progress, then the result.", content_type = "application/x-ndjson", body = BackupLine), ErrorResponse),
)]
pub(super) async fn create(
    State(app): State<App>,
    by: Caller,
    MaybeJsonBody(request): MaybeJsonBody<BackupRequest>,
) -> Result<Response, ErrorResponse> {
    let work = usecase::begin_backup(&app, &by, request.to.as_deref())?;
    Ok(lines(|watch| work.create(watch)))
}

/// List backups
///
/// Newest first, including unfinished and damaged ones.
#[utoipa::path(
    get, path = routes::BACKUPS, operation_id = "list_backups", tag = "backups", params(BackupQuery),
    responses((status = 200, description = "All backups in a store.", body = Page<Backup>), ErrorResponse),
)]
pub(super) async fn list(State(app): State<App>, Params(query): Params<BackupQuery>) -> Reply<Page<Backup>> {
    Ok(Json(Page { items: usecase::list_backups(&app, query.from.as_deref()).await?, next: None }))
}

/// Verify a backup
///
/// Reads all of it, loads the state beside the server's own, and compares it with the manifest. The answer is lines
/// of JSON, as for creating one.
#[utoipa::path(
    post, path = routes::BACKUP_VERIFY, operation_id = "verify_backup", tag = "backups",
    params(("backup" = String, Path, description = "Its name, or `latest`.")),
    request_body(content = BackupQuery, description = "Where it is. May be missing."),
    responses((status = 200, description = "Lines of JSON: progress, then the result.", content_type = "application/x-ndjson", body = BackupLine), ErrorResponse),
)]
pub(super) async fn verify(
    State(app): State<App>,
    by: Caller,
    BackupPath(name): BackupPath,
    MaybeJsonBody(query): MaybeJsonBody<BackupQuery>,
) -> Result<Response, ErrorResponse> {
    let work = usecase::begin_verification(&app, &by, &name, query.from.as_deref())?;
    Ok(lines(|watch| work.verify(name, watch)))
}

/// Slow work as the lines of an answer; it ends when they are no longer read.
fn lines<F>(work: impl FnOnce(Watch) -> F) -> Response
where
    F: Future<Output = Answer<Backup>> + Send + 'static,
{
    let watch = Watch::default();
    let lines = ProgressLines { progress: watch.subscribe(), work: Some(Box::pin(work(watch))) };
    let stream = futures_util::stream::unfold(lines, |mut lines| async move {
        let line = lines.next().await?;
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(text)), lines))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

struct ProgressLines {
    progress: watch::Receiver<Progress>,
    /// Until it is done.
    work: Option<Pin<Box<dyn Future<Output = Answer<Backup>> + Send>>>,
}

impl ProgressLines {
    async fn next(&mut self) -> Option<BackupLine> {
        let work = self.work.as_mut()?;
        let Ok(done) = tokio::time::timeout(LINE_EVERY, work).await else {
            let progress = Some((*self.progress.borrow()).into());
            return Some(BackupLine { progress, ..BackupLine::default() });
        };
        self.work = None;
        Some(match done {
            Ok(backup) => BackupLine { backup: Some(backup), ..BackupLine::default() },
            Err(error) => BackupLine { error: Some(error), ..BackupLine::default() },
        })
    }
}
