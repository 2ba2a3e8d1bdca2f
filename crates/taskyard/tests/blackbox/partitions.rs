//! Three servers with a network each, and what users see when links between them are cut: a minority acknowledges
//! nothing and answers nothing from the past, a majority goes on, and after healing all of them have the same state.

use crate::common::load::{Acknowledged, Ended, Finished, Load, Users};
use crate::common::netns::{Lost, Net};
use crate::common::netns_cluster::Apart;
use crate::common::random::Random;
use crate::common::{SOON, eventually, full};
use serde_json::{Value, json};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];

/// At a pace that leaves the machine room.
const PACED: Users = Users { count: 3, each: u64::MAX, pause: Duration::from_millis(20) };

fn others(server: usize) -> Vec<usize> {
    ALL.into_iter().filter(|other| *other != server).collect()
}

/// Users outside, each of whom begins with another server.
fn load(cluster: &Apart, users: Users, random: &mut Random) -> Load {
    Load::of(&cluster.http(), cluster.dir.path(), users, random)
}

/// Everything acknowledged is there, each task ended once, and the servers have the same state.
fn check_all(cluster: &Apart, book: &Finished) -> String {
    let mut http = cluster.http();
    Ended::default().check(&mut http, &book.acknowledged);
    let examined = book.check_all(&mut http, 2 * SOON);
    let index = cluster.check_digests(&cluster.members);
    format!(
        "{examined:?}, digests equal at {index}, {} answers lost, {} requests repeated",
        book.unknown, book.repeated
    )
}

/// N1.
#[test]
fn a_leader_that_is_cut_off_acknowledges_nothing_and_follows_later() {
    if !Net::is_possible() {
        return;
    }
    for _ in 0..if full() { 10 } else { 1 } {
        cut_the_leader_off();
    }
}

fn cut_the_leader_off() {
    let mut random = Random::seeded("partitions-leader");
    let cluster = Apart::start(3, 0, &[]);
    let (old, term) = cluster.leader(&ALL);
    let majority = others(old);
    let watch = cluster.watch();
    let there = load(&cluster, PACED, &mut random);
    let here = cluster.client(&cluster.net.hosts[old], &[old], Duration::from_secs(10));
    let beside = Load::of(&here, cluster.dir.path(), PACED, &mut random);
    let set = |servers: &[usize], weight: u32| {
        let body = json!({ "weight": weight });
        cluster.outside(servers).must("PUT", "/v1/queues/value", Some(&body));
    };
    set(&ALL, 1);
    eventually("both get on", SOON, || (there.count() > 50 && beside.count() > 50).then_some(()));

    cluster.net.cut(old, Lost::Both, &majority);
    let cut = Instant::now();
    let in_flight = write_in_flight(&cluster, old);
    let over = cluster.until_written(&majority);
    set(&majority, 2);
    let (known, went_on) = (Instant::now(), there.count());
    // From here on nothing that the old leader acknowledges could be true.
    let before = beside.count();
    let (refused, stale, age) = ask_beside(&cluster, old);
    assert_eq!(beside.count(), before, "a leader without a majority acknowledged a write");
    let unknown = in_flight.join().unwrap();
    let (new, next) = cluster.leader(&majority);
    assert!(new != old && next > term, "{new} leads in {next}, {old} did in {term}");
    eventually("the majority goes on", SOON, || (there.count() > went_on).then_some(()));
    let away = cut.elapsed();
    cluster.net.heal();
    let healed = Instant::now();
    let again = cluster.check_writes_again(&ALL, healed);
    cluster.until_voters(3);
    assert!(known < healed && cluster.seen_by(old)["term"].as_u64().unwrap() >= next);
    eventually("its users get on", SOON, || (beside.count() > before + 10).then_some(()));
    let follows = healed.elapsed();
    let late = cluster.http().ask("GET", "/v1/queues", None).text().contains("\"late\"");
    assert!(!late, "a write was refused for certain, yet it stands");
    let book = there.finish().and(beside.finish());
    let late = slowest(&book.acknowledged, cut, healed);
    let examined = check_all(&cluster, &book);
    let terms = watch.check();
    println!(
        "leader cut off for {away:.2?}: the majority wrote after {over:.2?}; beside the old leader requests were refused after \
         {refused:.2?}, one in flight was given up after {unknown:.2?}, {stale} stale ones answered, {age} ms old at last; writes after healing {again:.2?}, all in order after {follows:.2?}; terms and leaders {terms:?}; slowest \
         submit meanwhile {late:.2?}; {examined}"
    );
    assert!(!refused.is_empty() && stale > 0, "nothing was examined");
}

