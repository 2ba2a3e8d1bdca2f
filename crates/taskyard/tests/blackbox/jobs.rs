//! What may be done to jobs and nodes, and what jobs may be, with real tasks.

use crate::common::desk::Desk;
use crate::common::{SOON, eventually};

impl Desk {
    /// Waits until a file of the home is there.
    fn until_there(&self, name: &str) {
        eventually(name, SOON, || self.home.join(name).exists().then_some(()));
    }

    /// A task that ignores SIGTERM, and says when it does so.
    fn stubborn(&self, flag: &str) -> String {
        let flag = self.home.join(flag);
        format!("trap '' TERM; : > '{}'; while :; do sleep 0.05; done", flag.display())
    }
}

#[test]
fn a_new_time_limit_reaches_what_runs_also_past_a_restart_of_the_server() {
    let mut desk = Desk::new("2");
    let script = "trap 'exit 1' TERM; : > up; sleep 600 & wait";
    let [first, second] = ["1h", "2h"].map(|limit| {
        desk.submit(&["--time-limit", limit, "--cwd", desk.home.to_str().unwrap(), "--", "sh", "-c", script])
    });
    desk.until_there("up");
    let told = desk.types(&format!("update {first} --time-limit 300ms --grace 1s")).code(0).stdout;
    assert!(told.contains("the new time limit and grace hold for 1 task on nodes too"), "{told}");
    desk.types(&format!("wait {first}")).code(1);
    desk.cluster.wait_task(second.parse().unwrap(), 1, "running");
    desk.cluster.server.kill9();
    desk.cluster.server.restart();
    desk.types(&format!("update {second} --time-limit 200ms")).code(0);
    desk.types(&format!("wait {second}")).code(1);
    desk.types(&format!("update {second} --time-limit 1h")).code(2).says(&["has finished"]);
    for (job, limit) in [(first, "300ms"), (second, "200ms")] {
        let shown = desk.types(&format!("show {job}")).code(0).stdout;
        assert!(shown.contains(&format!("it ran longer than its --time-limit of {limit}")), "{shown}");
    }
}

#[test]
fn what_is_being_stopped_says_so_and_takes_no_other_limit() {
    let desk = Desk::new("2");
    let args = ["--time-limit", "300ms", "--grace", "10m", "--cwd", desk.home.to_str().unwrap()];
    let stubborn = ["--", "sh", "-c", "trap '' TERM; : > up; while :; do sleep 0.05; done"];
    let job = desk.submit(&[&args[..], &stubborn[..]].concat());
    desk.until_there("up");
    eventually("it is stopping", SOON, || {
        let shown = desk.types(&format!("show {job} --output json")).code(0).json();
        (shown["stopping"]["cause"] == "time_limit").then_some(())
    });
    let says = |command: &str, parts: &[&str]| {
        let text = desk.types(command).code(0).stdout;
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
    };
    let reached = "its time limit of 300ms was reached; it is killed in";
    says(&format!("tasks {job}"), &["stopping"]);
    says(&format!("show {job}.1"), &["stopping", reached]);
    says(&format!("show {job}"), &["stopping", reached, "grace", "10m"]);
    says(&format!("explain {job}"), &["is stopping: its time limit of 300ms was reached"]);
    let refusal = ["time-limit", "attempt 1 is being stopped: its time limit of 300ms was reached"];
    desk.types(&format!("update {job} --time-limit 2h")).code(2).says(&refusal);
    desk.types(&format!("update {job} --grace 100ms")).code(0);
    desk.types(&format!("wait {job}")).code(1);
    // Fewer retries reach what waits for its next try.
    let tried = desk.submit(&["--retries", "3", "--backoff", "1h", "--", "false"]);
    eventually("it waits", SOON, || {
        let tasks = desk.types(&format!("tasks {tried}")).code(0).stdout;
        tasks.contains("retried in").then_some(())
    });
    let told = desk.types(&format!("update {tried} --retries 0")).code(0);
    told.says(&["1 task that waited to be tried again failed at once"]);
    desk.types(&format!("wait {tried}")).code(1);
    says(&format!("explain {tried}"), &["is failed: it ended with exit code 1"]);
    let running = desk.submit(&["--", "sleep", "600"]);
    desk.cluster.wait_task(running.parse().unwrap(), 1, "running");
    let told = desk.types(&format!("update {running} --begin +1h")).code(0);
    told.says(&["all its tasks are on nodes and go on: begin counts only"]);
    let told = desk.types(&format!("update {running} --time-limit 1ms")).code(0);
    told.says(&["task 1 has run longer than the new time limit and is being stopped"]);
}

#[test]
fn a_change_of_a_job_that_is_being_cancelled_says_that_nothing_of_it_starts_again() {
    let desk = Desk::new("1");
    let stubborn = ["--", "sh", "-c", "trap '' TERM; : > up; while :; do sleep 0.05; done"];
    let args = ["--array", "1-2", "--grace", "10m", "--cwd", desk.home.to_str().unwrap()];
    let job = desk.submit(&[&args[..], &stubborn[..]].concat());
    desk.until_there("up");
    desk.types(&format!("cancel {job}")).code(0);
    for change in ["update --retries 3", "update --priority 5", "hold"] {
        let told = desk.types(&format!("{change} {job}")).code(0);
        told.says(&["the job is ending, because it was cancelled: none of its tasks starts again"]);
    }
    desk.types(&format!("cancel --now {job}")).code(0);
    desk.types(&format!("wait {job}")).code(1);
}

