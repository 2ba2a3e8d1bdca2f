//! The server is killed at random moments while users submit and tasks end. Nothing acknowledged may be missing, and
//! nothing may happen twice.

use crate::common::daemon::{Cluster, Server, ServerOptions, copy_dir};
use crate::common::events::Follower;
use crate::common::load::{Ended, Load};
use crate::common::random::Random;
use crate::common::{SOON, binary, eventually, full};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const USERS: u64 = 4;

#[test]
fn killing_the_server_loses_nothing_and_repeats_nothing() {
    let (jobs, rounds) = if full() { (50_000, 200) } else { (10_000, 50) };
    let began = Instant::now();
    let mut random = Random::seeded("kill");
    let mut cluster = Cluster::start(2, "8", ServerOptions::small());
    let follower = Follower::start(&cluster.server.http());
    let load = Load::start(&cluster.server.url, cluster.dir.path(), USERS, jobs / USERS, &mut random);
    let mut ended = Ended::default();
    let (mut kills, mut acknowledged, mut ends, mut digests) = (0, 0, 0, 0);
    let mut replay = Duration::ZERO;
    // Each kill comes when a random part of the rest has been submitted, so that all of them meet users at work.
    while kills < rounds {
        let goal = jobs as usize * (kills + 1) / (rounds + 1);
        let pause = random.millis(0, 30);
        eventually("users get on", SOON, || (load.count() >= goal || load.is_done()).then_some(()));
        std::thread::sleep(pause); // sleep: to a random moment
        let digest = (kills % 5 == 0).then(|| live_digest(&cluster.server));
        cluster.server.kill9();
        // Nobody acknowledges anything between here and the restart.
        let book = load.acknowledged();
        if let Some((index, digest)) = digest {
            let replayed = offline_digest(&cluster.server.dir, cluster.dir.path(), index);
            assert_eq!(replayed, format!("{index} {digest}"), "replay made another state");
            digests += 1;
        }
        let restart = Instant::now();
        cluster.server.restart();
        replay += restart.elapsed();
        let (jobs, terminal) = ended.check(&mut cluster.server.http(), &book);
        acknowledged += jobs;
        ends += terminal;
        kills += 1;
    }
    let within = Duration::from_secs(120);
    eventually("all users are done", within, || load.is_done().then_some(()));
    let book = load.finish();
    assert_eq!(book.acknowledged.len() as u64, jobs);
    let examined = book.check_all(&mut cluster.server.http(), within);

    let (index, _) = live_digest(&cluster.server);
    let (seen, later) = follower.finish();
    let task_ends = seen.check_ends(&book.acknowledged);
    let compared = seen.check_same(&later);
    println!(
        "kill: {kills} kills in {:?}, {} jobs, {index} entries; examined: {acknowledged} acknowledged submits and {ends} ends \
         after restarts, {examined:?}, {digests} digests, {task_ends} ends in {} events over {} connections with {} gaps, \
         {compared} events read again; {} answers were lost, {} requests repeated; {:?} for a restart",
        began.elapsed(),
        book.acknowledged.len(),
        seen.events.len(),
        seen.connections,
        seen.gaps.len(),
        book.unknown,
        book.repeated,
        replay / kills as u32,
    );
    for (what, count) in [
        ("acknowledged submits", acknowledged),
        ("ends", ends),
        ("digests", digests),
        ("ends of tasks in events", task_ends),
        ("events compared", compared),
        ("lost answers", book.unknown),
        ("repeated requests", book.repeated),
    ] {
        assert!(count > 0, "no {what} were examined");
    }
}

/// Index and digest of the state as the running server has it.
fn live_digest(server: &Server) -> (u64, String) {
    let status = server.http().get("/v1/cluster?digest=true");
    (status["applied_index"].as_u64().unwrap(), status["digest"].as_str().unwrap().to_owned())
}

/// What a copy of the data directory amounts to at an entry, by snapshot and replay.
fn offline_digest(data: &Path, dir: &Path, index: u64) -> String {
    let copy = dir.join("copy");
    copy_dir(data, &copy);
    let mut command = Command::new(binary());
    command.arg("digest").arg("--data-dir").arg(&copy).args(["--at", &index.to_string()]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_dir_all(copy).unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
