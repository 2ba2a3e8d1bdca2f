//! Tasks of a job.

use super::answer::Reply;
use super::input::{JobPath, Params, TaskPath};
use crate::failure::ErrorResponse;
use crate::usecase;
use axum::Json;
use axum::extract::State;
use taskyard_api::{Page, Task, TasksQuery, routes};
use taskyard_consensus::Consensus;

/// List tasks of a job, lowest number first
#[utoipa::path(
    get, path = routes::TASKS, operation_id = "list_tasks", tag = "tasks",
    params(("job" = u64, Path, description = "The job's id."), TasksQuery),
    responses((status = 200, description = "One page of tasks.", body = Page<Task>), ErrorResponse),
)]
pub(super) async fn list(
    State(consensus): State<Consensus>,
    JobPath(id): JobPath,
    Params(query): Params<TasksQuery>,
) -> Reply<Page<Task>> {
    Ok(Json(usecase::list_tasks(&consensus, id, query).await?))
}

/// Show a task with its attempts
#[utoipa::path(
    get, path = routes::TASK, operation_id = "show_task", tag = "tasks",
    params(
        ("job" = u64, Path, description = "The job's id."),
        ("task" = u64, Path, description = "The task's number."),
    ),
    responses((status = 200, description = "The task.", body = Task), ErrorResponse),
)]
pub(super) async fn show(State(consensus): State<Consensus>, TaskPath(id, number): TaskPath) -> Reply<Task> {
    Ok(Json(usecase::one_task(&consensus, id, number).await?))
}
