//! Agents and keepers that die, and servers that are away: what runs is dead in time, runs again, or is not disturbed.

use crate::common::daemon::{Cluster, ServerOptions, User};
use crate::common::process::{Pid, descendants, is_root};
use crate::common::random::Random;
use crate::common::{SOON, eventually};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// D of the leases here. Much shorter ones end tasks between two renewals: a third of it is kept for stopping them.
const LEASE: Duration = Duration::from_secs(6);
/// D(1 + 1 %) + 2 s, and what a loaded machine takes to notice.
const LOST_BY: Duration = Duration::from_secs(20);

fn short_leases() -> ServerOptions {
    ServerOptions::default().args(["--lease", "6s", "--heartbeat", "1s"])
}

/// The same for servers and agents that are not root, as on a machine that somebody shares: process groups, no pid
/// namespace.
fn unprivileged() -> ServerOptions {
    ServerOptions { user: User::unprivileged(), ..short_leases() }
}

/// How the first agent says that it keeps its tasks together.
fn isolation(cluster: &Cluster) -> String {
    cluster.server.http().get("/v1/nodes")["items"][0]["isolation"].as_str().unwrap().to_owned()
}

/// A task that leaves its and a child's pid in files named after its attempt, and ends when `done` exists.
struct Witness {
    dir: PathBuf,
    /// Tells its processes from those of other tests.
    number: u64,
}

impl Witness {
    fn new(cluster: &Cluster) -> Witness {
        let dir = cluster.workplace("witness");
        Witness { dir, number: 10_000_000 + Random::fresh().below(90_000_000) }
    }

    /// Its child has no reason to end.
    fn spec_that_leaves_its_child(&self) -> serde_json::Value {
        let script = format!(
            "setsid sleep 10000.{}$TASKYARD_ATTEMPT & until [ $(ps -o sid= -p $!) = $! ]; do :; done",
            self.number
        );
        json!({ "command": ["sh", "-c", script], "cpus": "1" })
    }

    fn spec(&self) -> serde_json::Value {
        // The child is in a session of its own, as a daemon would be. Pids are those of the namespace, so a marker in
        // the arguments tells the processes from outside.
        let script = format!(
            "setsid sleep 10000.{}$TASKYARD_ATTEMPT & cd {}; echo $TASKYARD_NODE > started.$TASKYARD_ATTEMPT; \
             until [ -e done ]; do sleep 0.05; done; kill %1; echo end.$TASKYARD_ATTEMPT >> ended",
            self.number,
            self.dir.display()
        );
        json!({ "command": ["sh", "-c", script], "cpus": "1" })
    }

    /// Waits for the child of the first attempt.
    fn wait_child(&self) -> Vec<Pid> {
        eventually("the child is there", SOON, || Some(self.child()).filter(|child| !child.is_empty()))
    }

    /// The child of the first attempt.
    fn child(&self) -> Vec<Pid> {
        processes(&format!("sleep 10000.{}1", self.number))
    }

    /// Waits until the attempt runs; its node.
    fn started(&self, attempt: u32) -> String {
        let path = self.dir.join(format!("started.{attempt}"));
        eventually(&format!("attempt {attempt} starts"), SOON, || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.ends_with('\n'))
                .map(|text| text.trim().to_owned())
        })
    }

    /// Waits until an attempt after the first runs; its number and node.
    fn started_again(&self) -> (u32, String) {
        eventually("the task runs again", SOON, || {
            (2..10).find_map(|attempt| {
                let text = fs::read_to_string(self.dir.join(format!("started.{attempt}"))).ok()?;
                text.ends_with('\n').then(|| (attempt, text.trim().to_owned()))
            })
        })
    }

    fn finish(&self) {
        fs::write(self.dir.join("done"), "").unwrap();
    }
}

/// All processes with this text in their arguments.
fn processes(marker: &str) -> Vec<Pid> {
    let has = |pid: i32| {
        let line = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(marker)
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| has(*pid)).filter_map(Pid::of).filter(|pid| pid.is_alive()).collect()
}

