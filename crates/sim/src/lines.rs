//! Lines of a byte stream, lent from one buffer: no allocation per line, and no line can fill the memory.

use crate::limits::LINE_BYTES_MAX;
use std::io::{self, Read};

/// Bytes held at once as long as lines are short: what stays in a core's cache, and what the system need not clear
/// page by page.
const BUFFER_BYTES_USUAL: usize = 128 << 10;
/// Bytes held at once at most; more than one line may have.
const BUFFER_BYTES: usize = 4 * LINE_BYTES_MAX;

/// A line without its end, or word that one was longer than [`LINE_BYTES_MAX`] and was skipped.
pub(crate) enum InputLine<'a> {
    Text(&'a [u8]),
    TooLong,
}

/// Reads lines. Lending, hence no `Iterator`.
pub(crate) struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    /// Lines begun so far: the number, from 1, of the last one lent.
    pub(crate) number: u64,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(from: R) -> Self {
        Lines { from, buffer: vec![0; BUFFER_BYTES_USUAL], start: 0, end: 0, at_end: false, number: 0 }
    }

    /// The next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<InputLine<'_>>> {
        let mut too_long = false;
        let mut looked = 0;
        let (start, stop) = loop {
            if let Some(i) = memchr::memchr(b'\n', &self.buffer[self.start + looked..self.end]) {
                let stop = self.start + looked + i;
                break (std::mem::replace(&mut self.start, stop + 1), stop);
            }
            looked = self.end - self.start;
            if self.at_end && looked == 0 && !too_long {
                return Ok(None);
            }
            if self.at_end {
                break (std::mem::replace(&mut self.start, self.end), self.end);
            }
            if looked > LINE_BYTES_MAX {
                too_long = true;
                (self.start, self.end, looked) = (0, 0, 0);
            }
            self.fill()?;
        };
        self.number += 1;
        if too_long || stop - start > LINE_BYTES_MAX {
            return Ok(Some(InputLine::TooLong));
        }
        Ok(Some(InputLine::Text(&self.buffer[start..stop])))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize((2 * self.end).min(BUFFER_BYTES), 0);
        }
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    self.at_end = read == 0;
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Drips<'a>(&'a [u8], usize);

    impl Read for Drips<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(self.1).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn lengths(bytes: &[u8], at_once: usize) -> Vec<Option<usize>> {
        let mut lines = Lines::new(Drips(bytes, at_once));
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(match line {
                InputLine::Text(text) => Some(text.len()),
                InputLine::TooLong => None,
            });
        }
        assert_eq!(lines.number, found.len() as u64);
        found
    }

    #[test]
    fn splits_however_it_arrives() {
        for at_once in [1, 2, 3, 1_000] {
            assert_eq!(lengths(b"", at_once), []);
            assert_eq!(lengths(b"\n", at_once), [Some(0)]);
            assert_eq!(lengths(b"ab\n\ncde", at_once), [Some(2), Some(0), Some(3)]);
        }
    }

    #[test]
    fn skips_lines_that_are_too_long() {
        for length in [LINE_BYTES_MAX + 1, BUFFER_BYTES, 3 * BUFFER_BYTES + 7] {
            let long = vec![b'x'; length];
            for at_once in [4_096, BUFFER_BYTES] {
                assert_eq!(
                    lengths(&[b"a\n", &long[..], b"\nbc\n"].concat(), at_once),
                    [Some(1), None, Some(2)]
                );
                assert_eq!(lengths(&long, at_once), [None]);
            }
        }
        assert_eq!(
            lengths(&[&vec![b'x'; LINE_BYTES_MAX][..], b"\n"].concat(), 9_999),
            [Some(LINE_BYTES_MAX)]
        );
    }
}
