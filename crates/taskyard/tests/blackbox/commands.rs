//! The commands as a user meets them: exit codes, output, errors, and what a policy does.

use crate::common::cli::{self};
use crate::common::desk::Desk;
use crate::common::process::Pid;
use crate::common::{SOON, eventually};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// What a server answers to a client that sends its whole body, slowly, before it looks for an answer.
fn answer_to_slow(url: &str, bytes: usize) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = format!("POST /v1/jobs HTTP/1.1\r\nhost: {address}\r\ncontent-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    for piece in vec![b'x'; bytes].chunks(128 << 10) {
        stream.write_all(piece).unwrap_or_else(|error| panic!("the server does not listen: {error}"));
        std::thread::sleep(Duration::from_millis(5)); // sleep: a client that takes its time
    }
    let mut answer = [0; 64];
    let read = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn run_is_like_running_it_here() {
    let desk = Desk::new("4");
    let hello = desk.run(&["run", "--", "echo", "hello  world", "$HOME"]).code(0);
    assert_eq!(hello.stdout, "hello  world $HOME\n", "no shell reads the arguments");
    let both = desk.run(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).code(7);
    assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("out\n", "err\n"));
    desk.run(&["run", "--", "sh", "-c", "kill -9 $$"]).code(128 + 9);
    desk.run(&["run", "--", "sh", "-c", "kill -TERM $$"]).code(128 + 15);
    let says = |code: i32, args: &[&str], parts: &[&str]| drop(desk.run(args).code(code).says(parts));
    says(127, &["run", "--", "/no/such/program"], &["program not found: /no/such/program;", "on n1"]);
    says(127, &["run", "--", "no-such-program"], &["program not found: no-such-program;", "PATH"]);
    desk.write("not-executable", "x");
    says(126, &["run", "--", "./not-executable"], &["not executable: ./not-executable;", "chmod +x"]);
    let cwd = ["run", "--cwd", "/no/such/%{job}", "--", "true"];
    says(125, &cwd, &["directory not found: /no/such/", "--cwd none"]);
    let stdin = ["run", "--stdin", "/no/such/input", "--stdout", "out", "--", "true"];
    says(125, &stdin, &["file not found: /no/such/input (--stdin);"]);
    let array = ["run", "--array", "1-2", "--cwd", "/no/such/%{task}", "--", "true"];
    says(1, &array, &["2 failed", "directory not found: /no/such/1;"]);
    let wait = ["submit", "--wait", "--", "no-such-program"];
    says(1, &wait, &["failed", "program not found: no-such-program;"]);
    for target in ["last", "last.1"] {
        let shown = desk.run(&["show", target]).code(0).stdout;
        assert!(shown.contains("program not found: no-such-program;"), "{shown}");
    }

    // Its node may learn that there is nothing to follow only when the following has begun.
    for _ in 0..10 {
        desk.run(&["run", "--stdout", "out", "--stderr", "out", "--", "echo", "out"]).code(0);
    }
    assert_eq!(desk.read("out"), "out\n".repeat(10));

    let long = desk.run(&["run", "--", "seq", "1", "200000"]).code(0);
    let expected: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    assert!(long.stdout == expected, "{} bytes of {}", long.stdout.len(), expected.len());
    let echoed = desk.input(&["run", "--stdin", "-", "--", "cat"], "line 1\nline 2, no end").code(0);
    assert_eq!(echoed.stdout, "line 1\nline 2, no end");
    let here = desk.run(&["run", "--", "pwd"]).code(0);
    assert_eq!(Path::new(here.stdout.trim()), desk.home.canonicalize().unwrap());

    let tasks = desk.run(&["run", "--array", "2-6:2", "--", "sh", "-c", "echo task $TASKYARD_TASK"]).code(0);
    assert_eq!(sorted(&tasks.stdout), ["2| task 2", "4| task 4", "6| task 6"]);
    desk.run(&["run", "--array", "1-3", "--", "sh", "-c", "[ $TASKYARD_TASK != 2 ]"]).code(1);
}

