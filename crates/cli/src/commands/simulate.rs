//! `simulate`: which policy would serve these jobs best. Needs no server, except for the jobs of a cluster.

mod files;
mod history;
mod inputs;
mod print;

use crate::args::SimulateArgs;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::progress::Counted;
use crate::show::{Out, output::say};
use inputs::Inputs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use taskyard_sim::compare::{Comparison, Tried};
use taskyard_sim::engine::EngineError;
use taskyard_sim::recommend::recommend;
use taskyard_sim::report::WorkloadSource;
use taskyard_sim::{SimulationReport, Workload};
use tokio::sync::oneshot;

/// How often a person sees how far it is.
const SHOW_EVERY: Duration = Duration::from_millis(100);

/// Everything but the jobs of a cluster.
pub(crate) async fn offline(args: &SimulateArgs, out: &mut Out) -> Result<u8, Failure> {
    let inputs = Inputs::of(args)?;
    let workloads = inputs.read(args)?;
    simulate(args, inputs, workloads, out).await
}

/// The jobs of a cluster.
pub(crate) async fn from_cluster(ctx: &mut Context, args: &SimulateArgs) -> Result<u8, Failure> {
    let inputs = Inputs::of(args)?;
    let workload = history::read(ctx, args, inputs.clairvoyant()).await?;
    simulate(args, inputs, vec![workload], &mut ctx.out).await
}

async fn simulate(
    args: &SimulateArgs,
    inputs: Inputs,
    workloads: Vec<Workload>,
    out: &mut Out,
) -> Result<u8, Failure> {
    let comparison = inputs.comparison(&workloads);
    for combination in &comparison.combinations {
        combination.check("--discipline", &workloads[0])?;
    }
    let source = WorkloadSource::of(&workloads)
        .ok_or_else(|| Failure::Local("no simulation is possible here".into()))?;
    let (tried, workloads) = run(comparison, workloads).await?;
    if let Some(path) = &args.jobs_csv {
        files::jobs_csv(path, &workloads, &tried)?;
    }
    let runs: Vec<_> = tried.into_iter().map(|tried| tried.run).collect();
    let recommendation = recommend(&runs);
    let typed = inputs::typed(std::env::args());
    let report = SimulationReport::new(source, runs, recommendation, typed, inputs.seed);
    if let Some(path) = &args.html {
        files::html(path, &report)?;
    }
    print::report(&report, out)?;
    Ok(exit::OK)
}

/// Runs the comparison on threads of its own, while a person sees how far it is and may end it.
async fn run(
    comparison: Comparison,
    workloads: Vec<Workload>,
) -> Result<(Vec<Tried>, Vec<Workload>), Failure> {
    let mut shown = Counted::new("simulating", comparison.jobs(&workloads), "jobs");
    let ended = Arc::new(AtomicU64::new(0));
    let (done, mut is_done) = oneshot::channel();
    let counter = ended.clone();
    // Not awaited when it is interrupted: it has nothing but memory, and ends with the process.
    std::thread::spawn(move || {
        let tried = comparison.run(&workloads, &counter);
        let _ = done.send(tried.map(|tried| (tried, workloads)));
    });
    let mut clock = tokio::time::interval(SHOW_EVERY);
    let result = loop {
        tokio::select! {
            result = &mut is_done => break result,
            _ = clock.tick() => shown.show(ended.load(Ordering::Relaxed)),
            _ = tokio::signal::ctrl_c() => {
                shown.clear();
                say("stopped; nothing was written");
                return Err(Failure::Code(exit::INTERRUPTED));
            }
        }
    };
    shown.clear();
    let result =
        result.map_err(|_| Failure::Local("the simulation failed; this is a bug in Taskyard".into()))?;
    result.map_err(told)
}

fn told(error: EngineError) -> Failure {
    Failure::Local(error.to_string())
}
