//! Loss of everything that was not synced, on the real binary.

use crate::common::daemon::{Cluster, Outcome, Server, ServerOptions, all_pages, outcome, submit};
use crate::common::disk::{Cut, Damage, Disk, build_shim};
use crate::common::fleet::Fleet;
use crate::common::load::{Ended, Load};
use crate::common::random::Random;
use crate::common::watched::Watched;
use crate::common::{SOON, eventually, full};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const USERS: u64 = 4;

#[test]
fn a_power_cut_of_the_server_loses_nothing_that_was_acknowledged() {
    let (jobs, rounds) = if full() { (20_000, 200) } else { (2_000, 24) };
    let began = Instant::now();
    let mut random = Random::seeded("powercut");
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let (data, records) = (root.join("data"), root.join("records"));
    fs::create_dir(&data).unwrap();
    let mut disk = Disk::of(&data);
    let options = ServerOptions::small()
        .env("LD_PRELOAD", build_shim(&root))
        .env("POWERCUT_DIR", &data)
        .env("POWERCUT_LOG", &records)
        // About as long as a disk takes: what is acknowledged too early has time to be acknowledged.
        .env("POWERCUT_SYNC_US", "2000");
    let mut cluster = Cluster::start_in(tmp, 1, "16", options);
    let load = Load::start(&cluster.server.url, &root, USERS, jobs / USERS, &mut random);
    let mut ended = Ended::default();
    let (mut total, mut acknowledged, mut ends) = (Damage::default(), 0, 0);
    for round in 0..rounds {
        let goal = (jobs * (round + 1) / (rounds + 1)) as usize;
        let pause = random.millis(0, 30);
        eventually("users get on", SOON, || (load.count() >= goal || load.is_done()).then_some(()));
        std::thread::sleep(pause); // sleep: to a random moment
        ended.look(&mut cluster.server.http());
        cluster.server.kill9();
        let book = load.acknowledged();
        disk.follow(&records);
        total += disk.cut(if round % 2 == 0 { Cut::LoseAll } else { Cut::KeepSome(&mut random) });
        disk = Disk::of(&data);
        fs::remove_file(&records).unwrap();
        cluster.server.restart();
        let (jobs, terminal) = ended.check(&mut cluster.server.http(), &book);
        acknowledged += jobs;
        ends += terminal;
    }
    let within = Duration::from_secs(120);
    eventually("all users are done", within, || load.is_done().then_some(()));
    let book = load.finish();
    let examined = book.check_all(&mut cluster.server.http(), within);
    println!(
        "powercut: {rounds} cuts in {:?}: {total:?}; examined: {acknowledged} acknowledged submits and {ends} ends after \
         cuts, {examined:?}; {} answers were lost, {} requests repeated",
        began.elapsed(),
        book.unknown,
        book.repeated,
    );
    assert!(acknowledged > 0 && ends > 0, "nothing was examined");
    assert!(total.lost > 0 && total.torn > 0 && total.syncs > 0, "the cuts took nothing: {total:?}");
}

#[test]
fn power_cuts_of_one_and_of_all_of_three_servers_lose_nothing_that_was_acknowledged() {
    let (jobs, rounds) = if full() { (20_000, 120) } else { (1_500, 12) };
    let began = Instant::now();
    let mut random = Random::seeded("powercuts");
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let shim = build_shim(&root);
    let mut fleet = Fleet::of(tmp);
    let mut disks: Vec<Watched> = (1..=3)
        .map(|number| {
            let disk = Watched::new(&root.join(format!("s{number}")));
            fleet.add_server(disk.options(ServerOptions::small(), &shim));
            fleet.until_voters(number);
            disk
        })
        .collect();
    fleet.add_agent("n1", &fleet.urls(), &["--cpus", "16"]);
    fleet.until_nodes(1);
    let load = Load::start(&fleet.urls(), &root, USERS, jobs / USERS, &mut random);
    let mut ended = Ended::default();
    let (mut total, mut acknowledged, mut ends, mut all_cut) = (Damage::default(), 0, 0, 0);
    for round in 0..rounds {
        let goal = (jobs * (round + 1) / (rounds + 1)) as usize;
        let pause = random.millis(0, 30);
        eventually("users get on", 2 * SOON, || (load.count() >= goal || load.is_done()).then_some(()));
        std::thread::sleep(pause); // sleep: to a random moment
        ended.look(&mut fleet.http());
        let victims = match round % 3 {
            0 => vec![fleet.leader()],
            1 => vec![0, 1, 2],
            _ => vec![random.below(3) as usize],
        };
        all_cut += usize::from(victims.len() == 3);
        victims.iter().for_each(|at| fleet.servers[*at].kill9());
        let book = load.acknowledged();
        for at in &victims {
            let keep_some = random.one_in(2);
            total += disks[*at].cut(if keep_some { Cut::KeepSome(&mut random) } else { Cut::LoseAll });
            fleet.servers[*at].launch();
        }
        victims.iter().for_each(|at| fleet.servers[*at].ready());
        let (jobs, terminal) = ended.check(&mut fleet.http(), &book);
        acknowledged += jobs;
        ends += terminal;
    }
    let within = Duration::from_secs(120);
    eventually("all users are done", within, || load.is_done().then_some(()));
    let book = load.finish();
    let examined = book.check_all(&mut fleet.http(), within);
    fleet.until_voters(3);
    let digests = fleet.same_digests();
    println!(
        "powercuts: {rounds} of three servers, of all at once {all_cut}, in {:?}: {total:?}; examined: {acknowledged} acknowledged \
         submits and {ends} ends after cuts, {examined:?}; {digests} digests; {} answers were lost, {} requests repeated",
        began.elapsed(),
        book.unknown,
        book.repeated,
    );
    assert!(acknowledged > 0 && ends > 0 && digests == 3, "nothing was examined");
    assert!(total.lost > 0 && total.syncs > 0, "the cuts took nothing: {total:?}");
}

