//! What a backup of a large state costs: time and size, and what users notice meanwhile.

use super::Options;
use super::cluster::{Cluster, Offer, nulls, submit, wait_for, wait_job};
use super::http::Http;
use super::table::{Table, Want};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const TASKS: u64 = 1_000_000;
/// Running attempts that one agent may hold.
const PER_AGENT: u32 = 60_000;

/// B1: with every task ended, each in its own way, and with every task running.
pub fn backup(options: &Options, table: &mut Table) -> Result<()> {
    let finished = Cluster::start_with(&options.binary, Offer { servers: 1, agents: 1, cpus: 8 }, CONFIG)?;
    let mut http = finished.http()?;
    let job = submit(&mut http, nulls(TASKS))?;
    wait_job(&mut http, job)?;
    let names = ["create, 1,000,000 tasks ended", "verify", "restore", "size", "slowest submit meanwhile"];
    measure(options, &finished, table, names)?;
    drop(finished);

    let agents = (TASKS as u32).div_ceil(PER_AGENT);
    let running =
        Cluster::start_with(&options.binary, Offer { servers: 1, agents, cpus: PER_AGENT }, CONFIG)?;
    let mut http = running.http()?;
    let spec = json!({ "driver": "null", "array": format!("1-{TASKS}"), "null": { "run_ms": 3_600_000 } });
    let job = submit(&mut http, spec)?;
    wait_for("all tasks to run", || {
        let counts = http.get(&format!("/v1/jobs/{job}?spec=false")).ok()?["tasks"].clone();
        (counts["running"] == TASKS).then_some(())
    })?;
    let names = ["create, 1,000,000 tasks running", "verify", "restore", "size", "slowest submit meanwhile"];
    measure(options, &running, table, names)
}

const CONFIG: &str = "[backup]\nto = \"../backups\"\n";

/// The middle of some rounds of each.
fn measure(options: &Options, cluster: &Cluster, table: &mut Table, names: [&'static str; 5]) -> Result<()> {
    let store = cluster.path().join("backups");
    let store = store.to_str().context("path")?;
    let mut rounds: [Vec<f64>; 5] = Default::default();
    for round in 1..=options.rounds {
        let (created, made, slowest) = create(options, cluster)?;
        let from = ["backup", "verify", "--from", store];
        let (verified, _) = timed(&options.binary, cluster.path(), &from)?;
        let data = format!("restored-{round}-{}", made["index"]);
        let restore = ["backup", "restore", "--from", store, "--data-dir", &data];
        let (restored, _) = timed(&options.binary, cluster.path(), &restore)?;
        let bytes = made["bytes"].as_f64().context("bytes")?;
        println!(
            "round {round}: create {created:.2?}, verify {verified:.2?}, restore {restored:.2?}, {bytes} bytes of {}; \
             slowest submit {slowest:.2?}",
            made["state_bytes"]
        );
        let seconds = [created, verified, restored].map(|took| took.as_secs_f64());
        let values = [seconds[0], seconds[1], seconds[2], bytes / 1e6, slowest.as_secs_f64() * 1e3];
        for (all, value) in rounds.iter_mut().zip(values) {
            all.push(value);
        }
    }
    let wants =
        [(10.0, 2.0, "s"), (10.0, 2.0, "s"), (10.0, 2.0, "s"), (100.0, 30.0, "MB"), (250.0, 50.0, "ms")];
    for ((mut all, name), (bar, goal, unit)) in rounds.into_iter().zip(names).zip(wants) {
        all.sort_by(f64::total_cmp);
        table.row("B1", name, all[all.len() / 2], unit, Want::AtMost { bar, goal });
    }
    Ok(())
}

/// Makes a backup while somebody submits, one job after the other. How long it took, what was made, and the slowest
/// submit.
fn create(options: &Options, cluster: &Cluster) -> Result<(Duration, Value, Duration)> {
    let mut http = cluster.http()?;
    let url = cluster.url().to_owned();
    let (binary, dir) = (options.binary.clone(), cluster.path().to_owned());
    let making = std::thread::spawn(move || timed(&binary, &dir, &["backup", "create", "--server", &url]));
    let mut slowest = Duration::ZERO;
    while !making.is_finished() {
        slowest = slowest.max(one_submit(&mut http)?);
    }
    let (took, made) = making.join().ok().context("the backup panicked")??;
    ensure!(made["state"] == "complete", "{made}");
    Ok((took, made, slowest))
}

fn one_submit(http: &mut Http) -> Result<Duration> {
    let began = Instant::now();
    submit(http, json!({ "command": ["true"], "hold": true }))?;
    Ok(began.elapsed())
}

/// Runs a command in a directory; how long it took, and its JSON.
fn timed(binary: &Path, dir: &Path, args: &[&str]) -> Result<(Duration, Value)> {
    let began = Instant::now();
    let output = Command::new(binary).args(args).args(["--output", "json"]).current_dir(dir).output()?;
    let took = began.elapsed();
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok((took, serde_json::from_slice(&output.stdout)?))
}
