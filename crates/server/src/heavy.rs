//! Work that takes long (a pass of the planner, a walk over millions of tasks), away from the threads that serve.

use crate::failure::{Answer, internal};
use tokio::sync::{Semaphore, SemaphorePermit};

/// At the same time: such work must not take every core.
const HEAVY_MAX: usize = 2;
static HEAVY: Semaphore = Semaphore::const_new(HEAVY_MAX);

/// Does work that may take long away from the threads that serve.
pub(crate) async fn heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    let _permit: Option<SemaphorePermit<'_>> = HEAVY.acquire().await.ok();
    tokio::task::spawn_blocking(work).await.map_err(|error| internal(&error))
}
