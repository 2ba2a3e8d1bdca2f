//! What makes everyday work complete, on the real binary: jobs that wait for others or for a time, filters,
//! retention, many jobs from one file, completions and manual pages.

use crate::common::cli::{self};
use crate::common::desk::Desk;
use crate::common::{SOON, eventually};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn jobs_begin_when_their_time_has_come() {
    let desk = Desk::new("4");
    let far = desk.submit(&["--begin", "2100-01-01 6:00", "--name", "far", "--", "true"]);
    let explain = desk.run(&["explain", &far, "--output", "json"]).code(0).json();
    assert_eq!(explain["reason"], "not_before", "{explain}");
    assert!(desk.run(&["explain", &far]).code(0).stdout.contains("starts no earlier than 2"), "{explain}");
    assert!(desk.run(&["jobs"]).code(0).stdout.contains("not before 2"));
    assert!(desk.run(&["show", &far]).code(0).stdout.contains("begin "));
    desk.run(&["hold", &far]).code(0);
    desk.run(&["release", &far]).code(0);

    // It begins by itself, and not before.
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let asked = now();
    let soon = desk.submit(&["--begin", "+300ms", "--", "true"]);
    desk.run(&["wait", &soon]).code(0);
    let shown = desk.run(&["show", &soon, "--output", "json"]).code(0).json();
    let (begin, started) = (shown["begin_at_ms"].as_u64().unwrap(), shown["started_at_ms"].as_u64().unwrap());
    assert!(begin >= asked + 300 && started + 50 >= begin, "asked at {asked}: {shown}");

    assert_eq!(desk.state(&far), "pending", "a release does not skip the begin");
    desk.run(&["update", &far, "--begin", "+100ms"]).code(0);
    desk.run(&["wait", &far]).code(0);
    let later = desk.submit(&["--begin", "tomorrow 6:00", "--", "true"]);
    desk.run(&["update", &later, "--begin", "none"]).code(0);
    desk.run(&["wait", &later]).code(0);

    desk.run(&["submit", "--begin", "noon", "--", "true"]).code(2).says(&["--begin", "noon", "18:00", "+2h"]);
    desk.run(&["update", &far, "--begin", "90"]).code(2).says(&["--begin", "90s"]);
    let body = serde_json::json!({ "spec": { "command": ["true"], "begin": "18:00" } });
    let error = desk.cluster.server.http().ask("POST", "/v1/jobs", Some(&body)).error();
    assert!(error["field"] == "begin" && error["remedy"].as_str().unwrap().contains("zone"), "{error}");
}

#[test]
fn finished_jobs_are_forgotten_by_a_rule_of_the_cluster() {
    let mut desk = Desk::new("4");
    let shown = desk.run(&["retention"]).code(0).stdout;
    assert!(shown.contains("7d after the end") && shown.contains("0 finished jobs"), "{shown}");
    let once = ["--request-id", "once", "--", "echo", "hi"];
    let first = desk.submit(&once);
    desk.run(&["wait", &first]).code(0);
    let open = desk.submit(&["--hold", "--", "true"]);
    let second = desk.submit(&["--", "echo", "second"]);
    let third = desk.submit(&["--", "echo", "third"]);
    desk.run(&["wait", &second, &third]).code(0);
    let files = |job: &str| desk.cluster.agents[0].dir.join("jobs").join(job);
    assert!(files(&first).exists() && files(&second).exists(), "each has captured output");
    let (first_files, second_files, third_files) = (files(&first), files(&second), files(&third));

    desk.run(&["retention", "--output", "ids"]).code(2).says(&["--output", "retention has no ids"]);
    desk.run(&["retention", "set"]).code(2).says(&["--keep"]);
    desk.run(&["retention", "set", "--keep", "1s"]).code(2).says(&["--keep", "1m"]);
    let set =
        desk.run(&["retention", "set", "--keep", "2d", "--max-jobs", "1", "--output", "json"]).code(0).json();
    assert_eq!((&set["keep_ms"], &set["max_jobs"]), (&172_800_000.into(), &1.into()), "{set}");
    eventually("one finished job is left", SOON, || {
        (desk.run(&["retention", "--output", "json"]).code(0).json()["jobs"] == 1).then_some(())
    });
    for args in [
        &["show", &first][..],
        &["logs", &first],
        &["wait", &second],
        &["explain", &first],
        &["cancel", &first],
    ] {
        desk.run(args).code(4).says(&["is no longer kept", "kept for 2d"]);
    }
    desk.run(&["show", "4711"]).code(4).says(&["there is no job 4711"]);
    let answer = desk.cluster.server.http().ask("GET", &format!("/v1/jobs/{first}"), None);
    assert_eq!(answer.status, 410, "{}", answer.text());
    desk.run(&["submit", "--after", &format!("ok:{first}"), "--", "true"])
        .code(2)
        .says(&["--after", "no longer kept"]);
    assert_eq!(desk.submit(&once), first, "a request id outlives its job");
    assert_eq!(desk.run(&["logs", &third]).code(0).stdout, "third\n");
    assert_eq!(desk.state(&open), "held");

    // The agent hears of it with its next session, the gap behind the job that is still open included.
    let digest = desk.run(&["status", "--digest", "--output", "json"]).code(0).json();
    desk.cluster.server.stop();
    desk.cluster.server.restart();
    desk.cluster.wait_nodes(1);
    eventually("the files of forgotten jobs are dropped", SOON, || {
        (!first_files.exists() && !second_files.exists()).then_some(())
    });
    assert!(third_files.exists());
    let rule = desk.run(&["retention", "--output", "json"]).code(0).json();
    assert_eq!(
        (&rule["keep_ms"], &rule["jobs"]),
        (&172_800_000.into(), &1.into()),
        "it outlives a restart: {digest}"
    );
}