/// The keeper of an agent: it runs on when its agent dies, until no task is left.
fn keeper(cluster: &Cluster, agent: usize) -> Pid {
    let family = cluster.agents[agent].process.descendants();
    let is_keeper = |pid: &&Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.pid)).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("keeper")
    };
    // As root there are two: the one that made the namespace, and the one in it, which is the parent of the tasks.
    *family.iter().rfind(is_keeper).unwrap_or_else(|| panic!("no keeper in {family:?}"))
}

#[test]
fn tasks_of_a_killed_agent_die_with_its_lease_and_run_elsewhere() {
    let cluster = Cluster::start(2, "1", short_leases());
    assert!(!is_root() || isolation(&cluster) == "pid-namespace");
    kill_an_agent(cluster);
}

#[test]
fn tasks_of_a_killed_agent_without_rights_die_with_its_lease_and_run_elsewhere() {
    let cluster = Cluster::start(2, "1", unprivileged());
    assert_eq!(isolation(&cluster), "process-group");
    kill_an_agent(cluster);
}

fn kill_an_agent(mut cluster: Cluster) {
    let witness = Witness::new(&cluster);
    let job = cluster.submit(witness.spec());
    let node = witness.started(1);
    let child = witness.wait_child();
    let agent = cluster.agents.iter().position(|agent| agent.name == node).unwrap();
    assert_eq!(child.len(), 1);
    let tasks: Vec<Pid> = cluster.agents[agent].process.descendants();
    assert!(tasks.len() >= 3, "keeper, task and child: {tasks:?}");
    let killed = Instant::now();
    cluster.agents[agent].process.kill9();
    let other = eventually("attempt 2 starts", SOON, || {
        let path = witness.dir.join("started.2");
        let node = fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))?;
        // At the very moment it runs, nothing of the first may.
        Some((node.trim().to_owned(), witness.child()))
    });
    assert!(other.1.is_empty(), "both attempts ran at once: {:?}", other.1);
    assert_ne!(other.0, node);
    let again = killed.elapsed();
    assert!(again >= LEASE - Duration::from_secs(1) && again < LOST_BY, "ran again after {again:?}");
    witness.finish();
    let detail = cluster.wait(job);
    assert_eq!(detail["state"], "succeeded", "{detail}");
    let task = cluster.server.http().get(&format!("/v1/jobs/{job}/tasks/1"));
    let outcomes: Vec<_> =
        task["attempts"].as_array().unwrap().iter().map(|a| a["outcome"].clone()).collect();
    assert_eq!(outcomes, ["agent_lost", "succeeded"], "{task}");
    assert_eq!(fs::read_to_string(witness.dir.join("ended")).unwrap(), "end.2\n");

    // It comes back as a new life, and takes work.
    cluster.agents[agent].restart();
    cluster.wait_nodes(2);
    let job = cluster.submit(json!({ "command": ["true"], "array": "1-20" }));
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    println!("agent killed: {} processes examined; ran again after {again:?}", tasks.len());
}

#[test]
fn an_agent_that_comes_back_at_once_reports_what_it_lost() {
    let mut cluster = Cluster::start(1, "1", short_leases());
    let witness = Witness::new(&cluster);
    let job = cluster.submit(witness.spec());
    witness.started(1);
    cluster.agents[0].process.kill9();
    cluster.agents[0].restart();
    let (attempt, _) = witness.started_again();
    assert!(witness.child().is_empty(), "the first attempt still runs");
    witness.finish();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    assert_eq!(fs::read_to_string(witness.dir.join("ended")).unwrap(), format!("end.{attempt}\n"));
}

#[test]
fn nothing_is_left_of_the_tasks_of_a_killed_keeper() {
    kill_a_keeper(&Cluster::start(1, "2", short_leases()));
}

#[test]
fn nothing_is_left_of_the_tasks_of_a_killed_keeper_without_rights() {
    kill_a_keeper(&Cluster::start(1, "2", unprivileged()));
}

