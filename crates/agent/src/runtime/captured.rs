//! Finds the captured output of an attempt among the files of its job, and tells output that was never written from
//! output that is lost.

use super::shown::OutputSource;
use crate::keeper::Cut;
use crate::layout;
use crate::notes::{Dropped, NoteError};
use crate::packed::{self, Damage, Kept, PackedIndex, Unreadable};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use taskyard_wire::LogRead;

/// Why output that was captured cannot be shown, as the end of a sentence that begins with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Loss {
    #[error("a task replaced its output file, which is not read")]
    Replaced,
    #[error("the output cannot be read: {0}")]
    Io(Errno),
    #[error("{gone} of {of} bytes of its output are gone (deleted or cut): {name}")]
    Missing { gone: u64, of: u64, name: String },
    #[error("{0}")]
    Packed(Damage),
    #[error("the .cut file, which says what was dropped of the output, {0}")]
    Cut(NoteError),
    #[error("output.dropped, which says what was dropped of the job's output, {0}")]
    Note(NoteError),
    #[error(
        "any output of this task was dropped: the node reached its --output-budget, which drops the oldest first"
    )]
    ForBudget,
    #[error(
        "any output of this task was dropped: other files filled the node's disk; the oldest output goes first"
    )]
    ForDisk,
}

impl Loss {
    /// Whether the files are not what this node has written.
    pub(super) fn is_damage(&self) -> bool {
        let dropped = matches!(self, Loss::Replaced | Loss::ForBudget | Loss::ForDisk);
        !dropped && self.passing().is_none()
    }

