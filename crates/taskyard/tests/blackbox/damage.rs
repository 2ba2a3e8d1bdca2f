//! Disks that lie, fill up or fail: a server recovers all that was acknowledged, or refuses and names the file and the
//! place. It never goes on with less.

use crate::common::daemon::{Server, ServerOptions, all_pages, copy_dir, submit};
use crate::common::damage::{end_of_content, flip, last_batch, truncate, zero};
use crate::common::full;
use crate::common::http::Http;
use crate::common::random::Random;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A data directory that a killed server left, and what it had acknowledged.
struct Left {
    tmp: tempfile::TempDir,
    data: PathBuf,
    /// Names of jobs by id.
    acknowledged: BTreeMap<u64, String>,
}

/// What a server made of a damaged directory.
#[derive(Debug)]
enum Verdict {
    /// It runs. These jobs are missing; the log says this.
    Runs { lost: Vec<u64>, log: String },
    /// It refused, with this message.
    Refused(String),
}

/// How often which damage was met with which verdict.
#[derive(Default, Debug)]
struct Counts(BTreeMap<&'static str, [u64; 2]>);

impl Left {
    /// Jobs of `bytes` each, without any agent: nothing happens but submits.
    fn after(jobs: u64, bytes: Range<u64>, options: ServerOptions) -> Left {
        let tmp = tempfile::tempdir().unwrap();
        let mut server = Server::start(tmp.path(), options);
        let url = server.url.clone();
        let users = (0..4).map(|user| {
            let (url, bytes) = (url.clone(), bytes.clone());
            std::thread::spawn(move || {
                let (mut http, mut acknowledged) = (Http::new(&url), BTreeMap::new());
                for n in (user..jobs).step_by(4) {
                    // Of many sizes, so that frames begin and end anywhere.
                    let padding = "x".repeat((bytes.start + n * 37 % (bytes.end - bytes.start)) as usize);
                    let name = format!("job-{n}");
                    let id = submit(
                        &mut http,
                        json!({ "name": name, "script": format!("#!/bin/sh\n#{padding}\n") }),
                    );
                    acknowledged.insert(id, name);
                }
                acknowledged
            })
        });
        let users: Vec<_> = users.collect();
        let acknowledged: BTreeMap<_, _> = users.into_iter().flat_map(|user| user.join().unwrap()).collect();
        assert_eq!(acknowledged.len() as u64, jobs);
        server.kill9();
        Left { tmp, data: server.dir.clone(), acknowledged }
    }

    /// The files of a folder, oldest first, relative to the data directory.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.data.join(folder)).unwrap();
        let mut files: Vec<_> =
            entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())).collect();
        files.sort();
        files
    }

    /// Log files with content.
    fn log(&self) -> Vec<PathBuf> {
        self.files("wal").into_iter().filter(|file| end_of_content(&self.data.join(file)) > 0).collect()
    }

    /// Starts a server on a copy with damage.
    fn with(&self, damage: impl FnOnce(&Path)) -> Verdict {
        let dir = tempfile::tempdir_in(self.tmp.path()).unwrap();
        let data = dir.path().join("data");
        copy_dir(&self.data, &data);
        damage(&data);
        let mut server = match Server::try_start(dir.path(), ServerOptions::small()) {
            Ok(server) => server,
            Err(log) => return Verdict::Refused(log),
        };
        let rows = all_pages(&mut server.http(), "/v1/jobs");
        let found: BTreeMap<_, _> =
            rows.iter().map(|job| (job["id"].as_u64().unwrap(), &job["name"])).collect();
        let is_lost =
            |(job, name): &(&u64, &String)| found.get(job).is_none_or(|found| *found != name.as_str());
        let lost = self.acknowledged.iter().filter(is_lost).map(|(job, _)| *job).collect();
        let log = server.log();
        server.kill9();
        Verdict::Runs { lost, log }
    }
}

