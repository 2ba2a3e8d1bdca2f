//! What people type and what they have lying about: scripts of other schedulers, files of other systems, amounts in
//! other words.

use crate::common::desk::Desk;
use crate::common::{binary, cli};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn scripts_and_files_of_others_are_read_or_named() {
    let desk = Desk::new("4");
    let script = |name: &str, text: &str| {
        desk.write(name, text);
        fs::set_permissions(desk.home.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("s.sh", "#!/bin/sh\n#SBATCH --cpus-per-task=2\n# TASKYARD --cpus 3\ntrue\n#TASKYARD --hold\n");
    desk.types("submit s.sh").code(0).says(&[
        "s.sh:2: this #SBATCH line is not read; write #TASKYARD --cpus 2",
        "s.sh:3: this line is not read; write #TASKYARD --cpus 3",
        "s.sh:5: this #TASKYARD line comes after the first command",
    ]);
    script("train.py", "#!/bin/sh\n#TASKYARD --cpus 2\n");
    desk.types("submit -- ./train.py")
        .code(0)
        .says(&["./train.py:2", "`taskyard submit ./train.py` reads it"]);

    script("windows.sh", "#!/bin/sh\r\necho hi\r\n");
    desk.types("submit windows.sh").code(2).says(&["windows.sh:1", "Windows line ending"]);
    desk.write("windows.json", "{\"script\": \"#!/bin/sh\\r\\necho hi\\r\\n\"}");
    desk.types("submit windows.json").code(2).says(&["windows.json: script", "Windows line ending"]);
    script("mark.sh", "\u{feff}#!/bin/sh\necho read\n");
    let run = desk.types("run mark.sh").code(0);
    assert_eq!(run.stdout, "read\n");
    desk.write("mark.json", "\u{feff}{\"command\": [\"true\"]}");
    desk.types("run mark.json").code(0);
    desk.write("twice.json", "{\"command\": [\"true\"], \"env\": {\"A\": \"1\", \"A\": \"2\"}}");
    for how in ["submit twice.json", "submit --from-json twice.json"] {
        desk.types(how).code(2).says(&["twice.json:1:", "A is given twice, as \"1\" and as \"2\""]);
    }
    assert_eq!(desk.types("jobs --output ids").code(0).stdout.lines().count(), 4);
}

#[test]
fn amounts_are_read_as_other_schedulers_write_them_and_shown_back() {
    let desk = Desk::new("4");
    let args = ["--hold", "--mem", "4g", "--time-limit", "1-12:00:00", "--estimate", "30:00", "--", "true"];
    let submit = desk.run(&[&["submit", "--parsable"], &args[..]].concat()).code(0);
    let submit = submit.says(&["--mem: \"4g\": read as 4GiB", "read as 1d12h", "read as 30m"]);
    let spec = desk.show(submit.stdout.trim())["spec"].clone();
    let shown = ["memory", "time_limit", "estimate"].map(|field| spec[field].as_str().unwrap().to_owned());
    assert_eq!(shown, ["4GiB", "1d12h", "30m"]);
    for (option, value, remedy) in [
        ("--mem", "4096", "4096MiB"),
        ("--mem", "1e3MiB", "without an exponent"),
        ("--mem", "NaN", "not a number"),
        ("--time-limit", "10", "10m (10 minutes)"),
        ("--time-limit", "1::1", "HH:MM:SS"),
        ("--time-limit", "99999999999999999999d", "too large"),
        ("--cpus", "1e400", "without an exponent"),
        ("--gpus", "-1", "negative"),
    ] {
        desk.run(&["submit", option, value, "--", "true"]).code(2).says(&[option, value, remedy]);
    }
}

#[test]
fn a_directory_that_is_gone_is_an_error() {
    let desk = Desk::new("2");
    let submit = |args: &[&str]| {
        let gone = desk.home.join("gone");
        fs::create_dir_all(&gone).unwrap();
        let mut shell = cli::command_of("sh", &gone, &desk.cluster.server.url);
        shell.args(["-c", "rmdir ../gone && exec \"$@\"", "sh"]).arg(binary()).args(args);
        cli::run_as(shell, "a command from nowhere", "")
    };
    submit(&["submit", "--", "pwd"]).code(2).says(&["cwd", "has been removed", "--cwd none"]);
    submit(&["submit", "--cwd", "sub", "--", "pwd"]).code(2).says(&["--cwd", "has been removed"]);
    submit(&["submit", "--cwd", "/", "--", "pwd"]).code(0);
}

#[test]
fn two_hundred_thousand_lines_are_a_job() {
    let desk = Desk::new("2");
    let lines: String = (1..=200_000).map(|n| format!("{n}\n")).collect();
    desk.write("lines", &lines);
    let job = desk.submit(&["--hold", "--each-line", "lines", "--", "true"]);
    assert_eq!(desk.show(&job)["tasks"]["total"], 200_000);
}

#[test]
fn completion_offers_what_the_cluster_has() {
    let desk = Desk::new("2");
    desk.types("queue set batch").code(0);
    let job = desk.submit(&["--hold", "--name", "sweep", "--", "true"]);
    let offers = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let index = (words.len() - 1).to_string();
        let args = [&["complete", "--index", &index, "--"], &words[..]].concat();
        let done = desk.run(&args).code(0);
        assert_eq!(done.stderr, "", "{line}");
        done.stdout
    };
    assert!(offers("taskyard submit --queue b").starts_with("batch\t"));
    assert_eq!(offers("taskyard show 1"), format!("{job}\tsweep, held\n"));
    assert!(offers("taskyard node drain ").lines().count() == 1);
    assert_eq!(offers("taskyard jobs --state held,ru"), "held,running\t\n");
    assert_eq!(offers("taskyard submit --server 127.0.0.1:1 --queue b"), "");
}

#[test]
fn the_server_of_a_login_is_asked_from_then_on() {
    let desk = Desk::new("2");
    let url = desk.cluster.server.url.clone();
    let bare = |args: &[&str], stdin: &str| cli::run(&desk.home, "", args, stdin);
    bare(&["login", "--server", &url], "tyt_any").code(0).says(&["commands now use", &url]);
    let job = bare(&["submit", "--parsable", "--", "true"], "").code(0).id();
    assert_eq!(desk.show(&job.to_string())["id"], job);
    // Many agents find it the same way.
    let swarm = bare(&["swarm", "--agents", "2"], "").code(0);
    assert_eq!(swarm.stdout, "2 agents have a session\n");
    bare(&["logout"], "").code(0).says(&["no longer use", &url]);
    assert_eq!(bare(&["login", "--server", "nonsense"], "tyt_any").code, 2);
}

#[test]
fn what_would_be_taken_for_nothing_is_refused() {
    let desk = Desk::new("1");
    let toml = |line: &str| {
        fs::write(desk.home.join("j.toml"), format!("command = [\"cat\"]\n{line}\n")).unwrap();
        desk.run(&["submit", "j.toml"]).code(2)
    };
    for number in ["inf", "-inf"] {
        toml(&format!("cpus = {number}")).says(&["cpus", number]);
    }
    toml("cpus = nan").says(&["cpus", "NaN"]);
    toml("entries = []").says(&["entries", "the list is empty"]);
    let twice = ["run", "--each-line", "-", "--stdin", "-", "--", "cat"];
    desk.input(&twice, "a\n").code(2).says(&["another option has read standard input"]);
    assert_eq!(desk.run(&["jobs", "--output", "ids"]).code(0).stdout, "", "nothing was submitted");
    for (line, code, part) in [
        ("jobs --queue typo --output json", 4, "there is no queue typo"),
        ("jobs --namespace typo", 4, "there is no namespace typo"),
        ("events --job 99999", 4, "there is no job 99999"),
        ("show nope", 4, "there is no job named nope"),
        ("jobs --user typo --output ids", 0, "no matching jobs"),
        ("wait all", 0, "no matching jobs"),
        ("token list", 0, "no tokens"),
        ("maintenance", 0, "no maintenance is planned"),
        ("account list", 0, "no accounts yet"),
        ("token create --user x", 2, "viewer, submitter, operator, admin"),
        ("token create --user me --role viewer", 2, "no user can have this name"),
        ("run --env A=1 --env A=2 -- true", 2, "A is given twice, as A=1 and as A=2"),
        ("server --listen 0.0.0.0:0 --data-dir data", 2, "loopback"),
    ] {
        desk.types(line).code(code).says(&[part]);
    }
    // What is wrong here and what the cluster refuses are told at once, and nothing is submitted.
    let lines =
        r#"[{"command": ["x"], "queue": "typo"}, {"command": ["x"], "memry": "1GiB"}, {"command": ["x"]}]"#;
    fs::write(desk.home.join("many.json"), lines).unwrap();
    let told = desk.run(&["submit", "--from-json", "many.json"]).code(2);
    told.says(&["2 of 3 jobs were refused", "element 1: queue", "element 2: memry"]);
    assert_eq!(desk.run(&["jobs", "--output", "ids"]).code(0).stdout, "", "nothing was submitted");
}
