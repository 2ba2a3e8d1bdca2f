//! Starting tasks on nodes that may not be able to, and what happens to what tasks write.

use crate::common::daemon::{Cluster, ServerOptions};
use crate::common::desk::Desk;
use crate::common::{SOON, cli, eventually};
use std::fs;
use std::io::Read;
use std::process::Stdio;

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