/// Power fails right after a chosen change of the disk, or the begin or end of a sync: at each step of the first start,
/// then at random steps of starts, writes, new segments, snapshots and deletions.
#[test]
fn a_power_cut_at_any_step_is_survived() {
    let mut random = Random::seeded("steps");
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let shim = build_shim(&root);
    let (mut total, mut first_starts) = (Damage::default(), 0);
    // In the short version every third one, another third each time.
    let stride = if full() { 1 } else { 3 };
    for step in (1 + random.below(stride)..).step_by(stride as usize) {
        let mut bench = Steps::new(&root, &shim, &format!("first-{step}"));
        let died = bench.run_until(step, 0);
        total += bench.cut(&mut random);
        bench.check();
        first_starts += 1;
        if !died {
            break;
        }
    }
    let mut bench = Steps::new(&root, &shim, "later");
    let rounds = if full() { 300 } else { 24 };
    for _ in 0..rounds {
        // A start alone is some twenty steps, with its count of starts, and a segment some ten more.
        let most = if random.one_in(3) { 30 } else { 250 };
        let step = 1 + random.below(most);
        bench.run_until(step, 60);
        total += bench.cut(&mut random);
        bench.check();
    }
    let acknowledged = bench.book.len();
    println!(
        "steps: {first_starts} of the first start, {rounds} later; {total:?}; {acknowledged} jobs acknowledged"
    );
    assert!(first_starts > 5 && acknowledged > 50 && total.lost > 0, "nothing was examined");
}

/// A data directory whose servers die at chosen steps.
struct Steps {
    dir: PathBuf,
    shim: PathBuf,
    book: Vec<(u64, String)>,
    disk: Option<Disk>,
}

impl Steps {
    fn new(root: &Path, shim: &Path, name: &str) -> Steps {
        let dir = root.join(name);
        fs::create_dir_all(dir.join("data")).unwrap();
        let disk = Some(Disk::of(&dir.join("data")));
        Steps { dir, shim: shim.to_owned(), book: Vec::new(), disk }
    }

    /// Starts a server that dies at a step, and submits up to so many jobs; whether it died.
    fn run_until(&mut self, step: u64, jobs: u64) -> bool {
        let options = ServerOptions::small()
            .env("LD_PRELOAD", &self.shim)
            .env("POWERCUT_DIR", self.dir.join("data"))
            .env("POWERCUT_LOG", self.dir.join("records"))
            .env("POWERCUT_SYNC_US", "0")
            .env("POWERCUT_CRASH_AT", step.to_string());
        let Ok(mut server) = Server::try_start(&self.dir, options) else { return true };
        let mut http = server.http();
        for _ in 0..jobs {
            let name = format!("job-{}-{step}", self.book.len());
            let script = format!("#!/bin/sh\n#{}\n", "x".repeat(100_000));
            let body = serde_json::json!({ "spec": { "name": name, "script": script } });
            match outcome(http.request("POST", "/v1/jobs", Some(&body))) {
                Outcome::Done(answer) => self.book.push((answer["job"].as_u64().unwrap(), name)),
                Outcome::Refused(error) if error["retry_after_ms"].is_u64() => {}
                _ => return true,
            }
        }
        if server.ended().is_some() {
            return true;
        }
        server.kill9();
        false
    }

