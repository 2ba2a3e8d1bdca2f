//! Snapshots: the state at one index, as a file that is either complete and correct or refused.
//!
//! A file is a fixed header, the membership, and the state as `taskyard_state` writes it. It gets its name only
//! when it is durable, and the one before it goes only then.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use taskyard_model::limits::SNAPSHOT_MEMBERSHIP_BYTES_MAX;
use taskyard_state::{Frozen, SpecFile, State, Written};

use crate::codec;
use crate::error::StartError;
use crate::types::{LogId, StoredMembership, log_id, pos};
use crate::wal::Pos;

const MAGIC: &[u8; 8] = b"TYSNAP\r\n";
const VERSION: u16 = 1;
/// Magic, version, flags, length of the membership, last entry, its membership's entry, length and checksum of
/// the state; then the checksum of all that and of the membership.
const HEADER: usize = 8 + 2 + 2 + 4 + Pos::LEN + Pos::LEN + 8 + 4 + 4;
const HAS_LAST: u16 = 1;
const HAS_MEMBERSHIP_ID: u16 = 2;

/// A snapshot on its way: a file, never bytes in memory.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) path: PathBuf,
}

/// What a snapshot is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotHead {
    pub(crate) last: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// Where jobs are in a snapshot.
pub(crate) struct Places {
    pub(crate) source: Arc<dyn SpecFile>,
    pub(crate) jobs: Vec<Written>,
}

/// The snapshots of a data directory; normally one.
pub(crate) struct Snapshots {
    dir: PathBuf,
    current: Mutex<Option<(SnapshotHead, PathBuf)>>,
    /// One file is written at a time.
    writing: Mutex<()>,
}

