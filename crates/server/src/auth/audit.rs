//! Who did what: one line of JSON for each call that changes something, and for each that was refused, in `audit.jsonl`
//! of the data directory.
//!
//! Files are bounded: a full one is renamed `audit.jsonl.1` and so on, and the oldest goes. A line is written before
//! the answer leaves; it is not synced, so that a power cut may cost the last of them (the changes themselves are in
//! the log). No line holds a secret.
//!
//! Each line ends with a checksum of the file up to there. A file that was changed or cut is told at the next start,
//! kept as it is, and followed by a new one: a power cut can do that, so it is no reason not to start.

use parking_lot::Mutex;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use taskyard_model::limits;

/// Its name in the data directory; full files have a number behind it.
pub(crate) const NAME: &str = "audit.jsonl";
/// Before the checksum of a line.
const SUM: &str = ",\"crc32c\":\"";
/// Length of the checksum and of what follows it.
const SUM_END: usize = 8 + "\"}\n".len();

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallOutcome {
    /// It was done, by the entry `index`.
    Done,
    /// The entry `index` changed nothing, for the reason `why`.
    Rejected,
    /// It did not get into the log.
    NotDone,
    /// It is unknown whether it was done.
    Indefinite,
    /// The caller may not do it.
    Denied,
    /// The caller is unknown.
    Unauthenticated,
}

/// One call.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AuditEntry<'a> {
    /// In whose name; empty where that is unknown.
    pub(crate) user: &'a str,
    /// What proved it: `token ID`, `certificate` or `none`.
    pub(crate) credential: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) object: &'a str,
    /// Where the object lies; `*` for what belongs to no namespace.
    pub(crate) namespace: &'a str,
    pub(crate) outcome: CallOutcome,
    /// Index of the entry of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// A line of the file.
#[derive(Serialize)]
struct AuditLine<'a> {
    at_ms: u64,
    #[serde(flatten)]
    entry: &'a AuditEntry<'a>,
    /// Refusals of strangers before it that have no line.
    #[serde(skip_serializing_if = "is_zero")]
    unwritten: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The file.
pub(crate) struct Audit {
    open: Mutex<OpenAudit>,
    lost: AtomicU64,
}

struct OpenAudit {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Checksum of the lines of the file, without their own.
    crc: u32,
    bytes_max: u64,
    /// A second, and how many strangers were refused in it.
    strangers: (u64, u64),
    unwritten: u64,
}

impl Audit {
    /// Goes on with the file in a data directory, or begins it.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Audit> {
        Audit::bounded(data_dir, limits::AUDIT_FILE_BYTES_MAX)
    }

    fn bounded(data_dir: &Path, bytes_max: u64) -> io::Result<Audit> {
        let path = data_dir.join(NAME);
        for n in 1..limits::AUDIT_FILES_MAX {
            check(&numbered(&path, n))?;
        }
        let crc = check(&path)?;
        let file = append(&path)?;
        let bytes = file.metadata()?.len();
        let mut open = OpenAudit {
            path,
            file,
            bytes,
            crc: crc.unwrap_or(0),
            bytes_max,
            strangers: (0, 0),
            unwritten: 0,
        };
        if crc.is_none() {
            open.next_file()?;
        }
        Ok(Audit { open: Mutex::new(open), lost: AtomicU64::new(0) })
    }

    /// Writes a line. A disk that refuses it does not stop the call: that would let a full disk stop a cancel. It is
    /// counted and told.
    pub(crate) fn write(&self, entry: &AuditEntry<'_>) {
        let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let written = self.open.lock().write(at_ms, entry);
        match written {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) if self.lost.fetch_add(1, Ordering::Relaxed) == 0 => {
                tracing::error!(%error, "the audit log cannot be written; calls continue without it");
            }
            Err(_) => {}
        }
        let AuditEntry { user, credential, verb, object, namespace, outcome, index, why } = entry;
        tracing::info!(target: "audit", user, credential, verb, object, namespace, ?outcome, index, why);
    }

    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl OpenAudit {
    /// Whether there is a line about it.
    fn write(&mut self, at_ms: u64, entry: &AuditEntry<'_>) -> io::Result<bool> {
        if entry.outcome == CallOutcome::Unauthenticated && self.is_one_too_many(at_ms / 1_000) {
            self.unwritten += 1;
            return Ok(false);
        }
        let mut line = serde_json::to_vec(&AuditLine { at_ms, entry, unwritten: self.unwritten })?;
        // In the place of the closing brace.
        line.pop();
        let crc = crc32c::crc32c_append(self.crc, &line);
        line.extend_from_slice(format!("{SUM}{crc:08x}\"}}\n").as_bytes());
        if self.bytes + line.len() as u64 > self.bytes_max {
            self.next_file()?;
            return self.write(at_ms, entry);
        }
        // One call for the whole line, so that no reader sees a part of it.
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        self.crc = crc;
        self.unwritten = 0;
        Ok(true)
    }

    /// Strangers could push out what others did, so only a limited number of their refusals get a line.
    fn is_one_too_many(&mut self, second: u64) -> bool {
        if self.strangers.0 != second {
            self.strangers = (second, 0);
        }
        self.strangers.1 += 1;
        self.strangers.1 > limits::AUDIT_STRANGERS_PER_SECOND_MAX
    }

    fn next_file(&mut self) -> io::Result<()> {
        let numbered = |n: usize| numbered(&self.path, n);
        for n in (1..limits::AUDIT_FILES_MAX - 1).rev() {
            match std::fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, numbered(1))?;
        self.file = append(&self.path)?;
        (self.bytes, self.crc) = (0, 0);
        Ok(())
    }
}

