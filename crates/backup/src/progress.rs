//! How far a slow thing has come.

use tokio::sync::watch;

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupPhase {
    /// The state is written to a file and compressed.
    #[default]
    Saving,
    /// The object goes to the store.
    Uploading,
    /// The object comes from the store.
    Downloading,
    /// The state is read and compared.
    Checking,
}

impl BackupPhase {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            BackupPhase::Saving => "saving",
            BackupPhase::Uploading => "uploading",
            BackupPhase::Downloading => "downloading",
            BackupPhase::Checking => "checking",
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: BackupPhase,
    /// Bytes done.
    pub bytes: u64,
    /// Total amount; 0 if that is not known.
    pub of: u64,
}

/// Where progress is told. Only the last word counts, so a listener is not needed.
#[derive(Clone, Debug, Default)]
pub struct Watch(watch::Sender<Progress>);

impl Watch {
    /// Follows it.
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    pub(crate) fn tell(&self, phase: BackupPhase, bytes: u64, of: u64) {
        self.0.send_replace(Progress { phase, bytes, of });
    }
}
