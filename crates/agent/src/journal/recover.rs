//! What an older process of this agent left in its journal.

use super::record::{Front, HEADER_BYTES, JournalRecord, MAGIC, front};
use super::{JournalError, NAME};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use taskyard_model::report::{AttemptEnd, Finish, Item, Returned};
use taskyard_model::{Fence, Incarnation, Outcome, TaskRef};

/// See the module.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recovered {
    /// Highest term seen.
    pub(crate) term: u64,
    /// The life that ended, if there was one.
    pub(crate) incarnation: Option<Incarnation>,
    /// Where that was: see [`JournalRecord::Place`].
    pub(crate) place: String,
    results: VecDeque<Item>,
    /// What has not ended: its fence, and whether it may have had a process.
    open: BTreeMap<TaskRef, (Fence, bool)>,
}

/// Reads the journal of a data directory. A torn end is what a crash leaves; anything else that cannot be read is an
/// error.
pub(crate) fn recover(data_dir: &Path) -> Result<Recovered, JournalError> {
    let path = data_dir.join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Recovered::default()),
        Err(source) => return Err(JournalError::Io { path, what: "read", source }),
    };
    let corrupt = |offset: usize| JournalError::Corrupt { path: path.clone(), offset: offset as u64 };
    if !bytes.starts_with(MAGIC) {
        return Err(corrupt(0));
    }
    let mut recovered = Recovered::default();
    let mut offset = MAGIC.len();
    while offset < bytes.len() {
        let payload = match front(&bytes[offset..]) {
            Front::Torn => {
                tracing::info!(path = %path.display(), offset, "the journal ends in an incomplete write");
                break;
            }
            Front::Corrupt => return Err(corrupt(offset)),
            Front::Frame(payload) => payload,
        };
        let mut decoder = minicbor::Decoder::new(payload);
        while decoder.position() < payload.len() {
            let record = decoder.decode().map_err(|_| corrupt(offset))?;
            recovered.replay(record);
        }
        offset += HEADER_BYTES + payload.len();
    }
    Ok(recovered)
}

impl Recovered {
    fn replay(&mut self, record: JournalRecord) {
        match record {
            JournalRecord::Term(term) => self.term = self.term.max(term),
            JournalRecord::Incarnation(incarnation) => {
                if self.incarnation.replace(incarnation) != Some(incarnation) {
                    self.results.clear();
                    self.open.clear();
                }
            }
            JournalRecord::Place(place) => self.place = place,
            JournalRecord::Accepted(run) => {
                for index in run.first..run.first.saturating_add(run.count) {
                    let task = TaskRef { job: run.job, index };
                    let newer = self.open.get(&task).is_none_or(|(fence, _)| *fence < run.fence);
                    if newer && !self.is_over(task, run.fence) {
                        self.open.insert(task, (run.fence, false));
                    }
                }
            }
            JournalRecord::Starting { first, count, fence, .. } => {
                for index in first.index..first.index.saturating_add(count) {
                    self.open.insert(TaskRef { job: first.job, index }, (fence, true));
                }
            }
            JournalRecord::Ended(finish) => {
                self.open.remove(&finish.task);
                self.results.push_back(Item::Finished(finish));
            }
            JournalRecord::Returned { task, fence } => {
                self.open.remove(&task);
                self.results.push_back(Item::Returned(Returned { task, fence }));
            }
            JournalRecord::Tombstone { .. } => {}
            JournalRecord::Acked(count) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.results.len());
                self.results.drain(..count);
            }
        }
    }

    /// An assignment is journaled once for a whole run, after those of its tasks that ended at once.
    fn is_over(&self, task: TaskRef, fence: Fence) -> bool {
        let same = |item: &&Item| match item {
            Item::Finished(f) => (f.task, f.fence) == (task, fence),
            Item::Returned(r) => (r.task, r.fence) == (task, fence),
            Item::Started(_) => false,
        };
        self.results.iter().rev().take(4_096).find(same).is_some()
    }

    /// What is to be reported of the older life: its results, and the end of what had not ended. That is dead by now:
    /// what may have had a process was killed with its keeper, the rest never started.
    ///
    /// Adopting what still runs will begin here.
    pub(crate) fn items(self) -> Vec<Item> {
        let end = AttemptEnd::without_run(Outcome::AgentLost);
        let dead = self.open.into_iter().map(|(task, (fence, started))| match started {
            true => Item::Finished(Finish { task, fence, end: end.clone() }),
            false => Item::Returned(Returned { task, fence }),
        });
        self.results.into_iter().chain(dead).collect()
    }

    /// Nothing is left to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty() && self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Journal;
    use super::*;
    use taskyard_model::JobId;

    fn task(index: u32) -> TaskRef {
        TaskRef { job: JobId(1), index }
    }

    fn accepted(first: u32, count: u32) -> JournalRecord {
        JournalRecord::Accepted(taskyard_wire::StartRun {
            job: JobId(1),
            first,
            count,
            attempt: 1,
            fence: Fence(9),
            prefetched: false,
            group: 0,
            gpus: vec![],
        })
    }

    fn write(dir: &Path) {
        let mut journal =
            Journal::create(dir, &[JournalRecord::Place("b".into()), JournalRecord::Term(4)]).unwrap();
        journal.append(&JournalRecord::Incarnation(Incarnation(7)));
        journal.append(&accepted(0, 5));
        journal.write().unwrap();
        for index in 0..3 {
            journal.append(&JournalRecord::Starting {
                first: task(index),
                count: 1,
                attempt: 1,
                fence: Fence(9),
            });
        }
        journal.write().unwrap();
        journal.append(&JournalRecord::Returned { task: task(0), fence: Fence(9) });
        journal.append(&JournalRecord::Returned { task: task(1), fence: Fence(9) });
        journal.append(&JournalRecord::Acked(1));
        journal.write().unwrap();
    }

    #[test]
    fn tells_results_the_dead_and_the_never_started_apart() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let recovered = recover(dir.path()).unwrap();
        assert_eq!((recovered.term, recovered.incarnation), (4, Some(Incarnation(7))));
        let shown: Vec<_> = recovered
            .items()
            .iter()
            .map(|item| match item {
                Item::Finished(f) => format!("{:?} {}", f.end.outcome, f.task.index),
                Item::Returned(r) => format!("Returned {}", r.task.index),
                Item::Started(_) => unreachable!(),
            })
            .collect();
        assert_eq!(shown, ["Returned 1", "AgentLost 2", "Returned 3", "Returned 4"]);
    }

    #[test]
    fn a_torn_end_is_dropped_and_a_flipped_bit_is_found() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for cut in MAGIC.len()..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(recover(dir.path()).is_ok(), "cut at {cut}");
        }
        // The last frame looks torn when its payload is wrong, so flip before it.
        let mut last = 0;
        let mut at = MAGIC.len();
        while at < whole.len() {
            last = at;
            at += HEADER_BYTES + u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
        }
        for byte in 0..last {
            let mut flipped = whole.clone();
            flipped[byte] ^= 0x10;
            std::fs::write(&path, &flipped).unwrap();
            let error = recover(dir.path()).unwrap_err().to_string();
            assert!(error.contains("journal: corrupt at byte"), "{byte}: {error}");
        }
    }
}
