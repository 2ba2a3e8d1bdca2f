//! Records of the journal and their framing.
//!
//! A file is [`MAGIC`], then frames: length of the payload (u32, little endian), CRC32C of those four bytes, CRC32C of
//! the payload, payload. A payload is records in CBOR, one after the other; it is what one write(2) wrote.

use minicbor::{Decode, Encode};
use taskyard_model::{Fence, Finish, Incarnation, TaskRef};
use taskyard_wire::StartRun;

/// Begins every journal; the number at its end is the version of the format.
pub(crate) const MAGIC: &[u8; 8] = b"TYAGENT1";
/// Length and two checksums.
pub(crate) const HEADER_BYTES: usize = 12;

/// One fact.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(crate) enum JournalRecord {
    /// Highest term of a server seen.
    #[n(0)]
    Term(#[n(0)] u64),
    /// The registered life.
    #[n(1)]
    Incarnation(#[n(0)] Incarnation),
    /// Where the life is led: this directory, in this boot of the machine. A copy of the file is somewhere else.
    #[n(2)]
    Place(#[n(0)] String),
    /// These were assigned to us.
    #[n(3)]
    Accepted(#[n(0)] StartRun),
    /// These may have a process from now on, and are never executed again.
    #[n(4)]
    Starting {
        #[n(0)]
        first: TaskRef,
        #[n(1)]
        count: u32,
        #[n(2)]
        attempt: u32,
        #[n(3)]
        fence: Fence,
    },
    /// A result.
    #[n(5)]
    Ended(#[n(0)] Finish),
    /// It never started and never will.
    #[n(6)]
    Returned {
        #[n(0)]
        task: TaskRef,
        #[n(1)]
        fence: Fence,
    },
    /// A cancel of something that had not come yet.
    #[n(7)]
    Tombstone {
        #[n(0)]
        task: TaskRef,
        #[n(1)]
        fence: Fence,
    },
    /// This many of the oldest `Ended` and `Returned` are in the server's log.
    #[n(8)]
    Acked(#[n(0)] u64),
}

/// Appends a frame's header for `payload` to `out`, then the payload.
pub(crate) fn frame(payload: &[u8], out: &mut Vec<u8>) {
    let length = (payload.len() as u32).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc32c::crc32c(&length).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// What stands at the front of `bytes`.
pub(crate) enum Front<'a> {
    /// A whole frame of this payload.
    Frame(&'a [u8]),
    /// A write that did not complete: nothing follows.
    Torn,
    /// Not what was written.
    Corrupt,
}

/// Reads the frame at the front of `bytes`, which is not empty.
pub(crate) fn front(bytes: &[u8]) -> Front<'_> {
    // After a loss of power a file may end in a hole.
    if bytes.iter().all(|b| *b == 0) || bytes.len() < HEADER_BYTES {
        return Front::Torn;
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if crc32c::crc32c(&bytes[..4]) != word(4) {
        return Front::Corrupt;
    }
    let end = HEADER_BYTES + word(0) as usize;
    match bytes.get(HEADER_BYTES..end) {
        None => Front::Torn,
        Some(payload) if crc32c::crc32c(payload) == word(8) => Front::Frame(payload),
        Some(_) if end == bytes.len() => Front::Torn,
        Some(_) => Front::Corrupt,
    }
}