fn numbered(path: &Path, n: usize) -> PathBuf {
    path.with_file_name(format!("{NAME}.{n}"))
}

/// Reads a file that may be there; the checksum of its lines, or `None` if it is damaged, which is told.
fn check(path: &Path) -> io::Result<Option<u32>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(0)),
        Err(error) => return Err(error),
    };
    let (mut offset, mut crc) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(content) = line.len().checked_sub(SUM.len() + SUM_END).and_then(|at| line.get(..at)) else {
            break;
        };
        crc = crc32c::crc32c_append(crc, content);
        if line[content.len()..] != *format!("{SUM}{crc:08x}\"}}\n").as_bytes() {
            break;
        }
        offset += line.len();
    }
    if offset == bytes.len() {
        return Ok(Some(crc));
    }
    tracing::error!("{} is damaged at offset {offset}; it is kept, and a new file is begun", path.display());
    Ok(None)
}

fn append(path: &Path) -> io::Result<File> {
    taskyard_datadir::open(path, OpenOptions::new().create(true).append(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry(outcome: CallOutcome) -> AuditEntry<'static> {
        AuditEntry {
            user: "ada",
            credential: "token 1",
            verb: "cancel",
            object: "job 7",
            namespace: "default",
            outcome,
            index: Some(9),
            why: None,
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_whole_and_files_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::bounded(dir.path(), 2_000).unwrap();
        for _ in 0..200 {
            audit.write(&entry(CallOutcome::Done));
        }
        let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), limits::AUDIT_FILES_MAX, "{files:?}");
        let all: usize = files.iter().map(|file| lines(file).len()).sum();
        assert!((50..200).contains(&all), "{all}: the oldest are gone");
        assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 2_000));
        let mut first = lines(&dir.path().join(NAME))[0].clone();
        assert!(first.as_object_mut().unwrap().remove("at_ms").unwrap().as_u64() > Some(0));
        assert_eq!(first.as_object_mut().unwrap().remove("crc32c").unwrap().as_str().map(str::len), Some(8));
        let expected = json!({"user": "ada", "credential": "token 1", "verb": "cancel", "object": "job 7", "namespace": "default",
            "outcome": "done", "index": 9});
        assert_eq!(first, expected);
        drop(audit);
        Audit::bounded(dir.path(), 2_000).unwrap().write(&entry(CallOutcome::Denied));
        assert_eq!(lines(&dir.path().join(NAME)).last().unwrap()["outcome"], "denied", "a restart goes on");
    }

    #[test]
    fn a_damaged_file_is_noticed_kept_and_followed_by_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        let audit = Audit::open(dir.path()).unwrap();
        (0..3).for_each(|_| audit.write(&entry(CallOutcome::Done)));
        let whole = std::fs::read(&path).unwrap();
        assert!(check(&path).unwrap().is_some_and(|crc| crc != 0));
        for bit in 0..whole.len() * 8 {
            let mut harmed = whole.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &harmed).unwrap();
            assert_eq!(check(&path).unwrap(), None, "bit {bit}");
        }
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        std::fs::write(&path, &whole[second..]).unwrap();
        assert_eq!(check(&path).unwrap(), None, "the first line is gone");
        Audit::open(dir.path()).unwrap().write(&entry(CallOutcome::Denied));
        assert_eq!(std::fs::read(numbered(&path, 1)).unwrap(), whole[second..]);
        assert!(check(&path).unwrap().is_some() && lines(&path).len() == 1);
    }

    #[test]
    fn strangers_cannot_push_others_out() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::open(dir.path()).unwrap();
        let mut open = audit.open.lock();
        for _ in 0..1_000 {
            open.write(5_000, &entry(CallOutcome::Unauthenticated)).unwrap();
        }
        open.write(5_000, &entry(CallOutcome::Done)).unwrap();
        let lines = lines(&dir.path().join(NAME));
        let most = limits::AUDIT_STRANGERS_PER_SECOND_MAX;
        assert_eq!(
            (lines.len() as u64, lines[most as usize]["unwritten"].as_u64()),
            (most + 1, Some(1_000 - most))
        );
    }
}
