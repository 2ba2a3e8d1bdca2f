//! Segment files: their names, their sizes, and the metadata at their heads.

use std::path::{Path, PathBuf};

use super::frame::FrameKind;

/// Version of everything in this directory. A log of another version is refused.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// Size of the first segment. Later ones double up to the configured size, so that a new server starts at once.
const FIRST_SEGMENT_BYTES: u64 = 8 << 20;

/// Term and index of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pos {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

impl Pos {
    pub(crate) const LEN: usize = 16;

    pub(crate) fn to_bytes(self) -> [u8; Pos::LEN] {
        let mut out = [0; Pos::LEN];
        out[..8].copy_from_slice(&self.term.to_le_bytes());
        out[8..].copy_from_slice(&self.index.to_le_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Pos> {
        let term = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
        let index = u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?);
        Some(Pos { term, index })
    }
}

/// A position that may be absent: no bytes, or those of a [`Pos`].
pub(crate) fn pos_from(bytes: &[u8]) -> Option<Option<Pos>> {
    if bytes.is_empty() { Some(None) } else { Pos::from_bytes(bytes).map(Some) }
}

/// What the log is besides its entries. Kept current by the writer and repeated at the head of each segment, so
/// that deleting old segments loses nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Opaque to the log.
    pub(crate) vote: Option<Vec<u8>>,
    pub(crate) committed: Option<Pos>,
    pub(crate) purged: Option<Pos>,
    /// The last entry, or `purged` when that is later.
    pub(crate) last: Option<Pos>,
}

impl Meta {
    /// Index after the last entry.
    pub(crate) fn next_index(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }

    /// Whether this entry may come next: any may be the first one.
    pub(crate) fn continues(&self, pos: Pos) -> bool {
        self.last.is_none_or(|last| last.index + 1 == pos.index)
    }

    /// Follows a record about positions.
    pub(crate) fn record(&mut self, kind: FrameKind, pos: Option<Pos>) {
        let later = |a: Option<Pos>, b: Option<Pos>| {
            if a.map(|pos| pos.index) < b.map(|pos| pos.index) { b } else { a }
        };
        match kind {
            FrameKind::Committed => self.committed = pos,
            // After the end there is nothing to truncate.
            FrameKind::Truncate if later(pos, self.last) == self.last => self.last = later(pos, self.purged),
            FrameKind::Purge => {
                self.purged = later(self.purged, pos);
                self.last = later(self.last, self.purged);
            }
            _ => {}
        }
    }
}

/// Encodes the payload of a [`super::frame::FrameKind::Head`] frame.
pub(crate) fn encode_head(segment_bytes: u64, meta: &Meta) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.extend_from_slice(&segment_bytes.to_le_bytes());
    for field in [meta.committed, meta.purged, meta.last] {
        out.push(u8::from(field.is_some()));
        out.extend_from_slice(&field.unwrap_or(Pos { term: 0, index: 0 }).to_bytes());
    }
    out.push(u8::from(meta.vote.is_some()));
    out.extend_from_slice(meta.vote.as_deref().unwrap_or_default());
    out
}

/// Why the head of a segment is not understood.
#[derive(Debug)]
pub(crate) enum BadHead {
    Version(u16),
    Malformed,
}

/// Decodes what [`encode_head`] made: the segment's size and the metadata.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<(u64, Meta), BadHead> {
    let version = bytes.first_chunk::<2>().ok_or(BadHead::Malformed)?;
    let version = u16::from_le_bytes(*version);
    if version != FORMAT_VERSION {
        return Err(BadHead::Version(version));
    }
    decode_head_fields(&bytes[2..]).ok_or(BadHead::Malformed)
}

fn decode_head_fields(bytes: &[u8]) -> Option<(u64, Meta)> {
    let (size, mut rest) = bytes.split_first_chunk::<8>()?;
    let mut fields = [None; 3];
    for field in &mut fields {
        let (present, after) = rest.split_first()?;
        let pos = Pos::from_bytes(after)?;
        *field = (*present == 1).then_some(pos);
        rest = &after[Pos::LEN..];
    }
    let (voted, vote) = rest.split_first()?;
    let vote = (*voted == 1).then(|| vote.to_vec());
    let [committed, purged, last] = fields;
    Some((u64::from_le_bytes(*size), Meta { vote, committed, purged, last }))
}

/// Path of a segment.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.wal"))
}

/// Number of the segment with this file name.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.strip_suffix(".wal")?.parse().ok()
}

/// Size of segment `number` when the configured size is `full`.
pub(crate) fn size(number: u32, full: u64) -> u64 {
    FIRST_SEGMENT_BYTES.checked_shl(number.saturating_sub(1).min(32)).unwrap_or(u64::MAX).min(full)
}
