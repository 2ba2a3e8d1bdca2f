//! One frame of the log: how it looks in a file, and how to tell a frame that was never completely written
//! from one that was damaged afterwards.
//!
//! A frame is a 32-byte header and its payload, and starts at a multiple of 32, so that a header never crosses
//! a 512-byte sector: it is either there or not. The payload and its padding are stored XOR [`MASK`]. Segments
//! are zero-filled before use; hence a sector of a frame that is all zero was never written (a torn write), and
//! a frame whose checksum fails although all its sectors are written was damaged later.

use std::ops::Range;

/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 32;
pub(crate) const HEADER_LEN: usize = 32;
const SECTOR: usize = 512;
const MASK: u8 = 0xA5;
const MAGIC: [u8; 2] = *b"TY";

/// What a frame records. The numbers are part of the file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// First frame of a segment: format version and the metadata that deleted segments would have told.
    Head = 1,
    /// A log entry: term, index, bytes.
    Entry = 2,
    /// The vote; the newest one counts.
    Vote = 3,
    /// How far the log is known to be committed.
    Committed = 4,
    /// Entries after a position are void.
    Truncate = 5,
    /// Entries up to a position are no longer needed.
    Purge = 6,
    /// Last frame of a segment: the next segment has begun or is about to.
    End = 7,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<FrameKind> {
        const ALL: [FrameKind; 7] = [
            FrameKind::Head,
            FrameKind::Entry,
            FrameKind::Vote,
            FrameKind::Committed,
            FrameKind::Truncate,
            FrameKind::Purge,
            FrameKind::End,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) kind: FrameKind,
    /// Number of the segment, so that a file under a wrong name is noticed.
    pub(crate) segment: u32,
    /// Counts frames over all segments, without a gap.
    pub(crate) seq: u64,
    /// Sequence number of the first frame of the batch that was written and synced together with this one.
    /// A frame of a *later* batch proves that everything before it was synced.
    pub(crate) batch: u64,
    /// Payload length, without padding.
    pub(crate) len: u32,
    payload_crc: u32,
}

/// Bytes a frame with this payload takes in a segment.
pub(crate) fn frame_len(payload: usize) -> usize {
    HEADER_LEN + payload.next_multiple_of(ALIGN)
}

