//! Benches on the real binary: each prints every run, then its rows of the table; a row below its bar fails the whole.
//!
//! The machine's speed drifts, so what is compared is measured side by side in one run, in turns.

mod backup;
pub mod cluster;
mod failover;
pub mod http;
mod latency;
mod machine;
mod memory;
mod spawn;
mod table;
mod throughput;

use crate::run::{cargo, must, output};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use table::Table;

const HELP: &str = "\
cargo xtask bench [OPTIONS] [ID…]

Measures P1 P2 P3 P4 P5 P6 P7 P8 P10 P11 P12 B1 (all, or those named) on the optimised binary, default settings, server and agent as
separate processes. P1 brings P2 and P5 brings P7 along.

  --rounds N     interleaved rounds of P1, P3, P10 and P11, and rounds of B1 [3]
  --seconds N    length of a round of P3 [60]
  --slots N      cores the agent offers in P1 [the machine's]
  --binary FILE  measure this binary instead of building one
";

/// What was asked for.
struct Options {
    ids: Vec<String>,
    rounds: usize,
    seconds: u64,
    slots: u32,
    binary: PathBuf,
}

pub fn bench(args: &[&str]) -> Result<()> {
    if args.iter().any(|a| matches!(*a, "--help" | "-h")) {
        print!("{HELP}");
        return Ok(());
    }
    let options = options(args)?;
    let mut table = Table::default();
    type Bench = fn(&Options, &mut Table) -> Result<()>;
    let benches: [(&[&str], Bench); 9] = [
        (&["P1", "P2"], throughput::processes),
        (&["P3"], throughput::orchestration),
        (&["P4"], throughput::replicated),
        (&["P5", "P7"], latency::submit),
        (&["P6"], latency::start),
        (&["P8", "P12"], memory::memory),
        (&["P10"], throughput::backlog),
        (&["B1"], backup::backup),
        (&["P11"], failover::failover),
    ];
    for (ids, bench) in benches {
        if options.ids.is_empty() || ids.iter().any(|id| options.ids.iter().any(|i| i == id)) {
            println!("── {}", ids.join(", "));
            bench(&options, &mut table).with_context(|| ids.join(", "))?;
        }
    }
    table.print();
    ensure!(!table.is_below_bar(), "below a bar");
    Ok(())
}

fn options(args: &[&str]) -> Result<Options> {
    let slots = std::thread::available_parallelism()?.get();
    let mut options = Options {
        ids: Vec::new(),
        rounds: 3,
        seconds: 60,
        slots: u32::try_from(slots)?,
        binary: PathBuf::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match *arg {
            "--rounds" => options.rounds = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--slots" => options.slots = value()?.parse()?,
            "--binary" => options.binary = value()?.into(),
            id if id.starts_with(['P', 'B']) => options.ids.push(id.to_owned()),
            other => bail!("{other}? see cargo xtask bench --help"),
        }
    }
    if options.binary.as_os_str().is_empty() {
        options.binary = build()?;
    }
    // Some are started in a directory of their own.
    options.binary = std::fs::canonicalize(&options.binary).context("--binary")?;
    Ok(options)
}

/// Builds the binary; where it lies.
pub fn build() -> Result<PathBuf> {
    must(cargo(&["build", "--release", "--package", "taskyard"]))?;
    let metadata = output(cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let target = metadata["target_directory"].as_str().context("target_directory")?;
    Ok(Path::new(target).join("release/taskyard"))
}
