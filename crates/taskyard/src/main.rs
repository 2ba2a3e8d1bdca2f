//! The `taskyard` binary: server, agent, both for a laptop, and the commands for people.

mod args;
mod config;
mod digest;
mod local;
mod serve;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Command::Keeper => taskyard_agent::keeper_main(),
        Command::Server(args) => serve::server(args),
        Command::Agent(args) => serve::agent(args, cli.globals.server),
        Command::Dev(args) => serve::dev(args),
        Command::Openapi => serve::openapi(),
        Command::Digest(args) => digest::digest(&args),
        Command::User(command) => local::user(command, cli.globals),
    }
}
