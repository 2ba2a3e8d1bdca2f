//! Rust source as tokens: as much of the language as it takes to find paths and items. Comments, strings, characters
//! and lifetimes are left out.

/// A token and the line it begins on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

/// Words, numbers, `::` and single signs.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, is_token) = next(rest, first);
        if is_token {
            found.push(Token { text: &rest[..length], line });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// The tokens without the items that only tests know.
pub fn tokens_without_tests(text: &str) -> Vec<Token<'_>> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let all = tokens(text);
    let (mut kept, mut at) = (Vec::with_capacity(all.len()), 0);
    while at < all.len() {
        if all[at..].iter().map(|token| token.text).take(TEST.len()).eq(TEST) {
            at += TEST.len() + item(&all[at + TEST.len()..]);
        } else {
            kept.push(all[at]);
            at += 1;
        }
    }
    kept
}

/// The length of an item: up to its semicolon, its closing brace, or, of a field or an arm, its comma.
fn item(tokens: &[Token<'_>]) -> usize {
    const ITEMS: [&str; 9] = ["fn", "impl", "struct", "enum", "mod", "const", "static", "type", "trait"];
    let (mut depth, mut is_item, mut is_use) = (0usize, false, false);
    for (at, Token { text, .. }) in tokens.iter().enumerate() {
        is_item |= ITEMS.contains(text);
        is_use |= depth == 0 && *text == "use";
        match *text {
            "(" | "[" | "{" => depth += 1,
            "}" if depth == 0 => return at,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = match *text {
            ";" => true,
            "," => !is_item && !is_use,
            "}" => !is_use,
            _ => false,
        };
        if depth == 0 && ends {
            return at + 1;
        }
    }
    tokens.len()
}

/// How long the next piece of the text is, and whether it is a token.
fn next(rest: &str, first: char) -> (usize, bool) {
    if let Some(comment) = comment(rest) {
        return (comment, false);
    }
    if let Some(string) = string(rest) {
        return (string, false);
    }
    if is_word(first) {
        return (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true);
    }
    if rest.starts_with("::") {
        return (2, true);
    }
    (first.len_utf8(), !first.is_whitespace())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.strip_prefix("/*")?;
    let (mut depth, mut at) = (0, 0);
    loop {
        // Block comments nest.
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return Some(at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            [] => return Some(rest.len()),
            _ => at += 1,
        }
    }
}

/// The length of a string, a character or a lifetime.
fn string(rest: &str) -> Option<usize> {
    if rest.starts_with('\'') {
        return Some(quoted_character(rest));
    }
    let prefix = ["b", "c", "br", "cr", "r", ""].into_iter().find(|p| {
        rest.strip_prefix(p).is_some_and(|after| match p.ends_with('r') {
            true => after.trim_start_matches('#').starts_with('"'),
            false => after.starts_with('"'),
        })
    })?;
    let after = &rest[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = prefix.len() + hashes + 1;
        return Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in after.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Some(prefix.len() + at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    Some(rest.len())
}

/// `'x'` and `'\n'` end at a quote; of `'lifetime` it is the quote alone.
fn quoted_character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let from = at + c.len_utf8();
            rest[from..].find('\'').map_or(rest.len(), |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_is_no_code() {
        let text =
            "a::b /* /* c */ d */ // e\n\"f \\\" g\" r#\"h \" i\"# b\"j\" 'k' '\\'' '\\u{1f}' 'l: m r#n";
        let words: Vec<&str> = tokens(text).iter().map(|token| token.text).collect();
        assert_eq!(words, ["a", "::", "b", "l", ":", "m", "r", "#", "n"]);
        let text = "#[cfg(test)]\nuse a::{b};\n#[cfg(test)]\nfn f<A, B>() { c(); }\nd { #[cfg(test)] x: e, y: g }\n#[cfg(test)] mod t { }";
        let words: Vec<&str> = tokens_without_tests(text).iter().map(|token| token.text).collect();
        assert_eq!(words, ["d", "{", "y", ":", "g", "}"]);
        assert_eq!(tokens("a\n\"\n\"\nb").iter().map(|token| token.line).collect::<Vec<_>>(), [1, 4]);
    }
}
