//! The examples of every `--help`, typed as they stand: into a shell, in a directory with what they name, against a
//! real `taskyard dev`.

use crate::common::cli::{self, Done};
use crate::common::process::{Process, signal};
use crate::common::{SOON, binary, eventually};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Programs and files that examples name. The program of a job that fails does so for task 5 only, which examples
/// name too.
const FILES: [(&str, &str); 10] = [
    (
        "log.swf",
        "; MaxProcs: 4\n1 0 -1 10 4 -1 -1 4 10 -1 1 1 -1 -1 -1 -1 -1 -1\n2 1 -1 10 4 -1 -1 4 10 -1 1 1 -1 -1 -1 -1 -1 -1\n",
    ),
    ("token.txt", "no token\n"),
    ("step", "#!/bin/sh\necho step $TASKYARD_TASK\n"),
    ("work.sh", "#!/bin/sh\n[ \"$TASKYARD_TASK\" != 5 ]\n"),
    ("test.sh", "#!/bin/sh\necho tested\n"),
    ("train.py", "#!/bin/sh\necho \"trained $*\"\n"),
    ("train.sh", "#!/bin/sh\n#TASKYARD --mem 4GiB\necho \"trained $*\"\n"),
    ("urls.txt", "file:///dev/null\nfile:///dev/null\n"),
    ("job.toml", "command = [\"true\"]\n"),
    ("jobs.jsonl", "{\"command\": [\"true\"]}\n{\"command\": [\"true\"], \"after\": [\"ok:last\"]}\n"),
];

/// Beginnings of examples that are only parsed: they stay, and listen at the standard port or write outside the home;
/// or they need several servers, a stopped one, one that asks for tokens or has TLS, or a place for backups.
const PARSED: [&str; 11] = [
    "taskyard dev",
    "taskyard server",
    "taskyard digest",
    "taskyard agent",
    "taskyard login",
    "taskyard logout",
    "taskyard token",
    "taskyard backup",
    "taskyard cluster transfer",
    "taskyard cluster remove",
    "taskyard node remove",
];

/// A `taskyard dev` in a home of its own, where a person would type.
struct Examples {
    dir: tempfile::TempDir,
    _dev: Process,
}

