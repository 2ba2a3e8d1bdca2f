//! Links that go silent without a word, as when a firewall forgets a connection or a cable is pulled: each end of a
//! connection still has it, and no packet comes. After a while the links work again. Whoever is cut off notices by
//! timeouts of our own; TCP alone would wait for a quarter of an hour.

use crate::common::events::Follower;
use crate::common::http::Http;
use crate::common::load::{Ended, Load, Users};
use crate::common::netns::{Lost, Net, Space};
use crate::common::netns_cluster::Apart;
use crate::common::output::{Counting, check_counts};
use crate::common::process::Process;
use crate::common::random::Random;
use crate::common::{SOON, eventually, full};
use serde_json::json;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
/// Hosts of an agent and of a client, which are cut off from all servers.
const AGENT: usize = 3;
const CLIENT: usize = 4;
/// By then whoever waits for an answer on a connection that carries nothing has heard that nobody knows.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// By then a server or an agent that is cut off has noticed.
const NOTICE_WITHIN: Duration = Duration::from_secs(11);
/// A reader in the tests goes on elsewhere when it hears nothing for so long.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// A command has ended by then, when it reaches no server.
const COMMAND_WITHIN: Duration = Duration::from_secs(90);

/// How long links carry nothing.
fn lasts() -> Duration {
    Duration::from_secs(if full() { 600 } else { 12 })
}

/// At a pace at which servers remember all events of the longest run.
fn users() -> Users {
    Users { count: 3, each: u64::MAX, pause: Duration::from_millis(if full() { 300 } else { 50 }) }
}

/// N8, for I12, I13 and I16.
#[test]
fn a_leader_whose_links_go_silent_is_replaced_and_everybody_comes_back() {
    half_open("leader", true);
}

/// N8, where the server that is cut off passes requests on to the leader.
#[test]
fn a_follower_whose_links_go_silent_says_so_and_everybody_comes_back() {
    half_open("follower", false);
}

fn half_open(name: &str, leads: bool) {
    if !Net::is_possible() {
        return;
    }
    let mut random = Random::seeded(name);
    let cluster = start();
    let (leader, _) = cluster.leader(&ALL);
    let victim = if leads { leader } else { (leader + 1) % ALL.len() };
    let majority: Vec<usize> = ALL.into_iter().filter(|server| *server != victim).collect();
    let watch = cluster.watch();
    let mut readers = Readers::start(&cluster, victim, &majority);
    let load = Load::of(&cluster.outside(&majority), cluster.dir.path(), users(), &mut random);
    eventually("users get on", SOON, || (load.count() > 50).then_some(()));

    let writers: Vec<InFlight> = ALL.iter().map(|server| InFlight::connect(&cluster, *server)).collect();
    let silent = Instant::now();
    silence(&cluster.net, victim, &majority);
    let in_flight: Vec<_> = writers.into_iter().map(InFlight::send).collect();
    let over = cluster.until_written(&majority);
    let (noticed, away) = std::thread::scope(|scope| {
        let command = scope.spawn(|| command_ends(&cluster));
        (Noticed::wait(&cluster, victim, &readers, silent), command.join().unwrap())
    });
    let answered = in_flight.into_iter().map(|write| write.check(victim)).collect::<Vec<_>>();
    let count = load.count();
    eventually("the majority goes on", SOON, || (load.count() > count).then_some(()));
    if lasts() > COMMAND_WITHIN {
        let status = readers.command.wait(COMMAND_WITHIN);
        println!("{name}: a command that follows output ended after {:.1?} with {status}", silent.elapsed());
    }
    wait_out(silent);
    let returns = Counting::start(&mut cluster.outside(&majority), cluster.dir.path(), "returns", "far");
    cluster.net.heal();

    let healed = Instant::now();
    let again = cluster.check_writes_again(&ALL, healed);
    let client_again = until_client_writes(&cluster, healed);
    let ran = returns.end(&mut cluster.http());
    let agent_again = ran.at.duration_since(healed);
    cluster.until_nodes_up(2);
    cluster.until_voters(ALL.len());
    let mut book = load.finish();
    book.acknowledged.push(ran);
    book.acknowledged.push(readers.counting.end(&mut cluster.http()));
    Ended::default().check(&mut cluster.http(), &book.acknowledged);
    let examined = book.check_all(&mut cluster.http(), 2 * SOON);
    let index = cluster.check_digests(&cluster.members);
    println!(
        "{name}: silent for {:.1?}; the majority wrote after {over:.2?}; {noticed:.2?}; requests in flight answered {answered:.2?}; a command gave up \
         after {away:.2?}",
        healed.duration_since(silent),
    );
    println!(
        "{name}: after healing: writes {again:.2?}, the client's {client_again:.2?}, a task on the agent had run {agent_again:.2?}; terms and leaders \
         {:?}; {examined:?}, digests equal at {index}; {} answers lost, {} requests repeated",
        watch.check(),
        book.unknown,
        book.repeated
    );
    println!("{name}: {}", readers.check(&cluster, &book.acknowledged));
}