    fn cut(&mut self, random: &mut Random) -> Damage {
        let mut disk = self.disk.take().unwrap();
        disk.follow(&self.dir.join("records"));
        fs::remove_file(self.dir.join("records")).unwrap();
        let lose_all = random.one_in(2);
        let damage = disk.cut(if lose_all { Cut::LoseAll } else { Cut::KeepSome(random) });
        self.disk = Some(Disk::of(&self.dir.join("data")));
        damage
    }

    /// A server without the shim starts, has everything, and takes work.
    fn check(&mut self) {
        let mut server = Server::start(&self.dir, ServerOptions::small());
        let mut http = server.http();
        let rows = all_pages(&mut http, "/v1/jobs");
        for (job, name) in &self.book {
            let found = rows.iter().find(|row| row["id"] == *job);
            assert!(found.is_some_and(|row| row["name"] == **name), "job {job} ({name}) is lost: {found:?}");
        }
        let spec = serde_json::json!({ "command": ["true"] });
        self.book.push((submit(&mut http, spec), "true".into()));
        server.kill9();
        self.disk = Some(Disk::of(&self.dir.join("data")));
    }
}

/// Runs under the shim in a process of its own: see the test after it.
#[test]
fn program_under_the_shim() {
    let Some(dir) = std::env::var_os("POWERCUT_PROGRAM") else { return };
    let dir = Path::new(&dir);
    let open =
        |name: &str| OpenOptions::new().write(true).create(true).truncate(true).open(dir.join(name)).unwrap();
    let sync_dir = || File::open(dir).unwrap().sync_all().unwrap();
    let safe = open("safe");
    safe.write_all_at(&[1; 2000], 0).unwrap();
    safe.sync_data().unwrap();
    open("unnamed").sync_all().unwrap();
    open("renamed.tmp").write_all(b"content").unwrap();
    File::open(dir.join("renamed.tmp")).unwrap().sync_all().unwrap();
    fs::rename(dir.join("renamed.tmp"), dir.join("renamed")).unwrap();
    let half = open("half");
    half.write_all_at(b"safe", 0).unwrap();
    half.sync_data().unwrap();
    fs::remove_file(dir.join("unnamed")).unwrap();
    sync_dir();
    half.write_all_at(b"LOST and more", 0).unwrap();
    safe.set_len(10).unwrap();
    fs::remove_file(dir.join("old")).unwrap();
    fs::create_dir(dir.join("dir")).unwrap();
    fs::write(dir.join("dir/inside"), b"x").unwrap();
    open("late").sync_all().unwrap();
    OpenOptions::new().append(true).open(dir.join("grown")).unwrap().write_all(b"+tail").unwrap();
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_nothing_else() {
    let tmp = tempfile::tempdir().unwrap();
    let (dir, log) = (tmp.path().canonicalize().unwrap().join("data"), tmp.path().join("records"));
    let shim = build_shim(tmp.path());
    let run = || {
        let _ = fs::remove_dir_all(&dir);
        let _ = fs::remove_file(&log);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("old"), "old").unwrap();
        fs::write(dir.join("grown"), "head").unwrap();
        let disk = Disk::of(&dir);
        let program = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "powercut::program_under_the_shim"])
            .env("LD_PRELOAD", &shim)
            .env("POWERCUT_PROGRAM", &dir)
            .env("POWERCUT_DIR", &dir)
            .env("POWERCUT_LOG", &log)
            .output()
            .unwrap();
        assert!(program.status.success(), "{program:?}");
        let mut disk = disk;
        disk.follow(&log);
        disk
    };
    let damage = run().cut(Cut::LoseAll);
    let mut names: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["grown", "half", "old", "renamed", "safe"], "{damage:?}");
    assert_eq!(fs::read(dir.join("safe")).unwrap(), [1; 2000]);
    assert_eq!(fs::read(dir.join("half")).unwrap(), b"safe");
    assert_eq!(fs::read(dir.join("renamed")).unwrap(), b"content");
    assert_eq!(fs::read(dir.join("grown")).unwrap(), b"head");
    assert!(damage.lost >= 4 && damage.names_lost >= 3, "{damage:?}");
    // What is left at random is each time something else, but what was synced is always there.
    let mut random = Random::seeded("shim");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        run().cut(Cut::KeepSome(&mut random));
        let half = fs::read(dir.join("half")).unwrap();
        assert!(half == b"safe" || half == b"LOST and more", "{half:?}");
        let safe = fs::read(dir.join("safe")).unwrap();
        assert!(safe == [1; 2000] || safe == [1; 10]);
        seen.insert((half, safe, dir.join("old").exists(), dir.join("late").exists()));
    }
    assert!(seen.len() > 4, "{seen:?}");
}