#[test]
fn tasks_see_what_they_are_told_and_nothing_else() {
    let desk = Desk::new("4");
    let env = desk.run(&["run", "--array", "5-9:2", "--env", "GREETING=hi there", "--", "env"]).code(0);
    let of_seven: Vec<&str> = env.stdout.lines().filter_map(|line| line.strip_prefix("7| ")).collect();
    let value = |name: &str| {
        let line = of_seven.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is not set: {of_seven:?}"))
    };
    let job = desk.run(&["jobs", "--output", "ids"]).code(0);
    assert_eq!(value("TASKYARD_JOB"), job.stdout.trim());
    assert_eq!((value("TASKYARD_TASK"), value("TASKYARD_ATTEMPT"), value("TASKYARD_NODE")), ("7", "1", "n1"));
    assert_eq!(value("GREETING"), "hi there");
    assert!(value("TASKYARD_FENCE").parse::<u64>().unwrap() > 0);
    assert!(value("TASKYARD_TASK_DIR").starts_with('/'));
    // The tests run under cargo, which sets many of these.
    assert!(std::env::vars().any(|(name, _)| name.starts_with("CARGO")));
    assert!(!env.stdout.contains("CARGO"), "the environment leaks: {}", env.stdout);
    let all = desk.run(&["run", "--env-all", "--", "env"]).code(0);
    assert!(all.stdout.contains("CARGO"), "{}", all.stdout);

    // What a script may write into its own directory is its own.
    let own = "echo $TASKYARD_TASK > file; sleep 0.05; cat file";
    let own = desk.run(&["run", "--cwd", "none", "--array", "1-4", "--", "sh", "-c", own]).code(0);
    assert_eq!(sorted(&own.stdout), ["1| 1", "2| 2", "3| 3", "4| 4"]);
}