impl Counts {
    /// Refused, naming the file and the place in it.
    #[track_caller]
    fn refused(&mut self, what: &'static str, file: &Path, verdict: Verdict) {
        let Verdict::Refused(log) = verdict else {
            panic!("{what}: {} is damaged, yet {verdict:?}", file.display())
        };
        let name = file.file_name().unwrap().to_str().unwrap();
        let line = log.lines().find(|line| line.starts_with("error:") && line.contains(name));
        let line = line.unwrap_or_else(|| panic!("{what}: the message does not name {name}: {log}"));
        assert!(line.contains("offset"), "{what}: the message names no place: {line}");
        assert!(!log.contains("panicked"), "{log}");
        self.0.entry(what).or_default()[1] += 1;
    }

    /// Runs with everything.
    #[track_caller]
    fn whole(&mut self, what: &'static str, verdict: Verdict) {
        match verdict {
            Verdict::Runs { lost, .. } if lost.is_empty() => self.0.entry(what).or_default()[0] += 1,
            verdict => panic!("{what}: {verdict:?}"),
        }
    }

    /// Either.
    #[track_caller]
    fn whole_or_refused(&mut self, what: &'static str, file: &Path, verdict: Verdict) {
        match verdict {
            Verdict::Refused(_) => self.refused(what, file, verdict),
            Verdict::Runs { .. } => self.whole(what, verdict),
        }
    }

    fn finish(self, whats: usize) {
        println!("damage [recovered, refused]: {:?}", self.0);
        assert_eq!(self.0.len(), whats, "something was not examined: {:?}", self.0);
    }
}

#[test]
fn a_damaged_log_is_refused_by_file_and_offset() {
    let mut random = Random::seeded("damage");
    let mut counts = Counts::default();
    let left = Left::after(400, 0..900, ServerOptions::small());
    let logs = left.log();
    let [log] = &logs[..] else { panic!("{logs:?}") };
    let path = left.data.join(log);
    let end = end_of_content(&path);
    let last_batch = last_batch(&path);
    let times = |few: u64, many: u64| 0..if full() { many } else { few };
    counts.whole("nothing", left.with(|_| ()));
    for _ in times(24, 400) {
        let (at, bit) = (random.below(end), random.below(8) as u32);
        let verdict = left.with(|data| flip(&data.join(log), at, bit));
        // A bit of the padding after a frame is nobody's.
        counts.whole_or_refused("a flipped bit", log, verdict);
    }
    for _ in times(4, 40) {
        let at = end + 64 + random.below(10_000);
        counts.whole("a flipped bit after the end", left.with(|data| flip(&data.join(log), at, 3)));
        let page = random.below(last_batch.start / 4096) * 4096;
        counts.refused("a zeroed page", log, left.with(|data| zero(&data.join(log), page..page + 4096)));
        let sector = random.below(last_batch.start / 512) * 512;
        counts.refused("a zeroed sector", log, left.with(|data| zero(&data.join(log), sector..sector + 512)));
        let len = random.below(fs::metadata(&path).unwrap().len());
        counts.refused("a truncated file", log, left.with(|data| truncate(&data.join(log), len)));
    }
    // What a power cut may leave of the last write. It is taken for one that was never acknowledged, which from the
    // disk alone nobody can tell; so it is dropped, and said so, and nothing else is lost.
    let newest = left.acknowledged.keys().rev().take(4).copied().collect::<BTreeSet<_>>();
    for _ in times(6, 60) {
        let first = last_batch.start.div_ceil(512)
            + random.below(last_batch.end.div_ceil(512) - last_batch.start / 512);
        let verdict =
            left.with(|data| zero(&data.join(log), first * 512..last_batch.end.next_multiple_of(512)));
        let Verdict::Runs { lost, log: said } = verdict else { panic!("a torn end: {verdict:?}") };
        assert!(lost.iter().all(|job| newest.contains(job)), "{lost:?}");
        let name = log.file_name().unwrap().to_str().unwrap();
        let told = said
            .lines()
            .any(|line| line.contains("cut short") && line.contains(name) && line.contains("offset"));
        // Cut between two frames nothing is left of the second, so there is nothing to tell.
        let between = fs::read(&path).unwrap()[(first * 512) as usize..].starts_with(b"TY");
        assert!(lost.is_empty() || told || between || first * 512 <= last_batch.start, "silently: {said}");
        counts.0.entry("a torn end").or_default()[0] += 1;
    }
    counts.refused("a missing file", log, left.with(|data| fs::remove_file(data.join(log)).unwrap()));
    let identity = Path::new("FORMAT");
    let lost_identity = left.with(|data| fs::remove_file(data.join(identity)).unwrap());
    counts.refused("a missing identity", identity, lost_identity);
    counts.finish(9);
}

