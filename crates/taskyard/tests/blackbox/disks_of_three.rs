//! Three servers under a steady load, and the disk of one of them fills up, becomes read-only or is damaged: that
//! server stops with a message or takes no part, the two others go on, and what was acknowledged is there when all is
//! whole again.

use crate::common::daemon::{Server, ServerOptions, User, copy_dir};
use crate::common::damage::{end_of_content, flip, last_batch, truncate, zero};
use crate::common::disk::build_shim;
use crate::common::fleet::Fleet;
use crate::common::load::{Acknowledged, Ballast, Ended, Load, Users};
use crate::common::process::is_root;
use crate::common::random::Random;
use crate::common::tmpfs::Tmpfs;
use crate::common::{SOON, binary, eventually, full};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// At a pace that leaves the machine room.
const PACED: Users = Users { count: 3, each: u64::MAX, pause: Duration::from_millis(30) };

/// The server with the disk that is the subject: the last one.
const VICTIM: usize = 2;

/// Three servers and users; the last server is prepared by `prepare`, which gets its directory, before it is started.
struct OneBadDisk {
    load: Load,
    ballast: Ballast,
    fleet: Fleet,
    ended: Ended,
}

impl OneBadDisk {
    fn start(what: &str, tmp: tempfile::TempDir, options: ServerOptions) -> OneBadDisk {
        let mut random = Random::seeded(what);
        let mut fleet = Fleet::of(tmp);
        for server in 0..3 {
            let small = ServerOptions::small().args(["--keep-entries", "50"]);
            fleet.add_server(if server == VICTIM { options.clone() } else { small });
            fleet.until_voters(server + 1);
        }
        fleet.add_agent("n1", &fleet.urls(), &["--cpus", "16"]);
        fleet.until_nodes(1);
        let load = Load::of(&fleet.http(), fleet.dir.path(), PACED, &mut random);
        let ballast = Ballast::start(&fleet.urls());
        OneBadDisk { load, ballast, fleet, ended: Ended::default() }
    }

    /// Makes the victim lead, or another one.
    fn lead(&self, victim: bool) {
        let status = self.fleet.status().unwrap();
        let is_victim = |url: &serde_json::Value| *url == *self.fleet.servers[VICTIM].url;
        let servers = status["servers"].as_array().unwrap();
        let next = servers.iter().find(|server| is_victim(&server["url"]) == victim).unwrap();
        self.fleet.must("POST", "/v1/cluster/transfer", Some(&json!({ "to": next["id"] })));
        eventually("it leads", SOON, || ((self.fleet.leader() == VICTIM) == victim).then_some(()));
    }

    fn said(&self, what: &str) -> bool {
        self.fleet.servers[VICTIM].log().contains(what)
    }

    /// So many more submits are acknowledged.
    fn get_on(&self, submits: usize) {
        let goal = self.load.count() + submits;
        eventually("users get on", SOON, || (self.load.count() >= goal).then_some(()));
    }

    /// The longest that a submit took since then.
    fn slowest(&self, since: Instant) -> Duration {
        let book = self.load.acknowledged();
        book.iter().filter(|a| a.at >= since).map(|a| a.took).max().unwrap_or_default()
    }

    /// The victim ends by itself; its last message.
    fn until_ended(&mut self) -> String {
        let server = &mut self.fleet.servers[VICTIM];
        let status = eventually("the victim ends", 2 * SOON, || server.ended());
        let log = server.log();
        assert_eq!(status.code(), Some(1), "{status}: {}", server.log_tail());
        assert!(!log.contains("panicked"), "{}", server.log_tail());
        log.lines().rfind(|line| line.starts_with("error:")).unwrap_or_default().to_owned()
    }

    /// Starts the victim as an operator or systemd would; why it refused.
    fn refuses(&mut self) -> String {
        self.fleet.servers[VICTIM].launch();
        self.until_ended()
    }

    /// Starts the victim again; it has everything, and votes.
    fn come_back(&mut self) {
        let book = self.load.acknowledged();
        self.fleet.servers[VICTIM].restart();
        self.ended.check(&mut self.fleet.servers[VICTIM].http(), &book);
        self.fleet.until_voters(3);
    }

