//! `taskyard digest`: what a data directory amounts to, for comparing two of them.

use crate::args::DigestArgs;
use crate::serve::{finish, print};
use std::process::ExitCode;
use taskyard_consensus::{ConsensusConfig, offline_digest, owner_of};

/// Prints index and digest as `GET /v1/cluster?digest=true` has them.
pub(crate) fn digest(args: &DigestArgs) -> ExitCode {
    finish(offline(args).and_then(|(index, digest)| print(&format!("{index} {digest:016x}"))))
}

fn offline(args: &DigestArgs) -> anyhow::Result<(u64, u64)> {
    let Some((cluster, server)) = owner_of(&args.data_dir)? else {
        anyhow::bail!("--data-dir: {} has no server data", args.data_dir.display());
    };
    Ok(offline_digest(&ConsensusConfig::new(&args.data_dir, cluster, server), args.at)?)
}
