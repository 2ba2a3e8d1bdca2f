//! Text of others on a terminal: what would drive it, or cannot be seen, is shown as an escape.

/// Longest piece of a character or sequence that is kept until the rest of it comes.
const PARTIAL_MAX: usize = 64;

/// Text for one line: control characters and those that reorder text are shown as escapes, `\n` and `\u{1b}`.
pub(crate) fn one_line(text: &str) -> String {
    if !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        if is_unsafe(c) {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

/// The same line by line.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

fn is_unsafe(c: char) -> bool {
    // Marks that change the direction of what follows make a name look like another one.
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Output of a task for a terminal: text, colours and what progress bars need pass, the rest is escaped.
#[derive(Debug, Default)]
pub(crate) struct Escaper {
    rest: Vec<u8>,
    escaped: bool,
}

impl Escaper {
    /// Whether anything had to be escaped.
    pub(crate) fn has_escaped(&self) -> bool {
        self.escaped
    }

    /// What may be written of these bytes and what was kept before.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        self.pass(&all, false)
    }

    /// What is left at the end.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.rest);
        self.pass(&all, true)
    }

    fn pass(&mut self, mut bytes: &[u8], is_end: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 16);
        while let Some(&first) = bytes.first() {
            match piece(bytes) {
                Piece::Fine(n) => {
                    out.extend_from_slice(&bytes[..n]);
                    bytes = &bytes[n..];
                }
                Piece::Partial if !is_end && bytes.len() < PARTIAL_MAX => {
                    self.rest = bytes.to_vec();
                    break;
                }
                Piece::Partial | Piece::Unsafe => {
                    self.escaped = true;
                    out.extend(first.escape_ascii());
                    bytes = &bytes[1..];
                }
            }
        }
        out
    }
}

/// What stands at the beginning of some bytes.
enum Piece {
    /// Number of bytes that may pass.
    Fine(usize),
    /// The beginning of something whose end is not there yet.
    Partial,
    Unsafe,
}

fn piece(bytes: &[u8]) -> Piece {
    match bytes[0] {
        b'\n' | b'\r' | b'\t' | 0x08 => Piece::Fine(1),
        0x1b => sequence(bytes),
        0x20..0x7f => Piece::Fine(1),
        0xc2..=0xf4 => character(bytes),
        _ => Piece::Unsafe,
    }
}

/// A sequence that colours, or erases a line.
fn sequence(bytes: &[u8]) -> Piece {
    match bytes.get(1) {
        None => return Piece::Partial,
        Some(b'[') => {}
        Some(_) => return Piece::Unsafe,
    }
    let parameters = bytes[2..].iter().take_while(|b| b.is_ascii_digit() || **b == b';').count();
    match bytes.get(2 + parameters) {
        None => Piece::Partial,
        Some(b'm' | b'K') => Piece::Fine(3 + parameters),
        Some(_) => Piece::Unsafe,
    }
}

fn character(bytes: &[u8]) -> Piece {
    let length = match bytes[0] {
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    let have = &bytes[..length.min(bytes.len())];
    match std::str::from_utf8(have) {
        Ok(text) if text.chars().any(is_unsafe) => Piece::Unsafe,
        Ok(_) => Piece::Fine(length),
        Err(error) if error.error_len().is_none() => Piece::Partial,
        Err(_) => Piece::Unsafe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_drive_a_terminal() {
        for (text, shown) in [
            ("train größe 学習 🚀", "train größe 学習 🚀"),
            ("a\nb\tc", "a\\nb\\tc"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(one_line(text), shown);
        }
        assert_eq!(lines("a\r\nb"), "a\\r\nb");
    }

    /// In one piece and byte by byte, the same must come out.
    fn escaped(bytes: &[u8]) -> (String, bool) {
        let mut whole = Escaper::default();
        let mut once = whole.push(bytes);
        once.extend(whole.end());
        let mut slow = Escaper::default();
        let mut pieces: Vec<u8> = bytes.chunks(1).flat_map(|byte| slow.push(byte)).collect();
        pieces.extend(slow.end());
        assert_eq!(once, pieces);
        (String::from_utf8(once).unwrap(), whole.has_escaped())
    }

    #[test]
    fn output_passes_as_far_as_it_is_text() {
        for text in ["größe 学習 🚀\n", "\u{1b}[1;31mred\u{1b}[0m\r\u{1b}[K50%\n", "a\tb\u{8}c"] {
            assert_eq!(escaped(text.as_bytes()), (text.to_owned(), false));
        }
        let cases: [(&[u8], &str); 6] = [
            (b"hi\0\xff", "hi\\x00\\xff"),
            (b"\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
            (b"\x1b[2Jx", "\\x1b[2Jx"),
            (b"\xe5\xad", "\\xe5\\xad"),
            (b"\xc2\x9b31m", "\\xc2\\x9b31m"),
            (b"x\x1b[1", "x\\x1b[1"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(escaped(bytes), (shown.to_owned(), true), "{bytes:?}");
        }
    }
}
