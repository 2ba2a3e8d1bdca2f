//! Who this agent is, and that it is the only one on its data directory.

use super::AgentError;
use rustix::fs::{FlockOperation, flock};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

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
    _lock: File,
}

impl Identity {
    /// Makes the data directory if need be, and locks it for the life of this value.
    pub(super) fn open(data_dir: &Path) -> Result<Identity, AgentError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AgentError::DataDir { path, source }
        };
        let jobs = crate::layout::jobs_dir(data_dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&jobs).map_err(failed(&jobs))?;
        let path = data_dir.join(LOCK);
        let lock = OpenOptions::new().create(true).write(true).truncate(false).open(&path);
        let lock = lock.map_err(failed(&path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| AgentError::InUse { path: data_dir.to_owned() })?;
        let path = data_dir.join(UUID);
        let agent_uuid = agent_uuid(&path).map_err(failed(&path))?;
        let path = data_dir.join(CLUSTER);
        let cluster = read(&path).map_err(failed(&path))?.filter(|text| !text.is_empty());
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(path).map_err(failed(path))?.trim().to_owned();
        Ok(Identity { agent_uuid, cluster, boot_id, process: random(), _lock: lock })
    }

    /// The data directory is this cluster's from now on; says whether it may be.
    pub(super) fn join(&mut self, data_dir: &Path, cluster: &str) -> Result<bool, AgentError> {
        if let Some(ours) = &self.cluster {
            return Ok(ours == cluster);
        }
        let path = data_dir.join(CLUSTER);
        write(&path, cluster).map_err(|source| AgentError::DataDir { path, source })?;
        self.cluster = Some(cluster.to_owned());
        Ok(true)
    }

    pub(super) fn new_process(&mut self) {
        self.process = random();
    }
}

/// From 0 to 1.
pub(crate) fn dice() -> f64 {
    (random() >> 11) as f64 / (1u64 << 53) as f64
}

fn agent_uuid(path: &Path) -> io::Result<String> {
    if let Some(text) = read(path)?.filter(|text| text.len() == 32) {
        return Ok(text);
    }
    let uuid = format!("{:016x}{:016x}", random(), random());
    write(path, &uuid)?;
    Ok(uuid)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Complete before it has its name, or half of it could be read after a crash.
    let draft = path.with_extension("tmp");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

pub(crate) fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // Eight bytes come whole and without waiting on any kernel that has booted.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}
