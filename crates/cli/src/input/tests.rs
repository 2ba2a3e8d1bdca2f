//! What command lines, scripts and job files become, and how their mistakes read.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    job: JobArgs,
}

fn files(path: &str) -> io::Result<Vec<u8>> {
    let text = match path {
        "train.sh" => {
            "#!/bin/sh\n# comment\n#TASKYARD --mem 4GiB --cpus 2 # why\n\n#TASKYARD --env 'A=1 2' --env B=1\n./train\n#TASKYARD --hold\n"
        }
        "bad.sh" => "#!/bin/sh\n#TASKYARD --mem 4\n",
        "flag.sh" => "#!/bin/sh\n\n#TASKYARD --memm 4GiB\n",
        "quote.sh" => "#!/bin/sh\n#TASKYARD --name 'x\n",
        "plain.sh" => "echo hi\n",
        "job.toml" => "command = [\"x\", \"y\"]\ntime_limit = 01:30:00\nretries = 2\n[env]\nA = \"file\"\n",
        "begin.toml" => "command = [\"x\"]\nbegin = 06:30:00\n",
        "bad.toml" => "command = [\"x\"]\nmemory = 4\n",
        "near.toml" => "command = [\"x\"]\nmem = \"4GiB\"\n",
        "syntax.toml" => "command = [\"x\"]\nname = \n",
        "job.json" => "{\"command\": [\"x\"], \"cpus\": 0.5}",
        "syntax.json" => "{\"command\": [\"x\"],\n  }",
        "lines" => "a\nb c\n",
        "empty" => "",
        "-" => "{\"command\": [\"from stdin\"]}",
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(text.as_bytes().to_vec())
}

fn now() -> Zoned {
    jiff::civil::date(2026, 11, 24).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap()
}

fn here() -> Here {
    let env = [("HOME", "/h"), ("TASKYARD_SERVER", "x"), ("A", "here")];
    Here { cwd: Some("/w/50%".into()), env: env.map(|(k, v)| (k.into(), v.into())).into(), now, read: files }
}

fn built(words: &str) -> Result<Built, Failure> {
    let words = words::split(&format!("x {words}")).unwrap();
    let line = Line::try_parse_from(words).unwrap();
    build(&line.target, &line.job, &here())
}

fn spec(words: &str) -> JobSpec {
    built(words).unwrap_or_else(|e| panic!("{words}: {e}")).request.spec
}

#[test]
fn commands() {
    let s = spec("--mem 1GiB --resource licence=2 --env A --env C=d=e -- sleep 10 --mem");
    assert_eq!(s.command.unwrap(), ["sleep", "10", "--mem"]);
    assert_eq!(s.cwd.as_deref(), Some("/w/50%%"));
    assert_eq!(s.resources["licence"], 2);
    assert_eq!((s.env["A"].as_str(), s.env["C"].as_str(), s.env.len()), ("here", "d=e", 2));
    assert_eq!(spec("--cwd none -- x").cwd, None);
    assert_eq!(spec("--cwd sub -- x").cwd.as_deref(), Some("/w/50%%/sub"));
    assert_eq!(spec("--cwd /d/%{job} -- x").cwd.as_deref(), Some("/d/%{job}"));
    let all = spec("--env-all --env A=1 -- x").env;
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("A".into(), "1".into()), ("HOME".into(), "/h".into())]);
    assert_eq!(spec("--each-line lines -- x").entries, ["a", "b c"]);
    assert!(matches!(spec("--stdin - -- x").stdin_data, Some(Blob::Text(_))));
    let null = spec("--driver null --null-fail-per-mille 20 --array 1-9");
    assert_eq!((null.null.unwrap().fail_per_mille, null.cwd), (20, None));
}

#[test]
fn begins() {
    let begin = |words: &str| spec(words).begin.unwrap();
    assert_eq!(begin("--begin 18:00 -- x"), "2026-11-24T18:00:00Z");
    assert_eq!(begin("--begin +2h -- x"), "+2h");
    assert_eq!(begin("begin.toml"), "2026-11-25T06:30:00Z");
}

#[test]
fn predecessors() {
    let job = built("--after ok:12,13 --after any:last,fail:7-8 -- x").unwrap();
    assert_eq!(job.request.spec.after, ["ok:12", "ok:13", "fail:7", "fail:8"]);
    assert_eq!(job.after_last, [Need::Any]);
}

