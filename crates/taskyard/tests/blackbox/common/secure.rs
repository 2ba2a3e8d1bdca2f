//! A cluster with TLS on this machine, set up as the guide says.

use super::cli::{self, Done};
use super::daemon::clean;
use super::http::Http;
use super::process::Process;
use super::random::Random;
use super::{SOON, binary, eventually};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use taskyard_tls::{Enrolment, Subject, TlsDir, TlsError, renew};

/// Servers and agents with TLS, and an administrator who is logged in.
pub(crate) struct Cluster {
    // Before the directory, so that they end before it goes.
    pub(crate) servers: Vec<Process>,
    pub(crate) agents: Vec<Process>,
    pub(crate) urls: Vec<String>,
    files: Option<usize>,
    pub(crate) dir: tempfile::TempDir,
}

impl Cluster {
    /// One server of a new cluster, and an administrator who is logged in.
    pub(crate) fn start() -> Cluster {
        Cluster::start_with(None)
    }

    /// Where a server may have only so many open files.
    pub(crate) fn start_with(files: Option<usize>) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Cluster { servers: Vec::new(), agents: Vec::new(), urls: Vec::new(), files, dir };
        fs::create_dir_all(cluster.path("home")).unwrap();
        let data = cluster.path("s1");
        let made = cluster.json(&["cluster", "init", "--data-dir", data.to_str().unwrap()]);
        assert_eq!(made["fingerprint"], TlsDir::of(&data).fingerprint().unwrap().to_string());
        cluster.add_server(&[]);
        cluster.log_in();
        cluster
    }

    /// So many servers that vote; a login counts for all of them. The administrator's token.
    pub(crate) fn of(servers: usize) -> (Cluster, String) {
        let mut cluster = Cluster::start();
        for _ in 1..servers {
            let token = cluster.token("server");
            let first = cluster.urls[0].clone();
            cluster.add_server(&["--join", &first, "--token-file", token.to_str().unwrap()]);
            cluster.until_votes(cluster.servers.len());
        }
        let token = cluster.log_in();
        (cluster, token)
    }

    /// A login counts for the addresses that are known then. The administrator's token.
    pub(crate) fn log_in(&self) -> String {
        cli::log_in_first(&self.path("s1"), |args, stdin| self.type_in(args, stdin))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Command {
        clean(Command::new(binary()), &self.path("home"))
    }

    /// A client of these addresses, which have certificates of this cluster.
    pub(crate) fn http(&self, urls: &str, credential: &str) -> Http {
        let pem = fs::read_to_string(self.path("s1/tls/ca.crt")).unwrap();
        let mut http = Http::new(urls);
        http.seat.tls = Some(Arc::new(taskyard_tls::web_roots(Some(&pem)).unwrap()));
        http.credential = Some(credential.to_owned());
        http
    }

    /// The next server, on all addresses of this machine.
    pub(crate) fn add_server(&mut self, args: &[&str]) {
        let mut random = Random::fresh();
        let port = std::iter::repeat_with(|| 10_000 + random.below(20_000) as u16)
            .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
            .unwrap();
        self.urls.push(format!("https://localhost:{port}"));
        let server = self.launch(self.servers.len(), args);
        self.servers.push(server);
    }

    /// Starts a server again that has ended.
    pub(crate) fn restart_server(&mut self, at: usize) {
        assert!(self.servers[at].ended().is_some(), "it still runs");
        self.servers[at] = self.launch(at, &[]);
    }

    fn launch(&self, at: usize, args: &[&str]) -> Process {
        let (name, url) = (format!("s{}", at + 1), &self.urls[at]);
        let port = url.rsplit(':').next().unwrap();
        let mut command = self.command();
        if let Some(files) = self.files {
            command = clean(Command::new("prlimit"), &self.path("home"));
            command.arg(format!("--nofile={files}:{files}")).arg(binary());
        }
        command.args(["server", "--listen", &format!("0.0.0.0:{port}"), "--advertise", url, "--data-dir"]);
        command.arg(self.path(&name)).args(args);
        Process::spawn(&name, command, &self.path(&format!("{name}.log")))
    }

    pub(crate) fn add_agent(&mut self, name: &str, token: &Path) {
        self.add_agent_in(name, name, token);
    }

    /// With a data directory of another name.
    pub(crate) fn add_agent_in(&mut self, name: &str, dir: &str, token: &Path) {
        self.add_agent_by(&self.urls.join(","), (name, dir), token);
    }

    /// By way of these servers.
    pub(crate) fn add_agent_by(&mut self, servers: &str, (name, dir): (&str, &str), token: &Path) {
        let mut command = self.command();
        command.args(["agent", "--server", servers, "--name", name, "--cpus", "8", "--data-dir"]);
        command.arg(self.path(dir)).arg("--token-file").arg(token);
        self.agents.push(Process::spawn(dir, command, &self.path(&format!("{dir}.log"))));
    }

    /// Asks a server for another certificate, with that in this directory.
    pub(crate) fn renew(&self, name: &str, dir: &str, server: &str) -> Result<(), TlsError> {
        let (home, subject) = (TlsDir::of(&self.path(dir)), Subject::agent(name));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = Arc::new(home.channel()?.calling()?);
        let servers = [server.to_owned()];
        runtime.block_on(renew(&Enrolment { home: &home, subject: &subject, servers: &servers }, config))
    }

    /// The state of a node in the list, if it is there.
    pub(crate) fn node(&self, name: &str) -> Option<String> {
        let nodes = self.json(&["nodes"]);
        let found = nodes.as_array().unwrap().iter().find(|node| node["name"] == name)?;
        found["state"].as_str().map(str::to_owned)
    }

    /// As the administrator.
    pub(crate) fn type_in(&self, args: &[&str], stdin: &str) -> Done {
        cli::run(&self.path("home"), &self.urls.join(","), args, stdin)
    }

    pub(crate) fn must(&self, args: &[&str]) -> String {
        self.type_in(args, "").code(0).stdout
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.must(&[args, &["--output", "json"]].concat())).unwrap()
    }

    /// A file with a token to join with.
    pub(crate) fn token(&self, kind: &str) -> PathBuf {
        let token = self.must(&["token", "create", "--kind", kind, "--join"]);
        let path = self.path(&format!("{}.token", Random::fresh().below(u64::MAX)));
        fs::write(&path, token).unwrap();
        path
    }

    /// The servers that vote, once there are so many.
    pub(crate) fn until_votes(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} servers vote"), SOON, || {
            let status = self.type_in(&["cluster", "status", "--output", "json"], "");
            let status: Value = serde_json::from_str(&status.stdout).ok()?;
            let votes = |s: &&Value| s["role"] == "leader" || s["role"] == "follower";
            let servers: Vec<Value> = status["servers"].as_array()?.iter().filter(votes).cloned().collect();
            (servers.len() == count).then_some(servers)
        })
    }

    pub(crate) fn until_up(&self, node: &str) {
        eventually(&format!("{node} is up"), SOON, || {
            let nodes = self.type_in(&["nodes", "--output", "json"], "");
            let nodes: Value = serde_json::from_str(&nodes.stdout).ok()?;
            let up = |n: &Value| n["name"] == node && n["state"] == "up";
            nodes.as_array()?.iter().any(up).then_some(())
        });
    }
}
