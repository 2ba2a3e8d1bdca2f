//! Backups in a directory, from a running server to a restored one, and everything that can be wrong with them.

use crate::manifest::{manifest_of, object_of};
use crate::{
    BackupError, BackupOrigin, Location, Manifest, S3Settings, Store, Watch, create, expired, latest, list,
    remove, restore, verify,
};
use std::path::Path;
use taskyard_consensus::{Consensus, ConsensusConfig};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    store: Store,
}

impl Place {
    fn new() -> Place {
        let dir = TempDir::new().unwrap();
        let location = Location::parse("to", dir.path().join("store").to_str().unwrap()).unwrap();
        let store = Store::open_to_write(&location, &S3Settings::default()).unwrap();
        Place { dir, store }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("store").join(name)
    }

    async fn create(&self, consensus: &Consensus, now_ms: u64) -> Manifest {
        let file = self.dir.path().join("state");
        let saved = consensus.save_state(&file).unwrap();
        let origin = BackupOrigin { cluster: "old".into(), version: "1".into(), now_ms };
        create(&self.store, &saved, &file, &origin, &Watch::default()).await.unwrap()
    }

    async fn verify(&self, name: &str) -> Result<Manifest, BackupError> {
        let checked = verify(&self.store, name, &self.dir.path().join("scratch"), &Watch::default()).await;
        assert!(!self.dir.path().join("scratch").exists());
        checked.map(|checked| checked.manifest)
    }
}

async fn start(dir: &Path, cluster: &str) -> Consensus {
    let consensus = Consensus::start(
        ConsensusConfig::new(dir, cluster, 1),
        std::sync::Arc::new(taskyard_consensus::Alone),
        Box::new(()),
    )
    .await
    .unwrap();
    assert!(consensus.leadership().wait_for(Option::is_some).await.is_ok());
    consensus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_is_listed_verified_restored_and_removed() {
    let place = Place::new();
    assert!(matches!(place.verify("latest").await, Err(BackupError::NotFound { .. })));
    let consensus = start(&place.dir.path().join("old"), "old").await;
    let first = place.create(&consensus, 1_000_000).await;
    consensus.read_barrier().await.unwrap();
    let second = place.create(&consensus, 2_000_000).await;
    consensus.shutdown().await;
    assert!(second.index > first.index && second.digest != first.digest);
    let left: Vec<_> = std::fs::read_dir(place.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "only the store and the data: {left:?}");
    use std::os::unix::fs::PermissionsExt;
    for name in [object_of(&first.name), manifest_of(&first.name)] {
        assert_eq!(std::fs::metadata(place.path(&name)).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let listed = list(&place.store).await.unwrap();
    assert_eq!(listed.iter().filter_map(|l| l.good()).collect::<Vec<_>>(), [&second, &first]);
    assert_eq!(place.verify("latest").await.unwrap(), second);
    assert_eq!(place.verify(&first.name).await.unwrap(), first);

    let new = place.dir.path().join("new");
    let rebuilt = restore(&place.store, &first.name, &new, 1, &Watch::default()).await.unwrap();
    assert_eq!((rebuilt.manifest, rebuilt.restored.from), (first.clone(), first.index));
    let again = start(&new, &rebuilt.restored.cluster).await;
    assert!(again.read(|state| state.index()) > rebuilt.restored.index);
    again.shutdown().await;
    let refused = restore(&place.store, "latest", &new, 1, &Watch::default()).await.unwrap_err();
    assert!(refused.to_string().contains("is not empty"), "{refused}");

    for name in expired(&listed, "old", 1) {
        remove(&place.store, &name).await.unwrap();
    }
    let listed = list(&place.store).await.unwrap();
    assert_eq!((listed.len(), latest(&listed)), (1, Some(&second)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_refused_naming_the_object_and_what_is_wrong() {
    let place = Place::new();
    let consensus = start(&place.dir.path().join("old"), "old").await;
    let good = place.create(&consensus, 1_000_000).await;
    let made = place.create(&consensus, 2_000_000).await;
    consensus.shutdown().await;
    let (object, manifest) = (object_of(&made.name), manifest_of(&made.name));
    let (object_bytes, manifest_bytes) =
        [&object, &manifest].map(|n| std::fs::read(place.path(n)).unwrap()).into();
    // What is wrong, the object that is named for it, what is said, and whether a list sees it too.
    let check = async |named: &str, says: &str, in_list: bool| {
        let error = place.verify(&made.name).await.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains(says), "{error}");
        let listed = list(&place.store).await.unwrap();
        assert_eq!(latest(&listed) == Some(&good), in_list, "{listed:?}");
        let new = place.dir.path().join("new");
        assert!(restore(&place.store, &made.name, &new, 1, &Watch::default()).await.is_err());
        let left: Vec<_> = std::fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["restore.tmp"], "a failed restore leaves the mark with which no server starts");
    };
    let mut seen = 0;
    for at in (0..object_bytes.len()).step_by(object_bytes.len() / 40) {
        let mut wrong = object_bytes.clone();
        wrong[at] ^= 1 << (at % 8);
        std::fs::write(place.path(&object), &wrong).unwrap();
        check(&object, "SHA-256", false).await;
        seen += 1;
    }
    assert!(seen > 30);
    std::fs::write(place.path(&object), &object_bytes[..object_bytes.len() - 1]).unwrap();
    check(&object, "bytes, its manifest says", true).await;
    std::fs::remove_file(place.path(&object)).unwrap();
    check(&object, "missing", true).await;
    std::fs::write(place.path(&object), &object_bytes).unwrap();

    std::fs::remove_file(place.path(&manifest)).unwrap();
    check(&manifest, "unfinished", true).await;
    let text = String::from_utf8(manifest_bytes.clone()).unwrap();
    let wrong = |from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        std::fs::write(place.path(&manifest), changed).unwrap();
    };
    wrong("\"format\": 1", "\"format\": 7");
    check(&manifest, "format 7", true).await;
    wrong(&made.digest, "0000000000000000");
    check(&object, "digest", false).await;
    wrong(&format!("\"term\": {}", made.term), "\"term\": 99");
    check(&object, "term 99", false).await;
    wrong(&format!("\"index\": {}", made.index), "\"index\": 99");
    check(&manifest, "not of", true).await;
    std::fs::write(place.path(&manifest), &manifest_bytes[..40]).unwrap();
    check(&manifest, "not a manifest", true).await;
    std::fs::write(place.path(&manifest), vec![b' '; 70_000]).unwrap();
    check(&manifest, "70000 bytes", true).await;
    std::fs::write(place.path(&manifest), &manifest_bytes).unwrap();
    assert_eq!(place.verify("latest").await.unwrap(), made);
}