    /// Everything acknowledged is there, each task ended once, and the servers have the same state.
    fn finish(self) -> String {
        let OneBadDisk { load, ballast, mut fleet, mut ended } = self;
        let mut book = load.finish();
        let ballast: Acknowledged = ballast.finish();
        book.acknowledged.push(ballast);
        let mut http = fleet.http();
        let (acknowledged, ends) = ended.check(&mut http, &book.acknowledged);
        let examined = book.check_all(&mut http, 2 * SOON);
        let digests = fleet.same_digests();
        assert!(acknowledged > 0 && digests == 3, "nothing was examined");
        format!(
            "examined: {acknowledged} acknowledged submits, {ends} ends, {examined:?}, {digests} digests; {} answers were lost, {} requests repeated",
            book.unknown, book.repeated
        )
    }
}

/// D7.
#[test]
fn a_full_disk_of_one_of_three_stops_that_server_and_nobody_else() {
    if !is_root() {
        println!("SKIPPED, NOT PASSED: needs root to mount a small file system");
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let mounted = Tmpfs::mount(&tmp.path().join(format!("s{}/data", VICTIM + 1)), 48);
    let options = ServerOptions::small().args(["--keep-entries", "50"]);
    let mut trial = OneBadDisk::start("full disk of three", tmp, options);

    // A leader whose disk is full hands over to one that has room.
    trial.lead(true);
    let filled = Instant::now();
    mounted.fill();
    trial.ballast.flow(true);
    eventually("the disk is full", SOON, || trial.said("no space for the next log segment").then_some(()));
    let full = Instant::now();
    eventually("another one leads", SOON, || (trial.fleet.leader() != VICTIM).then_some(()));
    let handed = full.elapsed();
    trial.get_on(50);
    let pause = trial.slowest(filled);
    // It goes on as a follower: with space it needs no restart, without it ends when its last file is full.
    mounted.free();
    eventually("it has space again", SOON, || trial.said("there is space for the log again").then_some(()));
    trial.ballast.flow(false);
    assert!(trial.fleet.servers[VICTIM].ended().is_none());
    trial.fleet.until_voters(3);

    trial.lead(false);
    let filled = Instant::now();
    mounted.fill();
    trial.ballast.flow(true);
    let message = trial.until_ended();
    assert!(message.contains("storage failed: no space for the segment after"), "{message}");
    trial.get_on(50);
    let follower = trial.slowest(filled);
    let refusal = trial.refuses();
    assert!(refusal.contains("No space left on device"), "{refusal}");
    trial.ballast.flow(false);
    mounted.free();
    trial.come_back();
    println!(
        "full disk of three: the leader handed over after {handed:?}, the slowest submit took {pause:?}; of a follower {follower:?}; {}",
        trial.finish()
    );
    assert!(pause < Duration::from_secs(10), "users waited for {pause:?}");
    assert!(follower < Duration::from_secs(5), "users waited for {follower:?}");
}

/// D8: as a file system does that has met an error, which lets nobody write any more, also not to files that are open.
#[test]
fn a_read_only_disk_of_one_of_three_stops_that_server_and_nobody_else() {
    if !is_root() {
        println!("SKIPPED, NOT PASSED: needs root to mount a small file system");
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let (data, flag) = (root.join(format!("s{}/data", VICTIM + 1)), root.join("read-only"));
    let mounted = Tmpfs::mount(&data, 64);
    // The kernel remounts nothing on which a file is open for writing, so a running server meets the error by way of
    // the recorder.
    let options = ServerOptions::small()
        .env("LD_PRELOAD", build_shim(&root))
        .env("POWERCUT_DIR", &data)
        .env("POWERCUT_READ_ONLY", &flag);
    let mut trial = OneBadDisk::start("read-only disk of three", tmp, options);
    let mut pauses = Vec::new();
    for leads in [true, false] {
        trial.lead(leads);
        let since = Instant::now();
        fs::write(&flag, "").unwrap();
        let message = trial.until_ended();
        assert!(message.contains("storage failed: write to"), "{message}");
        assert!(message.contains(".wal at offset") && message.contains("Read-only file system"), "{message}");
        trial.get_on(50);
        pauses.push(trial.slowest(since));
        fs::remove_file(&flag).unwrap();
        mounted.read_only(true);
        let refusal = trial.refuses();
        assert!(refusal.contains("Read-only file system"), "{refusal}");
        mounted.read_only(false);
        trial.come_back();
    }
    println!(
        "read-only disk of three: the slowest submits, leader and follower: {pauses:?}; {}",
        trial.finish()
    );
    assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(10)), "users waited for {pauses:?}");
}

