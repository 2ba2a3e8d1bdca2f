//! A server and agents as separate processes of the real binary, in a directory of their own, on a free port.

use super::http::Http;
use super::machine::tree;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CONFIG: &str = "server.toml";
/// Longest wait for a process to be ready, or for a job without progress.
const PATIENCE: Duration = Duration::from_secs(60);

/// The processes; they end with this value.
pub struct Cluster {
    binary: PathBuf,
    dir: tempfile::TempDir,
    url: String,
    server: Child,
    /// Those that joined the first one.
    others: Vec<Child>,
    agents: Vec<Child>,
}

/// How many there are, and what the agents offer.
#[derive(Clone, Copy)]
pub struct Offer {
    pub servers: u32,
    pub agents: u32,
    /// Cores that each offers, whatever the machine has.
    pub cpus: u32,
}

impl Cluster {
    pub fn start(binary: &Path, offer: Offer) -> Result<Self> {
        Cluster::start_with(binary, offer, "")
    }

    /// The same, with a configuration file for the server, which runs in the directory `server` of [`Cluster::path`].
    pub fn start_with(binary: &Path, offer: Offer, config: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("taskyard-bench-").tempdir()?;
        std::fs::create_dir(dir.path().join("server"))?;
        if !config.is_empty() {
            std::fs::write(dir.path().join(CONFIG), config)?;
        }
        let (server, url) = start_server(binary, dir.path())?;
        let others = Vec::new();
        let mut cluster = Cluster { binary: binary.to_owned(), dir, url, server, others, agents: Vec::new() };
        for n in 2..=offer.servers {
            cluster.join(n)?;
        }
        for n in 1..=offer.agents {
            let name = format!("bench-{n}");
            let data = cluster.dir.path().join(&name);
            let cpus = offer.cpus.to_string();
            let mut command = Command::new(binary);
            command.args(["agent", "--server", &cluster.url, "--name", &name, "--cpus", &cpus, "--data-dir"]);
            cluster.agents.push(start(command.arg(&data), &cluster.dir.path().join(format!("{name}.log")))?);
        }
        let mut http = cluster.http()?;
        wait_for("the agents to connect", || {
            let up = http.get("/v1/cluster").ok()?["nodes_up"].as_u64()?;
            (up == u64::from(offer.agents)).then_some(())
        })?;
        Ok(cluster)
    }

    /// Adds a server, and waits until it votes.
    fn join(&mut self, n: u32) -> Result<()> {
        let name = format!("server-{n}");
        let mut command = Command::new(&self.binary);
        command.args(["server", "--listen", "127.0.0.1:0", "--join", &self.url, "--data-dir"]);
        let log = self.dir.path().join(format!("{name}.log"));
        self.others.push(start(command.arg(self.dir.path().join(&name)), &log)?);
        let mut http = self.http()?;
        wait_for("a server to vote", || {
            let servers = http.get("/v1/cluster/servers").ok()?;
            let votes = |s: &&Value| s["role"] == "leader" || s["role"] == "follower";
            (servers["items"].as_array()?.iter().filter(votes).count() == n as usize).then_some(())
        })
    }

