//! A server that asks for tokens, as its users meet it; and a search for their secrets in everything that was written.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails when it cannot go on, and tells what it saw"
)]

mod common;

use common::cli::{self, Done};
use common::daemon::{Agent, Server, ServerOptions};
use common::http::Http;
use common::{SOON, eventually};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Everything that is said, so that a secret that is said somewhere is seen.
const EVERYTHING: &str = "trace,openraft=warn";

/// A server with tokens, an administrator who is logged in, and all that commands have printed.
struct Bench {
    dir: tempfile::TempDir,
    server: Server,
    agents: Vec<Agent>,
    admin: String,
    printed: String,
}

impl Bench {
    fn start() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let options = ServerOptions::small().args(["--auth", "token"]).env("TASKYARD_LOG", EVERYTHING);
        let server = Server::start(dir.path(), options);
        let file = server.dir.join("admin.token");
        let admin = eventually("the first token", SOON, || fs::read_to_string(&file).ok());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let admin = admin.trim().to_owned();
        let mut bench =
            Bench { dir, server, agents: Vec::new(), admin: admin.clone(), printed: String::new() };
        // The file is there before its token is good.
        eventually("the first token is good", SOON, || {
            (bench.input(&["login"], &admin).code == 0).then_some(())
        });
        bench
    }

    fn home(&self) -> PathBuf {
        let home = self.dir.path().join("home");
        fs::create_dir_all(&home).unwrap();
        home
    }

    /// As the administrator who is logged in.
    fn input(&mut self, args: &[&str], stdin: &str) -> Done {
        self.finish(args, &[], stdin)
    }

    fn run(&mut self, args: &[&str]) -> Done {
        self.input(args, "")
    }

    /// With a token in the environment.
    fn with(&mut self, token: &str, args: &[&str]) -> Done {
        self.finish(args, &[("TASKYARD_TOKEN", token)], "")
    }

    fn finish(&mut self, args: &[&str], env: &[(&str, &str)], stdin: &str) -> Done {
        let mut command = cli::command(&self.home(), &self.server.url, args);
        command.env("TASKYARD_LOG", EVERYTHING).envs(env.iter().copied());
        let done = cli::run_as(command, &format!("taskyard {args:?}"), stdin);
        // A new token is printed; nothing else may print one.
        if !args.starts_with(&["token", "create"]) {
            self.printed += &done.stdout;
        }
        self.printed += &done.stderr;
        done
    }

    fn token(&mut self, args: &[&str]) -> String {
        let all: Vec<&str> = ["token", "create"].iter().chain(args).copied().collect();
        self.run(&all).code(0).stdout.trim().to_owned()
    }

    fn agent(&mut self, name: &str, token: &str) {
        let file = self.dir.path().join(format!("{name}.token"));
        fs::write(&file, token).unwrap();
        let args = ["--cpus", "2", "--token-file", file.to_str().unwrap()];
        self.agents.push(Agent::start(&self.server, name, &args));
    }

    fn nodes_up(&mut self) -> Vec<String> {
        let nodes: Value = self.run(&["nodes", "--output", "json"]).code(0).json();
        let up = nodes.as_array().unwrap().iter().filter(|node| node["state"] == "up");
        up.map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn a_team_works_in_its_namespace() {
    let mut bench = Bench::start();
    let who = bench.run(&["whoami"]).code(0);
    assert!(who.stdout.contains("admin everywhere"), "{}", who.stdout);
    bench.run(&["namespace", "create", "team-a"]).code(0);
    bench.run(&["namespace", "create", "team-b"]).code(0);
    let ada = bench.token(&["--user", "ada", "--role", "submitter", "--namespace", "team-a"]);
    let bob =
        bench.token(&["--user", "bob", "--role", "admin", "--namespace", "team-b", "--expires", "never"]);
    let machine = bench.token(&["--user", "n1", "--kind", "agent"]);
    bench.agent("n1", &machine);
    eventually("the node is up", SOON, || bench.nodes_up().contains(&"n1".to_owned()).then_some(()));

    let hello = bench.with(&ada, &["run", "--namespace", "team-a", "--", "echo", "hello"]).code(0);
    assert_eq!(hello.stdout, "hello\n");
    assert_eq!(bench.with(&ada, &["logs", "last"]).code(0).stdout, "hello\n");
    let shown = bench.with(&ada, &["show", "last", "--output", "json"]).code(0).json();
    assert_eq!((&shown["owner"], &shown["namespace"]), (&"ada".into(), &"team-a".into()));
    bench
        .with(&ada, &["submit", "--", "true"])
        .code(5)
        .says(&["submit", "submitter in the namespace default"]);
    let job = shown["id"].to_string();
    for args in [&["show", job.as_str()][..], &["logs", &job], &["cancel", &job], &["explain", &job]] {
        bench.with(&bob, args).code(4).says(&["there is no job"]);
    }
    assert_eq!(bench.with(&bob, &["jobs", "--output", "ids"]).code(0).stdout, "");
    assert_eq!(bench.with(&ada, &["jobs", "--output", "ids"]).code(0).stdout, format!("{job}\n"));
    bench
        .with(&ada, &["queue", "set", "default", "--policy", "sjf"])
        .code(5)
        .says(&["operator in every namespace"]);

    // No credential does the work of another.
    bench.with(&machine, &["jobs"]).code(5);
    bench.agent("n2", &ada);
    let refused = eventually("the agent is refused", SOON, || {
        let log = fs::read_to_string(bench.dir.path().join("n2.log")).unwrap_or_default();
        log.contains("403").then_some(log)
    });
    assert!(refused.contains("credential of an agent"), "{refused}");
    assert_eq!(bench.nodes_up(), ["n1"]);

    let id = ada.split('_').nth(1).unwrap();
    bench.run(&["token", "revoke", id]).code(0);
    bench.with(&ada, &["jobs"]).code(5).says(&["not good here", "taskyard login"]);
    bench.run(&["logout"]).code(0);
    bench.run(&["jobs"]).code(5).says(&["asks for a token"]);
    println!("{}", fs::read_to_string(bench.server.dir.join("audit.jsonl")).unwrap());
}

#[test]
fn defaults_of_a_namespace_come_from_around() {
    let mut bench = Bench::start();
    bench.run(&["namespace", "create", "team-a"]).code(0);
    let spec = |bench: &mut Bench, id: &str| bench.run(&["show", id, "--output", "json"]).code(0).json();
    let env = [("TASKYARD_NAMESPACE", "team-a")];
    let one =
        bench.finish(&["submit", "--parsable", "--hold", "--", "true"], &env, "").code(0).id().to_string();
    assert_eq!(spec(&mut bench, &one)["namespace"], "team-a");
    let args = ["submit", "--parsable", "--hold", "--namespace", "default", "--account", "a7", "--", "true"];
    let two = bench.finish(&args, &env, "").code(0).id().to_string();
    let shown = spec(&mut bench, &two);
    assert_eq!((&shown["namespace"], &shown["account"]), (&"default".into(), &"a7".into()));
    let listed = |bench: &mut Bench, args: &[&str]| bench.finish(args, &env, "").code(0).stdout;
    assert_eq!(listed(&mut bench, &["jobs", "--output", "ids"]), format!("{one}\n"));
    assert_eq!(
        listed(&mut bench, &["jobs", "--output", "ids", "--namespace", "*"]),
        format!("{two}\n{one}\n")
    );
    let last = bench.finish(&["show", "last", "--output", "ids"], &env, "").code(0).stdout;
    assert_eq!(last.trim(), one, "the newest of the namespace");
    let config = bench.home().join(".config/taskyard/config.toml");
    fs::write(&config, "namespace = \"team-a\"\n").unwrap();
    fs::write(bench.home().join("job.toml"), "command = [\"true\"]\nhold = true\nnamespace = \"default\"\n")
        .unwrap();
    let three = bench.run(&["submit", "--parsable", "job.toml"]).code(0).id().to_string();
    assert_eq!(spec(&mut bench, &three)["namespace"], "default", "a job file is nearer than the config file");
    bench
        .run(&["submit", "--namespace", "nowhere", "--", "true"])
        .code(2)
        .says(&["--namespace", "namespace create"]);
}

#[test]
fn the_first_token_outlives_a_crash_and_can_be_replaced() {
    let mut bench = Bench::start();
    let file = bench.server.dir.join("admin.token");
    bench.server.kill9();
    bench.server.restart();
    bench.run(&["whoami"]).code(0);
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), bench.admin);
    let id = bench.admin.split('_').nth(1).unwrap().to_owned();
    bench.run(&["token", "revoke", &id]).code(0);
    bench.run(&["whoami"]).code(5);
    bench.server.stop();
    bench.server.options.args.push("--new-admin-token".into());
    bench.server.restart();
    let fresh = eventually("a new token", SOON, || {
        let text = fs::read_to_string(&file).ok()?;
        (text.trim() != bench.admin && bench.input(&["login"], &text).code == 0).then_some(text)
    });
    assert_ne!(fresh.trim(), bench.admin);
    assert!(bench.run(&["whoami"]).code(0).stdout.contains("admin everywhere"));
    // A file that is no token stops the start, and is not shown.
    bench.server.stop();
    fs::write(&file, "swordfish").unwrap();
    bench.server.launch();
    assert_eq!(bench.server.wait_end(SOON).code(), Some(1));
    let log = bench.server.log_tail();
    assert!(log.contains("admin.token") && !log.contains("swordfish"), "{log}");
}