/// A write that reached the leader before it could know of the cut. It may have happened: it must hear so while it
/// still listens, to go on to another server with the same request id. How long that took.
fn write_in_flight(cluster: &Apart, old: usize) -> JoinHandle<Duration> {
    let mut http = cluster.client(&cluster.net.hosts[old], &[old], Duration::from_secs(10));
    std::thread::spawn(move || {
        let began = Instant::now();
        let answer = http.ask("PUT", "/v1/queues/in-flight", Some(&json!({})));
        assert!(!answer.is_success(), "a leader without a majority answered: {}", answer.text());
        assert_eq!(answer.error()["definite"], false, "{}", answer.text());
        began.elapsed()
    })
}

/// What a client beside the old leader gets once the majority has changed the value: a refusal in time, unless it
/// asks for what is stale.
fn ask_beside(cluster: &Apart, old: usize) -> (Vec<Duration>, u64, u64) {
    let client = || cluster.client(&cluster.net.hosts[old], &[old], Duration::from_secs(8));
    let refused = |method: &str, path: &str, body: Option<&Value>| {
        let (mut http, began) = (client(), Instant::now());
        let answer = http.ask(method, path, body);
        assert!(!answer.is_success(), "a leader without a majority answered: {}", answer.text());
        assert_eq!(answer.error()["code"], "unavailable", "{}", answer.text());
        assert_eq!(answer.error()["definite"], true, "{}", answer.text());
        began.elapsed()
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let other = scope.spawn(|| refused("GET", "/v1/jobs", None));
            let mut took = vec![refused("GET", "/v1/queues", None)];
            took.push(other.join().unwrap());
            // By now the last proof is old enough that no write is begun.
            took.push(refused("PUT", "/v1/queues/late", Some(&json!({}))));
            took
        });
        let (mut http, mut stale, mut age) = (client(), 0, 0);
        while !asked.is_finished() {
            let answer = http.ask("GET", "/v1/queues?consistency=stale", None);
            let rows = answer.json();
            let value =
                rows["items"].as_array().unwrap().iter().find(|queue| queue["name"] == "value").unwrap();
            assert_eq!(value["weight"], 1, "it cannot know better");
            let now: u64 =
                answer.header("taskyard-age-ms").expect("a stale answer has an age").parse().unwrap();
            assert!(now > age, "{age} ms old before, {now} now");
            age = now;
            stale += 1;
            std::thread::sleep(Duration::from_millis(100)); // sleep: the rate of questions
        }
        (asked.join().unwrap(), stale, age)
    })
}

/// The longest that a submit took which was acknowledged in this time.
fn slowest(acknowledged: &[Acknowledged], from: Instant, to: Instant) -> Duration {
    let within = acknowledged.iter().filter(|a| a.at >= from && a.at <= to);
    within.map(|a| a.took).max().unwrap_or_default()
}

/// N3.
#[test]
fn links_that_work_one_way_stop_nobody_for_long() {
    if !Net::is_possible() {
        return;
    }
    let mut random = Random::seeded("partitions-one-way");
    let cluster = Apart::start(3, 0, &[]);
    let watch = cluster.watch();
    let load = load(&cluster, PACED, &mut random);
    for _ in 0..if full() { 10 } else { 1 } {
        for (leads, lost) in [(true, Lost::In), (true, Lost::Out), (false, Lost::In), (false, Lost::Out)] {
            let (leader, before) = cluster.leader(&ALL);
            let victim = if leads { leader } else { others(leader)[random.below(2) as usize] };
            cluster.net.cut(victim, lost, &others(victim));
            let what = format!("{} loses {lost:?}", if leads { "leader" } else { "follower" });
            // The machine may stand still for two seconds, which costs one.
            let terms_max = if leads { 3 } else { 1 };
            hold(&cluster, &load, &what, (before, terms_max), &others(victim));
        }
    }
    let book = load.finish();
    let examined = check_all(&cluster, &book);
    println!("one way: terms and leaders {:?}; {examined}", watch.check());
}

