#![allow(clippy::print_stdout, clippy::disallowed_methods, clippy::disallowed_types)]
use std::time::Instant;
use taskyard_model::{Discipline, Policy, PoolConfig, QueueConfig};
use taskyard_sim::engine::{Planner, Setup, Ties, run};
use taskyard_sim::swf::{self, Estimates, Filter, Options};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let filter = match args[2].as_str() {
        "sc15" => Filter::Sc15,
        "rlwin" => Filter::Rlwin,
        _ => Filter::None,
    };
    let estimates = if args[3] == "c" { Estimates::Clairvoyant } else { Estimates::User };
    let t = Instant::now();
    let log = swf::read(std::path::Path::new(&args[1])).unwrap();
    let w = log.workloads(&Options { filter, estimates, ..Options::default() }).unwrap().remove(0);
    println!("{} jobs read in {:?}", w.jobs.len(), t.elapsed());
    let setup = Setup {
        queue: QueueConfig {
            policy: Policy::parse("p", &args[4]).unwrap(),
            max_wait_ms: u64::MAX,
            ..QueueConfig::default()
        },
        pool: PoolConfig { discipline: Discipline::parse("d", &args[5]).unwrap(), ..PoolConfig::default() },
        planner: match args.get(7).map(String::as_str) {
            Some("commit") => Planner::Commit { backfill: false },
            Some("commit-backfill") => Planner::Commit { backfill: true },
            _ => Planner::Live,
        },
        ties: if args[6] == "pyss" { Ties::Pyss } else { Ties::Batch },
    };
    if args.len() > 8 {
        let windows = swf::Windows::parse("w", &args[8]).unwrap();
        let mut mean = 0.0;
        let t = Instant::now();
        for w in log
            .workloads(&Options { filter, estimates, windows: Some(windows.clone()), ..Options::default() })
            .unwrap()
        {
            let o = run(&w, &setup, &mut |_| ()).unwrap();
            let b: f64 = w
                .jobs
                .iter()
                .zip(&o)
                .map(|(j, o)| {
                    let r = j.run_ms as f64 / 1e3;
                    (((o.start_ms - j.submit_ms) as f64 / 1e3 + r) / r.max(10.0)).max(1.0)
                })
                .sum();
            mean += b / o.len() as f64 / windows.starts.len() as f64;
        }
        println!("mean {mean:.4} in {:?}", t.elapsed());
        return;
    }
    let t = Instant::now();
    let o = run(&w, &setup, &mut |_| ()).unwrap();
    let dt = t.elapsed();
    let n = o.len() as f64;
    let mut bsld = 0.0;
    let mut sum = 0u64;
    let mut wait = 0.0;
    for (j, o) in w.jobs.iter().zip(&o) {
        let w = (o.start_ms - j.submit_ms) as f64 / 1e3;
        let r = j.run_ms as f64 / 1e3;
        bsld += ((w + r) / r.max(10.0)).max(1.0);
        sum += o.start_ms / 1000;
        wait += w;
    }
    println!(
        "bsld {:.8} wait {:.3} sum_start {} in {:?}, {:.0} ns/job",
        bsld / n,
        wait / n,
        sum,
        dt,
        dt.as_nanos() as f64 / n
    );
}
