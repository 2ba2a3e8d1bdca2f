//! A cluster goes from one version to the next while it works, one part after the other (fault U1).
//! `TASKYARD_OLD_BIN` names a binary of the version before; without it there is nothing to upgrade from, and the test
//! says so.

use crate::common::daemon::{ServerOptions, User};
use crate::common::events::Follower;
use crate::common::fleet::Fleet;
use crate::common::load::{Ended, Load};
use crate::common::random::Random;
use crate::common::{SOON, eventually};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const USERS: u64 = 4;
const JOBS: u64 = 4_000;

#[test]
fn a_rolling_upgrade_loses_nothing_and_repeats_nothing() {
    let Some(old) = std::env::var_os("TASKYARD_OLD_BIN").map(PathBuf::from) else {
        println!("SKIPPED: TASKYARD_OLD_BIN names no binary of the version before");
        return;
    };
    let mut random = Random::seeded("upgrade");
    let options = ServerOptions { user: User::With(old.clone()), ..ServerOptions::small() };
    let mut fleet = Fleet::start(3, 2, &options);
    let follower = Follower::start(&fleet.http());
    let load = Load::start(&fleet.urls(), fleet.dir.path(), USERS, JOBS / USERS, &mut random);
    let mut ended = Ended::default();
    let (mut acknowledged, mut ends) = (0, 0);
    // The leader of the beginning last.
    let first = fleet.leader();
    for (step, part) in (1..=3).map(|n| (first + n) % 3).enumerate() {
        let goal = JOBS as usize * (step + 1) / 5;
        eventually("users get on", 3 * SOON, || (load.count() >= goal || load.is_done()).then_some(()));
        let server = &mut fleet.servers[part];
        server.stop();
        server.options.user = User::Same;
        server.restart();
        let book = load.acknowledged();
        let (jobs, terminal) = ended.check(&mut server.http(), &book);
        acknowledged += jobs;
        ends += terminal;
    }
    let within = Duration::from_secs(180);
    eventually("all users are done", within, || load.is_done().then_some(()));
    let book = load.finish();
    let examined = book.check_all(&mut fleet.http(), within);
    let (seen, later) = follower.finish();
    let task_ends = seen.check_ends(&book.acknowledged);
    let compared = seen.check_same(&later);
    let outcome = back_again(&mut fleet, &old);
    upgrade_agents(&mut fleet);
    let digests = fleet.same_digests();
    println!(
        "upgrade: {acknowledged} acknowledged submits and {ends} ends examined on the way, {examined:?}, {task_ends} ends in events, {compared} \
         events read again, {digests} digests; {} answers were lost, {} requests repeated; back again: {outcome}",
        book.unknown, book.repeated,
    );
    assert!(acknowledged > 0 && ends > 0 && task_ends > 0 && compared > 0 && digests == 3);
}

/// Agents of the version before have worked for the new servers until now. What runs on one that is stopped is tried
/// again, so nothing does.
fn upgrade_agents(fleet: &mut Fleet) {
    for agent in &mut fleet.agents {
        agent.process.stop();
        agent.user = User::Same;
        agent.restart();
    }
    fleet.until_nodes(2);
    let job = fleet.submit(&json!({"command": ["true"], "array": "1-100"}), "after the upgrade");
    assert_eq!(fleet.wait(job, 2 * SOON)["state"], "succeeded");
}

/// Starts the last follower as what it was before: it goes on, or says what it cannot read. Then it is the new one
/// again.
fn back_again(fleet: &mut Fleet, old: &std::path::Path) -> String {
    let follower = (fleet.leader() + 1) % 3;
    let server = &mut fleet.servers[follower];
    server.stop();
    server.options.user = User::With(old.to_owned());
    server.launch();
    let outcome = match server.try_ready() {
        Ok(()) => {
            server.stop();
            "it went on".to_owned()
        }
        Err(status) => {
            let log = server.log_tail();
            assert!(log.contains("newer version"), "it ended with {status} and does not say why:\n{log}");
            "refused: a newer version wrote what it has".to_owned()
        }
    };
    let server = &mut fleet.servers[follower];
    server.options.user = User::Same;
    server.restart();
    outcome
}
