//! Disks that fill up or fail under a running server.

use crate::common::daemon::{Cluster, Outcome, Server, ServerOptions, all_pages, outcome, submit};
use crate::common::disk::{Cut, Disk, build_shim};
use crate::common::fleet::Fleet;
use crate::common::http::Http;
use crate::common::process::is_root;
use crate::common::tmpfs::Tmpfs;
use crate::common::{SOON, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// Jobs that were acknowledged, by id.
#[derive(Default)]
struct Book(BTreeMap<u64, String>);

impl Book {
    /// Submits a job with a large script; what came of it.
    fn submit(&mut self, http: &mut Http, bytes: usize) -> Outcome {
        let name = format!("job-{}", self.0.len());
        let script = format!("#!/bin/sh\n#{}\n", "x".repeat(bytes));
        let body = json!({ "spec": { "name": name, "script": script, "hold": true } });
        let outcome = outcome(http.request("POST", "/v1/jobs", Some(&body)));
        if let Outcome::Done(answer) = &outcome {
            self.0.insert(answer["job"].as_u64().unwrap(), name);
        }
        outcome
    }

    /// All of them are there; how many.
    fn check(&self, http: &mut Http) -> usize {
        let rows = all_pages(http, "/v1/jobs");
        let found: BTreeMap<_, _> =
            rows.iter().map(|job| (job["id"].as_u64().unwrap(), &job["name"])).collect();
        for (job, name) in &self.0 {
            assert_eq!(
                found.get(job).copied().and_then(Value::as_str),
                Some(name.as_str()),
                "job {job} is lost"
            );
        }
        self.0.len()
    }
}

/// A full disk: users' changes are refused for certain and with a remedy, reading and running work go on, and with
/// space everything goes on, without a restart.
#[test]
fn a_full_disk_refuses_users_and_recovers_by_itself() {
    if !is_root() {
        println!("SKIPPED, NOT PASSED: needs root to mount a small file system");
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let data = tmp.path().join("data");
    let mounted = Tmpfs::mount(&data, 24);
    let flag = tmp.path().join("flag");
    let mut cluster = Cluster::start_in(tmp, 1, "2", ServerOptions::small());
    let mut http = cluster.server.http();
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", flag.display());
    let running = cluster.submit(json!({ "command": ["sh", "-c", wait] }));
    cluster.wait_task(running, 1, "running");

    let mut book = Book::default();
    mounted.fill();
    let refusal = eventually("the disk is full", SOON, || match book.submit(&mut http, 100_000) {
        Outcome::Done(_) => None,
        // While the server looks whether there is space it asks for a little patience.
        Outcome::Refused(error) if error["code"] == "overloaded" => None,
        Outcome::Refused(error) => Some(error),
        Outcome::Unknown => {
            panic!("a submit to a full disk has an unknown effect:\n{}", cluster.server.log_tail())
        }
    });
    assert_eq!(refusal["code"], "unavailable", "{refusal}");
    assert_eq!(refusal["definite"], true, "{refusal}");
    assert!(refusal["message"].as_str().unwrap().contains("disk of the log is full"), "{refusal}");
    assert!(refusal["remedy"].as_str().unwrap().contains("free space"), "{refusal}");
    assert!(refusal["retry_after_ms"].is_u64(), "{refusal}");
    let acknowledged = book.check(&mut http);
    assert!(acknowledged > 10, "the disk was full at once: nothing was examined");

    // What runs may end, and its end is durable.
    fs::write(&flag, "").unwrap();
    assert_eq!(cluster.wait(running)["state"], "succeeded");
    for _ in 0..20 {
        assert!(matches!(book.submit(&mut http, 10), Outcome::Refused(_)), "accepted on a full disk");
    }
    let ready = http.ask("GET", "/readyz", None);
    assert!(
        cluster.server.ended().is_none(),
        "a full disk must not end the server:\n{}",
        cluster.server.log_tail()
    );

    mounted.free();
    eventually("submits are accepted again", SOON, || {
        matches!(book.submit(&mut http, 100_000), Outcome::Done(_)).then_some(())
    });
    let freed = book.check(&mut http);
    cluster.server.kill9();
    cluster.server.restart();
    let restarted = book.check(&mut cluster.server.http());
    assert_eq!(cluster.wait(running)["state"], "succeeded");
    println!(
        "full disk: {acknowledged} jobs when full (readyz {}), {freed} when freed, {restarted} after a restart",
        ready.status
    );
    cluster.server.kill9();
    drop(mounted);
}

/// After a failed sync nobody knows what is on the disk: the process must end, at once and with the reason, even though
/// the next sync would have succeeded.
#[test]
fn a_failed_sync_ends_the_server_and_loses_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let shim = build_shim(&root);
    let (mut submitted, mut examined) = (0, 0);
    for (file, nth) in
        [("FORMAT.new.tmp", 1), (".wal", 1), (".wal", 2), (".wal", 5), (".wal", 20), (".wal", 60)]
    {
        let dir = root.join(format!("{nth}{file}"));
        let (data, records) = (dir.join("data"), dir.join("records"));
        fs::create_dir_all(&data).unwrap();
        let mut disk = Disk::of(&data);
        let failing = ServerOptions::small()
            .env("LD_PRELOAD", &shim)
            .env("POWERCUT_DIR", &data)
            .env("POWERCUT_LOG", &records)
            .env("POWERCUT_FAIL_FILE", file)
            .env("POWERCUT_FAIL_SYNC", nth.to_string());
        let mut book = Book::default();
        let log = match Server::try_start(&dir, failing) {
            Err(log) => log,
            Ok(mut server) => {
                let mut http = server.http();
                eventually("the sync fails", SOON, || match book.submit(&mut http, 100) {
                    Outcome::Done(_) => None,
                    _ => Some(()),
                });
                let status = server.wait_end(Duration::from_secs(1));
                assert_eq!(status.code(), Some(1), "sync {nth}: {status}: {}", server.log_tail());
                let log = server.log();
                let line = log.lines().find(|line| line.starts_with("error: storage failed"));
                let line = line.unwrap_or_else(|| panic!("sync {nth}: no reason is given: {log}"));
                assert!(line.contains(".wal at offset") && line.contains("Input/output error"), "{line}");
                log
            }
        };
        assert!(log.contains("Input/output error"), "sync {nth}: {log}");
        assert!(log.contains(data.to_str().unwrap()), "sync {nth}: the message names no file: {log}");
        submitted += book.0.len();

        // What the failed sync should have made safe is gone.
        disk.follow(&records);
        disk.cut(Cut::LoseAll);
        let server = Server::start(&dir, ServerOptions::small());
        examined += book.check(&mut server.http());
        submit(&mut server.http(), json!({ "command": ["true"] }));
    }
    println!("failed sync: {examined} acknowledged jobs examined after failures");
    assert!(submitted > 20 && examined == submitted, "{submitted} {examined}");
}

/// The disk of a leader fails: the two others go on. Then it is lost altogether, and another server takes its place.
#[test]
fn a_failed_disk_costs_one_of_three_servers_and_nothing_else() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let shim = build_shim(&root);
    let mut fleet = Fleet::of(tmp);
    fleet.add_server(ServerOptions::small());
    fleet.add_server(ServerOptions::small());
    let failing = ServerOptions::small()
        .env("LD_PRELOAD", &shim)
        .env("POWERCUT_DIR", root.join("s3/data"))
        .env("POWERCUT_LOG", root.join("records"))
        .env("POWERCUT_FAIL_FILE", ".wal")
        .env("POWERCUT_FAIL_SYNC", "150");
    let third = fleet.add_server(failing);
    fleet.until_voters(3);
    fleet.must("POST", "/v1/cluster/transfer", Some(&json!({ "to": 3 })));
    assert_eq!(fleet.leader(), third);
    let mut jobs = BTreeSet::new();
    let mut submit = |fleet: &Fleet| {
        let request = format!("job-{}", jobs.len());
        jobs.insert(fleet.submit(&json!({ "command": ["true"], "name": request }), &request));
        jobs.len()
    };
    eventually("the disk fails", SOON, || {
        submit(&fleet);
        fleet.servers[third].ended()
    });
    let log = fleet.servers[third].log();
    assert!(log.contains("storage failed") && log.contains("Input/output error"), "{log}");
    // The others have all of it, and go on.
    let failed = submit(&fleet);
    let mut lost = fleet.servers.remove(third);
    assert_eq!(lost.wait_end(SOON).code(), Some(1));
    fs::remove_dir_all(&lost.dir).unwrap();
    fleet.must("DELETE", "/v1/cluster/servers/3", None);
    fs::remove_dir_all(lost.dir.parent().unwrap()).unwrap();
    fleet.add_server(ServerOptions::small());
    fleet.until_voters(3);
    let all = submit(&fleet);
    let there: BTreeSet<u64> =
        all_pages(&mut fleet.http(), "/v1/jobs").iter().map(|job| job["id"].as_u64().unwrap()).collect();
    assert_eq!(there, jobs, "each submit made one job");
    assert_eq!(fleet.same_digests(), 3);
    println!("failed disk: {failed} jobs when it failed, {all} with another server in its place");
    assert!(failed > 10);
}