/// N2: it needs no election that a leader cannot reach one of two followers, as long as that one can reach the other.
#[test]
fn a_follower_that_only_the_other_reaches_disturbs_nobody() {
    if !Net::is_possible() {
        return;
    }
    let mut random = Random::seeded("partitions-bridge");
    let cluster = Apart::start(3, 0, &[]);
    let watch = cluster.watch();
    let load = load(&cluster, PACED, &mut random);
    for _ in 0..if full() { 10 } else { 1 } {
        let (leader, before) = cluster.leader(&ALL);
        let far = others(leader)[random.below(2) as usize];
        cluster.net.cut(leader, Lost::Both, &[far]);
        let near = others(far);
        hold(&cluster, &load, "leader and follower do not reach each other", (before, 1), &near);
    }
    let book = load.finish();
    let examined = check_all(&cluster, &book);
    println!("bridge: terms and leaders {:?}; {examined}", watch.check());
}

/// Keeps a cut for a while, and heals it: work goes on soon and steadily by way of the healthy servers. `begun` is
/// the term at the cut, and how many more it may cost with its healing: leaders must not follow each other for ever.
fn hold(cluster: &Apart, load: &Load, what: &str, begun: (u64, u64), healthy: &[usize]) {
    let (before, terms_max) = begun;
    const STEADY: Duration = Duration::from_secs(3);
    let cut = Instant::now();
    let over = cluster.until_written(healthy);
    // What is there at the cut may still be answered by whoever led: only now it is known who goes on.
    let settled = eventually("work goes on", SOON, || {
        let from = Instant::now();
        let slow = (0..5).map(|_| cluster.until_written(healthy)).max()?;
        (slow < Duration::from_secs(1)).then_some(from)
    });
    let calm = settled.duration_since(cut);
    let (leader, term) = cluster.leader(healthy);
    let (mut gaps, from, count) = (Vec::new(), Instant::now(), load.count());
    while from.elapsed() < STEADY {
        std::thread::sleep(Duration::from_millis(20)); // sleep: the rate of writes
        gaps.push(cluster.until_written(healthy));
    }
    let during = cluster.leader(healthy);
    let submitted = load.count() - count;
    cluster.net.heal();
    let healed = Instant::now();
    let again = cluster.check_writes_again(&ALL, healed);
    cluster.until_voters(3);
    let follows = healed.elapsed();
    let (_, after) = cluster.leader(&ALL);
    println!(
        "{what}: a write after {over:.2?}, calm after {calm:.2?}, then {} writes, the slowest {:.2?}, and {submitted} submits; terms {before}, {term}, \
         {after}; writes after healing {again:.2?}, all in order after {follows:.2?}",
        gaps.len(),
        gaps.iter().max().unwrap(),
    );
    assert_eq!(during, (leader, term), "{what}: leaders change although nothing else does");
    assert!(after - before <= terms_max, "{what}: {before} was the term, now it is {after}");
    assert!(calm < Duration::from_secs(15), "{what}: {calm:?}");
}

