//! The manifest: what a backup is, small enough to read for a list. JSON, so that people can read it without this
//! program.

use crate::error::BackupError;
use serde::{Deserialize, Serialize};
use taskyard_consensus::{Copied, Holds};

/// Version of a backup: manifest and object.
pub(crate) const FORMAT: u64 = 1;
/// Ends of names: of the object, and of the manifest.
pub(crate) const OBJECT: &str = ".state.zst";
pub(crate) const MANIFEST: &str = ".json";

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of manifest and object.
    pub format: u64,
    /// Name of the backup: `TIME-INDEX-CLUSTER`.
    pub name: String,
    pub cluster: String,
    /// Log index of the state.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// Wall clock at that entry, milliseconds since 1970.
    pub state_at_ms: u64,
    /// Fingerprint of the state, as `taskyard status --digest` shows it.
    pub digest: String,
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
    /// Nodes ever registered.
    pub nodes: u64,
    /// Wall clock when it was made.
    pub made_at_ms: u64,
    /// Length of the object.
    pub bytes: u64,
    /// Length of what is compressed in it.
    pub state_bytes: u64,
    /// Of the object.
    pub sha256: String,
    /// The program that wrote it.
    pub version: String,
}

impl Manifest {
    pub(crate) fn object(&self) -> String {
        object_of(&self.name)
    }

    /// Reads a manifest that stands in the store as `object`, for the backup `name`.
    pub(crate) fn parse(object: &str, name: &str, bytes: &[u8]) -> Result<Manifest, BackupError> {
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let unreadable = |error: serde_json::Error| {
            BackupError::damaged(object, format!("this is not a manifest of a backup: {error}"))
        };
        let Version { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(BackupError::Version { object: object.to_owned(), found: format, supported: FORMAT });
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(unreadable)?;
        let says = name_of(manifest.made_at_ms, manifest.index, &manifest.cluster);
        if manifest.name != name || says != name {
            return Err(BackupError::damaged(object, format!("it is the manifest of {says}, not of {name}")));
        }
        Ok(manifest)
    }

    /// Whether the state is the one that the manifest tells of.
    pub(crate) fn compare(&self, object: &str, copied: &Copied) -> Result<(), BackupError> {
        let Holds { jobs, tasks, nodes } = copied.holds();
        let facts = [
            ("index", self.index.to_string(), copied.index().to_string()),
            ("term", self.term.to_string(), copied.term().to_string()),
            ("digest", self.digest.clone(), digest(copied.digest())),
            ("time", self.state_at_ms.to_string(), copied.wall_ms().to_string()),
            ("number of jobs", self.jobs.to_string(), jobs.to_string()),
            ("number of tasks", self.tasks.to_string(), tasks.to_string()),
            ("number of nodes", self.nodes.to_string(), nodes.to_string()),
        ];
        match facts.into_iter().find(|(_, said, found)| said != found) {
            None => Ok(()),
            Some((what, said, found)) => Err(BackupError::damaged(
                object,
                format!("its manifest says {what} {said}, the state has {found}"),
            )),
        }
    }
}

pub(crate) fn digest(digest: u64) -> String {
    format!("{digest:016x}")
}

/// Name of a backup. Names sort by time, and by index within a second; the cluster makes them differ where several
/// share a store.
pub(crate) fn name_of(made_at_ms: u64, index: u64, cluster: &str) -> String {
    let second = i64::try_from(made_at_ms / 1_000).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let cluster: String = cluster.chars().map(plain).collect();
    format!("{}-{index:016}-{cluster}", at.strftime("%Y%m%dT%H%M%SZ"))
}

/// Cluster and time of a name, if it is one of ours.
pub(crate) fn parts_of(name: &str) -> Option<(&str, &str)> {
    let (at, rest) = name.split_once('-')?;
    let (index, cluster) = rest.split_once('-')?;
    let ours = at.len() == 16 && index.len() >= 16 && index.bytes().all(|b| b.is_ascii_digit());
    ours.then_some((at, cluster))
}

pub(crate) fn object_of(name: &str) -> String {
    format!("{name}{OBJECT}")
}

pub(crate) fn manifest_of(name: &str) -> String {
    format!("{name}{MANIFEST}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_by_time_and_index() {
        let names = [(5_000, 9, "b"), (5_999, 10, "a"), (6_000, 1, "a"), (1_800_000_000_000, 1, "a/b")];
        let names = names.map(|(at, index, cluster)| name_of(at, index, cluster));
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(names[0], "19700101T000005Z-0000000000000009-b");
        assert_eq!(parts_of(&names[3]), Some(("20270115T080000Z", "a-b")));
        assert_eq!(parts_of("notes"), None);
    }

    #[test]
    fn what_is_no_manifest_of_this_backup_is_refused() {
        let manifest = Manifest {
            format: FORMAT,
            name: name_of(5_000, 9, "c"),
            cluster: "c".into(),
            index: 9,
            term: 1,
            state_at_ms: 4_000,
            digest: digest(7),
            jobs: 0,
            tasks: 0,
            nodes: 0,
            made_at_ms: 5_000,
            bytes: 1,
            state_bytes: 1,
            sha256: String::new(),
            version: "1".into(),
        };
        let check = |text: String, part: &str| {
            let read = Manifest::parse("/b/x.json", &manifest.name, text.as_bytes());
            let error = read.map_or_else(|e| e.to_string(), |_| "fine".into());
            assert!(error.contains(part) && (part == "fine" || error.contains("/b/x.json")), "{error}");
        };
        let text = serde_json::to_string(&manifest).unwrap();
        check(text.clone(), "fine");
        check(text.replace("\"format\":1", "\"format\":2,\"more\":[]"), "has format 2");
        check(text.replace("\"index\":9", "\"index\":8"), "not of 19700101T000005Z");
        check(text.replace("\"term\":1", "\"term\":\"1\""), "not a manifest");
        check(text[..50].to_owned(), "not a manifest");
    }
}
