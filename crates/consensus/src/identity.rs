//! Whose data a directory holds, and that one process uses it.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::StartError;

/// Version of the layout of the data directory.
const VERSION: u16 = 1;
/// A file that is there as long as a restore is not finished.
pub(crate) const RESTORING: &str = "restore.tmp";

/// An opened data directory.
pub(crate) struct Identity {
    /// Locked as long as it is open.
    pub(crate) lock: File,
    /// Random number of this log; see [`crate::wal::Options::salt`].
    pub(crate) salt: u32,
    /// Random number of the directory, by which other servers know it.
    pub(crate) directory: u64,
    /// The directory is new: the log may be empty, and [`Identity::commit`] is due.
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

/// Name of the cluster and number of the server that a data directory belongs to; `None` for a new one.
pub fn owner_of(dir: &Path) -> Result<Option<(String, u64)>, StartError> {
    let path = dir.join("FORMAT");
    let draft = dir.join("FORMAT.new");
    let (file, text) = match (read(&path)?, read(&draft)?) {
        (Some(text), _) => (path, text),
        (None, Some(text)) => (draft, text),
        (None, None) => return Ok(None),
    };
    let server = field(&file, &text, "server")?.parse().map_err(|_| unreadable(&file, "server"))?;
    Ok(Some((field(&file, &text, "cluster")?.to_owned(), server)))
}

/// A random number for a directory that is about to join, kept there so that asking twice is asking once. Durable on return, name and all: it is told
/// to the cluster next.
pub fn number_of(dir: &Path) -> Result<u64, StartError> {
    std::fs::create_dir_all(dir).map_err(|source| StartError::io("make the directory", dir, source))?;
    let path = dir.join("JOINING");
    if let Some(text) = read(&path)?
        && let Ok(number) = u64::from_str_radix(text.trim(), 16)
    {
        return Ok(number);
    }
    let number = random();
    write(&path, &format!("{number:016x}\n"))
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|source| StartError::io("write", &path, source))?;
    Ok(number)
}

impl Identity {
    /// Locks the directory and checks whose it is. A new one gets its identity in a temporary file first, which
    /// becomes valid once the log is there: afterwards an empty log can only be a lost one.
    pub(crate) fn open(dir: &Path, owner: &Owner<'_>) -> Result<Identity, StartError> {
        std::fs::create_dir_all(dir).map_err(|source| StartError::io("make the directory", dir, source))?;
        let lock = lock(dir)?;
        let path = dir.join("FORMAT");
        let draft = dir.join("FORMAT.new");
        let (text, fresh) = match read(&path)? {
            Some(text) => (text, false),
            None => match read(&draft)? {
                Some(text) => (text, true),
                None => {
                    must_be_empty(dir)?;
                    let salt = random() as u32;
                    let text = text(owner, salt);
                    // Complete before it has its name, or half of one could be read after a crash.
                    write(&dir.join("FORMAT.tmp"), &text)
                        .and_then(|()| std::fs::rename(dir.join("FORMAT.tmp"), &draft))
                        .map_err(|source| StartError::io("write", &draft, source))?;
                    (text, true)
                }
            },
        };
        let file = if fresh { &draft } else { &path };
        let salt = check(file, &text, owner)?;
        let number = |text: &str| u64::from_str_radix(text, 16).map_err(|_| unreadable(file, "directory"));
        // Directories made before there were several servers know neither.
        let directory = field(file, &text, "directory").map_or(Ok(u64::from(salt)), number)?;
        let founder = field(file, &text, "origin").map_or(true, |origin| origin == "founded");
        Ok(Identity { lock, salt, directory, fresh, founder })
    }

    /// Counts this start; an older copy of the directory has counted fewer. Durable on return.
    pub(crate) fn count_start(dir: &Path) -> Result<u64, StartError> {
        let path = dir.join("STARTS");
        let before = read(&path)?.map_or(Ok(0), |text| text.trim().parse::<u64>());
        let starts = before.map_err(|_| unreadable(&path, "starts"))? + 1;
        let temporary = dir.join("STARTS.tmp");
        write(&temporary, &format!("{starts}\n"))
            .and_then(|()| std::fs::rename(&temporary, &path))
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(|source| StartError::io("write", &path, source))?;
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
    let path = dir.join("FORMAT");
    write(&dir.join("FORMAT.tmp"), &text(&Owner { cluster, server, admitted_as: None }, salt))
        .and_then(|()| std::fs::rename(dir.join("FORMAT.tmp"), &path))
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|source| StartError::io("write", &path, source))
}

