//! Jobs that people write, and how their mistakes read.

use super::*;
use crate::body;
use serde_json::{Value, json};

fn read(value: Value) -> Result<spec::JobSpec, Invalid> {
    spec::JobSpec::try_from(body::from_value::<JobSpec>(value)?)
}

#[test]
fn a_small_job_has_every_default() {
    let spec = read(json!({"command": ["/usr/bin/Sleep It", "10"]})).unwrap();
    assert_eq!((spec.name.as_str(), spec.queue.as_str()), ("Sleep It", "default"));
    assert_eq!((spec.request.amounts.cpu_milli, spec.request.amounts.memory), (1_000, 0));
    assert_eq!(
        (spec.array.clone(), spec.grace_ms, spec.retry.backoff_ms),
        (ArraySpec::single(), 5_000, 1_000)
    );
}

#[test]
fn every_field_arrives_and_comes_back() {
    let jobs = [
        json!({"command": ["true"]}),
        json!({
            "name": "train", "queue": "batch", "namespace": "team-a", "account": "grant-7", "priority": -5, "script": "#!/bin/sh\necho hi\n", "args": ["a"],
            "env": {"A": "b"}, "cwd": "/w/%{job}", "stdin_data": {"base64": "/w=="}, "stdout": "out-%{task}", "stderr": "err",
            "array": "1-1000:2%50", "cpus": 0.5, "memory": "1.5GiB", "gpus": "2", "resources": {"licence": 1},
            "constraint": "zone in (a,b) && !spot", "time_limit": "1h30m", "estimate": "10m", "grace": "30s", "retries": 3,
            "backoff": "250ms", "max_fails": 7, "hold": true, "after": ["ok:12", "any:7"], "begin": "+2h", "on_agent_lost": "fail",
        }),
        json!({"command": ["x"], "entries": ["a", "b"], "max_running": 1, "stdin": "/dev/zero", "memory": "0", "begin": "2026-11-24T17:00:00Z"}),
        json!({"driver": "null", "null": {"fail_per_mille": 20}, "array": "0-99", "memory": "1000B"}),
        json!({"command": ["x"], "array": "7-7"}),
    ];
    for job in jobs {
        let spec = read(job.clone()).unwrap_or_else(|e| panic!("{job}: {e}"));
        let echo = JobSpec::from(&spec);
        let again = spec::JobSpec::try_from(echo.clone()).unwrap();
        assert_eq!(again, spec, "{job}");
        assert_eq!(serde_json::from_value::<JobSpec>(serde_json::to_value(&echo).unwrap()).unwrap(), echo);
    }
}

#[test]
fn a_script_of_a_shell_names_its_job() {
    let named = |command: &[&str]| read(json!({ "command": command })).unwrap().name;
    for (command, name) in [
        (&["sh", "-c", "for i in 1 2; do\n\techo $i\ndone"][..], "for i in 1 2; do echo $i done"),
        (&["/bin/bash", "-euo", "pipefail", "-c", "make test"], "make test"),
        (&["bash", "-lc", "train --epochs 10 --data /data/big/set"], "train --epochs 10 --data /data/b"),
        (&["sh", "-c", " \n"], "sh"),
        (&["sh", "-c"], "sh"),
        (&["sh", "run.sh", "-c"], "sh"),
        (&["Rscript", "-c", "x"], "Rscript"),
    ] {
        assert_eq!(named(command), name, "{command:?}");
    }
}

