//! Lives of agents, as a user sees them: an identity that is alive twice, agents that are told to stop, keepers that
//! hang, and what is told of how attempts ended.

use crate::common::daemon::{Agent, Cluster, ServerOptions, clean, copy_dir};
use crate::common::process::{Pid, Process, descendants, is_root};
use crate::common::{SOON, binary, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// As short as leases can be that are not lost on a loaded machine.
fn short_leases() -> ServerOptions {
    ServerOptions::default().args(["--lease", "6s", "--heartbeat", "1s"])
}

/// A task that says in `DIR/started` that it runs, and ends when `DIR/done` exists. With `stubborn` SIGTERM does not
/// end it.
fn waits_in(dir: &Path, stubborn: bool) -> Value {
    let trap = if stubborn { "trap '' TERM; " } else { "" };
    let script = format!(
        "{trap}cd {}; echo $TASKYARD_ATTEMPT >> started; until [ -e done ]; do sleep 0.05; done",
        dir.display()
    );
    json!({ "command": ["sh", "-c", script], "cpus": "1" })
}

fn runs(dir: &Path) -> usize {
    fs::read_to_string(dir.join("started")).unwrap_or_default().lines().count()
}

fn wait_runs(dir: &Path, count: usize, within: Duration) {
    eventually(&format!("attempt {count} runs"), within, || (runs(dir) >= count).then_some(()));
}

fn node(cluster: &Cluster, name: &str) -> Value {
    let nodes = cluster.server.http().get("/v1/nodes");
    nodes["items"].as_array().unwrap().iter().find(|node| node["name"] == name).cloned().unwrap()
}

fn wait_node(cluster: &Cluster, name: &str, state: &str, within: Duration) -> Value {
    eventually(&format!("{name} is {state}"), within, || {
        Some(node(cluster, name)).filter(|node| node["state"] == state)
    })
}

fn attempts(cluster: &Cluster, job: u64) -> Vec<Value> {
    let task = cluster.server.http().get(&format!("/v1/jobs/{job}/tasks/1"));
    task["attempts"].as_array().unwrap().clone()
}

/// The process that is the parent of the agent's tasks.
fn keeper(agent: &Agent) -> Pid {
    let is_keeper = |pid: &&Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.pid)).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("keeper")
    };
    let family = agent.process.descendants();
    *family.iter().rfind(is_keeper).unwrap_or_else(|| panic!("no keeper in {family:?}"))
}

/// A second agent on a copy of the first one's directory, on this machine or as if on another one.
fn start_copy(cluster: &Cluster, other_machine: bool) -> Process {
    let original = &cluster.agents[0];
    let (data, log) = (cluster.dir.path().join("copy"), cluster.dir.path().join("copy.log"));
    if !data.exists() {
        copy_dir(&original.dir, &data);
    }
    let mut command = match other_machine {
        false => Command::new(binary()),
        true => {
            let boot = cluster.dir.path().join("boot_id");
            fs::write(&boot, "12345678-1234-4234-8234-123456789abc\n").unwrap();
            let mount =
                format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"", boot.display());
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", &mount, "sh"]).arg(binary());
            command
        }
    };
    command
        .args(["agent", "--server", &cluster.server.url, "--name", "n1", "--cpus", "1", "--data-dir"])
        .arg(&data);
    Process::spawn("copy", clean(command, &data), &log)
}

fn wait_log(process: &Process, text: &str, within: Duration) {
    eventually(&format!("{text:?} in a log"), within, || process.log().contains(text).then_some(()));
}

#[test]
fn a_copy_of_a_data_directory_is_refused_until_the_first_agent_is_gone() {
    let mut cluster = Cluster::start(1, "1", short_leases());
    let dir = cluster.workplace("witness");
    let job = cluster.submit(waits_in(&dir, false));
    wait_runs(&dir, 1, SOON);
    let copy = start_copy(&cluster, false);
    wait_log(&copy, "an agent with this identity is alive", SOON);
    wait_log(&copy, "--data-dir", SOON);
    assert_eq!((runs(&dir), node(&cluster, "n1")["state"].as_str()), (1, Some("up")), "the first goes on");
    let keeper = keeper(&cluster.agents[0]);
    cluster.agents[0].process.kill9();
    keeper.signal(libc::SIGKILL);
    wait_log(&copy, "session open", SOON);
    wait_runs(&dir, 2, SOON);
    fs::write(dir.join("done"), "").unwrap();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    assert_eq!(attempts(&cluster, job).len(), 2);
}

