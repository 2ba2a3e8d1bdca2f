//! `taskyard digest`: what a data directory amounts to, for comparing two of them.

use crate::args::DigestArgs;
use crate::serve::{finish, say};
use std::process::ExitCode;
use taskyard_consensus::{ConsensusConfig, offline_digest, owner_of};

/// Prints index and digest as `GET /v1/cluster?digest=true` has them.
pub(crate) fn digest(args: &DigestArgs) -> ExitCode {
    match offline(args) {
        Ok((index, digest)) => {
            say(&format!("{index} {digest:016x}"));
            ExitCode::SUCCESS
        }
        Err(error) => finish(Err(error)),
    }
}

fn offline(args: &DigestArgs) -> anyhow::Result<(u64, u64)> {
    let Some((cluster, server)) = owner_of(&args.data_dir)? else {
        anyhow::bail!("--data-dir: {} has no server data", args.data_dir.display());
    };
    Ok(offline_digest(&ConsensusConfig::new(&args.data_dir, cluster, server), args.at)?)
}
