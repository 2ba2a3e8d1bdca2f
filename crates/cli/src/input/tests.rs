//! What command lines, scripts and job files become, and how their mistakes read.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct TypedLine {
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
        "windows.sh" => "#!/bin/bash\r\necho hi\r\n",
        "dash.sh" => "#!/bin/sh\n#TASKYARD –cpus 3\n",
        "mark.sh" => "\u{feff}#!/bin/sh\n#TASKYARD --cpus 3\n",
        "train.py" => "#!/usr/bin/env python3\n#TASKYARD --cpus 3\n",
        "slurm.sh" => "#!/bin/sh\n#SBATCH -c 3\n",
        "zero.toml" => "command = [\"x\"]\n\"cpus\u{200b}\" = 2\n",
        "quotes.toml" => "command = [“x”]\n",
        "twice.toml" => "command = [\"x\"]\ncpus = 1\ncpus = 3\n",
        "twice.json" => "{\"command\":[\"x\"],\"a\":1,\"cpus\":1,\"cpus\":3}",
        "wide.json" => return Ok(b"\xff\xfe{\0}\0".to_vec()),
        "mark.json" => "\u{feff}{\"command\": [\"x\"]}",
        "mark.toml" => "\u{feff}command = [\"x\"]",
        "mark-lines" => "\u{feff}a\r\nb\r\n",
        "job.json" => "{\"command\": [\"x\"], \"cpus\": 0.5}",
        "syntax.json" => "{\"command\": [\"x\"],\n  }",
        "lines" => "a\nb c\n",
        "empty" => "",
        "-" => "{\"command\": [\"from stdin\"]}",
        _ => return Err(io::ErrorKind::NotFound.into()),
    };
    Ok(text.as_bytes().to_vec())
}

fn now() -> Result<Zoned, Invalid> {
    Ok(jiff::civil::date(2026, 11, 24).at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap())
}

fn here() -> Here {
    let env = [("HOME", "/h"), ("TASKYARD_SERVER", "x"), ("A", "here")];
    let env = env.map(|(k, v)| (k.into(), v.into())).into();
    let env_unread = vec!["LATIN".to_owned()];
    Here { cwd: Ok("/w/50%".into()), env, env_unread, now, read: files, peek: |path| files(path).ok() }
}

fn built(words: &str) -> Result<Built, Failure> {
    let words = words::split(&format!("x {words}")).unwrap();
    let line = TypedLine::try_parse_from(words).unwrap();
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
    assert_eq!((s.env["A"].as_str(), s.env["C"].as_str(), s.env.len()), ("here", "d=e", 3));
    assert_eq!(s.env["TASKYARD_SUBMIT_DIR"], "/w/50%");
    assert_eq!(spec("--cwd none -- x").cwd, None);
    assert_eq!(spec("--cwd sub -- x").cwd.as_deref(), Some("/w/50%%/sub"));
    assert_eq!(spec("--cwd /d/%{job} -- x").cwd.as_deref(), Some("/d/%{job}"));
    let mut all = spec("--env-all --env A=1 -- x").env;
    all.remove("TASKYARD_SUBMIT_DIR");
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("A".into(), "1".into()), ("HOME".into(), "/h".into())]);
    assert_eq!(
        built("--env-all -- x").unwrap().warnings,
        ["--env-all: not UTF-8, so the tasks do not get: LATIN"]
    );
    assert_eq!(spec("--each-line lines -- x").entries, ["a", "b c"]);
    assert!(matches!(spec("--stdin - -- x").stdin_data, Some(Blob::Text(_))));
    let null = spec("--driver null --null-fail-per-mille 20 --array 1-9");
    assert_eq!((null.null.unwrap().fail_per_mille, null.cwd), (20, None));
}

#[test]
fn byte_order_marks_are_read_over() {
    for path in ["mark.json", "mark.toml"] {
        assert_eq!(spec(path).command.unwrap(), ["x"], "{path}");
    }
    assert_eq!(spec("mark.sh").cpus.unwrap().0, "3");
    assert_eq!(spec("--each-line mark-lines -- x").entries, ["a", "b"]);
}

#[test]
fn directives_of_a_command_are_hinted_at() {
    for (words, place, instead) in [
        ("-- train.py --epochs 3", "train.py:2: this #TASKYARD line", "submit train.py -- --epochs 3`"),
        ("-- python3 -u train.py", "train.py:2: this #TASKYARD line", "submit train.py`"),
        ("-- /usr/bin/env bash slurm.sh", "slurm.sh:2: this #SBATCH line", "submit slurm.sh`"),
    ] {
        let built = built(words).unwrap();
        let [hint] = &built.warnings[..] else { panic!("{words}: {:?}", built.warnings) };
        assert!(hint.starts_with(place) && hint.contains(instead), "{hint}");
    }
    for words in
        ["-- plain.sh", "-- cat train.py", "-- python3 -c train.py", "-- echo", "-- sh -c 'x train.py'"]
    {
        assert!(built(words).unwrap().warnings.is_empty(), "{words}");
    }
}

