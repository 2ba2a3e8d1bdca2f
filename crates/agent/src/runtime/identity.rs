//! Who this agent is, and that it is the only one on its data directory.

use super::AgentError;
use rustix::fs::{FlockOperation, flock};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use taskyard_datadir::{make_dir, open, read_sealed, write_sealed};

const LOCK: &str = "agent.lock";
const UUID: &str = "agent.uuid";
const CLUSTER: &str = "agent.cluster";

pub(super) struct Identity {
    /// Random identity of the data directory.
    pub(super) agent_uuid: String,
    /// The cluster that the data directory belongs to; none until the first welcome.
    pub(super) cluster: Option<String>,
    /// Of the kernel.
    pub(super) boot_id: String,
    /// Random identity of this process.
    pub(super) process: u64,
    /// This directory in this boot of the machine: neither a copy of it nor another machine is there.
    pub(super) place: String,
    _lock: File,
}

impl Identity {
    /// Makes the data directory if need be, and locks it for the life of this value.
    pub(super) fn open(data_dir: &Path) -> Result<Identity, AgentError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AgentError::DataDir { path, source }
        };
        claim(data_dir)?;
        let jobs = crate::layout::jobs_dir(data_dir);
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
        Ok(Identity { agent_uuid, cluster, boot_id, process: random(), place, _lock: lock })
    }

    /// The data directory is this cluster's from now on; says whether it may be.
    pub(super) fn join(&mut self, data_dir: &Path, cluster: &str) -> Result<bool, AgentError> {
        if let Some(ours) = &self.cluster {
            return Ok(ours == cluster);
        }
        write_sealed(&data_dir.join(CLUSTER), &[cluster])?;
        self.cluster = Some(cluster.to_owned());
        Ok(true)
    }

    pub(super) fn new_process(&mut self) {
        self.process = random();
    }
}

/// One kernel has one file of a number on a device, and one lock on it.
fn place(lock: &File, boot_id: &str) -> io::Result<String> {
    let file = lock.metadata()?;
    Ok(format!("{boot_id} {} {}", file.dev(), file.ino()))
}

/// From 0 to 1.
pub(crate) fn dice() -> f64 {
    (random() >> 11) as f64 / (1u64 << 53) as f64
}

/// Closes the data directory to other users. What tasks have written is out of their reach then, and may be very much.
fn claim(data_dir: &Path) -> Result<(), AgentError> {
    if let Some(tightened) = taskyard_datadir::claim(data_dir, &[LOCK, "tls"], &[crate::layout::JOBS])? {
        let (first, count) = (tightened.first.display(), tightened.count);
        let mode = format!("{:04o}", tightened.mode);
        tracing::warn!(%first, mode, count, "other users could read the data directory; its permissions are for its owner alone now");
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

pub(crate) fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // Eight bytes come whole and without waiting on any kernel that has booted.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
