//! The commands that people type. Everything goes through the HTTP API: this crate knows no other way to the server,
//! except that the binary can lend it an embedded one for `--local`.
//!
//! A command line becomes [`Command`] and [`Globals`]; [`execute`] does it and answers with the process's exit code
//! (see [`exit`]).

pub mod args;
mod commands;
mod context;
mod disconnect;
pub mod exit;
#[cfg(test)]
mod golden;
pub mod host;
mod input;
mod progress;
mod prompt;
mod select;
mod show;
mod time;

pub use args::{Command, Globals};
pub use commands::execute;
pub use host::{Host, LocalHandle};

/// The command line with user commands only: for tests, and for documents that list the commands.
pub fn app() -> clap::Command {
    #[derive(clap::Parser)]
    #[command(name = "taskyard", about = "One durable, fair, explainable queue for a fleet of machines.")]
    struct CommandLine {
        #[command(flatten)]
        _globals: Globals,
        #[command(subcommand)]
        _command: Command,
    }
    args::groups::grouped(<CommandLine as clap::CommandFactory>::command())
}
