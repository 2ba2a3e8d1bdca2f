//! Several servers of one cluster.

use super::daemon::{Agent, Server, ServerOptions};
use super::http::Http;
use super::{SOON, eventually};
use serde_json::Value;
use std::time::Duration;

/// Servers, some of which may be dead, and agents in a temporary directory.
pub(crate) struct Servers {
    // Before the directory, so that they end before it goes.
    pub(crate) agents: Vec<Agent>,
    pub(crate) all: Vec<Server>,
    pub(crate) dir: tempfile::TempDir,
    options: ServerOptions,
}

impl Servers {
    /// Begins a cluster of so many, all of which vote.
    pub(crate) fn start(count: usize, options: ServerOptions) -> Servers {
        let dir = tempfile::tempdir().unwrap();
        let mut servers = Servers { agents: Vec::new(), all: Vec::new(), dir, options };
        for _ in 0..count {
            servers.join();
        }
        servers
    }

    /// Adds a server and waits until it votes.
    pub(crate) fn join(&mut self) {
        let mut options = self.options.clone();
        if !self.all.is_empty() {
            options = options.args(["--join", &self.urls().join(",")]);
        }
        let dir = self.dir.path().join(format!("server-{}", self.all.len() + 1));
        std::fs::create_dir(&dir).unwrap();
        self.all.push(Server::start(&dir, options));
        self.settle();
    }

    /// Waits until every server that is there votes and has what the leader has.
    pub(crate) fn settle(&self) {
        let votes = |s: &Value| {
            let lag = s["lag"].as_u64();
            s["role"] == "leader" || s["role"] == "follower" && lag.is_some_and(|lag| lag < 1_000)
        };
        eventually("all servers vote", SOON, || {
            let servers = self.list()?;
            servers.iter().all(votes).then_some(())
        });
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.all.iter().map(|server| server.url.clone()).collect()
    }

    /// The servers, as one that answers sees them.
    pub(crate) fn list(&self) -> Option<Vec<Value>> {
        let mut answers =
            self.all.iter().filter_map(|server| ask(&server.url, "GET", "/v1/cluster/servers", None));
        answers.next()?["items"].as_array().cloned()
    }

    /// Waits for a leader; its place among all.
    pub(crate) fn leader(&self) -> usize {
        eventually("a server leads", SOON, || {
            let servers = self.list()?;
            let leader = servers.iter().find(|s| s["role"] == "leader")?;
            self.all.iter().position(|server| leader["url"] == server.url.as_str())
        })
    }

    /// The answer of any server that succeeds, tried again and again.
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        eventually(&format!("{method} {path}"), SOON, || {
            self.all.iter().find_map(|server| ask(&server.url, method, path, body))
        })
    }

    /// Submits a job; its id.
    pub(crate) fn submit(&self, spec: &Value, request_id: &str) -> u64 {
        let body = serde_json::json!({ "spec": spec, "request_id": request_id });
        self.must("POST", "/v1/jobs", Some(&body))["job"].as_u64().unwrap()
    }

    /// Waits until the job has ended; its details.
    pub(crate) fn wait(&self, job: u64, within: Duration) -> Value {
        eventually(&format!("job {job} ends"), within, || {
            let detail = self.must("GET", &format!("/v1/jobs/{job}?wait_ms=1000"), None);
            super::daemon::is_finished(&detail["state"]).then_some(detail)
        })
    }

    pub(crate) fn add_agent(&mut self, name: &str, servers: &str, args: &[&str]) {
        self.agents.push(Agent::of(self.dir.path(), servers, self.options.user.clone(), name, args));
    }

    /// Waits until so many nodes are up.
    pub(crate) fn wait_nodes(&self, nodes: usize) {
        eventually(&format!("{nodes} nodes are up"), SOON, || {
            let list = self.must("GET", "/v1/nodes", None);
            let up = list["items"].as_array()?.iter().filter(|n| n["state"] == "up").count();
            (up == nodes).then_some(())
        });
    }
}

/// The answer, if there is one and it is a success.
fn ask(url: &str, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
    let answer = Http::new(url).request(method, path, body).ok()?;
    answer.is_success().then(|| answer.json())
}
