//! A machine that comes back with the data of another cluster, as after a cluster was set up again on the same machines and one of them was
//! forgotten: all its peers refuse it. It must say why wherever somebody looks, must not count as ready, and must not fill anybody's log.

use crate::common::cli;
use crate::common::daemon::{Server, ServerOptions};
use crate::common::fleet::Fleet;
use crate::common::{SOON, eventually};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Long enough for some dozen tries to reach a peer.
const QUIET: Duration = Duration::from_secs(10);
/// What a server may log of peers that refuse it, or that it refuses: a line for each and one more, however often it tries.
const LINES_MAX: usize = 4;

fn aside(server: &Server) -> PathBuf {
    server.dir.with_extension("before")
}

/// Lines about peers since `from`, which is a length of the log.
fn lines_of_peers(server: &Server, from: usize) -> Vec<String> {
    let words = ["refuse", "cannot be reached", "belongs to cluster", "another server"];
    let log = server.log();
    log[from..]
        .lines()
        .filter(|line| words.iter().any(|word| line.contains(word)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_server_that_all_others_refuse_says_why_and_is_not_ready() {
    let mut fleet = Fleet::start(4, 0, &ServerOptions::default());
    let old = fleet.status().unwrap()["cluster_id"].as_str().unwrap().to_owned();
    fleet.servers.iter_mut().rev().for_each(Server::stop);
    for server in &mut fleet.servers {
        std::fs::rename(&server.dir, aside(server)).unwrap();
        server.restart();
    }
    fleet.until_voters(4);
    let new = fleet.status().unwrap()["cluster_id"].as_str().unwrap().to_owned();
    assert_ne!(old, new);

    let at = (fleet.leader() + 1) % 4;
    let logged: Vec<usize> = fleet.servers.iter().map(|server| server.log().len()).collect();
    let victim = &mut fleet.servers[at];
    victim.stop();
    let own = victim.dir.with_extension("own");
    std::fs::rename(&victim.dir, &own).unwrap();
    std::fs::rename(aside(victim), &victim.dir).unwrap();
    victim.launch();

    let (mut http, began) = (victim.http(), Instant::now());
    let error = eventually("it says that all refuse it", SOON, || {
        let answer = http.request("GET", "/readyz", None).ok()?;
        assert!(!answer.is_success(), "it is ready: {}", answer.text());
        let error = answer.error();
        error["message"].as_str()?.contains("every other server refuses this one").then_some(error)
    });
    let after = began.elapsed();
    let said = error.to_string();
    assert!(said.contains(&old) && said.contains(&new), "both clusters are named: {said}");
    assert!(error["remedy"].as_str().unwrap().contains("taskyard cluster remove"), "{said}");
    let asked = Instant::now();
    let status = cli::run(fleet.dir.path(), &fleet.servers[at].url, &["cluster", "status"], "");
    assert_ne!(status.code, 0);
    let status = status.says(&["every other server refuses this one", &old, &new]);
    assert!(asked.elapsed() < Duration::from_secs(5), "it does not wait for a leader: {:?}", asked.elapsed());

    std::thread::sleep(QUIET); // sleep: all servers go on trying
    let lines: Vec<Vec<String>> =
        fleet.servers.iter().zip(&logged).map(|(server, from)| lines_of_peers(server, *from)).collect();
    for (n, lines) in lines.iter().enumerate() {
        assert!(lines.len() <= LINES_MAX, "server {} in {QUIET:?}: {lines:#?}", n + 1);
    }
    assert!(lines[at].iter().any(|line| line.contains(&old) && line.contains(&new)), "{:#?}", lines[at]);

    let victim = &mut fleet.servers[at];
    victim.stop();
    std::fs::rename(&victim.dir, aside(victim)).unwrap();
    std::fs::rename(&own, &victim.dir).unwrap();
    victim.restart();
    fleet.until_voters(4);
    println!(
        "refused server: said why after {after:?}; lines about peers in {QUIET:?}: {:?}; the command: {}",
        lines.iter().map(Vec::len).collect::<Vec<_>>(),
        status.stderr.trim(),
    );
}
