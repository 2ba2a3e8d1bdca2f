//! Three servers under a steady load, and one of them dies at a chosen change of its disk: while it builds, receives
//! or installs a snapshot, deletes old log or makes new, and while it starts. Everything that it had not synced is
//! lost.

use crate::common::daemon::{Server, ServerOptions};
use crate::common::disk::{self, Cut, Damage, Step, build_shim};
use crate::common::fleet::Fleet;
use crate::common::http::Http;
use crate::common::load::{Ballast, Ended, Load, Users};
use crate::common::random::Random;
use crate::common::watched::{Point, Watched};
use crate::common::{SOON, eventually, full};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// At a pace that leaves the machine room.
const PACED: Users = Users { count: 3, each: u64::MAX, pause: Duration::from_millis(30) };

/// Entries that are kept besides a snapshot: few, so that the log is purged soon.
const KEPT: &str = "50";

/// Files that only a first start changes, which is another test's.
const FIRST_START: [&str; 6] = ["mkdir", "FORMAT", "JOINING", "LOCK", "create endpoint", "audit"];

/// What the server does that is to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    BuildOfFollower,
    BuildOfLeader,
    PurgeOfFollower,
    PurgeOfLeader,
    Install,
    Start,
}

use Phase::{BuildOfFollower, BuildOfLeader, Install, PurgeOfFollower, PurgeOfLeader, Start};

const PHASES: [Phase; 6] = [BuildOfFollower, BuildOfLeader, PurgeOfFollower, PurgeOfLeader, Install, Start];

const fn at(part: &'static str, kind: u32, nth: u64) -> Point {
    Point { part, kind, nth, more: 0 }
}

const fn after(part: &'static str, kind: u32, more: u64) -> Point {
    Point { part, kind, nth: 1, more }
}

impl Phase {
    /// All points at which it is to die: each step of the phase, and of what is repeated the first and a later one.
    fn points(self) -> Vec<Point> {
        use disk::{CREATE, DIR_SYNC, RENAME, SYNC, SYNCED, UNLINK, WRITE};
        match self {
            BuildOfFollower | BuildOfLeader => vec![
                at("new.tmp", CREATE, 1),
                at("new.tmp", WRITE, 1),
                at("new.tmp", WRITE, 2),
                at("new.tmp", SYNC, 1),
                at("new.tmp", SYNCED, 1),
                at("new.tmp", RENAME, 1),
                at("/snapshot", DIR_SYNC, 1),
                at("/snapshot", SYNCED, 2),
                at(".snap", UNLINK, 1),
            ],
            // The record of the purge follows the snapshot, somewhere among the next steps; then files of the log go,
            // and new ones come.
            PurgeOfFollower | PurgeOfLeader => {
                let mut points: Vec<_> = (1..=10).map(|more| after(".snap", UNLINK, more)).collect();
                points.extend([at(".wal", UNLINK, 1), after(".wal", UNLINK, 1), after(".wal", UNLINK, 4)]);
                points.extend([0, 1, 4, 5, 6, 7, 8, 10].map(|more| after("/wal/", CREATE, more)));
                points.extend([0, 1, 2, 3, 6].map(|more| after("/wal/", RENAME, more)));
                points
            }
            Install => {
                let mut points = vec![
                    at("incoming", CREATE, 1),
                    at("incoming", WRITE, 1),
                    at("incoming", WRITE, 3),
                    at("incoming", SYNC, 1),
                    at("incoming", SYNCED, 1),
                ];
                points.extend((0..=12).map(|more| after("incoming", RENAME, more)));
                points
            }
            Start => {
                let mut points = vec![at("/", 0, 1)];
                points.extend((0..=16).map(|more| after("STARTS", CREATE, more)));
                points
            }
        }
    }

    /// In the short version some of them, others each time.
    fn chosen(self, random: &mut Random) -> Vec<Point> {
        let mut points = self.points();
        if full() {
            return points;
        }
        let few = if self == Install { 2 } else { 1 };
        let left: Vec<_> =
            (0..few).map(|_| points.remove(random.below(points.len() as u64) as usize)).collect();
        left
    }
}

/// Three servers with watched disks, users, and what was seen.
struct OneDies {
    load: Load,
    ballast: Ballast,
    fleet: Fleet,
    disks: Vec<Watched>,
    random: Random,
    ended: Ended,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    damage: Damage,
    /// Acknowledged submits, and ends, that were examined after cuts.
    acknowledged: u64,
    ends: u64,
    /// Deaths by phase, and how many of the points were reached.
    died: BTreeMap<Phase, (usize, usize)>,
    /// Kinds of steps: all that there were, and those right after which a server died.
    steps: BTreeSet<String>,
    covered: BTreeSet<String>,
}

