//! How long a submit takes, alone and as a large array, and how soon its process runs. All against what the machine's
//! disk and its process starts cost in the same moments.

use super::Options;
use super::cluster::{Cluster, Offer, submit as submit_job, wait_job};
use super::machine::{Disk, Steal, memory, quantile};
use super::table::{Table, Want};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two submits, so that the system is idle.
const PAUSE: Duration = Duration::from_millis(20);

/// P5 and P7: submits one at a time, single ones and arrays of a million in turns. All are held: nothing else goes on.
pub fn submit(options: &Options, table: &mut Table) -> Result<()> {
    const COUNT: usize = 500;
    let cluster = Cluster::start(&options.binary, Offer { servers: 1, agents: 1, cpus: 2 })?;
    let mut http = cluster.http()?;
    let mut disk = Disk::new(cluster.path())?;
    let single = json!({ "command": ["/bin/true"], "hold": true });
    let array = json!({ "command": ["/bin/true"], "hold": true, "array": "1-1000000" });
    for _ in 0..20 {
        submit_job(&mut http, single.clone())?;
        disk.sync()?;
    }
    let steal = Steal::now()?;
    let (mut syncs, mut singles, mut arrays) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..COUNT {
        std::thread::sleep(PAUSE);
        syncs.push(disk.sync()?);
        singles.push(timed(|| submit_job(&mut http, single.clone()))?);
        if i % 5 == 0 {
            std::thread::sleep(PAUSE);
            arrays.push(timed(|| submit_job(&mut http, array.clone()))?);
        }
    }
    let [sync, p50, p99] =
        [quantile(&mut syncs, 0.5), quantile(&mut singles, 0.5), quantile(&mut singles, 0.99)];
    let (sync99, array) = (quantile(&mut syncs, 0.99), quantile(&mut arrays, 0.5));
    println!(
        "fdatasync p50 {sync:.2?} p99 {sync99:.2?}; submit p50 {p50:.2?} p99 {p99:.2?}; array of 1,000,000 p50 {array:.2?}; steal {:.1} %",
        steal.percent()?
    );
    let times = |time: Duration| time.as_secs_f64() / sync.as_secs_f64();
    table.row(
        "P5",
        "one submit p50, in fdatasync p50",
        times(p50),
        "×",
        Want::AtMost { bar: 5.0, goal: 2.5 },
    );
    table.row(
        "P5",
        "one submit p99, in fdatasync p50",
        times(p99),
        "×",
        Want::AtMost { bar: 30.0, goal: 10.0 },
    );
    let ratio = array.as_secs_f64() / p50.as_secs_f64();
    table.row(
        "P7",
        "array of 1,000,000, in single submits",
        ratio,
        "×",
        Want::AtMost { bar: 3.0, goal: 1.5 },
    );
    memory_of_arrays(&cluster, table)
}

fn memory_of_arrays(cluster: &Cluster, table: &mut Table) -> Result<()> {
    const ARRAYS: u64 = 200;
    let mut http = cluster.http()?;
    let before = memory(cluster.server_pid())?;
    for _ in 0..ARRAYS {
        let array = json!({ "command": ["/bin/true"], "hold": true, "array": "1-1000000" });
        submit_job(&mut http, array)?;
    }
    let added = memory(cluster.server_pid())?.saturating_sub(before) / ARRAYS;
    println!("server memory: {added} bytes added for each array of 1,000,000, over {ARRAYS}");
    let want = Want::AtMost { bar: 1e6, goal: 64e3 };
    table.row("P7", "memory for an array of 1,000,000", added as f64, "B", want);
    Ok(())
}

fn timed<T>(act: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let start = Instant::now();
    act()?;
    Ok(start.elapsed())
}

/// P6: from the submit until the process says so, against the same process started by hand. It speaks through a pipe
/// in the file system.
pub fn start(options: &Options, table: &mut Table) -> Result<()> {
    const COUNT: usize = 300;
    let cluster = Cluster::start(&options.binary, Offer { servers: 1, agents: 1, cpus: 2 })?;
    let mut http = cluster.http()?;
    let mut disk = Disk::new(cluster.path())?;
    let pipe = cluster.path().join("started");
    ensure!(Command::new("mkfifo").arg(&pipe).status()?.success(), "mkfifo failed");
    let mut started = BufReader::new(open_both(&pipe)?);
    let words = ["/bin/sh", "-c", &format!("echo started > '{}'", pipe.display())].map(str::to_owned);
    let steal = Steal::now()?;
    let (mut syncs, mut bare, mut through) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COUNT {
        std::thread::sleep(PAUSE);
        syncs.push(disk.sync()?);
        bare.push(timed(|| {
            let mut command = Command::new(&words[0]);
            let mut child = command.args(&words[1..]).env_clear().stdin(Stdio::null()).spawn()?;
            hear(&mut started)?;
            child.wait()?;
            Ok(())
        })?);
        std::thread::sleep(PAUSE);
        let spec = json!({ "command": words });
        let start = Instant::now();
        let job = submit_job(&mut http, spec)?;
        hear(&mut started)?;
        through.push(start.elapsed());
        let tasks: Value = wait_job(&mut http, job)?;
        ensure!(tasks["succeeded"] == 1, "the task failed: {tasks}");
    }
    let [sync, bare, p50] =
        [quantile(&mut syncs, 0.5), quantile(&mut bare, 0.5), quantile(&mut through, 0.5)];
    let p99 = quantile(&mut through, 0.99);
    println!(
        "submit → started p50 {p50:.2?} p99 {p99:.2?}; the same process by hand p50 {bare:.2?}; fdatasync p50 {sync:.2?}; steal {:.1} %",
        steal.percent()?
    );
    let beyond = p50.saturating_sub(bare).as_secs_f64() / sync.as_secs_f64();
    let want = Want::AtMost { bar: 10.0, goal: 4.0 };
    table.row("P6", "submit → started p50 beyond a spawn, in fdatasync p50", beyond, "×", want);
    Ok(())
}

/// Open for both, so that a writer that closes it is no end of file.
fn open_both(pipe: &Path) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).open(pipe)?)
}

fn hear(pipe: &mut BufReader<File>) -> Result<()> {
    let mut line = String::new();
    pipe.read_line(&mut line)?;
    ensure!(line == "started\n", "heard {line:?}");
    Ok(())
}
