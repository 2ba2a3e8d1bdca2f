//! The state as a file for elsewhere: a snapshot that is written beside those of the log, and read back without believing any of it.

use std::io::{self, Read};
use std::path::Path;

use taskyard_state::{Holds, State};

use crate::Consensus;
use crate::error::StartError;
use crate::snapshot::{self, SnapshotHead};

/// What was written by [`Consensus::save_state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// Index of the last entry in it.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The leader's wall clock at that entry.
    pub wall_ms: u64,
    /// Fingerprint of the state.
    pub digest: u64,
    /// How much it holds.
    pub holds: Holds,
    /// Length of the file.
    pub bytes: u64,
}

/// A state that was read back from what [`Consensus::save_state`] wrote, to look at or to restore.
pub struct Copied {
    pub(crate) about: SnapshotHead,
    pub(crate) state: State,
}

impl Consensus {
    /// Writes the state as it is now to a file, and syncs it. Applying goes on meanwhile. Blocks.
    pub fn save_state(&self, path: &Path) -> io::Result<SavedState> {
        let (about, frozen) = self.inner.replica.view();
        snapshot::write(path, &about, &frozen)?;
        Ok(SavedState {
            index: frozen.index(),
            term: term(&about),
            wall_ms: frozen.wall_ms(),
            digest: frozen.digest(),
            holds: frozen.holds(),
            bytes: std::fs::metadata(path)?.len(),
        })
    }
}

impl Copied {
    /// Reads a state, after having verified all of it: it is opened twice. `name` is what it is called in errors. Blocks.
    pub fn read<R: Read>(name: &Path, mut open: impl FnMut() -> io::Result<R>) -> Result<Copied, StartError> {
        let mut opened = || open().map_err(|source| StartError::io("read", name, source));
        let read = opened().and_then(|input| verify(name, input)).and_then(|()| load(name, opened()?));
        read.map_err(|error| match error {
            StartError::Damaged { file, offset, what, .. } => StartError::Damaged {
                file,
                offset,
                what,
                remedy: "choose another backup: `taskyard backup list` names them, `taskyard backup verify` reads one in full",
            },
            error => error,
        })
    }

    /// Index of the last entry in it.
    pub fn index(&self) -> u64 {
        self.state.index()
    }

    /// That entry's term.
    pub fn term(&self) -> u64 {
        term(&self.about)
    }

    /// The leader's wall clock at that entry.
    pub fn wall_ms(&self) -> u64 {
        self.state.wall_ms()
    }

    /// Fingerprint of the state, worked out anew.
    pub fn digest(&self) -> u64 {
        self.state.digest()
    }

    /// How much it holds.
    pub fn holds(&self) -> Holds {
        self.state.freeze().holds()
    }
}

fn term(about: &SnapshotHead) -> u64 {
    about.last.as_ref().map_or(0, |last| last.leader_id.term)
}

/// Reads all of it once, before any of it is believed.
fn verify(name: &Path, mut input: impl Read) -> Result<(), StartError> {
    let (_, body) = snapshot::read_header(name, &mut input)?;
    snapshot::verify(name, &mut input, &body)
}

fn load(name: &Path, mut input: impl Read) -> Result<Copied, StartError> {
    let (about, body) = snapshot::read_header(name, &mut input)?;
    let state = snapshot::load(name, &mut input.take(body.len), &about, (body.at, None))?;
    Ok(Copied { about, state })
}