impl OneDies {
    fn start() -> OneDies {
        let mut random = Random::seeded("one of three");
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        let shim = build_shim(&root);
        let mut fleet = Fleet::of(tmp);
        let disks = (1..=3).map(|number| {
            let disk = Watched::new(&root.join(format!("s{number}")));
            fleet.add_server(disk.options(ServerOptions::small().args(["--keep-entries", KEPT]), &shim));
            fleet.until_voters(number);
            disk
        });
        let disks = disks.collect();
        fleet.add_agent("n1", &fleet.urls(), &["--cpus", "16"]);
        fleet.until_nodes(1);
        let load = Load::of(&fleet.http(), &root, PACED, &mut random);
        let ballast = Ballast::start(&fleet.urls());
        OneDies { load, ballast, fleet, disks, random, ended: Ended::default(), seen: Seen::default() }
    }

    fn victim(&mut self, phase: Phase) -> usize {
        let leader = self.fleet.leader();
        match phase {
            BuildOfLeader | PurgeOfLeader => leader,
            _ => (leader + 1 + self.random.below(2) as usize) % 3,
        }
    }

    /// A server dies at a point, starts again, and has all that was acknowledged.
    fn die_at(&mut self, phase: Phase, point: &Point) {
        let victim = self.victim(phase);
        match phase {
            Start => {
                self.fleet.servers[victim].kill9();
                self.cut(victim);
                self.disks[victim].arm(point);
                self.fleet.servers[victim].launch();
            }
            _ => self.disks[victim].arm(point),
        }
        self.ballast.flow(phase != Start);
        self.until_dead(phase, victim, point);
        self.ballast.flow(false);
        self.come_back(victim);
    }

    /// A server that lacks what the others have purged gets a snapshot, and dies at each of these points of it.
    fn die_while_installing(&mut self, points: &[Point]) {
        let mut lags = None;
        for point in points {
            let victim = match lags {
                Some(victim) => victim,
                None => self.leave_behind(),
            };
            self.disks[victim].arm(point);
            self.fleet.servers[victim].launch();
            self.until_dead(Install, victim, point);
            // With the new name the snapshot may be there to stay; without it, it is not.
            lags = (point.kind != disk::RENAME).then_some(victim);
            if lags.is_none() {
                self.come_back(victim);
            }
        }
        if let Some(victim) = lags {
            self.come_back(victim);
        }
    }

    /// Stops a server until the others have removed the log that it had last; which one.
    fn leave_behind(&mut self) -> usize {
        let victim = self.victim(Install);
        self.fleet.servers[victim].kill9();
        self.cut(victim);
        let others = (0..3).filter(|at| *at != victim);
        let logs: Vec<PathBuf> = others.map(|at| self.fleet.servers[at].dir.join("wal")).collect();
        // Each numbers its files by itself.
        let newest: Vec<u64> = logs.iter().map(|log| *segments(log).last().unwrap()).collect();
        self.ballast.flow(true);
        eventually("the log that it lacks is gone", 2 * SOON, || {
            logs.iter().zip(&newest).all(|(log, newest)| segments(log)[0] > *newest).then_some(())
        });
        self.ballast.flow(false);
        victim
    }

    fn until_dead(&mut self, phase: Phase, victim: usize, point: &Point) {
        let server = &mut self.fleet.servers[victim];
        let began = Instant::now();
        while server.ended().is_none() && began.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(5)); // sleep: between two looks
        }
        let (died, all) = self.seen.died.entry(phase).or_default();
        *all += 1;
        let reached = server.ended().is_some();
        if let Some(status) = server.ended() {
            assert_eq!(status.signal(), Some(libc::SIGKILL), "{point:?}: {status}: {}", server.log_tail());
            *died += 1;
        } else {
            println!("{phase:?}: {point:?} was not reached");
            server.kill9();
        }
        let last = self.cut(victim);
        if reached {
            self.seen.covered.insert(last.unwrap().name());
        }
    }

    /// Loses what a dead server had not synced; its last step.
    fn cut(&mut self, victim: usize) -> Option<Step> {
        let keep_some = self.random.one_in(2);
        let cut = if keep_some { Cut::KeepSome(&mut self.random) } else { Cut::LoseAll };
        let (damage, steps) = self.disks[victim].cut_after(cut);
        self.seen.damage += damage;
        let names = steps.iter().map(Step::name);
        self.seen.steps.extend(names.filter(|name| !FIRST_START.iter().any(|file| name.contains(file))));
        steps.last().cloned()
    }

    /// Starts a server again; it has everything, and votes.
    fn come_back(&mut self, victim: usize) {
        let book = self.load.acknowledged();
        self.fleet.servers[victim].restart();
        let (jobs, terminal) = self.ended.check(&mut self.fleet.servers[victim].http(), &book);
        self.seen.acknowledged += jobs;
        self.seen.ends += terminal;
        self.fleet.until_voters(3);
    }
}

