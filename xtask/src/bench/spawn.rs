//! The bare cost of a process: what any scheduler pays at least.

use super::machine::own_cpu;
use anyhow::{Result, ensure};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A rate and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub per_second: f64,
    /// CPU time of one, of the parent and the process together.
    pub cpu: Duration,
}

/// The best of one to four threads, each of which starts `/bin/true` and waits for it, with output to a file.
pub fn best(dir: &Path, count: u32) -> Result<(u32, Rate)> {
    let mut best: Option<(u32, Rate)> = None;
    for threads in 1..=4 {
        let rate = with_threads(dir, threads, count)?;
        if best.is_none_or(|(_, b)| rate.per_second > b.per_second) {
            best = Some((threads, rate));
        }
    }
    best.ok_or_else(|| anyhow::anyhow!("no thread ran"))
}

fn with_threads(dir: &Path, threads: u32, count: u32) -> Result<Rate> {
    let each = count / threads;
    let cpu = own_cpu();
    let start = Instant::now();
    std::thread::scope(|scope| {
        let run = |n: u32| move || spawn_many(&dir.join(format!("spawn-{n}")), each);
        let running: Vec<_> = (0..threads).map(|n| scope.spawn(run(n))).collect();
        running.into_iter().try_for_each(|t| t.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })?;
    let count = each * threads;
    Ok(Rate { per_second: f64::from(count) / start.elapsed().as_secs_f64(), cpu: (own_cpu() - cpu) / count })
}

/// `Command` without a change of directory or user calls posix_spawn; the file is opened once.
fn spawn_many(out: &Path, count: u32) -> Result<()> {
    let out = File::create(out)?;
    for _ in 0..count {
        let mut command = Command::new("/bin/true");
        command.env_clear().stdin(Stdio::inherit()).stdout(out.try_clone()?).stderr(out.try_clone()?);
        ensure!(command.spawn()?.wait()?.success(), "/bin/true failed");
    }
    Ok(())
}

/// `xargs -P2 -n1 /bin/true`: what people use without a scheduler.
pub fn xargs(dir: &Path, count: u32) -> Result<Rate> {
    let input = dir.join("xargs-input");
    std::fs::write(&input, (0..count).map(|i| format!("{i}\n")).collect::<String>())?;
    let cpu = own_cpu();
    let start = Instant::now();
    let mut command = Command::new("xargs");
    command
        .args(["-P2", "-n1", "/bin/true"])
        .stdin(File::open(&input)?)
        .stdout(File::create(dir.join("xargs"))?);
    ensure!(command.status()?.success(), "xargs failed");
    Ok(Rate { per_second: f64::from(count) / start.elapsed().as_secs_f64(), cpu: (own_cpu() - cpu) / count })
}
