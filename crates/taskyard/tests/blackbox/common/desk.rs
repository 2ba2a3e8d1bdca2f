//! A user at a cluster: a home to work in, and the command line.

use super::cli::{self, Done};
use super::daemon::{Cluster, ServerOptions};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

pub(crate) struct Desk {
    pub(crate) cluster: Cluster,
    pub(crate) home: PathBuf,
}

impl Desk {
    /// At a cluster of one server and one node with `cpus`.
    pub(crate) fn new(cpus: &str) -> Desk {
        Desk::at(Cluster::start(1, cpus, ServerOptions::default()))
    }

    pub(crate) fn at(cluster: Cluster) -> Desk {
        let home = cluster.dir.path().join("home");
        fs::create_dir(&home).unwrap();
        Desk { cluster, home }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.input(args, "")
    }

    /// Runs a command with text on its standard input.
    pub(crate) fn input(&self, args: &[&str], stdin: &str) -> Done {
        cli::run(&self.home, &self.cluster.server.url, args, stdin)
    }

    /// Runs a line of words without spaces in them.
    pub(crate) fn types(&self, line: &str) -> Done {
        self.run(&line.split(' ').collect::<Vec<_>>())
    }

    /// Submits; the job's id.
    pub(crate) fn submit(&self, args: &[&str]) -> String {
        let all: Vec<&str> = ["submit", "--parsable"].iter().chain(args).copied().collect();
        self.run(&all).code(0).id().to_string()
    }

    pub(crate) fn show(&self, job: &str) -> Value {
        self.run(&["show", job, "--output", "json"]).code(0).json()
    }

    pub(crate) fn state(&self, job: &str) -> String {
        self.show(job)["state"].as_str().unwrap().to_owned()
    }

    /// Writes a file of the home; its name.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.home.join(name), text).unwrap();
        name.to_owned()
    }

    /// A file of the home; nothing if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home.join(name)).unwrap_or_default()
    }

    /// A task that runs until [`Desk::let_go`] says with which code it ends.
    pub(crate) fn until(&self, flag: &str) -> String {
        let path = self.home.join(flag);
        format!("while [ ! -s {0} ]; do sleep 0.02; done; exit $(cat {0})", path.display())
    }

    pub(crate) fn let_go(&self, flag: &str, code: u8) {
        let half = self.home.join(format!("{flag}.new"));
        fs::write(&half, code.to_string()).unwrap();
        fs::rename(half, self.home.join(flag)).unwrap();
    }

    /// Keeps every CPU busy until the returned guard is dropped.
    pub(crate) fn busy(&self, cpus: &str) -> Busy {
        let flag = self.home.join(format!("busy-{}", fs::read_dir(&self.home).unwrap().count()));
        fs::write(&flag, "").unwrap();
        let wait = format!("while [ -e {} ]; do sleep 0.02; done", flag.display());
        let job = self.submit(&["--cpus", cpus, "--name", "busy", "--", "sh", "-c", &wait]);
        self.cluster.wait_task(job.parse().unwrap(), 1, "running");
        Busy(flag)
    }
}

pub(crate) struct Busy(PathBuf);

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
