//! Keeps one spare segment ready and removes old ones, in a thread of its own, so that the log never waits for
//! either. When no spare can be made the disk is full, and users' commands are refused while there is still
//! space in the current segment for the system's own.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::disk::{Disk, sync_dir};
use super::segment;

/// How long to wait before trying again to make a spare.
const RETRY: Duration = Duration::from_secs(1);

/// Whether the next segment is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spare {
    /// Yes.
    Ready,
    /// It is being made.
    Making,
    /// It could not be made, and is tried again each second.
    Failed(String),
}

struct SpaceState {
    /// Number of the segment that should be there next.
    wanted: u32,
    spare: Spare,
    removable: Vec<PathBuf>,
    stop: bool,
}

/// Handle of the thread.
pub(crate) struct DiskSpace {
    state: Mutex<SpaceState>,
    changed: Condvar,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
}

impl DiskSpace {
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_bytes: u64,
        removable: Vec<PathBuf>,
    ) -> std::io::Result<(Arc<DiskSpace>, JoinHandle<()>)> {
        let state = SpaceState { wanted: 0, spare: Spare::Ready, removable, stop: false };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let space = Arc::new(DiskSpace { state, changed, disk, dir, segment_bytes });
        let thread = {
            let space = Arc::clone(&space);
            std::thread::Builder::new().name("wal-space".into()).spawn(move || space.run())?
        };
        Ok((space, thread))
    }

    /// Asks for segment `number`, unless it is there already.
    pub(crate) fn want(&self, number: u32, exists: bool) {
        let mut state = self.state.lock();
        state.wanted = number;
        state.spare = if exists { Spare::Ready } else { Spare::Making };
        self.changed.notify_all();
    }

    /// Hands over files that hold nothing needed any more.
    pub(crate) fn remove(&self, files: Vec<PathBuf>) {
        if !files.is_empty() {
            self.state.lock().removable.extend(files);
            self.changed.notify_all();
        }
    }

    pub(crate) fn spare(&self) -> Spare {
        self.state.lock().spare.clone()
    }

    /// Waits until the wanted segment is there.
    pub(crate) fn wait(&self) -> Result<(), String> {
        let mut state = self.state.lock();
        loop {
            match &state.spare {
                Spare::Ready => return Ok(()),
                Spare::Failed(why) => return Err(why.clone()),
                Spare::Making => self.changed.wait(&mut state),
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }

    fn run(&self) {
        let mut state = self.state.lock();
        while !state.stop {
            if let Some(path) = state.removable.pop() {
                // The oldest last: popping goes from the end.
                let mut rest = std::mem::take(&mut state.removable);
                rest.push(path);
                parking_lot::MutexGuard::unlocked(&mut state, || self.remove_files(rest));
            } else if state.spare != Spare::Ready {
                let number = state.wanted;
                let made = parking_lot::MutexGuard::unlocked(&mut state, || self.make(number));
                self.made(&mut state, number, made);
            } else {
                self.changed.wait(&mut state);
            }
        }
    }

    fn remove_files(&self, files: Vec<PathBuf>) {
        for path in &files {
            match self.disk.remove(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(file = %path.display(), %error, "an old log segment could not be removed");
                }
                _ => tracing::debug!(file = %path.display(), "removed an old log segment"),
            }
        }
    }

    fn make(&self, number: u32) -> std::io::Result<()> {
        let path = segment::path(&self.dir, number);
        self.disk.create_zeroed(&path, segment::size(number, self.segment_bytes))?;
        sync_dir(&path)
    }

    fn made(
        &self,
        state: &mut parking_lot::MutexGuard<'_, SpaceState>,
        number: u32,
        made: std::io::Result<()>,
    ) {
        match made {
            Ok(()) if state.wanted == number => {
                if matches!(state.spare, Spare::Failed(_)) {
                    tracing::info!("there is space for the log again");
                }
                state.spare = Spare::Ready;
                self.changed.notify_all();
            }
            Ok(()) => {}
            Err(error) => {
                if !matches!(state.spare, Spare::Failed(_)) {
                    tracing::error!(%error, "no space for the next log segment; commands of users are refused");
                }
                state.spare = Spare::Failed(error.to_string());
                self.changed.notify_all();
                self.changed.wait_for(state, RETRY);
            }
        }
    }
}
