//! Where the inputs of finished jobs are: in a snapshot on disk, not in memory.
//!
//! Whether a job is lean depends on when a server wrote a snapshot, and not on the log. Nothing in `apply` may depend on that.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use taskyard_model::{JobId, JobSpec};
use xxhash_rust::xxh3::xxh3_64;

/// A file with stored specifications.
pub trait SpecFile: Debug + Send + Sync {
    /// Reads `len` bytes at the position `at` of the state in it.
    fn read(&self, at: u64, len: u32) -> io::Result<Vec<u8>>;
}

/// Where a specification is.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(crate) source: Arc<dyn SpecFile>,
    pub(crate) place: StoredPlace,
}

/// The same without the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredPlace {
    pub(crate) at: u64,
    pub(crate) len: u32,
    /// Checksum of these bytes.
    pub(crate) sum: u64,
    /// For digests: the checksum of the specification as this version encodes it.
    pub(crate) hash: u64,
}

/// A specification that a snapshot has, as of a version of it.
#[derive(Clone, Debug)]
pub struct Written {
    pub(crate) job: JobId,
    pub(crate) version: u32,
    pub(crate) place: StoredPlace,
}

/// A whole specification, to be read outside of whatever locks the state.
#[derive(Clone, Debug)]
pub enum Whole {
    /// It is in memory.
    Here(Arc<JobSpec>),
    /// It is on disk.
    Stored(Stored),
}

impl Whole {
    /// Reads it if need be; that may block.
    pub fn load(self) -> io::Result<Arc<JobSpec>> {
        match self {
            Whole::Here(spec) => Ok(spec),
            Whole::Stored(stored) => {
                minicbor::decode(&stored.bytes()?).map(Arc::new).map_err(io::Error::other)
            }
        }
    }
}

impl Stored {
    /// Its encoding, checked.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        let StoredPlace { at, len, sum, .. } = self.place;
        let bytes = self.source.read(at, len)?;
        match xxh3_64(&bytes) == sum {
            true => Ok(bytes),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a stored job is damaged: {len} bytes at {at} of the state in {:?}", self.source),
            )),
        }
    }
}

/// Of the encoding of a specification.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
