//! What a power cut leaves on a disk, worked out from the records of `shim/powercut.c`.
//!
//! The disk of the model promises no more than POSIX: a change of a file is safe once a sync of that file, begun after
//! the change, has returned; a name is safe once a sync of its directory has. Of everything else a power cut may leave
//! all, nothing, or for writes any of their 512-byte sectors. Changes of one directory happen in order. A sync that
//! failed makes nothing safe, and later syncs do not make up for it.

use super::random::Random;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTOR: usize = 512;
const MAGIC: u32 = 0x5455_4350;
const HEADER: usize = 48;

/// Compiles the shim into `dir`; its path.
pub(crate) fn build_shim(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/shim/powercut.c");
    let out = dir.join("powercut.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&out).arg(source).args(["-ldl", "-lpthread"]);
    let status = cc.status().unwrap_or_else(|error| panic!("a C compiler is needed: {error}"));
    assert!(status.success(), "{cc:?}: {status}");
    out
}

/// What may be left of changes that were not safe.
pub(crate) enum Cut<'a> {
    /// Nothing.
    LoseAll,
    /// Some, drawn at random.
    KeepSome(&'a mut Random),
}

/// What a power cut did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Damage {
    /// Records read.
    pub(crate) records: u64,
    /// Syncs that returned.
    pub(crate) syncs: u64,
    /// Writes and truncations of which nothing was left.
    pub(crate) lost: u64,
    /// Writes of which some sectors were left.
    pub(crate) torn: u64,
    /// Changes that stayed although nothing had made them safe.
    pub(crate) lucky: u64,
    /// Names that were not made, changed or removed.
    pub(crate) names_lost: u64,
}

impl std::ops::AddAssign for Damage {
    fn add_assign(&mut self, other: Damage) {
        self.records += other.records;
        self.syncs += other.syncs;
        self.lost += other.lost;
        self.torn += other.torn;
        self.lucky += other.lucky;
        self.names_lost += other.names_lost;
    }
}

/// One change of the disk, or the begin or end of a sync: a kind, and a path below the directory.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: u32,
    pub(crate) path: PathBuf,
}

/// Kinds of steps, as the shim numbers them.
pub(crate) const CREATE: u32 = 1;
pub(crate) const WRITE: u32 = 2;
pub(crate) const SYNC: u32 = 4;
pub(crate) const SYNCED: u32 = 5;
pub(crate) const RENAME: u32 = 7;
pub(crate) const UNLINK: u32 = 8;
pub(crate) const DIR_SYNC: u32 = 10;

impl Step {
    /// What it is, with one name for all files of a kind.
    pub(crate) fn name(&self) -> String {
        const KINDS: [&str; 12] = [
            "",
            "create",
            "write",
            "truncate",
            "sync begun",
            "synced",
            "mkdir",
            "rename",
            "unlink",
            "rmdir",
            "sync begun",
            "sync failed",
        ];
        let file = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dir = self.path.parent().unwrap_or(Path::new("")).display().to_string();
        let stem = |kind: &str| format!("{dir}/*.{kind}");
        let about = match file.rsplit_once('.') {
            Some((stem, "tmp")) if stem.starts_with("incoming") => format!("{dir}/incoming.tmp"),
            Some((number, "tmp")) if number.parse::<u64>().is_ok() => stem("tmp"),
            Some((_, kind @ ("wal" | "snap"))) => stem(kind),
            _ => self.path.display().to_string(),
        };
        format!("{} {about}", KINDS[self.kind as usize])
    }
}

/// A directory as the disk has it, and the changes that the disk may not have.
pub(crate) struct Disk {
    root: PathBuf,
    names: BTreeMap<PathBuf, Node>,
    pending_names: HashMap<PathBuf, Vec<NameChange>>,
    files: Vec<FileState>,
    by_ino: HashMap<u64, usize>,
    /// Syncs that have begun: the directory or file, and how many of its pending changes they cover.
    begun: HashMap<u64, Begun>,
    damage: Damage,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Debug)]
enum NameChange {
    Make(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Default)]
struct FileState {
    safe: Vec<u8>,
    /// Changes since, in order; numbered from `first`.
    pending: Vec<Change>,
    first: usize,
}

enum Change {
    Write { at: usize, bytes: Bytes, failed: bool },
    Truncate { len: usize, failed: bool },
}

enum Bytes {
    Zeros(usize),
    Given(Vec<u8>),
}

enum Begun {
    Directory { path: PathBuf, changes: usize },
    File { file: usize, upto: usize },
}

struct Record<'a> {
    kind: u32,
    ino: u64,
    at: u64,
    len: u64,
    path: PathBuf,
    other: PathBuf,
    data: &'a [u8],
}

