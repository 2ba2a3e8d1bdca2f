//! Starting tasks on nodes that may not be able to, and what happens to what tasks write.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::damage::{flip, truncate};
use crate::common::desk::Desk;
use crate::common::process::{is_root, signal};
use crate::common::tmpfs::Tmpfs;
use crate::common::{SOON, cli, eventually};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::process::Stdio;

/// Sets how many files the keeper of an agent may have open.
fn set_files(cluster: &Cluster, agent: usize, files: Option<u64>) {
    let keeper = fs::read_to_string(cluster.agents[agent].dir.join("keeper.lock")).unwrap();
    let limit = Rlimit { current: files, maximum: getrlimit(Resource::Nofile).maximum };
    prlimit(Pid::from_raw(keeper.parse().unwrap()), Resource::Nofile, limit).unwrap();
}

/// What the API says of a node.
fn node(desk: &Desk, name: &str) -> Value {
    let nodes = desk.run(&["nodes", "--output", "json"]).code(0).json();
    let nodes = nodes.as_array().unwrap().clone();
    nodes.into_iter().find(|node| node["name"] == name).unwrap()
}

#[test]
fn a_node_that_cannot_start_tasks_takes_itself_out_and_comes_back() {
    let mut cluster = Cluster::start(1, "4", ServerOptions::default());
    cluster.add_agent("bad", &["--cpus", "16", "--label", "spot=bad"]);
    cluster.wait_nodes(2);
    let mut desk = Desk::at(cluster);
    set_files(&desk.cluster, 1, Some(8));
    // Only that node may take it, so that it surely tries.
    let waiting = desk.submit(&["--constraint", "spot == bad", "--", "true"]);
    let reason = |desk: &Desk| node(desk, "bad")["reason"].as_str().unwrap_or_default().to_owned();
    eventually("the reason", SOON, || reason(&desk).contains("EMFILE").then_some(()));
    let job = desk.submit(&["--array", "1-40", "--", "true"]);
    desk.run(&["wait", &job]).code(0);
    let shown = desk.show(&job);
    assert_eq!((&shown["state"], &shown["tasks"]["failed"]), (&"succeeded".into(), &0.into()), "{shown}");
    // Before, it waits out the pause after its first try.
    let why = || desk.run(&["explain", &waiting]).code(0).stdout;
    eventually("the explanation", SOON, || why().contains("too many open files").then_some(()));
    set_files(&desk.cluster, 1, getrlimit(Resource::Nofile).current);
    desk.run(&["wait", &waiting]).code(0);
    eventually("the node is up", SOON, || (node(&desk, "bad")["state"] == "up").then_some(()));
    desk.cluster.agents.clear();
}

/// Other files fill the disk of an agent. Its tasks run on, and what they could not write is told.
#[test]
fn a_node_whose_disk_is_full_says_so_and_comes_back() {
    if !is_root() {
        println!("SKIPPED, NOT PASSED: needs root to mount a small file system");
        return;
    }
    let mut cluster = Cluster::start(0, "1", ServerOptions::default());
    let disk = Tmpfs::mount(&cluster.dir.path().join("n1"), 16);
    cluster.add_agent("n1", &["--cpus", "2"]);
    cluster.wait_nodes(1);
    let mut desk = Desk::at(cluster);
    let before = desk.submit(&["--", "echo", "before"]);
    desk.run(&["wait", &before]).code(0);
    let flag = desk.home.join("full");
    let script = format!("until [ -e {} ]; do sleep 0.02; done; echo lost; exit 0", flag.display());
    let running = desk.submit(&["--", "sh", "-c", &script]);
    desk.cluster.wait_task(running.parse().unwrap(), 1, "running");

    disk.fill();
    desk.write("full", "");
    desk.run(&["wait", &running]).code(0);
    let task = desk.run(&["tasks", &running, "--output", "json"]).code(0).json()[0].clone();
    assert_eq!((&task["outcome"], &task["output_incomplete"]), (&"succeeded".into(), &"disk_full".into()));
    let told = "output may be incomplete: the disk of node n1 was full (ENOSPC)";
    desk.run(&["logs", &running]).code(0).says(&[told]);
    let shown = desk.run(&["show", &format!("{running}.1")]).code(0).stdout;
    assert!(shown.contains(told), "{shown}");
    let table = desk.run(&["tasks", &running]).code(0).stdout;
    assert!(table.contains("exit 0, output incomplete"), "{table}");
    let reason = eventually("the reason", SOON, || node(&desk, "n1")["reason"].as_str().map(str::to_owned));
    assert!(reason.starts_with("disk full: ") && reason.contains(" bytes free"), "{reason}");
    let waiting = desk.submit(&["--", "echo", "after"]);
    assert!(desk.run(&["explain", &waiting]).code(0).stdout.contains("disk full"));
    assert_eq!(desk.run(&["logs", &before]).code(0).stdout, "before\n", "to remove it would not help");

    disk.free();
    desk.run(&["wait", &waiting]).code(0);
    assert_eq!(desk.run(&["logs", &waiting]).code(0).stdout, "after\n");
    eventually("the node is up", SOON, || (node(&desk, "n1")["state"] == "up").then_some(()));
    desk.cluster.agents.clear();
}