/// Servers and an agent that nothing happens to, and an agent with a pool of its own that will be cut off.
fn start() -> Apart {
    let mut cluster = Apart::start(ALL.len(), 2, &[]);
    let mut http = cluster.http();
    http.must("PUT", "/v1/pools/far", Some(&json!({ "nodes": "zone==far" })));
    http.must("PUT", "/v1/queues/far", Some(&json!({ "pool": "far" })));
    let space = cluster.net.hosts[AGENT].clone();
    cluster.add_agent_with("far", &space, &["--label", "zone=far"]);
    cluster
}

/// From now on nothing passes between the victim and other servers, and between the servers and the hosts of the
/// agent and of the client.
fn silence(net: &Net, victim: usize, majority: &[usize]) {
    net.cut(victim, Lost::Both, majority);
    net.cut(AGENT, Lost::Both, &ALL);
    net.cut(CLIENT, Lost::Both, &ALL);
}

fn wait_out(since: Instant) {
    std::thread::sleep(lasts().saturating_sub(since.elapsed())); // sleep: how long the links are silent
}

/// A client of one server, with a connection that has carried a request.
struct InFlight {
    server: usize,
    http: Http,
}

impl InFlight {
    fn connect(cluster: &Apart, server: usize) -> InFlight {
        let mut http = cluster.client(&cluster.net.outside, &[server], 2 * ANSWER_WITHIN);
        http.must("PUT", &format!("/v1/queues/before-{server}"), Some(&json!({})));
        InFlight { server, http }
    }

    /// Writes once more, now that the server may not reach the leader any more.
    fn send(mut self) -> Writing {
        let server = self.server;
        let thread = std::thread::spawn(move || {
            let began = Instant::now();
            let answer = self.http.ask("PUT", &format!("/v1/queues/in-flight-{server}"), Some(&json!({})));
            // A refusal says whether it may have happened.
            let success = answer.is_success();
            (success, success || answer.error()["definite"].is_boolean(), began.elapsed())
        });
        Writing { server, thread }
    }
}

/// A write on its way.
struct Writing {
    server: usize,
    thread: JoinHandle<(bool, bool, Duration)>,
}

impl Writing {
    /// Whether it was done, and when that was known.
    fn check(self, victim: usize) -> (bool, Duration) {
        let (done, says, took) = self.thread.join().unwrap();
        assert!(says, "a refusal by server {} does not say whether it is definite", self.server);
        assert!(!(done && self.server == victim), "a server that reaches no other one acknowledged a write");
        assert!(took < ANSWER_WITHIN, "server {} answered after {took:?}", self.server);
        (done, took)
    }
}

/// How long after the silence began those who were cut off knew.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
struct Noticed {
    /// The server says that it is not ready.
    server: Duration,
    /// The agent has given its session up.
    agent: Duration,
    /// Who read events of this server knows what happened since.
    events: Duration,
}