impl Snapshots {
    /// Loads the newest snapshot, removing what a crash left of others. `purged` tells where the log begins: an
    /// older snapshot, or none, serves only if the log goes on from there.
    pub(crate) fn open(
        dir: &Path,
        purged: Option<Pos>,
    ) -> Result<(Snapshots, Option<(SnapshotHead, State)>), StartError> {
        let io = |source| StartError::io("read the directory", dir, source);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "snap") {
                files.push(path);
            } else {
                std::fs::remove_file(&path).map_err(|source| StartError::io("remove", &path, source))?;
            }
        }
        files.sort_unstable_by(|a, b| b.cmp(a));
        let needed = purged.map(|purged| purged.index);
        let mut refused = None;
        for path in files {
            match read(&path) {
                Ok((about, state)) if about.last.map(|last| last.index) >= needed => {
                    if let Some(refused) = &refused {
                        tracing::warn!(problem = %refused, "an older snapshot is used; the log covers the rest");
                    }
                    let current = Mutex::new(Some((about.clone(), path)));
                    let snapshots = Snapshots { dir: dir.to_owned(), current, writing: Mutex::new(()) };
                    return Ok((snapshots, Some((about, state))));
                }
                Ok(_) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match (needed, refused) {
            (None, refused) => {
                if let Some(refused) = refused {
                    tracing::warn!(problem = %refused, "no snapshot is used; the log covers everything");
                }
                let current = Mutex::new(None);
                Ok((Snapshots { dir: dir.to_owned(), current, writing: Mutex::new(()) }, None))
            }
            (Some(_), Some(refused)) => Err(refused),
            (Some(index), None) => {
                let what = format!("there is no snapshot, yet the log begins only after entry {index}");
                Err(damaged(dir, 0, &what))
            }
        }
    }

    /// The newest snapshot.
    pub(crate) fn current(&self) -> Option<(SnapshotHead, SnapshotFile)> {
        let current = self.current.lock();
        current.as_ref().map(|(about, path)| (about.clone(), SnapshotFile { path: path.clone() }))
    }

    pub(crate) fn index(&self) -> u64 {
        self.current.lock().as_ref().and_then(|(about, _)| about.last).map_or(0, |last| last.index)
    }

    /// Writes a snapshot, unless there is one that is as new. Says where the jobs are in it. Blocks.
    pub(crate) fn write(&self, about: &SnapshotHead, state: &Frozen) -> io::Result<Option<Places>> {
        let _one = self.writing.lock();
        if self.current.lock().as_ref().is_some_and(|(current, _)| current.last >= about.last) {
            return Ok(None);
        }
        let temporary = self.dir.join("new.tmp");
        let written = write(&temporary, about, state);
        let (at, jobs) = written.inspect_err(|_| {
            // A full disk needs the space for the log.
            let _ = std::fs::remove_file(&temporary);
        })?;
        self.adopt(&temporary, about)?;
        let source = Arc::new(SnapshotBody::source(&self.path(about), at)?);
        Ok(Some(Places { source, jobs }))
    }

    /// Takes in a snapshot that came from elsewhere. Blocks.
    pub(crate) fn install(&self, about: &SnapshotHead, from: &SnapshotFile) -> io::Result<State> {
        let _one = self.writing.lock();
        let (found, state) = read(&from.path).map_err(io::Error::other)?;
        if found.last != about.last {
            let what = format!(
                "a snapshot up to {:?} was announced, this one is up to {:?}",
                about.last, found.last
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        if from.path.parent() == Some(&self.dir) && from.path != self.path(about) {
            self.adopt(&from.path, about)?;
        } else if from.path != self.path(about) {
            let temporary = self.dir.join("installed.tmp");
            let mut copy = taskyard_datadir::create(&temporary)?;
            io::copy(&mut File::open(&from.path)?, &mut copy)?;
            copy.sync_all()?;
            self.adopt(&temporary, about)?;
        }
        Ok(state)
    }

    /// A name for a snapshot that another server sends.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.dir.join(format!("incoming-{:016x}.tmp", crate::identity::random()))
    }

    /// Gives a durable file its name, and removes the others.
    fn adopt(&self, temporary: &Path, about: &SnapshotHead) -> io::Result<()> {
        let path = self.path(about);
        std::fs::rename(temporary, &path)?;
        File::open(&self.dir)?.sync_all()?;
        *self.current.lock() = Some((about.clone(), path.clone()));
        for entry in std::fs::read_dir(&self.dir)? {
            let other = entry?.path();
            if other != path && other.extension().is_some_and(|extension| extension == "snap") {
                std::fs::remove_file(other)?;
            }
        }
        Ok(())
    }

    fn path(&self, about: &SnapshotHead) -> PathBuf {
        let last = about.last.as_ref().map_or(Pos { term: 0, index: 0 }, pos);
        self.dir.join(format!("{:020}-{:020}.snap", last.index, last.term))
    }
}

/// Counts and checks what passes through.
struct CheckedStream<T> {
    inner: T,
    len: u64,
    crc: u32,
}

impl<T: Write> Write for CheckedStream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a snapshot to a file of any name, and syncs it. Says where in it the state begins, and where the jobs are in that.
pub(crate) fn write(path: &Path, about: &SnapshotHead, state: &Frozen) -> io::Result<(u64, Vec<Written>)> {
    let file = taskyard_datadir::create(path)?;
    let mut out = BufWriter::with_capacity(256 << 10, file);
    let membership = codec::encode_membership(about.membership.membership());
    out.write_all(&[0; HEADER])?;
    out.write_all(&membership)?;
    let mut body = CheckedStream { inner: out, len: 0, crc: 0 };
    let written = state.write(&mut body)?;
    let CheckedStream { inner, len, crc } = body;
    let mut file = inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    file.write_all(&encode_header(about, &membership, len, crc))?;
    file.sync_all()?;
    Ok(((HEADER + membership.len()) as u64, written))
}

fn encode_header(about: &SnapshotHead, membership: &[u8], body_len: u64, body_crc: u32) -> Vec<u8> {
    let nothing = Pos { term: 0, index: 0 };
    let membership_id = about.membership.log_id();
    let mut flags = 0;
    flags |= if about.last.is_some() { HAS_LAST } else { 0 };
    flags |= if membership_id.is_some() { HAS_MEMBERSHIP_ID } else { 0 };
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(&(membership.len() as u32).to_le_bytes());
    out.extend_from_slice(&about.last.as_ref().map_or(nothing, pos).to_bytes());
    out.extend_from_slice(&membership_id.as_ref().map_or(nothing, pos).to_bytes());
    out.extend_from_slice(&body_len.to_le_bytes());
    out.extend_from_slice(&body_crc.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), membership);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a snapshot, after having verified all of it.
fn read(path: &Path) -> Result<(SnapshotHead, State), StartError> {
    let io = |source| StartError::io("read", path, source);
    let mut file = BufReader::with_capacity(256 << 10, File::open(path).map_err(io)?);
    let (about, body) = read_header(path, &mut file)?;
    verify(path, &mut file, &body)?;
    file.seek(io::SeekFrom::Start(body.at)).map_err(io)?;
    let source = Arc::new(SnapshotBody::source(path, body.at).map_err(io)?);
    let state = load(path, &mut file.take(body.len), &about, (body.at, Some(source)))?;
    Ok((about, state))
}

/// Verifies a snapshot without reading it in.
pub(crate) fn check(path: &Path) -> Result<SnapshotHead, StartError> {
    let io = |source| StartError::io("read", path, source);
    let mut file = BufReader::with_capacity(256 << 10, File::open(path).map_err(io)?);
    let (about, body) = read_header(path, &mut file)?;
    verify(path, &mut file, &body)?;
    Ok(about)
}

/// Reads a state that has been verified, and begins at a position. Inputs of finished jobs stay in the source, if there is one.
pub(crate) fn load(
    path: &Path,
    input: &mut dyn Read,
    about: &SnapshotHead,
    (at, source): (u64, Option<Arc<dyn SpecFile>>),
) -> Result<State, StartError> {
    let state = State::read_snapshot(input, source)
        .map_err(|error| damaged(path, at, &format!("the state cannot be read: {error}")))?;
    let last = about.last.map_or(0, |last| last.index);
    if state.index() != last {
        let what = format!("the state is at index {}, the header says {last}", state.index());
        return Err(damaged(path, at, &what));
    }
    Ok(state)
}

/// Where the state stands in the file.
pub(crate) struct SnapshotBody {
    pub(crate) at: u64,
    pub(crate) len: u64,
    crc: u32,
}

impl SnapshotBody {
    /// The file of a snapshot, to read parts of its state from as long as any job refers to it: also when its name is gone.
    fn source(path: &Path, at: u64) -> io::Result<Stays> {
        Ok(Stays { path: path.to_owned(), file: File::open(path)?, at })
    }
}

/// See [`SnapshotBody::source`].
struct Stays {
    path: PathBuf,
    file: File,
    at: u64,
}

impl fmt::Debug for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} on", self.path.display(), self.at)
    }
}

