//! `cargo xtask drill`: a cluster of three servers and four agents runs 50,000 tasks while, every ten seconds, one of
//! its servers is killed. In the end all work has ended, and each task ran exactly once, by its record and by what
//! the tasks themselves wrote.

use crate::bench::cluster::{start, stop, wait_for};
use crate::bench::http::Http;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const TASKS: u64 = 50_000;
const SERVERS: usize = 3;
const KILL_EVERY: Duration = Duration::from_secs(10);
/// Asked so often whether anybody answers.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a task takes that keeps 4 slots busy for a minute, divided among all tasks.
const SLOT_MS_A_MINUTE: u64 = 4 * 60_000;

/// Runs for a number of minutes.
pub fn drill(minutes: u64) -> Result<()> {
    let binary = crate::bench::build()?;
    let dir = tempfile::Builder::new().prefix("taskyard-drill-").tempdir()?;
    let fleet = Fleet::start(&binary, dir.path())?;
    let (began, job) = (Instant::now(), fleet.submit(dir.path(), minutes)?);
    let mut kills = Kills::default();
    while began.elapsed() < Duration::from_secs(60 * minutes) {
        std::thread::sleep(KILL_EVERY.saturating_sub(kills.last_took));
        fleet.kill_one(&mut kills)?;
    }
    let counts = fleet.until_over(job)?;
    let took = began.elapsed();
    let records = fleet.records(job)?;
    let witnessed = witnessed(&dir.path().join("witness"))?;
    report(&kills, &counts, &records, &witnessed, took);
    ensure!(counts["succeeded"] == TASKS, "not all tasks succeeded: {counts}");
    ensure!(records.len() as u64 == TASKS, "{} tasks are in the record", records.len());
    ensure!(records.values().all(|attempts| *attempts == 1), "the record has tasks with several attempts");
    ensure!(witnessed.len() as u64 == TASKS, "{} tasks left a trace", witnessed.len());
    ensure!(witnessed.values().all(|times| *times == 1), "tasks ran more than once");
    Ok(())
}

struct Fleet {
    dev: Child,
    urls: Vec<String>,
}

/// What was killed, and how long no server answered then.
#[derive(Default)]
struct Kills {
    leaders: Vec<Duration>,
    followers: Vec<Duration>,
    last_took: Duration,
}

impl Fleet {
    fn start(binary: &Path, dir: &Path) -> Result<Fleet> {
        let first = free_ports()?;
        let mut command = Command::new(binary);
        command.args(["dev", "--servers", "3", "--agents", "4", "--listen", &format!("127.0.0.1:{first}")]);
        command.arg("--data-dir").arg(dir.join("data"));
        let dev = start(&mut command, &dir.join("dev.log"))?;
        let urls = (0..SERVERS as u16).map(|n| format!("http://127.0.0.1:{}", first + n)).collect();
        let fleet = Fleet { dev, urls };
        wait_for("the servers and agents", || {
            let up = fleet.ask(|http| http.get("/v1/cluster"))?["nodes_up"].as_u64()?;
            (up == 4 && fleet.servers()?.len() == SERVERS).then_some(())
        })?;
        Ok(fleet)
    }

    fn ask<T>(&self, mut ask: impl FnMut(&mut Http) -> Result<T>) -> Option<T> {
        self.urls.iter().find_map(|url| ask(&mut Http::new(url).ok()?).ok())
    }

    fn servers(&self) -> Option<Vec<Value>> {
        let votes = |s: &&Value| s["role"] == "leader" || s["role"] == "follower";
        let list = self.ask(|http| http.get("/v1/cluster/servers"))?;
        Some(list["items"].as_array()?.iter().filter(votes).cloned().collect())
    }

    /// One job whose tasks keep the agents busy for that long, and write down that they ran.
    fn submit(&self, dir: &Path, minutes: u64) -> Result<u64> {
        std::fs::create_dir(dir.join("witness"))?;
        let sleep = SLOT_MS_A_MINUTE * minutes / TASKS;
        // A process takes some milliseconds besides.
        let script = format!(
            "echo $TASKYARD_TASK >> {}/witness/$TASKYARD_NODE; sleep 0.{:03}",
            dir.display(),
            sleep.saturating_sub(12).min(999)
        );
        let spec = json!({ "command": ["sh", "-c", script], "array": format!("1-{TASKS}") });
        let body = json!({ "spec": spec, "request_id": "drill" });
        wait_for("the submit", || self.ask(|http| http.post("/v1/jobs", &body))?["job"].as_u64())
    }