/// Numbers of the files of a log, in order.
fn segments(dir: &Path) -> Vec<u64> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<u64> = names.filter_map(|name| name.strip_suffix(".wal")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

/// S2 and D3.
#[test]
fn a_server_of_three_dies_at_any_step_and_comes_back() {
    let began = Instant::now();
    let mut trial = OneDies::start();
    for phase in PHASES {
        let points = phase.chosen(&mut trial.random);
        match phase {
            Install => trial.die_while_installing(&points),
            _ => points.iter().for_each(|point| trial.die_at(phase, point)),
        }
    }
    let OneDies { load, ballast, mut fleet, mut ended, seen, .. } = trial;
    let mut book = load.finish();
    book.acknowledged.push(ballast.finish());
    let mut http: Http = fleet.http();
    ended.check(&mut http, &book.acknowledged);
    let examined = book.check_all(&mut http, 2 * SOON);
    let digests = fleet.same_digests();
    let Seen { damage, acknowledged, ends, died, steps, covered } = seen;
    let missing: Vec<_> = steps.difference(&covered).collect();
    println!(
        "one of three: {died:?} points reached by phase, in {:?}; {} of {} kinds of steps covered, {} %, not: {missing:?}; \
         {damage:?}; examined: {acknowledged} acknowledged submits and {ends} ends after cuts, {examined:?}; {digests} digests; {} answers \
         were lost, {} requests repeated",
        began.elapsed(),
        covered.len(),
        steps.len(),
        100 * covered.len() / steps.len(),
        book.unknown,
        book.repeated,
    );
    assert!(acknowledged > 0 && ends > 0 && digests == 3, "nothing was examined");
    assert!(
        died.len() == PHASES.len() && died.values().all(|(died, _)| *died > 0),
        "a phase was not tried: {died:?}"
    );
    assert!(damage.lost > 0 && damage.syncs > 0, "the cuts took nothing: {damage:?}");
}

/// Power fails at each step of the first start of a server that joins: it joins once, whatever it had synced.
#[test]
fn a_server_that_joins_dies_at_any_step_and_is_one_server() {
    let mut random = Random::seeded("joining");
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let shim = build_shim(&root);
    let mut fleet = Fleet::of(tmp);
    fleet.add_server(ServerOptions::small());
    fleet.add_server(ServerOptions::small());
    fleet.until_voters(2);
    let stride = if full() { 1 } else { 9 };
    let (mut covered, mut damage) = (BTreeSet::new(), Damage::default());
    for nth in (1 + random.below(stride)..).step_by(stride as usize) {
        let joining = Joining { fleet: &mut fleet, shim: &shim, dir: root.join(format!("joining-{nth}")) };
        let (last, lost) = joining.die_at(nth, &mut random);
        damage += lost;
        let Some(step) = last else { break };
        covered.insert(step.name());
    }
    let digests = fleet.same_digests();
    println!("joining: {} kinds of steps: {covered:?}; {damage:?}; {digests} digests", covered.len());
    assert!(covered.len() >= 2 && damage.names_lost > 0 && digests == 2, "nothing was examined");
}

/// A server that is to join two others, in a new directory.
struct Joining<'a> {
    fleet: &'a mut Fleet,
    shim: &'a Path,
    dir: PathBuf,
}

impl Joining<'_> {
    /// Dies at this step of its first start, joins at the next, takes part, and is removed. Its last step, if it died
    /// before it was ready.
    fn die_at(self, nth: u64, random: &mut Random) -> (Option<Step>, Damage) {
        let Joining { fleet, shim, dir } = self;
        let mut disk = Watched::new(&dir);
        disk.arm(&at("/", 0, nth));
        let join = fleet.urls();
        let plain = ServerOptions::small().args(["--join", &join]);
        let mut server = Server::begin(&dir, disk.options(plain.clone(), shim));
        let died = server.try_ready().is_err();
        if !died && server.ended().is_none() {
            server.kill9();
        }
        let (damage, steps) =
            disk.cut_after(if nth.is_multiple_of(2) { Cut::LoseAll } else { Cut::KeepSome(random) });
        server.options = plain;
        server.restart();
        fleet.servers.push(server);
        fleet.until_voters(3);
        fleet.submit(&json!({ "command": ["true"], "hold": true }), &format!("after {nth}"));
        let listed = fleet.must("GET", "/v1/cluster/servers", None);
        let listed = listed["items"].as_array().unwrap();
        let last = steps.last().filter(|_| died).cloned();
        assert_eq!(
            listed.len(),
            3,
            "after {nth} steps, the last {last:?}: who asked twice is two servers: {listed:#?}"
        );
        let joined = fleet.servers.pop().unwrap();
        let id = &listed.iter().find(|server| server["url"] == *joined.url).unwrap()["id"];
        fleet.must("DELETE", &format!("/v1/cluster/servers/{id}"), None);
        fleet.until_voters(2);
        (last, damage)
    }
}