#[test]
fn refusals_name_field_and_remedy() {
    let cases = [
        (json!({"command": ["x"], "mem": "4GiB"}), "mem", "did you mean \"memory\""),
        (json!({"command": ["x"], "time-limit": "1h"}), "time-limit", "did you mean \"time_limit\""),
        (json!({"command": ["x"], "retrys": 1}), "retrys", "did you mean \"retries\""),
        (json!({"command": ["x"], "zzz": 1}), "zzz", "no such field in a job; expected name, "),
        (json!({"command": "sleep 10"}), "command", "[\"sleep\", \"10\"]"),
        (json!({"command": ["x"], "memory": 4}), "memory", "4GiB (gibibytes)"),
        (json!({"command": ["x"], "time_limit": 30}), "time_limit", "30m (30 minutes)"),
        (json!({"command": ["x"], "time_limit": "0s"}), "time_limit", "more than zero"),
        (json!({"command": ["x"], "cpus": 0.0001}), "cpus", "three decimals"),
        (json!({"command": ["x"], "gpus": 1.5}), "gpus", "never split"),
        (json!({"command": ["x"], "gpus": 65}), "gpus", "at most 64"),
        (json!({"command": ["x"], "begin": "18:00"}), "begin", "with its zone"),
        (json!({"command": ["x"], "after": "ok:1"}), "after", "write a list"),
        (json!({"command": ["x"], "after": ["ok:last"]}), "after", "by its id"),
        (json!({"command": ["x"], "after": ["ok:1", "any:1"]}), "after", "named twice"),
        (json!({"command": ["x"], "array": 10}), "array", "1-1000"),
        (json!({"command": ["x"], "array": "10-1"}), "array", "before the first"),
        (json!({"command": ["x"], "array": "1-9%2", "max_running": 2}), "array", "leave %N out"),
        (
            json!({"command": ["x"], "entries": ["a"], "array": "1-2"}),
            "entries",
            "as many lines as the job has tasks",
        ),
        (json!({"command": ["x"], "retries": -1}), "retries", "whole number"),
        (json!({"command": ["x"], "retries": 101}), "retries", "at most 100"),
        (json!({"command": ["x"], "env": {"A": 1}}), "env.A", "string values"),
        (json!({"command": ["x"], "env": {"TASKYARD_JOB": "1"}}), "env", "set by Taskyard"),
        (json!({"command": ["x"], "resources": {"gpu": 1}}), "resource", "built in"),
        (json!({"command": ["x"], "resources": {"licence": "one"}}), "resources.licence", "whole numbers"),
        (json!({"command": ["x"], "stdout": "%{jb}"}), "stdout", "%{job}"),
        (json!({"command": ["x"], "constraint": "zone=="}), "constraint", "zone == a"),
        (json!({"command": ["x"], "name": "My\u{202e}Job"}), "name", "U+202E"),
        (json!({"command": ["x"], "namespace": "Team A"}), "namespace", "a-z 0-9"),
        (json!({"command": ["x"], "account": ""}), "account", "a-z 0-9"),
        (json!({"command": ["x"], "script": "#!/bin/sh"}), "script", "not both"),
        (json!({"command": ["x"], "args": ["y"]}), "args", "into command"),
        (json!({"script": "echo hi"}), "script", "#!/bin/sh"),
        (json!({}), "command", "give a command or a script"),
        (json!({"command": []}), "command", "give a command"),
        (json!({"command": ["x"], "stdin": "a", "stdin_data": "b"}), "stdin", "not both"),
        (json!({"driver": "null", "command": ["x"]}), "driver", "leave out command"),
        (json!({"driver": "docker", "command": ["x"]}), "driver", "process"),
        (json!({"null": {"fail": 1}}), "null.fail", "in \"null\"; expected fail_per_mille, run_ms"),
        (json!(["x"]), "job", "object"),
    ];
    for (job, field, remedy) in cases {
        let error = read(job.clone()).expect_err(&job.to_string());
        assert_eq!(error.field, field, "{job}: {error}");
        assert!(error.remedy.contains(remedy), "{job}: {error}");
    }
}

#[test]
fn bodies_are_diagnosed_from_the_outside_in() {
    let submit = |text: &str| body::parse::<crate::SubmitRequest>(text.as_bytes()).unwrap_err();
    assert_eq!(submit("{\"spec\": {\"command\": [\"x\"], \"cpu\": 1}}").field, "cpu");
    assert_eq!(submit("{\"job\": {}}").field, "job");
    assert_eq!(submit("{}").field, "spec");
    assert_eq!(submit("{\"spec\": ").field, "body");
    assert!(submit(&format!("\"{}\"", "x".repeat(5 << 20))).remedy.contains("4194304"));
    let update = body::parse::<crate::UpdateJob>(b"{\"prio\": 1}").unwrap_err();
    assert_eq!(update.field, "prio");
    let queue = body::parse::<crate::QueueSettings>(b"{\"polcy\": \"sjf\"}").unwrap_err();
    assert!(queue.remedy.contains("policy"), "{queue}");
}

#[test]
fn updates_and_queue_settings_are_checked() {
    let update = crate::UpdateJob {
        time_limit: Some("none".into()),
        max_running: Some("5".into()),
        ..Default::default()
    };
    let changes = update.check().unwrap();
    assert_eq!(
        (changes.time_limit_ms, changes.max_running, changes.priority),
        (Some(None), Some(Some(5)), None)
    );
    for (update, field) in [
        (crate::UpdateJob::default(), "update"),
        (crate::UpdateJob { time_limit: Some("30".into()), ..Default::default() }, "time_limit"),
        (crate::UpdateJob { max_running: Some("0".into()), ..Default::default() }, "max_running"),
        (crate::UpdateJob { priority: Some(i32::MIN), ..Default::default() }, "priority"),
    ] {
        assert_eq!(update.check().unwrap_err().field, field);
    }
    let base = taskyard_model::QueueConfig::default();
    let settings = crate::QueueSettings { policy: Some("sjf".into()), ..Default::default() };
    assert_eq!(settings.over(&base).unwrap().weight, 1);
    let settings = crate::QueueSettings { policy: Some("fifo".into()), ..Default::default() };
    assert_eq!(settings.over(&base).unwrap_err().field, "policy");
}
