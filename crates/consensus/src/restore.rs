//! A new cluster from a copy of another one's state: an empty directory becomes the data directory of its first and only member.
//!
//! Nothing of the state is changed here. Its log goes on far above the old one, and the first entry of the new cluster is a
//! [`Command::Restored`], which the first start applies like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use openraft::BasicNode;
use taskyard_state::{Command, Entry};

use crate::backup::Copied;
use crate::clock::wall_ms;
use crate::codec;
use crate::config::ConsensusConfig;
use crate::error::StartError;
use crate::identity::{self, RESTORING};
use crate::snapshot::{SnapshotHead, Snapshots};
use crate::types::{Membership, StoredMembership, Vote, log_id};
use crate::wal::disk::RealDisk;
use crate::wal::{Pos, Wal, WalOptions};

/// How far the log of a restored cluster begins above the end of the backup. Fences are indices of the log, so those of the new cluster are
/// above all that the old one gave after the backup, unless it wrote more entries than this: at 30,000 a second, for longer than a year.
const INDEX_GAP: u64 = 1 << 40;
/// What a restore makes in a directory.
const MADE: [&str; 4] = [RESTORING, "FORMAT.tmp", "wal", "snapshot"];

/// The directory of the cluster's authority: it is in no backup, and whoever has that of the old cluster, or a new one, puts it here before.
const AUTHORITY: &str = "tls";

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The new cluster.
    pub cluster: String,
    /// The index that the backup stood at.
    pub from: u64,
    /// Index of the new cluster's first entry.
    pub index: u64,
    /// Tokens in the state.
    pub tokens: u64,
}

/// An empty directory that is about to become a data directory. No server starts on it until it is complete. If it does not come to that, what was
/// made in it is removed again, but for the marker where the restore had begun: a server that found the directory empty would start a new cluster.
pub struct NewDir {
    dir: PathBuf,
    lock: Option<File>,
    /// The directory did not exist before.
    is_made: bool,
    /// This restore, or one before it, has begun to write.
    has_begun: bool,
}

impl NewDir {
    /// Takes an empty directory, or one that does not exist yet. What an earlier restore left that was cut short is removed.
    pub fn claim(dir: &Path) -> Result<NewDir, StartError> {
        let is_made = !dir.exists();
        identity::close_dir(dir)?;
        // Before it is locked: nothing is to be left in a directory that is refused.
        must_be_empty(dir)?;
        let lock = Some(identity::lock(dir)?);
        must_be_empty(dir)?;
        let has_begun = dir.join(RESTORING).exists();
        let new = NewDir { dir: dir.to_owned(), lock, is_made, has_begun };
        new.clear();
        new.mark()?;
        Ok(new)
    }

    /// A file to use meanwhile, on the disk of the directory. From now on no server starts on the directory until a restore succeeds.
    pub fn begin(&mut self) -> PathBuf {
        self.has_begun = true;
        self.marker()
    }

    fn marker(&self) -> PathBuf {
        self.dir.join(RESTORING)
    }

    /// Leaves an empty marker.
    fn mark(&self) -> Result<(), StartError> {
        let marker = self.marker();
        taskyard_datadir::create(&marker).map_err(|source| StartError::io("write", &marker, source))?;
        Ok(())
    }

    /// Makes the directory that of the only member of a new cluster, which has the state and no history. Blocks.
    pub fn fill(mut self, copied: Copied, server: u64) -> Result<Restored, StartError> {
        let cluster = format!("taskyard-{:08x}", identity::random() as u32);
        let config = ConsensusConfig::new(&self.dir, &cluster, server);
        config.check()?;
        let (restored, salt) = make(&config, copied)?;
        let marker = self.marker();
        // Emptied first: from the next step on the directory is complete, and nobody may come to remove this.
        self.mark()?;
        identity::found(&self.dir, &cluster, server, salt)?;
        self.lock = None;
        std::fs::remove_file(&marker).map_err(|source| StartError::io("remove", &marker, source))?;
        Ok(restored)
    }

    fn clear(&self) {
        self.clear_but("");
    }

