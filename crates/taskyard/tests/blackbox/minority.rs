//! An agent that is cut off together with the old leader, which it goes on to talk to: the hard case for leases,
//! because nothing in their small world says that a majority elsewhere has given the work to somebody else.

use crate::common::netns::{Lost, Net};
use crate::common::netns_cluster::Apart;
use crate::common::{SOON, eventually, full};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

const ALL: [usize; 3] = [0, 1, 2];
/// So often an attempt must have been seen.
const TICKS: u64 = 10;
const LEASES: [&str; 4] = ["--lease", "6s", "--heartbeat", "1s"];

/// A task that writes its attempt, its node and the time, again and again, until it may end. All nodes are on one
/// machine, so one clock judges.
struct Witness {
    dir: PathBuf,
}

/// When an attempt was seen to live, first and last, in ns, and how often.
#[derive(Clone, Copy, Debug)]
struct Seen {
    first: u64,
    last: u64,
    ticks: u64,
}

impl Witness {
    fn new(cluster: &Apart, round: usize) -> Witness {
        let dir = cluster.path(&format!("witness-{round}"));
        std::fs::create_dir(&dir).unwrap();
        Witness { dir }
    }

    fn spec(&self) -> serde_json::Value {
        // It does not heed a request to end: only its lease can end it.
        let script = format!(
            "trap '' TERM; cd {}; until [ -e done ]; do echo $TASKYARD_ATTEMPT $TASKYARD_NODE $(date +%s%N) >> ticks; sleep 0.02; done",
            self.dir.display()
        );
        json!({ "command": ["sh", "-c", script], "cpus": "1" })
    }

    /// Each attempt that has been seen, and on which node.
    fn seen(&self) -> BTreeMap<(u32, String), Seen> {
        let mut seen: BTreeMap<(u32, String), Seen> = BTreeMap::new();
        let text = std::fs::read_to_string(self.dir.join("ticks")).unwrap_or_default();
        // A task that is killed may leave half a line.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            let [attempt, node, at] = words[..] else { panic!("{line:?}") };
            let at: u64 = at.parse().unwrap();
            let key = (attempt.parse().unwrap(), node.to_owned());
            let known = seen.entry(key).or_insert(Seen { first: at, last: at, ticks: 0 });
            (known.first, known.last, known.ticks) =
                (known.first.min(at), known.last.max(at), known.ticks + 1);
        }
        seen
    }

    /// Waits until it has been seen often enough on this node.
    fn until_on(&self, node: &str) {
        let is_there = |((_, on), seen): (&(u32, String), &Seen)| on == node && seen.ticks >= TICKS;
        eventually(&format!("it runs on {node}"), SOON, || self.seen().iter().any(is_there).then_some(()));
    }

    fn finish(&self) {
        std::fs::write(self.dir.join("done"), "").unwrap();
    }
}

/// N4, for I2, I3 and I12.
#[test]
fn a_task_with_the_old_leader_in_the_minority_is_dead_before_it_runs_elsewhere() {
    if !Net::is_possible() {
        return;
    }
    let mut cluster = Apart::start(3, 0, &LEASES);
    // On every host, so that whoever leads has one beside it.
    for host in ALL {
        let space = cluster.net.hosts[host].clone();
        cluster.add_agent(&beside(host), &space);
    }
    for round in 0..if full() { 10 } else { 1 } {
        cut_off_with_the_leader(&cluster, round);
    }
}

fn beside(host: usize) -> String {
    format!("beside-{}", host + 1)
}

fn cut_off_with_the_leader(cluster: &Apart, round: usize) {
    let (old, term) = cluster.leader(&ALL);
    let majority: Vec<usize> = ALL.into_iter().filter(|server| *server != old).collect();
    let here = beside(old);
    let set = |node: &str, what: &str| {
        cluster.http().must("POST", &format!("/v1/nodes/{node}/{what}"), None);
    };
    let others: Vec<String> =
        majority.iter().map(|server| beside(*server)).chain(["n1".to_owned()]).collect();
    others.iter().for_each(|node| set(node, "drain"));
    let witness = Witness::new(cluster, round);
    let body = json!({ "spec": witness.spec() });
    let job = cluster.http().must("POST", "/v1/jobs", Some(&body))["job"].as_u64().unwrap();
    witness.until_on(&here);
    set("n1", "resume");

    cluster.net.cut(old, Lost::Both, &majority);
    let cut = Instant::now();
    let over = cluster.until_written(&majority);
    let (new, next) = cluster.leader(&majority);
    assert!(new != old && next > term, "{new} leads in {next}, {old} did in {term}");
    witness.until_on("n1");
    let again = cut.elapsed();
    cluster.net.heal();
    let healed = Instant::now();
    // What was cut off is back, and has nothing to add to a task that goes on elsewhere.
    cluster.check_writes_again(&ALL, healed);
    others.iter().for_each(|node| set(node, "resume"));
    cluster.until_nodes_up(ALL.len() + 1);
    witness.finish();
    let path = format!("/v1/jobs/{job}");
    let mut http = cluster.http();
    eventually("the job ends", SOON, || (http.get(&path)["state"] == "succeeded").then_some(()));
    let task = http.get(&format!("{path}/tasks/1"));
    assert_eq!((&task["attempt"], &task["state"]), (&json!(2), &json!("succeeded")), "{task:#}");
    let gap = check_apart(&witness, &here);
    let index = cluster.check_digests(&ALL);
    println!(
        "minority: a write by the majority after {over:.2?}, the task runs elsewhere after {again:.2?}, {gap} ms after it was dead here; \
         digests equal at {index}"
    );
}

/// I2: the first attempt was dead before the second began. By how much, in ms.
fn check_apart(witness: &Witness, here: &str) -> u64 {
    let seen: Vec<_> = witness.seen().into_iter().collect();
    let [((1, first), before), ((2, second), after)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((first.as_str(), second.as_str()), (here, "n1"));
    assert!(before.ticks >= TICKS && after.ticks >= TICKS, "nothing was examined: {seen:?}");
    assert!(before.last < after.first, "two attempts lived at the same time: {seen:?}");
    (after.first - before.last) / 1_000_000
}
