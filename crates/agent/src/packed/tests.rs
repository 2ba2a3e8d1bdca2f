//! Whatever happens to packed output, a reader gets what was written, or an error.

use super::*;
use std::fs;
use std::path::Path;

fn dir_fd(path: &Path) -> OwnedFd {
    OwnedFd::from(fs::File::open(path).unwrap())
}

const INDEX_NAME: &str = "index";

fn open_index(dir: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_plain(dir, INDEX_NAME, flags)
}

fn open_packer(dir: &OwnedFd) -> Result<Packer, Errno> {
    Packer::open(dir, open_index(dir, OFlags::CREATE | OFlags::RDWR)?)
}

fn find(dir: &OwnedFd, index: &mut PackedIndex, key: Key) -> Result<Option<Kept>, Unreadable> {
    index.find(Some(dir), || open_index(dir, OFlags::RDONLY), key)
}

fn output(dir: &OwnedFd, index: &mut PackedIndex, key: Key) -> Result<Option<Vec<u8>>, Unreadable> {
    let Some(kept) = find(dir, index, key)? else { return Ok(None) };
    let Kept::Packed(entry) = kept else { panic!("{key:?} has a file of its own: {kept:?}") };
    read(dir, &entry).map(Some)
}

fn text(dir: &OwnedFd, index: &mut PackedIndex, key: Key) -> Option<String> {
    output(dir, index, key).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn what_is_appended_is_found_also_by_a_reader_that_looked_before() {
    let temp = tempfile::tempdir().unwrap();
    let dir = dir_fd(temp.path());
    let mut index = PackedIndex::default();
    assert_eq!(find(&dir, &mut index, (0, 1, 0)).unwrap(), None, "nothing was ever packed");
    let mut packer = open_packer(&dir).unwrap();
    packer.append((0, 1, 0), b"one").unwrap();
    assert_eq!(text(&dir, &mut index, (0, 1, 0)).as_deref(), Some("one"));
    packer.note_own_file((0, 1, 1), 5 << 32 | 7).unwrap();
    assert_eq!(find(&dir, &mut index, (0, 1, 1)).unwrap(), Some(Kept::OwnFile { bytes: 5 << 32 | 7 }));
    for task in 1..10_000 {
        packer.append((task, 1, 1), task.to_string().as_bytes()).unwrap();
    }
    assert_eq!(text(&dir, &mut index, (9_999, 1, 1)).as_deref(), Some("9999"));
    assert_eq!(text(&dir, &mut index, (7, 1, 1)).as_deref(), Some("7"));
    assert_eq!(find(&dir, &mut index, (7, 2, 1)).unwrap(), None);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
}

/// What every test of damage begins with: outputs of some sizes, of both streams, and attempts that wrote nothing.
const OUTPUTS: [(Key, &str); 4] =
    [((0, 1, 0), "a\n"), ((3, 1, 0), "the third\n"), ((3, 1, 1), "!"), ((2, 2, 0), "again and again\n")];
const SILENT: [Key; 2] = [(1, 1, 0), (2, 1, 0)];

fn packed() -> (tempfile::TempDir, [Vec<u8>; 2]) {
    let temp = tempfile::tempdir().unwrap();
    let mut packer = open_packer(&dir_fd(temp.path())).unwrap();
    for (key, text) in OUTPUTS {
        packer.append(key, text.as_bytes()).unwrap();
    }
    let files = [INDEX_NAME, DATA].map(|name| fs::read(temp.path().join(name)).unwrap());
    (temp, files)
}

/// Holds what a reader is told against what was written. Answers with how many outputs are whole.
fn check(dir: &OwnedFd, outputs: &[(Key, &str)], what: &str) -> usize {
    let index = &mut PackedIndex::default();
    for key in SILENT {
        if let Ok(found) = output(dir, index, key) {
            assert_eq!(found, None, "{what}: {key:?}");
        }
    }
    let is_whole = |(key, text): &&(Key, &str)| match output(dir, index, *key) {
        Ok(found) => {
            assert_eq!(found.as_deref(), Some(text.as_bytes()), "{what}: {key:?}");
            true
        }
        Err(error) => {
            assert!(matches!(error, Unreadable::Damaged(_)), "{what}: {key:?}: {error}");
            false
        }
    };
    outputs.iter().filter(is_whole).count()
}

/// The same, and again after a keeper has come and appended.
fn check_now_and_later(path: &Path, least_whole: usize, what: &str) {
    let dir = dir_fd(path);
    let whole = check(&dir, &OUTPUTS, what);
    assert!((least_whole..OUTPUTS.len()).contains(&whole), "{what}: {whole} are whole");
    let late = ((9, 1, 0), "late\n");
    open_packer(&dir).unwrap().append(late.0, late.1.as_bytes()).unwrap();
    let outputs: Vec<_> = OUTPUTS.into_iter().chain([late]).collect();
    assert_eq!(check(&dir, &outputs, &format!("{what}, with more")), whole + 1, "{what}");
}

#[test]
fn a_changed_byte_is_an_error_for_one_output_and_leaves_the_others() {
    let (temp, files) = packed();
    for (name, bytes) in [INDEX_NAME, DATA].into_iter().zip(&files) {
        for at in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                for (name, bytes) in [INDEX_NAME, DATA].into_iter().zip(&files) {
                    fs::write(temp.path().join(name), bytes).unwrap();
                }
                let mut changed = bytes.clone();
                changed[at] ^= change;
                fs::write(temp.path().join(name), changed).unwrap();
                check_now_and_later(temp.path(), OUTPUTS.len() - 1, &format!("{name}, byte {at} ^ {change}"));
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_off_or_removed_is_an_error_for_what_is_lost() {
    let (temp, files) = packed();
    for (name, bytes) in [INDEX_NAME, DATA].into_iter().zip(&files) {
        for length in (0..bytes.len()).map(Some).chain([None]) {
            for (name, bytes) in [INDEX_NAME, DATA].into_iter().zip(&files) {
                fs::write(temp.path().join(name), bytes).unwrap();
            }
            match length {
                Some(length) => fs::write(temp.path().join(name), &bytes[..length]).unwrap(),
                None => fs::remove_file(temp.path().join(name)).unwrap(),
            }
            let left = length.unwrap_or(0);
            let whole = if name == INDEX_NAME { left / RECORD_BYTES } else { usize::from(left >= 2) };
            check_now_and_later(temp.path(), whole, &format!("{name}, {length:?} bytes"));
        }
    }
}

#[test]
fn the_damaged_place_is_named() {
    let (temp, [mut index, _]) = packed();
    index[RECORD_BYTES + 20] ^= 1;
    fs::write(temp.path().join(INDEX_NAME), index).unwrap();
    let dir = dir_fd(temp.path());
    let error = find(&dir, &mut PackedIndex::default(), (3, 1, 0)).unwrap_err().to_string();
    assert_eq!(error, "the index is damaged at offset 32: the checksum of its record does not match");
    fs::write(temp.path().join(DATA), "a\n").unwrap();
    let error = output(&dir, &mut PackedIndex::default(), (2, 2, 0)).unwrap_err().to_string();
    assert_eq!(error, "output.data is damaged at offset 13: it breaks off");
}

#[test]
fn a_keeper_that_was_killed_within_an_append_hides_nothing() {
    let (temp, _) = packed();
    let dir = dir_fd(temp.path());
    let mut packer = open_packer(&dir).unwrap();
    packer.append((5, 1, 0), b"half of it").unwrap();
    let data = packer.data;
    rustix::fs::ftruncate(&data, size(&data).unwrap() - 5).unwrap();
    assert_eq!(check(&dir, &OUTPUTS, "cut short"), OUTPUTS.len());
    open_packer(&dir).unwrap().append((6, 1, 0), b"next").unwrap();
    let index = &mut PackedIndex::default();
    assert_eq!(text(&dir, index, (6, 1, 0)).as_deref(), Some("next"));
    assert_eq!(find(&dir, index, (1, 1, 0)), Ok(None), "of what wrote nothing that is known");
    assert!(matches!(output(&dir, index, (5, 1, 0)), Err(Unreadable::Damaged(_))));
}

#[test]
fn links_are_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = dir_fd(temp.path());
    let secret = temp.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::hard_link(&secret, temp.path().join(DATA)).unwrap();
    assert!(open_packer(&dir).is_err(), "it has another name");
    fs::remove_file(temp.path().join(DATA)).unwrap();
    std::os::unix::fs::symlink(&secret, temp.path().join(DATA)).unwrap();
    assert!(open_packer(&dir).is_err());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}