/// D8: a server that may have few files open, and strangers who open all the connections they can.
#[test]
fn a_server_of_three_that_runs_out_of_files_holds_up_nobody() {
    const FILES: u64 = 64;
    let tmp = tempfile::tempdir().unwrap();
    let few = tmp.path().join("few-files");
    fs::write(&few, format!("#!/bin/sh\nulimit -n {FILES}\nexec {} \"$@\"\n", binary().display())).unwrap();
    fs::set_permissions(&few, fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = ServerOptions::small().args(["--keep-entries", "50"]);
    options.user = User::With(few);
    let mut trial = OneBadDisk::start("files of three", tmp, options);
    let mut pauses = Vec::new();
    for leads in [true, false] {
        trial.lead(leads);
        let since = Instant::now();
        let address = trial.fleet.servers[VICTIM].url.strip_prefix("http://").unwrap().to_owned();
        let flood: Vec<_> = (0..4 * FILES).filter_map(|_| TcpStream::connect(&address).ok()).collect();
        assert!(flood.len() as u64 > FILES, "nothing was exhausted: {} connections", flood.len());
        trial.ballast.flow(true);
        trial.get_on(200);
        pauses.push(trial.slowest(since));
        trial.ballast.flow(false);
        drop(flood);
        assert!(trial.fleet.servers[VICTIM].ended().is_none(), "{}", trial.fleet.servers[VICTIM].log_tail());
        trial.fleet.until_voters(3);
    }
    let exhausted = trial.said("Too many open files");
    println!(
        "files of three: exhausted: {exhausted}, the slowest submits, leader and follower: {pauses:?}; {}",
        trial.finish()
    );
    assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(20)), "users waited for {pauses:?}");
}

/// Disks write these whole or not at all.
const SECTOR: u64 = 512;

/// What is done to a file of a server that was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    /// A bit of the log, anywhere.
    FlippedLog,
    /// A page of the log.
    ZeroedLog,
    /// The end of a file of the log.
    TruncatedLog,
    /// The last write, as a power cut leaves it.
    TornLog,
    FlippedSnapshot,
    ZeroedSnapshot,
    TruncatedSnapshot,
    MissingSnapshot,
    /// A bit of the file that says who the server is.
    FlippedIdentity,
}

use Harm::{
    FlippedIdentity, FlippedLog, FlippedSnapshot, MissingSnapshot, TornLog, TruncatedLog, TruncatedSnapshot,
    ZeroedLog, ZeroedSnapshot,
};

const HARMS: [Harm; 9] = [
    FlippedLog,
    ZeroedLog,
    TruncatedLog,
    TornLog,
    FlippedSnapshot,
    ZeroedSnapshot,
    TruncatedSnapshot,
    MissingSnapshot,
    FlippedIdentity,
];

impl Harm {
    /// Does it; the file.
    fn to(self, data: &Path, random: &mut Random) -> PathBuf {
        let logs: Vec<_> = files(data, "wal").into_iter().filter(|log| end_of_content(log) > 0).collect();
        let log = match self {
            TornLog => logs.last().unwrap(),
            _ => &logs[random.below(logs.len() as u64) as usize],
        };
        let file = match self {
            FlippedLog | ZeroedLog | TruncatedLog | TornLog => log.clone(),
            FlippedIdentity => data.join("FORMAT"),
            _ => {
                let mut snapshots = files(data, "snapshot").into_iter();
                snapshots
                    .rfind(|file| file.extension().is_some_and(|kind| kind == "snap"))
                    .expect("a snapshot")
            }
        };
        let len = fs::metadata(&file).unwrap().len();
        let content = end_of_content(&file);
        match self {
            FlippedLog | FlippedSnapshot | FlippedIdentity => {
                flip(&file, random.below(content), random.below(8) as u32)
            }
            ZeroedLog | ZeroedSnapshot => {
                let page = random.below(content.div_ceil(4096)) * 4096;
                zero(&file, page..(page + 4096).min(len));
            }
            TruncatedLog | TruncatedSnapshot => truncate(&file, random.below(len)),
            TornLog => {
                let batch = last_batch(&file);
                let (first, end) = (batch.start.div_ceil(SECTOR), batch.end.div_ceil(SECTOR));
                zero(&file, (first + random.below(end - first)) * SECTOR..end * SECTOR);
            }
            MissingSnapshot => fs::remove_file(&file).unwrap(),
        }
        file
    }
}