#[test]
fn a_server_without_tls_stays_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    for auth in ["none", "token"] {
        let data = dir.path().join(auth);
        let args = ["server", "--auth", auth, "--listen", "0.0.0.0:0", "--data-dir", data.to_str().unwrap()];
        cli::run(dir.path(), "", &args, "").code(1).says(&["without TLS", "127.0.0.1", "cluster init"]);
    }
}

/// All that is beneath a directory.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The forms in which a secret could be written: its text, and the bytes that it stands for.
fn forms(token: &str) -> Vec<Vec<u8>> {
    let secret = token.rsplit('_').next().unwrap();
    let bytes = (0..secret.len()).step_by(2).map(|i| u8::from_str_radix(&secret[i..i + 2], 16).unwrap());
    vec![secret.into(), bytes.collect()]
}

#[test]
fn no_secret_is_written_where_it_does_not_belong() {
    let mut bench = Bench::start();
    let ada = bench.token(&["--user", "ada", "--role", "operator", "--namespace", "*", "--label", "canary"]);
    let machine = bench.token(&["--user", "n1", "--kind", "agent"]);
    bench.agent("n1", &machine);
    eventually("the node is up", SOON, || (!bench.nodes_up().is_empty()).then_some(()));
    bench.with(&ada, &["run", "--env-all", "--", "env"]).code(0);
    bench.with(&ada, &["show", "last", "--output", "json"]).code(0);
    bench.with(&ada, &["queue", "set", "default", "--policy", "sjf"]).code(0);
    bench.with(&ada, &["token", "list"]).code(0);
    bench.run(&["token", "list", "--output", "json"]).code(0);
    bench.with(&format!("{}0", &ada[..ada.len() - 1]), &["jobs"]);
    bench.with(&ada, &["namespace", "create", "x"]).code(5);
    let mut http = Http::new(&bench.server.url);
    http.credential = Some(ada.clone());
    let metrics = http.ask("GET", "/metrics", None);
    assert!(metrics.is_success(), "{}", metrics.text());

    // Where it belongs: what was asked to hold it.
    let may_hold = ["admin.token", "tokens.toml", "n1.token"];
    let mut all = Vec::new();
    files(bench.dir.path(), &mut all);
    let mut texts: Vec<(String, Vec<u8>)> = vec![
        ("what commands printed".into(), bench.printed.clone().into_bytes()),
        ("/metrics".into(), metrics.body),
    ];
    for path in all.iter().filter(|path| !may_hold.contains(&path.file_name().unwrap().to_str().unwrap())) {
        // Sockets and files that went meanwhile hold nothing.
        texts.extend(fs::read(path).ok().map(|bytes| (path.display().to_string(), bytes)));
    }
    for process in fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()) {
        let cmdline = fs::read(process.path().join("cmdline")).unwrap_or_default();
        texts.push((format!("{}", process.path().join("cmdline").display()), cmdline));
    }
    let tokens = [bench.admin.as_str(), &ada, &machine];
    for token in tokens {
        for form in forms(token) {
            for (place, bytes) in &texts {
                assert!(!contains(bytes, &form), "{place} holds a secret");
            }
        }
        // The search would have seen it: the id, which is no secret, is in the log, the audit and what commands printed.
        let id = token.split('_').nth(1).unwrap().as_bytes();
        let holding = texts.iter().filter(|(_, bytes)| contains(bytes, id)).map(|(place, _)| place.as_str());
        let places = holding.collect::<Vec<_>>().join("\n");
        for part in [".log\n", "audit.jsonl", "what commands printed"] {
            assert!(format!("{places}\n").contains(part), "{part} is missing in {places}");
        }
    }
    assert!(texts.len() > 20, "{} texts", texts.len());
    println!("{} texts searched for {} secrets", texts.len(), tokens.len());
}