/// Where a session's leader is outside the namespace, its number reads as 0.
#[test]
fn nothing_is_left_of_the_tasks_of_a_killed_keeper_in_a_container() {
    if is_root() {
        let cluster = Cluster::start(1, "2", ServerOptions { user: User::Contained, ..short_leases() });
        assert_eq!(isolation(&cluster), "process-group");
        kill_a_keeper(&cluster);
    }
}

/// A cancel reaches what a task started, and once a keeper has nothing to run, what escaped from its group is gone too.
#[test]
fn agents_without_rights_run_and_cancel_whole_tasks() {
    let cluster = Cluster::start(1, "2", unprivileged());
    assert_eq!(isolation(&cluster), "process-group");
    let who = cluster.submit(json!({ "command": ["id", "-u"] }));
    assert_eq!(cluster.wait(who)["state"], "succeeded");
    let uid: u32 = cluster.output(who, 1).trim().parse().unwrap();
    assert_ne!(uid, 0, "tasks run as who runs the agent");

    let witness = Witness::new(&cluster);
    let job = cluster.submit(witness.spec());
    witness.started(1);
    let child = witness.wait_child();
    let family = keeper(&cluster, 0);
    let tasks = descendants(family.pid);
    assert!(tasks.len() >= 2 && child.len() == 1, "a shell and its child: {tasks:?} {child:?}");
    cluster.server.http().must("POST", &format!("/v1/jobs/{job}/cancel"), None);
    assert_eq!(cluster.wait(job)["state"], "cancelled");
    eventually("nothing of it is left", SOON, || {
        (!tasks.iter().chain(&child).any(|pid| pid.is_alive())).then_some(())
    });
    assert!(family.is_alive(), "its keeper goes on");
    // One that ends on its own leaves nothing either.
    let witness = Witness { number: witness.number + 1, dir: cluster.workplace("again") };
    witness.finish();
    let job = cluster.submit(witness.spec_that_leaves_its_child());
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    eventually("its child is gone", SOON, || witness.child().is_empty().then_some(()));
    println!("without rights: user {uid}, {} processes cancelled", tasks.len());
}

fn kill_a_keeper(cluster: &Cluster) {
    let witness = Witness::new(cluster);
    let job = cluster.submit(witness.spec());
    witness.started(1);
    let child = witness.wait_child();
    let keeper = keeper(cluster, 0);
    keeper.signal(libc::SIGKILL);
    let killed = Instant::now();
    eventually("the tasks of the keeper are gone", LOST_BY, || {
        (!child.iter().any(|pid| pid.is_alive())).then_some(())
    });
    let gone = killed.elapsed();
    // The task runs again, under a new keeper.
    witness.started(2);
    assert!(witness.child().is_empty());
    witness.finish();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    println!("keeper killed: {} processes gone after {gone:?}", child.len());
}

#[test]
fn tasks_do_not_notice_a_server_that_is_away_for_less_than_a_lease() {
    let mut cluster = Cluster::start(1, "4", ServerOptions::default().args(["--lease", "15s"]));
    let witness = Witness::new(&cluster);
    let job = cluster.submit(witness.spec());
    let short = json!({ "command": ["sh", "-c", format!("until [ -e {}/short ]; do sleep 0.02; done; echo away", witness.dir.display())] });
    let short = cluster.submit(short);
    witness.started(1);
    witness.wait_child();
    cluster.wait_task(short, 1, "running");
    cluster.server.kill9();
    // One ends while nobody listens, the other when the server is back.
    fs::write(witness.dir.join("short"), "").unwrap();
    let family = cluster.agents[0].process.descendants();
    eventually("the short task ends", SOON, || {
        (family.iter().filter(|pid| pid.is_alive()).count() < family.len()).then_some(())
    });
    cluster.server.restart();
    let detail = cluster.wait(short);
    assert_eq!(detail["state"], "succeeded", "{detail}");
    assert_eq!(cluster.output(short, 1), "away\n");
    assert_eq!(witness.child().len(), 1, "the other task was disturbed");
    witness.finish();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    for job in [job, short] {
        let task = cluster.server.http().get(&format!("/v1/jobs/{job}/tasks/1"));
        assert_eq!(task["attempt"], 1, "{task}");
    }
}
