//! Backups on time. When one is due is read off the store, so that it does not matter which server makes it, or how
//! often servers start.

use crate::app::App;
use crate::config::DEFAULT_STORE;
use crate::failure::Answer;
use crate::usecase::{BackupWork, backups_in};
use std::time::Duration;
use taskyard_backup::{ListedBackup, Location, Store, Watch, expired, remove};
use taskyard_consensus::{Consensus, wall_ms};
use tokio::time::sleep;

/// How often it is looked whose turn it is and whether one is due. This reads nothing of the store.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure.
const RETRY_MS: u64 = 60_000;
/// How long a server waits for the one before it to make a backup that is due.
const TURN_MS: u64 = 5 * 60_000;
/// Clocks of servers differ by less; what is further in the future was named by a clock that was wrong.
const FUTURE_MS: u64 = 60_000;

/// Whose turn it is to make a backup that is due: followers first, since the leader has more to do; in order of their
/// numbers. The result says how many others come before `me`; `None` when no leader is known, since then the age of its
/// state is unknown, or when `me` has no vote.
fn who_backs_up(leader: Option<u64>, voters: &[u64], me: u64) -> Option<u64> {
    let leader = leader?;
    if !voters.contains(&me) {
        return None;
    }
    let mut before: Vec<u64> = voters.iter().copied().filter(|v| *v != me && *v != leader).collect();
    before.sort_unstable();
    before.dedup();
    let turn = if me == leader { before.len() } else { before.iter().filter(|v| **v < me).count() };
    Some(turn as u64)
}

/// The leader and the voters as this server knows them.
fn members(consensus: &Consensus) -> (Option<u64>, Vec<u64>) {
    let voters = consensus.servers().into_iter().filter(|s| s.voter == Some(true)).map(|s| s.id);
    (consensus.leader().map(|leader| leader.id), voters.collect())
}

/// Makes backups as often as the configuration says, and removes those that are no longer needed.
pub(crate) async fn scheduled(app: App) {
    let config = &app.config.backup;
    let (Some(every_ms), Some(location)) = (config.every_ms, config.stores.get(DEFAULT_STORE)) else {
        return;
    };
    // When the next one is due for the first in turn. Where there is none yet, now; the store is asked before anything
    // is made.
    let mut due_ms = wall_ms();
    loop {
        sleep(LOOK_EVERY).await;
        let (leader, voters) = members(&app.consensus);
        let Some(turn) = who_backs_up(leader, &voters, app.consensus.me()) else { continue };
        let wait_ms = turn * TURN_MS;
        if wall_ms() < due_ms.saturating_add(wait_ms) {
            continue;
        }
        due_ms = match look(&app, location, (every_ms, wait_ms)).await {
            Ok(due_ms) => due_ms,
            Err(error) => {
                app.metrics.backup.failed();
                tracing::error!(error = error.message, store = %location, "backups are behind; trying again");
                wall_ms() + RETRY_MS
            }
        };
    }
}

/// Makes a backup if the newest is old enough, and this server has waited for the others; when the next one is due.
async fn look(app: &App, location: &Location, (every_ms, wait_ms): (u64, u64)) -> Answer<u64> {
    let cluster = app.consensus.cluster_id();
    // The directory may not have been made yet: then nothing is in it.
    let before = match backups_in(app, location).await {
        Err(_) if matches!(location, Location::Dir(path) if !path.exists()) => Vec::new(),
        listed => listed?,
    };
    if let Some(newest) = newest(&before, cluster, wall_ms()) {
        app.metrics.backup.seen(newest);
        let due_ms = newest + every_ms;
        if due_ms + wait_ms > wall_ms() {
            return Ok(due_ms);
        }
    }
    // Counted and told as a failure there, and tried again soon.
    let Ok(_) = BackupWork::begin(app, "to", None)?.create(Watch::default()).await else {
        return Ok(wall_ms() + RETRY_MS.min(every_ms));
    };
    let now_ms = wall_ms();
    let store = Store::open(location, &app.config.backup.s3)?;
    for name in expired(&taskyard_backup::list(&store).await?, cluster, app.config.backup.keep) {
        remove(&store, &name).await?;
        tracing::info!(name, "old backup removed");
    }
    Ok(now_ms + every_ms)
}

/// When the newest complete backup of a cluster was made.
fn newest(listed: &[ListedBackup], cluster: &str, now_ms: u64) -> Option<u64> {
    let good = listed.iter().filter_map(ListedBackup::good).filter(|manifest| manifest.cluster == cluster);
    good.map(|manifest| manifest.made_at_ms).filter(|at| *at < now_ms + FUTURE_MS).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_come_before_the_leader() {
        assert_eq!(who_backs_up(Some(1), &[1], 1), Some(0), "a single server");
        let turns = |leader| [1, 2, 3].map(|me| who_backs_up(leader, &[3, 1, 2], me));
        assert_eq!(turns(Some(1)), [Some(2), Some(0), Some(1)]);
        assert_eq!(turns(Some(2)), [Some(0), Some(2), Some(1)]);
        assert_eq!(turns(Some(3)), [Some(0), Some(1), Some(2)]);
        assert_eq!(turns(None), [None; 3], "the age of its state is unknown");
        assert_eq!(who_backs_up(Some(1), &[1, 2, 3], 4), None, "it has no vote");
        assert_eq!(who_backs_up(Some(9), &[1, 2], 2), Some(1), "the leader is being removed");
    }
}
