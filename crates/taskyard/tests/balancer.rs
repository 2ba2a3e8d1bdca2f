//! The configurations in `deploy/`, run by the programs they are for: users who know one address only notice little when servers die.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails when it cannot go on, and tells what it saw"
)]

mod common;

use common::daemon::ServerOptions;
use common::fleet::Fleet;
use common::http::Http;
use common::load::Load;
use common::process::Process;
use common::random::Random;
use common::{SOON, eventually};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn deploy(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Skipped is not passed: it is said so that nobody overlooks it. CI installs both programs.
fn is_there(program: &str, version: &str) -> bool {
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

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A file of `deploy/` with the addresses of this test.
fn adapted(text: &str, fleet: &Fleet, port: u16) -> String {
    let mut text = text.replace("127.0.0.1:7420", &format!("127.0.0.1:{port}"));
    for (n, server) in fleet.servers.iter().enumerate() {
        let address = format!("10.0.0.{}:7420", n + 1);
        assert!(text.contains(&address), "{address} is not in the example");
        text = text.replace(&address, server.url.strip_prefix("http://").unwrap());
    }
    text
}

fn serves_through_deaths(name: &str, begin: impl FnOnce(&Fleet, u16) -> (Command, PathBuf)) {
    let mut random = Random::seeded(name);
    let mut fleet = Fleet::start(3, 1, &ServerOptions::small());
    let port = free_port();
    let (command, log) = begin(&fleet, port);
    let balancer = Process::spawn(name, command, &log);
    let url = format!("http://127.0.0.1:{port}");
    let answers =
        || matches!(Http::new(&url).request("GET", "/readyz", None), Ok(answer) if answer.is_success());
    eventually("the balancer serves", SOON, || answers().then_some(()));
    let load = Load::start(&url, fleet.dir.path(), 2, 100_000, &mut random);
    let mut longest = Duration::ZERO;
    for round in 0..3 {
        let goal = load.count() + 100;
        eventually("users get on", SOON, || (load.count() >= goal).then_some(()));
        let leader = fleet.leader();
        let victim = if round == 1 { (leader + 1) % 3 } else { leader };
        fleet.servers[victim].kill9();
        let died = std::time::Instant::now();
        eventually("the balancer serves again", SOON, || {
            matches!(Http::new(&url).request("GET", "/v1/queues", None), Ok(a) if a.is_success())
                .then_some(())
        });
        longest = longest.max(died.elapsed());
        let goal = load.count() + 50;
        eventually("users get on with two servers", SOON, || (load.count() >= goal).then_some(()));
        fleet.servers[victim].restart();
    }
    let book = load.finish();
    let examined = book.check_all(&mut fleet.http(), Duration::from_secs(120));
    println!("{name}: {examined:?}, {} answers were lost, at most {longest:?} until an answer", book.unknown);
    drop(balancer);
}

#[test]
fn haproxy_sends_users_to_servers_that_are_well() {
    if !is_there("haproxy", "-v") {
        return;
    }
    serves_through_deaths("haproxy", |fleet, port| {
        let dir = fleet.dir.path();
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, adapted(&deploy("haproxy/haproxy.cfg"), fleet, port)).unwrap();
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        (command, dir.join("haproxy.log"))
    });
}

#[test]
fn nginx_sends_users_to_servers_that_are_well() {
    if !is_there("nginx", "-v") {
        return;
    }
    serves_through_deaths("nginx", |fleet, port| {
        let dir = fleet.dir.path();
        let site = dir.join("taskyard.conf");
        std::fs::write(&site, adapted(&deploy("nginx/taskyard.conf"), fleet, port)).unwrap();
        let file = dir.join("nginx.conf");
        let main = format!(
            "daemon off; master_process off; pid {0}/nginx.pid; error_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n  \
             client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n  \
             include {1};\n}}\n",
            dir.display(),
            site.display()
        );
        std::fs::write(&file, main).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-p").arg(dir);
        (command, dir.join("nginx.log"))
    });
}

/// What the other examples say is understood by the programs they are for.
#[test]
fn units_and_the_floating_address_are_well_formed() {
    if !is_there("systemd-analyze", "--version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for unit in ["taskyard-server.service", "taskyard-agent.service"] {
        // The program need not be installed where this runs.
        let text = deploy(&format!("systemd/{unit}")).replace("/usr/local/bin/taskyard", "/bin/true");
        let file = dir.path().join(unit);
        std::fs::write(&file, text).unwrap();
        let checked = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success() && !said.contains(unit), "{unit}: {said}");
    }
    if is_there("keepalived", "--version") {
        let interfaces = std::fs::read_dir("/sys/class/net").unwrap().flatten();
        let mut names = interfaces.map(|e| e.file_name().to_string_lossy().into_owned());
        let Some(interface) = names.find(|name| name != "lo") else { return };
        let file = dir.path().join("keepalived.conf");
        std::fs::write(&file, deploy("keepalived/keepalived.conf").replace("eth0", &interface)).unwrap();
        // It ends its own process group when it has looked, so that its exit code says nothing.
        let mut command = Command::new("keepalived");
        let checked = command.arg("-t").arg("-f").arg(&file).process_group(0).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!said.contains("keepalived.conf"), "{said}");
    }
}
