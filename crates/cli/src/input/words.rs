//! Splits a line into words the way people expect of a shell: quotes and backslashes, nothing else.

/// The words of a line. `Err` names the quote that is not closed.
pub(crate) fn split(line: &str) -> Result<Vec<String>, char> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' => words.extend(word.take()),
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().extend(chars.next()),
            // As in a shell, so that a directive can be explained.
            '#' if word.is_none() => break,
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), char> {
    loop {
        match chars.next() {
            None => return Err(quote),
            Some(c) if c == quote => return Ok(()),
            Some('\\') if quote == '"' => word.extend(chars.next()),
            Some(c) => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn splits() {
        let cases: [(&str, &[&str]); 6] = [
            ("  --mem 4GiB\t--name=x ", &["--mem", "4GiB", "--name=x"]),
            ("--constraint 'zone in (a,b) && !spot'", &["--constraint", "zone in (a,b) && !spot"]),
            (r#"--env "A=b \" c" '' "#, &["--env", "A=b \" c", ""]),
            (r"a\ b c'd'e", &["a b", "cde"]),
            ("--hold # until noon", &["--hold"]),
            ("", &[]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert_eq!(split("--name 'x"), Err('\''));
        assert_eq!(split("--name \"x"), Err('"'));
    }
}
