//! The floating address of `deploy/keepalived`, with the real program: who knows this one address goes on when what
//! has it dies.

use crate::common::deploy::{self, example, is_there, with};
use crate::common::load::{Load, Users};
use crate::common::netns::Net;
use crate::common::netns_cluster::Apart;
use crate::common::process::Process;
use crate::common::random::Random;
use crate::common::{SOON, eventually};
use std::process::Command;
use std::time::{Duration, Instant};

/// The address, and where HAProxy listens beside a server.
const FLOATING: &str = "10.7.0.100";
const PORT: u16 = 7421;
const USERS: Users = Users { count: 2, each: u64::MAX, pause: Duration::from_millis(10) };
/// The example promises about three seconds.
const MOVES_WITHIN: Duration = Duration::from_secs(8);

/// HAProxy and keepalived on a host, as the examples say for the first or the second machine.
struct Front {
    haproxy: Process,
    _keepalived: Process,
}

impl Front {
    fn start(cluster: &Apart, host: usize) -> Front {
        let mut command = cluster.net.hosts[host].command();
        command.args(["keepalived", "--dont-fork", "--log-console", "--vrrp"]);
        let name = format!("keepalived-{}", host + 1);
        let file = cluster.path(&format!("{name}.conf"));
        std::fs::write(&file, address(host == 0)).unwrap();
        command.arg("--use-file").arg(&file);
        for which in ["pid", "vrrp_pid"] {
            command.arg(format!("--{which}")).arg(cluster.path(&format!("{name}.{which}")));
        }
        let keepalived = Process::spawn(&name, command, &cluster.path(&format!("{name}.log")));
        Front { haproxy: haproxy(cluster, host), _keepalived: keepalived }
    }
}

fn haproxy(cluster: &Apart, host: usize) -> Process {
    let mut command: Command = cluster.net.hosts[host].command();
    command.arg("haproxy");
    let authority = cluster.path("s1/tls/ca.crt");
    let text = with(
        &example("haproxy/taskyard-tls.cfg"),
        &[
            ("127.0.0.1:7420", &format!("*:{PORT}")),
            ("10.0.0.", "10.7.0."),
            ("/etc/haproxy/taskyard-ca.crt", authority.to_str().unwrap()),
        ],
    );
    deploy::haproxy(&format!("haproxy-{}", host + 1), command, cluster.dir.path(), &text)
}

/// The example for one of the two machines. Here HAProxy passes TLS on, and what asks it need not know by which name.
fn address(first: bool) -> String {
    let here = format!("-k https://127.0.0.1:{PORT}/");
    let text = with(
        &example("keepalived/keepalived.conf"),
        &[("eth0", "net"), ("10.0.0.100", FLOATING), ("http://127.0.0.1:7420/", &here)],
    );
    match first {
        true => text,
        false => with(&text, &[("state MASTER", "state BACKUP"), ("priority 150", "priority 100")]),
    }
}

#[test]
fn the_floating_address_moves_when_what_has_it_dies() {
    let programs = [("keepalived", "--version"), ("haproxy", "-v"), ("curl", "--version")];
    if !Net::is_possible() || !programs.iter().all(|(program, version)| is_there(program, version)) {
        return;
    }
    let mut random = Random::seeded("floating");
    let cluster = Apart::start(3, 0, &["--tls-name", FLOATING]);
    let mut fronts = [0, 1].map(|host| Front::start(&cluster, host));
    let url = format!("https://{FLOATING}:{PORT}");
    let through = |patience| cluster.client_of(&url, &cluster.net.outside, patience);
    let answers = || {
        let answer = through(Duration::from_secs(1)).request("GET", "/readyz", None);
        matches!(answer, Ok(answer) if answer.is_success())
    };
    let has = |host: usize| cluster.net.hosts[host].has(FLOATING);
    let settled = || (has(0) && !has(1) && answers()).then_some(());
    eventually("the first machine has the address", SOON, settled);
    // Shorter than the way over: a request to a machine that is off is answered by nobody.
    let asks = through(Duration::from_secs(2));
    let load = Load::of(&asks, cluster.dir.path(), USERS, &mut random);
    let get_on = || {
        let goal = load.count() + 50;
        eventually("users get on", SOON, || (load.count() >= goal).then_some(()));
    };
    get_on();

    fronts[0].haproxy.kill9();
    let by_program = moves(&|| has(1) && !has(0) && answers());
    get_on();
    fronts[0].haproxy = haproxy(&cluster, 0);
    eventually("the first machine has it again", SOON, settled);
    get_on();

    // The whole machine, with the server on it. It does not know that it is off, and goes on to hold the address.
    cluster.net.power(0, false);
    let by_machine = moves(&|| has(1) && answers());
    get_on();
    cluster.net.power(0, true);
    eventually("the first machine has it again", SOON, settled);
    get_on();

    cluster.until_voters(3);
    let book = load.finish();
    let examined = book.check_all(&mut cluster.http(), 2 * SOON);
    let index = cluster.check_digests(&cluster.members);
    println!(
        "floating address: answers on the other machine {by_program:.2?} after HAProxy died and {by_machine:.2?} after the machine did; {examined:?}, \
         digests equal at {index}, {} answers lost",
        book.unknown
    );
}

/// How long the address takes to the other machine.
fn moves(there: &dyn Fn() -> bool) -> Duration {
    let died = Instant::now();
    eventually("the second machine has the address and answers", MOVES_WITHIN, || there().then_some(()));
    died.elapsed()
}
