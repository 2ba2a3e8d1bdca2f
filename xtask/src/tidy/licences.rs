//! Licences of what we build with: each must offer one that [`allow::LICENCES`] lists.

use super::{Findings, allow};
use crate::metadata;
use anyhow::Result;

pub fn check(findings: &mut Findings) -> Result<()> {
    for (name, version, licence) in metadata::licences()? {
        if !is_allowed(&licence) {
            findings.error(format!("{name} {version}"), format!("licence {licence:?} is not on the list"));
        }
    }
    Ok(())
}

/// Reads an SPDX expression: `AND` binds tighter than `OR`; an old slash means `OR`.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut allowed = all(words);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        allowed |= all(words);
    }
    allowed
}

fn all(words: &mut &[&str]) -> bool {
    let mut allowed = one(words);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let allowed = any(words);
            *words = words.get(1..).unwrap_or_default();
            allowed
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allow::LICENCES.contains(&format!("{licence} WITH {exception}").as_str())
        }
        [licence, rest @ ..] => {
            *words = rest;
            allow::LICENCES.contains(licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn reads_expressions() {
        for good in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
            assert!(is_allowed(good), "{good}");
        }
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception OR GPL-2.0"));
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR (MIT AND AGPL-3.0)", "MIT GPL-3.0"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
