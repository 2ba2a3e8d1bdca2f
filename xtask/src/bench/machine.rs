//! What the machine says: time stolen from it, CPU and memory of processes, and how fast its disk syncs.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Ticks of `/proc/*/stat`: 100 a second on every Linux we know.
const TICK: Duration = Duration::from_millis(10);

/// Share of time stolen by other machines of the host, between two looks.
pub struct Steal {
    stolen: u64,
    all: u64,
}

impl Steal {
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat")?;
        let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|w| w.parse().ok()).collect();
        Ok(Steal { stolen: ticks.get(7).copied().unwrap_or(0), all: ticks.iter().take(8).sum() })
    }

    /// Per cent since `self`.
    pub fn percent(&self) -> Result<f64> {
        let now = Steal::now()?;
        Ok(100.0 * (now.stolen - self.stolen) as f64 / (now.all - self.all).max(1) as f64)
    }
}

struct Stat {
    parent: u32,
    /// Time on a CPU, of the process and of the children it has waited for.
    cpu: Duration,
    waited: Duration,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything; what follows its last parenthesis is fixed.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u32>().ok());
    Some(Stat {
        parent: ticks(1)?,
        cpu: TICK * (ticks(11)? + ticks(12)?),
        waited: TICK * (ticks(13)? + ticks(14)?),
    })
}

/// A process and all below it.
pub fn tree(root: u32) -> Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

/// CPU time of some processes and of the children they have waited for.
pub fn cpu(pids: &[u32]) -> Duration {
    pids.iter().filter_map(|pid| stat(*pid)).map(|s| s.cpu + s.waited).sum()
}

/// CPU time of this process and of the children it has waited for.
pub fn own_cpu() -> Duration {
    cpu(&[std::process::id()])
}

/// Resident memory of a process that is not shared with others, in bytes. A binary's code is not counted: it is there
/// once.
pub fn memory(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |name: &str| {
        let line = rollup.lines().find_map(|l| l.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let private = kib("Private_Dirty:").context("Private_Dirty")?;
    Ok((private + kib("Swap:").unwrap_or(0)) * 1_024)
}

/// Resident memory as `ps` shows it, in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1_024)
}

/// Syncs of 4 KiB into a file whose blocks are there already: what one durable acknowledgement costs at least.
pub struct Disk {
    file: fs::File,
    at: u64,
}

const BLOCK: usize = 4_096;
const BLOCKS: u64 = 4_096;

impl Disk {
    pub fn new(dir: &Path) -> Result<Self> {
        let mut file = fs::File::create(dir.join("sync-probe"))?;
        for _ in 0..BLOCKS {
            file.write_all(&[0; BLOCK])?;
        }
        file.sync_all()?;
        Ok(Disk { file, at: 0 })
    }

    /// Time of one write and fdatasync.
    pub fn sync(&mut self) -> Result<Duration> {
        self.file.seek(SeekFrom::Start(self.at % BLOCKS * BLOCK as u64))?;
        self.at += 1;
        let start = Instant::now();
        self.file.write_all(&[1; BLOCK])?;
        self.file.sync_data()?;
        Ok(start.elapsed())
    }
}

/// A part of some times: 0.5 for the median.
pub fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let index = (times.len() as f64 * part) as usize;
    times.get(index.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The middle of some numbers.
pub fn middle(numbers: &[f64]) -> f64 {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => numbers[n / 2],
        n => (numbers[n / 2 - 1] + numbers[n / 2]) / 2.0,
    }
}
