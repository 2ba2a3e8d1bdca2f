//! How long finished jobs are kept.

use super::answer::Reply;
use super::input::Input;
use crate::app::App;
use crate::auth::Caller;
use crate::failure::Failure;
use crate::usecase::{self, Act};
use axum::Json;
use axum::extract::State;
use taskyard_api::{Keeping, RetentionSettings, RetentionStatus, routes};
use taskyard_model::EVERYWHERE;
use taskyard_state::{Command, KeepChange};

/// Show how long finished jobs are kept
#[utoipa::path(
    get, path = routes::RETENTION, operation_id = "show_retention", tag = "cluster",
    responses((status = 200, description = "The rule, and what is kept.", body = RetentionStatus), Failure),
)]
pub(super) async fn show(State(app): State<App>) -> Reply<RetentionStatus> {
    Ok(Json(status(&app)))
}

/// Change how long finished jobs are kept
///
/// It holds for the jobs that are there too: what is too old, or too much, is forgotten within moments, and its output with it.
#[utoipa::path(
    put, path = routes::RETENTION, operation_id = "set_retention", tag = "cluster",
    request_body = RetentionSettings,
    responses((status = 200, description = "The rule after it.", body = RetentionStatus), Failure),
)]
pub(super) async fn set(
    State(app): State<App>,
    by: Caller,
    Input(settings): Input<RetentionSettings>,
) -> Reply<RetentionStatus> {
    let Keeping { keep_ms, max_jobs, max_tasks, max_bytes, state_bytes } = settings.check()?;
    let act = Act { by: &by, object: "retention".to_owned(), namespace: EVERYWHERE.into() };
    let change = KeepChange { keep_ms, max_jobs, max_tasks, max_bytes, state_bytes };
    usecase::change(&app, act, Command::SetRetention(change)).await?;
    Ok(Json(status(&app)))
}

fn status(app: &App) -> RetentionStatus {
    let (rule, kept, state_bytes) =
        app.consensus.read(|state| (state.retention(), state.kept(), state.bytes()));
    RetentionStatus {
        keep_ms: rule.keep_ms,
        max_jobs: rule.max_jobs,
        max_tasks: rule.max_tasks,
        max_bytes: rule.max_bytes,
        state_bytes_max: rule.state_bytes,
        jobs: kept.jobs,
        tasks: kept.tasks,
        bytes: kept.bytes,
        state_bytes,
        oldest_end_at_ms: kept.oldest_end_wall_ms,
    }
}
