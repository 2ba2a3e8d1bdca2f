//! Whose data a directory holds, and that one process uses it.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::StartError;

/// Version of the layout of the data directory.
const VERSION: u16 = 2;
/// What to do about a damaged file.
const REMEDY: &str = "restore the data directory from a backup, or start with an empty one";
/// A file that is there as long as a restore is not finished.
pub(crate) const RESTORING: &str = "restore.tmp";

/// An opened data directory.
pub(crate) struct DirIdentity {
    /// Locked as long as it is open.
    pub(crate) lock: File,
    /// Random number of this log; see [`crate::wal::WalOptions::salt`].
    pub(crate) salt: u32,
    /// Random number of the directory, by which other servers know it.
    pub(crate) directory: u64,
    /// The directory is new: the log may be empty, and [`DirIdentity::commit`] is due.
    pub(crate) fresh: bool,
    /// It was made to begin a cluster, not to join one.
    pub(crate) founder: bool,
}

/// Whose a directory is.
pub(crate) struct Owner<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) server: u64,
    /// The number under which a new directory was admitted to a cluster that there is already.
    pub(crate) admitted_as: Option<u64>,
}

/// What shows that a directory is the data directory of a server.
const OURS: [&str; 6] = ["LOCK", "FORMAT", "FORMAT.new", "JOINING", "tls", RESTORING];

/// Makes a server's data directory if need be, and closes it to other users, with all that is in it. Refuses one that a restore has left half done,
/// before a server has written anything into it: the restore could not be repeated then.
pub fn claim_dir(dir: &Path) -> Result<(), StartError> {
    must_be_restored(dir)?;
    close_dir(dir)
}

/// Makes a directory if need be, and closes it to other users, with all that is in it. Says so if it was open.
pub(crate) fn close_dir(dir: &Path) -> Result<(), StartError> {
    if let Some(tightened) = taskyard_datadir::claim(dir, &OURS, &[])? {
        let (first, count) = (tightened.first.display(), tightened.count);
        let mode = format!("{:04o}", tightened.mode);
        tracing::warn!(%first, mode, count, "other users could read the data directory; its mode is now 0700");
    }
    Ok(())
}

/// Name of the cluster and number of the server that a data directory belongs to; `None` for a new one.
pub fn owner_of(dir: &Path) -> Result<Option<(String, u64)>, StartError> {
    let found = SealedFields::read(dir.join("FORMAT")).transpose();
    let Some(fields) =
        found.or_else(|| SealedFields::read(dir.join("FORMAT.new")).transpose()).transpose()?
    else {
        return Ok(None);
    };
    let server = fields.get("server")?.parse().map_err(|_| fields.unreadable("server"))?;
    Ok(Some((fields.get("cluster")?.to_owned(), server)))
}

/// A random number for a directory that is about to join, kept there so that asking twice is asking once. Durable on return, name and all: it is told
/// to the cluster next.
pub fn number_of(dir: &Path) -> Result<u64, StartError> {
    taskyard_datadir::make_dir(dir).map_err(|source| StartError::io("make the directory", dir, source))?;
    let path = dir.join("JOINING");
    if let Some(fields) = SealedFields::read(path.clone())? {
        return u64::from_str_radix(fields.get("directory")?, 16).map_err(|_| fields.unreadable("directory"));
    }
    let number = random();
    write(&path, &[&format!("directory {number:016x}")])?;
    Ok(number)
}

impl DirIdentity {
    /// Locks the directory and checks whose it is. A new one gets its identity in a temporary file first, which
    /// becomes valid once the log is there: afterwards an empty log can only be a lost one.
    pub(crate) fn open(dir: &Path, owner: &Owner<'_>) -> Result<DirIdentity, StartError> {
        taskyard_datadir::make_dir(dir)
            .map_err(|source| StartError::io("make the directory", dir, source))?;
        let lock = lock(dir)?;
        let (fields, fresh) = match SealedFields::read(dir.join("FORMAT"))? {
            Some(fields) => (fields, false),
            None => (draft(dir, owner)?, true),
        };
        let salt = fields.check(owner)?;
        let directory = fields.get("directory")?;
        let directory = u64::from_str_radix(directory, 16).map_err(|_| fields.unreadable("directory"))?;
        let founder = fields.get("origin")? == "founded";
        Ok(DirIdentity { lock, salt, directory, fresh, founder })
    }

