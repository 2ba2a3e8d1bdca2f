//! Opens a trace, whatever it is packed with. What it is packed with is seen from its first bytes: names lie.

use crate::{TraceError, limits};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use taskyard_model::Invalid;

/// Bytes asked of the system at once. Less than readers of plain text ask for, which then goes past this buffer.
const READ_BYTES: usize = 32 << 10;

/// Packings that are known but not read, with their first bytes.
const NOT_READ: [(&str, &[u8]); 4] = [
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
    ("bzip2", b"BZh"),
    ("zip", b"PK\x03\x04"),
    ("7z", &[b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c]),
];

/// What users write for standard input.
const STDIN: &str = "-";

/// Opens a plain, gzip or xz file, or standard input.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, TraceError> {
    if path == Path::new(STDIN) {
        return unpack(BufReader::with_capacity(READ_BYTES, io::stdin()), "standard input");
    }
    let file = File::open(path).map_err(|e| TraceError::open(path, e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(TraceError::open(path, io::Error::from(io::ErrorKind::IsADirectory)));
    }
    unpack(BufReader::with_capacity(READ_BYTES, file), &path.display().to_string())
}

fn unpack<R: Read + 'static>(mut packed: BufReader<R>, shown: &str) -> Result<Box<dyn Read>, TraceError> {
    let head = packed.fill_buf().map_err(|e| TraceError::open(Path::new(shown), e))?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(packed)));
    }
    if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        return Ok(Box::new(XzReader::new_mem_limit(packed, true, limits::XZ_MEMORY_KIB_MAX)));
    }
    if let Some((name, _)) = NOT_READ.iter().find(|(_, magic)| head.starts_with(magic)) {
        let remedy = format!("this is a {name} file: unpack it, or pack it with gzip or xz");
        return Err(Invalid::new("trace", shown, remedy).into());
    }
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(Invalid::new("trace", shown, "this is text in UTF-16: save it as UTF-8").into());
    }
    Ok(Box::new(packed))
}

/// The name of a trace: that of the file without what says how it is kept.
pub(crate) fn trace_name(path: &Path) -> String {
    if path == Path::new(STDIN) {
        return "standard input".to_owned();
    }
    let mut name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    for suffix in [".gz", ".xz", ".swf", ".csv", ".txt"] {
        if let Some(shorter) = name.strip_suffix(suffix).filter(|s| !s.is_empty()) {
            name.truncate(shorter.len());
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut text = String::new();
        let mut reader = open(file.path()).map_err(|e| e.to_string())?;
        reader.read_to_string(&mut text).map_err(|e| e.to_string())?;
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    }

    /// `printf 'hello\n' | xz`
    const XZ: [u8; 64] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x16,
        0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x00,
        0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00, 0x01, 0x1e, 0x06, 0xc1, 0x2f, 0xa4,
        0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];

    #[test]
    fn reads_what_the_first_bytes_say() {
        assert_eq!(read(b"hello\n").unwrap(), "hello\n");
        assert_eq!(read(b"").unwrap(), "");
        assert_eq!(read(&XZ).unwrap(), "hello\n");
        let two = [gzip("hello\n"), gzip("again\n")].concat();
        assert_eq!(read(&two).unwrap(), "hello\nagain\n", "members after the first");
    }

    #[test]
    fn damage_and_other_packings_are_errors() {
        let whole = gzip(&"a line of text\n".repeat(1_000));
        assert!(read(&whole[..whole.len() - 6]).is_err(), "cut");
        assert!(read(&XZ[..40]).is_err(), "cut");
        let zstd = read(&[0x28, 0xb5, 0x2f, 0xfd, 0]).unwrap_err();
        assert!(zstd.contains("zstd") && zstd.contains("gzip or xz"), "{zstd}");
        assert!(read(&[0xff, 0xfe, b';', 0]).unwrap_err().contains("UTF-8"));
        assert!(open(Path::new("does/not/exist")).is_err_and(|e| e.to_string().contains("does/not/exist")));
        assert!(open(Path::new("src")).is_err(), "a directory");
    }

    /// A wrong byte must end in an error or in the right text, never in a panic or in another text.
    #[test]
    fn no_wrong_byte_goes_unseen() {
        for packed in [XZ.to_vec(), gzip("hello\n")] {
            for at in 0..packed.len() {
                let mut wrong = packed.clone();
                wrong[at] ^= 0x15;
                let text = read(&wrong);
                // Without its magic it is a plain file, and the header of gzip has bytes that mean nothing.
                let plain = text.as_ref().is_ok_and(|t| t == "hello\n") || at < 6;
                assert!(text.is_err() || plain, "byte {at}: {text:?}");
            }
        }
    }

    #[test]
    fn names() {
        for (path, name) in
            [("a/KTH.swf.xz", "KTH"), ("b.csv", "b"), (".gz", ".gz"), ("x.1", "x.1"), ("-", "standard input")]
        {
            assert_eq!(trace_name(Path::new(path)), name);
        }
    }
}
