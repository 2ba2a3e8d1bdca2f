//! A cluster with TLS, set up as the guide says: an authority, tokens to join with, certificates that renew themselves.

use crate::common::cli;
use crate::common::daemon::copy_dir;
use crate::common::secure::Cluster;
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use taskyard_tls::{Enrolment, JoinToken, Subject, TlsDir, TlsError, enrol, renew};

#[test]
fn servers_and_agents_join_with_tokens_and_go_on_when_the_leader_dies() {
    let mut cluster = Cluster::start();
    for _ in 0..2 {
        let token = cluster.token("server");
        // Also a server that does not lead lets others join.
        let through = cluster.urls.last().unwrap().clone();
        cluster.add_server(&["--join", &through, "--token-file", token.to_str().unwrap()]);
        cluster.until_votes(cluster.servers.len());
    }
    cluster.log_in();
    let token = cluster.token("agent");
    cluster.add_agent("n1", &token);
    cluster.until_up("n1");
    assert_eq!(cluster.must(&["run", "--", "echo", "private"]), "private\n");

    // The token was good once: for this key and this name, should the answer have been lost, and for nothing else.
    joins_again(&cluster, "n1", &token).unwrap();
    let error = joins_again(&cluster, "n3", &token).unwrap_err();
    assert!(matches!(&error, TlsError::Refused { why, .. } if why.contains("was used before")), "{error:?}");
    assert!(cluster.must(&["token", "list"]).contains("used"));
    cluster.type_in(&["token", "create", "--kind", "agent", "--user", "n4"], "").code(2).says(&["--join"]);
    cluster.add_agent("n2", &token);
    let status = cluster.agents[1].wait(SOON);
    assert!(
        !status.success() && cluster.agents[1].log().contains("was used before"),
        "{}",
        cluster.agents[1].log()
    );

    let leader = cluster.until_votes(3).into_iter().find(|s| s["role"] == "leader").unwrap();
    let place = cluster.urls.iter().position(|url| leader["url"] == url.as_str()).unwrap();
    cluster.servers[place].kill9();
    assert_eq!(cluster.must(&["run", "--", "echo", "still"]), "still\n");
    renews(&cluster);
    keys_stay_where_they_are(&cluster);
}

