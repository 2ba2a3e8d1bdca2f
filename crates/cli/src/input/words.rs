//! Splits a line into words the way people expect of a shell: quotes and backslashes, nothing else.

use taskyard_client::api::lookalike;

/// The words of a line. `Err` says what is wrong with it.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
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
            other => {
                // In plain quotes they may be meant.
                if let Some(found) = lookalike::find(other.encode_utf8(&mut [0; 4])) {
                    let before = line.chars().count() - chars.as_str().chars().count();
                    return Err(lookalike::Lookalike { column: before, ..found }.to_string());
                }
                word.get_or_insert_default().push(other);
            }
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next() {
            None => return Err(format!("a quote {quote} is not closed")),
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
        let cases: [(&str, &[&str]); 7] = [
            ("  --mem 4GiB\t--name=x ", &["--mem", "4GiB", "--name=x"]),
            ("--constraint 'zone in (a,b) && !spot'", &["--constraint", "zone in (a,b) && !spot"]),
            (r#"--env "A=b \" c" '' "#, &["--env", "A=b \" c", ""]),
            (r"a\ b c'd'e", &["a b", "cde"]),
            ("--hold # until noon", &["--hold"]),
            ("--env 'A=it’s'", &["--env", "A=it’s"]),
            ("", &[]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for (line, why) in [
            ("--name 'x", "a quote ' is not closed"),
            ("--name \"x", "a quote \" is not closed"),
            (" --name “x”", "column 9 holds a typographic quote (U+201C); write \" instead"),
            ("–cpus 3", "column 1 holds an unusual dash (U+2013); write - instead"),
            ("--cpus\u{a0}3", "column 7 holds an unusual space (U+00A0); write a plain space instead"),
        ] {
            assert_eq!(split(line).unwrap_err(), why, "{line}");
        }
    }
}