impl Noticed {
    fn wait(cluster: &Apart, victim: usize, readers: &Readers, silent: Instant) -> Noticed {
        let mut http = cluster.client(&cluster.net.outside, &[victim], Duration::from_secs(2));
        let now = cluster.seen_by((victim + 1) % ALL.len())["applied_index"].as_u64().unwrap();
        let (mut server, mut agent, mut events) = (None, None, None);
        let note = |known: &mut Option<Duration>, ask: &mut dyn FnMut() -> bool| {
            if known.is_none() && ask() {
                *known = Some(silent.elapsed());
            }
        };
        let left = NOTICE_WITHIN.saturating_sub(silent.elapsed());
        eventually("server, agent and reader of events notice", left, || {
            note(&mut server, &mut || {
                http.request("GET", "/readyz", None).is_ok_and(|answer| !answer.is_success())
            });
            // The second of the agents.
            note(&mut agent, &mut || cluster.agent_log(1).contains("the session ended"));
            note(&mut events, &mut || readers.by_victim.newest() > now);
            Some(Noticed { server: server?, agent: agent?, events: events? })
        })
    }
}

/// A command of the client that is cut off says in the end that it reached nobody. How long it took.
fn command_ends(cluster: &Apart) -> Duration {
    let began = Instant::now();
    let done = cluster.type_at(&cluster.net.hosts[CLIENT], &["queues"], "");
    assert_ne!(done.code, 0, "it reached somebody: {done:?}");
    began.elapsed()
}

/// How long after healing the client that was cut off had a write acknowledged.
fn until_client_writes(cluster: &Apart, healed: Instant) -> Duration {
    let mut http = cluster.client(&cluster.net.hosts[CLIENT], &ALL, Duration::from_secs(1));
    eventually("the client that was cut off writes", SOON, || {
        let answer = http.request("PUT", "/v1/queues/client", Some(&json!({}))).ok()?;
        answer.is_success().then_some(())
    });
    healed.elapsed()
}

/// Those who read events and output: with luck, by way of the server that is cut off, and cut off themselves.
struct Readers {
    lucky: Follower,
    by_victim: Follower,
    cut_off: Follower,
    counting: Counting,
    output: [crate::common::output::Reader; 2],
    command: Process,
}

impl Readers {
    fn start(cluster: &Apart, victim: usize, majority: &[usize]) -> Readers {
        let (outside, client): (&Space, &Space) = (&cluster.net.outside, &cluster.net.hosts[CLIENT]);
        let victim_first: Vec<usize> = [&[victim], majority].concat();
        let counting = Counting::start(&mut cluster.http(), cluster.dir.path(), "counting", "default");
        let job = counting.job.to_string();
        let cut_off = cluster.client(client, &ALL, SILENCE_MAX);
        // This one waits as long as the server lets it.
        let by_victim = cluster.client(outside, &victim_first, 2 * lasts());
        Readers {
            lucky: Follower::start(&cluster.client(outside, majority, SILENCE_MAX)),
            output: [counting.read(&by_victim), counting.read(&cut_off)],
            by_victim: Follower::start(&by_victim),
            cut_off: Follower::start(&cut_off),
            counting,
            command: cluster.leave_at(client, "logs", &["logs", "--follow", &job]),
        }
    }

    /// I13: all of them have seen everything once, and the command as much as it lived for.
    fn check(mut self, cluster: &Apart, acknowledged: &[crate::common::load::Acknowledged]) -> String {
        let followers = [self.lucky, self.by_victim, self.cut_off];
        let events = followers.map(|follower| follower.check(acknowledged));
        let output = self.output.map(|reader| {
            let read = reader.finish();
            (self.counting.check(&mut cluster.http(), &read), read.connections)
        });
        let status = self.command.wait(SOON);
        let log = self.command.log();
        let printed: String =
            log.split_inclusive('\n').filter(|line| line.trim_end().parse::<u64>().is_ok()).collect();
        let lines = check_counts(&printed);
        assert!(!status.success() || lines == output[0].0, "{lines} lines of {output:?}: {log}");
        format!(
            "{events:?}; lines of output and connections {output:?}, {lines} lines by the command, which ended with {status}"
        )
    }
}