    /// Kills a server, the leader each second time, and waits until somebody takes a change again.
    fn kill_one(&self, kills: &mut Kills) -> Result<()> {
        let servers = wait_for("a server to answer", || self.servers())?;
        let round = kills.leaders.len() + kills.followers.len();
        let wanted = if round.is_multiple_of(2) { "leader" } else { "follower" };
        let victim =
            servers.iter().find(|s| s["role"] == wanted && s["pid"].is_u64()).context("no victim")?;
        let pid = victim["pid"].as_u64().and_then(|pid| Pid::from_raw(pid as i32)).context("its pid")?;
        kill_process(pid, Signal::KILL)?;
        let killed = Instant::now();
        let queue = json!({ "tier": 1 });
        wait_for("a change to be taken", || {
            std::thread::sleep(LOOK_EVERY);
            self.ask(|http| http.request("PUT", "/v1/queues/drill", Some(&queue)))
        })?;
        let took = killed.elapsed();
        kills.last_took = took;
        println!("kill {}: {wanted} (pid {pid:?}), a change was taken after {took:.2?}", round + 1);
        if wanted == "leader" {
            kills.leaders.push(took)
        } else {
            kills.followers.push(took)
        }
        Ok(())
    }

    fn until_over(&self, job: u64) -> Result<Value> {
        let mut last = (Instant::now(), Value::Null);
        loop {
            let shown =
                wait_for("the job", || self.ask(|http| http.get(&format!("/v1/jobs/{job}?wait_ms=5000"))))?;
            let tasks = shown["tasks"].clone();
            if crate::bench::cluster::done(&tasks) == TASKS {
                return Ok(tasks);
            }
            if tasks != last.1 {
                last = (Instant::now(), tasks);
            }
            ensure!(last.0.elapsed() < Duration::from_secs(60), "the job stands still at {}", last.1);
        }
    }

    /// Each task that is in the record, with its attempts.
    fn records(&self, job: u64) -> Result<BTreeMap<u64, u64>> {
        let (mut all, mut next) = (BTreeMap::new(), Some(String::new()));
        while let Some(after) = next {
            let path = format!("/v1/jobs/{job}/tasks?limit=10000{after}");
            let page = wait_for("tasks", || self.ask(|http| http.get(&path)))?;
            for task in page["items"].as_array().context("no tasks")? {
                let index = task["index"].as_u64().context("no index")?;
                let before = all.insert(index, task["attempt"].as_u64().unwrap_or(0));
                ensure!(before.is_none(), "task {index} is in the record twice");
            }
            next = page["next"].as_str().map(|token| format!("&after={token}"));
        }
        Ok(all)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        stop(&mut self.dev);
    }
}

/// The first of three ports in a row.
fn free_ports() -> Result<u16> {
    let first = 10_000 + (std::process::id() as u16 % 1_000) * 20;
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let found = (first..first + 1_000).step_by(3).find(|port| (0..3).all(|n| free(port + n)));
    found.context("no free ports")
}

/// How often each task ran, by what they wrote.
fn witnessed(dir: &Path) -> Result<BTreeMap<u64, u64>> {
    let mut times = BTreeMap::new();
    for file in std::fs::read_dir(dir)? {
        for line in std::fs::read_to_string(file?.path())?.lines() {
            *times.entry(line.parse().with_context(|| format!("{line:?}"))?).or_default() += 1;
        }
    }
    Ok(times)
}

fn report(
    kills: &Kills,
    counts: &Value,
    records: &BTreeMap<u64, u64>,
    witnessed: &BTreeMap<u64, u64>,
    took: Duration,
) {
    let row = |what: &str, value: String| println!("| {what} | {value} |");
    println!("\n| what | |\n|---|---|");
    for (what, all) in [("leaders", &kills.leaders), ("followers", &kills.followers)] {
        let mut all = all.clone();
        all.sort();
        let at = |part: f64| all.get(((all.len() as f64 * part) as usize).min(all.len().saturating_sub(1)));
        let shown = |part| at(part).map_or_else(String::new, |d| format!("{d:.2?}"));
        row(&format!("{what} killed"), all.len().to_string());
        row("until a change was taken: p50, p99, worst", [shown(0.5), shown(0.99), shown(1.0)].join(", "));
    }
    row("tasks, by state", counts.to_string());
    let several = |all: &BTreeMap<u64, u64>| all.values().filter(|n| **n > 1).count();
    row("tasks in the record; with several attempts", format!("{}; {}", records.len(), several(records)));
    row(
        "tasks that ran, as they wrote; more than once",
        format!("{}; {}", witnessed.len(), several(witnessed)),
    );
    row("time from submit to end", format!("{took:.0?}"));
}
