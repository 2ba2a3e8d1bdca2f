//! What this machine offers, as far as it may be used: affinity, cgroup limits and GPU devices count.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use taskyard_model::{Amounts, Capacity};
use taskyard_wire::Load;

const KIB: u64 = 1 << 10;

/// Finds out what this node offers: processors (respecting affinity and cgroup quotas), memory (respecting cgroup
/// limits) and NVIDIA GPUs.
pub fn detect() -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let memory = meminfo("MemTotal:").unwrap_or(KIB * KIB);
    let memory = cgroup_memory_limits().into_iter().fold(memory, u64::min);
    Capacity { amounts: Amounts { cpu_milli: cpus * 1_000, memory, ..Amounts::default() }, gpus: gpus() }
}

/// How busy the machine is, read no more often than it changes: the kernel computes the load average every five
/// seconds, and `/proc/stat` has a line for each processor and interrupt.
pub(crate) struct LoadGauge {
    read: fn() -> Load,
    last: Option<(Instant, Load)>,
}

const LOAD_GOOD_FOR: Duration = Duration::from_secs(5);

impl LoadGauge {
    pub(crate) fn new(read: fn() -> Load) -> LoadGauge {
        LoadGauge { read, last: None }
    }

    pub(crate) fn load(&mut self) -> Load {
        match self.last {
            Some((at, load)) if at.elapsed() < LOAD_GOOD_FOR => load,
            _ => {
                let load = (self.read)();
                self.last = Some((Instant::now(), load));
                load
            }
        }
    }
}

/// How busy the machine is now.
pub(crate) fn load() -> Load {
    let load1 = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load1_milli = load1.split(' ').next().and_then(thousandths).unwrap_or(0);
    Load { load1_milli, memory_available: meminfo("MemAvailable:").unwrap_or(0), processors: processors() }
}

/// All of the machine, since the load average is of all of it.
fn processors() -> u32 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let names = stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split(' ').next());
    names.filter(|name| name.parse::<u32>().is_ok()).count() as u32
}

/// `1.25` as 1250.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.')?;
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u64>().ok()? * 1_000 + part.parse::<u64>().ok()?)
}

fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * KIB)
}

/// Limits of our own cgroup and those above it, in version 2 and version 1.
fn cgroup_memory_limits() -> Vec<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut limits = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next(), fields.next(), fields.next());
        let (Some(controllers), Some(path)) = (controllers, path) else { continue };
        let (roots, file): (&[&str], _) = if controllers.is_empty() {
            (&["/sys/fs/cgroup", "/sys/fs/cgroup/unified"], "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            (&["/sys/fs/cgroup/memory"], "memory.limit_in_bytes")
        } else {
            continue;
        };
        for root in roots {
            let mut dir: PathBuf = Path::new(root).join(path.trim_start_matches('/'));
            while dir.starts_with(root) {
                let limit = fs::read_to_string(dir.join(file)).ok();
                limits.extend(limit.and_then(|text| text.trim().parse::<u64>().ok()));
                if !dir.pop() {
                    break;
                }
            }
        }
    }
    limits
}

fn gpus() -> u32 {
    let entries = |dir: &str, counts: fn(&str) -> bool| {
        let names = fs::read_dir(dir).into_iter().flatten().flatten();
        names.filter(|entry| entry.file_name().to_str().is_some_and(counts)).count() as u32
    };
    let by_driver = entries("/proc/driver/nvidia/gpus", |_| true);
    let is_device =
        |name: &str| name.strip_prefix("nvidia").is_some_and(|n| !n.is_empty() && n.parse::<u16>().is_ok());
    if by_driver > 0 { by_driver } else { entries("/dev", is_device) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something() {
        let found = detect();
        assert!(found.amounts.cpu_milli >= 1_000 && found.amounts.memory > KIB * KIB, "{found:?}");
        assert_eq!(found.check(), Ok(()));
        let load = load();
        assert!(load.memory_available > 0 && load.processors > 0, "{load:?}");
    }

    #[test]
    fn reads_load() {
        assert_eq!(
            (thousandths("1.25"), thousandths("0.07"), thousandths("x")),
            (Some(1_250), Some(70), None)
        );
    }
}
