//! How fast a simulation is, beside a reference: `cargo run --release -p taskyard-sim --example sim_speed
//! -- FILE PROCS [COMMAND…]`.
//!
//! Runs FCFS with EASY on a log in SWF (filter sc15). Prints nanoseconds a job of reading, of simulating and of both,
//! the best of several rounds, since a shared machine only ever slows down. A command that simulates the same, given
//! as further arguments, is run in turns with it, and the ratio of the best times is printed: of all that it does
//! against reading and simulating here.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use taskyard_model::{Discipline, PoolConfig, QueueConfig};
use taskyard_sim::engine::{KeptSettings, Planner, Setup, Ties, run};
use taskyard_sim::swf::{self, Filter, SwfOptions};

const ROUNDS: u32 = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, procs, command @ ..] = &args[..] else { return Err("FILE PROCS [COMMAND…]".into()) };
    let options = SwfOptions { procs: Some(procs.parse()?), filter: Filter::Sc15, ..SwfOptions::default() };
    let setup = Setup {
        queue: QueueConfig { max_wait_ms: u64::MAX, ..QueueConfig::default() },
        pool: PoolConfig { discipline: Discipline::Easy, ..PoolConfig::default() },
        planner: Planner::Live,
        ties: Ties::Batch,
        own: KeptSettings::default(),
    };
    let (mut reading, mut simulating, mut other) = (f64::MAX, f64::MAX, f64::MAX);
    let (mut jobs, mut sum_start) = (0, 0);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let workloads = swf::read(Path::new(file))?.workloads(&options)?;
        reading = reading.min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        let outcomes = run(&workloads[0], &setup, &mut |_| ())?;
        simulating = simulating.min(begin.elapsed().as_secs_f64());
        (jobs, sum_start) = (outcomes.len(), outcomes.iter().map(|o| o.start_ms).sum::<u64>() / 1_000);
        if let [program, rest @ ..] = command {
            let begin = Instant::now();
            let status = Command::new(program).args(rest).stdout(Stdio::null()).status()?;
            if !status.success() {
                return Err(format!("{program}: {status}").into());
            }
            other = other.min(begin.elapsed().as_secs_f64());
        }
    }
    let each = |seconds: f64| seconds / jobs as f64 * 1e9;
    println!(
        "{jobs} jobs, Σ start {sum_start}; ns a job: reading {:.0}, simulating {:.0}, both {:.0}",
        each(reading),
        each(simulating),
        each(reading + simulating)
    );
    if other < f64::MAX {
        println!(
            "the other: {:.0} ns a job, {:.1} times as long",
            each(other),
            other / (reading + simulating)
        );
    }
    Ok(())
}
