//! `taskyard digest`: what a data directory amounts to, for comparing two of them.

use crate::args::DigestArgs;
use crate::serve::{finish, say};
use std::net::SocketAddr;
use std::process::ExitCode;
use taskyard_server::ServerConfig;

/// Prints index and digest as `GET /v1/cluster?digest=true` has them.
pub(crate) fn digest(args: &DigestArgs) -> ExitCode {
    // For the names under which servers keep their data.
    let server = ServerConfig::new(args.data_dir.clone(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let found = server.with_data().and_then(|server| {
        let config = taskyard_consensus::Config::new(server.data_dir, server.cluster_id, server.server_id);
        taskyard_consensus::offline_digest(&config, args.at)
    });
    match found {
        Ok((index, digest)) => {
            say(&format!("{index} {digest:016x}"));
            ExitCode::SUCCESS
        }
        Err(error) => finish(Err(error.into())),
    }
}
