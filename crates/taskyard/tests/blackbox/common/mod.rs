//! What the black-box tests share: real processes in temporary directories, plain HTTP, and waiting for conditions.
//!
//! Nothing here knows the product's code: what a test sees is what a user sees.

pub(crate) mod cli;
pub(crate) mod daemon;
pub(crate) mod damage;
pub(crate) mod deploy;
pub(crate) mod desk;
pub(crate) mod disk;
pub(crate) mod events;
pub(crate) mod fleet;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod netns;
pub(crate) mod netns_cluster;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod s3;
pub(crate) mod secure;
pub(crate) mod tmpfs;
pub(crate) mod watched;

use std::time::{Duration, Instant};

/// How long anything may take that normally takes no time.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer; fails, saying what it waited for, when `within` has passed.
pub(crate) fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10)); // sleep: between two questions
    }
}

/// Whether the long version of a test is wanted.
pub(crate) fn full() -> bool {
    std::env::var_os("TASKYARD_FULL").is_some_and(|v| !v.is_empty() && v != "0")
}

/// The binary under test; `TASKYARD_BIN` names another one, such as a mutant.
pub(crate) fn binary() -> std::path::PathBuf {
    std::env::var_os("TASKYARD_BIN")
        .map_or_else(|| env!("CARGO_BIN_EXE_taskyard").into(), std::path::PathBuf::from)
}