fn files(data: &Path, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// D5.
#[test]
fn a_damaged_disk_of_one_of_three_is_refused_or_repaired() {
    let mut random = Random::seeded("damage of three");
    let tmp = tempfile::tempdir().unwrap();
    let options = ServerOptions::small().args(["--keep-entries", "50"]);
    let mut trial = OneBadDisk::start("damaged disk of three", tmp, options);
    let data = trial.fleet.servers[VICTIM].dir.clone();
    let pristine = data.with_file_name("pristine");
    trial.ballast.flow(true);
    eventually("log was purged", SOON, || {
        (!files(&data, "wal")[0].ends_with("0000000001.wal")).then_some(())
    });
    trial.ballast.flow(false);
    // How often which damage was repaired, and refused.
    let mut verdicts: BTreeMap<Harm, [u64; 2]> = BTreeMap::new();
    let (times, since) = (if full() { 30 } else { 1 }, Instant::now());
    for harm in (0..times).flat_map(|_| HARMS) {
        trial.fleet.servers[VICTIM].kill9();
        copy_dir(&data, &pristine);
        let file = harm.to(&data, &mut random);
        trial.fleet.servers[VICTIM].launch();
        let refused = !trial.stays();
        verdicts.entry(harm).or_default()[usize::from(refused)] += 1;
        if refused {
            trial.check_refusal(harm, &file);
            fs::remove_dir_all(&data).unwrap();
            fs::rename(&pristine, &data).unwrap();
            trial.come_back();
        } else {
            trial.check_whole();
            fs::remove_dir_all(&pristine).unwrap();
        }
    }
    let pause = trial.slowest(since);
    // And what the guide says when nothing else helps.
    trial.fleet.servers[VICTIM].kill9();
    trial.replace(&data);
    println!(
        "damage of three [repaired, refused]: {verdicts:?}; the slowest submit took {pause:?}; {}",
        trial.finish()
    );
    for harm in [
        FlippedIdentity,
        ZeroedLog,
        TruncatedLog,
        FlippedSnapshot,
        ZeroedSnapshot,
        TruncatedSnapshot,
        MissingSnapshot,
    ] {
        assert!(verdicts[&harm][1] > 0, "{harm:?} went unnoticed");
    }
    assert!(verdicts[&TornLog][0] > 0 && pause < Duration::from_secs(10), "users waited for {pause:?}");
}

impl OneBadDisk {
    /// Whether the victim follows the others; else it has ended.
    fn stays(&mut self) -> bool {
        let goal = applied(&self.fleet.servers[0]).unwrap();
        eventually("the victim follows or ends", SOON, || match self.fleet.servers[VICTIM].ended() {
            Some(_) => Some(false),
            None => (applied(&self.fleet.servers[VICTIM])? >= goal).then_some(true),
        })
    }

    fn check_whole(&mut self) {
        let book = self.load.acknowledged();
        self.ended.check(&mut self.fleet.servers[VICTIM].http(), &book);
    }

    /// It said what is wrong, and where.
    fn check_refusal(&mut self, harm: Harm, file: &Path) {
        let message = self.until_ended();
        let name = file.file_name().unwrap().to_str().unwrap();
        match harm {
            MissingSnapshot => assert!(message.contains("there is no snapshot"), "{message}"),
            _ => {
                assert!(message.contains(name) && message.contains("offset"), "{harm:?} of {name}: {message}")
            }
        }
    }

    /// Removes the victim from the cluster, and lets it join again with an empty directory.
    fn replace(&mut self, data: &Path) {
        let listed = self.fleet.must("GET", "/v1/cluster/servers", None);
        let old = self.fleet.servers.remove(VICTIM);
        let id =
            listed["items"].as_array().unwrap().iter().find(|s| s["url"] == *old.url).unwrap()["id"].clone();
        self.fleet.must("DELETE", &format!("/v1/cluster/servers/{id}"), None);
        drop(old);
        fs::remove_dir_all(data).unwrap();
        self.fleet.add_server(ServerOptions::small());
        self.fleet.until_voters(3);
    }
}

/// The last entry that a server has applied, by its own word.
fn applied(server: &Server) -> Option<u64> {
    let answer = server.http().request("GET", "/v1/cluster?consistency=stale", None).ok()?;
    answer.json()["applied_index"].as_u64()
}
