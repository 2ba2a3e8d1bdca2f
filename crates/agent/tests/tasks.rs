//! The agent and its keeper with real processes, against a small server. The test binary is its own keeper (the agent
//! executes `/proc/self/exe keeper`), hence no libtest: `main` runs the cases one after the other.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]

mod cases;
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("keeper") {
        return taskyard_agent::keeper_main();
    }
    let filter: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    if std::env::args().any(|a| a == "--list") {
        cases::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (name, case) in cases::ALL {
        if filter.is_empty() || filter.iter().any(|f| name.contains(f.as_str())) {
            let started = std::time::Instant::now();
            runtime.block_on(case());
            println!("test {name} ... ok ({} ms)", started.elapsed().as_millis());
        }
    }
    ExitCode::SUCCESS
}