#[test]
fn jobs_are_listed_by_state_time_user_name_and_queue() {
    let desk = Desk::new("4");
    desk.run(&["queue", "set", "batch"]).code(0);
    let other = desk.submit(&["--as", "bob", "--name", "other", "--", "true"]);
    let failed = desk.submit(&["--name", "failed", "--", "false"]);
    let batch = desk.submit(&["--queue", "batch", "--hold", "--", "true"]);
    desk.run(&["wait", &other]).code(0);
    desk.run(&["wait", &failed]).code(1);
    let list = |args: &[&str]| {
        let all = [&["jobs", "--output", "ids"], args].concat();
        desk.run(&all).code(0).stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(list(&["--state", "failed,held"]), [batch.as_str(), failed.as_str()]);
    assert_eq!(list(&["--user", "bob"]), [other.as_str()]);
    assert_eq!(list(&["--user", "me", "--as", "bob"]), [other.as_str()]);
    assert_eq!(list(&["--user", "me", "--state", "failed"]), [failed.as_str()]);
    assert_eq!(list(&["--queue", "batch"]), [batch.as_str()]);
    assert_eq!(list(&["--name", "other", "--since", "1h"]), [other.as_str()]);
    assert_eq!(list(&["--since", "1h", "--limit", "2"]), [batch.as_str(), failed.as_str()]);
    assert_eq!(list(&["--since", "1h", "--all"]).len(), 3);
    desk.run(&["jobs", "--since", "2100-01-01"]).code(2).says(&["--since", "this is in the future"]);
    // The server does it: each page holds only what was asked for.
    let page = desk.cluster.server.http().get("/v1/jobs?since=1h&state=failed&limit=1");
    assert_eq!(
        (&page["items"][0]["name"], &page["next"]),
        (&"failed".into(), &serde_json::Value::Null),
        "{page}"
    );
    desk.run(&["jobs", "--since", "3"]).code(2).says(&["--since", "3s (3 seconds)"]);
    desk.run(&["jobs", "--since", "noon"]).code(2).says(&["--since", "'yesterday 8:00'"]);
}

/// What a shell script prints. `None` if that shell is not on this machine.
fn shell(program: &str, dir: &Path, script: &str) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(["-c", script])
        .current_dir(dir)
        .env("TY", crate::common::binary())
        .env("HOME", dir)
        .env("MANWIDTH", "100")
        .env("LC_ALL", "C");
    match command.output() {
        Ok(out) => {
            let (text, error) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert!(out.status.success() && error.is_empty(), "{program} {script}: {text} {error}");
            Some(text.into_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn shells_complete_commands_and_options() {
    let home = tempfile::tempdir().unwrap();
    let complete = |words: &str| {
        let script = format!(
            "mkdir -p bin; ln -sf \"$TY\" bin/taskyard; PATH=$PWD/bin:$PATH; source <(taskyard completions bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _taskyard taskyard \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        shell("bash", home.path(), &script).expect("bash is everywhere")
    };
    assert_eq!(complete("taskyard sub").trim(), "submit");
    let options = complete("taskyard submit --a");
    assert!(options.contains("--after") && options.contains("--array"), "{options}");
    assert_eq!(complete("taskyard queue s").trim(), "set");
    assert_eq!(complete("taskyard keep").trim(), "", "what is hidden is not offered");
    assert_eq!(complete("taskyard show --server 127.0.0.1:1 1").trim(), "", "no server, no noise");
    for name in ["zsh", "fish"] {
        let text = cli::run(home.path(), "", &["completions", name], "").code(0).stdout;
        assert!(text.contains("taskyard complete"), "{name}");
        // Where that shell is at hand, it must at least read it.
        shell(name, home.path(), &format!("\"$TY\" completions {name} > script; {name} -n script"));
    }
}

#[test]
fn manual_pages_render() {
    let home = tempfile::tempdir().unwrap();
    cli::run(home.path(), "", &["man", "--dir", "pages"], "").code(0);
    let pages: Vec<String> = fs::read_dir(home.path().join("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for page in
        ["taskyard.1", "taskyard-submit.1", "taskyard-queue-set.1", "taskyard-server.1", "taskyard-man.1"]
    {
        assert!(pages.iter().any(|name| name == page), "{page} is missing in {pages:?}");
    }
    assert!(!pages.iter().any(|name| name.contains("keeper")), "what is hidden has no page");
    assert_eq!(
        cli::run(home.path(), "", &["man", "submit"], "").code(0).stdout,
        fs::read_to_string(home.path().join("pages/taskyard-submit.1")).unwrap()
    );
    cli::run(home.path(), "", &["man", "sbmit"], "").code(2).says(&["sbmit", "submit"]);
    if shell("sh", home.path(), "command -v man || echo none").unwrap().trim() == "none" {
        println!("there is no man here: what it makes of the pages was not looked at");
        return;
    }
    for page in pages {
        let text = shell("sh", home.path(), &format!("man -l pages/{page} | cat")).unwrap();
        let title = page.trim_end_matches(".1");
        assert!(text.contains("NAME") && text.contains(title), "{page}: {text}");
    }
    let submit = shell("sh", home.path(), "man -l pages/taskyard-submit.1 | col -bx").unwrap();
    assert!(
        submit.contains("--after") && submit.contains("  taskyard submit job.toml --cpus 2 "),
        "{submit}"
    );
}

#[test]
fn many_jobs_come_from_one_file_and_never_twice() {
    let desk = Desk::new("4");
    let write = |name: &str, text: &str| fs::write(desk.home.join(name), text).unwrap();
    write(
        "jobs.jsonl",
        "{\"command\": [\"true\"], \"name\": \"a\"}\n{\"command\": [\"true\"], \"name\": \"b\", \"after\": [\"ok:last\"]}\n",
    );
    let args = ["submit", "--from-json", "jobs.jsonl", "--request-id", "batch", "--output", "json"];
    let first = desk.run(&args).code(0).json();
    assert_eq!(
        (first[0]["job"].as_u64(), first[1]["job"].as_u64(), &first[2]),
        (Some(1), Some(2), &serde_json::Value::Null)
    );
    desk.submit(&["--", "true"]);
    // The file has grown: what was submitted is not submitted again, and `last` is the one before it in the file.
    write(
        "jobs.json",
        r#"[{"command": ["true"], "name": "a"}, {"command": ["true"], "name": "b"}, {"command": ["true"], "after": ["ok:last"]}]"#,
    );
    let again = desk.run(&["submit", "--from-json", "jobs.json", "--request-id", "batch", "--wait"]).code(0);
    assert_eq!(again.stdout.matches("was submitted before").count(), 2, "{again:?}");
    let shown = desk.run(&["show", "4", "--output", "json"]).code(0).json();
    assert_eq!(shown["after"][0]["job"], 2, "{shown}");

    let ids = cli::run(
        &desk.home,
        &desk.cluster.server.url,
        &["submit", "--from-json", "-", "--hold", "--parsable"],
        "{\"command\": [\"true\"]}",
    )
    .code(0);
    assert_eq!(
        (ids.stdout.trim(), desk.state("5").as_str()),
        ("5", "held"),
        "an option holds for all of them"
    );

    // Everything is checked before anything is sent.
    write("bad.json", r#"[{"command": ["true"]}, {"command": ["true"], "memory": 4}]"#);
    desk.run(&["submit", "--from-json", "bad.json"]).code(2).says(&["bad.json: element 2: memory", "4GiB"]);
    assert_eq!(desk.run(&["jobs", "--output", "ids"]).code(0).stdout.lines().count(), 5);
    // Also what only the server knows, and all of it at once.
    write(
        "half.json",
        r#"[{"command": ["true"]}, {"command": ["true"], "queue": "nowhere"}, {"command": ["true"], "cpus": 512}, {"command": ["true"], "after": ["ok:last", "ok:999"]}]"#,
    );
    let args = ["submit", "--from-json", "half.json", "--request-id", "half", "--output", "ids"];
    let half = desk.run(&args).code(2).says(&[
        "3 of 4 jobs were refused, and none was submitted",
        "half.json: element 2: queue",
        "half.json: element 3: cpus",
        "half.json: element 4: after",
        "999",
    ]);
    assert_eq!(half.stdout, "");
    // A plan finds the same mistakes at once; that no node could run the third is an answer, not a mistake.
    let planned = desk.run(&["plan", "--from-json", "half.json"]).code(2);
    planned.says(&["2 of 4 jobs were refused", "half.json: element 2: queue", "element 4: after"]);
    assert_eq!(desk.run(&["jobs", "--output", "ids"]).code(0).stdout.lines().count(), 5);
    desk.run(&["queue", "set", "nowhere"]).code(0);
    write(
        "half.json",
        r#"[{"command": ["true"]}, {"command": ["true"], "queue": "nowhere"}, {"command": ["true"], "after": ["ok:last"]}]"#,
    );
    assert_eq!(desk.run(&args).code(0).stdout, "6\n7\n8\n");
    assert_eq!(desk.run(&args).code(0).stdout, "6\n7\n8\n", "what was taken once stays taken");
}

#[test]
fn jobs_wait_for_others_and_are_skipped_when_that_is_in_vain() {
    let desk = Desk::new("4");
    let (good, bad) = (desk.until("good"), desk.until("bad"));
    let good_job = desk.submit(&["--", "sh", "-c", &good]);
    let bad_job = desk.submit(&["--", "sh", "-c", &bad]);
    let both = desk.submit(&["--after", &format!("ok:{good_job},any:{bad_job}"), "--", "true"]);
    let cleanup = desk.submit(&["--after", &format!("fail:{bad_job}"), "--", "true"]);
    let vain = desk.submit(&["--after", &format!("ok:{bad_job}"), "--array", "1-1000", "--", "true"]);
    let cascade = desk.submit(&["--after", "ok:last", "--", "true"]);
    let report = desk.submit(&["--after", "any:last", "--", "true"]);

    let explain = desk.run(&["explain", &both, "--output", "json"]).code(0).json();
    assert_eq!(
        (&explain["reason"], &explain["after"][0]["state"]),
        (&"after".into(), &"running".into()),
        "{explain}"
    );
    let text = desk.run(&["explain", &both]).code(0).stdout;
    let says =
        format!("waits until job {good_job} has succeeded (job {good_job} is running), and for 1 more job");
    assert!(text.contains(&says), "{text}");
    let shown = desk.run(&["show", &both]).code(0).stdout;
    assert!(shown.contains(&format!("ok:{good_job} (running)")), "{shown}");

    desk.let_go("bad", 3);
    desk.run(&["wait", &cleanup]).code(0);
    desk.run(&["wait", &vain]).code(1).says(&["skipped", &format!("job {bad_job} failed")]);
    desk.run(&["wait", &cascade]).code(1);
    desk.run(&["wait", &report]).code(0);
    assert_eq!(desk.state(&both), "pending");
    desk.run(&["release", &both]).code(0);
    assert_eq!(desk.state(&both), "pending", "a release does not skip what it waits for");
    desk.let_go("good", 0);
    desk.run(&["wait", &both]).code(0);

    let skipped = desk.run(&["jobs", "--state", "skipped", "--output", "ids"]).code(0).stdout;
    assert_eq!(skipped.split_whitespace().collect::<Vec<_>>(), [cascade.as_str(), vain.as_str()]);
    desk.run(&["submit", "--after", &format!("ok:{vain}"), "--", "true"]).code(0).says(&["skipped at once"]);
    desk.run(&["run", "--after", &format!("ok:{vain}"), "--", "true"]).code(125).says(&["skipped"]);
    desk.run(&["submit", "--after", "ok:4711", "--", "true"]).code(2).says(&["--after", "4711", "no job"]);
    desk.run(&["submit", "--after", "4711", "--", "true"]).code(2).says(&["--after", "ok:4711"]);
    // Run again, it waits no more for what has ended.
    let again = desk.run(&["retry", "--parsable", &cascade]).code(0).id().to_string();
    desk.run(&["wait", &again]).code(0);
}
