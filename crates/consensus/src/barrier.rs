//! Where readers wait for an entry that is newer than their question.

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::error::ProposeError;

/// Those who wait for an entry proposed after they asked.
#[derive(Default)]
pub(crate) struct Barrier {
    waiting: Mutex<Vec<oneshot::Sender<Result<(), ProposeError>>>>,
    entered: Notify,
}

impl Barrier {
    /// Joins those who wait for the next entry.
    pub(crate) fn enter(
        &self,
        max: usize,
    ) -> Result<oneshot::Receiver<Result<(), ProposeError>>, ProposeError> {
        let (told, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= max {
            return Err(ProposeError::Overloaded { retry_after_ms: 20 });
        }
        waiting.push(told);
        drop(waiting);
        self.entered.notify_one();
        Ok(answer)
    }

    /// Waits until somebody waits, and lets go of all who do.
    pub(crate) async fn entered(&self) -> Vec<oneshot::Sender<Result<(), ProposeError>>> {
        self.entered.notified().await;
        std::mem::take(&mut *self.waiting.lock())
    }
}
