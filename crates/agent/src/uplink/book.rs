//! Where the servers are: the addresses that the agent was started with, and those that servers have told it since. The
//! latter are kept in the data directory, so that an agent finds a cluster whose servers were all replaced meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use taskyard_datadir::{DirError, write_sealed};
use taskyard_model::limits::SERVERS_MAX;
use taskyard_wire::Servers;

/// An address longer than this is no address.
const URL_BYTES_MAX: usize = 512;
const FILE: &str = "servers";

/// See the module.
pub(crate) struct AddressBook {
    configured: Vec<String>,
    learned: Vec<String>,
    /// Log index at which the learned ones were the servers.
    as_of: u64,
    /// Numbers of the servers at these addresses, as they said in this life of the process.
    numbers: BTreeMap<String, u64>,
    /// Where the learned ones are kept.
    file: Option<PathBuf>,
    turn: usize,
}

impl AddressBook {
    /// Reads what was learned earlier, unless the agent was started with other addresses then: those may be of another
    /// cluster.
    pub(crate) fn open(data_dir: &Path, configured: &[String]) -> AddressBook {
        let mut book = AddressBook::new(configured);
        let file = data_dir.join(FILE);
        let text = taskyard_datadir::read_sealed(&file).unwrap_or_else(|error| {
            tracing::warn!(
                error = crate::error::chain(&error),
                "the servers are learned again from those that the agent was started with"
            );
            None
        });
        let text = text.unwrap_or_default();
        let of = |name: &str| -> Vec<String> {
            let lines = text.iter().filter_map(|line| line.split_once(' '));
            lines.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
        };
        if of("configured") == book.configured {
            book.learned = of("server");
            book.as_of = of("as_of").first().and_then(|index| index.parse().ok()).unwrap_or(0);
        }
        book.file = Some(file);
        book
    }

    /// A book that is not kept.
    pub(crate) fn new(configured: &[String]) -> AddressBook {
        let configured = configured.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
        AddressBook {
            configured,
            learned: Vec::new(),
            as_of: 0,
            numbers: BTreeMap::new(),
            file: None,
            turn: 0,
        }
    }

    /// Begins somewhere else than other agents do.
    pub(crate) fn shuffle(&mut self, unit: f64) {
        self.turn = (unit * self.all().len() as f64) as usize;
    }

    /// Takes what a server said. A follower may know less than was heard before; the leader of our session knows best.
    /// Answers whether it is news.
    pub(crate) fn learn(&mut self, url: &str, servers: &Servers, is_ours: bool) -> bool {
        self.numbers.insert(url.to_owned(), servers.from);
        if servers.all.is_empty() || !(is_ours || servers.as_of >= self.as_of) {
            return false;
        }
        self.as_of = servers.as_of;
        let usable = servers.all.iter().filter(|url| url.starts_with("http") && url.len() <= URL_BYTES_MAX);
        let learned: Vec<String> = usable.take(SERVERS_MAX).cloned().collect();
        if learned == self.learned {
            return false;
        }
        self.learned = learned;
        self.numbers.retain(|url, _| self.learned.contains(url) || self.configured.contains(url));
        if let Err(error) = self.keep() {
            tracing::warn!(%error, "the addresses of the servers cannot be kept");
        }
        true
    }

