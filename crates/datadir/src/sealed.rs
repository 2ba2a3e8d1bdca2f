//! Small text files with checksums in them. Each line ends with the checksum of the file up to there, and the last
//! line says that it is the last, so that whatever changed, was cut off or was added is noticed, and in which line.

use crate::{DirError, private};
use std::io;
use std::path::Path;

/// Begins the last line.
const END: &str = "end";
/// Begins the line with the checksum that stands before certificates and keys, where readers of PEM skip it.
const PEM_SUM: &str = "crc32c ";

/// Puts lines into a file, in place of what was in it. Durable on return. A line must not have a line break in it.
pub fn write_sealed(path: &Path, lines: &[&str]) -> Result<(), DirError> {
    private::replace(path, seal(lines).as_bytes()).map_err(DirError::io("write", path))
}

/// The lines of a file that [`write_sealed`] wrote; `None` if it is not there.
pub fn read_sealed(path: &Path) -> Result<Option<Vec<String>>, DirError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    unseal(&bytes).map(Some).map_err(|(offset, what)| damaged(path, offset, what))
}

/// Puts a certificate or a key into a file, as [`write_sealed`] does lines.
pub fn write_pem(path: &Path, pem: &str) -> Result<(), DirError> {
    private::replace(path, seal_pem(pem).as_bytes()).map_err(DirError::io("write", path))
}

/// The text that [`write_pem`] wrote; `None` if the file is not there.
pub fn read_pem(path: &Path) -> Result<Option<String>, DirError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|error| damaged(path, error.utf8_error().valid_up_to(), "it is not text".into()))?;
    let sealed = text.strip_prefix(PEM_SUM).and_then(|rest| rest.split_once('\n'));
    let Some((sum, pem)) = sealed else {
        return Err(damaged(path, 0, format!("it does not begin with `{PEM_SUM}` and a checksum")));
    };
    if sum != hex(crc32c::crc32c(pem.as_bytes())) {
        let what = format!("the checksum in its first line, {sum}, is not that of the rest");
        return Err(damaged(path, PEM_SUM.len() + sum.len() + 1, what));
    }
    Ok(Some(pem.to_owned()))
}

/// What [`write_pem`] writes.
pub fn seal_pem(pem: &str) -> String {
    format!("{PEM_SUM}{}\n{pem}", hex(crc32c::crc32c(pem.as_bytes())))
}

fn seal(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut crc = 0;
    for line in lines.iter().copied().chain([END]) {
        crc = crc32c::crc32c_append(crc, line.as_bytes());
        text.push_str(&format!("{line} {}\n", hex(crc)));
    }
    text
}

/// Or where the first line is that is not what was written, and why.
fn unseal(bytes: &[u8]) -> Result<Vec<String>, (usize, String)> {
    let mut lines = Vec::new();
    let (mut at, mut crc) = (0, 0);
    loop {
        let whole = bytes[at..].split_inclusive(|byte| *byte == b'\n').next();
        let whole = whole.ok_or_else(|| (at, format!("it is cut short: the line `{END}` is missing")))?;
        let wrong =
            || (at, format!("line {} is not what was written: its checksum does not match", lines.len() + 1));
        let text =
            std::str::from_utf8(whole).ok().and_then(|text| text.strip_suffix('\n')).ok_or_else(wrong)?;
        let (line, sum) = text.rsplit_once(' ').ok_or_else(wrong)?;
        crc = crc32c::crc32c_append(crc, line.as_bytes());
        if sum != hex(crc) {
            return Err(wrong());
        }
        at += whole.len();
        if line == END {
            let more = (at, "there is data after its end".to_owned());
            return if at == bytes.len() { Ok(lines) } else { Err(more) };
        }
        lines.push(line.to_owned());
    }
}

fn hex(crc: u32) -> String {
    format!("{crc:08x}")
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, DirError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DirError::io("read", path)(error)),
    }
}

fn damaged(path: &Path, offset: usize, what: String) -> DirError {
    DirError::Damaged { path: path.to_owned(), offset: offset as u64, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 3] = ["cluster taskyard-0a1b2c3d", "server 1", "log 00c0ffee"];

    /// Changes every bit, every length, and adds a byte; all must be refused.
    fn refuses_all_damage(text: &str, read: impl Fn(&[u8]) -> bool) {
        assert!(read(text.as_bytes()), "unharmed: {text}");
        let mut examined = 0;
        for bit in 0..text.len() * 8 {
            let mut harmed = text.as_bytes().to_vec();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert!(!read(&harmed), "bit {bit} of {text}");
            examined += 1;
        }
        for len in 0..text.len() {
            assert!(!read(&text.as_bytes()[..len]), "the first {len} bytes of {text}");
        }
        assert!(!read(format!("{text}x").as_bytes()), "more than {text}");
        assert!(examined > 100);
    }

    #[test]
    fn any_damage_is_noticed() {
        refuses_all_damage(&seal(&LINES), |bytes| unseal(bytes).is_ok());
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ca.crt");
        let pem = "-----BEGIN CERTIFICATE-----\nAAECAwQ=\n-----END CERTIFICATE-----\n";
        write_pem(&path, pem).expect("written");
        assert_eq!(read_pem(&path).expect("whole").as_deref(), Some(pem));
        refuses_all_damage(&seal_pem(pem), |bytes| {
            std::fs::write(&path, bytes).expect("written");
            read_pem(&path).is_ok()
        });
    }

    #[test]
    fn the_damaged_line_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("FORMAT");
        assert_eq!(read_sealed(&path).expect("no file"), None);
        write_sealed(&path, &LINES).expect("written");
        assert_eq!(read_sealed(&path).expect("whole"), Some(LINES.map(str::to_owned).to_vec()));
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, text.replace("server 1", "server 3")).expect("written");
        let refused = read_sealed(&path).expect_err("changed").to_string();
        let line = text.lines().next().map_or(0, |line| line.len() + 1);
        assert!(refused.contains(&format!("FORMAT is damaged at offset {line}: line 2")), "{refused}");
    }
}