#[test]
fn a_job_of_which_too_much_fails_has_failed_and_is_run_again_as_one() {
    let desk = Desk::new("1");
    let one =
        desk.submit(&["--max-fails", "0", "--array", "1-4", "--", "sh", "-c", "[ $TASKYARD_TASK = 1 ]"]);
    desk.types(&format!("wait {one}")).code(1);
    assert_eq!(desk.state(&one), "failed");
    assert_eq!(desk.types("jobs --state failed --output ids").code(0).stdout, format!("{one}\n"));
    let shown = desk.types(&format!("show {one}")).code(0).stdout;
    assert!(shown.contains("failed, more than its --max-fails 0"), "{shown}");
    let again = desk.types(&format!("retry --parsable --unsuccessful {one}")).code(0).stdout;
    assert_eq!(again.lines().count(), 1, "{again}");
    assert_eq!(desk.show(again.trim())["tasks"]["total"], 3);
    let again = desk.types(&format!("retry --parsable {one}.2 {one}.4 {one}.2-3")).code(0).stdout;
    assert_eq!(again.lines().count(), 1, "{again}");
    assert_eq!(desk.show(again.trim())["tasks"]["total"], 3);
}

#[test]
fn grace_is_bounded_and_can_be_cut_short() {
    let desk = Desk::new("2");
    desk.run(&["submit", "--grace", "3650d", "--", "true"]).code(2).says(&["--grace", "at most 1d"]);
    desk.run(&["submit", "--grace", "1h", "--", "true"]).code(2).says(&["--grace", "at most 10m"]);
    desk.types("queue set default --max-grace 2h").code(0);
    let task = desk.stubborn("up");
    let job = desk.submit(&["--grace", "1h", "--", "sh", "-c", &task]);
    desk.until_there("up");
    desk.types(&format!("cancel {job}")).code(0);
    assert_eq!(desk.state(&job), "running");
    desk.types(&format!("cancel --now {job}")).code(0);
    desk.types(&format!("wait {job} --timeout 30s")).code(1);
    assert_eq!(desk.state(&job), "cancelled");
}

#[test]
fn tasks_that_ask_for_no_cpu_are_bounded_by_number() {
    let desk = Desk::new("1");
    let job = desk.submit(&["--array", "1-80", "--cpus", "0", "--", "sh", "-c", &desk.until("go")]);
    let running = || desk.show(&job)["tasks"]["running"].as_u64().unwrap();
    eventually("as many as may run", SOON, || (running() == 64).then_some(()));
    let why = desk.types(&format!("explain {job}")).code(0).stdout;
    assert!(why.contains("starts no task without CPUs while 64 tasks run there"), "{why}");
    // What asks for a core is not in their way, nor they in its.
    desk.run(&["run", "--", "true"]).code(0);
    desk.let_go("go", 0);
    desk.types(&format!("wait {job}")).code(0);
}

#[test]
fn names_are_for_people() {
    let desk = Desk::new("1");
    let name = "Großer Lauf (学習) ../../v2";
    let job = desk.submit(&["--name", name, "--stdout", "out-%{name}.txt", "--", "echo", "hello"]);
    desk.types(&format!("wait {job}")).code(0);
    assert_eq!(desk.show(&job)["name"], name);
    assert_eq!(desk.read("out-Großer Lauf (学習) .._.._v2.txt"), "hello\n");
    for (name, what) in
        [("a\u{202e}b", "U+202E"), ("a\u{200b}b", "U+200B"), ("a\tb", "U+0009"), ("", "1 to 128")]
    {
        desk.run(&["submit", "--name", name, "--", "true"]).code(2).says(&["--name", what]);
    }
    let script = "for i in 1 2; do\n  echo $i\ndone";
    let job = desk.submit(&["--hold", "--", "sh", "-ec", script]);
    assert_eq!(desk.show(&job)["name"], "for i in 1 2; do echo $i done");
}