    /// What the agent lacks only now; the output may well be whole.
    pub(super) fn passing(&self) -> Option<&'static str> {
        match self {
            Loss::Io(errno) | Loss::Cut(NoteError::Io(errno)) | Loss::Note(NoteError::Io(errno)) => {
                match *errno {
                    Errno::MFILE | Errno::NFILE => Some("too many open files"),
                    Errno::NOMEM => Some("not enough memory"),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The path that it is about, in the data directory.
    pub(super) fn place(&self, job: u64) -> String {
        let dir = match self {
            Loss::Packed(damage) if damage.is_of_index() => layout::INDEXES,
            _ => layout::JOBS,
        };
        format!("{dir}/{job}")
    }

    fn dropped(note: Dropped) -> Loss {
        if note.for_budget { Loss::ForBudget } else { Loss::ForDisk }
    }
}

impl From<Errno> for Loss {
    fn from(errno: Errno) -> Loss {
        if errno == Errno::LOOP { Loss::Replaced } else { Loss::Io(errno) }
    }
}

impl From<Unreadable> for Loss {
    fn from(error: Unreadable) -> Loss {
        match error {
            Unreadable::Io(errno) => errno.into(),
            Unreadable::Damaged(damage) => Loss::Packed(damage),
        }
    }
}

/// The index of the job whose packed output was read last.
#[derive(Default)]
pub(super) struct LastIndex(Option<(u64, PackedIndex)>);

impl LastIndex {
    fn of(&mut self, job: u64) -> &mut PackedIndex {
        let kept = self.0.take().filter(|(of, _)| *of == job);
        &mut self.0.insert(kept.unwrap_or_else(|| (job, PackedIndex::default()))).1
    }
}

/// Output that can be shown.
pub(super) struct Found {
    pub(super) source: OutputSource,
    /// What was dropped of it.
    pub(super) cut: Cut,
    /// What is to be said after the bytes that are left of it.
    pub(super) loss: Option<Loss>,
}

/// Where the output of an attempt is; `None` if the attempt wrote nothing.
pub(super) fn open(
    data_dir: &Path,
    read: &LogRead,
    is_running: bool,
    index: &mut LastIndex,
) -> Result<Option<Found>, Loss> {
    let (job, stream) = (read.task.job.0, read.stream as usize);
    let name = layout::output_name(read.task.index, read.attempt, stream);
    let dir = packed::present(layout::open_job_dir(data_dir, job))?;
    let own = dir.as_ref().map_or(Ok(None), |dir| own_file(dir, &name))?;
    // Of what runs, the index knows nothing yet.
    if is_running {
        return Ok(own);
    }
    let open_index = || layout::open_index(data_dir, job, OFlags::RDONLY);
    let key = (read.task.index, read.attempt, stream as u8);
    let kept = index.of(job).find(dir.as_ref(), open_index, key);
    if let Some(mut found) = own {
        match kept {
            Ok(Some(Kept::OwnFile { bytes })) => found.loss = missing(bytes, found.source.size(), name),
            Err(Unreadable::Io(errno)) => return Err(errno.into()),
            // Nothing says how long it was.
            Ok(_) | Err(Unreadable::Damaged(_)) => {}
        }
        return Ok(Some(found));
    }
    let dropped = dir.as_ref().map_or(Ok(Dropped::default()), Dropped::read).map_err(Loss::Note)?;
    match (kept?, dir) {
        (Some(Kept::Packed(entry)), Some(dir)) => match packed::read(&dir, &entry) {
            Err(Unreadable::Damaged(_)) if entry.offset < dropped.packed_until => Err(Loss::dropped(dropped)),
            other => {
                let source = OutputSource::Packed(other?);
                Ok(Some(Found { source, cut: Cut::default(), loss: None }))
            }
        },
        (Some(Kept::Packed(entry)), None) => Err(Loss::Missing {
            gone: entry.length.into(),
            of: entry.length.into(),
            name: packed::DATA.into(),
        }),
        // A file of its own may have gone without a record of it, if the disk was full.
        (_, Some(_)) if dropped.is_any() => Err(Loss::dropped(dropped)),
        (Some(Kept::OwnFile { bytes }), _) => missing(bytes, 0, name).map_or(Ok(None), Err),
        (None, _) => Ok(None),
    }
}

fn own_file(dir: &OwnedFd, name: &str) -> Result<Option<Found>, Loss> {
    let Some(file) = packed::present(layout::open_plain(dir, name, OFlags::RDONLY))? else {
        return Ok(None);
    };
    let cut = Cut::read(dir, name).map_err(Loss::Cut)?;
    let size = packed::size(&file)?;
    Ok(Some(Found { source: OutputSource::File(file, size), cut, loss: None }))
}

/// What an output lacks of which `left` bytes are there. A process that outlived its attempt may have added some.
fn missing(of: u64, left: u64, name: String) -> Option<Loss> {
    let gone = of.checked_sub(left).filter(|gone| *gone > 0)?;
    Some(Loss::Missing { gone, of, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed::Packer;
    use std::fs;
    use taskyard_model::{JobId, TaskRef};
    use taskyard_wire::Stream;

    const JOB: u64 = 7;

    fn read(index: u32) -> LogRead {
        LogRead {
            request: 0,
            task: TaskRef { job: JobId(JOB), index },
            attempt: 1,
            stream: Stream::Stdout,
            offset: Some(0),
            tail_lines: 0,
            max: 100,
            wait_ms: 0,
            shown: true,
        }
    }

    /// How many bytes there are and what is said of the rest.
    fn told(data_dir: &Path, index: u32) -> (u64, String) {
        match open(data_dir, &read(index), false, &mut LastIndex::default()) {
            Ok(None) => (0, String::new()),
            Ok(Some(found)) => {
                (found.source.size(), found.loss.map_or_else(String::new, |loss| loss.to_string()))
            }
            Err(loss) => (0, loss.to_string()),
        }
    }

    #[test]
    fn output_that_was_deleted_or_cut_is_never_shown_as_empty() {
        let temp = tempfile::tempdir().unwrap();
        let jobs_dir = layout::job_dir(temp.path(), JOB);
        fs::create_dir_all(&jobs_dir).unwrap();
        fs::write(jobs_dir.join("0.1.out"), [b'x'; 5_000]).unwrap();
        let index = layout::open_index(temp.path(), JOB, OFlags::CREATE | OFlags::RDWR).unwrap();
        let mut packer = Packer::open(fs::File::open(&jobs_dir).unwrap(), index).unwrap();
        packer.note_own_file((0, 1, 0), 5_000).unwrap();
        packer.append((1, 1, 0), b"small").unwrap();
        let said = |gone: u64, of: u64, name: &str| {
            format!("{gone} of {of} bytes of its output are gone (deleted or cut): {name}")
        };
        let none = String::new();
        assert_eq!(told(temp.path(), 0), (5_000, none.clone()));
        assert_eq!(told(temp.path(), 1), (5, none.clone()));
        assert_eq!(told(temp.path(), 2), (0, none.clone()), "it wrote nothing");
        fs::write(jobs_dir.join("0.1.out"), [b'x'; 1_000]).unwrap();
        assert_eq!(told(temp.path(), 0), (1_000, said(4_000, 5_000, "0.1.out")));
        fs::write(jobs_dir.join("0.1.out"), [b'x'; 6_000]).unwrap();
        assert_eq!(told(temp.path(), 0), (6_000, none.clone()), "a process that it left wrote more");
        fs::remove_file(jobs_dir.join("0.1.out")).unwrap();
        assert_eq!(told(temp.path(), 0), (0, said(5_000, 5_000, "0.1.out")));
        fs::remove_dir_all(&jobs_dir).unwrap();
        assert_eq!(told(temp.path(), 0), (0, said(5_000, 5_000, "0.1.out")));
        assert_eq!(told(temp.path(), 1), (0, said(5, 5, "output.data")));
        assert_eq!(told(temp.path(), 2), (0, none), "it wrote nothing");
    }

    #[test]
    fn a_lack_of_descriptors_or_memory_is_no_loss() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            for loss in [Loss::from(errno), Loss::Cut(NoteError::Io(errno)), Loss::Note(NoteError::Io(errno))]
            {
                assert_eq!(loss.passing(), Some("too many open files"), "{loss}");
                assert!(!loss.is_damage(), "{loss}");
            }
        }
        assert_eq!(Loss::from(Errno::NOMEM).passing(), Some("not enough memory"));
        assert_eq!(Loss::from(Errno::IO).passing(), None);
        assert!(Loss::from(Errno::IO).is_damage());
    }
}
