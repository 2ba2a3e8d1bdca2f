//! What a job needs on this node before its first task: its directory, its script, its environment.

use crate::keeper::proto::{JobBody, KeeperSetup};
use crate::orders::Limits;
use crate::{AgentConfig, environment, keeper, layout};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use taskyard_model::spec::Stdin;
use taskyard_model::{Driver, JobId, JobSpec};

/// What a keeper is told first.
pub(super) fn setup(config: &AgentConfig) -> KeeperSetup {
    KeeperSetup {
        data_dir: config.data_dir.to_string_lossy().into_owned(),
        node: config.name.clone(),
        workers: config.workers,
        output_bytes_max: config.output_bytes_max,
        output_of_node_bytes_max: config.output_of_node_bytes_max,
    }
}

/// Makes the job's directory and writes what its tasks share.
pub(super) fn prepare(data_dir: &Path, job: JobId, spec: &JobSpec) -> io::Result<JobBody> {
    let Driver::Process(command) = &spec.driver else {
        return Err(io::Error::other("not a job of the process driver"));
    };
    let dir = layout::job_dir(data_dir, job.0);
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    let mut argv = command.argv.clone();
    if let Some(script) = &command.script {
        argv.insert(0, write(&dir.join(layout::SCRIPT), script, 0o700)?);
    }
    let stdin = match &command.stdin {
        Stdin::Empty => None,
        Stdin::File(pattern) => Some(pattern.clone()),
        // Paths of jobs are patterns.
        Stdin::Bytes(bytes) => Some(write(&dir.join(layout::STDIN), bytes, 0o600)?.replace('%', "%%")),
    };
    Ok(JobBody {
        job: job.0,
        name: spec.name.clone(),
        argv,
        env: environment::of_job(spec, command, keeper::PATH),
        cwd: command.cwd.clone(),
        stdin,
        stdout: command.stdout.clone(),
        stderr: command.stderr.clone(),
        limits: Limits::of(spec),
    })
}

/// Removes everything of the job on this node.
pub(super) fn remove(data_dir: &Path, job: JobId) {
    let dir = layout::job_dir(data_dir, job.0);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(dir = %dir.display(), %error, "the files of a job cannot be removed");
        }
        _ => {}
    }
    // Last, as it says what was in the directory.
    let index = layout::index_path(data_dir, job.0);
    match std::fs::remove_file(&index) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %index.display(), %error, "the index of a job's output cannot be removed");
        }
        _ => {}
    }
}

/// Writes a file of a job's directory without following links, unless an earlier agent has.
fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<String> {
    let text = path.to_str().ok_or_else(|| io::Error::other("the data directory's name is not UTF-8"))?;
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(mut file) => file.write_all(bytes)?,
        // A job's body never changes, but a write may have been cut short.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if path.symlink_metadata()?.len() != bytes.len() as u64 {
                std::fs::remove_file(path)?;
                return write(path, bytes, mode);
            }
        }
        Err(e) => return Err(e),
    }
    Ok(text.to_owned())
}
