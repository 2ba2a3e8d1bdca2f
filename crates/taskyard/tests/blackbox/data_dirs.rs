//! Data directories of servers and agents: closed to other users, and with files that notice damage.

use crate::common::daemon::clean;
use crate::common::damage::flip;
use crate::common::process::Process;
use crate::common::random::Random;
use crate::common::secure::Cluster;
use crate::common::{SOON, binary, eventually};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOLD: &str = "other users could read the data directory";

/// Everything below a directory, and itself. What tasks and their users wrote is not ours to judge.
fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() && !found[at].ends_with("jobs") {
            found.extend(fs::read_dir(&found[at]).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

#[test]
fn no_other_user_can_read_a_data_directory_whatever_the_umask() {
    let tmp = tempfile::tempdir().unwrap();
    let data = tmp.path().join("dev");
    let run = || {
        let mut command = clean(Command::new("sh"), tmp.path());
        command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(binary());
        command.args(["dev", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
        let mut dev = Process::spawn("dev", command, &tmp.path().join("dev.log"));
        eventually("dev is ready", SOON, || {
            assert!(dev.ended().is_none(), "{}", dev.log_tail());
            dev.log().rsplit("--- dev").next().filter(|log| log.contains("is ready")).map(|_| ())
        });
        dev
    };
    let told = |dev: &Process| dev.log().rsplit("--- dev").next().unwrap().matches(TOLD).count();
    let mut dev = run();
    assert_eq!((check_private(&data), told(&dev)), (0, 0), "a new directory is private from the start");
    dev.stop();
    let mut loosened = 0;
    for path in all(&data) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(
            &path,
            Permissions::from_mode(mode | 0o044 | (mode & 0o100) >> 3 | (mode & 0o100) >> 6),
        )
        .unwrap();
        loosened += 1;
    }
    let mut dev = run();
    assert_eq!((check_private(&data), told(&dev)), (0, 3), "once for each directory: {}", dev.log_tail());
    dev.stop();
    assert_eq!(told(&run()), 0, "there is nothing left to tell");
    assert!(loosened > 12, "{loosened}");
}

/// How many files and directories others may open.
fn check_private(data: &Path) -> usize {
    let open = all(data).into_iter().filter(|path| {
        let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let private = if path.is_dir() { mode == 0o700 } else { mode == 0o600 };
        (!private).then(|| println!("{} has mode {mode:o}", path.display())).is_some()
    });
    open.count()
}

/// What is to happen when a file is damaged.
enum Noticed {
    /// The process refuses to start.
    Refused,
    /// The process says so and goes on.
    Told,
    /// It holds nothing, or is written anew at each start.
    Nothing,
    /// Other tests harm it: `damage`, and those of the agent's journal.
    Elsewhere,
}

/// For each file that may be in a data directory, as `docs/guide/durability.md` has it.
fn noticed(name: &str) -> Noticed {
    match name {
        "FORMAT" | "STARTS" | "JOINING" | "admin.token" => Noticed::Refused,
        "ca.crt" | "ca.key" | "own.crt" | "own.key" | "agent.uuid" | "agent.cluster" => Noticed::Refused,
        "audit.jsonl" | "servers" => Noticed::Told,
        "LOCK" | "endpoint" | "agent.lock" | "keeper.lock" => Noticed::Nothing,
        "journal" => Noticed::Elsewhere,
        name if name.ends_with(".wal") || name.ends_with(".snap") => Noticed::Elsewhere,
        other => panic!("{other}: say what notices that it is damaged, here and in the guide"),
    }
}

#[test]
fn damage_to_any_file_of_a_data_directory_is_noticed_by_name() {
    let mut random = Random::seeded("damage to data directories");
    let mut cluster = Cluster::start();
    let token = cluster.token("agent");
    cluster.add_agent("n1", &token);
    cluster.until_up("n1");
    cluster.agents.remove(0).stop();
    cluster.servers[0].stop();
    let (server, agent, urls) = (cluster.path("s1"), cluster.path("n1"), cluster.urls.clone());
    let start = |dir: &Path| {
        let mut command = clean(Command::new(binary()), &cluster.path("home"));
        let url = &urls[0];
        let port = url.rsplit(':').next().unwrap();
        match dir == server {
            true => command.args(["server", "--listen", &format!("127.0.0.1:{port}"), "--advertise", url]),
            false => command.args(["agent", "--server", url, "--name", "n1"]),
        };
        command.arg("--data-dir").arg(dir);
        Process::spawn("harmed", command, &cluster.path(&format!("harmed-{}.log", dir.ends_with("n1"))))
    };
    let mut examined = 0;
    for dir in [&server, &agent] {
        for file in all(dir).into_iter().filter(|path| path.is_file()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let refused = match noticed(name) {
                Noticed::Nothing | Noticed::Elsewhere => continue,
                Noticed::Refused => true,
                Noticed::Told => false,
            };
            let whole = fs::read(&file).unwrap();
            flip(&file, random.below(whole.len() as u64), random.below(8) as u32);
            let mut harmed = start(dir);
            let says = format!("{} is damaged at offset", file.display());
            eventually(&format!("{name}: {says}"), SOON, || {
                let log = harmed.log();
                log.rsplit("--- harmed").next().filter(|log| log.contains(&says)).map(drop)
            });
            match refused {
                true => assert!(!harmed.wait(SOON).success(), "{name}"),
                false => assert!(harmed.ended().is_none(), "{name}: {}", harmed.log_tail()),
            }
            drop(harmed);
            fs::write(&file, whole).unwrap();
            examined += 1;
        }
    }
    println!("{examined} files were harmed and noticed");
    assert!(examined >= 12, "{examined}");
}