    fn clear_but(&self, kept: &str) {
        for name in MADE.into_iter().filter(|name| *name != kept) {
            let path = self.dir.join(name);
            // What cannot be removed is told by whatever meets it next.
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
    }
}

impl Drop for NewDir {
    fn drop(&mut self) {
        if self.lock.is_none() {
            return;
        }
        if self.has_begun {
            // Before the rest goes: without the marker a server would start on what is left.
            let _ = self.mark();
        }
        self.clear_but(if self.has_begun { RESTORING } else { "" });
        let _ = std::fs::remove_file(self.dir.join("LOCK"));
        if self.is_made && !self.has_begun {
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

fn must_be_empty(dir: &Path) -> Result<(), StartError> {
    let io = |source| StartError::io("read the directory", dir, source);
    let cut_short = dir.join(RESTORING).exists() && !dir.join("FORMAT").exists();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let ours = cut_short && MADE.iter().any(|made| name == *made);
        if name != "LOCK" && name != AUTHORITY && !ours {
            return Err(StartError::Config(format!(
                "{} is not empty: it holds {}; a restore makes a new cluster, so name an empty directory, or move its content away",
                dir.display(),
                name.display(),
            )));
        }
    }
    Ok(())
}

/// Writes snapshot and log, durably. The number of the log is the second of the results.
fn make(config: &ConsensusConfig, copied: Copied) -> Result<(Restored, u32), StartError> {
    let Copied { about, mut state } = copied;
    let (from, tokens) = (state.index(), state.tokens_in_force());
    let last =
        Pos { term: about.last.as_ref().map_or(1, |last| last.leader_id.term), index: from + INDEX_GAP };
    state.skip(last.index);
    let [log_dir, snapshot_dir] = ["wal", "snapshot"].map(|name| config.dir.join(name));
    for dir in [&log_dir, &snapshot_dir] {
        taskyard_datadir::make_dir(dir)
            .map_err(|source| StartError::io("make the directory", dir, source))?;
    }
    let (snapshots, _) = Snapshots::open(&snapshot_dir, None)?;
    let about = SnapshotHead { last: Some(log_id(last)), membership: only_member(config, last)? };
    snapshots
        .write(&about, &state.freeze())
        .map_err(|source| StartError::io("write", &snapshot_dir, source))?;

    let salt = identity::random() as u32;
    let command = Command::Restored { cluster: config.cluster_id.clone(), at: from };
    let entry = Entry { now_ms: state.now_ms(), wall_ms: wall_ms(), command };
    let first = Pos { index: last.index + 1, ..last };
    let options = WalOptions { dir: log_dir.clone(), salt, segment_bytes: config.segment_bytes, fresh: true };
    begin_log(options, config.server_id, last, (first, entry))
        .map_err(|error| StartError::io("write the log in", &log_dir, error))?;
    Ok((Restored { cluster: config.cluster_id.clone(), from, index: first.index, tokens }, salt))
}

fn only_member(config: &ConsensusConfig, at: Pos) -> Result<StoredMembership, StartError> {
    let voters = vec![BTreeSet::from([config.server_id])];
    let members = Membership::new(voters, BTreeMap::from([(config.server_id, BasicNode::default())]));
    let members = members.map_err(|error| StartError::Raft(error.to_string()))?;
    Ok(StoredMembership::new(Some(log_id(at)), members))
}

/// A log that begins after `last` and has one entry, which is committed.
fn begin_log(options: WalOptions, server: u64, last: Pos, (pos, entry): (Pos, Entry)) -> io::Result<()> {
    let (wal, _) = Wal::open(Arc::new(RealDisk), options).map_err(io::Error::other)?;
    let (told, heard) = mpsc::channel();
    wal.save_vote(codec::encode_vote(&Vote::new(last.term, server)), Box::new(|_| {}));
    wal.purge(last);
    wal.set_committed(Some(pos));
    let done = Box::new(move |result| {
        let _ = told.send(result);
    });
    wal.append(vec![(pos, codec::encode_entry(&entry))], done);
    let written = heard.recv().map_err(io::Error::other)?;
    wal.close();
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alone, Consensus, owner_of};
    use taskyard_model::JobSpec;
    use taskyard_state::{State, Submit};
    use tempfile::TempDir;

    async fn start(dir: &Path, cluster: &str) -> Consensus {
        let config = ConsensusConfig::new(dir, cluster, 1);
        let consensus = Consensus::start(config, Arc::new(Alone), Box::new(())).await.expect("starts");
        let led = consensus.leadership().wait_for(Option::is_some).await.is_ok();
        assert!(led);
        consensus
    }

    fn submit() -> Command {
        let spec = JobSpec::command(vec!["true".into()]);
        Command::Submit(Box::new(Submit {
            spec,
            owner: "ann".into(),
            request_id: "once".into(),
            retry_of: None,
        }))
    }

    /// A file with the state of a cluster that has one job, and what was said about it.
    async fn saved(dir: &TempDir) -> (PathBuf, crate::SavedState) {
        let consensus = start(&dir.path().join("old"), "old").await;
        consensus.propose(submit()).await.expect("committed");
        let path = dir.path().join("state");
        let saved = consensus.save_state(&path).expect("saved");
        consensus.shutdown().await;
        (path, saved)
    }

    fn read(path: &Path) -> Result<Copied, StartError> {
        Copied::read("copy".as_ref(), || File::open(path))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_restored_directory_starts_with_the_same_state_far_above_the_old_log() {
        let dir = TempDir::new().expect("temporary directory");
        let (file, saved) = saved(&dir).await;
        let copied = read(&file).expect("reads");
        assert_eq!(
            (copied.index(), copied.term(), copied.wall_ms(), copied.digest(), copied.holds()),
            (saved.index, saved.term, saved.wall_ms, saved.digest, saved.holds)
        );
        assert_eq!(copied.holds(), taskyard_state::Holds { jobs: 1, tasks: 1, nodes: 0 });
        let new = dir.path().join("new");
        let restored = NewDir::claim(&new).expect("empty").fill(copied, 1).expect("restored");
        assert!(restored.index > saved.index + INDEX_GAP && restored.from == saved.index);
        assert_eq!(owner_of(&new).expect("read"), Some((restored.cluster.clone(), 1)));
        assert!(!new.join(RESTORING).exists());

        // What a start finds is the backup and one entry.
        let config = ConsensusConfig::new(&new, &restored.cluster, 1);
        let found = crate::start::open_for_test(&config).expect("opens");
        let (digest, wall_ms) = {
            let live = found.live.read();
            (live.state.digest(), live.state.wall_ms())
        };
        drop(found);
        let mut expected: State = read(&file).expect("reads").state;
        expected.skip(restored.index - 1);
        let command = Command::Restored { cluster: restored.cluster.clone(), at: saved.index };
        expected.apply(restored.index, &Entry { now_ms: expected.now_ms(), wall_ms, command });
        assert_eq!(digest, expected.digest());
        let offline = crate::offline_digest(&config, Some(restored.index)).expect("opens");
        assert_eq!(offline, (restored.index, digest));

        // It takes work, twice, and still knows what it was asked for before.
        for _ in 0..2 {
            let consensus = start(&new, &restored.cluster).await;
            let again = consensus.propose(submit()).await.expect("committed");
            assert!(again.index > restored.index);
            let duplicate = matches!(again.reply, taskyard_state::Reply::Submitted { duplicate: true, .. });
            assert!(duplicate, "{:?}", again.reply);
            consensus.shutdown().await;
        }
        let foreign =
            Consensus::start(ConsensusConfig::new(&new, "old", 1), Arc::new(Alone), Box::new(())).await.err();
        assert!(matches!(foreign, Some(StartError::Identity { field: "cluster", .. })), "{foreign:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_copy_that_is_damaged_anywhere_is_refused_by_name() {
        let dir = TempDir::new().expect("temporary directory");
        let (file, _) = saved(&dir).await;
        let bytes = std::fs::read(&file).expect("file");
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1 << (at % 8);
            for damaged in [&wrong[..], &bytes[..at]] {
                let error = Copied::read("the copy".as_ref(), || Ok(damaged)).err().expect("refused");
                assert!(error.to_string().contains("the copy"), "{error}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn only_an_empty_directory_is_taken_and_a_restore_cut_short_leaves_nothing_that_starts() {
        let dir = TempDir::new().expect("temporary directory");
        let (file, _) = saved(&dir).await;
        let old = dir.path().join("old");
        let refused = NewDir::claim(&old).err().expect("refused").to_string();
        assert!(
            refused.contains("old is not empty") && refused.contains("name an empty directory"),
            "{refused}"
        );
        assert!(old.join("FORMAT").exists(), "nothing was touched");

        let new = dir.path().join("new");
        drop(NewDir::claim(&new).expect("empty"));
        assert!(!new.exists(), "nothing was begun");

        // One that failed half way: no server starts there, and it can be done again.
        let mut failed = NewDir::claim(&new).expect("empty");
        std::fs::write(failed.begin(), "half of a backup").expect("written");
        drop(failed);
        let names: Vec<_> =
            std::fs::read_dir(&new).expect("directory").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, [RESTORING]);
        drop(NewDir::claim(&new).expect("taken again"));
        let refused = crate::claim_dir(&new).expect_err("refused").to_string();
        assert!(refused.contains("run `taskyard backup restore` again"), "{refused}");
        NewDir::claim(&new).expect("taken again").fill(read(&file).expect("reads"), 1).expect("restored");
        crate::claim_dir(&new).expect("complete");
        std::fs::remove_dir_all(&new).expect("removed");

        // As a crash leaves it.
        let claimed = NewDir::claim(&new).expect("empty");
        let config = ConsensusConfig::new(&new, "next", 1);
        make(&config, read(&file).expect("reads")).expect("made");
        std::mem::forget(claimed);
        let refused = NewDir::claim(&new).err().expect("refused");
        assert!(matches!(refused, StartError::Locked { .. }), "{refused}");
        let copy = dir.path().join("copy");
        std::fs::rename(&new, &copy).expect("moved");
        std::fs::create_dir(&new).expect("directory");
        for name in [RESTORING, "wal", "snapshot"] {
            std::fs::rename(copy.join(name), new.join(name)).expect("moved");
        }
        let refused = Consensus::start(ConsensusConfig::new(&new, "next", 1), Arc::new(Alone), Box::new(()))
            .await
            .err();
        assert!(matches!(refused, Some(StartError::Damaged { .. })), "{refused:?}");
        std::fs::remove_file(new.join("LOCK")).expect("test file");
        let again = NewDir::claim(&new).expect("taken again");
        again.fill(read(&file).expect("reads"), 1).expect("restored");
    }
}
