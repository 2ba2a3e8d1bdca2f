//! A cluster is lost with everything on its disk, and comes back from its backup: in a directory, and in a bucket.

use crate::common::cli::{Done, run};
use crate::common::daemon::{Agent, Cluster, Server, ServerOptions, submit};
use crate::common::fleet::Fleet;
use crate::common::http::Http;
use crate::common::process::Process;
use crate::common::random::Random;
use crate::common::s3::{KEY_ID, S3};
use crate::common::{SOON, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Must be seen nowhere.
const KEY: &str = "hunter2-is-the-key";

/// A server with a configuration file of its own.
fn options(dir: &Path, config: &str) -> ServerOptions {
    let file = dir.join("server.toml");
    fs::write(&file, config).unwrap();
    let options = ServerOptions::default().args(["--lease", "6s", "--heartbeat", "1s"]);
    options.args(["--config", file.to_str().unwrap()])
}

fn backup(dir: &Path, url: &str, args: &[&str]) -> Done {
    let args: Vec<&str> =
        ["backup"].into_iter().chain(args.iter().copied()).chain(["--output", "json"]).collect();
    run(dir, url, &args, "")
}

/// A job as it was, apart from what an answer says about the present.
fn facts(http: &mut Http, job: u64) -> (Value, Value) {
    (http.get(&format!("/v1/jobs/{job}")), http.get(&format!("/v1/jobs/{job}/tasks")))
}

/// What a cluster had at the time of its backup, and what of it must be there afterwards.
struct Before {
    finished: u64,
    /// Job and tasks, as answers show them.
    facts: (Value, Value),
    /// Runs at the time, and is tried again.
    running: u64,
    /// Runs at the time, and is not tried again.
    once: u64,
    held: u64,
    waiting: u64,
    /// The submit of `waiting`, to be repeated.
    request: Value,
    /// The running task writes its attempt here while it has a process, until `done` exists.
    ticks: PathBuf,
    done: PathBuf,
}

impl Before {
    fn make(cluster: &Cluster) -> Before {
        let (path, mut http) = (cluster.dir.path(), cluster.server.http());
        let one_fails = json!({ "command": ["sh", "-c", "[ $TASKYARD_TASK != 2 ]"], "array": "1-3" });
        let finished = cluster.submit(one_fails);
        cluster.wait(finished);
        let (ticks, done) = (path.join("ticks"), path.join("done"));
        let script = format!(
            "until [ -e {} ]; do echo $TASKYARD_ATTEMPT $TASKYARD_FENCE >> {}; sleep 0.05; done",
            done.display(),
            ticks.display()
        );
        let running = cluster.submit(json!({ "command": ["sh", "-c", script] }));
        let once = cluster.submit(json!({ "command": ["sleep", "1000"], "on_agent_lost": "fail" }));
        let held = cluster.submit(json!({ "command": ["true"], "hold": true }));
        let request = json!({ "request_id": "only-once", "spec": { "command": ["true"], "cpus": "3" } });
        let waiting = http.must("POST", "/v1/jobs", Some(&request))["job"].as_u64().unwrap();
        cluster.wait_task(running, 1, "running");
        cluster.wait_task(once, 1, "running");
        eventually("the task runs", SOON, || ticks.exists().then_some(()));
        let facts = facts(&mut http, finished);
        Before { finished, facts, running, once, held, waiting, request, ticks, done }
    }

    /// What goes on in the new cluster, once it has an agent. How many ticks were compared.
    fn goes_on(&self, http: &mut Http, index: u64) -> usize {
        let second = eventually("the task runs again", SOON, || {
            let task = http.get(&format!("/v1/jobs/{}/tasks/1", self.running));
            (task["state"] == "running" && task["attempt"] == 2).then_some(task)
        });
        assert!(second["fence"].as_u64().unwrap() > index + (1 << 40), "{second}");
        eventually("it has a process", SOON, || {
            fs::read_to_string(&self.ticks).unwrap().contains("\n2 ").then_some(())
        });
        let failed = http.get(&format!("/v1/jobs/{}/tasks/1", self.once));
        assert_eq!((&failed["state"], &failed["attempt"]), (&json!("failed"), &json!(1)), "at most once");
        fs::write(&self.done, "").unwrap();
        http.must("POST", &format!("/v1/jobs/{}/release", self.held), None);
        for job in [self.running, self.held, self.waiting] {
            eventually("the job ends", SOON, || {
                let detail = http.get(&format!("/v1/jobs/{job}?wait_ms=5000"));
                (detail["state"] == "succeeded").then_some(())
            });
        }
        let again = http.must("POST", "/v1/jobs", Some(&self.request));
        assert_eq!(again["job"], self.waiting, "the same request makes no second job");
        let ticks = fs::read_to_string(&self.ticks).unwrap();
        let attempts: Vec<&str> = ticks.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert!(attempts.is_sorted(), "two attempts had a process at once");
        attempts.len()
    }
}

#[test]
fn a_cluster_that_lost_everything_goes_on_from_its_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (path, store) = (dir.path().to_owned(), dir.path().join("store"));
    let place = format!("file://{}", store.display());
    let config = format!("[backup]\nto = \"{place}\"");
    let mut cluster = Cluster::start_in(dir, 1, "3", options(&path, &config));
    let url = cluster.server.url.clone();
    let before = Before::make(&cluster);
    let old_id = cluster.server.http().get("/v1/cluster")["cluster_id"].as_str().unwrap().to_owned();
    let made = backup(&path, &url, &["create"]).code(0).json();
    assert_eq!((&made["jobs"], &made["tasks"], &made["nodes"]), (&json!(5), &json!(7), &json!(1)));
    assert_eq!(backup(&path, &url, &["list"]).code(0).json()[0]["name"], made["name"]);
    assert_eq!(backup(&path, &url, &["verify"]).code(0).json()["state"], "verified");
    let refused = backup(&path, &url, &["create", "--to", path.to_str().unwrap()]);
    refused.code(2).says(&["--to", "stores of its configuration only"]);
    let lost = cluster.submit(json!({ "command": ["true"], "hold": true }));

    // The disk is gone. The agent does not know, and its task goes on.
    cluster.server.kill9();
    let data = cluster.server.dir.clone();
    let data = data.to_str().unwrap();
    let restore = || backup(&path, "", &["restore", "--from", &place, "--data-dir", data]);
    restore().code(2).says(&["is not empty", data, "empty directory"]);
    fs::remove_dir_all(data).unwrap();
    let restored = restore().code(0).json();
    assert_eq!(restored["backup"]["digest"], made["digest"]);
    cluster.server.restart();

    let (mut http, index) = (cluster.server.http(), made["index"].as_u64().unwrap());
    let status = http.get("/v1/cluster");
    assert_eq!(status["cluster_id"], restored["cluster_id"]);
    assert!(status["applied_index"].as_u64().unwrap() > index + (1 << 40));
    assert_eq!(facts(&mut http, before.finished), before.facts, "what had ended is as it was");
    assert_eq!(http.ask("GET", &format!("/v1/jobs/{lost}"), None).status, 404, "this was after the backup");

    // The old agent finds the new cluster at the old address, and is told why it may not stay.
    let mut old = cluster.agents.remove(0);
    assert!(!old.process.wait(SOON).success());
    let log = old.process.log();
    for part in
        [&format!("belongs to cluster \"{old_id}\""), "--data-dir", restored["cluster_id"].as_str().unwrap()]
    {
        assert!(log.contains(part), "{log}");
    }
    let new = path.join("new");
    fs::create_dir(&new).unwrap();
    let _agent = Agent::of(&new, &url, cluster.server.options.user.clone(), "n1", &["--cpus", "3"]);
    let ticks = before.goes_on(&mut http, index);
    println!("backup: restored index {}, {ticks} ticks of 2 attempts", restored["index"]);
}

