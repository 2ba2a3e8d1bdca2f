//! Opening a log: reads every segment, and either knows that the result is all that was ever acknowledged, or
//! refuses.
//!
//! At most the last batch before a crash can be incomplete, because a batch is written only when the one before
//! it has been synced. So whatever is wrong is a torn write if sectors are missing and no later batch follows;
//! anything else is damage to acknowledged data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::WalOptions;
use super::disk::{Disk, DiskFile};
use super::frame::{self, FrameHeader, FrameKind, ParsedFrame};
use super::index::EntryIndex;
use super::segment::{self, BadHead, Meta, Pos};
use crate::error::StartError;

const RESTORE: &str = "replace this disk, then restore the data directory from a backup or, in a cluster, remove \
                       it and let the server join again under a new id";

/// A log as found on the disk, ready to be written on.
pub(crate) struct RecoveredLog {
    pub(crate) meta: Meta,
    pub(crate) index: EntryIndex,
    pub(crate) next_seq: u64,
    pub(crate) end: LogEnd,
    /// Bytes of all frames.
    pub(crate) bytes: u64,
    /// Files that hold nothing needed any more.
    pub(crate) removable: Vec<PathBuf>,
}

/// Where writing goes on.
pub(crate) enum LogEnd {
    /// Inside this segment.
    Inside { number: u32, file: Arc<dyn DiskFile>, len: u64, at: u64, spare: bool },
    /// At the head of this segment, which exists.
    Before { number: u32 },
    /// Nothing is there: in a first segment still to be made.
    Nowhere,
}

/// Reads the log in `dir`. Only a `fresh` one, which nothing was ever acknowledged from, may be empty.
pub(crate) fn recover(disk: &dyn Disk, options: &WalOptions) -> Result<RecoveredLog, StartError> {
    let WalOptions { dir, salt, segment_bytes, fresh } = options;
    let (salt, segment_bytes) = (*salt, *segment_bytes);
    let (run, mut removable) = newest_run(disk, dir)?;
    let mut scan = Scan {
        disk,
        dir,
        salt,
        segment_bytes,
        meta: Meta::default(),
        index: EntryIndex::default(),
        next_seq: 1,
        bytes: 0,
        missing_upto: None,
        ended: None,
        remains: Vec::new(),
    };
    let end = scan.run(&run)?;
    if scan.index.segments() == 0 && !*fresh {
        return Err(scan.damaged(1, 0, "the log has no content, but this server has run before"));
    }
    scan.check_start()?;
    // Only now is it certain that these were never acknowledged.
    scan.clear_remains()?;
    let Scan { meta, mut index, next_seq, bytes, .. } = scan;
    if let Some(purged) = meta.purged {
        removable.extend(index.purge(purged.index));
    }
    Ok(RecoveredLog { meta, index, next_seq, end, bytes, removable })
}

/// The numbers of the newest segments without a gap, and the files before the gap. Those are leftovers of a
/// deletion when the run holds all that is needed; [`Scan::check_start`] decides that.
fn newest_run(disk: &dyn Disk, dir: &Path) -> Result<(Vec<u32>, Vec<PathBuf>), StartError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|source| StartError::io("read the directory", dir, source))? {
        let entry = entry.map_err(|source| StartError::io("read the directory", dir, source))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some(number) = segment::number(&name) {
            numbers.push(number);
        } else if name.ends_with(".tmp") {
            let path = entry.path();
            disk.remove(&path).map_err(|source| StartError::io("remove", &path, source))?;
        }
    }
    numbers.sort_unstable();
    let gap = (1..numbers.len()).rev().find(|at| numbers[at - 1] + 1 != numbers[*at]).unwrap_or(0);
    let run = numbers.split_off(gap);
    Ok((run, numbers.into_iter().map(|number| segment::path(dir, number)).collect()))
}

/// How a segment was found.
enum FoundSegment {
    /// Not a single frame.
    Unstarted { len: u64 },
    /// Begun and not ended: writing goes on at `at`.
    Open { file: Arc<dyn DiskFile>, len: u64, at: u64 },
    /// The next segment has begun or is about to.
    Ended,
}

/// Bytes of a write that a crash cut short.
struct Remains {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    at: usize,
    len: usize,
}

struct Scan<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    salt: u32,
    segment_bytes: u64,
    meta: Meta,
    index: EntryIndex,
    next_seq: u64,
    bytes: u64,
    /// Index of the last entry in segments that are gone, unless it was truncated later.
    missing_upto: Option<u64>,
    /// Length of the segment that follows, once the one before it has ended.
    ended: Option<u64>,
    remains: Vec<Remains>,
}