    fn keep(&self) -> Result<(), DirError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut lines = vec![format!("as_of {}", self.as_of)];
        lines.extend(self.configured.iter().map(|url| format!("configured {url}")));
        lines.extend(self.learned.iter().map(|url| format!("server {url}")));
        write_sealed(file, &lines.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// What was learned is newer than what was configured, so it comes first.
    pub(crate) fn all(&self) -> Vec<&str> {
        let configured = self.configured.iter().filter(|url| !self.learned.contains(url));
        self.learned.iter().chain(configured).map(String::as_str).collect()
    }

    /// The next address in turn, another than these if there is one.
    pub(crate) fn next(&mut self, but: &[&str]) -> String {
        let all = self.all();
        let turns = (self.turn..self.turn + all.len()).map(|turn| turn % all.len());
        let other = turns.clone().find(|turn| !but.contains(&all[*turn]));
        let turn = other.or(turns.clone().next()).unwrap_or(0);
        let next = all.get(turn).copied().unwrap_or_default().to_owned();
        self.turn = turn + 1;
        next
    }

    /// An address of a server that can stand by for a session at `url` with server `number` (0: not known).
    pub(crate) fn standby(&self, url: &str, number: u64, unit: f64) -> Option<String> {
        let same = |other: &str| other == url || number != 0 && self.numbers.get(other) == Some(&number);
        let others: Vec<&str> = self.all().into_iter().filter(|other| !same(other)).collect();
        let at = (unit * others.len() as f64) as usize;
        others.get(at).map(|url| (*url).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(from: u64, all: &[&str], as_of: u64) -> Servers {
        Servers { from, all: all.iter().map(|url| (*url).to_owned()).collect(), as_of, ..Servers::default() }
    }

    fn urls(list: &[&str]) -> Vec<String> {
        list.iter().map(|url| (*url).to_owned()).collect()
    }

    #[test]
    fn a_cluster_whose_servers_were_all_replaced_is_found_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = AddressBook::open(dir.path(), &urls(&["http://a/"]));
        assert_eq!(book.all(), ["http://a"]);
        assert!(book.learn("http://a", &told(1, &["http://a", "http://b"], 10), true));
        assert!(book.learn("http://b", &told(2, &["http://b", "http://c"], 20), false));
        assert!(!book.learn("http://a", &told(1, &["http://a", "http://b"], 10), false), "it is behind");
        let mut book = AddressBook::open(dir.path(), &urls(&["http://a"]));
        assert_eq!(book.all(), ["http://b", "http://c", "http://a"]);
        assert!(!book.learn("http://a", &told(1, &["http://a"], 19), false));
        assert!(book.learn("http://a", &told(1, &["http://a"], 19), true), "the leader knows best");
        std::fs::write(dir.path().join(FILE), "server http://z\n").unwrap();
        assert_eq!(AddressBook::open(dir.path(), &urls(&["http://a"])).all(), ["http://a"], "damaged");
        book.as_of = 0;
        book.learn("http://b", &told(2, &["http://b", "http://c"], 20), false);
        // Started for another cluster.
        assert_eq!(AddressBook::open(dir.path(), &urls(&["http://x"])).all(), ["http://x"]);
    }

    #[test]
    fn turns_go_round_and_what_is_no_address_is_left_out() {
        let mut book = AddressBook::new(&urls(&["http://a", "http://b", "http://c"]));
        let turns: Vec<String> = (0..4).map(|_| book.next(&[])).collect();
        assert_eq!(turns, ["http://a", "http://b", "http://c", "http://a"]);
        assert_eq!(book.next(&["http://b", "http://c"]), "http://a");
        assert_eq!(AddressBook::new(&urls(&["http://a"])).next(&["http://a"]), "http://a");
        let long = format!("http://{}", "x".repeat(URL_BYTES_MAX));
        let many: Vec<String> = (0..100).map(|n| format!("http://{n}")).collect();
        let mut all: Vec<&str> = vec!["", "file:///etc", &long];
        all.extend(many.iter().map(String::as_str));
        book.learn("http://a", &told(1, &all, 1), true);
        assert_eq!(book.learned.len(), SERVERS_MAX);
        assert_eq!(book.learned[0], "http://0");
    }

    #[test]
    fn another_server_stands_by() {
        let mut book = AddressBook::new(&urls(&["http://localhost:1", "http://127.0.0.1:1"]));
        assert!(book.standby("http://localhost:1", 1, 0.9).is_some());
        book.learn("http://127.0.0.1:1", &told(1, &["http://127.0.0.1:1"], 1), true);
        // Two names of one server.
        assert_eq!(book.standby("http://127.0.0.1:1", 1, 0.0), Some("http://localhost:1".into()));
        book.learn("http://localhost:1", &told(1, &[], 1), false);
        assert_eq!(book.standby("http://127.0.0.1:1", 1, 0.0), None);
        book.learn("http://127.0.0.1:1", &told(1, &["http://127.0.0.1:1", "http://127.0.0.1:2"], 5), true);
        for unit in [0.0, 0.5, 0.999] {
            assert_eq!(book.standby("http://127.0.0.1:1", 1, unit), Some("http://127.0.0.1:2".into()));
        }
    }
}
