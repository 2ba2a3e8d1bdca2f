//! P11: three servers, a thousand simulated agents and a real one; the leader is killed. How soon does new work
//! start, and how soon has every agent a session again?

use super::Options;
use super::cluster::{start, stop, wait_for};
use super::http::Http;
use super::machine::Steal;
use super::table::{Table, Want};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SERVERS: usize = 3;
const AGENTS: u64 = 1_000;

/// P11.
pub fn failover(options: &Options, table: &mut Table) -> Result<()> {
    let mut cluster = Cluster::start(&options.binary)?;
    let mut swarm = Swarm::start(&options.binary, &cluster.urls().join(","))?;
    let (mut new_work, mut sessions) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        cluster.settle(AGENTS + 1)?;
        let steal = Steal::now()?;
        swarm.measure()?;
        let killed = Instant::now();
        let leader = cluster.kill_leader()?;
        let file = cluster.dir.path().join(format!("new-{round}"));
        let probe = json!({ "command": ["touch", file], "constraint": "probe == yes" });
        cluster.submit(&probe, &format!("round-{round}"))?;
        wait_for("new work to start", || file.exists().then_some(()))?;
        let started = killed.elapsed();
        let again = swarm.answer()?;
        println!(
            "round {round}: new work {started:.2?} after the kill; {AGENTS} agents had a session again after {again} ms; steal {:.1} %",
            steal.percent()?
        );
        new_work.push(started.as_secs_f64());
        sessions.push(again["max_ms"].as_f64().context("max_ms")? / 1_000.0);
        cluster.restart(leader)?;
    }
    let want = Want::AtMost { bar: 3.0, goal: 1.5 };
    let worst = |all: Vec<f64>| all.into_iter().fold(0.0, f64::max);
    table.row("P11", "leader killed: first new assignment", worst(new_work), "s", want);
    table.row("P11", "leader killed: 1,000 agents have a session again", worst(sessions), "s", want);
    Ok(())
}

/// Below the range from which the kernel takes the agents' own ports: they must stay free while a server is down.
fn free_addresses() -> Result<Vec<String>> {
    let first = 10_000 + (std::process::id() as u16 % 1_000) * 20;
    let free = (first..first + 1_000)
        .map(|port| format!("127.0.0.1:{port}"))
        .filter(|a| TcpListener::bind(a).is_ok());
    let free: Vec<String> = free.take(SERVERS).collect();
    ensure!(free.len() == SERVERS, "no free ports from {first}");
    Ok(free)
}

/// The servers and the real agent; they end with this value.
struct Cluster {
    binary: std::path::PathBuf,
    dir: tempfile::TempDir,
    servers: Vec<Option<Child>>,
    addresses: Vec<String>,
    agent: Option<Child>,
}

impl Cluster {
    fn start(binary: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("taskyard-bench-").tempdir()?;
        let addresses = free_addresses()?;
        let servers = (0..SERVERS).map(|_| None).collect();
        let mut cluster = Cluster { binary: binary.to_owned(), dir, servers, addresses, agent: None };
        for at in 0..SERVERS {
            cluster.restart(at)?;
        }
        let data = cluster.dir.path().join("agent");
        let mut command = Command::new(binary);
        command.args([
            "agent",
            "--server",
            &cluster.urls().join(","),
            "--name",
            "real",
            "--label",
            "probe=yes",
        ]);
        command.arg("--data-dir").arg(data);
        cluster.agent = Some(start(&mut command, &cluster.dir.path().join("agent.log"))?);
        Ok(cluster)
    }

    fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|address| format!("http://{address}")).collect()
    }

    /// Starts a server, as a new one or where it was.
    fn restart(&mut self, at: usize) -> Result<()> {
        let data = self.dir.path().join(format!("server-{at}"));
        let mut command = Command::new(&self.binary);
        command.args(["server", "--listen", &self.addresses[at]]).arg("--data-dir").arg(&data);
        if at > 0 {
            command.args(["--join", &format!("http://{}", self.addresses[0])]);
        }
        let log = self.dir.path().join(format!("server-{at}.log"));
        self.servers[at] = Some(start(&mut command, &log)?);
        let url = format!("http://{}", self.addresses[at]);
        wait_for("a server to be ready", || Http::new(&url).ok()?.get("/readyz").ok().map(|_| ()))
    }

    /// What any server that lives says.
    fn ask<T>(&self, mut ask: impl FnMut(&mut Http) -> Result<T>) -> Option<T> {
        let living = self.urls().into_iter().zip(&self.servers).filter(|(_, server)| server.is_some());
        living.into_iter().find_map(|(url, _)| ask(&mut Http::new(&url).ok()?).ok())
    }

    fn list(&self) -> Option<Vec<Value>> {
        let list = self.ask(|http| http.get("/v1/cluster/servers"))?;
        list["items"].as_array().cloned()
    }

    /// Waits until all servers vote and the agents are up.
    fn settle(&self, agents: u64) -> Result<()> {
        let is_well = |s: &Value| {
            s["role"] == "leader" || s["role"] == "follower" && s["lag"].as_u64().is_some_and(|lag| lag < 100)
        };
        wait_for("all servers to vote", || {
            let servers = self.list()?;
            (servers.len() == SERVERS && servers.iter().all(is_well)).then_some(())
        })?;
        wait_for("the agent to connect", || {
            let up = self.ask(|http| http.get("/v1/cluster"))?["nodes_up"].as_u64()?;
            (up == agents).then_some(())
        })
    }

    fn kill_leader(&mut self) -> Result<usize> {
        let servers = self.list().context("no server answers")?;
        let leader = servers.iter().find(|s| s["role"] == "leader").context("no server leads")?;
        let at =
            self.urls().iter().position(|url| leader["url"] == url.as_str()).context("an unknown leader")?;
        let mut child = self.servers[at].take().context("the leader is dead")?;
        child.kill()?;
        child.wait()?;
        Ok(at)
    }

    fn submit(&self, spec: &Value, request_id: &str) -> Result<u64> {
        let body = json!({ "spec": spec, "request_id": request_id });
        wait_for("the submit", || self.ask(|http| http.post("/v1/jobs", &body))?["job"].as_u64())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.agent.iter_mut().chain(self.servers.iter_mut().flatten()).for_each(stop);
    }
}

/// The simulated agents in a process of their own.
struct Swarm {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Swarm {
    fn start(binary: &Path, servers: &str) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["swarm", "--agents", &AGENTS.to_string(), "--server", servers]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut swarm = Swarm { child, output };
        swarm.line()?;
        // Each has another server that stands by, too.
        std::thread::sleep(Duration::from_secs(2));
        Ok(swarm)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the swarm ended");
        Ok(line)
    }

    /// From now on.
    fn measure(&mut self) -> Result<()> {
        self.child.stdin.as_mut().context("no input")?.write_all(b"\n")?;
        let line = self.line()?;
        ensure!(line == "measuring\n", "heard {line:?}");
        Ok(())
    }

    fn answer(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.line()?)?)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