#[test]
fn scripts_with_directives() {
    let script = built("--cpus 1 --env B=2 train.sh a -- --b").unwrap();
    let s = &script.request.spec;
    assert_eq!(s.args, ["a", "--b"]);
    assert_eq!((s.name.as_deref(), s.hold), (Some("train.sh"), false));
    assert_eq!((s.cpus.as_ref().unwrap().0.as_str(), s.memory.as_ref().unwrap().0.as_str()), ("1", "4GiB"));
    assert_eq!((s.env["A"].as_str(), s.env["B"].as_str()), ("1 2", "2"));
    assert_eq!(
        script.warnings,
        ["train.sh:7: this #TASKYARD line comes after the first command and is not read"]
    );
}

#[test]
fn job_files() {
    let s = spec("job.toml --env A=line --retries 5");
    assert_eq!((s.retries, s.env["A"].as_str(), s.cwd), (Some(5), "line", None));
    assert_eq!(s.time_limit.unwrap().0, "01:30:00");
    assert_eq!(spec("job.json").cpus.unwrap().0, "0.5");
    assert_eq!(spec("-").command.unwrap(), ["from stdin"]);
}

#[test]
fn mistakes_name_the_place_and_the_remedy() {
    let cases = [
        ("", "CMD", "give a command after --"),
        ("sleep 10", "FILE", "`-- sleep 10`"),
        ("--mem 4 -- x", "--mem", "4GiB (gibibytes)"),
        ("--time-limit 30 -- x", "--time-limit", "30m (30 minutes)"),
        ("--array 5-1 -- x", "--array", "before the first"),
        ("--array 1-9%2 --max-running 2 -- x", "--array", "max_running"),
        ("--each-line lines --array 1-3 -- x", "--each-line", "as many lines as tasks"),
        ("--each-line empty -- x", "--each-line", "empty"),
        ("--each-line gone -- x", "--each-line", "cannot be read"),
        ("--env NOPE -- x", "--env", "NAME=VALUE"),
        ("--env =x -- x", "--env", "not empty"),
        ("--env TASKYARD_JOB=1 -- x", "--env", "set by Taskyard"),
        ("--resource licence -- x", "--resource", "licence=1"),
        ("--resource gpu=1 -- x", "--resource", "--gpus"),
        ("--resource A=1 -- x", "--resource", "a-z 0-9"),
        ("--constraint 'zone ==' -- x", "--constraint", "zone == a"),
        ("--stdout '%{jb}' -- x", "--stdout", "%{job}"),
        ("--name 'My job' -- x", "--name", "a-z 0-9"),
        ("--retries 101 -- x", "--retries", "at most 100"),
        ("--gpus 1.5 -- x", "--gpus", "never split"),
        ("--begin noon -- x", "--begin", "'tomorrow 6:00'"),
        ("--after 12 -- x", "--after", "ok:12 (it succeeded)"),
        ("--after ok:5 --after any:5 -- x", "--after", "named twice"),
        ("--on-agent-lost wait -- x", "--on-agent-lost", "retry or fail"),
        ("--driver docker -- x", "--driver", "process and null"),
        ("--driver null -- x", "--driver", "leave command"),
        ("--request-id '' -- x", "--request-id", "1 to 64 bytes"),
        ("bad.sh", "bad.sh:2: --mem", "4GiB (gibibytes)"),
        ("flag.sh", "flag.sh:3", "'--mem'"),
        ("quote.sh", "quote.sh:2", "not closed"),
        ("plain.sh", "script", "#!/bin/sh"),
        ("bad.toml", "bad.toml: memory", "4GiB (gibibytes)"),
        ("bad.toml --mem 5", "--mem", "5GiB (gibibytes)"),
        ("near.toml", "near.toml: mem", "did you mean \"memory\""),
        ("syntax.toml", "syntax.toml:2", "not TOML"),
        ("syntax.json", "syntax.json:2:3", "not JSON"),
        ("job.toml -- extra", "CMD", "whole command"),
    ];
    for (words, field, remedy) in cases {
        match built(words) {
            Err(Failure::Invalid(error)) => {
                assert_eq!(error.field, field, "{words}: {error}");
                assert!(error.remedy.contains(remedy), "{words}: {error}");
            }
            other => panic!("{words}: {other:?}"),
        }
    }
}
