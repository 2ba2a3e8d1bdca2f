//! `cargo xtask …`: what CI and developers run. One entry for both, so that green here means green there.

mod bench;
mod ci;
mod dist;
mod drill;
mod metadata;
mod mutants;
mod openapi;
mod run;
mod tidy;

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  ci                 all that must hold before a change lands; writes nothing
  long               the tests with fresh seeds, and the long version of those that have one: hours
  fix                format, and write what is generated (openapi.json)
  tidy               the house rules that compilers do not check
  mutants            runs each known-bad variant and expects its test to fail
  openapi            compares openapi.json with what the binary prints
  drill [MINUTES]    kills a server every ten seconds under 50,000 tasks, for 10 minutes, and counts
  dist               makes a release in target/dist: package, tarball, bill of materials, checksums
                     [--binary FILE] packs a binary that is there
  bench [P1 P5 …]    measures on the real binary; fails below a bar. --help says more
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Result<()> {
    std::env::set_current_dir(metadata::root()?)?;
    match args {
        ["ci"] => ci::ci(),
        ["long"] => ci::long(),
        ["fix"] => ci::fix(),
        ["tidy"] => tidy::tidy(),
        ["mutants"] => mutants::all_are_caught(),
        ["openapi"] => openapi::is_current(),
        ["drill"] => drill::drill(10),
        ["drill", minutes] => drill::drill(minutes.parse()?),
        ["dist", rest @ ..] => dist::dist(rest),
        ["bench", rest @ ..] => bench::bench(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        [other, ..] => bail!("no command {other:?}; see cargo xtask help"),
    }
}
