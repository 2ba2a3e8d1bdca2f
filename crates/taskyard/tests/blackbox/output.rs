//! What people see: while they wait, of output, and of lists that machines read.

use crate::common::cli;
use crate::common::daemon::ServerOptions;
use crate::common::desk::Desk;
use crate::common::fleet::Fleet;
use crate::common::http::Http;
use crate::common::process::signal;
use crate::common::{SOON, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What a command promises within two seconds, on a machine with much else to do.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// A command at work, with the lines of both its outputs as they come.
struct Watched {
    child: Child,
    said: Receiver<String>,
    began: Instant,
}

impl Watched {
    fn start(dir: &Path, url: &str, args: &[&str]) -> Watched {
        let mut command = cli::command(dir, url, args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let (tell, said) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let tell = tell.clone();
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            std::thread::spawn(move || lines.try_for_each(|line| tell.send(line)));
        }
        Watched { child, said, began }
    }

    /// Waits for a line with all of these; how long after the start it came.
    #[track_caller]
    fn until_says(&self, parts: &[&str]) -> Duration {
        let mut before = Vec::new();
        loop {
            let Ok(line) = self.said.recv_timeout(SOON) else { panic!("no {parts:?} in {before:?}") };
            if parts.iter().all(|part| line.contains(part)) {
                return self.began.elapsed();
            }
            before.push(line);
        }
    }

    fn code(&mut self) -> i32 {
        eventually("the command ends", SOON, || self.child.try_wait().unwrap()).code().unwrap_or(-1)
    }

    fn interrupt(&self) {
        signal(self.child.id() as i32, libc::SIGINT);
    }
}

#[test]
fn a_lost_majority_is_told_while_it_is_waited_for() {
    let mut fleet = Fleet::start(3, 0, &ServerOptions::default());
    let urls = fleet.urls();
    fleet.servers[1].kill9();
    fleet.servers[2].pause(true);
    let mut http = fleet.servers[0].http();
    let ready =
        |http: &mut Http| matches!(http.request("GET", "/readyz", None), Ok(answer) if answer.is_success());
    eventually("the last server knows that it is alone", SOON, || (!ready(&mut http)).then_some(()));
    for args in [&["jobs"][..], &["submit", "--", "true"]] {
        let mut command = Watched::start(fleet.dir.path(), &urls, args);
        let after = command.until_says(&["1 of 3 servers answers, no majority"]);
        command.until_says(&[&fleet.servers[1].url, "connection refused"]);
        command.until_says(&[&fleet.servers[2].url, "accepts connections but does not answer"]);
        println!("output: {args:?} told after {after:.2?} what it waits for");
        assert!(after < TOLD_WITHIN, "{args:?} told it after {after:?}");
        fleet.servers[2].pause(false);
        assert_eq!(command.code(), 0, "{args:?} goes on when there is a majority again");
        fleet.servers[2].pause(true);
        eventually("it is alone again", SOON, || (!ready(&mut http)).then_some(()));
    }
    // One address is enough to be told of the others.
    let one = fleet.servers[0].url.clone();
    Watched::start(fleet.dir.path(), &one, &["jobs"]).until_says(&["reaches 1 of 3 servers"]);
    let stale = cli::run(fleet.dir.path(), &one, &["jobs", "--stale", "--output", "ids"], "").code(0);
    assert_eq!(stale.stdout.lines().count(), 1);
    fleet.servers[2].pause(false);
}

#[test]
fn output_is_followed_through_retries() {
    let desk = Desk::new("2");
    let script = "echo attempt $TASKYARD_ATTEMPT; [ $TASKYARD_ATTEMPT = 3 ]";
    let id = desk.submit(&["--retries", "2", "--backoff", "50ms", "--", "sh", "-c", script]);
    let followed = desk.run(&["logs", "-f", &id]).code(0);
    assert!(followed.stdout.ends_with("attempt 3\n"), "{followed:?}");
    assert!(desk.run(&["show", &id, "--output", "json"]).json()["state"] == "succeeded");
    // Over the whole array too, each task to its own end.
    let id =
        desk.submit(&["--array", "1-3", "--retries", "2", "--backoff", "50ms", "--", "sh", "-c", script]);
    let followed = desk.run(&["logs", "-f", &id]).code(0).stdout;
    for task in 1..=3 {
        assert!(followed.contains(&format!("{task}| attempt 3\n")), "{followed}");
    }
    // One attempt by its number.
    assert_eq!(desk.run(&["logs", "-f", &format!("{id}.2"), "--attempt", "2"]).code(0).stdout, "attempt 2\n");
}

#[test]
fn output_of_many_tasks() {
    let desk = Desk::new("4");
    let script = "printf 't%s\\nend' $TASKYARD_TASK; [ $TASKYARD_TASK != 2 ]";
    let id = desk.submit(&["--array", "1-12", "--", "sh", "-c", script]);
    desk.run(&["wait", &id]).code(1);
    let all = desk.run(&["logs", &id]).code(0).stdout;
    let expected: String = (1..=12).map(|n| format!("{n}| t{n}\n{n}| end\n")).collect();
    assert_eq!(all, expected, "in the order of the tasks, each line whole");
    assert_eq!(desk.run(&["logs", "--failed", &id]).code(0).stdout, "2| t2\n2| end\n");
    assert_eq!(desk.run(&["logs", &format!("{id}.3-4"), "--tail", "1"]).code(0).stdout, "3| end\n4| end\n");
    let other = desk.submit(&["--", "echo", "other"]);
    desk.run(&["wait", &other]).code(0);
    let both = desk.run(&["logs", &format!("{id}.1"), &other]).code(0).stdout;
    assert_eq!(both, format!("{id}.1| t1\n{id}.1| end\n{other}.1| other\n"));
    // A task that has not started has nothing to print, and that is said.
    let held = desk.submit(&["--hold", "--array", "1-2", "--", "true"]);
    desk.run(&["logs", &held]).code(0).says(&["2 of 2 tasks without output here"]);
    desk.run(&["logs", "--failed", &held]).code(4).says(&["no task failed"]);
}

#[test]
fn output_that_is_no_text_comes_exactly_through_a_pipe() {
    let desk = Desk::new("1");
    let id = desk.submit(&["--", "printf", "hi\\n\\200\\n\\000x\\376\\377\\nlast"]);
    desk.run(&["wait", &id]).code(0);
    let mut command = cli::command(&desk.home, &desk.cluster.server.url, &["logs", &id]);
    let output = command.output().unwrap();
    assert_eq!(output.stdout, b"hi\n\x80\n\0x\xfe\xff\nlast");
}

#[test]
fn an_interrupt_of_who_watches_says_that_the_job_goes_on() {
    let desk = Desk::new("1");
    let id = desk.submit(&["--", "sh", "-c", "echo on; until [ -e done ]; do sleep 0.05; done"]);
    let goes_on = format!("job {id} continues; cancel it with: taskyard cancel {id}");
    let running = || desk.run(&["show", &id, "--output", "json"]).json()["state"] == "running";
    eventually("it runs", SOON, || running().then_some(()));
    for (args, at_work) in [(&["wait", "--progress", &id][..], "0/1 done"), (&["logs", "-f", &id], "on")] {
        let mut command = Watched::start(&desk.home, &desk.cluster.server.url, args);
        command.until_says(&[at_work]);
        command.interrupt();
        command.until_says(&[&goes_on]);
        assert_eq!(command.code(), 130, "{args:?}");
        assert!(running());
    }
    std::fs::write(desk.home.join("done"), "").unwrap();
    desk.run(&["wait", &id]).code(0);

    // What is written to a file cannot be followed, and that is said while the task still runs.
    std::fs::remove_file(desk.home.join("done")).unwrap();
    let id =
        desk.submit(&["--stdout", "out.txt", "--", "sh", "-c", "until [ -e done ]; do sleep 0.05; done"]);
    desk.run(&["logs", "-f", &id]).code(4).says(&["out.txt"]);
    assert!(desk.state(&id) != "succeeded");
    std::fs::write(desk.home.join("done"), "").unwrap();
    desk.run(&["wait", &id]).code(0);
}

#[test]
fn lists_for_machines_are_whole() {
    let desk = Desk::new("1");
    let jobs: String = (0..120).map(|_| "{\"command\":[\"true\"],\"hold\":true}\n").collect();
    std::fs::write(desk.home.join("jobs.jsonl"), jobs).unwrap();
    desk.run(&["submit", "--from-json", "jobs.jsonl"]).code(0);
    let array = desk.submit(&["--hold", "--array", "1-2500", "--", "true"]);
    for (list, rows) in [(&["jobs"][..], 121), (&["tasks", &array], 2_500)] {
        let run = |format: &str| {
            let args: Vec<&str> = list.iter().copied().chain(["--output", format]).collect();
            desk.run(&args).code(0)
        };
        assert_eq!(run("ids").stdout.lines().count(), rows, "{list:?}");
        let lines = run("jsonl");
        let lines: Vec<Value> =
            lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), rows, "{list:?}");
        let whole = run("json");
        assert_eq!((whole.json().as_array().unwrap(), whole.stderr.as_str()), (&lines, ""), "{list:?}");
    }
    // A cut that was asked for is said, and so is that of a table.
    let cut = desk.run(&["jobs", "--limit", "60", "--output", "ids"]).code(0).says(&["60", "--all"]);
    assert_eq!(cut.stdout.lines().count(), 60);
    let table = desk.run(&["jobs"]).code(0).says(&["50", "--all"]);
    assert_eq!(table.stdout.lines().count(), 51);
    assert_eq!(
        desk.run(&["jobs", "--limit", "30000", "--output", "ids"]).code(0).stdout.lines().count(),
        121
    );
    assert_eq!(desk.run(&["jobs", "--name", "nothing", "--output", "json"]).code(0).stdout, "[]\n");
}

