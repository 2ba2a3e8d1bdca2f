//! Characters that look like others, or like nothing: word processors, chat programs and web pages put them into what people copy.

use std::fmt;

/// One of them, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookalike {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// The character.
    pub char: char,
}

/// The first one in a text.
pub fn find(text: &str) -> Option<Lookalike> {
    let (mut line, mut column) = (1, 1);
    for char in text.chars() {
        if kind(char).is_some() {
            return Some(Lookalike { line, column, char });
        }
        (line, column) = if char == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    None
}

/// What such a character is called, and what was meant by it.
fn kind(char: char) -> Option<(&'static str, &'static str)> {
    Some(match char {
        '\u{feff}' => ("a byte order mark", ""),
        '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{180e}' => ("a zero-width character", ""),
        '\u{ad}' => ("a soft hyphen", ""),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            ("a text-direction mark", "")
        }
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ("an unusual space", "a plain space")
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => ("an unusual dash", "-"),
        '\u{2018}'..='\u{201b}' | '\u{b4}' | '\u{2032}' => ("a typographic quote", "'"),
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' | '\u{ff02}' => {
            ("a typographic quote", "\"")
        }
        _ => return None,
    })
}

impl fmt::Display for Lookalike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, meant) = kind(self.char).unwrap_or(("a character", ""));
        write!(f, "column {} holds {what} (U+{:04X}); ", self.column, u32::from(self.char))?;
        if meant.is_empty() { f.write_str("delete it") } else { write!(f, "write {meant} instead") }
    }
}

/// The text with all that a terminal would not show, or obey, written out: `\u{200b}`, `\n`, `\u{1b}`.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = c.is_control() || (kind(c).is_some() && (c.is_whitespace() || is_empty_glyph(c)));
        if hidden { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn is_empty_glyph(c: char) -> bool {
    kind(c).is_some_and(|(_, meant)| meant.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_names() {
        for (text, line, told) in [
            ("a\nb\u{200b}c", 2, "column 2 holds a zero-width character (U+200B); delete it"),
            ("\u{feff}x", 1, "column 1 holds a byte order mark (U+FEFF); delete it"),
            ("--a \u{201c}x", 1, "column 5 holds a typographic quote (U+201C); write \" instead"),
            ("\n\n\u{2013}x", 3, "column 1 holds an unusual dash (U+2013); write - instead"),
            ("a\u{a0}b", 1, "column 2 holds an unusual space (U+00A0); write a plain space instead"),
        ] {
            let found = find(text).unwrap();
            assert_eq!((found.line, found.to_string().as_str()), (line, told), "{text:?}");
        }
        for text in ["", "plain 'text' \"-\"\t\r\n", "Zürich 東京 🚀"] {
            assert_eq!(find(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_no_terminal_shows_is_written_out() {
        assert_eq!(visible("a\u{200b}\u{1b}[31m\r\n\u{a0}é“”"), "a\\u{200b}\\u{1b}[31m\\r\\n\\u{a0}é“”");
    }
}