#[test]
fn submit_takes_every_form_of_a_job() {
    let desk = Desk::new("4");
    let note = "echo $TASKYARD_TASK $TASKYARD_ENTRY >> notes";
    desk.run(&["submit", "--wait", "--array", "1-7:2%2", "--", "sh", "-c", note]).code(0);
    assert_eq!(sorted(&desk.read("notes")), ["1", "3", "5", "7"]);

    desk.write("notes", "");
    let lines = desk.write("lines.txt", "alpha\nbeta gamma\n");
    desk.run(&["submit", "--wait", "--each-line", &lines, "--", "sh", "-c", note]).code(0);
    assert_eq!(sorted(&desk.read("notes")), ["1 alpha", "2 beta gamma"]);
    desk.write("notes", "");
    desk.input(&["submit", "--wait", "--each-line", "-", "--", "sh", "-c", note], "one\n").code(0);
    assert_eq!(desk.read("notes"), "1 one\n");

    // The script is what it was at the submit, and its directives are options.
    let script = "#!/bin/sh\n#TASKYARD --name scripted --cpus 0.5\n#TASKYARD --array 1-2\necho $TASKYARD_TASK $@ >> notes\n";
    desk.write("notes", "");
    desk.write("job.sh", script);
    let id = desk.submit(&["--hold", "job.sh", "--", "--flag", "value"]);
    desk.write("job.sh", "#!/bin/sh\necho CHANGED >> notes\n");
    desk.run(&["release", &id]).code(0);
    desk.run(&["wait", &id]).code(0);
    assert_eq!(sorted(&desk.read("notes")), ["1 --flag value", "2 --flag value"]);
    let shown = desk.run(&["show", &id, "--output", "json"]).code(0).json();
    assert_eq!((&shown["name"], &shown["spec"]["cpus"]), (&"scripted".into(), &"0.5".into()), "{shown}");
    desk.write("notes", "");
    desk.input(&["submit", "--wait", "-"], script).code(0);
    assert_eq!(sorted(&desk.read("notes")), ["1", "2"]);

    desk.write("notes", "");
    let toml =
        "command = [\"sh\", \"-c\", \"echo toml $WORD >> notes\"]\nname = \"filed\"\n[env]\nWORD = \"x\"\n";
    desk.write("job.toml", toml);
    desk.run(&["submit", "--wait", "job.toml", "--cwd", ".", "--env", "WORD=y"]).code(0);
    desk.write("job.json", r#"{"command": ["sh", "-c", "echo json >> notes"]}"#);
    desk.run(&["submit", "--wait", "--cwd", ".", "job.json"]).code(0);
    assert_eq!(desk.read("notes"), "toml y\njson\n", "an option wins over the file");

    let to = ["--stdout", "out-%{job}-%{task}-%{attempt}-%{node}.txt", "--array", "1-2"];
    let id = desk.submit(&[&to[..], &["--", "sh", "-c", "echo to a file"]].concat());
    desk.run(&["wait", &id]).code(0);
    assert_eq!(desk.read(&format!("out-{id}-2-1-n1.txt")), "to a file\n");

    let twice = ["submit", "--parsable", "--request-id", "once", "--", "sh", "-c", "echo once >> notes"];
    let first = desk.run(&twice).code(0).id();
    assert_eq!(desk.run(&twice).code(0).id(), first);
    let other = ["submit", "--parsable", "--request-id", "once", "--array", "1-2", "--", "true"];
    desk.run(&other).code(2).says(&["request id", "once"]);
}

#[test]
fn jobs_are_watched_and_steered() {
    let desk = Desk::new("2");
    let busy = desk.busy("2");
    let id = desk.submit(&["--name", "waiting", "--array", "1-4", "--", "sh", "-c", "echo n$TASKYARD_TASK"]);
    let explain = desk.run(&["explain", &id]).code(0);
    assert!(explain.stdout.contains("0 CPUs free"), "{explain:?}");
    let explain = desk.run(&["explain", &format!("{id}.3"), "--output", "json"]).code(0).json();
    assert!(explain["sentence"].is_string(), "{explain}");
    desk.run(&["wait", &id, "--timeout", "100ms"]).code(6);
    let updated = desk.run(&["update", &id, "--priority", "7", "--max-running", "1"]);
    updated.code(0).says(&["priority 7 has no effect", "fcfs"]);
    let shown = desk.run(&["show", &id, "--output", "json"]).code(0).json();
    assert_eq!((&shown["priority"], &shown["spec"]["max_running"]), (&7.into(), &1.into()), "{shown}");
    desk.run(&["hold", &id]).code(0);
    let held = desk.run(&["jobs", "--state", "held", "--output", "ids"]).code(0);
    assert_eq!(held.stdout.trim(), id);
    desk.run(&["cancel", &format!("{id}.4")]).code(0);
    drop(busy);
    desk.run(&["release", &id]).code(0);
    desk.run(&["wait", &id]).code(1);
    let tasks = desk.run(&["tasks", &id, "--output", "jsonl"]).code(0);
    let states: Vec<String> = tasks
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(states, ["succeeded", "succeeded", "succeeded", "cancelled"]);
    assert_eq!(desk.run(&["logs", &format!("{id}.3")]).code(0).stdout, "n3\n");

    // Followed while it runs, across its end.
    let steps = "for i in 1 2 3; do echo step $i; echo err $i >&2; sleep 0.05; done";
    let id = desk.submit(&["--", "sh", "-c", steps]);
    assert_eq!(desk.run(&["logs", "-f", "last"]).code(0).stdout, "step 1\nstep 2\nstep 3\n");
    assert_eq!(desk.run(&["logs", "--stderr", "--tail", "1", &id]).code(0).stdout, "err 3\n");

    // A retry is a new job with the failed tasks under their numbers.
    let fail = "[ $TASKYARD_TASK != 2 ] || [ -e fixed ]";
    let id = desk.submit(&["--array", "1-3", "--", "sh", "-c", fail]);
    desk.run(&["wait", &id]).code(1);
    desk.write("fixed", "");
    let again = desk.run(&["retry", "--failed", "--parsable", &id]).code(0).id().to_string();
    assert_ne!(again, id);
    desk.run(&["wait", &again]).code(0);
    let shown = desk.run(&["show", &again]).code(0).stdout;
    assert!(shown.contains(&format!("retry of    job {id}\n")), "{shown}");
    let tasks = desk.run(&["tasks", &again, "--output", "json"]).code(0).stdout;
    assert!(tasks.contains("\"task\":2") || tasks.contains("\"task\": 2"), "{tasks}");

    let id = desk.submit(&["--", "sleep", "1000"]);
    desk.cluster.wait_task(id.parse().unwrap(), 1, "running");
    desk.run(&["cancel", &id]).code(0);
    desk.run(&["wait", &id]).code(1);
    let nodes = desk.run(&["nodes", "--output", "json"]).code(0).stdout;
    assert!(nodes.contains("\"n1\"") && nodes.contains("\"up\""), "{nodes}");
    desk.run(&["node", "drain", "n1"]).code(0);
    let id = desk.submit(&["--", "true"]);
    let explain = desk.run(&["explain", &id]).code(0);
    assert!(explain.stdout.contains("drain"), "{explain:?}");
    desk.run(&["node", "resume", "n1"]).code(0);
    desk.run(&["wait", &id]).code(0);
    assert!(desk.run(&["queues"]).code(0).stdout.contains("default"));
    assert!(
        desk.run(&["status"]).code(0).stdout.contains("n1")
            || desk.run(&["status"]).code(0).stdout.contains("node")
    );
}

/// Jobs that wait behind a busy node, each noting its name when it starts.
struct Race<'a>(&'a Desk);