impl Disk {
    /// The directory as it is now, all of it safe.
    pub(crate) fn of(root: &Path) -> Disk {
        let mut disk = Disk {
            root: root.to_owned(),
            names: BTreeMap::new(),
            pending_names: HashMap::new(),
            files: Vec::new(),
            by_ino: HashMap::new(),
            begun: HashMap::new(),
            damage: Damage::default(),
            steps: Vec::new(),
        };
        disk.scan(root);
        disk
    }

    fn scan(&mut self, dir: &Path) {
        self.names.insert(dir.to_owned(), Node::Directory);
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                self.scan(&path);
            } else {
                let file = self.new_file(metadata.ino());
                self.files[file].safe = fs::read(&path).unwrap();
                self.names.insert(path, Node::File(file));
            }
        }
    }

    fn new_file(&mut self, ino: u64) -> usize {
        self.files.push(FileState::default());
        self.by_ino.insert(ino, self.files.len() - 1);
        self.files.len() - 1
    }

    /// Follows the records of a program that has ended.
    pub(crate) fn follow(&mut self, log: &Path) {
        let bytes = fs::read(log).unwrap();
        let mut at = 0;
        // The last record may be incomplete: the program was killed while it was written.
        while let Some((record, next)) = parse(&bytes, at) {
            self.damage.records += 1;
            self.record(record);
            at = next;
        }
    }

    fn record(&mut self, record: Record<'_>) {
        let Record { kind, ino, at, len, path, other, data } = record;
        self.steps.push(Step { kind, path: path.strip_prefix(&self.root).unwrap().to_owned() });
        match kind {
            1 => {
                let file = self.new_file(ino);
                self.name(&path.clone(), NameChange::Make(path, Node::File(file)));
            }
            2 => {
                let bytes =
                    if data.is_empty() { Bytes::Zeros(len as usize) } else { Bytes::Given(data.to_vec()) };
                self.file(ino, &path).pending.push(Change::Write { at: at as usize, bytes, failed: false });
            }
            3 => self.file(ino, &path).pending.push(Change::Truncate { len: len as usize, failed: false }),
            4 => {
                let file = *self.by_ino.get(&ino).unwrap_or_else(|| panic!("{} is unknown", path.display()));
                let state = &self.files[file];
                self.begun.insert(at, Begun::File { file, upto: state.first + state.pending.len() });
            }
            5 => self.synced(at),
            6 => self.name(&path.clone(), NameChange::Make(path, Node::Directory)),
            7 => {
                assert_eq!(path.parent(), other.parent(), "the model knows only renames within a directory");
                self.name(&path.clone(), NameChange::Rename(path, other));
            }
            8 | 9 => self.name(&path.clone(), NameChange::Remove(path)),
            10 => {
                let changes = self.pending_names.get(&path).map_or(0, Vec::len);
                self.begun.insert(at, Begun::Directory { path, changes });
            }
            11 => self.sync_failed(at),
            kind => panic!("record of kind {kind}"),
        }
    }

    fn name(&mut self, path: &Path, change: NameChange) {
        self.pending_names.entry(path.parent().unwrap().to_owned()).or_default().push(change);
    }

    fn file(&mut self, ino: u64, path: &Path) -> &mut FileState {
        let file = self.by_ino.get(&ino);
        let file = *file.unwrap_or_else(|| panic!("{} was written, but never made", path.display()));
        &mut self.files[file]
    }

    fn synced(&mut self, id: u64) {
        self.damage.syncs += 1;
        match self.begun.remove(&id).unwrap() {
            Begun::Directory { path, changes } => {
                // Another sync, begun later, may have returned before this one.
                let pending = self.pending_names.entry(path).or_default();
                let safe: Vec<_> = pending.drain(..changes.min(pending.len())).collect();
                safe.into_iter().for_each(|change| self.rename(change));
            }
            Begun::File { file, upto } => {
                let state = &mut self.files[file];
                let covered = upto.saturating_sub(state.first);
                for change in state.pending.drain(..covered) {
                    if !change.failed() {
                        change.apply(&mut state.safe);
                    }
                }
                state.first += covered;
            }
        }
    }

    fn sync_failed(&mut self, id: u64) {
        if let Some(Begun::File { file, upto }) = self.begun.remove(&id) {
            let state = &mut self.files[file];
            let covered = upto.saturating_sub(state.first);
            for change in &mut state.pending[..covered] {
                let (Change::Write { failed, .. } | Change::Truncate { failed, .. }) = change;
                *failed = true;
            }
        }
    }

    fn rename(&mut self, change: NameChange) {
        match change {
            NameChange::Make(path, node) => drop(self.names.insert(path, node)),
            NameChange::Remove(path) => drop(self.names.remove(&path)),
            NameChange::Rename(from, to) => {
                let node = self.names.remove(&from);
                self.names.insert(to, node.unwrap_or_else(|| panic!("{} is unknown", from.display())));
            }
        }
    }

    /// All that has been followed, in order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Cuts the power: the directory becomes what is left.
    pub(crate) fn cut(mut self, mut cut: Cut<'_>) -> Damage {
        let mut directories: Vec<_> = std::mem::take(&mut self.pending_names).into_iter().collect();
        directories.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, changes) in directories {
            let kept = match &mut cut {
                Cut::LoseAll => 0,
                Cut::KeepSome(random) => random.below(changes.len() as u64 + 1) as usize,
            };
            self.damage.names_lost += (changes.len() - kept) as u64;
            self.damage.lucky += kept as u64;
            changes.into_iter().take(kept).for_each(|change| self.rename(change));
        }
        let damage = &mut self.damage;
        for file in &mut self.files {
            for change in file.pending.drain(..) {
                match &mut cut {
                    Cut::LoseAll => damage.lost += 1,
                    Cut::KeepSome(random) => change.keep_some(&mut file.safe, random, damage),
                }
            }
        }
        self.write();
        self.damage
    }

    fn write(&self) {
        for entry in fs::read_dir(&self.root).unwrap() {
            let path = entry.unwrap().path();
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.unwrap();
        }
        for (path, node) in &self.names {
            // What is in a directory that was lost is lost with it.
            if !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match node {
                Node::Directory if *path == self.root => {}
                Node::Directory => fs::create_dir(path).unwrap(),
                Node::File(file) => fs::write(path, &self.files[*file].safe).unwrap(),
            }
        }
    }
}

