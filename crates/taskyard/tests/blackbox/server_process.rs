//! What a server does as a process: who may come in after a restore, what its log costs, what it holds in memory.

use crate::common::cli::{Done, command_of, run};
use crate::common::daemon::{Cluster, Server, ServerOptions, clean};
use crate::common::fleet::Fleet;
use crate::common::http::Http;
use crate::common::{SOON, binary, eventually, full};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

fn restore(home: &Path, place: &Path, data: &Path) -> Done {
    let (place, data) = (place.to_str().unwrap(), data.to_str().unwrap());
    run(home, "", &["backup", "restore", "--from", place, "--data-dir", data], "")
}

fn init(data: &Path) {
    let mut command = clean(Command::new(binary()), data);
    command.args(["cluster", "init", "--data-dir"]).arg(data);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_restored_cluster_does_not_forget_that_it_asked_for_credentials() {
    let tmp = tempfile::tempdir().unwrap();
    let (home, place) = (tmp.path(), tmp.path().join("backups"));
    let config = home.join("server.toml");
    fs::write(&config, format!("[backup]\nto = \"{}\"\n", place.display())).unwrap();
    let with = |more: &[&str]| {
        let options = ServerOptions::default().args(["--config", config.to_str().unwrap()]);
        let more = more.iter().map(|arg| (*arg).to_owned());
        ServerOptions { args: options.args.into_iter().chain(more).collect(), ..options }
    };
    let mut old = Server::start(home, with(&["--auth", "token"]));
    let token_file = old.dir.join("admin.token");
    let token = eventually("a first token", SOON, || fs::read_to_string(&token_file).ok());
    let known = |server: &Server| {
        let mut http = server.http();
        http.credential = Some(token.trim().to_owned());
        http
    };
    let mut http = known(&old);
    eventually("the token is good", SOON, || {
        (http.ask("GET", "/v1/whoami", None).status == 200).then_some(())
    });
    http.must("POST", "/v1/backups", Some(&json!({})));
    old.stop();
    fs::remove_dir_all(&old.dir).unwrap();

    let told = restore(home, &place, &old.dir).code(0);
    let told = format!("{}{}", told.stdout, told.stderr);
    assert!(told.contains("required credentials") && told.contains("cluster init"), "{told}");
    let refused = Server::try_start(home, with(&[])).err().unwrap();
    for part in ["the state holds 1 tokens", "cluster init --data-dir", "--auth token", "--auth none"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    // Each of the ways that it names.
    let mut asks = Server::start(home, with(&["--auth", "token"]));
    assert_eq!(asks.http().ask("GET", "/v1/jobs", None).status, 401);
    assert_eq!(known(&asks).ask("GET", "/v1/jobs", None).status, 200, "the old tokens are good");
    asks.stop();
    let mut open = Server::start(home, with(&["--auth", "none"]));
    assert_eq!(open.http().ask("GET", "/v1/jobs", None).status, 200);
    assert!(open.log().contains("--auth none ignores them"), "{}", open.log_tail());
    open.stop();
    init(&open.dir);
    let tls = Server::begin(home, with(&[]));
    let ready = || tls.log().rsplit("--- server").next().is_some_and(|log| log.contains("ready at https://"));
    eventually("it speaks TLS", SOON, || ready().then_some(()));

    // With an authority that was put there first, the directory is as good as empty.
    let second = home.join("second");
    init(&second);
    restore(home, &place, &second).code(0);
    assert!(second.join("FORMAT").exists() && second.join("tls/ca.key").exists());
}

#[test]
fn a_dead_server_costs_the_others_a_line_for_each_change() {
    // As an operator has it.
    let options = ServerOptions::default().env("TASKYARD_LOG", "");
    let mut fleet = Fleet::start(3, 0, &options);
    let lines = |server: &Server| server.log().lines().map(str::to_owned).collect::<Vec<_>>();
    let index = |fleet: &Fleet| fleet.must("GET", "/v1/cluster", None)["applied_index"].as_u64().unwrap();
    let goes_on = |fleet: &Fleet, entries: u64| {
        let goal = index(fleet) + entries;
        eventually("the log goes on", 2 * SOON, || (index(fleet) >= goal).then_some(()));
    };
    let leader = fleet.must("GET", "/v1/cluster", None)["leader"].as_u64().unwrap() as usize - 1;
    let victim = (leader + 1) % 3;
    let before: Vec<usize> = fleet.servers.iter().map(|server| lines(server).len()).collect();
    fleet.servers[victim].kill9();
    // An idle leader writes an entry each second or so, and meanwhile tries to reach the dead one many times.
    goes_on(&fleet, if full() { 25 } else { 4 });
    fleet.servers[victim].restart();
    fleet.until_voters(3);
    goes_on(&fleet, 2);
    let mut told = 0;
    for at in (0..3).filter(|at| *at != victim) {
        let new = &lines(&fleet.servers[at])[before[at]..];
        let (away, back) = (("cannot be reached", "WARN"), ("answers again", "INFO"));
        for (text, level) in [away, back] {
            let of: Vec<&String> = new.iter().filter(|line| line.contains(text)).collect();
            assert!(of.len() <= 1 && of.iter().all(|line| line.contains(level)), "{new:#?}");
            told += of.len();
        }
        assert!(new.len() <= 3 && !new.iter().any(|line| line.contains("openraft")), "{new:#?}");
    }
    assert!(told >= 2, "the leader tells that it is away, and that it is back");

    let before: Vec<usize> = fleet.servers.iter().map(|server| lines(server).len()).collect();
    fleet.servers[victim].stop();
    goes_on(&fleet, 3);
    for at in (0..3).filter(|at| *at != victim) {
        let new = &lines(&fleet.servers[at])[before[at]..];
        let loud = new.iter().filter(|line| line.contains("WARN") || line.contains("ERROR")).count();
        assert!(loud == 0 && new.len() <= 2, "a goodbye is no warning: {new:#?}");
    }
}

fn metric(http: &mut Http, name: &str) -> u64 {
    let text = http.ask("GET", "/metrics", None).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[test]
fn inputs_of_finished_jobs_are_on_disk_and_still_there_for_show_and_retry() {
    const BYTES: usize = 200_000;
    let mut cluster = Cluster::start(1, "4", ServerOptions::small());
    let script = format!("#!/bin/sh\necho hello\n#{}\n", "x".repeat(BYTES));
    let two = json!({ "command": ["sh", "-c", "echo $TASKYARD_ENTRY"], "entries": ["one", "two"] });
    let lines = cluster.submit(two);
    assert_eq!(cluster.wait(lines)["state"], "succeeded");
    let jobs: Vec<u64> = (0..20).map(|_| cluster.submit(json!({ "script": script }))).collect();
    for job in &jobs {
        assert_eq!(cluster.wait(*job)["state"], "succeeded");
    }
    let mut http = cluster.server.http();
    let inputs = metric(&mut http, "taskyard_finished_input_bytes");
    assert!(inputs > (20 * BYTES) as u64, "{inputs}");
    // The last snapshot was less than its measure ago, and what ended before it is in it.
    let unstored = metric(&mut http, "taskyard_finished_input_unstored_bytes");
    assert!(unstored < inputs / 2, "{unstored} of {inputs}");
    assert!(metric(&mut http, "taskyard_state_bytes") < inputs / 4, "what is on disk is not counted");

    let spec = |http: &mut Http, job: u64| http.get(&format!("/v1/jobs/{job}"))["spec"]["script"].clone();
    let expected = spec(&mut http, *jobs.last().unwrap());
    assert!(expected.as_str().unwrap().len() > BYTES);
    let digest = |http: &mut Http| http.get("/v1/cluster?digest=true")["digest"].clone();
    let retried = |http: &mut Http, job: u64| {
        http.must("POST", &format!("/v1/jobs/{job}/retry"), Some(&json!({})))["job"].as_u64().unwrap()
    };
    assert_eq!(spec(&mut http, jobs[0]), expected);
    let again = retried(&mut http, jobs[0]);
    assert_eq!(cluster.wait(again)["state"], "succeeded");
    cluster.server.kill9();
    cluster.server.restart();
    let mut http = cluster.server.http();
    for job in [jobs[0], jobs[19], again] {
        assert_eq!(spec(&mut http, job), expected, "job {job} after a restart");
    }
    assert!(digest(&mut http).is_string());
    let tasks = http.get(&format!("/v1/jobs/{lines}/tasks"));
    let entries: Vec<_> = tasks["items"].as_array().unwrap().iter().map(|task| &task["entry"]).collect();
    assert_eq!(entries, ["one", "two"], "the lines of a job that has ended");

    let full = json!({ "spec": { "command": ["true"], "hold": true, "stdin_data": "x".repeat(700_000) } });
    http.must("PUT", "/v1/retention", Some(&json!({ "state_bytes": "16MiB" })));
    let refused =
        (0..64).map(|_| http.ask("POST", "/v1/jobs", Some(&full))).find(|answer| answer.status != 200);
    let refused = refused.unwrap();
    let error = refused.error();
    assert_eq!(
        (refused.status, &error["code"], &error["definite"]),
        (429, &json!("overloaded"), &json!(true))
    );
    assert!(
        error["message"].as_str().unwrap().contains("the state holds") && error["remedy"].is_string(),
        "{error}"
    );
    let held = http.get("/v1/jobs?limit=100")["items"].as_array().unwrap().clone();
    let held = held.iter().find(|job| job["state"] == "held").unwrap()["id"].as_u64().unwrap();
    http.must("POST", &format!("/v1/jobs/{held}/cancel"), Some(&json!({})));
    http.must("POST", "/v1/jobs", Some(&full));
}

#[test]
fn a_setting_that_there_is_not_is_told_with_the_one_that_was_meant() {
    let tmp = tempfile::tempdir().unwrap();
    let mut command = command_of(binary(), tmp.path(), "");
    command.args(["jobs"]).env("TASKYARD_SEVER", "http://127.0.0.1:1").env_remove("TASKYARD_SERVER");
    let out = command.output().unwrap();
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        told.contains("TASKYARD_SEVER has no effect") && told.contains("did you mean TASKYARD_SERVER"),
        "{told}"
    );
    let config = tmp.path().join(".config/taskyard/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, "sever = [\"http://127.0.0.1:1\"]\n").unwrap();
    let told = run(tmp.path(), "", &["jobs"], "").code(2);
    for part in ["sever", "config.toml", "did you mean \"server\""] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
}
