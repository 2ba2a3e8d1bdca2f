//! Where each entry of the log is: four bytes of memory per entry.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::DiskFile;
use super::frame::{self, FrameKind};
use super::segment::Pos;

/// A segment and the places of its entries.
struct Segment {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Index of the entry at `offsets[0]`.
    first: u64,
    offsets: Vec<u32>,
}

/// All segments, oldest first. The last one is being written.
#[derive(Default)]
pub(crate) struct EntryIndex {
    segments: VecDeque<Segment>,
}

/// Where one entry is.
pub(crate) struct EntryLocation {
    pub(crate) index: u64,
    pub(crate) offset: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl EntryIndex {
    pub(crate) fn begin_segment(&mut self, path: PathBuf, file: Arc<dyn DiskFile>) {
        self.segments.push_back(Segment { path, file, first: 0, offsets: Vec::new() });
    }

    /// Index of the first entry.
    pub(crate) fn first(&self) -> Option<u64> {
        self.segments.iter().find(|segment| !segment.offsets.is_empty()).map(|segment| segment.first)
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Records an entry of the newest segment. Indices come in order.
    pub(crate) fn push(&mut self, index: u64, offset: u64) {
        let segment = self.segments.back_mut().expect("a segment has begun");
        if segment.offsets.is_empty() {
            segment.first = index;
        }
        debug_assert_eq!(segment.first + segment.offsets.len() as u64, index);
        // A frame starts at a multiple of 32, so segments up to 128 GiB fit.
        segment.offsets.push((offset / frame::ALIGN as u64) as u32);
    }

    /// Forgets entries with an index of at least `from`.
    pub(crate) fn truncate_from(&mut self, from: u64) {
        for segment in &mut self.segments {
            let keep = from.saturating_sub(segment.first) as usize;
            segment.offsets.truncate(keep);
        }
    }

    /// Forgets the oldest segments as far as they hold nothing after `upto`; their files may then be removed.
    pub(crate) fn purge(&mut self, upto: u64) -> Vec<PathBuf> {
        let mut removable = Vec::new();
        while self.segments.len() > 1 {
            let oldest = &self.segments[0];
            let last = oldest.first + oldest.offsets.len() as u64;
            if !oldest.offsets.is_empty() && last > upto + 1 {
                break;
            }
            removable.extend(self.segments.pop_front().map(|segment| segment.path));
        }
        removable
    }

    /// Places of the entries from `start` on that are there, at most `limit`.
    pub(crate) fn places(&self, start: u64, limit: usize) -> Vec<EntryLocation> {
        let mut places = Vec::new();
        for segment in self.segments.iter().filter(|segment| !segment.offsets.is_empty()) {
            let skip = start.saturating_sub(segment.first) as usize;
            for (at, offset) in segment.offsets.iter().enumerate().skip(skip) {
                if places.len() == limit {
                    return places;
                }
                places.push(EntryLocation {
                    index: segment.first + at as u64,
                    offset: u64::from(*offset) * frame::ALIGN as u64,
                    path: segment.path.clone(),
                    file: Arc::clone(&segment.file),
                });
            }
        }
        places
    }
}

/// Reads entries back from their places, verifying each, a window of the file at a time.
pub(crate) struct EntryReader {
    salt: u32,
    window: Vec<u8>,
    /// File and offset the window came from.
    from: Option<(PathBuf, u64)>,
}

impl EntryReader {
    const WINDOW: usize = 256 << 10;

    pub(crate) fn new(salt: u32) -> EntryReader {
        EntryReader { salt, window: Vec::new(), from: None }
    }

    /// Term and content of the entry at `place`.
    pub(crate) fn read(&mut self, place: &EntryLocation) -> io::Result<(Pos, Vec<u8>)> {
        let at = self.load(place, frame::HEADER_LEN)?;
        let header = frame::parse_header(&self.window[at..at + frame::HEADER_LEN], self.salt)
            .map_err(|why| damaged(place, why))?;
        let at = self.load(place, frame::frame_len(header.len as usize))?;
        let frame::ParsedFrame::Frame(header, range) = frame::parse(&self.window, at, self.salt) else {
            return Err(damaged(place, "the entry does not match its checksum"));
        };
        let mut content = frame::payload(&self.window[range]);
        match Pos::from_bytes(&content) {
            Some(pos) if header.kind == FrameKind::Entry && pos.index == place.index => {
                content.drain(..Pos::LEN);
                Ok((pos, content))
            }
            _ => Err(damaged(place, "another record stands where the entry was written")),
        }
    }

    /// Has `len` bytes from the place in the window; says where.
    fn load(&mut self, place: &EntryLocation, len: usize) -> io::Result<usize> {
        if let Some((path, from)) = &self.from
            && *path == place.path
            && place.offset >= *from
            && place.offset + len as u64 <= from + self.window.len() as u64
        {
            return Ok((place.offset - from) as usize);
        }
        let left = place.file.len()?.saturating_sub(place.offset);
        if left < len as u64 {
            return Err(damaged(place, "the file is shorter than when it was opened"));
        }
        self.window.resize(len.max(EntryReader::WINDOW.min(left as usize)), 0);
        self.from = None;
        place.file.read_at(&mut self.window, place.offset)?;
        self.from = Some((place.path.clone(), place.offset));
        Ok(0)
    }
}

fn damaged(place: &EntryLocation, why: &str) -> io::Error {
    let (path, offset) = (place.path.display(), place.offset);
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{path} at offset {offset}: entry {}: {why}", place.index),
    )
}