/// Every command that answers something, as it is typed; `JOB` is a job that has ended, `HELD` one that waits.
const ANSWERS: &[&str] = &[
    "backup list --from PLACE",
    "submit --hold -- true",
    "plan -- true",
    "jobs",
    "jobs --name nothing",
    "show JOB",
    "tasks JOB",
    "wait JOB",
    "wait JOB JOB",
    "explain HELD",
    "update HELD --priority 3",
    "release HELD",
    "hold HELD",
    "cancel HELD",
    "cancel all",
    "retry JOB",
    "nodes",
    "node drain n1",
    "node resume n1",
    "queues",
    "queue create q1",
    "queue set q1 --policy sjf",
    "queue delete q1",
    "pools",
    "pool set p1 --nodes none",
    "pool delete p1",
    "maintenance",
    "maintenance set m1 --from +1h --until +2h",
    "maintenance delete m1",
    "shares",
    "share set physics --weight 3",
    "usage",
    "retention",
    "retention set --keep 30d",
    "status",
    "cluster status",
    "cluster add",
    "cluster transfer 1",
    "whoami",
    "token create --user ada --role viewer",
    "token list",
    "namespace create team-a",
    "namespace list",
    "node show n1",
    "account list",
    "account grant physics ada",
    "account revoke physics ada",
    "account close physics",
    "account open physics",
    "simulate --generate lublin:jobs=50,seed=1",
];

