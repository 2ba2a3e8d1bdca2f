//! The help of every command, as files: a change of words is seen in review. `UPDATE_GOLDEN=1 cargo test` rewrites
//! them.

use std::path::Path;

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, text).expect("written");
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, want, "{} differs; UPDATE_GOLDEN=1 accepts it", path.display());
}

fn walk(app: &clap::Command, words: &[&str]) {
    let name = words.join("-");
    let help = words.iter().chain(&["--help"]);
    let text = app.clone().try_get_matches_from(help).expect_err("help").to_string();
    let text: String = text.lines().map(|l| l.trim_end().to_owned() + "\n").collect();
    golden(&format!("{name}.txt"), &text);
    if name != "taskyard" {
        assert!(
            text.contains("Examples:") || name.contains("node-") || name.contains("cluster-"),
            "{name} shows no example"
        );
    }
    let command = words[1..].iter().fold(app, |c, word| c.find_subcommand(word).expect("a command"));
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
        walk(app, &[words, &[sub.get_name()]].concat());
    }
}

#[test]
fn help_of_every_command() {
    walk(&taskyard_cli::app().term_width(100), &["taskyard"]);
}

#[test]
fn bad_command_lines_say_what_is_wrong() {
    let cases: [(&str, &str); 9] = [
        ("submt -- x", "'submit'"),
        ("submit --memm 4GiB -- x", "'--mem'"),
        ("jobs --limit ten", "invalid digit"),
        ("wait", "<JOB>..."),
        ("submit --progress -- x", "--wait"),
        ("logs 1 --attempt 0", "0 is not in 1.."),
        ("schema jobs", "possible values: job, api"),
        ("node", "drain"),
        ("logs 1 --attempt -1", "-1 is not in 1.."),
    ];
    for (words, part) in cases {
        let words = std::iter::once("taskyard").chain(words.split(' '));
        let error = taskyard_cli::app().try_get_matches_from(words.clone()).expect_err("refused").to_string();
        assert!(error.contains(part), "{:?}: {error}", words.collect::<Vec<_>>());
    }
}

#[test]
fn negative_amounts_are_refused_by_name() {
    let job = "cpus mem gpus array max-running max-fails time-limit estimate grace retries backoff";
    let options = job.split(' ').flat_map(|name| [("run", name), ("submit", name)]);
    let update = ["time-limit", "estimate", "max-running", "retries"].map(|name| ("update 1", name));
    let queue = ["weight", "aging", "max-wait"].map(|name| ("queue set q", name));
    let others = [("jobs", "limit"), ("logs 1", "tail"), ("wait 1", "timeout")];
    let mut seen = 0;
    for (command, option) in options.chain(update).chain(queue).chain(others) {
        for (value, part) in [("-1", "negative"), ("-1GiB", "negative"), ("--output", "missing")] {
            let words: Vec<String> =
                format!("taskyard {command} --{option} {value}").split(' ').map(str::to_owned).collect();
            let error = taskyard_cli::app().try_get_matches_from(words).expect_err("refused").to_string();
            let first = error.lines().next().unwrap_or_default();
            for part in [&format!("'--{option} "), &format!("'{value}'"), part] {
                assert!(first.contains(part), "{part} is missing in {first}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 3 * (2 * 11 + 4 + 3 + 3));
    // These may be negative.
    for words in ["submit --priority -5 -- x", "update 1 --priority -5", "queue set q --tier -2"] {
        let words = std::iter::once("taskyard").chain(words.split(' '));
        assert!(taskyard_cli::app().try_get_matches_from(words.clone()).is_ok(), "{words:?}");
    }
}