/// How many backups a server has made, by its own count.
fn made_by(server: &Server) -> u64 {
    let metrics = server.http().ask("GET", "/metrics", None).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("taskyard_backups_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn a_follower_backs_up_and_one_server_of_three_begins_anew() {
    let place = tempfile::tempdir().unwrap();
    let store = place.path().join("store");
    let config = format!("[backup]\nto = \"{}\"\nevery = \"1s\"\nkeep = 3", store.display());
    let mut fleet = Fleet::start(3, 0, &options(place.path(), &config));
    let leader = fleet.leader();
    let follower = (0..3).find(|server| *server != leader).unwrap();
    let before = fleet.servers.iter().map(made_by).collect::<Vec<_>>();
    let job = submit(&mut fleet.http(), json!({ "command": ["true"], "hold": true }));
    eventually("the first follower makes backups", SOON, || {
        (made_by(&fleet.servers[follower]) > before[follower] + 1).then_some(())
    });
    let by_leader = made_by(&fleet.servers[leader]) - before[leader];
    // On a busy machine another one may lead by now.
    let same = fleet.leader() == leader;
    let made = eventually("nobody else makes one", SOON, || {
        let made = backup(place.path(), &fleet.urls(), &["create"]);
        (made.code == 0).then(|| made.json())
    });
    fleet.servers.iter_mut().for_each(Server::kill9);

    let new = place.path().join("new");
    let data = new.join("data");
    let name = made["name"].as_str().unwrap();
    let args = [
        "restore",
        "--from",
        store.to_str().unwrap(),
        "--backup",
        name,
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let restored = backup(place.path(), "", &args).code(0).json();
    // The others of the old cluster are neither waited for nor let in.
    fleet.servers = vec![Server::start(&new, ServerOptions::default())];
    fleet.until_voters(1);
    let status = fleet.status().unwrap();
    assert_eq!(status["cluster_id"], restored["cluster_id"]);
    assert_eq!(status["servers"].as_array().unwrap().len(), 1, "{status}");
    fleet.http().must("POST", &format!("/v1/jobs/{job}/release"), None);
    fleet.dir = tempfile::tempdir().unwrap();
    for n in 2..=3 {
        fleet.add_server(ServerOptions::default());
        fleet.until_voters(n);
    }
    assert_eq!(fleet.same_digests(), 3);
    println!(
        "backup: of three servers a follower backed up, the leader {by_leader} times; same leader: {same}"
    );
    assert!(by_leader == 0 || !same);
}

/// A place of the S3 kind, and what it knows.
struct Bucket<'a> {
    endpoint: &'a str,
    /// Changes a byte of an object.
    flip: &'a dyn Fn(&str),
}

#[test]
fn backups_in_a_bucket_are_made_on_time_verified_and_restored() {
    let s3 = S3::start();
    let flip = |path: &str| s3.change(path, |object| object[40] ^= 1);
    bucket(&Bucket { endpoint: &s3.url, flip: &flip });
    let (parts, pages, refused) = s3.counts();
    println!("bucket: {parts} parts, {pages} pages of lists, {refused} refused");
    assert!(parts > 1 && pages > 1 && refused > 0, "{parts} parts, {pages} pages, {refused} refused");
}

/// The same with a service that others wrote, where it is installed: `pip install 'moto[server]'`.
#[test]
fn backups_in_a_bucket_of_another_service() {
    let program = std::env::var_os("MOTO_SERVER").map(PathBuf::from).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("moto_server")).find(|file| file.exists())
    });
    let Some(program) = program else {
        println!(
            "SKIPPED: moto_server is not installed, so only our own S3 service was used; MOTO_SERVER names one"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let _moto = Process::spawn("moto", command, &dir.path().join("moto.log"));
    let endpoint = format!("http://127.0.0.1:{port}");
    let mut http = Http::new(&endpoint);
    eventually("moto answers", SOON, || {
        http.request("PUT", "/backups", None).is_ok_and(|answer| answer.is_success()).then_some(())
    });
    let flip = |path: &str| {
        let mut object = Http::new(&endpoint).ask("GET", path, None).body;
        object[40] ^= 1;
        put(&endpoint, path, &object);
    };
    bucket(&Bucket { endpoint: &endpoint, flip: &flip });
}

fn put(endpoint: &str, path: &str, body: &[u8]) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(endpoint.strip_prefix("http://").unwrap()).unwrap();
    let length = body.len();
    write!(
        stream,
        "PUT {path} HTTP/1.1\r\nhost: s3\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The environment in which a server finds the bucket.
fn with_keys(bucket: &Bucket<'_>, options: ServerOptions, id: &str) -> ServerOptions {
    let options = options.env("AWS_ENDPOINT_URL", bucket.endpoint).env("AWS_ACCESS_KEY_ID", id);
    let options = options.env("AWS_SECRET_ACCESS_KEY", KEY).env("AWS_REGION", "us-east-1");
    options.env("TASKYARD_LOG", "debug,openraft=warn")
}

/// Jobs that take more than one part, though compressed.
fn large_state(http: &mut Http) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = Random::fresh();
    for _ in 0..28 {
        let data: String = (0..900_000).map(|_| char::from(DIGITS[random.below(64) as usize])).collect();
        submit(http, json!({ "command": ["cat"], "stdin_data": data, "hold": true }));
    }
}

/// Backups come and go on their own, and are counted.
fn on_time(path: &Path, server: &Server) {
    let complete = || -> Vec<String> {
        let listed = backup(path, &server.url, &["list"]).code(0).json();
        let complete = listed.as_array().unwrap().iter().filter(|b| b["state"] == "complete");
        complete.map(|b| b["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = eventually("there are backups", SOON, || complete().pop());
    let kept = eventually("old ones go, new ones come", SOON, || {
        Some(complete()).filter(|names| !names.contains(&first) && names.len() >= 2)
    });
    assert!(kept.len() <= 3, "two, and one that has just been made: {kept:?}");
    let metrics = server.http().ask("GET", "/metrics", None).text();
    for name in
        ["backups_total", "last_success_timestamp_seconds", "last_size_bytes", "last_duration_seconds"]
    {
        let line = metrics.lines().find(|line| line.contains(name) && !line.starts_with('#')).unwrap();
        assert!(!line.ends_with(" 0") && !line.ends_with(" 0.0"), "{line}");
    }
}

fn bucket(bucket: &Bucket<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let config = "[backup]\nto = \"s3://backups/a/b\"\nevery = \"1s\"\nkeep = 2\n[backup.stores]\nelse = \"s3://backups/else\"\n";
    let mut server = Server::start(&path, with_keys(bucket, options(&path, config), KEY_ID));
    large_state(&mut server.http());
    on_time(&path, &server);
    let made = eventually("nobody else makes one", SOON, || {
        let made = backup(&path, &server.url, &["create", "--to", "else"]);
        (made.code == 0).then(|| made.json())
    });
    assert!(made["bytes"].as_u64().unwrap() > 16 << 20, "{made}");
    server.stop();
    let mut said = vec![server.log()];
    said.extend(without_a_server(&path, bucket, &made));

    // A wrong key is told without the key.
    let other = path.join("other");
    fs::create_dir(&other).unwrap();
    let config = options(&path, "[backup]\nto = \"s3://backups/a\"");
    let mut wrong = Server::start(&other, with_keys(bucket, config, "nobody"));
    let refused = backup(&path, &wrong.url, &["list"]);
    assert!(refused.code == 0 || refused.stderr.contains("AWS_ACCESS_KEY_ID"), "{refused:?}");
    let arguments = fs::read(format!("/proc/{}/cmdline", wrong.pid())).unwrap();
    wrong.stop();
    said.extend([wrong.log(), refused.stderr, String::from_utf8_lossy(&arguments).into_owned()]);
    for line in said.iter().flat_map(|text| text.lines()) {
        // The test's own lines in the logs tell the environment.
        assert!(line.starts_with("--- ") || !line.contains(KEY), "the key was shown: {line}");
    }
}

/// The keys come from a file, of which the configuration names only the place. What was said on the way.
fn without_a_server(path: &Path, bucket: &Bucket<'_>, made: &Value) -> Vec<String> {
    fs::write(path.join("key"), format!("{KEY}\n")).unwrap();
    let config = format!(
        "[backup.s3]\nendpoint = \"{}\"\nregion = \"us-east-1\"\naccess_key_id = \"{KEY_ID}\"\nsecret_access_key_file = \"{}\"",
        bucket.endpoint,
        path.join("key").display()
    );
    fs::write(path.join("keys.toml"), config).unwrap();
    let offline = |args: &[&str]| {
        backup(path, "", &[args, &["--from", "s3://backups/else", "--config", "keys.toml"]].concat())
    };
    assert_eq!(offline(&["verify"]).code(0).json()["digest"], made["digest"]);
    let restored = offline(&["restore", "--data-dir", "again/data"]).code(0).json();
    assert_eq!((&restored["backup"]["name"], &restored["backup"]["jobs"]), (&made["name"], &json!(28)));
    let mut again = Server::start(&path.join("again"), with_keys(bucket, ServerOptions::default(), KEY_ID));
    assert_eq!(again.http().get("/v1/jobs")["items"].as_array().unwrap().len(), 28);
    again.stop();

    let name = made["name"].as_str().unwrap();
    (bucket.flip)(&format!("/backups/else/{name}.state.zst"));
    let verified = offline(&["verify", name]).code(1);
    let verified = verified.says(&["s3://backups/else/", ".state.zst is damaged", "SHA-256"]);
    let restored =
        offline(&["restore", "--data-dir", "not"]).code(1).says(&["SHA-256", "choose another backup"]);
    // No server starts on what is left, and the restore can be repeated there.
    assert!(path.join("not/restore.tmp").is_file());
    let whole = ["restore", "--from", "s3://backups/a/b", "--config", "keys.toml", "--data-dir", "not"];
    backup(path, "", &whole).code(0);
    offline(&["restore", "--backup", "nope", "--data-dir", "none"])
        .code(4)
        .says(&["there is no backup nope"]);
    assert!(!path.join("none").exists());
    let absent = offline(&["verify", "20200101T000000Z-0000000000000001-x"]).code(4);
    let absent = absent.says(&["there is no backup 20200101T000000Z", "s3://backups/else"]);
    vec![again.log(), verified.stderr, restored.stderr, absent.stderr]
}
