//! Captured output as readers are shown it: where bytes were dropped, a line says so.
//!
//! Positions of two kinds: in the output as it was *written*, which stay when more of a running attempt's output is
//! dropped, and in what is *shown*, by which readers count what they have.

use crate::keeper::Cut;
use crate::packed::read_at;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use taskyard_model::limits;
use taskyard_wire::{LogChunk, LogRead};

/// Where the bytes are.
pub(super) enum OutputSource {
    /// In a file of this size.
    File(OwnedFd, u64),
    Packed(Vec<u8>),
}

impl OutputSource {
    pub(super) fn size(&self) -> u64 {
        match self {
            OutputSource::File(_, size) => *size,
            OutputSource::Packed(bytes) => bytes.len() as u64,
        }
    }

    fn read(&self, from: u64, length: usize) -> Result<Vec<u8>, Errno> {
        match self {
            OutputSource::Packed(bytes) => {
                let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
                Ok(bytes[from..bytes.len().min(from + length)].to_vec())
            }
            OutputSource::File(file, size) => {
                let left = usize::try_from(size.saturating_sub(from)).unwrap_or(usize::MAX);
                let mut data = vec![0; length.min(left)];
                let count = read_at(file, &mut data, from)?;
                data.truncate(count);
                Ok(data)
            }
        }
    }
}

/// Fills a chunk with what was asked for.
pub(super) fn fill(
    source: &OutputSource,
    cut: Cut,
    read: &LogRead,
    chunk: &mut LogChunk,
) -> Result<(), Errno> {
    let max = (read.max as usize).min(limits::LOG_READ_BYTES_MAX);
    let marker = marker(&cut);
    let size = source.size();
    let (mut at, skip) = match read.offset {
        Some(offset) if read.shown => written(&cut, marker.len() as u64, offset),
        Some(offset) => (offset, 0),
        None => (size.saturating_sub(max as u64).max(cut.to), 0),
    };
    chunk.dropped = cut.dropped();
    chunk.offset = shown(&cut, marker.len() as u64, at) + skip as u64;
    if (cut.from..cut.to).contains(&at) {
        chunk.data = marker.as_bytes()[skip..].to_vec();
        at = cut.to;
    }
    let until = if at < cut.from { cut.from } else { size };
    let length = max.min(usize::try_from(until.saturating_sub(at)).unwrap_or(usize::MAX));
    let mut data = source.read(at, length)?;
    if read.offset.is_none() {
        let before = before_tail(&data, read.tail_lines);
        data.drain(..before);
        at += before as u64;
        chunk.offset += before as u64;
    }
    chunk.next = at + data.len() as u64;
    chunk.data.append(&mut data);
    chunk.end = chunk.next >= size;
    Ok(())
}

fn marker(cut: &Cut) -> String {
    if cut.is_none() {
        return String::new();
    }
    format!("\n[taskyard: {} bytes of output dropped here, past the limit of the node]\n", cut.dropped())
}

/// The position in the output as it was written, and how much of the marker is passed.
fn written(cut: &Cut, marker: u64, shown: u64) -> (u64, usize) {
    match shown.checked_sub(cut.from) {
        Some(past) if cut.to > cut.from => match past.checked_sub(marker) {
            Some(past) => (cut.to + past, 0),
            None => (cut.from, past as usize),
        },
        _ => (shown, 0),
    }
}

fn shown(cut: &Cut, marker: u64, written: u64) -> u64 {
    match written.checked_sub(cut.to) {
        Some(past) if cut.to > cut.from => cut.from + marker + past,
        _ => written.min(if cut.to > cut.from { cut.from } else { written }),
    }
}

/// How many bytes come before the last `lines` lines.
fn before_tail(data: &[u8], lines: u64) -> usize {
    let mut newlines = data.iter().enumerate().rev().filter(|(at, b)| **b == b'\n' && at + 1 < data.len());
    let Some(nth) = usize::try_from(lines).ok().and_then(|lines| lines.checked_sub(1)) else {
        return data.len();
    };
    newlines.nth(nth).map_or(0, |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taskyard_model::{JobId, TaskRef};
    use taskyard_wire::Stream;

    #[test]
    fn tails() {
        for (text, lines, rest) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\n", 5, "a\n"),
            ("", 3, ""),
            ("a\nb\n", 0, ""),
        ] {
            assert_eq!(&text[before_tail(text.as_bytes(), lines)..], rest, "{text:?} {lines}");
        }
    }

    fn chunk(cut: Cut, offset: Option<u64>, shown: bool, max: u32) -> LogChunk {
        let task = TaskRef { job: JobId(1), index: 0 };
        let (stream, tail_lines) = (Stream::Stdout, 2);
        let read =
            LogRead { request: 0, task, attempt: 1, stream, offset, tail_lines, max, wait_ms: 0, shown };
        let mut chunk = LogChunk {
            request: 0,
            offset: 0,
            data: Vec::new(),
            end: false,
            error: None,
            dropped: 0,
            next: 0,
        };
        fill(&OutputSource::Packed(b"one\ntwo\n......six\nten\n".to_vec()), cut, &read, &mut chunk).unwrap();
        chunk
    }

    #[test]
    fn whatever_a_reader_has_it_gets_the_rest() {
        let cut = Cut::of(8, 14);
        let whole = format!("one\ntwo\n{}six\nten\n", marker(&cut));
        for max in [1, 3, 100] {
            for begin in 0..=whole.len() {
                let (mut got, mut next, mut shown) = (Vec::new(), begin as u64, true);
                loop {
                    let chunk = chunk(cut, Some(next), shown, max);
                    if shown {
                        assert_eq!(chunk.offset, begin as u64);
                    }
                    got.extend_from_slice(&chunk.data);
                    (next, shown) = (chunk.next, false);
                    if chunk.end {
                        break;
                    }
                }
                assert_eq!(String::from_utf8(got).unwrap(), whole[begin..], "from {begin}, {max} at once");
            }
        }
    }

    #[test]
    fn the_tail_of_what_was_cut() {
        let cut = Cut::of(8, 14);
        let tail = chunk(cut, None, false, 100);
        assert_eq!(tail.data, b"six\nten\n");
        assert_eq!(tail.offset, 8 + marker(&cut).len() as u64);
        assert_eq!((tail.dropped, tail.end), (6, true));
    }
}
