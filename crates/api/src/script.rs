//! What the kernel must be able to make of a script: it is executed as a file of its own, and its first line says by
//! what.

use taskyard_model::{Invalid, lookalike};

/// Longer first lines are refused by the kernel.
const FIRST_LINE_BYTES_MAX: usize = 255;

/// Checks the first line. All complaints are about it.
pub fn check(bytes: &[u8]) -> Result<(), Invalid> {
    if bytes.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let shown = String::from_utf8_lossy(first);
    match mistake(bytes, first, &shown) {
        Some(remedy) => Err(Invalid::new("script", shown, remedy)),
        None => Ok(()),
    }
}

fn mistake(bytes: &[u8], first: &[u8], shown: &str) -> Option<String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some("the script is in UTF-16; save it as UTF-8 without a byte order mark".into());
    }
    let Some(interpreter) = first.strip_prefix(b"#!") else {
        let found = lookalike::find(shown).map(|found| format!(" ({found})")).unwrap_or_default();
        return Some(format!("the first line of a script must name its interpreter, as in #!/bin/sh{found}"));
    };
    if interpreter.ends_with(b"\r") {
        let remedy = "the line ends with a carriage return (a Windows line ending), which the kernel reads as part of the interpreter's name; convert the script, as with sed -i 's/\\r$//' FILE";
        return Some(remedy.into());
    }
    if let Some(found) = lookalike::find(shown) {
        return Some(found.to_string());
    }
    if first.len() > FIRST_LINE_BYTES_MAX {
        return Some(format!("the kernel reads at most {FIRST_LINE_BYTES_MAX} bytes of the first line"));
    }
    let program = interpreter.trim_ascii().split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
    if !program.contains(&b'/') {
        return Some(
            "name the interpreter with its path, as in #!/bin/bash, or use #!/usr/bin/env bash".into(),
        );
    }
    None
}

/// The line, from 1, of the first carriage return before a line's end, if a shell runs the script: it would become a
/// part of the last word there.
pub fn carriage_return(bytes: &[u8]) -> Option<usize> {
    let mut lines = bytes.split(|b| *b == b'\n');
    let first = lines.next().unwrap_or_default();
    let words = first.strip_prefix(b"#!")?.split(|b| b.is_ascii_whitespace());
    let is_shell = |word: &[u8]| {
        let name = word.rsplit(|b| *b == b'/').next().unwrap_or_default();
        [&b"sh"[..], b"bash", b"dash", b"ksh", b"mksh", b"zsh"].contains(&name)
    };
    if !words.take(4).any(is_shell) {
        return None;
    }
    lines.position(|line| line.ends_with(b"\r")).map(|index| index + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        for good in [
            &b"#!/bin/sh\necho \xff\n"[..],
            b"#! /bin/sh -e\n",
            b"#!/usr/bin/env python3\nprint('x')\r\n",
            b"\x7fELF\x02",
            b"#!./own/interpreter\n",
        ] {
            assert_eq!(check(good), Ok(()), "{}", String::from_utf8_lossy(good));
        }
        for (bad, remedy) in [
            (&b""[..], "as in #!/bin/sh"),
            (b"echo\n", "as in #!/bin/sh"),
            (b"\n#!/bin/sh\n", "as in #!/bin/sh"),
            (b"\xe2\x80\x8b#!/bin/sh\n", "zero-width character (U+200B)"),
            (b"#!/bin/sh\r\necho\r\n", "Windows line ending"),
            (b"#!/bin/sh\r", "Windows line ending"),
            (b"#!/bin/sh\xc2\xa0-e\n", "U+00A0"),
            (b"#!bash\n", "#!/usr/bin/env bash"),
            (b"#!\n", "#!/bin/bash"),
            (b"\xff\xfe#\0!\0", "UTF-16"),
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.field == "script" && error.remedy.contains(remedy), "{error}");
        }
        let long = format!("#!/bin/{}\n", "x".repeat(300));
        assert!(check(long.as_bytes()).unwrap_err().remedy.contains("255 bytes"));
    }

    #[test]
    fn carriage_returns_where_a_shell_reads_them() {
        assert_eq!(carriage_return(b"#!/bin/sh\ntrue\nexit 0\r\n"), Some(3));
        assert_eq!(carriage_return(b"#!/usr/bin/env bash\n\r\n"), Some(2));
        for quiet in [&b"#!/bin/sh\ntrue\n"[..], b"#!/usr/bin/python3\nx\r\n", b"", b"#!/bin/sh\necho a\rb\n"]
        {
            assert_eq!(carriage_return(quiet), None);
        }
    }
}