#[test]
fn two_machines_with_one_identity_are_quarantined_until_one_is_left() {
    if !is_root() {
        return println!("not examined: only root can pretend to be another machine");
    }
    let cluster = Cluster::start(1, "2", short_leases());
    let dir = cluster.workplace("witness");
    let job = cluster.submit(waits_in(&dir, false));
    wait_runs(&dir, 1, SOON);
    let mut copy = start_copy(&cluster, true);
    wait_log(&copy, "an agent with this identity is alive", SOON);
    let shown = wait_node(&cluster, "n1", "quarantined", SOON);
    assert!(shown["reason"].as_str().unwrap().contains("data directory"), "{shown}");
    let waiting = cluster.submit(json!({ "command": ["true"] }));
    let why = cluster.server.http().get(&format!("/v1/jobs/{waiting}/explain"));
    assert!(why.to_string().contains("two machines run agents with this node's identity"), "{why}");
    assert_eq!(runs(&dir), 1, "nothing is given away early");
    // One of them is stopped: the other goes on by itself, with what it runs.
    copy.stop();
    wait_node(&cluster, "n1", "up", SOON);
    assert_eq!(cluster.wait(waiting)["state"], "succeeded");
    fs::write(dir.join("done"), "").unwrap();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    assert_eq!(attempts(&cluster, job).len(), 1);
}

#[test]
fn a_stopping_agent_gets_no_work_and_gives_back_what_never_started() {
    let mut cluster = Cluster::start(1, "2", short_leases());
    let dir = cluster.workplace("witness");
    let mut slow = waits_in(&dir, true);
    slow["grace"] = json!("60s");
    slow["cpus"] = json!("2");
    let slow = cluster.submit(slow);
    wait_runs(&dir, 1, SOON);
    cluster.add_agent("n2", &["--cpus", "1"]);
    cluster.wait_nodes(2);
    let pid = cluster.agents[0].process.pid();
    crate::common::process::signal(pid, libc::SIGTERM);
    // More than fits: before the server hears of it, some would go to n1 as it becomes free.
    let spec = json!({ "command": ["true"], "on_agent_lost": "fail" });
    let jobs: Vec<u64> = (0..6).map(|_| cluster.submit(spec.clone())).collect();
    wait_node(&cluster, "n1", "not_ready", SOON);
    for job in jobs {
        assert_eq!(cluster.wait(job)["state"], "succeeded", "{:?}", attempts(&cluster, job));
        let nodes: Vec<Value> = attempts(&cluster, job).iter().map(|a| a["node"].clone()).collect();
        assert_eq!(nodes, ["n2"]);
    }
    // Told again, it does not wait for the grace.
    assert!(cluster.agents[0].process.ended().is_none(), "its task has a grace of a minute");
    crate::common::process::signal(pid, libc::SIGTERM);
    let asked = Instant::now();
    cluster.agents[0].process.wait(SOON);
    let ended = attempts(&cluster, slow)[0].clone();
    assert_eq!((&ended["outcome"], &ended["signal"]), (&json!("agent_stopped"), &json!(9)), "{ended}");
    wait_node(&cluster, "n1", "down", SOON);
    println!("the agent ended {:?} after it was told again", asked.elapsed());
}

#[test]
fn tasks_of_a_draining_agent_may_end_by_themselves() {
    let mut cluster = Cluster::start(0, "1", short_leases());
    cluster.add_agent("n1", &["--cpus", "1", "--drain", "1m"]);
    cluster.wait_nodes(1);
    let dir = cluster.workplace("witness");
    let job = cluster.submit(waits_in(&dir, false));
    wait_runs(&dir, 1, SOON);
    crate::common::process::signal(cluster.agents[0].process.pid(), libc::SIGTERM);
    wait_node(&cluster, "n1", "not_ready", SOON);
    fs::write(dir.join("done"), "").unwrap();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    assert!(cluster.agents[0].process.wait(SOON).success());
}

#[test]
fn a_node_whose_keeper_hangs_takes_no_work_until_it_answers() {
    let mut cluster = Cluster::start(1, "2", short_leases());
    let dir = cluster.workplace("witness");
    let job = cluster.submit(waits_in(&dir, false));
    wait_runs(&dir, 1, SOON);
    let keeper = keeper(&cluster.agents[0]);
    keeper.signal(libc::SIGSTOP);
    let stopped = Instant::now();
    let shown = wait_node(&cluster, "n1", "not_ready", Duration::from_secs(12));
    let noticed = stopped.elapsed();
    assert!(shown["reason"].as_str().unwrap().contains("keeper does not respond"), "{shown}");
    let waiting = cluster.submit(json!({ "command": ["true"] }));
    let why = cluster.server.http().get(&format!("/v1/jobs/{waiting}/explain"));
    assert!(why.to_string().contains("keeper does not respond"), "{why}");
    cluster.add_agent("n2", &["--cpus", "1"]);
    assert_eq!(cluster.wait(waiting)["state"], "succeeded", "it runs elsewhere");
    keeper.signal(libc::SIGCONT);
    wait_node(&cluster, "n1", "up", SOON);
    fs::write(dir.join("done"), "").unwrap();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    assert_eq!(attempts(&cluster, job).len(), 1, "its task went on");
    println!("a keeper that hangs was noticed after {noticed:?}");
}