    /// Counts this start; an older copy of the directory has counted fewer. Durable on return.
    pub(crate) fn count_start(dir: &Path) -> Result<u64, StartError> {
        let path = dir.join("STARTS");
        let before = SealedFields::read(path.clone())?.map_or(Ok(0), |fields| {
            fields.get("starts")?.parse::<u64>().map_err(|_| fields.unreadable("starts"))
        })?;
        let starts = before + 1;
        write(&path, &[&format!("starts {starts}")])?;
        Ok(starts)
    }

    /// The log of a fresh directory is durable now.
    pub(crate) fn commit(&self, dir: &Path) -> Result<(), StartError> {
        let path = dir.join("FORMAT");
        std::fs::rename(dir.join("FORMAT.new"), &path)
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(|source| StartError::io("write", &path, source))
    }
}

/// Gives a directory its identity in one step, when all else is there and durable.
pub(crate) fn found(dir: &Path, cluster: &str, server: u64, salt: u32) -> Result<(), StartError> {
    write_format(&dir.join("FORMAT"), &Owner { cluster, server, admitted_as: None }, salt)
}

/// The identity of a new directory, which becomes valid once the log is there.
fn draft(dir: &Path, owner: &Owner<'_>) -> Result<SealedFields, StartError> {
    let path = dir.join("FORMAT.new");
    if let Some(fields) = SealedFields::read(path.clone())? {
        return Ok(fields);
    }
    must_be_empty(dir)?;
    write_format(&path, owner, random() as u32)?;
    SealedFields::read(path.clone())?
        .ok_or_else(|| StartError::io("read", &path, io::ErrorKind::NotFound.into()))
}

fn write_format(path: &Path, owner: &Owner<'_>, salt: u32) -> Result<(), StartError> {
    let Owner { cluster, server, admitted_as } = owner;
    let (origin, directory) = admitted_as.map_or_else(|| ("founded", random()), |number| ("joined", number));
    let lines = [
        format!("taskyard-data {VERSION}"),
        format!("cluster {cluster}"),
        format!("server {server}"),
        format!("log {salt:08x}"),
        format!("directory {directory:016x}"),
        format!("origin {origin}"),
    ];
    write(path, &lines.each_ref().map(String::as_str))
}

/// A number that no other process draws.
pub fn random() -> u64 {
    // The standard library seeds each `RandomState` from the system's generator.
    RandomState::new().hash_one((std::process::id(), crate::clock::boottime()))
}

pub(crate) fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join("LOCK");
    let io = |source| StartError::io("lock", &path, source);
    let file = taskyard_datadir::open(&path, OpenOptions::new().create(true).truncate(false).write(true));
    let file = file.map_err(io)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Locked { dir: dir.to_owned() }),
        Err(error) => Err(io(error.into())),
    }
}

fn write(path: &Path, lines: &[&str]) -> Result<(), StartError> {
    taskyard_datadir::write_sealed(path, lines).map_err(StartError::from)
}

fn must_be_restored(dir: &Path) -> Result<(), StartError> {
    if dir.join("FORMAT").exists() || !dir.join(RESTORING).exists() {
        return Ok(());
    }
    Err(StartError::Damaged {
        file: dir.join("FORMAT"),
        offset: 0,
        what: "it is missing, because a restore failed or was cut short".to_owned(),
        remedy: "run `taskyard backup restore` again, or empty the directory for a new cluster",
    })
}

/// A log without its identity is not a new directory but a damaged one.
fn must_be_empty(dir: &Path) -> Result<(), StartError> {
    must_be_restored(dir)?;
    for name in ["wal", "snapshot"] {
        let path = dir.join(name);
        let has_content = std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some());
        if has_content {
            return Err(StartError::Damaged {
                file: dir.join("FORMAT"),
                offset: 0,
                what: format!("it is missing, yet {} has content", path.display()),
                remedy: REMEDY,
            });
        }
    }
    Ok(())
}

/// A small file of lines, each a name and a value.
struct SealedFields {
    file: PathBuf,
    lines: Vec<String>,
}

impl SealedFields {
    fn read(file: PathBuf) -> Result<Option<SealedFields>, StartError> {
        Ok(taskyard_datadir::read_sealed(&file)?.map(|lines| SealedFields { file, lines }))
    }

    fn get(&self, name: &str) -> Result<&str, StartError> {
        let value = self.lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.ok_or_else(|| self.unreadable(name))
    }

