//! Makes the journal durable in the background.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The least time between two syncs.
const PAUSE: Duration = Duration::from_secs(1);
const STACK_BYTES: usize = 64 << 10;

#[derive(Default)]
struct SyncState {
    dirty: bool,
    ended: bool,
}

#[derive(Default)]
struct SyncSignal {
    state: Mutex<SyncState>,
    changed: Condvar,
}

/// A thread that syncs one file; it ends when this is dropped.
pub(crate) struct Syncer {
    shared: Arc<SyncSignal>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(crate) fn start(file: &File) -> io::Result<Syncer> {
        let file = file.try_clone()?;
        let shared = Arc::new(SyncSignal::default());
        let theirs = shared.clone();
        let run = move || theirs.run(&file);
        let thread = std::thread::Builder::new().name("journal".into()).stack_size(STACK_BYTES).spawn(run)?;
        Ok(Syncer { shared, thread: Some(thread) })
    }

    /// Something was written.
    pub(crate) fn dirty(&self) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.dirty {
            state.dirty = true;
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl SyncSignal {
    fn run(&self, file: &File) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.ended {
                return;
            }
            if !state.dirty {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.dirty = false;
            drop(state);
            // The promise is only "about a second": an error shows at the next write, which ends the agent.
            let _ = file.sync_data();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = self.changed.wait_timeout_while(state, PAUSE, |state| !state.ended);
            state = pause.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
