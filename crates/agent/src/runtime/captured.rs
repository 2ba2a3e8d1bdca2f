//! Finds the captured output of an attempt among the files of its job, and tells output that was never written from
//! output that is lost.

use super::shown::OutputSource;
use crate::keeper::Cut;
use crate::layout;
use crate::notes::{Dropped, NoteError};
use crate::packed::{self, Damage, PackedIndex, Unreadable};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::path::Path;
use taskyard_wire::LogRead;

/// Why output that was captured cannot be shown, as the end of a sentence that begins with its job's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Loss {
    #[error("a task replaced its output file, which is not read")]
    Replaced,
    #[error("the output cannot be read: {0}")]
    Io(Errno),
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
        matches!(self, Loss::Packed(_) | Loss::Cut(_) | Loss::Note(_) | Loss::Io(_))
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

/// Where the output of an attempt is, and what was dropped of it; `None` if the attempt wrote nothing.
pub(super) fn open(
    data_dir: &Path,
    read: &LogRead,
    index: &mut LastIndex,
) -> Result<Option<(OutputSource, Cut)>, Loss> {
    let (job, stream) = (read.task.job.0, read.stream as usize);
    let name = layout::output_name(read.task.index, read.attempt, stream);
    let dir = match layout::open_job_dir(data_dir, job) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    match layout::open_plain(&dir, &name, OFlags::RDONLY) {
        Ok(file) => {
            let cut = Cut::read(&dir, &name).map_err(Loss::Cut)?;
            let size = packed::size(&file)?;
            return Ok(Some((OutputSource::File(file, size), cut)));
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let dropped = Dropped::read(&dir).map_err(Loss::Note)?;
    let Some(entry) = index.of(job).find(&dir, (read.task.index, read.attempt, stream as u8))? else {
        // It wrote nothing, or it had a file of its own, and no trace is left of which files there were.
        return if dropped.is_any() { Err(Loss::dropped(dropped)) } else { Ok(None) };
    };
    match packed::read(&dir, &entry) {
        Err(Unreadable::Damaged(_)) if entry.offset < dropped.packed_until => Err(Loss::dropped(dropped)),
        other => Ok(Some((OutputSource::Packed(other?), Cut::default()))),
    }
}
