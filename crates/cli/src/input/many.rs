//! Many jobs from one JSON file: an array of jobs, or one after the other, as in JSON lines. One alone is many too.

use super::{Built, FieldOrigin, Here, env, finish, job_file};
use crate::args::job::JobArgs;
use crate::exit::{Failure, Mistakes};
use serde_json::Value;
use taskyard_client::api::json::{self, Unique};
use taskyard_client::api::{Invalid, JobSpec, body, limits};

/// A job in the file, and how messages name it; or where it is not JSON.
type Element = Result<(String, Value), Invalid>;

/// The jobs of a file: those that can be checked against the cluster, and what is wrong with the others.
#[derive(Debug, Default)]
pub(crate) struct Many {
    /// Each with its place in the file, from 0.
    pub(crate) jobs: Vec<(usize, Built)>,
    pub(crate) mistakes: Mistakes,
}

/// Builds every job of the file. `id` is what their request ids are made of: the n-th job has `id-n`, so
/// that the same file with the same id makes no job twice, however far it came the first time.
pub(crate) fn build(path: &str, args: &JobArgs, id: &str, here: &Here) -> Result<Many, Failure> {
    for (flag, used) in [("--stdin", &args.stdin), ("--each-line", &args.each_line)] {
        if used.as_deref() == Some("-") {
            return Err(Invalid::new(
                flag,
                "-",
                "with --from-json, name a file: every job would read standard input",
            )
            .into());
        }
    }
    let typed = FieldOrigin { line: args.clone(), ..FieldOrigin::default() };
    env::check_once(std::iter::once(args)).map_err(|(_, invalid)| typed.locate(invalid))?;
    let content = here.read("--from-json", path)?;
    let name = if path == "-" { "standard input" } else { path };
    let elements = elements(name, &content)?;
    let (count, most) = (elements.len(), limits::JOBS_PER_FILE_MAX);
    if count == 0 || count > most {
        return Err(Invalid::new(
            "--from-json",
            format!("{count} jobs"),
            format!("1 to {most} jobs in one file"),
        )
        .into());
    }
    let one = |(number, element): (usize, Element)| {
        let (place, value) = element?;
        let origin = FieldOrigin { line: args.clone(), file: Some(place), ..FieldOrigin::default() };
        let base: JobSpec = body::from_value(value).map_err(|invalid| origin.in_file(invalid))?;
        let args = JobArgs { request_id: Some(format!("{id}-{}", number + 1)), ..args.clone() };
        // What is written a thousand times is not told a thousand times.
        finish(&args, base, here, origin).map(|built| Built { notes: Vec::new(), ..built })
    };
    let mut many = Many { mistakes: Mistakes::of(count), ..Many::default() };
    for (at, element) in elements.into_iter().enumerate() {
        match one((at, element)) {
            Ok(job) => many.jobs.push((at, job)),
            // Of one job, it is told as of any other; and of an option once, not for each job.
            Err(Failure::Invalid(mistake)) if count > 1 && !mistake.field.starts_with("--") => {
                many.mistakes.add(at, mistake);
            }
            Err(other) => return Err(other),
        }
    }
    Ok(many)
}

fn elements(name: &str, content: &[u8]) -> Result<Vec<Element>, Failure> {
    if json::without_mark(content).trim_ascii_start().first() == Some(&b'[') {
        let Value::Array(items) = job_file::json(name, content)? else { return Ok(Vec::new()) };
        let place = |(number, value)| Ok((format!("{name}: element {}", number + 1), value));
        return Ok(items.into_iter().enumerate().map(place).collect());
    }
    Ok(one_after_the_other(name, json::without_mark(content)))
}