/// A file that nothing was ever acknowledged from may fail: it is made again, and the server goes on.
#[test]
fn a_failed_sync_of_a_new_segment_or_snapshot_is_no_end() {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().canonicalize().unwrap();
    let shim = build_shim(&root);
    for (name, file) in [("segment", "0000000002.tmp"), ("snapshot", "/new.tmp")] {
        let dir = root.join(name);
        fs::create_dir_all(dir.join("data")).unwrap();
        let failing = ServerOptions::small()
            .env("LD_PRELOAD", &shim)
            .env("POWERCUT_DIR", dir.join("data"))
            .env("POWERCUT_FAIL_FILE", file)
            .env("POWERCUT_FAIL_SYNC", "1");
        let mut server = Server::start(&dir, failing);
        let (mut http, mut book) = (server.http(), Book::default());
        eventually("the failure is met, and 30 jobs are accepted", SOON, || {
            if let Outcome::Unknown = book.submit(&mut http, 100_000) {
                panic!("{file}: {}", server.log_tail());
            }
            let told = server.log().contains("Input/output error");
            (told && book.0.len() >= 30).then_some(())
        });
        assert!(server.ended().is_none(), "{file}: {}", server.log_tail());
        server.kill9();
        server.options = ServerOptions::small();
        server.restart();
        assert!(book.check(&mut server.http()) >= 30);
    }
}