impl Race<'_> {
    /// Submits jobs of these names and options while nothing can start, does `meanwhile`, and lets them run; the
    /// order in which they started.
    fn order(&self, jobs: &[(&str, &[&str])], meanwhile: impl FnOnce()) -> Vec<String> {
        let Race(desk) = self;
        let busy = desk.busy("1");
        desk.write("notes", "");
        for (name, options) in jobs {
            let note = format!("echo {name} >> notes");
            desk.submit(&[options, &["--", "sh", "-c", &note][..]].concat());
        }
        meanwhile();
        drop(busy);
        eventually("all jobs end", SOON, || {
            (desk.cluster.server.http().get("/v1/cluster")["jobs_active"] == 0).then_some(())
        });
        desk.read("notes").split_whitespace().map(str::to_owned).collect()
    }
}

#[test]
fn policies_decide_what_starts_next_and_change_while_jobs_wait() {
    let desk = Desk::new("1");
    let policy = |policy: &str| drop(desk.run(&["queue", "set", "default", "--policy", policy]).code(0));
    // Different requests, so that each is weighed by itself.
    let jobs: [(&str, &[&str]); 3] = [
        ("long", &["--estimate", "30s", "--priority", "5", "--cpus", "0.9"]),
        ("short", &["--estimate", "1s", "--priority", "1", "--cpus", "0.8"]),
        ("middle", &["--estimate", "10s", "--priority", "9", "--cpus", "0.7"]),
    ];
    for (name, expected) in [
        ("fcfs", ["long", "short", "middle"]),
        ("sjf", ["short", "middle", "long"]),
        ("priority", ["middle", "long", "short"]),
    ] {
        policy("fcfs");
        assert_eq!(Race(&desk).order(&jobs, || policy(name)), expected, "{name}");
    }
    policy("fcfs");
    desk.run(&["queue", "set", "urgent", "--tier", "10"]).code(0);
    let jobs: [(&str, &[&str]); 2] = [("normal", &[]), ("urgent", &["--queue", "urgent"])];
    assert_eq!(Race(&desk).order(&jobs, || ()), ["urgent", "normal"]);
}

/// Work sent ahead to a node starts there in the order of the queue's policy, not of the jobs' numbers.
#[test]
fn like_jobs_start_in_the_order_of_the_policy() {
    let desk = Desk::new("1");
    desk.run(&["queue", "set", "default", "--policy", "sjf"]).code(0);
    // Short tasks, of which some are sent ahead.
    desk.run(&["submit", "--wait", "--array", "1-50", "--", "true"]).code(0);
    for round in 1..=5 {
        let jobs: [(&str, &[&str]); 3] = [
            ("long", &["--estimate", "30s"]),
            ("short", &["--estimate", "1s"]),
            ("middle", &["--estimate", "10s"]),
        ];
        assert_eq!(Race(&desk).order(&jobs, || ()), ["short", "middle", "long"], "round {round}");
    }
}