impl Examples {
    fn new() -> Examples {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        for (name, text) in FILES {
            fs::write(home.join(name), text).unwrap();
            fs::set_permissions(home.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for folder in
            ["bin", ".zfunc", ".local/share/bash-completion/completions", ".config/fish/completions"]
        {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        symlink(binary(), home.join("bin/taskyard")).unwrap();
        let offer = ["--name", "n1", "--cpus", "8", "--mem", "16GiB"];
        let command = cli::command(home, "", &[&["dev", "--listen", "127.0.0.1:0"], &offer[..]].concat());
        let dev = Process::spawn("dev", command, &home.join("dev.log"));
        let examples = Examples { dir, _dev: dev };
        eventually("the node is there", SOON, || {
            let nodes = cli::run(examples.home(), "", &["nodes", "--output", "ids"], "");
            nodes.stdout.contains("n1").then_some(())
        });
        examples.shell("taskyard queue set batch").code(0);
        examples.shell("taskyard namespace create team-a").code(0);
        examples
    }

    fn home(&self) -> &Path {
        self.dir.path()
    }

    /// Jobs 1 to 20 of 60 tasks each.
    fn with_jobs(options: &str) -> Examples {
        let examples = Examples::new();
        let submit = format!("taskyard submit --parsable --array 1-60 {options} || exit");
        let ids = examples.shell(&format!("for i in $(seq 20); do {submit}; done")).code(0).stdout;
        assert_eq!(ids.lines().last(), Some("20"), "{ids}");
        examples
    }

    fn shell(&self, line: &str) -> Done {
        cli::run_as(self.shell_command(line), line, "")
    }

    fn shell_command(&self, line: &str) -> std::process::Command {
        let path = format!("{}:{}", self.home().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = cli::command_of("sh", self.home(), "");
        command.args(["-c", line]).env("PATH", path);
        command
    }

    /// Types an example that follows what happens, until it has shown something.
    fn follow(&self, line: &str) {
        let log = self.home().join("followed");
        let _ = fs::remove_file(&log);
        let followed = Process::spawn(line, self.shell_command(&format!("exec {line}")), &log);
        eventually(&format!("`{line}` shows something"), SOON, || {
            self.shell("taskyard submit -- true").code(0);
            followed.log().lines().any(|line| !line.starts_with("---")).then_some(())
        });
        signal(followed.pid(), libc::SIGTERM);
    }
}

/// What the first help lists besides commands.
const OTHER_LISTS: [&str; 2] = ["Options:", "Examples:"];

/// Every command with its help, the deeper ones too.
fn helps(words: &[&str], found: &mut Vec<(String, String)>) {
    let dir = std::env::temp_dir();
    let help = cli::run(&dir, "", &[words, &["--help"]].concat(), "").code(0).stdout;
    // The first help lists them by purpose, each list under a title of its own.
    let is_list = |title: &str| title == "Commands:" || (words.is_empty() && !OTHER_LISTS.contains(&title));
    let lists = help.split("\n\n").filter_map(|part| part.split_once('\n'));
    let commands = lists.filter(|(title, _)| title.ends_with(':') && is_list(title));
    let lines: Vec<&str> = commands.flat_map(|(_, list)| list.lines()).collect();
    for name in lines.into_iter().filter_map(|line| line.strip_prefix("  ")) {
        let name = name.split(' ').next().filter(|name| !name.is_empty());
        if let Some(name) = name {
            helps(&[words, &[name]].concat(), found);
        }
    }
    found.push((words.join(" "), help));
}

/// The lines under `Examples:`, without what is said beside them, by the first word after `taskyard`.
fn examples() -> BTreeMap<String, Vec<String>> {
    let mut found = Vec::new();
    helps(&[], &mut found);
    let mut examples: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (command, help) in &found {
        let Some((_, rest)) = help.split_once("\nExamples:\n") else {
            // Those of a group are shown by the group.
            assert!(command.is_empty() || command.contains(' '), "{command} shows no example");
            continue;
        };
        for line in rest.lines().map_while(|line| line.strip_prefix("  ")) {
            // What is said about it stands further right.
            let typed = line.split("   ").next().unwrap().trim_end().to_owned();
            let at = typed.find("taskyard ").unwrap_or_else(|| {
                panic!("{command}: `{typed}` is no example, or part of one too long for a line")
            });
            let word = typed[at..].split(' ').nth(1).unwrap().to_owned();
            let lines = examples.entry(word).or_default();
            if !lines.contains(&typed) {
                lines.push(typed);
            }
        }
    }
    examples
}

#[test]
fn every_example_of_the_help_works() {
    let mut examples = examples();
    let total: usize = examples.values().map(Vec::len).sum();
    let (mut ran, mut parsed) = (0, Vec::new());
    let mut take = |words: &[&str]| -> Vec<String> {
        words.iter().flat_map(|word| examples.remove(*word).unwrap_or_default()).collect()
    };
    let (held, cancel) = (take(&["update", "hold", "release"]), take(&["cancel"]));
    let (fresh, late) = (take(&["run", "submit"]), take(&["retry", "events", "node"]));
    let rest: Vec<String> = examples.into_values().flatten().collect();
    let mut each = |examples: &Examples, line: &String| {
        if PARSED.iter().any(|begin| line.starts_with(begin)) {
            // The words are read in order: what is wrong before `--help` is an error.
            examples.shell(&format!("{line} --help")).code(0);
            parsed.push(line.clone());
        } else if line.starts_with("taskyard events") {
            examples.follow(line);
            ran += 1;
        } else {
            // One of the tasks has failed, as its help says.
            let code = i32::from(line.starts_with("taskyard wait"));
            let done = examples.shell(line);
            assert_eq!(done.code, code, "`{line}`: {done:?}");
            assert!(!done.stderr.contains("warning"), "`{line}`: {done:?}");
            ran += 1;
        }
    };

    let examples = Examples::new();
    fresh.iter().for_each(|line| each(&examples, line));
    drop(examples);
    let examples = Examples::with_jobs("--hold -- ./step");
    held.iter().for_each(|line| each(&examples, line));
    drop(examples);
    // What is cancelled stays so: each needs jobs of its own.
    for line in &cancel {
        each(&Examples::with_jobs("--hold -- ./step"), line);
    }
    let examples = Examples::with_jobs("--cpus 0.1 -- ./work.sh");
    examples.shell("taskyard wait 1-20").code(1);
    // The last job is one whose only task has failed.
    examples.shell("taskyard submit --wait -- false").code(1);
    rest.iter().chain(&late).for_each(|line| each(&examples, line));

    println!("{ran} examples ran, {} were only parsed: {parsed:#?}", parsed.len());
    assert!(ran > 60 && parsed.len() < 50 && ran + parsed.len() == total, "{ran} of {total}");
}