impl SpecFile for Stays {
    fn read(&self, at: u64, len: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, self.at + at)?;
        Ok(bytes)
    }
}

pub(crate) fn read_header(
    path: &Path,
    file: &mut impl Read,
) -> Result<(SnapshotHead, SnapshotBody), StartError> {
    let short = |_| damaged(path, 0, "the file ends inside its header");
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(short)?;
    let le = |at: usize, len: usize| {
        header[at..at + len].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    if header[..8] != *MAGIC {
        return Err(damaged(path, 0, "this is not a snapshot"));
    }
    let version = le(8, 2) as u16;
    if version != VERSION {
        return Err(StartError::Version { file: path.to_owned(), found: version, supported: VERSION });
    }
    let membership_len = le(12, 4) as u32;
    if membership_len > SNAPSHOT_MEMBERSHIP_BYTES_MAX {
        return Err(damaged(path, 12, "the length of the membership is impossible"));
    }
    let mut membership = vec![0; membership_len as usize];
    file.read_exact(&mut membership).map_err(short)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..HEADER - 4]), &membership);
    if crc != le(HEADER - 4, 4) as u32 {
        return Err(damaged(path, 0, "the header does not match its checksum"));
    }
    let flags = le(10, 2) as u16;
    let id = |at, flag| (flags & flag != 0).then(|| log_id(Pos { term: le(at, 8), index: le(at + 8, 8) }));
    let members =
        codec::decode_membership(&membership).map_err(|source| StartError::io("read", path, source))?;
    let membership = StoredMembership::new(id(32, HAS_MEMBERSHIP_ID), members);
    let about = SnapshotHead { last: id(16, HAS_LAST), membership };
    let body =
        SnapshotBody { at: HEADER as u64 + u64::from(membership_len), len: le(48, 8), crc: le(56, 4) as u32 };
    Ok((about, body))
}