fn text(owner: &Owner<'_>, salt: u32) -> String {
    let Owner { cluster, server, admitted_as } = owner;
    let (origin, directory) = admitted_as.map_or_else(|| ("founded", random()), |number| ("joined", number));
    format!(
        "taskyard-data {VERSION}\ncluster {cluster}\nserver {server}\nlog {salt:08x}\n\
         directory {directory:016x}\norigin {origin}\n"
    )
}

/// A number that no other process draws.
pub fn random() -> u64 {
    // The standard library seeds each `RandomState` from the system's generator.
    RandomState::new().hash_one((std::process::id(), crate::clock::boottime()))
}

pub(crate) fn lock(dir: &Path) -> Result<File, StartError> {
    let path = dir.join("LOCK");
    let io = |source| StartError::io("lock", &path, source);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Locked { dir: dir.to_owned() }),
        Err(error) => Err(io(error.into())),
    }
}

fn read(path: &Path) -> Result<Option<String>, StartError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StartError::io("read", path, source)),
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A log without its identity is not a new directory but a damaged one.
fn must_be_empty(dir: &Path) -> Result<(), StartError> {
    if dir.join(RESTORING).exists() {
        return Err(StartError::Damaged {
            file: dir.join("FORMAT"),
            offset: 0,
            what: "it is missing, because a restore was cut short".to_owned(),
            remedy: "run `taskyard backup restore` again, or empty the directory for a new cluster",
        });
    }
    for name in ["wal", "snapshot"] {
        let path = dir.join(name);
        let has_content = std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some());
        if has_content {
            return Err(StartError::Damaged {
                file: dir.join("FORMAT"),
                offset: 0,
                what: format!("it is missing, yet {} has content", path.display()),
                remedy: "restore the data directory from a backup, or start with an empty one",
            });
        }
    }
    Ok(())
}

fn field<'t>(file: &Path, text: &'t str, name: &str) -> Result<&'t str, StartError> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.ok_or_else(|| unreadable(file, name))
}

fn unreadable(file: &Path, name: &str) -> StartError {
    StartError::Damaged {
        file: file.to_owned(),
        offset: 0,
        what: format!("its line `{name}` is missing or not understood"),
        remedy: "restore the data directory from a backup, or start with an empty one",
    }
}

fn check(file: &Path, text: &str, owner: &Owner<'_>) -> Result<u32, StartError> {
    let field = |name: &str| field(file, text, name);
    let version = field("taskyard-data")?;
    if version != VERSION.to_string() {
        let found = version.parse().unwrap_or(0);
        return Err(StartError::Version { file: file.to_owned(), found, supported: VERSION });
    }
    for (name, expected) in [("cluster", owner.cluster.to_owned()), ("server", owner.server.to_string())] {
        let found = field(name)?;
        if found != expected {
            let found = found.to_owned();
            return Err(StartError::Identity { file: file.to_owned(), field: name, expected, found });
        }
    }
    u32::from_str_radix(field("log")?, 16).map_err(|_| unreadable(file, "log"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path, cluster: &str, server: u64) -> Result<Identity, StartError> {
        Identity::open(dir, &Owner { cluster, server, admitted_as: None })
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
        std::fs::write(dir.join("FORMAT"), "taskyard-data 2\n").expect("test file");
        assert!(matches!(open(dir, "c", 1), Err(StartError::Version { found: 2, .. })));
    }

    #[test]
    fn a_directory_that_joins_keeps_its_number_and_counts_its_starts() {
        let dir = tempfile::TempDir::new().expect("temporary directory");
        let dir = dir.path();
        assert!(owner_of(dir).expect("readable").is_none());
        let number = number_of(dir).expect("a number");
        assert_eq!(number_of(dir).expect("a number"), number);
        let owner = Owner { cluster: "c", server: 3, admitted_as: Some(number) };
        let identity = Identity::open(dir, &owner).expect("opens");
        assert!(identity.fresh && !identity.founder && identity.directory == number);
        assert_eq!(owner_of(dir).expect("readable"), Some(("c".to_owned(), 3)));
        assert_eq!(
            (1..4).map(|_| Identity::count_start(dir).expect("counts")).collect::<Vec<_>>(),
            [1, 2, 3]
        );
        drop(identity);
        let again = Identity::open(dir, &Owner { admitted_as: None, ..owner }).expect("opens");
        assert!(!again.founder && again.directory == number);
    }
}