#[test]
fn damage_to_captured_output_is_told_and_the_rest_is_shown() {
    let mut desk = Desk::new("2");
    let job = desk.submit(&["--array", "1-3", "--", "sh", "-c", "echo out $TASKYARD_TASK"]);
    desk.run(&["wait", &job]).code(0);
    let dir = desk.cluster.agents[0].dir.join("jobs").join(&job);
    let lines = |desk: &Desk, place: &str| {
        let done = desk.run(&["logs", &job]).code(4).says(&[place, "output of 1 of 3 tasks is lost"]);
        assert_eq!(done.stdout.lines().count(), 2, "{done:?}");
        done.stderr
    };
    flip(&dir.join("output.data"), 0, 0);
    let said = lines(&desk, "output.data is damaged at offset 0");
    assert!(desk.cluster.agents[0].process.log().contains("output.data is damaged at offset 0"));
    let (_, task) = said.split_once(&format!("task {job}.")).unwrap();
    desk.run(&["logs", &format!("{job}.{}", &task[..1])]).code(4).says(&["is damaged at offset 0"]);
    flip(&dir.join("output.data"), 0, 0);
    desk.cluster.agents[0].process.stop();
    let index = desk.cluster.agents[0].dir.join("output-index").join(&job);
    truncate(&index, 64);
    desk.cluster.agents[0].restart();
    desk.cluster.wait_nodes(1);
    lines(&desk, "the index is damaged at offset 64");

    // A file of its own, which the index knows too: cut, deleted, and deleted with all of its job, before a restart and
    // after it.
    let job = desk.submit(&["--", "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' x | fold -w 80"]);
    desk.run(&["wait", &job]).code(0);
    let dir = desk.cluster.agents[0].dir.join("jobs").join(&job);
    let file = dir.join("0.1.out");
    let whole = fs::metadata(&file).unwrap().len();
    truncate(&file, 1_000);
    let said = format!("task {job}.1, attempt 1: node n1, jobs/{job}: {} of {whole} bytes", whole - 1_000);
    let done = desk.run(&["logs", &job]).code(4).says(&[&said, "are gone (deleted or cut): 0.1.out"]);
    assert_eq!(done.stdout.len(), 1_000, "what is left is shown");
    fs::remove_file(&file).unwrap();
    let said = format!("{whole} of {whole} bytes of its output are gone");
    desk.run(&["logs", &job]).code(4).says(&[&said]);
    desk.run(&["logs", "--follow", &job]).code(4).says(&[&said]);
    fs::remove_dir_all(&dir).unwrap();
    desk.cluster.agents[0].process.stop();
    desk.cluster.agents[0].restart();
    desk.cluster.wait_nodes(1);
    desk.run(&["logs", &job]).code(4).says(&[&said]);
}

#[test]
fn output_past_the_limit_is_dropped_in_the_middle() {
    let mut cluster = Cluster::start(0, "1", ServerOptions::default());
    cluster.add_agent("n1", &["--cpus", "2", "--output-limit", "64KiB"]);
    cluster.wait_nodes(1);
    let desk = Desk::at(cluster);
    let job = desk.submit(&["--", "sh", "-c", "seq 100000; echo the end"]);
    desk.run(&["wait", &job]).code(0);
    let logs = desk.run(&["logs", &job]).code(0).stdout;
    let written = (1..=100_000).map(|n| format!("{n}\n").len()).sum::<usize>() + "the end\n".len();
    assert!(logs.starts_with("1\n2\n3\n") && logs.ends_with("99999\n100000\nthe end\n"));
    // Whole blocks of the disk.
    let dropped = (written - (32 << 10)) / 4_096 * 4_096 - (32 << 10);
    let marker = format!("{dropped} bytes of output dropped here");
    assert!(logs.contains(&marker), "no {marker:?}");
    let task = desk.run(&["tasks", &job, "--output", "json"]).code(0).json()[0].clone();
    assert_eq!((&task["output_bytes"], &task["output_dropped_bytes"]), (&written.into(), &dropped.into()));
    let shown = desk.run(&["show", &format!("{job}.1")]).code(0).stdout;
    assert!(shown.contains("575.1KiB written, 508KiB of it dropped"), "{shown}");
    let table = desk.run(&["tasks", &job, "--columns", "task,output-dropped"]).code(0).stdout;
    assert!(table.contains("OUTPUT DROPPED") && table.contains("508KiB"), "{table}");
    let tail = desk.run(&["logs", "--tail", "2", &job]).code(0).stdout;
    assert_eq!(tail, "100000\nthe end\n");
    let disk: u64 = fs::read_dir(desk.cluster.agents[0].dir.join("jobs").join(&job))
        .unwrap()
        .map(|entry| std::os::unix::fs::MetadataExt::blocks(&entry.unwrap().metadata().unwrap()) * 512)
        .sum();
    assert!(disk < 128 << 10, "{disk} bytes of disk");
}

