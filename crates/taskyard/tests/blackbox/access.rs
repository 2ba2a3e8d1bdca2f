//! A server that asks for tokens, as its users meet it; and a search for their secrets in everything that was written.

use crate::common::cli::{self, Done};
use crate::common::daemon::{Agent, Server, ServerOptions};
use crate::common::http::Http;
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Everything that is said, so that a secret that is said somewhere is seen.
const EVERYTHING: &str = "trace,openraft=warn";

/// A server with tokens, an administrator who is logged in, and all that commands have printed.
struct WithTokens {
    dir: tempfile::TempDir,
    server: Server,
    agents: Vec<Agent>,
    admin: String,
    printed: String,
}

impl WithTokens {
    fn start() -> WithTokens {
        let dir = tempfile::tempdir().unwrap();
        let options = ServerOptions::small().args(["--auth", "token"]).env("TASKYARD_LOG", EVERYTHING);
        let server = Server::start(dir.path(), options);
        let file = server.dir.join("admin.token");
        let admin = eventually("the first token", SOON, || fs::read_to_string(&file).ok());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let admin = admin.trim().to_owned();
        let mut access =
            WithTokens { dir, server, agents: Vec::new(), admin: admin.clone(), printed: String::new() };
        // The file is there before its token is good.
        eventually("the first token is good", SOON, || {
            (access.input(&["login"], &admin).code == 0).then_some(())
        });
        access
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
    let mut access = WithTokens::start();
    let who = access.run(&["whoami"]).code(0);
    assert!(who.stdout.contains("admin everywhere"), "{}", who.stdout);
    access.run(&["namespace", "create", "team-a"]).code(0);
    access.run(&["namespace", "create", "team-b"]).code(0);
    let ada = access.token(&["--user", "ada", "--role", "submitter", "--namespace", "team-a"]);
    let bob =
        access.token(&["--user", "bob", "--role", "admin", "--namespace", "team-b", "--expires", "never"]);
    let machine = access.token(&["--user", "n1", "--kind", "agent"]);
    access.agent("n1", &machine);
    eventually("the node is up", SOON, || access.nodes_up().contains(&"n1".to_owned()).then_some(()));

    let hello = access.with(&ada, &["run", "--namespace", "team-a", "--", "echo", "hello"]).code(0);
    assert_eq!(hello.stdout, "hello\n");
    assert_eq!(access.with(&ada, &["logs", "last"]).code(0).stdout, "hello\n");
    let shown = access.with(&ada, &["show", "last", "--output", "json"]).code(0).json();
    assert_eq!((&shown["user"], &shown["namespace"]), (&"ada".into(), &"team-a".into()));
    access
        .with(&ada, &["submit", "--", "true"])
        .code(5)
        .says(&["submit", "submitter in the namespace default"]);
    let job = shown["id"].to_string();
    for args in [&["show", job.as_str()][..], &["logs", &job], &["cancel", &job], &["explain", &job]] {
        access.with(&bob, args).code(4).says(&["there is no job"]);
    }
    assert_eq!(access.with(&bob, &["jobs", "--output", "ids"]).code(0).stdout, "");
    assert_eq!(access.with(&ada, &["jobs", "--output", "ids"]).code(0).stdout, format!("{job}\n"));
    access
        .with(&ada, &["queue", "set", "default", "--policy", "sjf"])
        .code(5)
        .says(&["operator in every namespace"]);

    // No credential does the work of another.
    access.with(&machine, &["jobs"]).code(5);
    access.agent("n2", &ada);
    let refused = eventually("the agent is refused", SOON, || {
        let log = fs::read_to_string(access.dir.path().join("n2.log")).unwrap_or_default();
        log.contains("403").then_some(log)
    });
    assert!(refused.contains("token create --kind agent"), "{refused}");
    assert_eq!(access.nodes_up(), ["n1"]);

    let id = ada.split('_').nth(1).unwrap();
    access.run(&["token", "revoke", id]).code(0);
    access.with(&ada, &["jobs"]).code(5).says(&["invalid token", "taskyard login"]);
    access.run(&["logout"]).code(0);
    access.run(&["jobs"]).code(5).says(&["requires a token"]);
    println!("{}", fs::read_to_string(access.server.dir.join("audit.jsonl")).unwrap());
}

#[test]
fn accounts_are_granted_and_priorities_bounded() {
    let mut access = WithTokens::start();
    let role = ["--role", "submitter", "--namespace", "default"];
    let ada = access.token(&[&["--user", "ada"], &role[..]].concat());
    let bob = access.token(&[&["--user", "bob"], &role[..]].concat());
    let charge = |account: &'static str| ["submit", "--hold", "--account", account, "--", "true"];
    access.with(&ada, &["submit", "--hold", "--", "true"]).code(0);
    access.with(&ada, &charge("made-up")).code(5).says(&[
        "may not charge",
        "made-up",
        "account grant made-up ada",
    ]);
    let said = access.run(&["account", "grant", "physics", "ada"]).code(0).stdout;
    assert_eq!(said, "account physics may be charged by ada\n");
    access.with(&ada, &charge("physics")).code(0);
    access.with(&bob, &charge("physics")).code(5).says(&["may not charge"]);
    access.with(&ada, &["account", "grant", "physics", "bob"]).code(5).says(&["operator"]);
    access.run(&["account", "open", "physics"]).code(0);
    access.with(&bob, &charge("physics")).code(0);
    access.run(&["account", "revoke", "physics", "bob"]).code(2).says(&["every submitter may charge"]);
    access.run(&["account", "close", "physics"]).code(0);
    access.with(&ada, &charge("physics")).code(5);
    access.run(&["share", "set", "chemistry", "--weight", "7"]).code(0);
    access.with(&bob, &charge("chemistry")).code(0);

    let urgent = |n: &'static str| ["submit", "--parsable", "--hold", "--priority", n, "--", "true"];
    access.with(&ada, &urgent("1001")).code(5).says(&["priority", "at most 1000", "operator"]);
    access.run(&["queue", "set", "default", "--max-priority", "10"]).code(0);
    access.with(&ada, &urgent("11")).code(5).says(&["at most 10"]);
    let job = access.with(&ada, &urgent("10")).code(0).id().to_string();
    access.with(&ada, &["update", &job, "--priority", "11"]).code(5).says(&["at most 10"]);
    access.run(&["update", &job, "--priority", "11"]).code(0);
    access.with(&ada, &["update", &job, "--name", "keeps what it was given"]).code(0);
    for list in ["nodes", "queues", "pools"] {
        access.with(&ada, &[list]).code(0);
    }
}

#[test]
fn defaults_of_a_namespace_come_from_around() {
    let mut access = WithTokens::start();
    access.run(&["namespace", "create", "team-a"]).code(0);
    let spec =
        |access: &mut WithTokens, id: &str| access.run(&["show", id, "--output", "json"]).code(0).json();
    let env = [("TASKYARD_NAMESPACE", "team-a")];
    let one =
        access.finish(&["submit", "--parsable", "--hold", "--", "true"], &env, "").code(0).id().to_string();
    assert_eq!(spec(&mut access, &one)["namespace"], "team-a");
    let args = ["submit", "--parsable", "--hold", "--namespace", "default", "--account", "a7", "--", "true"];
    let two = access.finish(&args, &env, "").code(0).id().to_string();
    let shown = spec(&mut access, &two);
    assert_eq!((&shown["namespace"], &shown["account"]), (&"default".into(), &"a7".into()));
    let listed = |access: &mut WithTokens, args: &[&str]| access.finish(args, &env, "").code(0).stdout;
    assert_eq!(listed(&mut access, &["jobs", "--output", "ids"]), format!("{one}\n"));
    assert_eq!(
        listed(&mut access, &["jobs", "--output", "ids", "--namespace", "*"]),
        format!("{two}\n{one}\n")
    );
    let last = access.finish(&["show", "last", "--output", "ids"], &env, "").code(0).stdout;
    assert_eq!(last.trim(), one, "the newest of the namespace");
    let config = access.home().join(".config/taskyard/config.toml");
    fs::write(&config, "namespace = \"team-a\"\n").unwrap();
    fs::write(access.home().join("job.toml"), "command = [\"true\"]\nhold = true\nnamespace = \"default\"\n")
        .unwrap();
    let three = access.run(&["submit", "--parsable", "job.toml"]).code(0).id().to_string();
    assert_eq!(
        spec(&mut access, &three)["namespace"],
        "default",
        "a job file is nearer than the config file"
    );
    access
        .run(&["submit", "--namespace", "nowhere", "--", "true"])
        .code(2)
        .says(&["--namespace", "namespace create"]);
}

#[test]
fn the_first_token_outlives_a_crash_and_can_be_replaced() {
    let mut access = WithTokens::start();
    let file = access.server.dir.join("admin.token");
    access.server.kill9();
    access.server.restart();
    access.run(&["whoami"]).code(0);
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), access.admin);
    let id = access.admin.split('_').nth(1).unwrap().to_owned();
    access.run(&["token", "revoke", &id]).code(0);
    access.run(&["whoami"]).code(5);
    access.server.stop();
    access.server.options.args.push("--new-admin-token".into());
    access.server.restart();
    let fresh = eventually("a new token", SOON, || {
        let text = fs::read_to_string(&file).ok()?;
        (text.trim() != access.admin && access.input(&["login"], &text).code == 0).then_some(text)
    });
    assert_ne!(fresh.trim(), access.admin);
    assert!(access.run(&["whoami"]).code(0).stdout.contains("admin everywhere"));
    // A file that is no token stops the start, and is not shown.
    access.server.stop();
    fs::write(&file, "swordfish").unwrap();
    access.server.launch();
    assert_eq!(access.server.wait_end(SOON).code(), Some(1));
    let log = access.server.log_tail();
    assert!(log.contains("admin.token") && !log.contains("swordfish"), "{log}");
}

