//! What is kept in memory: idle, for each running task, for each finished one; and what an idle system costs.

use super::Options;
use super::cluster::{Cluster, Offer, submit, wait_for, wait_job};
use super::machine::{cpu, memory as private, resident};
use super::table::{Table, Want};
use anyhow::{Context, Result};
use serde_json::json;
use std::time::{Duration, Instant};

/// P8 and P12.
pub fn memory(options: &Options, table: &mut Table) -> Result<()> {
    idle(&Cluster::start(&options.binary, Offer { servers: 1, agents: 1, cpus: 8 })?, table)?;
    idle_cluster(&Cluster::start(&options.binary, Offer { servers: 3, agents: 3, cpus: 8 })?, table)?;
    running(&Cluster::start(&options.binary, Offer { servers: 1, agents: 5, cpus: 60_000 })?, table)?;
    finished(&Cluster::start(&options.binary, Offer { servers: 1, agents: 1, cpus: 8 })?, table)
}

/// What all processes of an idle cluster take of a core, in percent.
fn idle_cpu(cluster: &Cluster) -> Result<f64> {
    const WINDOW: Duration = Duration::from_secs(20);
    std::thread::sleep(Duration::from_secs(3));
    let pids = cluster.pids()?;
    let (start, before) = (Instant::now(), cpu(&pids));
    std::thread::sleep(WINDOW);
    Ok(100.0 * (cpu(&pids) - before).as_secs_f64() / start.elapsed().as_secs_f64())
}

fn idle_cluster(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let percent = idle_cpu(cluster)?;
    println!("three idle servers and agents: {percent:.2} % of a core");
    let want = Want::AtMost { bar: 2.0, goal: 0.5 };
    table.row("P12", "CPU of three idle servers and agents", percent, "% of a core", want);
    Ok(())
}

fn idle(cluster: &Cluster, table: &mut Table) -> Result<()> {
    let percent = idle_cpu(cluster)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let server = megabytes(resident(cluster.server_pid())?);
    let agent: u64 = cluster.agent_pids()?.iter().filter_map(|pid| resident(*pid).ok()).sum();
    println!(
        "idle: server {server:.1} MB, agent and keeper {:.1} MB, {percent:.2} % of a core",
        megabytes(agent)
    );
    table.row("P12", "idle memory, server", server, "MB", Want::AtMost { bar: 40.0, goal: 20.0 });
    table.row(
        "P12",
        "idle memory, agent + keeper",
        megabytes(agent),
        "MB",
        Want::AtMost { bar: 15.0, goal: 8.0 },
    );
    // A third of the bar for three of each.
    let want = Want::AtMost { bar: 2.0 / 3.0, goal: 0.5 / 3.0 };
    table.row("P12", "CPU of one idle server and agent", percent, "% of a core", want);
    Ok(())
}

/// The first tasks bring buffers, kept events and the allocator to their working size; what further ones add is theirs.
fn running(cluster: &Cluster, table: &mut Table) -> Result<()> {
    const FIRST: u64 = 60_000;
    const TASKS: u64 = 240_000;
    let mut http = cluster.http()?;
    let mut run = |tasks: u64| {
        let array = format!("1-{tasks}");
        let job =
            submit(&mut http, json!({ "driver": "null", "array": array, "null": { "run_ms": 600_000 } }))?;
        wait_for("all tasks to run", || {
            let counts = http.get(&format!("/v1/jobs/{job}?spec=false")).ok()?["tasks"].clone();
            (counts["running"] == tasks).then_some(())
        })?;
        settled(cluster)
    };
    let before = run(FIRST)?;
    let each = run(TASKS)?.saturating_sub(before) as f64 / TASKS as f64;
    println!("{TASKS} running tasks: {each:.1} bytes each");
    table.row("P8", "memory for a running task", each, "B", Want::AtMost { bar: 400.0, goal: 200.0 });
    Ok(())
}

fn finished(cluster: &Cluster, table: &mut Table) -> Result<()> {
    const TASKS: u64 = 1_000_000;
    let mut http = cluster.http()?;
    let spec = || json!({ "driver": "null", "array": format!("1-{TASKS}") });
    // The first brings buffers and the allocator to their working size.
    let job = submit(&mut http, spec())?;
    wait_job(&mut http, job)?;
    let before = settled(cluster)?;
    for _ in 0..2 {
        let job = submit(&mut http, spec())?;
        wait_job(&mut http, job).context("2,000,000 tasks")?;
    }
    let each = settled(cluster)?.saturating_sub(before) as f64 / (2 * TASKS) as f64;
    println!("2,000,000 finished tasks: {each:.1} bytes each");
    table.row("P8", "memory for a finished task", each, "B", Want::AtMost { bar: 32.0, goal: 8.0 });
    Ok(())
}

/// Memory of the server once it has come to rest.
fn settled(cluster: &Cluster) -> Result<u64> {
    std::thread::sleep(Duration::from_secs(3));
    private(cluster.server_pid())
}