/// N7 and S1: a follower that was away for long gets a snapshot over a narrow link, and nobody else notices.
#[test]
fn a_snapshot_over_a_narrow_link_slows_nobody_down() {
    /// Entries that a leader keeps for those that lag, and some.
    const KEPT: u64 = 4_096 + 500;
    const HEAVY: Users = Users { count: 3, each: u64::MAX, pause: Duration::ZERO };
    const LIGHT: Users = Users { count: 3, each: u64::MAX, pause: Duration::from_millis(30) };
    if !Net::is_possible() {
        return;
    }
    let mut random = Random::seeded("partitions-snapshot");
    let cluster = Apart::start(3, 0, &["--snapshot-after", "1MiB"]);
    let watch = cluster.watch();
    let (leader, _) = cluster.leader(&ALL);
    let away = others(leader)[random.below(2) as usize];
    let near = others(away);
    cluster.net.cut(away, Lost::Both, &near);
    let applied = |server: usize| cluster.seen_by(server)["applied_index"].as_u64().unwrap();
    let left_at = applied(away);
    let dir = cluster.dir.path();
    let filling = Instant::now();
    let heavy = Load::of(&cluster.outside(&near), dir, HEAVY, &mut random);
    eventually("a snapshot has what it lacks", 2 * SOON, || {
        (snapshot_index(&cluster, leader) > left_at + KEPT).then_some(())
    });
    let book = heavy.finish();
    let filled = filling.elapsed();
    let light = Load::of(&cluster.outside(&near), dir, LIGHT, &mut random);
    // The log goes only in a moment in which nothing is on its way to a follower, which is one in each try to connect
    // to this one.
    eventually("the log that it lacks is gone", SOON, || (light.count() >= 400).then_some(()));
    cluster.net.slow(away, Some("1mbit"));
    let (goal, before) = (applied(leader), applied(away));
    cluster.net.heal();
    let (healed, mut last, mut jump) = (Instant::now(), before, 0);
    eventually("it has what the others had", 2 * SOON, || {
        let now = applied(away);
        (jump, last) = (jump.max(now - last), now);
        (now >= goal).then_some(())
    });
    let (took, caught_up) = (healed.elapsed(), Instant::now());
    let again = cluster.check_writes_again(&ALL, healed.max(caught_up - SOON / 2));
    cluster.until_voters(3);
    let in_order = healed.elapsed();
    cluster.net.slow(away, None);
    let light = light.finish();
    let mut waits: Vec<Duration> =
        light.acknowledged.iter().filter(|a| a.at > healed && a.at < caught_up).map(|a| a.took).collect();
    waits.sort_unstable();
    let (p99, count) = (waits[waits.len() * 99 / 100], waits.len());
    let examined = check_all(&cluster, &book.and(light));
    let terms = watch.check();
    println!(
        "narrow link: filled in {filled:.2?}; a snapshot of {jump} entries and what came after in {took:.2?}, all in order after \
         {in_order:.2?}, written through it after {again:.2?}; {count} submits meanwhile, p99 {p99:.2?}, slowest {:.2?}; terms and leaders {terms:?}; {examined}",
        waits[count - 1],
    );
    assert!(jump > KEPT, "no snapshot was sent: at most {jump} entries at once");
    assert!(count > 100 && p99 < Duration::from_secs(1), "{count} submits, p99 {p99:?}");
    assert!(took > Duration::from_secs(3), "the link was not narrow: {took:?}");
    assert!(terms.0 <= 2, "elections: {terms:?}");
}

fn snapshot_index(cluster: &Apart, server: usize) -> u64 {
    let text = cluster.outside(&[server]).ask("GET", "/metrics", None).text();
    let value = text.lines().find_map(|line| line.strip_prefix("taskyard_snapshot_index "));
    value.unwrap_or_else(|| panic!("no such metric: {text}")).parse().unwrap()
}

/// M1.
#[test]
fn servers_come_and_go_while_one_is_cut_off() {
    if !Net::is_possible() {
        return;
    }
    let rounds = if full() { 10 } else { 1 };
    let mut random = Random::seeded("partitions-members");
    let mut cluster = Apart::start(3, 2 * rounds, &[]);
    let tokens: Vec<_> = (0..2 * rounds).map(|_| cluster.join_token("server")).collect();
    let watch = cluster.watch();
    let load = load(&cluster, PACED, &mut random);
    let mut changes = Vec::new();
    let mut change = |cluster: &mut Apart, act: &mut dyn FnMut(&mut Apart)| {
        let (began, count) = (Instant::now(), load.count());
        act(cluster);
        cluster.until_voters(cluster.members.len());
        changes.push(began.elapsed());
        eventually("users get on", SOON, || (load.count() > count + 20).then_some(()));
    };
    for pair in tokens.chunks(2) {
        let mut added = 0;
        change(&mut cluster, &mut |cluster| added = cluster.join(&pair[0]));
        let (leader, _) = cluster.leader(&cluster.members);
        let olds: Vec<usize> =
            cluster.members.iter().copied().filter(|m| *m != leader && *m != added).collect();
        let away = olds[random.below(olds.len() as u64) as usize];
        let peers: Vec<usize> = (0..cluster.net.hosts.len()).filter(|host| *host != away).collect();
        cluster.net.cut(away, Lost::Both, &peers);
        // Three of the four are left, and must all be asked.
        change(&mut cluster, &mut |cluster| cluster.remove(added));
        change(&mut cluster, &mut |cluster| {
            cluster.join(&pair[1]);
        });
        // It is away, and hears of it only when it is back.
        change(&mut cluster, &mut |cluster| cluster.remove(away));
        cluster.net.heal();
        let healed = Instant::now();
        cluster.until_gone(away);
        let again = cluster.check_writes_again(&cluster.members, healed);
        cluster.until_gone(added);
        println!("members: server {away} was let go while it was away; writes after healing {again:.2?}");
    }
    let book = load.finish();
    let examined = check_all(&cluster, &book);
    println!(
        "members: {} changes took {changes:.2?}; terms and leaders {:?}; {examined}",
        changes.len(),
        watch.check()
    );
}
