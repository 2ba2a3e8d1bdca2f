//! The examples in `deploy/`, and the programs they are for.

use super::process::Process;
use std::path::Path;
use std::process::{Command, Stdio};

/// A file of `deploy/`.
pub(crate) fn example(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An example with other words; fails if it does not have one of these.
pub(crate) fn with(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old} is not in the example");
        text.replace(old, new)
    })
}

/// Skipped is not passed: it is said so that nobody overlooks it. CI installs these programs.
pub(crate) fn is_there(program: &str, version: &str) -> bool {
    let asked = Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = asked.is_ok_and(|status| status.success());
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{program} is not installed, and CI must not skip this"
    );
    if !there {
        println!("SKIPPED: {program} is not installed");
    }
    there
}

/// HAProxy with this configuration, by a command that may lead to another network.
pub(crate) fn haproxy(name: &str, mut command: Command, dir: &Path, text: &str) -> Process {
    let file = dir.join(format!("{name}.cfg"));
    std::fs::write(&file, text).unwrap();
    command.arg("-db").arg("-f").arg(file);
    Process::spawn(name, command, &dir.join(format!("{name}.log")))
}