impl Scan<'_> {
    fn run(&mut self, run: &[u32]) -> Result<LogEnd, StartError> {
        let mut end = LogEnd::Nowhere;
        for (place, number) in run.iter().copied().enumerate() {
            let found = self.segment(number, place == 0)?;
            match (found, &mut end) {
                (FoundSegment::Unstarted { len }, LogEnd::Inside { spare, .. }) => {
                    self.all_unstarted(&run[place + 1..])?;
                    // One of another size, from another configuration or damaged, is simply made again.
                    *spare = len == segment::size(number, self.segment_bytes);
                    break;
                }
                (FoundSegment::Unstarted { len }, _) => {
                    self.all_unstarted(&run[place + 1..])?;
                    if let Some(made) = self.ended {
                        self.check_len(number, len, made)?;
                        end = LogEnd::Before { number };
                    }
                    break;
                }
                (_, LogEnd::Inside { number, at, .. }) => {
                    let what = "the log stops here, yet the next segment has content";
                    return Err(self.damaged(*number, *at as usize, what));
                }
                (FoundSegment::Open { file, len, at }, _) => {
                    end = LogEnd::Inside { number, file, len, at, spare: false };
                }
                (FoundSegment::Ended, _) if place + 1 == run.len() => {
                    return Err(self.damaged(
                        number + 1,
                        0,
                        "the segment is missing; the one before it is full",
                    ));
                }
                (FoundSegment::Ended, _) => {}
            }
        }
        Ok(end)
    }

    fn segment(&mut self, number: u32, oldest: bool) -> Result<FoundSegment, StartError> {
        let path = segment::path(self.dir, number);
        let (file, bytes) = self.load(&path)?;
        if matches!(frame::parse(&bytes, 0, self.salt), ParsedFrame::Unwritten | ParsedFrame::Torn) {
            self.torn(number, &file, &bytes, 0)?;
            return Ok(FoundSegment::Unstarted { len: bytes.len() as u64 });
        }
        let mut at = 0;
        loop {
            let (header, range) = match frame::parse(&bytes, at, self.salt) {
                ParsedFrame::Frame(header, range) => (header, range),
                ParsedFrame::Unwritten | ParsedFrame::Torn => {
                    self.torn(number, &file, &bytes, at)?;
                    return Ok(FoundSegment::Open { file, len: bytes.len() as u64, at: at as u64 });
                }
                ParsedFrame::Short => return Err(self.damaged(number, at, "the file ends inside a frame")),
                ParsedFrame::Damaged(why) => return Err(self.damaged(number, at, why)),
            };
            let first_of_log = oldest && at == 0;
            self.check_header(number, at, &header, first_of_log)?;
            let next = at + frame::frame_len(header.len as usize);
            self.bytes += (next - at) as u64;
            match header.kind {
                FrameKind::Head => {
                    self.head(number, at, &bytes, &frame::payload(&bytes[range]), oldest)?;
                    self.index.begin_segment(path.clone(), Arc::clone(&file));
                }
                FrameKind::End => {
                    self.next_seq = header.seq + 1;
                    let next = frame::payload(&bytes[range]);
                    let next = next.first_chunk::<8>().map(|len| u64::from_le_bytes(*len));
                    self.ended =
                        Some(next.ok_or_else(|| self.damaged(number, at, "the end is not understood"))?);
                    return Ok(FoundSegment::Ended);
                }
                FrameKind::Entry => {
                    let head = range.start..range.end.min(range.start + Pos::LEN);
                    self.entry(number, at, &frame::payload(&bytes[head]))?;
                }
                kind => self.metadata(number, at, kind, frame::payload(&bytes[range]))?,
            }
            self.next_seq = header.seq + 1;
            at = next;
        }
    }

    fn load(&self, path: &Path) -> Result<(Arc<dyn DiskFile>, Vec<u8>), StartError> {
        let io = |source| StartError::io("read", path, source);
        let file = self.disk.open(path).map_err(io)?;
        let mut bytes = vec![0; file.len().map_err(io)? as usize];
        file.read_at(&mut bytes, 0).map_err(io)?;
        Ok((file, bytes))
    }

    fn check_header(
        &self,
        number: u32,
        at: usize,
        header: &FrameHeader,
        first: bool,
    ) -> Result<(), StartError> {
        if header.segment != number {
            let what = format!("the frame belongs to segment {}, not {number}", header.segment);
            return Err(self.damaged(number, at, &what));
        }
        if (header.kind == FrameKind::Head) != (at == 0) {
            return Err(self.damaged(number, at, "a segment must begin with its head, and have one only"));
        }
        if !first && header.seq != self.next_seq {
            let what = format!("frame {} was expected, frame {} is here", self.next_seq, header.seq);
            return Err(self.damaged(number, at, &what));
        }
        Ok(())
    }

    fn head(
        &mut self,
        number: u32,
        at: usize,
        bytes: &[u8],
        payload: &[u8],
        oldest: bool,
    ) -> Result<(), StartError> {
        let (len, meta) = match segment::decode_head(payload) {
            Ok(head) => head,
            Err(BadHead::Version(found)) => {
                let file = segment::path(self.dir, number);
                return Err(StartError::Version { file, found, supported: segment::FORMAT_VERSION });
            }
            Err(BadHead::Malformed) => {
                return Err(self.damaged(number, at, "the segment's head is not understood"));
            }
        };
        self.check_len(number, bytes.len() as u64, len)?;
        if oldest {
            self.missing_upto = meta.last.map(|last| last.index);
            self.meta = meta;
        } else if self.meta != meta {
            return Err(self.damaged(number, at, "the head does not continue the segment before it"));
        }
        Ok(())
    }

    fn entry(&mut self, number: u32, at: usize, payload: &[u8]) -> Result<(), StartError> {
        let pos = Pos::from_bytes(payload);
        let pos = pos.ok_or_else(|| self.damaged(number, at, "the entry has no position"))?;
        if !self.meta.continues(pos) {
            let expected = self.meta.next_index();
            let what = format!("entry {expected} was expected, entry {} is here", pos.index);
            return Err(self.damaged(number, at, &what));
        }
        self.index.push(pos.index, at as u64);
        self.meta.last = Some(pos);
        Ok(())
    }

    fn metadata(
        &mut self,
        number: u32,
        at: usize,
        kind: FrameKind,
        payload: Vec<u8>,
    ) -> Result<(), StartError> {
        if kind == FrameKind::Vote {
            self.meta.vote = Some(payload);
            return Ok(());
        }
        let pos = segment::pos_from(&payload);
        let pos = pos.ok_or_else(|| self.damaged(number, at, "the record has no position"))?;
        self.meta.record(kind, pos);
        match kind {
            FrameKind::Truncate => {
                self.index.truncate_from(self.meta.next_index());
                self.missing_upto = self.missing_upto.min(self.meta.last.map(|last| last.index));
            }
            FrameKind::Purge if self.meta.last == self.meta.purged => self.index.truncate_from(0),
            _ => {}
        }
        Ok(())
    }

    /// The log ends at `at` because the next frame was not, or not completely, written. Makes sure that this
    /// can only be the last batch before a crash.
    fn torn(
        &mut self,
        number: u32,
        file: &Arc<dyn DiskFile>,
        bytes: &[u8],
        at: usize,
    ) -> Result<(), StartError> {
        let seq = self.next_seq;
        let later = (at + frame::ALIGN..bytes.len()).step_by(frame::ALIGN).find(|other| {
            matches!(frame::parse(bytes, *other, self.salt), ParsedFrame::Frame(header, _)
                if header.segment == number && header.batch > seq)
        });
        if let Some(later) = later {
            let what = format!(
                "frame {seq} should be here and is not, yet one that was written after it had been made durable \
                 stands at offset {later}"
            );
            return Err(self.damaged(number, at, &what));
        }
        if let Some(last) = bytes[at..].iter().rposition(|byte| *byte != 0) {
            let path = segment::path(self.dir, number);
            self.remains.push(Remains { path, file: Arc::clone(file), at, len: last + 1 });
        }
        Ok(())
    }

    /// Overwrites what a crash left of its last write, so that no part of it can be taken for a continuation of
    /// what will be written in its place.
    fn clear_remains(&self) -> Result<(), StartError> {
        for Remains { path, file, at, len } in &self.remains {
            tracing::warn!(
                file = %path.display(), offset = at, bytes = len,
                "the log ends in a write that a crash cut short; it was never acknowledged and is dropped"
            );
            let cleared = file.write_at(&vec![0; *len], *at as u64).and_then(|()| file.sync());
            cleared.map_err(|source| StartError::io("clear the torn end of", path, source))?;
        }
        Ok(())
    }

    /// Segments after the end of the log must be empty.
    fn all_unstarted(&mut self, numbers: &[u32]) -> Result<(), StartError> {
        for number in numbers {
            let (_, bytes) = self.load(&segment::path(self.dir, *number))?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(self.damaged(*number - 1, 0, "the segment has no content, yet the next one has"));
            }
        }
        Ok(())
    }

    fn check_len(&self, number: u32, found: u64, made: u64) -> Result<(), StartError> {
        if found == made {
            return Ok(());
        }
        let what = format!("the file has {found} bytes, and was made with {made}");
        Err(self.damaged(number, found.min(made) as usize, &what))
    }

    /// Entries that are needed and whose segments are gone.
    fn check_start(&self) -> Result<(), StartError> {
        let first = self.meta.purged.map_or(0, |purged| purged.index + 1);
        match self.missing_upto {
            Some(last) if last >= first => {
                let what = format!("entries {first} to {last} are needed, but no segment holds them");
                Err(self.damaged(0, 0, &what))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, number: u32, at: usize, what: &str) -> StartError {
        StartError::Damaged {
            file: segment::path(self.dir, number),
            offset: at as u64,
            what: what.to_owned(),
            remedy: RESTORE,
        }
    }
}