impl Change {
    fn failed(&self) -> bool {
        let (Change::Write { failed, .. } | Change::Truncate { failed, .. }) = self;
        *failed
    }

    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Truncate { len, .. } => file.resize(*len, 0),
            Change::Write { at, bytes, .. } => bytes.put(file, *at, 0..bytes.len()),
        }
    }

    fn keep_some(&self, file: &mut Vec<u8>, random: &mut Random, damage: &mut Damage) {
        match (random.below(3), self) {
            (0, _) => damage.lost += 1,
            (2, Change::Write { at, bytes, .. }) => {
                // Either a beginning of it, or any sectors.
                let whole = (*at + bytes.len()).div_ceil(SECTOR) - at / SECTOR;
                let upto = random.one_in(2).then(|| random.below(whole as u64 + 1) as usize);
                let mut from = 0;
                for sector in 0..whole {
                    let end = ((at / SECTOR + sector + 1) * SECTOR - at).min(bytes.len());
                    if upto.map_or_else(|| random.one_in(2), |upto| sector < upto) {
                        bytes.put(file, *at, from..end);
                    }
                    from = end;
                }
                damage.torn += 1;
            }
            _ => {
                self.apply(file);
                damage.lucky += 1;
            }
        }
    }
}

impl Bytes {
    fn len(&self) -> usize {
        match self {
            Bytes::Zeros(len) => *len,
            Bytes::Given(bytes) => bytes.len(),
        }
    }

    /// Writes a part of these bytes, which begin at `at` of the file.
    fn put(&self, file: &mut Vec<u8>, at: usize, part: std::ops::Range<usize>) {
        if file.len() < at + part.end {
            file.resize(at + part.end, 0);
        }
        let place = &mut file[at + part.start..at + part.end];
        match self {
            Bytes::Zeros(_) => place.fill(0),
            Bytes::Given(bytes) => place.copy_from_slice(&bytes[part]),
        }
    }
}

fn parse(log: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    use std::os::unix::ffi::OsStrExt;
    let header = log.get(at..at + HEADER)?;
    let u32_at = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_ne_bytes(header[at..at + 8].try_into().unwrap());
    assert_eq!(u32_at(0), MAGIC, "the records are damaged at {at}");
    let mut rest = log.get(at + HEADER..)?;
    let mut take = |len: u64| {
        let (taken, after) = rest.split_at_checked(len as usize)?;
        rest = after;
        Some(taken)
    };
    let path = Path::new(std::ffi::OsStr::from_bytes(take(u32_at(32).into())?)).to_owned();
    let other = Path::new(std::ffi::OsStr::from_bytes(take(u32_at(36).into())?)).to_owned();
    let data = take(u64_at(40))?;
    let next = log.len() - rest.len();
    Some((
        Record { kind: u32_at(4), ino: u64_at(8), at: u64_at(16), len: u64_at(24), path, other, data },
        next,
    ))
}
