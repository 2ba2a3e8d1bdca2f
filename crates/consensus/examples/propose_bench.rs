//! How long a proposal takes, against the disk's own fdatasync, and how many fit into a second.
//!
//! `cargo run --release -p taskyard-consensus --example propose_bench [DIR]`
//!
//! Both are measured in turns in one run: the speed of a shared machine drifts, ratios do not.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use taskyard_consensus::{Consensus, ConsensusConfig, ProposeError};
use taskyard_model::JobId;
use taskyard_state::Command;

const ROUNDS: usize = 5;
const SINGLE: usize = 1000;

fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let dir = dir.join(format!("propose-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("runtime").block_on(run(&dir));
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
async fn run(dir: &Path) {
    let began = Instant::now();
    let config = ConsensusConfig::new(dir.join("data"), "bench", 1);
    let consensus = Consensus::start(config, std::sync::Arc::new(taskyard_consensus::Alone), Box::new(()))
        .await
        .expect("starts");
    consensus.leadership().wait_for(Option::is_some).await.expect("leads");
    println!("new server leads after {:?}", began.elapsed());
    // The first spare segment is being made meanwhile.
    tokio::time::sleep(Duration::from_secs(2)).await;

    for round in 1..=ROUNDS {
        let bare = {
            let dir = dir.to_owned();
            tokio::task::spawn_blocking(move || bare_syncs(&dir)).await.expect("joined")
        };
        let single = singles(&consensus).await;
        let ratio = percentile(&single, 50).as_secs_f64() / percentile(&bare, 50).as_secs_f64();
        println!(
            "round {round}: fdatasync p50 {:?} p99 {:?} | propose p50 {:?} p99 {:?} | ratio {ratio:.2}",
            percentile(&bare, 50),
            percentile(&bare, 99),
            percentile(&single, 50),
            percentile(&single, 99),
        );
    }
    for writers in [64, 256] {
        for _ in 0..3 {
            let syncs = consensus.metrics().fsyncs;
            let (count, refused, took) = flood(&consensus, writers).await;
            let syncs = consensus.metrics().fsyncs - syncs;
            println!(
                "{writers} writers: {:.0} proposals/s, {:.1} per fdatasync, {refused} refused",
                count as f64 / took.as_secs_f64(),
                count as f64 / syncs as f64
            );
        }
    }
    let metrics = consensus.metrics();
    println!(
        "in the log: fdatasync p50 < {:?}, p99 < {:?}",
        metrics.fsync_quantile(50),
        metrics.fsync_quantile(99)
    );
    consensus.shutdown().await;
}

/// The disk alone: small writes into a file that is really there.
fn bare_syncs(dir: &Path) -> Vec<Duration> {
    let file =
        OpenOptions::new().create(true).truncate(true).write(true).open(dir.join("bare")).expect("file");
    file.write_all_at(&vec![0; 4 << 20], 0).expect("written");
    file.sync_all().expect("synced");
    let mut took: Vec<_> = (0..SINGLE)
        .map(|n| {
            let began = Instant::now();
            file.write_all_at(&[1; 128], n as u64 * 128).expect("written");
            file.sync_data().expect("synced");
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    took
}

async fn singles(consensus: &Consensus) -> Vec<Duration> {
    let consensus = consensus.clone();
    // On a worker, as the server's own tasks are.
    let proposing = tokio::spawn(async move {
        let mut took = Vec::with_capacity(SINGLE);
        for job in 0..SINGLE as u64 {
            let began = Instant::now();
            consensus.propose(Command::Hold { job: JobId(job) }).await.expect("committed");
            took.push(began.elapsed());
        }
        took
    });
    let mut took = proposing.await.expect("joined");
    took.sort_unstable();
    took
}

async fn flood(consensus: &Consensus, writers: usize) -> (usize, usize, Duration) {
    const SECONDS: u64 = 3;
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let consensus = consensus.clone();
            tokio::spawn(async move {
                let (mut count, mut refused) = (0, 0);
                while began.elapsed() < Duration::from_secs(SECONDS) {
                    match consensus.propose(Command::Hold { job: JobId(1) }).await {
                        Ok(_) => count += 1,
                        Err(ProposeError::Overloaded { retry_after_ms }) => {
                            refused += 1;
                            tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                (count, refused)
            })
        })
        .collect();
    let (mut count, mut refused) = (0, 0);
    for task in tasks {
        let (more, also) = task.await.expect("joined");
        count += more;
        refused += also;
    }
    (count, refused, began.elapsed())
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
