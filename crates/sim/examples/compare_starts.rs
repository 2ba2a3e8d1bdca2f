//! A report on starts that some simulator wrote: `cargo run -p taskyard-sim --example compare_starts -- TRACE.swf
//! OUT.html POLICY/DISCIPLINE=JOBS.csv…`. The lists have the form of `taskyard_sim::jobs_csv` and all jobs that the
//! filter `sc15` keeps.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;
use taskyard_sim::metrics::{Bounds, measure};
use taskyard_sim::recommend::recommend;
use taskyard_sim::report::{self, Series, WorkloadSource};
use taskyard_sim::swf::{self, Filter, SwfOptions};
use taskyard_sim::{JobTimes, PolicyRun, SimulationReport, Workload};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [trace, out, lists @ ..] = args.as_slice() else {
        return Err("write TRACE.swf OUT.html POLICY/DISCIPLINE=JOBS.csv…".into());
    };
    let options = SwfOptions { filter: Filter::Sc15, ..SwfOptions::default() };
    let workloads = swf::read(Path::new(trace))?.workloads(&options)?;
    let runs = lists.iter().map(|list| run(&workloads[0], list)).collect::<Result<Vec<_>, _>>()?;
    println!("{}", report::table(&runs, usize::MAX));
    let source = WorkloadSource::of(&workloads).ok_or("no workload")?;
    let recommendation = recommend(&runs);
    let report = SimulationReport::new(source, runs, recommendation, args.join(" "), None);
    if let Some(take) = &report.recommendation {
        println!("{}\n{}", take.why, take.warnings.join("\n"));
    }
    let page = report::html(&report);
    println!("{out}: {} bytes", page.len());
    std::fs::write(out, page)?;
    Ok(())
}

fn run(workload: &Workload, list: &str) -> Result<PolicyRun, Box<dyn Error>> {
    let (name, path) = list.split_once('=').ok_or("write POLICY/DISCIPLINE=JOBS.csv")?;
    let (policy, discipline) = name.split_once('/').ok_or("write POLICY/DISCIPLINE=JOBS.csv")?;
    let text = std::fs::read_to_string(path)?;
    let outcomes =
        text.lines().skip(1).map(outcome).collect::<Option<Vec<_>>>().ok_or("a cell is no number")?;
    Ok(PolicyRun {
        policy: policy.to_owned(),
        discipline: discipline.to_owned(),
        placement: None,
        max_wait: None,
        today: false,
        copies: None,
        notes: Vec::new(),
        shortcut: false,
        windows: Vec::new(),
        metrics: measure(workload, &outcomes, Bounds::default())?,
        series: Series::of(&[(workload, &outcomes)]),
    })
}

fn outcome(line: &str) -> Option<JobTimes> {
    let second = |i: usize| line.split(',').nth(i)?.parse::<u64>().ok();
    Some(JobTimes { start_ms: second(2)? * 1_000, end_ms: second(3)? * 1_000 })
}