#[test]
fn limits_of_a_job_are_kept() {
    let desk = Desk::new("8");
    // Each task notes how many are there at its start.
    let crowd =
        "mkdir here.$TASKYARD_TASK; ls -d here.* | wc -l >> crowd; sleep 0.05; rmdir here.$TASKYARD_TASK";
    desk.run(&["submit", "--wait", "--array", "1-12%2", "--cpus", "0.1", "--", "sh", "-c", crowd]).code(0);
    let crowd = desk.read("crowd");
    let most = crowd.lines().filter_map(|line| line.trim().parse::<u32>().ok()).max().unwrap();
    assert!(crowd.lines().count() == 12 && most == 2, "at most 2 at once, and 2: {crowd}");

    let args = ["submit", "--parsable", "--array", "1-50%1", "--max-fails", "2", "--", "sh", "-c", "exit 1"];
    let id = desk.run(&args).code(0).id().to_string();
    desk.run(&["wait", &id]).code(1);
    let counts = &desk.run(&["show", &id, "--output", "json"]).code(0).json()["tasks"];
    let failed = counts["failed"].as_u64().unwrap();
    assert!((3..10).contains(&failed) && counts["cancelled"] == 50 - failed, "{counts}");

    let tries = "echo x >> tries; [ $(wc -l < tries) -ge 3 ]";
    desk.run(&["submit", "--wait", "--retries", "5", "--backoff", "10ms", "--", "sh", "-c", tries]).code(0);
    assert_eq!(desk.read("tries").lines().count(), 3);

    // A back-off says when it ends, for the job and for its task.
    let id = desk.submit(&["--retries", "1", "--backoff", "1h", "--", "sh", "-c", "exit 7"]);
    desk.cluster.wait_task(id.parse().unwrap(), 1, "pending");
    eventually("the first try has failed", SOON, || {
        let said = desk.run(&["explain", &id]).code(0).stdout;
        said.contains("it failed, and is retried in 59m").then_some(())
    });
    let task = format!("{id}.1");
    let explained = desk.run(&["explain", &task, "--output", "json"]).code(0).json();
    assert_eq!(explained["reason"], "backoff", "{explained}");
    let left = explained["retry_in_ms"].as_u64().unwrap();
    assert!((3_000_000..3_600_000).contains(&left), "{left}");
    let shown = desk.run(&["show", &task]).code(0).stdout;
    assert!(shown.contains("retried in 59m"), "{shown}");
    desk.run(&["cancel", &id]).code(0);

    // How tasks failed is told by code.
    let ends = "[ $TASKYARD_TASK -gt 2 ] && kill -9 $$; exit $((TASKYARD_TASK % 2 * 3))";
    let failed = desk.run(&["submit", "--wait", "--array", "1-4", "--", "sh", "-c", ends]).code(1);
    failed.says(&["1 succeeded, 3 failed (2 signal 9 (KILL), 1 exit 3)"]);
    let shown = desk.run(&["show", "last"]).code(0).stdout;
    assert!(shown.contains("2× signal 9 (KILL)") && shown.contains("1× exit 3"), "{shown}");

    let slow = desk.run(&["run", "--time-limit", "200ms", "--", "sleep", "1000"]);
    slow.code(128 + 15);
    // It ignores the polite signal, as does a child of its own.
    let stubborn = "trap '' TERM; sleep 1000 & echo $! > child; echo $$ > pid; while :; do sleep 1; done";
    let args = ["run", "--time-limit", "300ms", "--grace", "200ms", "--", "sh", "-c", stubborn];
    desk.run(&args).code(128 + 9);
    let outcome = &desk.run(&["show", "last.1", "--output", "json"]).code(0).json()["outcome"];
    assert_eq!(outcome, "time_limit");
}