/// No private key, and no token to join with, is in a log, a snapshot, or what was printed.
fn keys_stay_where_they_are(cluster: &Cluster) {
    let mut secrets = Vec::new();
    for key in ["s1/tls/ca.key", "s2/tls/own.key", "n1/tls/own.key"] {
        let pem = fs::read_to_string(cluster.path(key)).unwrap();
        secrets.extend(pem.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
        let mode = fs::metadata(cluster.path(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{key} is for its owner alone");
    }
    let mut examined = 0;
    let mut dirs = vec![cluster.dir.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap().flatten() {
            match (entry.file_type().unwrap().is_dir(), entry.file_name() == "tls") {
                (true, true) => {}
                (true, false) => dirs.push(entry.path()),
                (false, _) => {
                    let bytes = fs::read(entry.path()).unwrap_or_default();
                    let text = String::from_utf8_lossy(&bytes);
                    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{:?}", entry.path());
                    examined += 1;
                }
            }
        }
    }
    assert!(examined > 10 && secrets.len() >= 6, "{examined} files for {} secrets", secrets.len());
}

fn joins_again(cluster: &Cluster, name: &str, token: &Path) -> Result<(), TlsError> {
    let (home, subject) = (TlsDir::of(&cluster.path("n1")), Subject::agent(name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = JoinToken::read_file(token)?.unwrap();
    runtime.block_on(enrol(&Enrolment { home: &home, subject: &subject, servers: &cluster.urls }, &token))
}

/// The agent's certificate can be renewed, by any server and in its own name alone.
fn renews(cluster: &Cluster) {
    let home = TlsDir::of(&cluster.path("n1"));
    let read = || fs::read_to_string(cluster.path("n1/tls/own.crt")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Arc::new(home.channel().unwrap().calling().unwrap());
    let ask = |name: &str, servers: &[String]| {
        let subject = Subject::agent(name);
        runtime.block_on(renew(&Enrolment { home: &home, subject: &subject, servers }, Arc::clone(&config)))
    };
    for url in &cluster.urls {
        let before = read();
        match ask("n1", std::slice::from_ref(url)) {
            Ok(()) => assert_ne!(before, read()),
            Err(error) => {
                assert!(matches!(error, TlsError::Unreachable { .. }), "the one that is dead: {error:?}")
            }
        }
    }
    let error = ask("n2", &cluster.urls).unwrap_err();
    assert!(
        matches!(&error, TlsError::Refused { why, .. } if why.contains("is not that of n2")),
        "{error:?}"
    );
}

/// Whoever has the key of a node that was removed is out for good: it gets no session, and no other certificate. A
/// machine that joins anew under the name is another, and does not let the old key back in.
#[test]
fn a_node_that_was_removed_is_out_until_it_joins_anew() {
    let mut cluster = Cluster::start();
    let token = cluster.token("server");
    let through = cluster.urls[0].clone();
    cluster.add_server(&["--join", &through, "--token-file", token.to_str().unwrap()]);
    cluster.until_votes(2);
    cluster.log_in();
    let first = cluster.token("agent");
    cluster.add_agent("n1", &first);
    cluster.until_up("n1");
    fs::create_dir(cluster.path("stolen")).unwrap();
    copy_dir(&cluster.path("n1/tls"), &cluster.path("stolen/tls"));
    let job = cluster.must(&["submit", "--parsable", "--", "sleep", "1000"]);
    let job = job.trim();
    let state = |cluster: &Cluster| cluster.json(&["show", job])["state"].as_str().unwrap().to_owned();
    eventually("it runs", SOON, || (state(&cluster) == "running").then_some(()));

    // Not by mistake.
    cluster.type_in(&["node", "remove", "n1"], "").code(2).says(&["not drained", "--force"]);
    cluster.type_in(&["node", "remove", "n2"], "").code(4).says(&["there is no node n2", "--force"]);
    let said = cluster.must(&["node", "remove", "n1", "--force"]);
    assert!(said.contains("n1 is removed; 1 task there will end"), "{said}");
    let removed = Instant::now();
    let status = cluster.agents[0].wait(SOON);
    let ended = removed.elapsed();
    let why = "n1 was removed from the cluster: join again with a new token";
    let log = cluster.agents[0].log();
    assert!(!status.success() && log.contains(why), "{status}: {log}");
    assert!(!log.contains("rustls") && log.matches(why).count() == 1, "{log}");
    eventually("its lease ends, and it is listed no more", 2 * SOON, || {
        let listed = cluster.node("n1");
        assert!(listed.as_deref().is_none_or(|state| state == "removed"), "{listed:?}");
        listed.is_none().then_some(())
    });
    let (gone, lost) = (removed.elapsed(), state(&cluster));
    assert_eq!(lost, "pending", "what ran there waits for another node");
    is_out(&mut cluster, "stolen", why);
    // What is used up gives back what it gave before.
    joins_again(&cluster, "n1", &first).unwrap();
    is_out(&mut cluster, "n1", why);

    let second = cluster.token("agent");
    cluster.add_agent_in("n1", "anew", &second);
    cluster.until_up("n1");
    eventually("the task runs there", SOON, || (state(&cluster) == "running").then_some(()));
    cluster.must(&["cancel", job]);
    for url in &cluster.urls {
        cluster.renew("n1", "anew", url).unwrap();
    }
    is_out(&mut cluster, "stolen", why);
    assert_eq!(cluster.node("n1").unwrap(), "up");
    println!("removed by force: the agent ended after {ended:.2?}, the node was gone after {gone:.2?}");
}

/// By no server, whether it leads or not, is this certificate renewed, and no agent with it gets a session.
fn is_out(cluster: &mut Cluster, dir: &str, why: &str) {
    for url in &cluster.urls {
        let error = cluster.renew("n1", dir, url).unwrap_err();
        assert!(matches!(&error, TlsError::Refused { why: said, .. } if said.contains(why)), "{error:?}");
    }
    let empty = cluster.path("no-token");
    cluster.add_agent_in("n1", dir, &empty);
    let agent = cluster.agents.last_mut().unwrap();
    let began = Instant::now();
    let status = agent.wait(SOON);
    println!("refused after {:.1?}", began.elapsed());
    assert!(!status.success() && agent.log().contains(why), "{status}: {}", agent.log());
}

/// Anybody who reaches the port can open connections and say little. There is a bound, whoever comes past it is told,
/// and the cluster's own machines get in all the same.
#[test]
fn strangers_who_fill_a_server_do_not_keep_its_machines_out() {
    /// Half of the files that a server may have are for those who send requests and for those who are refused.
    const FILES: usize = 400;
    let mut cluster = Cluster::start_with(Some(FILES));
    let admin = cluster.log_in();
    let token = cluster.token("agent");
    cluster.add_agent("n1", &token);
    cluster.until_up("n1");
    cluster.agents[0].kill9();

    let caller = cluster.http(&cluster.urls[0].replace("localhost", "127.0.0.1"), &admin);
    let mut there = Vec::new();
    let refused = loop {
        let mut http = caller.clone();
        let answer = http.ask("GET", "/v1/nodes", None);
        if !answer.is_success() {
            break answer;
        }
        there.push(http);
        assert!(there.len() <= FILES / 2, "there is no bound");
    };
    let full = there.len();
    assert!(full > FILES * 3 / 8 - 20, "{full}");
    assert_eq!((refused.status, &refused.error()["definite"]), (503, &Value::Bool(true)));
    assert!(refused.text().contains("its limit of connections"), "{}", refused.text());

    let before = there[0].get("/v1/nodes")["items"][0]["incarnation"].clone();
    cluster.add_agent("n1", &token);
    let after = eventually("the agent gets in", SOON, || {
        let node = there[0].get("/v1/nodes")["items"][0].clone();
        (node["state"] == "up" && node["incarnation"] != before).then_some(node)
    });
    assert!(after["incarnation"].is_u64());
    let mut inside = there.pop().unwrap();
    let mut metric = |name: &str| -> usize {
        let metrics = inside.ask("GET", "/metrics", None).text();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    };
    assert!(metric("taskyard_http_connections") >= full);
    let mut refusals = || metric("taskyard_http_connections_refused_total");
    let before = refusals();
    std::thread::scope(|scope| {
        let command = scope.spawn(|| cluster.type_in(&["nodes"], ""));
        eventually("a command is refused", SOON, || (refusals() > before).then_some(()));
        drop(there);
        // It tries again, and finds room.
        command.join().unwrap().code(0);
    });
    println!("{full} connections fill a server with {FILES} files");
}

#[test]
fn who_did_not_join_is_kept_out() {
    let mut cluster = Cluster::start();
    let url = cluster.urls[0].clone();
    // Without TLS nobody hears anything.
    let mut plain = TcpStream::connect(url.strip_prefix("https://").unwrap()).unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"), "{answer:?}");

    // A user who does not know the authority sends no token.
    cli::run(cluster.dir.path(), &url, &["login"], "tyt_a_b").code(3).says(&["UnknownIssuer", "--ca"]);

    // A server or an agent without a token, or with one for another kind, or of another cluster.
    let wrong_kind = cluster.token("agent");
    cluster.add_server(&["--join", &url, "--token-file", wrong_kind.to_str().unwrap()]);
    cluster.add_server(&["--join", &url]);
    let other = fs::read_to_string(cluster.token("server")).unwrap();
    let forged = cluster.path("forged.token");
    let (token, fingerprint) = other.trim().split_once('@').unwrap();
    let flipped = fingerprint.replace(|c: char| c.is_ascii_digit(), "a");
    fs::write(&forged, format!("{token}@{flipped}")).unwrap();
    cluster.add_server(&["--join", &url, "--token-file", forged.to_str().unwrap()]);
    for (server, why) in
        [(1, "is for an agent"), (2, "taskyard cluster add"), (3, "authority with this fingerprint")]
    {
        let status = cluster.servers[server].wait(SOON);
        let log = cluster.servers[server].log();
        assert!(!status.success() && log.contains(why), "{why}: {log}");
    }
    assert_eq!(cluster.json(&["cluster", "status"])["servers"].as_array().unwrap().len(), 1);
    let empty = cluster.path("empty");
    cluster.add_agent("n9", &empty);
    assert!(!cluster.agents[0].wait(SOON).success());
}
