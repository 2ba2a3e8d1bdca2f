//! What the log promises: whatever was acknowledged is there after any crash, and damage is never silent.

use std::path::PathBuf;
use std::sync::mpsc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::disk::RealDisk;
use super::testing::{LossyDisk, Random};
use super::*;

const SEGMENT: u64 = 16 << 10;

fn options(dir: &TempDir, fresh: bool) -> WalOptions {
    WalOptions { dir: dir.path().to_owned(), salt: 77, segment_bytes: SEGMENT, fresh }
}

fn open(dir: &TempDir, fresh: bool) -> Result<(Wal, Contents), StartError> {
    Wal::open(Arc::new(RealDisk), options(dir, fresh))
}

fn pos(term: u64, index: u64) -> Pos {
    Pos { term, index }
}

fn content(random: &mut Random) -> Content {
    let len = match random.below(10) {
        0 => 3000 + random.below(3000),
        1..4 => random.below(1200),
        _ => random.below(80),
    };
    Arc::new((0..len).map(|_| random.below(256) as u8).collect())
}

fn append(wal: &Wal, entries: Vec<(Pos, Content)>) {
    let (told, heard) = mpsc::channel();
    wal.append(entries, Box::new(move |result| told.send(result.is_ok()).expect("test waits")));
    assert!(heard.recv().expect("acknowledged"));
}

fn save_vote(wal: &Wal, vote: &[u8]) {
    let (told, heard) = mpsc::channel();
    wal.save_vote(vote.to_vec(), Box::new(move |result| told.send(result.is_ok()).expect("test waits")));
    assert!(heard.recv().expect("acknowledged"));
}