#[test]
fn what_runs_under_a_keeper_that_hangs_for_good_runs_again() {
    let mut cluster = Cluster::start(1, "1", short_leases());
    let dir = cluster.workplace("witness");
    let job = cluster.submit(waits_in(&dir, false));
    wait_runs(&dir, 1, SOON);
    let keeper = keeper(&cluster.agents[0]);
    let tasks = descendants(keeper.pid);
    keeper.signal(libc::SIGSTOP);
    wait_node(&cluster, "n1", "not_ready", SOON);
    cluster.add_agent("n2", &["--cpus", "1"]);
    wait_runs(&dir, 2, Duration::from_secs(60));
    assert!(!tasks.iter().any(|task| task.is_alive()), "both attempts ran at once");
    fs::write(dir.join("done"), "").unwrap();
    assert_eq!(cluster.wait(job)["state"], "succeeded");
    let outcomes: Vec<Value> = attempts(&cluster, job).iter().map(|a| a["outcome"].clone()).collect();
    assert_eq!(outcomes, ["keeper_lost", "succeeded"]);
    // When it answers at last, it is replaced.
    assert!(keeper.is_alive());
    keeper.signal(libc::SIGCONT);
    wait_node(&cluster, "n1", "up", SOON);
    assert!(!keeper.is_alive());
}

#[test]
fn ends_are_told_as_they_were() {
    let mut cluster = Cluster::start(1, "4", short_leases());
    // Every code that a shell or a user may take for a signal, then signals.
    let codes = cluster.submit(json!({ "command": ["sh", "-c", "exit $TASKYARD_TASK"], "array": "126-255" }));
    let signals = json!({ "command": ["sh", "-c", "kill -$TASKYARD_TASK $$"], "array": "1-15" });
    let signals = cluster.submit(signals);
    let mut http = cluster.server.http();
    for (job, first, last, outcome, field) in
        [(codes, 126, 255, "exited", "exit_code"), (signals, 1, 15, "signalled", "signal")]
    {
        cluster.wait(job);
        let tasks = http.get(&format!("/v1/jobs/{job}/tasks?limit=200"));
        let tasks = tasks["items"].as_array().unwrap();
        assert_eq!(tasks.len(), last - first + 1);
        for task in tasks {
            assert_eq!((&task["outcome"], &task[field]), (&json!(outcome), &task["task"]), "{task}");
            let other = if field == "signal" { "exit_code" } else { "signal" };
            assert!(task.get(other).is_none(), "{task}");
        }
    }
    // A task that ends by itself when it is asked to.
    let dir = cluster.workplace("witness");
    let script =
        format!("trap 'exit 143' TERM; echo >> {}/started; while :; do sleep 0.05; done", dir.display());
    let spec = json!({ "command": ["sh", "-c", script], "on_agent_lost": "fail" });
    let job = cluster.submit(spec.clone());
    wait_runs(&dir, 1, SOON);
    assert!(cluster.agents[0].process.stop().success());
    let end = &attempts(&cluster, job)[0];
    assert_eq!((&end["outcome"], &end["exit_code"]), (&json!("agent_stopped"), &json!(143)), "{end}");
    assert!(end.get("signal").is_none(), "{end}");

    // One whose machine dies: it ran until the agent was last heard of, or longer.
    cluster.agents[0].restart();
    let job = cluster.submit(spec);
    wait_runs(&dir, 2, SOON);
    let ran = Instant::now();
    let least = Duration::from_secs(2);
    eventually("it has run for a while", SOON, || (ran.elapsed() > least).then_some(()));
    let keeper = keeper(&cluster.agents[0]);
    cluster.agents[0].process.kill9();
    keeper.signal(libc::SIGKILL);
    cluster.wait(job);
    let end = &attempts(&cluster, job)[0];
    assert_eq!(end["outcome"], "agent_lost", "{end}");
    let (ran_ms, at_most) = (end["ran_ms"].as_u64().unwrap(), ran.elapsed().as_millis() as u64);
    assert!((500..at_most).contains(&ran_ms), "ran {ran_ms} ms of at most {at_most}: {end}");
    assert!(end.get("exit_code").is_none() && end.get("signal").is_none(), "nobody saw it: {end}");
}