#[test]
fn what_waits_can_be_changed_and_ranges_pass_over_what_has_ended() {
    let desk = Desk::new("2");
    let ended = desk.submit(&["--", "true"]);
    desk.types(&format!("wait {ended}")).code(0);
    let held = desk.submit(&["--hold", "--", "true"]);
    desk.types(&format!("update {held} --cpus 2 --mem 1MiB --name later --constraint none")).code(0);
    let spec = &desk.show(&held)["spec"];
    assert_eq!((&spec["cpus"], &spec["name"]), (&"2".into(), &"later".into()));
    desk.types(&format!("update {held} --cpus 64")).code(2).says(&["--cpus", "request at most 2"]);
    desk.types(&format!("update {held} --cpus 64 --wait-for-nodes")).code(0);
    let range = format!("{ended}-{held}");
    desk.types(&format!("hold {range}")).code(0).says(&["2 jobs were held or had already ended"]);
    desk.types(&format!("hold {held}.1")).code(2).says(&["hold takes whole jobs"]);
    desk.types(&format!("cancel {range}")).code(0).says(&["1 job had already ended"]);
    desk.types(&format!("cancel {range}")).code(0).says(&["2 jobs had already ended"]);
    desk.types("cancel all").code(0);
    let running = desk.submit(&["--", "sh", "-c", &desk.until("go")]);
    desk.cluster.wait_task(running.parse().unwrap(), 1, "running");
    desk.types(&format!("update {running} --cpus 2")).code(2).says(&["has tasks on nodes", "hold it"]);
    desk.types(&format!("update {running} --priority 5 --name still")).code(0);
    desk.let_go("go", 0);
}

#[test]
fn a_drained_node_says_why_and_by_whom() {
    let desk = Desk::new("2");
    let node = desk.types("nodes --output ids").code(0).stdout.trim().to_owned();
    desk.run(&["node", "drain", &node, "--reason", "a\nb"]).code(2).says(&["--reason", "U+000A"]);
    desk.run(&["node", "drain", &node, "--reason", "kernel upgrade"]).code(0);
    let job = desk.submit(&["--", "true"]);
    for args in [&["nodes"][..], &["explain", &job], &["node", "show", &node], &["nodes", &node]] {
        let said = desk.run(args).code(0).stdout;
        assert!(said.contains("kernel upgrade"), "{args:?}: {said}");
    }
    let shown = desk.run(&["node", "show", &node, "--output", "json"]).code(0).json();
    let drained = &shown[0]["drained"];
    assert!(drained["since_ms"].as_u64() > Some(0) && drained["by"].as_str().is_some(), "{shown}");
    desk.types("nodes nowhere").code(4).says(&["there is no node nowhere"]);
    desk.types(&format!("node resume {node}")).code(0);
    desk.types(&format!("wait {job}")).code(0);
    let shown = desk.run(&["node", "show", &node]).code(0).stdout;
    assert!(!shown.contains("kernel upgrade"), "{shown}");
}

#[test]
fn what_no_program_could_be_given_is_refused_with_its_field() {
    let desk = Desk::new("1");
    let long = "x".repeat(131_073);
    let with = |change: serde_json::Value| {
        let mut spec = serde_json::json!({"command": ["true"]});
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::json!({ "spec": spec })
    };
    let cases = [
        (with(serde_json::json!({"command": ["sh", "-c", "true", long]})), "command"),
        (with(serde_json::json!({"env": {"X": long}})), "env"),
        (with(serde_json::json!({"env": {"X": "a\u{0}"}})), "env"),
        (with(serde_json::json!({"entries": ["a", long]})), "entries"),
        (with(serde_json::json!({"entries": ["a\u{0}b"]})), "entries"),
        (with(serde_json::json!({"cwd": "/tmp/a\u{0}"})), "cwd"),
        (with(serde_json::json!({"stdout": "a".repeat(300)})), "stdout"),
        (with(serde_json::json!({"command": [""]})), "command"),
    ];
    let mut http = desk.cluster.server.http();
    for (body, field) in cases {
        let answer = http.ask("POST", "/v1/jobs", Some(&body));
        assert_eq!((answer.status, &answer.error()["field"]), (422, &field.into()), "{}", answer.text());
    }
    desk.types("submit --begin +99999999w -- true").code(2).says(&["--begin", "at most 36500d"]);
    desk.write("lines", "a\0b\nc\n");
    desk.types("submit --each-line lines -- true").code(2).says(&["--each-line", "NUL"]);
    desk.write(
        "job.json",
        &serde_json::json!({"command": ["true"], "env": {"X": &long[..131_070]}}).to_string(),
    );
    desk.types("submit job.json").code(2).says(&["env", "131072 bytes"]);
    assert_eq!(desk.types("jobs --output ids").code(0).stdout, "");
}

#[test]
fn directories_of_a_relative_output_file_are_made() {
    let desk = Desk::new("2");
    let home = desk.home.to_str().unwrap();
    let files =
        ["--array", "1-2", "--cwd", home, "--stdout", "new/%{job}/%{task}.txt", "--stderr", "errors/one"];
    let job = desk.submit(&[&files[..], &["--", "echo", "x"]].concat());
    desk.types(&format!("wait {job}")).code(0);
    for made in [format!("new/{job}/1.txt"), format!("new/{job}/2.txt"), "errors/one".to_owned()] {
        assert!(desk.home.join(&made).is_file(), "{made}");
    }
    let typo = desk.submit(&["--stdout", "/no/such/place/%{task}.txt", "--", "echo", "x"]);
    desk.types(&format!("wait {typo}")).code(1);
    let shown = desk.types(&format!("show {typo}.1")).code(0).stdout;
    assert!(shown.contains("directory not found for /no/such/place/1.txt (--stdout)"), "{shown}");
}
