//! Three servers, and what users see when some of them die, stop or are cut off: a short pause. Nothing acknowledged
//! may be missing, nothing may happen twice, no read may answer from the past, and all servers must have the same
//! state.

use crate::common::cli;
use crate::common::daemon::ServerOptions;
use crate::common::events::Follower;
use crate::common::fleet::{Fleet, spread};
use crate::common::http::Http;
use crate::common::load::{Ended, Load};
use crate::common::random::Random;
use crate::common::{SOON, eventually, full};
use serde_json::json;
use std::time::{Duration, Instant};

const USERS: u64 = 4;

#[test]
fn killing_servers_loses_nothing_and_repeats_nothing() {
    let (jobs, rounds) = if full() { (40_000, 100) } else { (3_000, 8) };
    let mut random = Random::seeded("servers");
    let mut fleet = Fleet::start(3, 2, &ServerOptions::small());
    let urls = fleet.urls();
    let follower = Follower::start(&fleet.http());
    let load = Load::start(&urls, fleet.dir.path(), USERS, jobs / USERS, &mut random);
    let mut ended = Ended::default();
    let (mut acknowledged, mut ends, mut all_killed) = (0, 0, 0);
    let mut pauses = Vec::new();
    for round in 0..rounds {
        let goal = jobs as usize * (round + 1) / (rounds + 2);
        eventually("users get on", 2 * SOON, || (load.count() >= goal || load.is_done()).then_some(()));
        std::thread::sleep(random.millis(0, 30)); // sleep: to a random moment
        let leader = fleet.leader();
        let victims: Vec<usize> = match round % 8 {
            3 => vec![(leader + 1) % 3],
            7 => vec![0, 1, 2],
            _ => vec![leader],
        };
        victims.iter().for_each(|victim| fleet.servers[*victim].kill9());
        let left: Vec<usize> = (0..3).filter(|server| !victims.contains(server)).collect();
        if left.is_empty() {
            all_killed += 1;
        } else if victims == [leader] {
            pauses.push(fleet.until_answered(&left));
        }
        std::thread::sleep(random.millis(0, 500)); // sleep: the others go on alone for a random time
        let book = load.acknowledged();
        victims.iter().for_each(|victim| fleet.servers[*victim].launch());
        victims.iter().for_each(|victim| fleet.servers[*victim].ready());
        // By way of the one that has just come back: it must not answer from its own past.
        let (jobs, terminal) = ended.check(&mut fleet.servers[victims[0]].http(), &book);
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
    let digests = fleet.same_digests();
    println!(
        "servers: {rounds} rounds, all killed {all_killed} times; {acknowledged} acknowledged submits and {ends} ends examined after restarts, \
         {examined:?}, {task_ends} ends in {} events over {} connections with {} gaps, {compared} events read again; {} answers were lost, {} \
         requests repeated; {digests} digests; from kill of the leader to an answer: {}",
        seen.events.len(),
        seen.connections,
        seen.gaps.len(),
        book.unknown,
        book.repeated,
        spread(pauses.clone()),
    );
    for (what, count) in [
        ("acknowledged submits", acknowledged),
        ("ends", ends),
        ("ends of tasks in events", task_ends),
        ("events compared", compared),
        ("repeated requests", book.repeated),
        ("pauses", pauses.len() as u64),
        ("digests", digests as u64),
    ] {
        assert!(count > 0, "no {what} were examined");
    }
}

/// A leader that was stopped goes on in the belief that it leads. A read that reaches it then must not answer from
/// the time before.
#[test]
fn a_leader_that_was_stopped_answers_nothing_from_its_past() {
    let pauses: &[u64] = if full() { &[1, 2, 5, 10, 30, 60] } else { &[3] };
    let fleet = Fleet::start(3, 0, &ServerOptions::small());
    let (mut reads, mut replaced) = (0, 0);
    for (round, seconds) in pauses.iter().enumerate() {
        let leader = fleet.leader();
        let old = &fleet.servers[leader];
        let others: Vec<usize> = (0..3).filter(|server| *server != leader).collect();
        old.pause(true);
        let stopped = Instant::now();
        // Asked while it cannot answer: the answer comes when it goes on, and must know all that was acknowledged
        // before the question.
        let mut known = Http::new(&fleet.servers[others[0]].url);
        let mut acknowledged = 0;
        let mut readers = Vec::new();
        while stopped.elapsed() < Duration::from_secs(*seconds) {
            let queue = format!("q{round}-{acknowledged}");
            let made = known.request("PUT", &format!("/v1/queues/{queue}"), Some(&json!({})));
            if matches!(made, Ok(answer) if answer.is_success()) {
                acknowledged += 1;
                let url = old.url.clone();
                readers.push(std::thread::spawn(move || {
                    let answer = Http::new(&url).request("GET", "/v1/queues", None);
                    answer.ok().filter(crate::common::http::Answer::is_success).map(|a| (queue, a.text()))
                }));
            }
            std::thread::sleep(Duration::from_millis(50)); // sleep: the rate of questions
        }
        old.pause(false);
        replaced += usize::from(acknowledged > 0);
        for reader in readers {
            if let Some((queue, answer)) = reader.join().unwrap() {
                assert!(
                    answer.contains(&format!("\"{queue}\"")),
                    "an answer from the past: {queue} is not in {answer}"
                );
                reads += 1;
            }
        }
    }
    println!(
        "stopped leader: {replaced} of {} were replaced meanwhile, {reads} reads examined",
        pauses.len()
    );
    assert!(reads > 0 && replaced > 0, "nothing was examined");
}

/// Small shared machines stand still for a second now and then. That must not cost the leader its leadership, with
/// the timers as they are set by default; a leader that stays silent must lose it.
#[test]
fn a_stall_of_a_second_makes_no_election() {
    // A server draws its timer when it starts, so it takes many servers to see many timers.
    let fleets = if full() { 20 } else { 1 };
    let mut stalls = Vec::new();
    for _ in 0..fleets {
        let fleet = Fleet::start(3, 0, &ServerOptions::small());
        stalls.extend(stall(&fleet, 3));
        let (leader, term) = led(&fleet);
        let others: Vec<usize> = (0..3).filter(|server| *server != leader).collect();
        fleet.servers[leader].pause(true);
        fleet.until_answered(&others);
        fleet.servers[leader].pause(false);
        assert!(led(&fleet).1 > term, "nothing was elected although the leader was silent");
    }
    println!("stalls: {} without an election, {}", stalls.len(), spread(stalls));
}

/// Stops the leader for a second, so many times. How long it was away each time.
fn stall(fleet: &Fleet, times: usize) -> Vec<Duration> {
    const STALL: Duration = Duration::from_secs(1);
    /// What the machine may add: where tests have little of it, what was meant as one second can become two, which
    /// proves nothing.
    const MORE: Duration = Duration::from_millis(100);
    let mut stalls = Vec::new();
    let mut before = led(fleet);
    for _ in 0..4 * times {
        let leader = &fleet.servers[before.0];
        let began = Instant::now();
        leader.pause(true);
        std::thread::sleep(STALL); // sleep: the stall is the subject
        leader.pause(false);
        // The answer needs the word of another server, which has heard of this one by then.
        fleet.until_answered(&[before.0]);
        let away = began.elapsed();
        let now = led(fleet);
        if away <= STALL + MORE {
            assert_eq!(now, before, "elected after a stall of {away:?}");
            stalls.push(away);
        }
        if stalls.len() == times {
            return stalls;
        }
        before = now;
    }
    panic!("this machine had too little time for the test: {stalls:?}")
}

/// Who leads, and in which term, by the word of the leader.
fn led(fleet: &Fleet) -> (usize, u64) {
    eventually("a leader", SOON, || {
        let status = fleet.status()?;
        let id = status["leader"].as_u64()?;
        let leader = status["servers"].as_array()?.iter().find(|server| server["id"] == id)?;
        let at = fleet.servers.iter().position(|server| leader["url"] == *server.url)?;
        Some((at, status["term"].as_u64()?))
    })
}

/// Any server takes any request; servers come and go under load, one is told to stop and hands over first.
#[test]
fn servers_come_and_go_without_a_pause() {
    let mut random = Random::seeded("membership");
    let mut fleet = Fleet::start(3, 1, &ServerOptions::small());
    let load = Load::start(&fleet.urls(), fleet.dir.path(), 2, 100_000, &mut random);
    let fourth = fleet.add_server(ServerOptions::small());
    fleet.until_voters(4);
    let leader = fleet.leader();
    let began = Instant::now();
    fleet.servers[leader].stop();
    let others: Vec<usize> = (0..4).filter(|server| *server != leader).collect();
    let answered = fleet.until_answered(&others);
    println!("stopped in order in {:?}, an answer {answered:?} later", began.elapsed());
    let log = fleet.servers[leader].log();
    assert!(!log.contains("was not handed over"), "it does not see that another one leads: {log}");
    let id = |at: usize| {
        let status = fleet.status().unwrap();
        let found = status["servers"].as_array().unwrap().iter().find(|s| s["url"] == *fleet.servers[at].url);
        found.unwrap()["id"].as_u64().unwrap()
    };
    let gone = id(leader);
    let mut http = fleet.servers[fourth].http();
    http.must("DELETE", &format!("/v1/cluster/servers/{gone}"), None);
    eventually("it is gone", SOON, || {
        let servers = http.get("/v1/cluster/servers");
        servers["items"].as_array()?.iter().all(|s| s["id"] != gone).then_some(())
    });
    let mut back = fleet.servers.remove(leader);
    back.launch();
    let log = eventually("it is refused and ends", SOON, || back.ended().map(|_| back.log()));
    assert!(log.contains("was removed from the cluster"), "{log}");
    let book = load.finish();
    let examined = book.check_all(&mut fleet.http(), Duration::from_secs(120));
    let digests = fleet.same_digests();
    println!("membership: {examined:?}, {digests} digests");
}

/// One that does not vote any more calls nobody, and nobody calls it: it must hear of it all the same.
#[test]
fn a_server_that_is_removed_while_it_runs_ends() {
    let mut fleet = Fleet::start(3, 0, &ServerOptions::small());
    // A follower, then the leader itself.
    for leads in [false, true] {
        let leader = fleet.leader();
        let gone = if leads { leader } else { (leader + 1) % fleet.servers.len() };
        let url = fleet.servers[gone].url.clone();
        let status = fleet.status().unwrap();
        let found = status["servers"].as_array().unwrap().iter().find(|s| s["url"] == *url);
        let id = found.unwrap()["id"].clone();
        let mut left = fleet.servers.remove(gone);
        fleet.must("DELETE", &format!("/v1/cluster/servers/{id}"), None);
        let removed = Instant::now();
        let (status, log) =
            eventually("it ends by itself", SOON, || left.ended().map(|status| (status, left.log())));
        println!("removed while it ran, leader: {leads}: ended after {:.2?}", removed.elapsed());
        assert!(!status.success() && log.contains("was removed from the cluster"), "{status}: {log}");
        fleet.until_voters(fleet.servers.len());
    }
}

#[test]
fn a_server_that_is_left_alone_runs_on() {
    let mut fleet = Fleet::start(3, 0, &ServerOptions::small());
    let leader = fleet.leader();
    let alone = (leader + 1) % 3;
    (0..3).filter(|server| *server != alone).for_each(|server| fleet.servers[server].kill9());
    let survivor = &mut fleet.servers[alone];
    eventually("it has asked the others", SOON, || {
        survivor.log().contains("says that this one was removed").then_some(())
    });
    assert!(survivor.ended().is_none(), "{}", survivor.log());
    // And takes part again when another one is back.
    fleet.servers[leader].launch();
    fleet.servers[leader].ready();
    fleet.until_answered(&[alone]);
}

#[test]
fn a_server_that_is_alone_says_what_it_knows_and_how_old_that_is() {
    let mut fleet = Fleet::start(2, 0, &ServerOptions::small());
    let body = json!({ "spec": { "command": ["true"] }, "request_id": "once" });
    let job = fleet.http().must("POST", "/v1/jobs", Some(&body))["job"].as_u64().unwrap();
    let other = 1 - fleet.leader();
    let survivor = fleet.servers[other].url.clone();
    let ask = || cli::run(fleet.dir.path(), &survivor, &["jobs", "--stale", "--output", "ids"], "").code(0);
    eventually("the other one hears of it", SOON, || (ask().stdout.trim() == job.to_string()).then_some(()));
    fleet.servers[1 - other].kill9();
    let done = cli::run(fleet.dir.path(), &survivor, &["jobs", "--stale", "--output", "ids"], "").code(0);
    assert_eq!(done.stdout.trim(), job.to_string());
    done.says(&["stale answer of one server, up to ", " ms old"]);
}