    fn unreadable(&self, name: &str) -> StartError {
        StartError::Damaged {
            file: self.file.clone(),
            offset: 0,
            what: format!("its line `{name}` is missing or not understood"),
            remedy: REMEDY,
        }
    }

    /// Whether it is the owner's; the number of the log.
    fn check(&self, owner: &Owner<'_>) -> Result<u32, StartError> {
        let version = self.get("taskyard-data")?;
        if version != VERSION.to_string() {
            let found = version.parse().unwrap_or(0);
            return Err(StartError::Version { file: self.file.clone(), found, supported: VERSION });
        }
        for (field, expected) in [("cluster", owner.cluster.to_owned()), ("server", owner.server.to_string())]
        {
            let found = self.get(field)?.to_owned();
            if found != expected {
                return Err(StartError::Identity { file: self.file.clone(), field, expected, found });
            }
        }
        u32::from_str_radix(self.get("log")?, 16).map_err(|_| self.unreadable("log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, cluster: &str, server: u64) -> Result<DirIdentity, StartError> {
        DirIdentity::open(dir, &Owner { cluster, server, admitted_as: None })
    }

    #[test]
    fn a_directory_belongs_to_one_server_of_one_cluster_and_one_process() {
        let dir = tempfile::TempDir::new().expect("temporary directory");
        let dir = dir.path();
        let first = open(dir, "c", 1).expect("opens");
        assert!(first.fresh);
        assert!(matches!(open(dir, "c", 1), Err(StartError::Locked { .. })));
        let salt = first.salt;
        drop(first);
        let again = open(dir, "c", 1).expect("opens");
        assert!(again.fresh && again.salt == salt, "the log was never there");
        again.commit(dir).expect("commits");
        drop(again);
        let known = open(dir, "c", 1).expect("opens");
        assert!(!known.fresh && known.salt == salt);
        drop(known);
        for (cluster, server) in [("d", 1), ("c", 2)] {
            let refused = open(dir, cluster, server).err().expect("refused").to_string();
            assert!(refused.contains("FORMAT belongs to"), "{refused}");
        }
        taskyard_datadir::write_sealed(&dir.join("FORMAT"), &["taskyard-data 99"]).expect("test file");
        assert!(matches!(open(dir, "c", 1), Err(StartError::Version { found: 99, .. })));
    }

    #[test]
    fn a_flipped_bit_of_any_of_its_files_is_refused_by_name() {
        let dir = tempfile::TempDir::new().expect("temporary directory");
        let dir = dir.path();
        let number = number_of(dir).expect("a number");
        open(dir, "taskyard-0a1b2c3d", 1).expect("opens").commit(dir).expect("commits");
        DirIdentity::count_start(dir).expect("counts");
        let mut examined = 0;
        for name in ["FORMAT", "STARTS", "JOINING"] {
            let whole = std::fs::read(dir.join(name)).expect("it is there");
            for bit in 0..whole.len() * 8 {
                let mut harmed = whole.clone();
                harmed[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(dir.join(name), harmed).expect("test file");
                let refused = match name {
                    "FORMAT" => owner_of(dir).map(drop),
                    "STARTS" => DirIdentity::count_start(dir).map(drop),
                    _ => number_of(dir).map(drop),
                };
                let refused = refused.expect_err("damaged").to_string();
                assert!(refused.contains(&format!("{name} is damaged at offset")), "{refused}");
                examined += 1;
            }
            std::fs::write(dir.join(name), whole).expect("test file");
        }
        assert!(examined > 1_000 && number_of(dir).expect("whole") == number);
    }

    #[test]
    fn a_directory_that_joins_keeps_its_number_and_counts_its_starts() {
        let dir = tempfile::TempDir::new().expect("temporary directory");
        let dir = dir.path();
        assert!(owner_of(dir).expect("readable").is_none());
        let number = number_of(dir).expect("a number");
        assert_eq!(number_of(dir).expect("a number"), number);
        let owner = Owner { cluster: "c", server: 3, admitted_as: Some(number) };
        let identity = DirIdentity::open(dir, &owner).expect("opens");
        assert!(identity.fresh && !identity.founder && identity.directory == number);
        assert_eq!(owner_of(dir).expect("readable"), Some(("c".to_owned(), 3)));
        assert_eq!(
            (1..4).map(|_| DirIdentity::count_start(dir).expect("counts")).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        drop(identity);
        let again = DirIdentity::open(dir, &Owner { admitted_as: None, ..owner }).expect("opens");
        assert!(!again.founder && again.directory == number);
    }
}