#[test]
fn a_server_without_tls_stays_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    for auth in ["none", "token"] {
        let data = dir.path().join(auth);
        let args = ["server", "--auth", auth, "--listen", "0.0.0.0:0", "--data-dir", data.to_str().unwrap()];
        cli::run(dir.path(), "", &args, "").code(2).says(&["without TLS", "127.0.0.1", "cluster init"]);
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
    let mut access = WithTokens::start();
    let ada = access.token(&["--user", "ada", "--role", "operator", "--namespace", "*", "--label", "canary"]);
    let machine = access.token(&["--user", "n1", "--kind", "agent"]);
    access.agent("n1", &machine);
    eventually("the node is up", SOON, || (!access.nodes_up().is_empty()).then_some(()));
    access.with(&ada, &["run", "--env-all", "--", "env"]).code(0);
    access.with(&ada, &["show", "last", "--output", "json"]).code(0);
    access.with(&ada, &["queue", "set", "default", "--policy", "sjf"]).code(0);
    access.with(&ada, &["token", "list"]).code(0);
    access.run(&["token", "list", "--output", "json"]).code(0);
    access.with(&format!("{}0", &ada[..ada.len() - 1]), &["jobs"]);
    access.with(&ada, &["namespace", "create", "x"]).code(5);
    let mut http = Http::new(&access.server.url);
    http.credential = Some(ada.clone());
    let metrics = http.ask("GET", "/metrics", None);
    assert!(metrics.is_success(), "{}", metrics.text());

    // Where it belongs: what was asked to hold it.
    let may_hold = ["admin.token", "tokens.toml", "n1.token"];
    let mut all = Vec::new();
    files(access.dir.path(), &mut all);
    let mut texts: Vec<(String, Vec<u8>)> = vec![
        ("what commands printed".into(), access.printed.clone().into_bytes()),
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
    let tokens = [access.admin.as_str(), &ada, &machine];
    for token in tokens {
        for form in forms(token) {
            for (place, bytes) in &texts {
                assert!(!contains(bytes, &form), "{place} holds a secret");
            }
        }
        // The search would have seen it: the id, which is no secret, is in the log, the audit and what commands
        // printed.
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
