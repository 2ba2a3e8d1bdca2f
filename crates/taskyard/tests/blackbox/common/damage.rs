//! Damage to files of a server that does not run.

use std::fs::{self, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Position after the last byte that is not zero.
pub(crate) fn end_of_content(path: &Path) -> u64 {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1)
}

/// Where the last write to a segment begins and ends. Frames tell: a length at 4, at 20 how many frames before it were
/// written together with it; they begin at multiples of 32.
pub(crate) fn last_batch(path: &Path) -> Range<u64> {
    let bytes = fs::read(path).unwrap();
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut frames) = (0, Vec::new());
    while bytes[at..].starts_with(b"TY") {
        frames.push((at, u32_at(at + 20)));
        at += (32 + u32_at(at + 4)).next_multiple_of(32);
    }
    let before = frames.last().unwrap().1;
    frames[frames.len() - 1 - before].0 as u64..at as u64
}

fn writable(path: &Path) -> fs::File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

pub(crate) fn flip(path: &Path, at: u64, bit: u32) {
    let (file, mut byte) = (writable(path), [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

pub(crate) fn zero(path: &Path, range: Range<u64>) {
    let len = range.end.saturating_sub(range.start) as usize;
    writable(path).write_all_at(&vec![0; len], range.start).unwrap();
}

pub(crate) fn truncate(path: &Path, len: u64) {
    writable(path).set_len(len).unwrap();
}
