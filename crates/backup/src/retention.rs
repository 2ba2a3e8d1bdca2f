//! Which backups are no longer needed.

use crate::error::BackupError;
use crate::list::ListedBackup;
use crate::manifest::{Manifest, manifest_of, object_of, parts_of};
use crate::store::Store;

/// Names of backups of a cluster beyond the `keep` newest that are complete, and of older remains of unfinished ones.
/// At least one complete backup always stays. Those of other clusters that share the store are theirs.
pub fn expired(listed: &[ListedBackup], cluster: &str, keep: usize) -> Vec<String> {
    let mut good: Vec<&Manifest> =
        listed.iter().filter_map(ListedBackup::good).filter(|m| m.cluster == cluster).collect();
    // By index: that grows with every change, whatever the clocks said.
    good.sort_unstable_by_key(|manifest| std::cmp::Reverse(manifest.index));
    let mut names: Vec<String> =
        good.iter().skip(keep.max(1)).map(|manifest| manifest.name.clone()).collect();
    // What was begun before the oldest that stays will not be finished any more.
    let oldest = good.iter().take(keep.max(1)).map(|manifest| manifest.name.as_str()).min();
    let own = good.first().and_then(|manifest| parts_of(&manifest.name)).map(|(_, cluster)| cluster);
    let remains = listed.iter().filter(|l| l.good().is_none() && parts_of(&l.name).map(|(_, c)| c) == own);
    names.extend(
        remains.filter(|l| oldest.is_some_and(|oldest| l.name.as_str() < oldest)).map(|l| l.name.clone()),
    );
    names
}

/// Removes a backup: the manifest first, so that what is half removed is none.
pub async fn remove(store: &Store, name: &str) -> Result<(), BackupError> {
    store.remove(&manifest_of(name)).await?;
    store.remove(&object_of(name)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{FORMAT, digest, name_of};

    fn listed(at: u64, index: u64, cluster: &str, complete: bool) -> ListedBackup {
        let manifest = Manifest {
            format: FORMAT,
            name: name_of(at * 1_000, index, cluster),
            cluster: cluster.into(),
            index,
            term: 1,
            state_at_ms: 0,
            digest: digest(0),
            jobs: 0,
            tasks: 0,
            nodes: 0,
            made_at_ms: at * 1_000,
            bytes: 1,
            state_bytes: 1,
            sha256: String::new(),
            version: String::new(),
        };
        let name = manifest.name.clone();
        let problem = (!complete).then(|| "unfinished".to_owned());
        ListedBackup { name, manifest: complete.then_some(manifest), problem, unfinished: !complete }
    }

    #[test]
    fn the_newest_complete_ones_stay() {
        let check = |listed: &[ListedBackup], keep: usize, expected: &[u64]| {
            let found: Vec<String> = expired(listed, "c", keep);
            let expected: Vec<String> = expected.iter().map(|i| listed[*i as usize].name.clone()).collect();
            assert_eq!(found, expected, "keep {keep}");
        };
        let five = [5, 4, 3, 2, 1].map(|n| listed(n, n, "c", true));
        check(&five, 3, &[3, 4]);
        check(&five, 9, &[]);
        check(&five, 0, &[1, 2, 3, 4]);
        check(&[], 3, &[]);
        // An unfinished one counts for nothing: the last good one stays.
        let broken = [listed(3, 3, "c", false), listed(2, 2, "c", false), listed(1, 1, "c", true)];
        check(&broken, 1, &[]);
        // Remains go when everything that stays is younger.
        let remains = [listed(3, 3, "c", true), listed(2, 2, "c", false), listed(1, 1, "c", true)];
        check(&remains, 1, &[2, 1]);
        check(&remains, 2, &[]);
        // A clock that went back does not make the newest state the oldest.
        let back = [listed(9, 1, "c", true), listed(1, 2, "c", true)];
        check(&back, 1, &[0]);
        let shared = [
            listed(9, 1, "d", true),
            listed(8, 2, "c", true),
            listed(7, 3, "d", false),
            listed(1, 1, "c", true),
        ];
        check(&shared, 1, &[3]);
    }
}