    pub fn http(&self) -> Result<Http> {
        Http::new(&self.url)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn server_pid(&self) -> u32 {
        self.server.id()
    }

    /// The agents, their keepers and what they run.
    pub fn agent_pids(&self) -> Result<Vec<u32>> {
        Ok(self.agents.iter().map(|a| tree(a.id())).collect::<Result<Vec<_>>>()?.concat())
    }

    /// Everything.
    pub fn pids(&self) -> Result<Vec<u32>> {
        let mut pids = self.agent_pids()?;
        pids.push(self.server_pid());
        pids.extend(self.others.iter().map(Child::id));
        Ok(pids)
    }

    /// Every job with its counts of tasks.
    fn jobs(&self) -> Result<Vec<(Value, Value)>> {
        let jobs = self.http()?.get("/v1/jobs?limit=10000")?;
        let items = jobs["items"].as_array().context("no items")?;
        Ok(items.iter().map(|job| (job["id"].clone(), job["tasks"].clone())).collect())
    }

    /// Stops the agents, kills the server and starts it again: it must show what it showed.
    pub fn check_replay(mut self) -> Result<()> {
        self.stop_agents();
        let before = self.jobs()?;
        self.server.kill()?;
        self.server.wait()?;
        let start = Instant::now();
        (self.server, self.url) = start_server(&self.binary, self.dir.path())?;
        println!("killed and started again in {:.1?}", start.elapsed());
        ensure!(self.jobs()? == before, "after a restart the jobs are not what they were");
        Ok(())
    }

    fn stop_agents(&mut self) {
        for agent in &mut self.agents {
            stop(agent);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_agents();
        self.others.iter_mut().for_each(stop);
        stop(&mut self.server);
    }
}

fn start_server(binary: &Path, dir: &Path) -> Result<(Child, String)> {
    let data = dir.join("server");
    let endpoint = data.join("endpoint");
    let _ = std::fs::remove_file(&endpoint);
    let mut command = Command::new(binary);
    command.args(["server", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).current_dir(&data);
    if dir.join(CONFIG).exists() {
        command.arg("--config").arg(dir.join(CONFIG));
    }
    let mut server = start(&mut command, &dir.join("server.log"))?;
    let url = wait_for("the server to be ready", || {
        let url = std::fs::read_to_string(&endpoint).ok()?.trim().to_owned();
        Http::new(&url).ok()?.get("/readyz").ok().map(|_| url)
    });
    if url.is_err() {
        let _ = server.kill();
        let log = std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
        bail!("the server does not start:\n{log}");
    }
    Ok((server, url?))
}

/// Starts a process without the settings of the user who runs the bench.
pub fn start(command: &mut Command, log: &Path) -> Result<Child> {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TASKYARD_") {
            command.env_remove(name);
        }
    }
    let log = File::options().create(true).append(true).open(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("cannot start {command:?}"))
}

/// Asks a process to stop; kills it if it does not within some seconds.
pub fn stop(child: &mut Child) {
    if let Some(pid) = Pid::from_raw(child.id() as i32) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let start = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        ensure!(start.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Submits a job; its id.
pub fn submit(http: &mut Http, spec: Value) -> Result<u64> {
    http.post("/v1/jobs", &json!({ "spec": spec }))?["job"].as_u64().context("no job id in the answer")
}

/// A job of `/bin/true`.
pub fn processes(tasks: u64) -> Value {
    json!({ "command": ["/bin/true"], "array": format!("1-{tasks}") })
}

/// A job that completes at once, of which about 2 % fail.
pub fn nulls(tasks: u64) -> Value {
    json!({ "driver": "null", "array": format!("1-{tasks}"), "null": { "fail_per_mille": 20 } })
}

/// Waits for the end of a job; its counts of tasks.
pub fn wait_job(http: &mut Http, job: u64) -> Result<Value> {
    let mut last = (Instant::now(), 0);
    loop {
        let detail = http.get(&format!("/v1/jobs/{job}?spec=false&wait_ms=20000"))?;
        let tasks = detail["tasks"].clone();
        if done(&tasks) == tasks["total"].as_u64().context("no counts in the answer")? {
            return Ok(tasks);
        }
        if done(&tasks) > last.1 {
            last = (Instant::now(), done(&tasks));
        }
        ensure!(last.0.elapsed() < PATIENCE, "job {job} stands still at {tasks}");
    }
}

/// Tasks that have ended.
pub fn done(tasks: &Value) -> u64 {
    ["succeeded", "failed", "cancelled"].iter().filter_map(|state| tasks[*state].as_u64()).sum()
}

/// Checks that each task of a finished job shows attempt, fence, node, start, end and outcome.
pub fn check_tasks(http: &mut Http, job: u64, tasks: u64) -> Result<()> {
    let (mut seen, mut after) = (0, String::new());
    loop {
        let page = http.get(&format!("/v1/jobs/{job}/tasks?limit=10000{after}"))?;
        let items = page["items"].as_array().context("no items")?;
        for task in items {
            for field in ["attempt", "fence", "node", "outcome", "started_at_ms", "ended_at_ms"] {
                ensure!(!task[field].is_null(), "task without {field}: {task}");
            }
        }
        seen += items.len() as u64;
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    ensure!(seen == tasks, "{seen} tasks of {tasks} are shown");
    Ok(())
}