fn one_after_the_other(name: &str, content: &[u8]) -> Vec<Element> {
    let mut found = Vec::new();
    let (mut rest, mut lines_before) = (content, 0);
    loop {
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Unique>();
        let (mut at, mut line) = (0, lines_before + 1);
        let error = loop {
            // Where this one begins: past what is white after the one before.
            let begin = at + rest[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            line += lines(&rest[at..begin]);
            at = begin;
            match values.next() {
                None => return found,
                Some(Ok(Unique(value))) => found.push(Ok((format!("{name}:{line}"), value))),
                Some(Err(error)) => break error,
            }
            at = values.byte_offset();
            line += lines(&rest[begin..at]);
        };
        found.push(Err(job_file::no_json(name, content, lines_before, &error)));
        // The reader cannot go on from here. A line that begins with a brace begins a job, so that the mistakes of the
        // others are told too.
        let Some(next) = rest[at..].windows(2).position(|pair| pair == b"\n{") else { return found };
        lines_before += lines(&rest[..=at + next]);
        rest = &rest[at + next + 1..];
    }
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(read: fn(&str) -> std::io::Result<Vec<u8>>) -> Here {
        let now = crate::time::now;
        Here {
            cwd: Ok("/w".into()),
            env: Default::default(),
            env_unread: Vec::new(),
            now,
            read,
            peek: |_| None,
        }
    }

    fn files(path: &str) -> std::io::Result<Vec<u8>> {
        let text = match path {
            "one.json" => r#"{"command": ["x"]}"#,
            "array.json" => r#"[{"command": ["x"], "name": "a"}, {"command": ["y"], "cpus": 2}]"#,
            "lines.jsonl" | "-" => {
                "{\"command\": [\"x\"]}\n\n{\"command\":\n [\"y\"],\"after\":[\"ok:last\"]}\n{\"command\": [\"z\"]}\n"
            }
            "bad.json" => r#"[{"command": ["x"]}, {"command": ["x"], "memory": 4}]"#,
            "bad.jsonl" => "{\"command\": [\"x\"]}\n{\"command\": [\"x\"],\n \"mem\": 4}\n",
            "type.jsonl" => "{\"command\": [\"x\"]}\n\n{\"command\": \"sleep 10\"}\n",
            "no-object.json" => "[1]",
            "syntax.jsonl" => "{\"command\": [\"x\"]}\n{\"command\": }\n",
            "syntax.json" => "[{\"command\": [\"x\"]},\n]",
            "mark.jsonl" => "\u{feff}{\"command\": [\"x\"]}\n{\"command\": [\"y\"]}\n",
            "mark.json" => "\u{feff}[{\"command\": [\"x\"]}]",
            "cut.jsonl" => {
                "{\"command\": [\"x\"],\n \"mem\": 4}\n{\"command\": [\"x\"\n{\"command\": [\"x\"]}\n{\"cpus\": \"two\"}\n{\"c"
            }
            "quotes.jsonl" => "{“command”: [\"x\"]}\n",
            "empty.json" => " \n",
            "twice.json" => r#"[{"command": ["x"], "env": {"A": "1", "A": "2"}}]"#,
            "twice.jsonl" => "{\"command\": [\"x\"],\n \"cpus\": 1, \"cpus\": 3}",
            "none.json" => "[]",
            "many-bad.json" => {
                let bad = r#",{"command": ["x"], "cpus": "two"}"#.repeat(30);
                return Ok(format!(r#"[{{"command": ["x"]}}{bad}]"#).into_bytes());
            }
            _ => return Err(std::io::ErrorKind::NotFound.into()),
        };
        Ok(text.as_bytes().to_vec())
    }

    fn built(path: &str, args: JobArgs) -> Result<Vec<Built>, Failure> {
        let many = build(path, &args, "k", &here(files))?;
        many.mistakes.found()?;
        Ok(many.jobs.into_iter().map(|(_, job)| job).collect())
    }

    #[test]
    fn what_is_right_is_there_beside_what_is_wrong() {
        let many = build("bad.json", &JobArgs::default(), "k", &here(files)).unwrap();
        let places: Vec<usize> = many.jobs.iter().map(|(at, _)| *at).collect();
        assert_eq!((places, many.mistakes.is_empty()), (vec![0], false));
        let mut mistakes = many.mistakes;
        mistakes.add(0, "refused by the cluster");
        let told = mistakes.found().unwrap_err().to_string();
        assert!(told.starts_with("2 of 2 jobs were refused") && told.contains(":\n  refused by"), "{told}");
    }

    #[test]
    fn arrays_lines_and_single_jobs() {
        for (path, count) in [
            ("one.json", 1),
            ("array.json", 2),
            ("lines.jsonl", 3),
            ("-", 3),
            ("mark.jsonl", 2),
            ("mark.json", 1),
        ] {
            let jobs = built(path, JobArgs { priority: Some(7), ..JobArgs::default() }).unwrap();
            assert_eq!(jobs.len(), count, "{path}");
            for (n, job) in jobs.iter().enumerate() {
                assert_eq!(job.request.request_id.as_deref(), Some(format!("k-{}", n + 1).as_str()));
                assert_eq!((job.request.spec.priority, &job.request.spec.cwd), (Some(7), &None), "{path}");
            }
        }
        let jobs = built("lines.jsonl", JobArgs::default()).unwrap();
        assert_eq!(jobs.iter().map(|job| job.after_last.len()).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn mistakes_name_the_element_and_the_field() {
        let cases = [
            ("bad.json", "bad.json: element 2: memory", "4GiB (gibibytes)"),
            ("bad.jsonl", "bad.jsonl:2: mem", "did you mean \"memory\""),
            ("type.jsonl", "type.jsonl:3: command", "no shell splits it"),
            ("no-object.json", "no-object.json: element 1: job", "write an object"),
            ("syntax.jsonl", "syntax.jsonl:2:13", "not JSON"),
            ("syntax.json", "syntax.json:2:1", "not JSON"),
            ("twice.json", "twice.json:1:47", "A is given twice, as \"1\" and as \"2\""),
            ("twice.jsonl", "twice.jsonl:2:22", "cpus is given twice, as 1 and as 3"),
            ("quotes.jsonl", "quotes.jsonl:1:2", "line 1, column 2 holds a typographic quote (U+201C)"),
            ("empty.json", "--from-json", "1 to 100000 jobs"),
            ("none.json", "--from-json", "1 to 100000 jobs"),
            ("gone.json", "--from-json", "cannot be read"),
        ];
        for (path, field, remedy) in cases {
            match built(path, JobArgs::default()) {
                Err(Failure::Invalid(error)) => {
                    assert!(error.field == field && error.remedy.contains(remedy), "{path}: {error}");
                }
                Err(error @ Failure::Mistakes(_)) => {
                    let told = error.to_string();
                    assert!(told.starts_with("1 of ") && told.contains(&format!("\n  {field}: ")), "{told}");
                    assert!(told.contains(remedy), "{told}");
                }
                other => panic!("{path}: {other:?}"),
            }
        }
        let all = built("many-bad.json", JobArgs::default()).unwrap_err();
        assert_eq!(all.code(), crate::exit::USAGE);
        let all = all.to_string();
        assert!(all.starts_with("30 of 31 jobs were refused, and none was submitted:\n"), "{all}");
        assert!(all.contains("element 2: cpus") && all.contains("element 21: cpus"), "{all}");
        assert!(!all.contains("element 22:") && all.ends_with("\n  and 10 more"), "{all}");
        let all = built("cut.jsonl", JobArgs::default()).unwrap_err().to_string();
        assert!(all.starts_with("4 of 5 jobs were refused"), "{all}");
        for mistake in ["cut.jsonl:1: mem: ", "cut.jsonl:4:1: ", "cut.jsonl:5: cpus: ", "cut.jsonl:6:3: "] {
            assert!(all.contains(&format!("\n  {mistake}")), "{mistake}: {all}");
        }
        let stdin = JobArgs { stdin: Some("-".into()), ..JobArgs::default() };
        assert!(built("-", stdin).unwrap_err().to_string().contains("--stdin"));
        let cpus = JobArgs { cpus: Some("0.0001".into()), ..JobArgs::default() };
        assert!(
            built("one.json", cpus).unwrap_err().to_string().contains("--cpus"),
            "an option is named as such"
        );
        let long = build("one.json", &JobArgs::default(), &"x".repeat(63), &here(files)).unwrap_err();
        assert!(long.to_string().contains("64 bytes"), "{long}");
    }
}
