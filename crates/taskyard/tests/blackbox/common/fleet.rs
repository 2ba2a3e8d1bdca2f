//! Several servers and some agents as processes.

use super::daemon::{Agent, Server, ServerOptions, copy_dir, is_finished};
use super::http::Http;
use super::{SOON, binary, eventually};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// Servers of one cluster, with agents, in a temporary directory.
pub(crate) struct Fleet {
    // Before the directory, so that they end before it goes.
    pub(crate) agents: Vec<Agent>,
    pub(crate) servers: Vec<Server>,
    pub(crate) dir: tempfile::TempDir,
}

impl Fleet {
    /// So many servers that vote, and agents `n1`, `n2`, … with 8 CPUs each.
    pub(crate) fn start(servers: usize, agents: usize, options: &ServerOptions) -> Fleet {
        let mut fleet = Fleet::of(tempfile::tempdir().unwrap());
        for _ in 0..servers {
            fleet.add_server(options.clone());
        }
        fleet.until_voters(servers);
        for n in 1..=agents {
            fleet.add_agent(&format!("n{n}"), &fleet.urls(), &["--cpus", "8"]);
        }
        fleet.until_nodes(agents);
        fleet
    }

    /// Nobody yet.
    pub(crate) fn of(dir: tempfile::TempDir) -> Fleet {
        Fleet { agents: Vec::new(), servers: Vec::new(), dir }
    }

    /// An agent that is told of these servers, separated by commas.
    pub(crate) fn add_agent(&mut self, name: &str, servers: &str, args: &[&str]) {
        let user = self.servers[0].options.user.clone();
        self.agents.push(Agent::of(self.dir.path(), servers, user, name, args));
    }

    /// Waits until so many nodes are up.
    pub(crate) fn until_nodes(&self, nodes: usize) {
        eventually(&format!("{nodes} nodes are up"), SOON, || {
            (self.status()?["nodes_up"] == nodes as u64).then_some(())
        });
    }

    /// The answer of any server that succeeds, tried again and again.
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        eventually(&format!("{method} {path}"), SOON, || {
            self.servers.iter().find_map(|server| {
                let answer = server.http().request(method, path, body).ok()?;
                answer.is_success().then(|| answer.json())
            })
        })
    }

    /// Submits a job; its id.
    pub(crate) fn submit(&self, spec: &Value, request_id: &str) -> u64 {
        let body = json!({ "spec": spec, "request_id": request_id });
        self.must("POST", "/v1/jobs", Some(&body))["job"].as_u64().unwrap()
    }

    /// Waits until the job has ended; its details.
    pub(crate) fn wait(&self, job: u64, within: Duration) -> Value {
        eventually(&format!("job {job} ends"), within, || {
            let detail = self.must("GET", &format!("/v1/jobs/{job}?wait_ms=1000"), None);
            is_finished(&detail["state"]).then_some(detail)
        })
    }

    /// A further server, which joins the others.
    pub(crate) fn add_server(&mut self, mut options: ServerOptions) -> usize {
        if !self.servers.is_empty() {
            options.args.extend(["--join".to_owned(), self.urls()]);
        }
        let dir = self.dir.path().join(format!("s{}", self.servers.len() + 1));
        std::fs::create_dir_all(&dir).unwrap();
        self.servers.push(Server::start(&dir, options));
        self.servers.len() - 1
    }

    pub(crate) fn urls(&self) -> String {
        self.servers.iter().map(|server| server.url.as_str()).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn http(&self) -> Http {
        Http::new(&self.urls())
    }

    /// Waits until so many servers vote and are no more than a little behind.
    pub(crate) fn until_voters(&self, voters: usize) {
        eventually(&format!("{voters} servers vote"), SOON, || {
            let status = self.status()?;
            let votes = |s: &&Value| {
                matches!(s["role"].as_str(), Some("leader" | "follower"))
                    && s["lag"].as_u64().is_some_and(|l| l < 1_000)
            };
            (status["servers"].as_array()?.iter().filter(votes).count() == voters).then_some(())
        });
    }

    /// The cluster, if any server answers.
    pub(crate) fn status(&self) -> Option<Value> {
        self.servers.iter().find_map(|server| {
            let answer = server.http().request("GET", "/v1/cluster", None).ok()?;
            answer.is_success().then(|| answer.json())
        })
    }

    /// Which of the servers leads, by its own word.
    pub(crate) fn leader(&self) -> usize {
        eventually("a leader", SOON, || {
            self.servers.iter().position(|server| {
                matches!(server.http().request("GET", "/leaderz", None), Ok(answer) if answer.is_success())
            })
        })
    }

    /// How long it takes from now until a read is answered by any of these servers.
    pub(crate) fn until_answered(&self, servers: &[usize]) -> Duration {
        let began = Instant::now();
        let mut turn = 0;
        eventually("a read is answered", SOON, || {
            turn += 1;
            let answer =
                self.servers[servers[turn % servers.len()]].http().request("GET", "/v1/queues", None);
            matches!(answer, Ok(answer) if answer.is_success()).then_some(())
        });
        began.elapsed()
    }

    /// Stops all servers, and compares what their data amounts to once all have the same entries. How many were
    /// compared.
    pub(crate) fn same_digests(&mut self) -> usize {
        let index = eventually("all have applied the same", SOON, || {
            let applied = |server: &Server| {
                let answer = server.http().request("GET", "/v1/cluster?consistency=stale", None).ok()?;
                answer.json()["applied_index"].as_u64()
            };
            let all = self.servers.iter().map(applied).collect::<Option<Vec<u64>>>()?;
            // One that is behind may stand before the oldest state that another one has kept.
            all.iter().all(|index| *index == all[0]).then_some(all[0])
        });
        self.servers.iter_mut().for_each(Server::kill9);
        let digest = |server: &Server| {
            let copy = self.dir.path().join("copy");
            copy_dir(&server.dir, &copy);
            let mut command = Command::new(binary());
            command.arg("digest").arg("--data-dir").arg(&copy).args(["--at", &index.to_string()]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::remove_dir_all(copy).unwrap();
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let digests: Vec<String> = self.servers.iter().map(digest).collect();
        assert!(digests.iter().all(|d| *d == digests[0]), "the servers have different states: {digests:?}");
        digests.len()
    }
}

/// Percentiles of some durations, for a report.
pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    match times.as_slice() {
        [] => "none".to_owned(),
        all => format!("p50 {:?}, max {:?}", all[all.len() / 2], all[all.len() - 1]),
    }
}
