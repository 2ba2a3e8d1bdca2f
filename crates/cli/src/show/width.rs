//! How much room text takes on a terminal: wide characters take two columns, combining ones none.

use unicode_width::UnicodeWidthStr;

/// Columns that the text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text, cut to a number of columns.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    match columns {
        0 => String::new(),
        _ => format!("{}…", head(text, columns - 1)),
    }
}

/// The longest beginning within a number of columns.
fn head(text: &str, columns: usize) -> &str {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let fits = ends.take_while(|end| width(&text[..*end]) <= columns).last();
    // A joiner without what it joins would take in what comes next.
    text[..fits.unwrap_or(0)].trim_end_matches('\u{200d}')
}

/// The text in lines of a number of columns, broken between words where that is possible.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| width(line));
        let gap = usize::from(last > 0);
        if last + gap + width(word) <= columns {
            if let Some(line) = lines.last_mut() {
                line.push_str(if gap > 0 { " " } else { "" });
                line.push_str(word);
            }
            continue;
        }
        let mut rest = word;
        while width(rest) > columns {
            let piece = head(rest, columns);
            if piece.is_empty() {
                break;
            }
            lines.push(piece.to_owned());
            rest = &rest[piece.len()..];
        }
        lines.push(rest.to_owned());
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_and_combining_characters_are_counted() {
        for (text, columns) in [("abc", 3), ("学習", 4), ("cafe\u{301}", 4), ("🚀", 2), ("", 0)] {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!(cut("学習学習", 8), "学習学習");
        assert_eq!(cut("学習学習", 6), "学習…", "a half of a wide character is none");
        assert_eq!(cut("cafe\u{301}s", 4), "caf…");
        assert_eq!(cut("cafe\u{301}ss", 5), "cafe\u{301}…");
        assert_eq!(cut("abc", 1), "…");
    }

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("学習学習 x", 5), ["学習", "学習", "x"]);
        assert!(wrap("", 5).is_empty());
    }
}