/// Pages of commands that answer nothing, stream, need what this test has not, or print something of another kind.
const NO_ANSWER: &[&str] = &[
    "agent",
    "backup-create",
    "backup-restore",
    "backup-verify",
    "cluster-demote",
    "cluster-init",
    "cluster-promote",
    "cluster-remove",
    "completions",
    "dev",
    "digest",
    "events",
    "login",
    "logout",
    "logs",
    "man",
    "node-remove",
    "run",
    "schema",
    "server",
    "swarm",
    "token-revoke",
];

#[test]
fn every_command_answers_in_one_document() {
    let desk = Desk::new("2");
    let done = desk.submit(&["--", "true"]);
    desk.run(&["wait", &done]).code(0);
    let other = desk.submit(&["--", "true"]);
    let held = desk.submit(&["--hold", "--", "true"]);
    let place = desk.home.join("backups");
    std::fs::create_dir(&place).unwrap();
    let place = place.display().to_string();
    let mut examined = BTreeSet::new();
    for line in ANSWERS {
        let line = line.replace("JOB", &done).replace("HELD", &held).replace("PLACE", &place);
        let args: Vec<&str> = ["--output", "json"].into_iter().chain(line.split(' ')).collect();
        let done = desk.run(&args);
        let parsed = serde_json::from_str::<Value>(&done.stdout);
        assert!(parsed.is_ok(), "{line}: {parsed:?} of {done:?}");
        let words: Vec<&str> =
            line.split(' ').take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
        examined.extend((1..=words.len()).map(|n| words[..n].join("-")));
    }
    // Several answers of one command are one list, nothing is an empty one.
    assert_eq!(desk.run(&["wait", &done, &other, "--output", "json"]).json().as_array().unwrap().len(), 2);
    assert_eq!(desk.run(&["wait", &done, "--output", "json"]).json()["state"], "succeeded");
    // No command is forgotten here: each has a manual page.
    desk.run(&["man", "--dir", "pages"]).code(0);
    let pages: BTreeSet<String> = std::fs::read_dir(desk.home.join("pages"))
        .unwrap()
        .filter_map(|page| {
            Some(
                page.unwrap().file_name().to_str()?.strip_prefix("taskyard-")?.strip_suffix(".1")?.to_owned(),
            )
        })
        .collect();
    let groups = |page: &String| pages.iter().any(|other| other.starts_with(&format!("{page}-")));
    let unexamined: Vec<&String> = pages
        .iter()
        .filter(|page| !examined.contains(*page) && !NO_ANSWER.contains(&page.as_str()) && !groups(page))
        .collect();
    assert!(pages.len() > 40 && unexamined.is_empty(), "not examined: {unexamined:?}");
}