/// A log that should be on the disk.
#[derive(Clone, Default)]
struct Model {
    contents: Contents,
    entries: Vec<(Pos, Content)>,
    term: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.contents.last.map_or(0, |last| last.index + 1)
    }

    fn batch(&mut self, random: &mut Random) -> Vec<(Pos, Content)> {
        let count = 1 + random.below(6);
        let first = self.next();
        let batch: Vec<_> = (first..first + count).map(|at| (pos(self.term, at), content(random))).collect();
        self.contents.last = batch.last().map(|(pos, _)| *pos);
        self.entries.extend(batch.iter().cloned());
        batch
    }

    /// One random operation, acknowledged.
    fn step(&mut self, wal: &Wal, random: &mut Random) {
        match random.below(10) {
            0 => {
                self.term += 1;
                let vote = self.term.to_le_bytes();
                save_vote(wal, &vote);
                self.contents.vote = Some(vote.to_vec());
            }
            1 if !self.entries.is_empty() => {
                // What is committed is never truncated.
                let committed = self.contents.committed.map_or(0, |committed| committed.index + 1);
                let fixed = self.entries.iter().filter(|(pos, _)| pos.index < committed).count();
                let keep = fixed + random.below((self.entries.len() - fixed).max(1) as u64) as usize;
                self.entries.truncate(keep);
                let last = self.entries.last().map(|(pos, _)| *pos).or(self.contents.purged);
                wal.truncate_after(last);
                self.contents.last = last;
                self.term += 1;
            }
            2 if self.entries.len() > 3 => {
                let upto = random.below(self.entries.len() as u64) as usize;
                let purged = self.entries[upto].0;
                wal.purge(purged);
                self.entries.drain(..=upto);
                self.contents.purged = Some(purged);
            }
            3 if random.below(10) == 0 => {
                // A snapshot from elsewhere replaces the log.
                let purged = pos(self.term, self.next() + random.below(50));
                wal.purge(purged);
                self.entries.clear();
                self.contents.purged = Some(purged);
                self.contents.last = Some(purged);
            }
            4 => {
                self.contents.committed = self.contents.last;
                wal.set_committed(self.contents.last);
            }
            _ => append(wal, self.batch(random)),
        }
    }

    fn check(&self, wal: &Wal, contents: &Contents) {
        assert_eq!(*contents, self.contents);
        let first = self.contents.purged.map_or(0, |purged| purged.index + 1);
        let found = wal.read(first, usize::MAX).expect("readable");
        assert_eq!(found.len(), self.entries.len());
        for ((found, bytes), (expected, content)) in found.iter().zip(&self.entries) {
            assert_eq!((found, bytes), (expected, &**content));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_log_reopens_as_it_was_closed(seed: u64) {
        let mut random = Random(seed);
        let dir = TempDir::new().expect("temporary directory");
        let mut model = Model::default();
        let mut fresh = true;
        for _ in 0..5 {
            let (wal, contents) = open(&dir, fresh).expect("opens");
            model.check(&wal, &contents);
            (0..random.below(30)).for_each(|_| model.step(&wal, &mut random));
            fresh = false;
        }
    }

    /// Power fails at a random moment with a random part of the unsynced sectors on the disk. What was
    /// acknowledged is there, and what follows it is a beginning of what was submitted.
    #[test]
    fn a_power_cut_loses_nothing_acknowledged(seed: u64) {
        let mut random = Random(seed);
        let dir = TempDir::new().expect("temporary directory");
        let mut model = Model::default();
        for round in 0..4 {
            let disk = LossyDisk::default();
            let (wal, contents) = Wal::open(Arc::new(disk.clone()), options(&dir, round == 0)).expect("opens");
            model.check(&wal, &contents);
            (0..random.below(12)).for_each(|_| model.step(&wal, &mut random));
            // The rest is written and never synced.
            append(&wal, model.batch(&mut random));
            let acknowledged = model.clone();
            disk.faults.lock().fail_sync = true;
            for _ in 0..1 + random.below(2) {
                let batch = model.batch(&mut random);
                wal.append(batch, Box::new(|result| assert!(result.is_err())));
            }
            wal.close();
            disk.crash(&mut random);
            drop(wal);

            let (wal, contents) = open(&dir, false).expect("opens after a power cut");
            let last = contents.last.expect("acknowledged entries").index;
            assert!(last >= acknowledged.next() - 1, "acknowledged entries are lost");
            let survived = (last + 1 + model.entries.len() as u64 - model.next()) as usize;
            model.entries.truncate(survived);
            model.contents.last = contents.last;
            model.contents.committed = contents.committed;
            model.check(&wal, &contents);
        }
    }
}

/// As a version of before may have left it.
#[test]
fn more_committed_than_there_is_counts_as_nothing() {
    let dir = TempDir::new().expect("temporary directory");
    let (wal, _) = open(&dir, true).expect("opens");
    wal.set_committed(Some(pos(1, 9)));
    append(&wal, (0..4).map(|index| (pos(1, index), Arc::new(vec![1; 30]))).collect());
    drop(wal);
    let (wal, found) = open(&dir, false).expect("opens");
    assert_eq!((found.last, found.committed), (Some(pos(1, 3)), None));
    // Also when it goes on in further segments.
    for index in 4..40 {
        append(&wal, vec![(pos(1, index), Arc::new(vec![1; 1000]))]);
    }
    drop(wal);
    let (_, found) = open(&dir, false).expect("opens");
    assert_eq!((found.last, found.committed), (Some(pos(1, 39)), None));
}

/// A crash may leave any beginning of a batch, so how far the log is committed must stand behind the entries meant. Otherwise a start finds less than is
/// committed, or other entries in the places of those.
#[test]
fn a_crash_never_leaves_more_committed_than_there_is() {
    let (mut torn, mut committed) = (0, 0);
    for seed in 0..40 {
        let mut random = Random(seed);
        let dir = TempDir::new().expect("temporary directory");
        let disk = LossyDisk::default();
        let (wal, _) = Wal::open(Arc::new(disk.clone()), options(&dir, true)).expect("opens");
        let wal = Arc::new(wal);
        let last = pos(1, 20);
        let (told, heard) = mpsc::channel();
        let (queue, faults) = (Arc::clone(&wal), Arc::clone(&disk.faults));
        // The writer itself calls this, so all that is queued here becomes one batch.
        let first_is_durable = Box::new(move |_| {
            for index in 1..=last.index {
                let told = told.clone();
                let done =
                    Box::new(move |result: io::Result<()>| told.send(result.is_err()).expect("test waits"));
                queue.append(vec![(pos(1, index), Arc::new(vec![7; 600]))], done);
            }
            queue.set_committed(Some(last));
            faults.lock().fail_sync = true;
        });
        wal.append(vec![(pos(1, 0), content(&mut random))], first_is_durable);
        assert!((0..last.index).all(|_| heard.recv().expect("told")), "the batch was synced");
        disk.crash(&mut random);
        drop(wal);
        let (_, found) = Wal::open(Arc::new(RealDisk), options(&dir, false)).expect("opens");
        let [all, upto] = [found.last, found.committed].map(|at| at.map_or(0, |at| at.index));
        assert!(upto <= all, "seed {seed}: {upto} are committed, {all} are there");
        torn += u64::from(all < last.index);
        committed += u64::from(upto == last.index);
    }
    assert!(torn > 5 && committed > 5, "{torn} batches were torn, {committed} were not");
}

/// A log of several segments, its pristine files, and where its last batch begins in the last one.
fn sample() -> (TempDir, Model, Vec<(PathBuf, Vec<u8>)>, usize) {
    let mut random = Random(5);
    let dir = TempDir::new().expect("temporary directory");
    let (wal, _) = open(&dir, true).expect("opens");
    let mut model = Model::default();
    save_vote(&wal, b"vote");
    model.contents.vote = Some(b"vote".to_vec());
    while wal.segments() < 3 {
        append(&wal, model.batch(&mut random));
    }
    let last_batch = (SEGMENT - wal.room()) as usize;
    append(&wal, model.batch(&mut random));
    drop(wal);
    let mut files: Vec<_> =
        std::fs::read_dir(&dir).expect("directory").map(|e| e.expect("entry").path()).collect();
    files.sort();
    let files = files.into_iter().map(|path| (path.clone(), std::fs::read(&path).expect("file"))).collect();
    (dir, model, files, last_batch)
}

fn restore(files: &[(PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        std::fs::write(path, bytes).expect("test file");
    }
}

/// Opening refuses, naming a file, or nothing is missing. Says whether it refused.
fn refused_or_complete(dir: &TempDir, model: &Model, what: &str) -> bool {
    match open(dir, false) {
        Ok((_wal, contents)) => {
            assert_eq!(contents, model.contents, "{what}: silently lost");
            false
        }
        Err(error) => {
            assert!(error.to_string().contains(".wal"), "{what}: {error}");
            true
        }
    }
}

fn used(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn a_flipped_bit_is_refused() {
    let (dir, model, files, _) = sample();
    let mut refused = 0;
    let mut tried = 0;
    for (path, bytes) in &files {
        let mut offset = 0;
        while offset < bytes.len() {
            let mut damaged = bytes.clone();
            damaged[offset] ^= 1 << (offset % 8);
            std::fs::write(path, damaged).expect("test file");
            let inside = offset < used(bytes);
            tried += usize::from(inside);
            let what = format!("{} at {offset}", path.display());
            refused += usize::from(refused_or_complete(&dir, &model, &what));
            restore(&files);
            offset += if inside { 13 } else { 1511 };
        }
    }
    // Padding holds nothing; everything else must be noticed.
    assert!(refused * 10 > tried * 9, "{refused} of {tried}");
}

#[test]
fn a_short_file_is_refused() {
    let (dir, model, files, _) = sample();
    for (path, bytes) in &files {
        for len in (0..bytes.len()).step_by(997) {
            std::fs::write(path, &bytes[..len]).expect("test file");
            let refused = refused_or_complete(&dir, &model, &format!("{} cut to {len}", path.display()));
            assert!(refused || path == &files[3].0, "{} cut to {len} was accepted", path.display());
            restore(&files);
        }
    }
}

/// A zeroed page is refused, except where it cannot be told from a write that never happened: in the very last
/// batch.
#[test]
fn a_zeroed_page_is_refused() {
    let (dir, model, files, last_batch) = sample();
    for (path, bytes) in &files {
        for page in (0..used(bytes)).step_by(512) {
            let mut damaged = bytes.clone();
            let end = (page + 512).min(bytes.len());
            damaged[page..end].fill(0);
            std::fs::write(path, damaged).expect("test file");
            let is_last = path == &files[2].0 && end > last_batch;
            match open(&dir, false) {
                Ok((_, contents)) => {
                    assert!(contents == model.contents || is_last, "{} page {page}", path.display())
                }
                Err(error) => assert!(error.to_string().contains(".wal"), "{error}"),
            }
            restore(&files);
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let (dir, model, files, _) = sample();
    assert_eq!(files.len(), 4, "three segments and a spare");
    for (at, (path, _)) in files.iter().enumerate() {
        std::fs::remove_file(path).expect("test file");
        let refused = refused_or_complete(&dir, &model, &format!("without {}", path.display()));
        assert_eq!(refused, at < 3, "without {}", path.display());
        restore(&files);
    }
    for (path, _) in &files {
        std::fs::remove_file(path).expect("test file");
    }
    assert!(open(&dir, false).is_err(), "an empty log of a server that has run");
}

#[test]
fn another_logs_frames_and_versions_are_refused() {
    let (dir, ..) = sample();
    let other = WalOptions { salt: 78, ..options(&dir, false) };
    assert!(matches!(Wal::open(Arc::new(RealDisk), other), Err(StartError::Damaged { .. })));
}

#[test]
fn segments_behind_a_purge_are_removed() {
    let (dir, model, files, _) = sample();
    let (wal, _) = open(&dir, false).expect("opens");
    let last = model.entries.last().expect("entries").0;
    wal.purge(last);
    append(&wal, vec![(pos(last.term, last.index + 1), Arc::new(vec![1]))]);
    let gone = |path: &PathBuf| {
        (0..500).any(|_| {
            !path.exists() || {
                std::thread::sleep(std::time::Duration::from_millis(10)); // sleep: between two looks, with a deadline
                false
            }
        })
    };
    assert!(gone(&files[0].0) && gone(&files[1].0) && files[2].0.exists());
    drop(wal);
    let (wal, contents) = open(&dir, false).expect("opens");
    assert_eq!(contents.purged, Some(last));
    assert_eq!(contents.vote.as_deref(), Some(&b"vote"[..]));
    assert_eq!(wal.read(last.index + 1, 9).expect("readable"), [(pos(last.term, last.index + 1), vec![1])]);
}

#[test]
fn a_failed_write_or_sync_is_fatal() {
    for write in [true, false] {
        let dir = TempDir::new().expect("temporary directory");
        let disk = LossyDisk::default();
        let (wal, _) = Wal::open(Arc::new(disk.clone()), options(&dir, true)).expect("opens");
        append(&wal, vec![(pos(1, 0), Arc::new(vec![1]))]);
        disk.faults.lock().fail_write = write;
        disk.faults.lock().fail_sync = !write;
        let (told, heard) = mpsc::channel();
        for index in 1..4 {
            let told = told.clone();
            let done = Box::new(move |result: io::Result<()>| told.send(result).expect("test waits"));
            wal.append(vec![(pos(1, index), Arc::new(vec![1]))], done);
        }
        assert!((0..3).all(|_| heard.recv().expect("told").is_err()));
        // Never tried again, though the disk would work now.
        disk.faults.lock().fail_write = false;
        disk.faults.lock().fail_sync = false;
        wal.append(
            vec![(pos(1, 1), Arc::new(vec![1]))],
            Box::new(move |result| told.send(result).expect("waits")),
        );
        assert!(heard.recv().expect("told").is_err());
        let fatal = wal.fatal().borrow().clone().expect("fatal");
        assert_eq!(fatal.errno, Some(5));
        assert!(fatal.to_string().contains("0000000001.wal"), "{fatal}");
    }
}

#[test]
fn a_full_disk_is_known_in_time_and_recovers() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = LossyDisk::default();
    let (wal, _) = Wal::open(Arc::new(disk.clone()), options(&dir, true)).expect("opens");
    let wait = |spare: fn(&Spare) -> bool| {
        (0..400).any(|_| {
            spare(&wal.spare()) || {
                std::thread::sleep(std::time::Duration::from_millis(10)); // sleep: between two looks, with a deadline
                false
            }
        })
    };
    assert!(wait(|spare| *spare == Spare::Ready));
    disk.faults.lock().no_space = true;
    let mut index = 0;
    while wal.segments() < 2 {
        append(&wal, vec![(pos(1, index), Arc::new(vec![1; 4000]))]);
        index += 1;
    }
    assert!(wait(|spare| matches!(spare, Spare::Failed(_))), "the next spare cannot be made");
    assert!(wal.room() > 8000);
    append(&wal, vec![(pos(1, index), Arc::new(vec![1; 100]))]);
    disk.faults.lock().no_space = false;
    assert!(wait(|spare| *spare == Spare::Ready), "it recovers by itself");
}

/// The order that everything rests on: nothing is acknowledged while it could still be lost. A build with the
/// mutant must fail here.
#[test]
fn an_acknowledgement_never_precedes_the_sync() {
    let dir = TempDir::new().expect("temporary directory");
    let disk = LossyDisk::default();
    let (wal, _) = Wal::open(Arc::new(disk.clone()), options(&dir, true)).expect("opens");
    let (told, heard) = mpsc::channel();
    for index in 0..50 {
        let (told, disk) = (told.clone(), disk.clone());
        let done = Box::new(move |_| told.send(disk.has_unsynced()).expect("test waits"));
        wal.append(vec![(pos(1, index), Arc::new(vec![1; 300]))], done);
    }
    let early = (0..50).filter(|_| heard.recv().expect("told")).count();
    assert_eq!(early, 0, "acknowledged before they were durable");
}