#[test]
fn a_missing_or_foreign_segment_is_refused() {
    let mut counts = Counts::default();
    let many = ServerOptions::default().args(["--segment-size", "5MiB", "--snapshot-after", "1GiB"]);
    let left = Left::after(200, 80_000..120_000, many);
    let logs = left.log();
    assert!(logs.len() >= 4, "{logs:?}");
    counts.whole("nothing", left.with(|_| ()));
    for log in &logs {
        let gone = left.with(|data| fs::remove_file(data.join(log)).unwrap());
        // What is missing at the beginning is noticed where the log begins now.
        match &gone {
            Verdict::Refused(log) => assert!(log.contains(".wal") && log.contains("offset"), "{log}"),
            Verdict::Runs { .. } => panic!("without {}: {gone:?}", log.display()),
        }
        counts.0.entry("a missing segment").or_default()[1] += 1;
    }
    let swapped = left.with(|data| {
        fs::rename(data.join(&logs[1]), data.join("wal/other")).unwrap();
        fs::rename(data.join(&logs[2]), data.join(&logs[1])).unwrap();
        fs::rename(data.join("wal/other"), data.join(&logs[2])).unwrap();
    });
    counts.refused("segments swapped", &logs[1], swapped);
    let other = Left::after(10, 0..100, ServerOptions::small());
    let theirs = other.data.join(&other.log()[0]);
    let foreign = left.with(|data| {
        fs::copy(theirs, data.join(&logs[0])).unwrap();
    });
    counts.refused("another server's segment", &logs[0], foreign);
    counts.finish(4);
}

#[test]
fn a_damaged_snapshot_is_refused_unless_the_log_has_everything() {
    let mut random = Random::seeded("damage");
    let mut counts = Counts::default();
    // More entries than are kept besides a snapshot: from then on only the snapshot has the first ones.
    let left = Left::after(7_000, 200..600, ServerOptions::small());
    // The kill may have come while the next one was written, which leaves a file that no start reads.
    let mut snapshots = left.files("snapshot");
    snapshots.retain(|file| file.extension().is_some_and(|kind| kind == "snap"));
    let snapshot = snapshots.last().unwrap();
    let len = fs::metadata(left.data.join(snapshot)).unwrap().len();
    counts.whole("nothing", left.with(|_| ()));
    for _ in 0..if full() { 200 } else { 12 } {
        let (at, bit) = (random.below(len), random.below(8) as u32);
        counts.refused("a flipped bit", snapshot, left.with(|data| flip(&data.join(snapshot), at, bit)));
    }
    // The header is small, and a random place rarely in it.
    for at in [0, 9, 11, 17, 40, 50, 58] {
        let verdict = left.with(|data| flip(&data.join(snapshot), at, 1));
        match &verdict {
            Verdict::Refused(log) => assert!(log.contains(".snap"), "{log}"),
            Verdict::Runs { .. } => panic!("header byte {at}: {verdict:?}"),
        }
        counts.0.entry("a flipped bit of the header").or_default()[1] += 1;
    }
    for len in [0, 30, len / 2, len - 1] {
        counts.refused("truncated", snapshot, left.with(|data| truncate(&data.join(snapshot), len)));
    }
    let gone = left.with(|data| fs::remove_file(data.join(snapshot)).unwrap());
    counts.refused("missing", Path::new("snapshot"), gone);

    // Few entries: the log has all of them, and a broken snapshot is only a warning.
    let left = Left::after(1_500, 800..1_200, ServerOptions::small());
    // The kill may have come while the next one was written, which leaves a file that no start reads.
    let mut snapshots = left.files("snapshot");
    snapshots.retain(|file| file.extension().is_some_and(|kind| kind == "snap"));
    let snapshot = snapshots.last().unwrap();
    let verdict = left.with(|data| flip(&data.join(snapshot), 100, 1));
    if let Verdict::Runs { log, .. } = &verdict {
        let name = snapshot.file_name().unwrap().to_str().unwrap();
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains(name)), "silently: {log}");
    }
    counts.whole("the log has everything", verdict);
    counts.finish(6);
}
