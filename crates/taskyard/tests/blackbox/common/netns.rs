//! Hosts with networks of their own on one machine, and faults of the links between them.
//!
//! A network namespace lives as long as a process in it. One that only sleeps holds each, and dies with the test:
//! nothing has a name, nothing is left behind however the test ends, and two runs cannot meet.

use super::process::{die_with_parent, is_root};
use super::{SOON, eventually};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The programs that this needs.
const PROGRAMS: [&str; 5] = ["unshare", "nsenter", "ip", "nft", "tc"];

/// One of everything that a [`Net`] is made of.
const TRIAL: &str = "ip link add name hub type bridge
ip link add name a type veth peer name b
nft add table inet cut
nft add chain inet cut input '{ type filter hook input priority 0 ; }'
nft add rule inet cut input ip saddr 10.7.0.1 drop
tc qdisc add dev a root tbf rate 1mbit burst 32k latency 400ms";

/// A network namespace, by the process that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Space(PathBuf);

impl Space {
    /// What `act` gives in this network: a socket stays where it was made. An error if there is no such network any
    /// more.
    pub(crate) fn within<T: Send>(&self, act: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let file = File::open(&self.0)?;
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        // A thread of its own, since there is no way back.
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(file.as_fd(), network)?;
                act()
            });
            there.join().unwrap()
        })
    }

    /// A command in this network, still without the program and its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.0.display()));
        command
    }

    /// Runs a program that must succeed.
    fn run(&self, line: &str) {
        self.try_run(line).unwrap_or_else(|said| panic!("{line}: {said}"));
    }

    /// Whether a host of this network has the address.
    pub(crate) fn has(&self, address: &str) -> bool {
        let output = self.command().args(["ip", "-4", "-oneline", "addr", "show"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains(&format!(" {address}/"))
    }

    fn try_run(&self, line: &str) -> Result<(), String> {
        let mut command = self.command();
        let output = command.args(line.split_ascii_whitespace()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    }
}

/// What holds a namespace.
struct Holder(Child);

impl Holder {
    fn start() -> (Holder, Space) {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        die_with_parent(&mut command);
        let holder = Holder(command.spawn().unwrap());
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let space = PathBuf::from(format!("/proc/{}/ns/net", holder.0.id()));
        eventually("a network namespace", SOON, || {
            std::fs::read_link(&space).is_ok_and(|link| link != own).then_some(())
        });
        (holder, Space(space))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Which way packets of a host are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It hears nothing.
    In,
    /// It is not heard.
    Out,
    Both,
}

/// Hosts at one bridge. The bridge's network is that of users and agents: no fault is between them and any host.
pub(crate) struct Net {
    holders: Vec<Holder>,
    pub(crate) outside: Space,
    pub(crate) hosts: Vec<Space>,
}

impl Net {
    /// Whether this machine lets tests make networks; says why not.
    pub(crate) fn is_possible() -> bool {
        let found = |program: &&str| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths).any(|dir| dir.join(program).is_file())
        };
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !found(program)).collect();
        if !is_root() || !missing.is_empty() {
            println!("SKIPPED, NOT PASSED: root: {}; programs that are missing: {missing:?}", is_root());
            return false;
        }
        // What the kernel of a container is not allowed, or was built without, shows when it is tried.
        let output = Command::new("unshare").args(["--net", "sh", "-e", "-c", TRIAL]).output().unwrap();
        if !output.status.success() {
            println!("SKIPPED, NOT PASSED: no networks here: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    }

    pub(crate) fn start(hosts: usize) -> Net {
        let (holder, outside) = Holder::start();
        outside.run("ip link set lo up");
        outside.run("ip link add name hub type bridge");
        outside.run("ip addr add 10.7.0.254/24 dev hub");
        outside.run("ip link set hub up");
        let mut net = Net { holders: vec![holder], outside, hosts: Vec::new() };
        (0..hosts).for_each(|_| net.add_host());
        net
    }

    fn add_host(&mut self) {
        let (holder, host) = Holder::start();
        let (port, pid) = (port(self.hosts.len()), holder.0.id());
        self.outside.run(&format!("ip link add name {port} type veth peer name net netns {pid}"));
        self.outside.run(&format!("ip link set {port} master hub up"));
        host.run("ip link set lo up");
        host.run(&format!("ip addr add {}/24 dev net", Net::address(self.hosts.len())));
        host.run("ip link set net up");
        host.run("nft add table inet cut");
        for hook in ["input", "output"] {
            host.run(&format!("nft add chain inet cut {hook} {{ type filter hook {hook} priority 0 ; }}"));
        }
        self.holders.push(holder);
        self.hosts.push(host);
    }

    pub(crate) fn address(host: usize) -> String {
        format!("10.7.0.{}", host + 1)
    }

    /// From now on packets between a host and its peers are lost, by rules in the host's own network.
    pub(crate) fn cut(&self, host: usize, lost: Lost, peers: &[usize]) {
        for peer in peers {
            let address = Net::address(*peer);
            if lost != Lost::Out {
                self.hosts[host].run(&format!("nft add rule inet cut input ip saddr {address} drop"));
            }
            if lost != Lost::In {
                self.hosts[host].run(&format!("nft add rule inet cut output ip daddr {address} drop"));
            }
        }
    }

    /// From now on hosts meet whatever comes in by this rule, users and agents included. Says so and does nothing
    /// where the kernel lacks what it takes.
    pub(crate) fn meet(&self, rule: &str) -> bool {
        let line = format!("nft add rule inet cut input {rule}");
        let refused = self.hosts.iter().find_map(|host| host.try_run(&line).err());
        if let Some(why) = &refused {
            println!("SKIPPED, NOT PASSED: {rule}: {why}");
            self.heal();
        }
        refused.is_none()
    }

    /// Nothing is lost or refused any more.
    pub(crate) fn heal(&self) {
        self.hosts.iter().for_each(|host| host.run("nft flush table inet cut"));
    }

    /// To all others the host is off, or on again.
    pub(crate) fn power(&self, host: usize, on: bool) {
        let state = if on { "up" } else { "down" };
        self.outside.run(&format!("ip link set {} {state}", port(host)));
    }

    /// The link of a host carries so much in each direction, or as much as it can.
    pub(crate) fn slow(&self, host: usize, rate: Option<&str>) {
        for (space, device) in [(&self.outside, port(host)), (&self.hosts[host], "net".to_owned())] {
            let _ = space.try_run(&format!("tc qdisc del dev {device} root"));
            if let Some(rate) = rate {
                let filter = format!("root tbf rate {rate} burst 32k latency 400ms");
                space.run(&format!("tc qdisc add dev {device} {filter}"));
            }
        }
    }
}

/// The bridge's end of the link to a host.
fn port(host: usize) -> String {
    format!("host{host}")
}