/// Appends a frame whose payload is the concatenation of `parts`. `salt` is the log's own number, so that no
/// bytes a user sends, and no segment of another server, can pass for a frame of this log.
pub(crate) fn push(
    out: &mut Vec<u8>,
    salt: u32,
    (segment, batch, seq): (u32, u64, u64),
    kind: FrameKind,
    parts: &[&[u8]],
) {
    let start = out.len();
    debug_assert!(start.is_multiple_of(ALIGN));
    let len: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(frame_len(len));
    out.resize(start + HEADER_LEN, 0);
    let mut crc = 0;
    for part in parts {
        crc = crc32c::crc32c_append(crc, part);
        out.extend_from_slice(part);
    }
    out.resize(start + frame_len(len), 0);
    out[start + HEADER_LEN..].iter_mut().for_each(|byte| *byte ^= MASK);

    let header = &mut out[start..start + HEADER_LEN];
    header[0..2].copy_from_slice(&MAGIC);
    header[2] = kind as u8;
    header[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..20].copy_from_slice(&segment.to_le_bytes());
    header[20..24].copy_from_slice(&((seq - batch) as u32).to_le_bytes());
    header[24..28].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c_append(salt, &header[..28]);
    header[28..32].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at a place where a frame may start.
#[derive(Debug)]
pub(crate) enum ParsedFrame {
    /// A whole and correct frame; the range of its (still masked) payload in the given bytes.
    Frame(FrameHeader, Range<usize>),
    /// The header was never written.
    Unwritten,
    /// The header is there, but at least one sector of the payload was never written.
    Torn,
    /// Written and wrong: why.
    Damaged(&'static str),
    /// The bytes end before the frame does.
    Short,
}

/// Looks at the frame that starts at `at`.
pub(crate) fn parse(bytes: &[u8], at: usize, salt: u32) -> ParsedFrame {
    let Some(raw) = bytes.get(at..at + HEADER_LEN) else { return ParsedFrame::Unwritten };
    if raw.iter().all(|byte| *byte == 0) {
        return ParsedFrame::Unwritten;
    }
    let header = match parse_header(raw, salt) {
        Ok(header) => header,
        Err(why) => return ParsedFrame::Damaged(why),
    };
    let payload = at + HEADER_LEN..at + HEADER_LEN + header.len as usize;
    let end = at + frame_len(header.len as usize);
    if end > bytes.len() {
        return ParsedFrame::Short;
    }
    let mut crc = 0;
    let mut chunk = [0u8; 4096];
    for masked in bytes[payload.clone()].chunks(chunk.len()) {
        unmask(masked, &mut chunk[..masked.len()]);
        crc = crc32c::crc32c_append(crc, &chunk[..masked.len()]);
    }
    if crc == header.payload_crc {
        return ParsedFrame::Frame(header, payload);
    }
    let mut from = at;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        if bytes[from..to].iter().all(|byte| *byte == 0) {
            return ParsedFrame::Torn;
        }
        from = to;
    }
    ParsedFrame::Damaged("the payload does not match its checksum")
}

/// The length of the frame whose header is given, or why it is not one.
pub(crate) fn parse_header(raw: &[u8], salt: u32) -> Result<FrameHeader, &'static str> {
    if raw[0..2] != MAGIC {
        return Err("this is not the start of a frame");
    }
    if crc32c::crc32c_append(salt, &raw[..28]) != le32(raw, 28) {
        return Err("the frame header does not match its checksum");
    }
    let kind =
        FrameKind::from_byte(raw[2]).ok_or("the frame is of an unknown kind, written by a newer version")?;
    let seq = le64(raw, 8);
    let batch = seq.checked_sub(u64::from(le32(raw, 20))).ok_or("the frame's batch is impossible")?;
    Ok(FrameHeader {
        kind,
        segment: le32(raw, 16),
        seq,
        batch,
        len: le32(raw, 4),
        payload_crc: le32(raw, 24),
    })
}

/// The payload as it was given to [`push`].
pub(crate) fn payload(masked: &[u8]) -> Vec<u8> {
    masked.iter().map(|byte| byte ^ MASK).collect()
}

fn unmask(masked: &[u8], out: &mut [u8]) {
    for (to, from) in out.iter_mut().zip(masked) {
        *to = from ^ MASK;
    }
}

fn le32(raw: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

fn le64(raw: &[u8], at: usize) -> u64 {
    u64::from(le32(raw, at)) | u64::from(le32(raw, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, 7, (3, 9, 10), FrameKind::Entry, &[&vec![0; len / 2], &vec![1; len - len / 2]]);
        out
    }

    #[test]
    fn a_frame_reads_back() {
        for len in [0, 1, 31, 32, 33, 511, 5000] {
            let bytes = frame(len);
            assert_eq!(bytes.len(), frame_len(len));
            let ParsedFrame::Frame(header, range) = parse(&bytes, 0, 7) else { panic!("{len}") };
            assert_eq!((header.kind, header.segment, header.seq, header.batch), (FrameKind::Entry, 3, 10, 9));
            assert_eq!(payload(&bytes[range]).len(), len);
            assert!(matches!(parse(&bytes, 0, 8), ParsedFrame::Damaged(_)), "another log's salt");
        }
    }

    /// Every single bit counts, and no flip looks like a torn write.
    #[test]
    fn a_flipped_bit_is_damage() {
        let bytes = frame(700);
        for bit in 0..(HEADER_LEN + 700) * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(parse(&bytes, 0, 7), ParsedFrame::Damaged(_)), "bit {bit}");
        }
    }

    #[test]
    fn a_missing_sector_is_a_torn_write() {
        let mut bytes = Vec::new();
        push(&mut bytes, 7, (3, 9, 10), FrameKind::Entry, &[&[1; 3000]]);
        for sector in 1..bytes.len().div_ceil(SECTOR) {
            let mut bytes = bytes.clone();
            let end = bytes.len().min((sector + 1) * SECTOR);
            bytes[sector * SECTOR..end].fill(0);
            assert!(matches!(parse(&bytes, 0, 7), ParsedFrame::Torn), "sector {sector}");
        }
    }
}