#[test]
fn a_current_directory_that_is_gone_is_an_error_where_it_counts() {
    let gone = |words: &str| {
        let words = words::split(&format!("x {words}")).unwrap();
        let line = TypedLine::try_parse_from(words).unwrap();
        build(&line.target, &line.job, &Here { cwd: Err("it is gone".into()), ..here() })
    };
    for words in ["-- x", "plain.sh", "--cwd sub -- x", "job.toml --cwd sub", "--each-line lines -- x"] {
        match gone(words) {
            Err(Failure::Invalid(error)) => {
                assert!(error.field.ends_with("cwd") && error.remedy.contains("it is gone; name"), "{error}");
            }
            other => panic!("{words}: {other:?}"),
        }
    }
    for words in ["--cwd /tmp -- x", "--cwd none -- x", "job.toml", "--driver null", "--cwd /d mark.sh"] {
        assert!(gone(words).is_ok(), "{words}");
    }
}

#[test]
fn amounts_are_shown_as_they_were_read() {
    let notes = |words: &str| built(words).unwrap().notes;
    assert_eq!(
        notes("--time-limit 30:00 --mem 4g --estimate 20m -- x"),
        ["--mem: \"4g\": read as 4GiB", "--time-limit: \"30:00\": read as 30m",]
    );
    assert_eq!(notes("job.toml --grace 1-00"), ["--grace: \"1-00\": read as 1d"]);
    assert!(notes("--time-limit 1h30m --mem 4GiB --name 1-12 --array 1-12 --begin 18:00 -- x").is_empty());
}

#[test]
fn begins() {
    let begin = |words: &str| spec(words).begin.unwrap();
    assert_eq!(begin("--begin 18:00 -- x"), "2026-11-24T18:00:00Z");
    assert_eq!(begin("--begin +2h -- x"), "+2h");
    assert_eq!(begin("begin.toml"), "2026-11-25T06:30:00Z");
    let told = built("--begin yesterday -- x").unwrap().warnings;
    assert!(told[0].starts_with("--begin: ") && told[0].ends_with("may start at once"), "{told:?}");
    assert!(built("--begin 18:00 -- x").unwrap().warnings.is_empty());
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
        ("--each-line lines --array 1-3 -- x", "--each-line", "as many lines as the job has tasks"),
        ("--each-line empty -- x", "--each-line", "empty"),
        ("--each-line gone -- x", "--each-line", "cannot be read"),
        ("--env NOPE -- x", "--env", "NAME=VALUE"),
        ("--env A=1 --env B=1 --env A=2 -- x", "--env", "A is given twice, as A=1 and as A=2"),
        ("--env A --env A=2 -- x", "--env", "A is given twice"),
        ("--resource a=1 --resource a=2 -- x", "--resource", "a is given twice, as a=1 and as a=2"),
        ("--each-line wide.json -- x", "--each-line", "the file is in UTF-16; save it as UTF-8"),
        ("--array 1-18446744073709551615 -- x", "--array", "numbers of tasks are at most"),
        ("--array 18446744073709551615-18446744073709551616 -- x", "--array", "is too large"),
        ("twice.toml", "twice.toml:3", "cpus is given twice: line 2 has cpus = 1"),
        ("--env LATIN -- x", "--env", "not UTF-8"),
        ("--env =x -- x", "--env", "cannot be empty"),
        ("--env TASKYARD_JOB=1 -- x", "--env", "set by Taskyard"),
        ("--resource licence -- x", "--resource", "licence=1"),
        ("--resource gpu=1 -- x", "--resource", "--gpus"),
        ("--resource A=1 -- x", "--resource", "a-z 0-9"),
        ("--constraint 'zone ==' -- x", "--constraint", "zone == a"),
        ("--stdout '%{jb}' -- x", "--stdout", "%{job}"),
        ("--retries 101 -- x", "--retries", "at most 100"),
        ("--gpus 1.5 -- x", "--gpus", "never split"),
        ("--begin noon -- x", "--begin", "'tomorrow 6:00'"),
        ("--after 12 -- x", "--after", "ok:12 (it succeeded)"),
        ("--after ok:5 --after any:5 -- x", "--after", "named twice"),
        ("--on-agent-lost wait -- x", "--on-agent-lost", "retry or fail"),
        ("--driver docker -- x", "--driver", "process or null"),
        ("--driver null -- x", "--driver", "leave out command"),
        ("--request-id '' -- x", "--request-id", "1 to 64 bytes"),
        ("bad.sh", "bad.sh:2: --mem", "4GiB (gibibytes)"),
        ("flag.sh", "flag.sh:3", "'--mem'"),
        ("quote.sh", "quote.sh:2", "not closed"),
        ("plain.sh", "plain.sh:1", "#!/bin/sh"),
        ("windows.sh", "windows.sh:1", "Windows line ending"),
        ("dash.sh", "dash.sh:2", "U+2013"),
        ("zero.toml", "zero.toml: cpus\\u{200b}", "column 5 holds a zero-width character (U+200B)"),
        ("quotes.toml", "quotes.toml:1", "line 1, column 12 holds a typographic quote (U+201C)"),
        ("twice.json", "twice.json:1:41", "cpus is given twice, as 1 and as 3"),
        ("wide.json", "wide.json:1:1", "UTF-16"),
        ("'–cpus' 3 -- x", "FILE", "U+2013"),
        ("--cwd '~/x' -- x", "--cwd", "$HOME"),
        ("--cwd '' -- x", "--cwd", "name a directory"),
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
