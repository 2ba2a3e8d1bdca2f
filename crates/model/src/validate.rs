//! The shape of every complaint about input: which field, which value, and what to do.

use crate::lookalike::visible;
use std::fmt;

/// A refused input. Shown to people as it is, so it says what to type instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// The field as the user wrote it: `--mem`, `resources.memory`, `array`.
    pub field: String,
    /// The offending value, cut to a readable length.
    pub value: String,
    /// What is wrong and how to mend it.
    pub remedy: String,
}

impl Invalid {
    /// A complaint about `field` holding `value`.
    pub fn new(field: impl Into<String>, value: impl fmt::Display, remedy: impl Into<String>) -> Self {
        Invalid { field: field.into(), value: shorten(&value.to_string()), remedy: remedy.into() }
    }

    /// The same complaint under the name the user knows the field by.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            // Quotes around nothing would read as a value that somebody gave.
            "" => write!(f, "{}: {}", self.field, self.remedy),
            value => write!(f, "{}: \"{value}\": {}", self.field, self.remedy),
        }
    }
}

/// A readable length of characters, all of which a terminal shows.
fn shorten(value: &str) -> String {
    const SHOWN: usize = 80;
    match value.char_indices().nth(SHOWN) {
        None => visible(value),
        Some((end, _)) => format!("{}…", visible(&value[..end])),
    }
}

/// Checks a name of a job, queue, node, resource or label: 1 to 128 of `[a-z0-9._-]`, in lower case so that no two names differ by case alone.
pub fn name(field: &str, value: &str) -> Result<(), Invalid> {
    let max = crate::limits::NAME_CHARS_MAX;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if value.is_empty() || value.len() > max || !value.chars().all(allowed) {
        return Err(Invalid::new(
            field,
            value,
            format!("a name has 1 to {max} of the characters a-z 0-9 . _ -"),
        ));
    }
    Ok(())
}

/// Checks a name that is for people alone, as a job's: 1 to 128 visible characters, with spaces between them.
pub fn title(field: &str, value: &str) -> Result<(), Invalid> {
    let max = crate::limits::NAME_CHARS_MAX;
    if let Some((at, c)) = value.chars().enumerate().find(|(_, c)| unseen(*c).is_some()) {
        let what = unseen(c).unwrap_or_default();
        let shown: String = value.chars().map(|c| if unseen(c).is_some() { '\u{fffd}' } else { c }).collect();
        let remedy = format!("character {} is U+{:04X}, {what}: leave it out", at + 1, u32::from(c));
        return Err(Invalid::new(field, shown, remedy));
    }
    let count = value.chars().count();
    if count == 0 || count > max || value.trim() != value {
        let remedy = format!("a name has 1 to {max} characters, and neither begins nor ends with a space");
        return Err(Invalid::new(field, value, remedy));
    }
    Ok(())
}

/// Makes a text what [`title`] takes: what cannot be seen becomes a space, spaces become one, and what is too long is cut. `None` if nothing is left.
pub fn to_title(text: &str, chars_max: usize) -> Option<String> {
    let seen: String = text.chars().map(|c| if unseen(c).is_some() { ' ' } else { c }).collect();
    let words = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = words.chars().take(chars_max.min(crate::limits::NAME_CHARS_MAX)).collect();
    Some(cut.trim_end().to_owned()).filter(|title| !title.is_empty())
}

/// What a character is that shows nothing, or shows others otherwise than they are.
fn unseen(c: char) -> Option<&'static str> {
    Some(match c {
        ' ' | '\u{3000}' => return None,
        c if c.is_control() => "a control character",
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "which changes the text direction"
        }
        '\u{00ad}'
        | '\u{034f}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => "which has no width",
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' => "which is blank",
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' => "for private use",
        '\u{fdd0}'..='\u{fdef}' | '\u{fffd}' => "no character",
        c if u32::from(c) & 0xfffe == 0xfffe => "no character",
        c if c.is_whitespace() => "an unusual space",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_hold_what_can_be_seen() {
        for good in [
            "train",
            "Train v2 (GPU)",
            "a/b: c",
            "überprüfen",
            "学習 ジョブ",
            "😀 ok",
            "e\u{301}",
            "für i in 1 2; do",
        ] {
            assert_eq!(title("name", good), Ok(()), "{good}");
        }
        assert_eq!(title("name", &"é".repeat(128)), Ok(()), "characters count, not bytes");
        for bad in ["", " ", " a", "a ", &"x".repeat(129)] {
            assert!(title("name", bad).is_err(), "{bad:?}");
        }
        for (bad, what) in [
            ("a\nb", "character 2 is U+000A, a control character"),
            ("a\u{1b}[31m", "U+001B, a control"),
            ("a\u{85}b", "U+0085, a control"),
            ("ab\u{202e}c", "character 3 is U+202E, which changes the text direction"),
            ("a\u{200b}b", "U+200B, which has no width"),
            ("a\u{feff}", "U+FEFF, which has no width"),
            ("\u{e000}", "U+E000, for private use"),
            ("\u{10fffd}", "U+10FFFD, for private use"),
            ("\u{1ffff}", "U+1FFFF, no character"),
            ("a\u{a0}b", "U+00A0, an unusual space"),
            ("a\u{2028}b", "U+2028, an unusual space"),
            ("a\u{fffd}", "U+FFFD, no character"),
        ] {
            let error = title("name", bad).unwrap_err();
            assert!(error.remedy.contains(what), "{bad:?}: {error}");
            assert!(error.value.chars().all(|c| unseen(c).is_none() || c == '\u{fffd}'), "{error:?}");
        }
    }

    #[test]
    fn any_text_makes_a_title_or_none() {
        assert_eq!(
            to_title("for i in 1 2; do\n\techo $i\ndone", 40).as_deref(),
            Some("for i in 1 2; do echo $i done")
        );
        assert_eq!(to_title("abc def", 4).as_deref(), Some("abc"));
        assert_eq!(to_title(" \u{202e}\n", 40), None);
        for text in ["x\u{a0}\u{a0}y", "\u{feff}sh", &"é ".repeat(200)] {
            assert_eq!(title("name", &to_title(text, 400).unwrap()), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn names() {
        assert!(name("name", "train.v2_gpu-1").is_ok());
        for bad in ["", "Train", "a b", "a/b", &"x".repeat(129)] {
            let error = name("--name", bad).unwrap_err();
            assert_eq!(error.field, "--name");
        }
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(Invalid::new("cpuss", "", "no such field").to_string(), "cpuss: no such field");
        assert_eq!(Invalid::new("cpus", "x", "a number").to_string(), "cpus: \"x\": a number");
        assert_eq!(Invalid::new("f", "x".repeat(500), "r").value.chars().count(), 81);
        assert_eq!(Invalid::new("f", "cpus\u{200b}", "r").value, "cpus\\u{200b}");
    }
}