#[test]
fn bad_input_names_the_field_the_value_and_the_remedy() {
    let desk = Desk::new("1");
    let check = |code: i32, args: &[&str], says: &[&str]| drop(desk.run(args).code(code).says(says));
    check(2, &["submit", "--time-limit", "90", "--", "true"], &["time-limit", "90", "90s", "90m"]);
    check(2, &["submit", "--mem", "4", "--", "true"], &["mem", "4", "4MiB", "4GiB"]);
    check(2, &["submit", "--cpus=-1", "--", "true"], &["--cpus", "-1", "negative"]);
    check(2, &["run", "--cpus", "-1", "--", "true"], &["--cpus", "-1", "negative"]);
    check(2, &["submit", "--mem", "-1GiB", "--", "true"], &["--mem", "-1GiB", "negative"]);
    check(2, &["submit", "--retries", "-1", "--", "true"], &["--retries", "-1", "negative"]);
    check(2, &["agent", "--cpus", "-1"], &["--cpus", "-1", "negative"]);
    check(2, &["submit", "--cpus", "0.0001", "--", "true"], &["cpus", "0.0001"]);
    check(2, &["submit", "--array", "9-1", "--", "true"], &["array", "9-1"]);
    check(2, &["submit", "--array", "1-99999999999", "--", "true"], &["array", "1-99999999999"]);
    check(2, &["submit", "--name", "No\u{200b}Good", "--", "true"], &["name", "U+200B"]);
    check(2, &["submit", "--queue", "nowhere", "--", "true"], &["nowhere", "default", "queue create"]);
    check(2, &["submit", "--resource", "gpu", "--", "true"], &["resource", "gpu", "licence=1"]);
    check(2, &["submit", "--constraint", "zone in (", "--", "true"], &["constraint", "zone in ("]);
    check(2, &["submit", "--stdout", "x-%{jbo}", "--", "true"], &["stdout", "%{jbo}", "%{job}"]);
    check(2, &["submit", "--output", "file.txt", "--", "true"], &["--output", "file.txt", "--stdout"]);
    check(2, &["submit", "--env", "=x", "--", "true"], &["--env", "cannot be empty"]);
    check(2, &["submit"], &["CMD", "give a command after --"]);
    check(2, &["submit", "no-such-file"], &["no-such-file"]);
    check(2, &["submit", "--retries", "1000", "--", "true"], &["retries", "1000", "100"]);
    check(2, &["submit", "--prioritty", "1", "--", "true"], &["--prioritty", "--priority"]);
    desk.write("bad.toml", "command = [\"true\"]\ncpu = 2\n");
    check(2, &["submit", "bad.toml"], &["bad.toml", "cpu", "cpus"]);
    desk.write("bad.sh", "#!/bin/sh\n#TASKYARD --mem 4\ntrue\n");
    check(2, &["submit", "bad.sh"], &["bad.sh:2", "mem"]);
    desk.write("empty", "");
    check(2, &["submit", "--each-line", "empty", "--", "true"], &["each-line", "empty"]);
    check(2, &["update", "1"], &["name a setting to change"]);
    check(4, &["show", "4711"], &["4711"]);
    check(4, &["logs", "4711.1"], &["4711"]);
    check(4, &["cancel", "4711"], &["4711"]);
    check(4, &["show", "abc"], &["there is no job named abc"]);
    check(2, &["show", "12-"], &["12-", "last"]);
    check(2, &["queue", "set", "default", "--policy", "lifo"], &["policy", "lifo", "fcfs", "sjf"]);
    check(4, &["node", "drain", "nowhere"], &["nowhere"]);
    check(2, &["jobs", "--state", "sleeping"], &["state", "sleeping", "running"]);
    // Nothing of all that was done.
    let jobs = desk.cluster.server.http().get("/v1/jobs");
    assert_eq!(jobs["items"].as_array().unwrap().len(), 0, "{jobs}");

    // A job that no node could run is refused with the nearest possible, and taken if it may wait for another node.
    let nearest = ["--cpus", "64", "n1 comes closest: request at most ", "--wait-for-nodes"];
    check(2, &["submit", "--cpus", "64", "--", "true"], &nearest);
    check(2, &["submit", "--constraint", "zone == x && zone == y", "--", "true"], &["contradict each other"]);
    let waits = desk.run(&["submit", "--cpus", "64", "--wait-for-nodes", "--", "true"]).code(0);
    waits.says(&["waits for another node", "n1"]);

    let http = |path: &str, body: serde_json::Value| {
        desk.cluster.server.http().ask("POST", path, Some(&body)).error()
    };
    let error = http("/v1/jobs", serde_json::json!({ "spec": { "command": ["true"], "cpsu": 1 } }));
    assert!(error["message"].as_str().unwrap().contains("cpsu"), "{error}");
    let error = http("/v1/jobs", serde_json::json!({ "spec": { "command": [] } }));
    assert_eq!(error["field"], "command", "{error}");
    let huge = "x".repeat(5 << 20);
    let answer = desk.cluster.server.http().ask(
        "POST",
        "/v1/jobs",
        Some(&serde_json::json!({ "spec": { "script": huge } })),
    );
    assert_eq!(answer.status, 413, "{}", answer.text());
    let answer = answer_to_slow(&desk.cluster.server.url, 5 << 20);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn without_a_server_every_command_says_what_to_type() {
    let home = tempfile::tempdir().unwrap();
    let nobody = "http://127.0.0.1:1";
    for args in [
        &["jobs"][..],
        &["run", "--", "true"],
        &["submit", "--", "true"],
        &["wait", "1"],
        &["logs", "-f", "1"],
        &["nodes"],
        &["queues"],
        &["cancel", "1"],
        &["explain", "1"],
        &["queue", "set", "default", "--policy", "sjf"],
    ] {
        let code = if args[0] == "run" { 125 } else { 3 };
        cli::run(home.path(), "", args, "").code(code).says(&["taskyard dev"]);
        cli::run(home.path(), nobody, args, "").code(code).says(&["TASKYARD_SERVER", "taskyard dev"]);
    }
    cli::run(home.path(), "not-a-url", &["jobs"], "").code(2).says(&["not-a-url"]);
}

/// A server and an agent in one process, found without any setting, whose work survives its end.
#[test]
fn dev_is_found_by_itself_and_remembers() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("dev.log");
    let start = || {
        let command = cli::command(home.path(), "", &["dev", "--listen", "127.0.0.1:0"]);
        crate::common::process::Process::spawn("dev", command, &log)
    };
    let ready = || {
        let run = || {
            Some(cli::run(home.path(), "", &["nodes", "--output", "ids"], "")).filter(|done| done.code == 0)
        };
        eventually("a node is there", SOON, || run().filter(|done| !done.stdout.trim().is_empty()));
    };
    let mut dev = start();
    ready();
    assert!(dev.log().contains("taskyard run -- echo hello"), "{}", dev.log());
    let done = cli::run(home.path(), "", &["run", "--", "echo", "hello"], "").code(0);
    assert_eq!(done.stdout, "hello\n");
    let waiting = cli::run(home.path(), "", &["submit", "--parsable", "--hold", "--", "echo", "later"], "")
        .code(0)
        .id();
    dev.stop();
    cli::run(home.path(), "", &["jobs"], "").code(3).says(&["taskyard dev"]);

    let mut dev = start();
    ready();
    cli::run(home.path(), "", &["release", &waiting.to_string()], "").code(0);
    cli::run(home.path(), "", &["wait", &waiting.to_string()], "").code(0);
    assert_eq!(cli::run(home.path(), "", &["logs", "last"], "").code(0).stdout, "later\n");
    assert_eq!(cli::run(home.path(), "", &["logs", "1"], "").code(0).stdout, "hello\n");

    // Ended while a task runs: nothing of it is left.
    let sleep = "echo $$; exec sleep 1000";
    let job = cli::run(home.path(), "", &["submit", "--parsable", "--", "sh", "-c", sleep], "").code(0).id();
    let logs = || cli::run(home.path(), "", &["logs", &job.to_string()], "");
    eventually("it runs", SOON, || (!logs().stdout.is_empty()).then_some(()));
    let family = dev.descendants();
    assert!(family.len() >= 2, "keeper and task: {family:?}");
    dev.stop();
    eventually("keeper and task are gone", SOON, || {
        (!family.iter().any(|pid: &Pid| pid.is_alive())).then_some(())
    });
}

/// The README's first command: it needs nothing, and `last` finds what it did.
#[test]
fn run_local_needs_no_server() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| cli::run(home.path(), "", args, "");
    let done = run(&["run", "--local", "--", "sh", "-c", "echo hello; exit 3"]).code(3);
    assert_eq!(done.stdout, "hello\n");
    assert_eq!(run(&["logs", "--local", "last"]).code(0).stdout, "hello\n");
    assert_eq!(run(&["run", "--local", "--", "echo", "again"]).code(0).stdout, "again\n");
}