#[test]
fn a_run_whose_reader_is_lost_is_cancelled_unless_it_was_said_to_go_on() {
    let desk = Desk::new("2");
    let script = "echo first; exec sleep 100";
    for (detach, expected) in [(false, "cancelled"), (true, "running")] {
        let flags: &[&str] = if detach { &["run", "--detach-on-disconnect"] } else { &["run"] };
        let name = format!("detach-{detach}");
        let args: Vec<&str> =
            flags.iter().copied().chain(["--name", &name, "--", "sh", "-c", script]).collect();
        let mut command = cli::command(&desk.home, &desk.cluster.server.url, &args);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut first = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(&first, b"first\n");
        // As `head -1` does. The task writes nothing more.
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(141));
        let find = || {
            let jobs = desk.run(&["jobs", "--all", "--name", &name, "--output", "json"]).code(0).json();
            jobs[0]["state"].as_str().map(str::to_owned)
        };
        eventually(&format!("the job is {expected}"), SOON, || find().filter(|state| state == expected));
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error_and_ends_a_run() {
    let desk = Desk::new("2");
    let full = |args: &[&str]| {
        let mut command = cli::command(&desk.home, &desk.cluster.server.url, args);
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let done = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let args = ["run", "--name", "full", "--", "sh", "-c", "echo first; exec sleep 100"];
    let (code, said) = full(&args);
    assert!(code == Some(125) && said.contains("is cancelled") && said.contains("No space left"), "{said}");
    let cancelled = || {
        let jobs = desk.run(&["jobs", "full", "--output", "json"]).code(0).json();
        (jobs[0]["state"] == "cancelled").then_some(())
    };
    eventually("the job is cancelled", SOON, cancelled);
    for args in [&["jobs"][..], &["--help"], &["jobs", "--help"], &["man"]] {
        let (code, said) = full(args);
        assert!(code == Some(2) && said.contains("standard output: No space left"), "{args:?}: {said}");
    }
    let (code, said) = full(&["submit", "--", "true"]);
    assert!(code == Some(2) && said.contains("has taken effect") && said.contains("job 2"), "{said}");
    // Ctrl-\ is as Ctrl-C.
    let args = ["run", "--", "sh", "-c", "echo first; exec sleep 100"];
    let mut command = cli::command(&desk.home, &desk.cluster.server.url, &args);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    signal(child.id() as i32, libc::SIGQUIT);
    assert_eq!(child.wait().unwrap().code(), Some(143), "the task's end");
    assert_eq!(desk.state("3"), "cancelled");
}

#[test]
fn tasks_know_what_they_may_use_and_where_they_come_from() {
    let desk = Desk::new("2");
    let script = "echo $TASKYARD_JOB_NAME $TASKYARD_CPUS $TASKYARD_MEMORY_BYTES [$TASKYARD_GPUS] $TASKYARD_TASK_COUNT \
                  $TASKYARD_SUBMIT_DIR [$CUDA_VISIBLE_DEVICES]";
    let args =
        ["--name", "mine", "--cpus", "1.5", "--mem", "8MiB", "--array", "1-3", "--", "sh", "-c", script];
    let job = desk.submit(&args);
    desk.run(&["wait", &job]).code(0);
    let said = desk.run(&["logs", &format!("{job}.2")]).code(0).stdout;
    let home = desk.home.canonicalize().unwrap();
    assert_eq!(said, format!("mine 1.5 8388608 [] 3 {} [-1]\n", home.display()));
}

#[test]
fn the_zone_of_tz_holds_and_one_that_is_unknown_is_refused() {
    let desk = Desk::new("1");
    let begin = |zone: &str| {
        let args = ["submit", "--hold", "--parsable", "--begin", "2027-06-01 12:00", "--", "true"];
        let mut command = cli::command(&desk.home, &desk.cluster.server.url, &args);
        command.env("TZ", zone);
        cli::run_as(command, "taskyard submit --begin", "")
    };
    for zone in ["Europe/Berlin", ":Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"] {
        let job = begin(zone).code(0).id();
        assert_eq!(desk.show(&job.to_string())["begin_at_ms"], 1_811_844_000_000_u64, "{zone}");
    }
    begin("Mars/Olympus").code(2).says(&["TZ", "Mars/Olympus", "Europe/Berlin"]);
}
