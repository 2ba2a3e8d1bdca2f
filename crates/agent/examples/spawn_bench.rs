//! How fast the agent runs an array of `/bin/true`, as a fraction of what bare `posix_spawn` and `wait` do, and what it
//! costs beyond.
//!
//! `cargo run --release --example spawn_bench -- [TASKS] [ROUNDS] [SLOTS] [HELD]`: rounds are interleaved,
//! each is printed. The agent runs as a process of its own, with its real journal and keeper; the server is the one of
//! the tests, in this process. With `NULL=1` in the environment the null driver runs instead; `WORKERS` sets the
//! keeper's threads; `STEPS=1` shows progress.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use support::{Server, array};
use taskyard_agent::AgentConfig;
use taskyard_model::Driver;
use taskyard_model::spec::Null;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("keeper") => return taskyard_agent::keeper_main(),
        Some("agent") => return agent(&args[1], &args[2]),
        _ => {}
    }
    let number = |at: usize, default: u32| args.get(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let (tasks, rounds, slots, held) = (number(0, 4_000), number(1, 3), number(2, 2), number(3, 512));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if std::env::var_os("NULL").is_some() {
        for _ in 0..rounds {
            runtime.block_on(null(tasks, slots, held));
        }
        return ExitCode::SUCCESS;
    }
    println!("{tasks} tasks, {slots} slots, {held} held; rates in tasks/s, CPU in s per 10,000 tasks");
    for round in 0..rounds {
        let bare =
            (1..=4).map(|threads| bare(tasks, threads)).max_by(|a, b| a.rate.total_cmp(&b.rate)).unwrap();
        let ours = runtime.block_on(ours(tasks, slots, held));
        println!(
            "round {round}: bare {:.0}/s cpu {:.2} (parent {:.2}, {} threads, steal {}) | ours {:.0}/s = {:.3} | agent {:.3} keeper {:.3} tasks {:.2} \
             = {:.3} of bare beyond it",
            bare.rate,
            bare.cpu,
            bare.parent,
            bare.threads,
            bare.steal,
            ours.rate,
            ours.rate / bare.rate,
            ours.agent,
            ours.keeper,
            ours.tasks,
            (ours.agent + ours.keeper + ours.tasks - bare.cpu) / bare.cpu,
        );
        println!(
            "         steal {} | idle rss: agent {} KiB, keeper {} KiB",
            ours.steal, ours.rss.0, ours.rss.1
        );
    }
    ExitCode::SUCCESS
}

struct Bare {
    threads: u32,
    rate: f64,
    cpu: f64,
    parent: f64,
    steal: u64,
}

/// `posix_spawn` and wait with stdout to a file, by this many threads.
fn bare(tasks: u32, threads: u32) -> Bare {
    let dir = tempfile::tempdir().unwrap();
    let before = (cpu_of_children(), cpu_self(), steal());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let path = dir.path().join(thread.to_string());
            scope.spawn(move || {
                let out = File::create(path).unwrap();
                for _ in 0..tasks / threads {
                    let mut command = Command::new("/bin/true");
                    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(Stdio::null());
                    command.env_clear().status().unwrap();
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let done = f64::from(tasks / threads * threads);
    let cpu = cpu_of_children() - before.0 + cpu_self() - before.1;
    let parent = (cpu_self() - before.1) / done * 10_000.0;
    Bare { threads, rate: done / seconds, cpu: cpu / done * 10_000.0, parent, steal: steal() - before.2 }
}

struct Ours {
    rate: f64,
    agent: f64,
    keeper: f64,
    tasks: f64,
    steal: u64,
    rss: (u64, u64),
}

async fn ours(tasks: u32, slots: u32, held: u32) -> Ours {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(slots, held).await;
    let mut agent = Command::new("/proc/self/exe")
        .args(["agent", &server.address, dir.path().to_str().unwrap()])
        .spawn()
        .unwrap();
    let warm = server.submit(array(&["/bin/true"], 100));
    server.ends(warm).await;
    let keeper = keeper_of(&agent, dir.path());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let rss = (rss(agent.id()), rss(keeper));
    if std::env::var_os("STEPS").is_some() {
        println!("keeper {keeper} agent {}", agent.id());
    }
    let before = (cpu(agent.id()), cpu(keeper), steal());
    let started = Instant::now();
    let job = server.submit(array(&["/bin/true"], tasks));
    let watch = watch(&server, job);
    server.ends(job).await;
    watch.abort();
    let seconds = started.elapsed().as_secs_f64();
    let after = (cpu(agent.id()), cpu(keeper), steal());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let per = |seconds: f64| seconds / f64::from(tasks) * 10_000.0;
    Ours {
        rate: f64::from(tasks) / seconds,
        agent: per(after.0.0 - before.0.0),
        keeper: per(after.1.0 - before.1.0),
        tasks: per(after.1.1 - before.1.1),
        steal: after.2 - before.2,
        rss,
    }
}

/// The null driver: how many attempts go through the agent in a second, and what CPU they cost it.
async fn null(tasks: u32, slots: u32, held: u32) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(slots, held).await;
    let mut agent = Command::new("/proc/self/exe")
        .args(["agent", &server.address, dir.path().to_str().unwrap()])
        .spawn()
        .unwrap();
    let mut spec = array(&["x"], tasks);
    spec.driver = Driver::Null(Null { fail_per_mille: 20, run_ms: 0 });
    let started = Instant::now();
    let job = server.submit(spec);
    let watch = watch(&server, job);
    server.ends(job).await;
    watch.abort();
    let seconds = started.elapsed().as_secs_f64();
    let (agent_cpu, server_cpu) = (cpu(agent.id()).0, cpu_self());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let rate = f64::from(tasks) / seconds;
    println!(
        "null: {rate:.0}/s; agent {:.2} us of CPU each, server in this process {:.2} us",
        agent_cpu / f64::from(tasks) * 1e6,
        server_cpu / f64::from(tasks) * 1e6,
    );
}

/// Shows progress, if asked for.
fn watch(server: &Server, job: taskyard_model::JobId) -> tokio::task::JoinHandle<()> {
    let watched = server.clone();
    tokio::spawn(async move {
        while std::env::var_os("STEPS").is_some() {
            {
                let s = watched.lock();
                let running = s.live.values().filter(|(_, stand)| *stand == support::Stand::Running).count();
                println!("{} ended, {running} running of {}", s.jobs[&job.0].ends.len(), s.live.len());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}

fn agent(server: &str, dir: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut config = AgentConfig::new(vec![server.to_owned()], "bench", dir);
    let workers = std::env::var("WORKERS").ok().and_then(|w| w.parse().ok());
    config.workers = workers.unwrap_or(config.workers);
    runtime.block_on(taskyard_agent::run(config, std::future::pending(), std::future::pending())).unwrap();
    ExitCode::SUCCESS
}

fn keeper_of(agent: &Child, dir: &std::path::Path) -> u32 {
    assert_ne!(agent.id(), 0);
    std::fs::read_to_string(dir.join("keeper.lock")).unwrap().parse().unwrap()
}

/// CPU seconds of a process, and of its children that have been waited for.
fn cpu(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<f64> =
        stat.rsplit_once(')').unwrap().1.split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    ((fields[11] + fields[12]) / 100.0, (fields[13] + fields[14]) / 100.0)
}

fn cpu_self() -> f64 {
    cpu(std::process::id()).0
}

fn cpu_of_children() -> f64 {
    cpu(std::process::id()).1
}

fn steal() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    stat.lines().next().unwrap().split_whitespace().nth(8).unwrap().parse().unwrap()
}

fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
