//! On which glibc a binary runs: the newest version that any of its symbols names.

use super::command;
use crate::run::output;
use anyhow::{Result, bail};
use std::fmt;
use std::path::Path;

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

/// What a release is to run on: Debian 10, RHEL 8.
pub const OLDEST: Version = Version(2, 28);
/// The first that starts a program with packed relocations.
const PACKED: Version = Version(2, 36);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The oldest glibc that a binary runs on.
pub fn needs(binary: &Path) -> Result<Version> {
    let symbols = output(command("objdump", &["-p", super::path(binary)?]))?;
    match newest(&symbols) {
        Some(version) => Ok(version),
        None => bail!("{} names no version of glibc", binary.display()),
    }
}

fn newest(symbols: &str) -> Option<Version> {
    let names = symbols.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    let version = |name: &str| {
        if name == "ABI_DT_RELR" {
            return Some(PACKED);
        }
        let mut numbers = name.split('.').map(str::parse);
        Some(Version(numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    names.filter_map(version).max()
}

#[cfg(test)]
mod tests {
    use super::{Version, newest};

    #[test]
    fn the_newest_symbol_decides() {
        let symbols = "required from libc.so.6:\n 0x09691a75 0x00 04 GLIBC_2.2.5\n 0x069691b4 0x00 03 GLIBC_2.34\n 0x0 GLIBC_2.17\n";
        assert_eq!(newest(symbols), Some(Version(2, 34)));
        assert_eq!(newest("GLIBC_2.4 GLIBC_ABI_DT_RELR"), Some(Version(2, 36)));
        assert_eq!(newest("GLIBC_PRIVATE no"), None);
    }
}