#[test]
fn jobs_go_by_their_names() {
    let desk = Desk::new("1");
    let submit = |name: &str| desk.submit(&["--hold", "--name", name, "--", "true"]);
    let (sweep, train, again) = (submit("sweep"), submit("train"), submit("train"));
    let shown = |word: &str| desk.run(&["show", word, "--output", "ids"]).code(0).stdout;
    assert_eq!(shown("sweep"), format!("{sweep}\n"));
    assert_eq!(shown("sw"), format!("{sweep}\n"), "the beginning of one name is enough");
    assert_eq!(shown("sweep.1"), format!("{sweep}.1\n"));
    // Several jobs of a name: the command names them and does nothing.
    desk.run(&["cancel", "train"]).code(2).says(&[&train, &again, "several jobs have this name"]);
    assert_eq!(desk.state(&train), "held");
    submit("tokenize");
    desk.run(&["show", "t"]).code(2).says(&["tokenize, train"]);
    desk.run(&["show", "nothing"]).code(4).says(&["there is no job named nothing"]);
    let listed = desk.run(&["jobs", "tra", "--output", "ids"]).code(0).stdout;
    assert_eq!(listed, format!("{again}\n{train}\n"));
}

#[test]
fn tasks_show_their_entries() {
    let desk = Desk::new("1");
    desk.write("words", "apple pie\nbanana\n");
    let id = desk.submit(&["--each-line", "words", "--", "sh", "-c", "[ \"$TASKYARD_ENTRY\" != banana ]"]);
    desk.run(&["wait", &id]).code(1);
    let tasks = desk.run(&["tasks", &id, "--output", "json"]).code(0).json();
    assert_eq!((&tasks[0]["entry"], &tasks[1]["entry"]), (&"apple pie".into(), &"banana".into()));
    let table = desk.run(&["tasks", &id, "--columns", "task,entry,result"]).code(0).stdout;
    assert_eq!(table, "TASK  ENTRY      RESULT\n   1  apple pie  exit 0\n   2  banana     exit 1\n");
    assert!(desk.run(&["show", &format!("{id}.2")]).code(0).stdout.contains("entry       banana"));
    desk.run(&["tasks", &id, "--columns", "colour"]).code(2).says(&["colour", "task, state, attempt"]);
    desk.run(&["show", &id, "--columns", "task"]).code(2).says(&["prints no table"]);
}
