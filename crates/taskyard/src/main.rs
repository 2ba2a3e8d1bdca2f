//! The `taskyard` binary: server, agent, both for a laptop, and the commands for people.

mod args;
mod backup_config;
mod backups;
mod config;
mod digest;
mod environment;
mod fleet;
mod local;
mod serve;
mod swarm;

use args::{AgentAlone, Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Agents and keepers stay, and should be small: building the whole command line would touch megabytes of code.
    match std::env::args_os().nth(1) {
        Some(word) if word == "keeper" => return taskyard_agent::keeper_main(),
        Some(word) if word == "agent" => {
            fleet::end_with_parent();
            environment::tell_unknown();
            let alone = AgentAlone::try_parse_from(std::env::args_os().skip(1));
            let alone = alone.unwrap_or_else(|error| args::end(&error));
            return serve::agent(alone.args, alone.server);
        }
        _ => {}
    }
    let cli = Cli::of_process();
    environment::tell_unknown();
    match cli.command {
        Command::Keeper => taskyard_agent::keeper_main(),
        Command::Server(args) => {
            fleet::end_with_parent();
            serve::server(args)
        }
        Command::Agent(args) => serve::agent(args, cli.globals.server),
        Command::Dev(args) => serve::dev(args),
        Command::Openapi => serve::openapi(),
        Command::Swarm(args) => swarm::swarm(&args, cli.globals.server),
        Command::Digest(args) => digest::digest(&args),
        Command::User(command) => local::user(command, cli.globals),
    }
}
