//! `taskyard swarm`: what many agents cost servers, and how soon they have a session again when the leader dies.

use crate::args::SwarmArgs;
use crate::serve::{block_on, finish, log, raise_open_files, say};
use std::process::ExitCode;
use taskyard_agent::{Again, Swarm};
use taskyard_client::Env;
use tracing::level_filters::LevelFilter;

/// Runs until standard input ends. Each line there asks how long it takes from now until every agent has a new session.
pub(crate) fn swarm(args: &SwarmArgs, servers: Option<String>) -> ExitCode {
    log(LevelFilter::ERROR);
    raise_open_files();
    finish(block_on(async {
        // ServerList as by every command.
        let servers = Env::of_process()?.find(servers.as_deref())?.urls;
        let swarm = Swarm::start(&servers, args.agents, args.cpus);
        swarm.until_all_have_a_session().await;
        say(&match args.agents {
            1 => "1 agent has a session".to_owned(),
            n => format!("{n} agents have a session"),
        });
        while tokio::task::spawn_blocking(read_line).await?? {
            say("measuring");
            let Again { p50_ms, p99_ms, max_ms } = swarm.until_all_have_a_session_again().await;
            say(&format!("{{\"p50_ms\": {p50_ms}, \"p99_ms\": {p99_ms}, \"max_ms\": {max_ms}}}"));
        }
        Ok(())
    }))
}

/// Whether there was another line.
fn read_line() -> std::io::Result<bool> {
    let mut line = String::new();
    Ok(std::io::stdin().read_line(&mut line)? > 0)
}
