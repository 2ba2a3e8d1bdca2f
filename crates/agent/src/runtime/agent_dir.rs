//! What an agent has on disk: a directory that is its alone, an identity in it, and the journal. A simulated agent has
//! none of that.

use crate::core::AgentCore;
use crate::journal::{Journal, JournalError, JournalRecord, Recovered};
use crate::random::random;
use crate::{AgentError, layout};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use taskyard_datadir::{make_dir, open, read_sealed, write_sealed};
use taskyard_model::Incarnation;

const LOCK: &str = "agent.lock";
const UUID: &str = "agent.uuid";
const CLUSTER: &str = "agent.cluster";

/// A data directory that is this process's alone.
pub(super) struct Claimed {
    data_dir: PathBuf,
    /// Random identity of the data directory.
    pub(super) agent_uuid: String,
    /// The cluster that the data directory belongs to; none until the first welcome.
    pub(super) cluster: Option<String>,
    /// Of the kernel.
    pub(super) boot_id: String,
    /// This directory in this boot of the machine: neither a copy of it nor another machine is there.
    place: String,
    _lock: File,
}

/// See the module.
pub(super) struct AgentDir {
    claimed: Claimed,
    journal: Journal,
}

impl Claimed {
    /// Makes the data directory if need be, and locks it for the life of this value.
    pub(super) fn open(data_dir: &Path) -> Result<Claimed, AgentError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AgentError::DataDir { path, source }
        };
        close_to_others(data_dir)?;
        let jobs = layout::jobs_dir(data_dir);
        make_dir(&jobs).map_err(failed(&jobs))?;
        let path = data_dir.join(LOCK);
        let lock = open(&path, OpenOptions::new().create(true).write(true).truncate(false));
        let lock = lock.map_err(failed(&path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| AgentError::InUse { path: data_dir.to_owned() })?;
        let path = data_dir.join(UUID);
        let agent_uuid = agent_uuid(&path)?;
        let cluster = read(&data_dir.join(CLUSTER))?;
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(path).map_err(failed(path))?.trim().to_owned();
        let place = place(&lock, &boot_id).map_err(failed(&data_dir.join(LOCK)))?;
        Ok(Claimed { data_dir: data_dir.to_owned(), agent_uuid, cluster, boot_id, place, _lock: lock })
    }

    /// The life that an older process led, if it was led here. In a copy of the directory, or after another boot,
    /// another process may still lead it, and the servers wait for the end of its lease.
    pub(super) fn dead_life(&self, recovered: &Recovered) -> Option<Incarnation> {
        recovered.incarnation.filter(|_| recovered.place == self.place)
    }

    /// Begins a journal that goes on from `core`; `dead` has surely ended.
    pub(super) fn keep(self, core: &AgentCore, dead: Option<Incarnation>) -> Result<AgentDir, AgentError> {
        let mut records = vec![JournalRecord::Place(self.place.clone())];
        records.extend(dead.map(JournalRecord::Incarnation));
        records.extend(core.records());
        let journal = Journal::create(&self.data_dir, &records)?;
        Ok(AgentDir { claimed: self, journal })
    }
}

impl AgentDir {
    pub(super) fn cluster(&self) -> Option<&str> {
        self.claimed.cluster.as_deref()
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.claimed.data_dir
    }

    /// The data directory is this cluster's from now on; an error if it is another's. `server` says so.
    pub(super) fn join(&mut self, cluster: &str, server: &str) -> Result<(), AgentError> {
        match &self.claimed.cluster {
            Some(ours) if ours == cluster => Ok(()),
            Some(ours) => Err(AgentError::OtherCluster {
                server: server.to_owned(),
                theirs: cluster.to_owned(),
                ours: ours.clone(),
            }),
            None => {
                write_sealed(&self.data_dir().join(CLUSTER), &[cluster])?;
                self.claimed.cluster = Some(cluster.to_owned());
                Ok(())
            }
        }
    }

    /// Writes records to the journal. They are in the kernel's hands when this returns.
    pub(super) fn write<'a>(
        &mut self,
        records: impl Iterator<Item = &'a JournalRecord>,
    ) -> Result<(), JournalError> {
        records.for_each(|record| self.journal.append(record));
        self.journal.write()
    }

    /// Shortens a journal that has grown long to what is needed to go on from `core`.
    pub(super) fn compact(&mut self, core: &AgentCore) -> Result<(), JournalError> {
        if !self.journal.is_long() {
            return Ok(());
        }
        let mut records = vec![JournalRecord::Place(self.claimed.place.clone())];
        records.extend(core.records());
        self.journal.rotate(&records)
    }
}

/// One kernel has one file of a number on a device, and one lock on it.
fn place(lock: &File, boot_id: &str) -> io::Result<String> {
    let file = lock.metadata()?;
    Ok(format!("{boot_id} {} {}", file.dev(), file.ino()))
}

/// Closes the data directory to other users. What tasks have written is out of their reach then, and may be very much.
fn close_to_others(data_dir: &Path) -> Result<(), AgentError> {
    if let Some(tightened) = taskyard_datadir::claim(data_dir, &[LOCK, "tls"], &[layout::JOBS])? {
        let (first, count) = (tightened.first.display(), tightened.count);
        let mode = format!("{:04o}", tightened.mode);
        tracing::warn!(%first, mode, count, "other users could read the data directory; its mode is now 0700");
    }
    Ok(())
}

fn agent_uuid(path: &Path) -> Result<String, AgentError> {
    if let Some(uuid) = read(path)? {
        return Ok(uuid);
    }
    let uuid = format!("{:016x}{:016x}", random(), random());
    write_sealed(path, &[&uuid])?;
    Ok(uuid)
}

/// The only line of a file.
fn read(path: &Path) -> Result<Option<String>, AgentError> {
    Ok(read_sealed(path)?.and_then(|lines| lines.into_iter().next()))
}
