//! Three servers whose links are bad all the time, instead of cut: packets get lost, connections are reset again and
//! again. Work goes on, and what was acknowledged stands.

use crate::common::events::Follower;
use crate::common::load::{Ended, Load, Users};
use crate::common::netns::Net;
use crate::common::netns_cluster::Apart;
use crate::common::output::Counting;
use crate::common::random::Random;
use crate::common::{SOON, eventually, full};
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
const PACED: Users = Users { count: 3, each: u64::MAX, pause: Duration::from_millis(20) };
/// What is submitted while the links are bad.
const SUBMITS: usize = 200;
/// Long enough that a task outlives the worst of it: where leaders come and go, grants may not come for many seconds.
const LEASE: [&str; 2] = ["--lease", "60s"];
/// A reader goes on elsewhere when it hears nothing for so long.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Work may be slow then, and must not stand still.
const SLOW: Duration = Duration::from_secs(120);

/// Users at work while `trouble` makes links bad until they have submitted enough; then everything acknowledged is
/// there, each task ran once, the servers have the same state, and those who read events and output missed nothing
/// and saw nothing twice.
///
/// It takes so many `breaks` at least of a connection on which events are read.
fn bad_links(name: &str, breaks: u64, trouble: impl Fn(&Apart, &dyn Fn() -> bool) -> bool) {
    if !Net::is_possible() {
        return;
    }
    let mut random = Random::seeded(name);
    let cluster = Apart::start(3, 0, &LEASE);
    let watch = cluster.watch();
    let counting = Counting::start(&mut cluster.http(), cluster.dir.path(), "counting", "default");
    let asks = cluster.client(&cluster.net.outside, &ALL, SILENCE_MAX);
    let (follower, reader) = (Follower::start(&asks), counting.read(&asks));
    let load = Load::of(&cluster.http(), cluster.dir.path(), PACED, &mut random);
    eventually("users get on", SOON, || (load.count() > 50).then_some(()));
    let (began, before) = (Instant::now(), load.count());
    let goal = before + if full() { 20 * SUBMITS } else { SUBMITS };
    let enough = || {
        assert!(began.elapsed() < SLOW || full(), "{} submits in {SLOW:?}", load.count() - before);
        load.count() >= goal && follower.resumed() >= breaks
    };
    if !trouble(&cluster, &enough) {
        return;
    }
    cluster.net.heal();
    let healed = Instant::now();
    let again = cluster.check_writes_again(&ALL, healed);
    cluster.until_voters(3);
    let mut book = load.finish();
    let mut took: Vec<Duration> =
        book.acknowledged.iter().filter(|a| a.at > began && a.at < healed).map(|a| a.took).collect();
    took.sort_unstable();
    book.acknowledged.push(counting.end(&mut cluster.http()));
    Ended::default().check(&mut cluster.http(), &book.acknowledged);
    let examined = book.check_all(&mut cluster.http(), 2 * SOON);
    let index = cluster.check_digests(&cluster.members);
    let output = reader.finish();
    let lines = counting.check(&mut cluster.http(), &output);
    let events = follower.check(&book.acknowledged);
    println!("{name}: {events:?}; {lines} lines of output over {} connections", output.connections);
    println!(
        "{name}: {} submits in {:.1?}, p50 {:.0?}, p99 {:.0?}; writes after healing {again:.2?}; terms and leaders {:?}; {examined:?}, digests \
         equal at {index}, {} answers lost, {} requests repeated",
        took.len(),
        healed.duration_since(began),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        watch.check(),
        book.unknown,
        book.repeated,
    );
    assert!(took.len() >= SUBMITS, "nothing was examined");
}

/// N5: of what reaches a server one packet in ten is lost.
#[test]
fn lost_packets_cost_time_and_nothing_else() {
    bad_links("loss", 0, |cluster, enough| {
        let possible = cluster.net.meet("numgen random mod 100 < 10 drop");
        if possible {
            eventually("users get on", 20 * SLOW, || enough().then_some(()));
        }
        possible
    });
}

/// N8: twice a second all connections that carry anything are reset, those of users, of agents and between servers.
#[test]
fn connections_that_are_reset_again_and_again_cost_time_and_nothing_else() {
    bad_links("resets", 2, |cluster, enough| {
        while !enough() {
            if !cluster.net.meet("meta l4proto tcp reject with tcp reset") {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50)); // sleep: how long a storm lasts
            cluster.net.heal();
            std::thread::sleep(Duration::from_millis(450)); // sleep: how long it is calm
        }
        true
    });
}
