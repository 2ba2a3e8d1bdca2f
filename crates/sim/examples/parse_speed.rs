//! How fast logs are read: `cargo run --release -p taskyard-sim --example parse_speed -- FILE…`, or a made-up log
//! without a file.
//!
//! Prints megabytes (10^6 bytes, unpacked) a second of reading alone and of reading with filtering, the best of
//! several rounds, since a shared machine only ever slows down.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use taskyard_sim::swf::{self, SwfOptions};

const ROUNDS: u32 = 7;
const MADE_UP_JOBS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        measure("made up", made_up().as_bytes())?;
    }
    for file in files {
        let begin = Instant::now();
        let log = swf::read(Path::new(&file))?;
        println!(
            "{file}: {} records, {:.3} s with reading the file",
            log.records.len(),
            begin.elapsed().as_secs_f64()
        );
        if !file.ends_with(".gz") && !file.ends_with(".xz") {
            measure(&file, &std::fs::read(&file)?)?;
        }
    }
    Ok(())
}

fn measure(name: &str, text: &[u8]) -> Result<(), Box<dyn Error>> {
    let options = SwfOptions { procs: Some(4_096), ..SwfOptions::default() };
    let (mut parsing, mut all) = (f64::MAX, f64::MAX);
    let mut jobs = 0;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let log = swf::parse(name, text)?;
        parsing = parsing.min(begin.elapsed().as_secs_f64());
        jobs = log.workloads(&options)?.iter().map(|w| w.jobs.len()).sum();
        all = all.min(begin.elapsed().as_secs_f64());
    }
    let megabytes = text.len() as f64 / 1e6;
    println!(
        "{name}: {megabytes:.1} MB, {jobs} jobs; reading {:.0} MB/s, with filtering {:.0} MB/s",
        megabytes / parsing,
        megabytes / all
    );
    Ok(())
}

/// Shaped like the logs of the archive.
fn made_up() -> String {
    let mut text = String::from("; MaxProcs: 1152\n");
    for i in 0..MADE_UP_JOBS {
        let (submit, run, procs) = (956_700 + i * 83, i * 7_919 % 86_400 + 1, (i * 31 % 144 + 1) * 8);
        let _ = writeln!(
            text,
            "{i:6} {submit:9} {:6} {run:6} {procs:4} {:6}.5    -1 {procs:4} {:6}    -1  1 {:3}  -1  -1  2 -1 -1 -1",
            i % 9_000,
            run / 2,
            run * 2,
            i * 17 % 468
        );
    }
    text
}
