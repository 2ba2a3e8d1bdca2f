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
        write!(f, "{}: \"{}\": {}", self.field, self.value, self.remedy)
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(Invalid::new("f", "x".repeat(500), "r").value.chars().count(), 81);
        assert_eq!(Invalid::new("f", "cpus\u{200b}", "r").value, "cpus\\u{200b}");
    }
}
