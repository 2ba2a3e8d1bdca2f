//! How long finished jobs are kept.

use super::{Attribution, change};
use crate::auth::Caller;
use crate::failure::Answer;
use taskyard_api::{Keeping, RetentionSettings, RetentionStatus};
use taskyard_consensus::Consensus;
use taskyard_state::{Command, KeepChange};

pub(crate) async fn set_retention(
    consensus: &Consensus,
    by: &Caller,
    settings: RetentionSettings,
) -> Answer<RetentionStatus> {
    let Keeping { keep_ms, max_jobs, max_tasks, max_bytes, state_bytes } = settings.check()?;
    let rule = KeepChange { keep_ms, max_jobs, max_tasks, max_bytes, state_bytes };
    change(consensus, Attribution::everywhere(by, "retention".into()), Command::SetRetention(rule)).await?;
    Ok(retention(consensus))
}

/// The rule, and what is kept by it.
pub(crate) fn retention(consensus: &Consensus) -> RetentionStatus {
    let (rule, kept, state_bytes) = consensus.read(|state| (state.retention(), state.kept(), state.bytes()));
    RetentionStatus {
        keep_ms: rule.keep_ms,
        max_jobs: rule.max_jobs,
        max_tasks: rule.max_tasks,
        max_bytes: rule.max_bytes,
        state_bytes_max: rule.state_bytes,
        jobs: kept.jobs,
        tasks: kept.tasks,
        bytes: kept.bytes,
        state_bytes,
        oldest_end_at_ms: kept.oldest_end_wall_ms,
    }
}