/// Reads all of the state once, before any of it is believed.
pub(crate) fn verify(path: &Path, file: &mut impl Read, body: &SnapshotBody) -> Result<(), StartError> {
    let mut sum = CheckedStream { inner: io::sink(), len: 0, crc: 0 };
    io::copy(file, &mut sum).map_err(|source| StartError::io("read", path, source))?;
    if sum.len != body.len {
        let what = format!("{} bytes of state were written, {} are here", body.len, sum.len);
        return Err(damaged(path, body.at + sum.len.min(body.len), &what));
    }
    if sum.crc != body.crc {
        return Err(damaged(path, body.at, "the state does not match its checksum"));
    }
    Ok(())
}

fn damaged(path: &Path, offset: u64, what: &str) -> StartError {
    StartError::Damaged {
        file: path.to_owned(),
        offset,
        what: what.to_owned(),
        remedy: "restore the data directory from a backup or, in a cluster, remove it and let the server join \
                 again under a new id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(dir: &Path) -> (SnapshotHead, Vec<u8>, PathBuf) {
        let (snapshots, none) = Snapshots::open(dir, None).expect("opens");
        assert!(none.is_none());
        let mut state = State::new();
        state.skip(9);
        let about = SnapshotHead { last: Some(log_id(Pos { term: 3, index: 9 })), ..SnapshotHead::default() };
        snapshots.write(&about, &state.freeze()).expect("written");
        let (_, file) = snapshots.current().expect("current");
        (about, std::fs::read(&file.path).expect("file"), file.path)
    }

    #[test]
    fn damage_anywhere_is_refused_by_name_unless_the_log_has_everything() {
        let dir = tempfile::TempDir::new().expect("temporary directory");
        let (about, bytes, path) = sample(dir.path());
        let purged = Some(Pos { term: 3, index: 9 });
        let (_, loaded) = Snapshots::open(dir.path(), purged).expect("opens");
        assert_eq!(loaded.expect("loaded").0.last, about.last);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << (at % 8);
            std::fs::write(&path, &wrong).expect("test file");
            let error = Snapshots::open(dir.path(), purged).err().expect("refused").to_string();
            assert!(error.contains(".snap"), "{error}");
            assert!(Snapshots::open(dir.path(), None).expect("the log has everything").1.is_none());
            std::fs::write(&path, &bytes[..at]).expect("test file");
            assert!(Snapshots::open(dir.path(), purged).is_err(), "cut to {at}");
        }
        std::fs::remove_file(&path).expect("test file");
        assert!(Snapshots::open(dir.path(), purged).is_err(), "missing");
    }

    #[test]
    fn a_newer_snapshot_replaces_an_older_one_and_a_crash_leaves_either() {
        let dir = tempfile::TempDir::new().expect("temporary directory");
        let (_, bytes, path) = sample(dir.path());
        std::fs::write(dir.path().join("new.tmp"), &bytes[..9]).expect("test file");
        let (snapshots, _) = Snapshots::open(dir.path(), None).expect("opens");
        assert!(!dir.path().join("new.tmp").exists());
        let mut state = State::new();
        state.skip(12);
        let about =
            SnapshotHead { last: Some(log_id(Pos { term: 4, index: 12 })), ..SnapshotHead::default() };
        snapshots.write(&about, &state.freeze()).expect("written");
        assert!(!path.exists());
        std::fs::write(&path, &bytes).expect("test file");
        let (snapshots, loaded) = Snapshots::open(dir.path(), None).expect("opens");
        assert_eq!((snapshots.index(), loaded.expect("loaded").1.index()), (12, 12));
    }
}
