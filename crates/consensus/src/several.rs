//! Several servers in one process, with real disks and a network that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use taskyard_model::JobId;
use taskyard_state::{Command, Reply, ServerRole};
use tempfile::TempDir;

use crate::peer::{Dial, Dialing, Duplex};
use crate::{Consensus, ConsensusConfig, number_of};

/// Who can be reached, and who is cut off from whom.
#[derive(Default)]
struct Net {
    servers: Mutex<BTreeMap<String, Consensus>>,
    cut: Mutex<BTreeSet<(String, String)>>,
    /// Connections that were tried in vain.
    in_vain: AtomicUsize,
}

/// The network as one server sees it.
struct Port {
    net: Arc<Net>,
    from: String,
}

impl Dial for Port {
    fn dial(&self, url: String) -> Dialing {
        let reached = self.net.servers.lock().get(&url).cloned();
        let cut = self.net.cut.lock().contains(&(self.from.clone(), url.clone()));
        let (net, from) = (Arc::clone(&self.net), self.from.clone());
        Box::pin(async move {
            let Some(server) = reached.filter(|_| !cut) else {
                net.in_vain.fetch_add(1, Relaxed);
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens"));
            };
            let (near, far) = tokio::io::duplex(64 << 10);
            tokio::spawn(async move {
                let served = server.serve_peer(Box::new(far));
                let severed = async {
                    // sleep: a cut takes effect within it
                    while !net.cut.lock().contains(&(from.clone(), url.clone())) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::select! { _ = served => {}, () = severed => {} }
            });
            Ok(Box::new(near) as Box<dyn Duplex>)
        })
    }
}

struct TestCluster {
    net: Arc<Net>,
    dirs: Vec<TempDir>,
    /// By number, from 1; `None` while it is down.
    servers: Vec<Option<Consensus>>,
    tune: fn(&mut ConsensusConfig),
}

fn url(id: usize) -> String {
    format!("http://s{id}")
}

impl TestCluster {
    async fn start(size: usize, tune: fn(&mut ConsensusConfig)) -> TestCluster {
        let mut cluster = TestCluster { net: Arc::default(), dirs: Vec::new(), servers: Vec::new(), tune };
        for _ in 0..size {
            cluster.join(ServerRole::Voter).await;
        }
        cluster
            .until("all vote", |c| c.status().iter().filter(|s| s.voter == Some(true)).count() == size)
            .await;
        cluster
    }

    fn config(&self, id: usize) -> ConsensusConfig {
        let mut config = ConsensusConfig::new(self.dirs[id - 1].path(), "test", id as u64);
        config.url = url(id);
        config.segment_bytes = 256 << 10;
        config.entry_bytes_max = 64 << 10;
        config.election_timeout_min = Duration::from_millis(400);
        config.election_timeout_max = Duration::from_millis(800);
        config.heartbeat = Duration::from_millis(100);
        (self.tune)(&mut config);
        config
    }

    /// A new server: the first begins the cluster, the others are admitted to it.
    async fn join(&mut self, role: ServerRole) -> usize {
        self.dirs.push(TempDir::new().expect("temporary directory"));
        self.servers.push(None);
        let id = self.dirs.len();
        let mut config = self.config(id);
        if id > 1 {
            let directory = number_of(&config.dir).expect("a number");
            let admit = Command::AdmitServer { directory, url: url(id), role };
            assert_eq!(self.propose(admit).await, Some(Reply::Server { id: id as u64 }));
            config.admitted_as = Some(directory);
        }
        self.up_as(id, config).await;
        id
    }

    async fn up(&mut self, id: usize) {
        self.up_as(id, self.config(id)).await;
    }

    async fn up_as(&mut self, id: usize, config: ConsensusConfig) {
        let port = Port { net: Arc::clone(&self.net), from: url(id) };
        let server = Consensus::start(config, Arc::new(port), Box::new(())).await.expect("starts");
        self.net.servers.lock().insert(url(id), server.clone());
        self.servers[id - 1] = Some(server);
    }

    async fn down(&mut self, id: usize) {
        self.net.servers.lock().remove(&url(id));
        if let Some(server) = self.servers[id - 1].take() {
            server.shutdown().await;
        }
    }

    fn cut(&self, id: usize) {
        let mut cut = self.net.cut.lock();
        for other in (1..=self.servers.len()).filter(|other| *other != id) {
            cut.insert((url(id), url(other)));
            cut.insert((url(other), url(id)));
        }
    }

    fn heal(&self) {
        self.net.cut.lock().clear();
    }

    fn alive(&self) -> impl Iterator<Item = (usize, &Consensus)> {
        self.servers.iter().enumerate().filter_map(|(at, server)| Some((at + 1, server.as_ref()?)))
    }

    /// The server of the newest leadership.
    fn leader(&self) -> Option<(usize, Consensus)> {
        let led =
            self.alive().filter_map(|(id, s)| Some((s.leadership().borrow().as_ref()?.term, id, s.clone())));
        led.max_by_key(|(term, ..)| *term).map(|(_, id, server)| (id, server))
    }

    fn status(&self) -> Vec<crate::ServerStatus> {
        self.leader().map(|(_, leader)| leader.servers()).unwrap_or_default()
    }

    async fn until(&self, what: &str, mut done: impl FnMut(&TestCluster) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: {:#?}", self.status());
            tokio::time::sleep(Duration::from_millis(10)).await; // sleep: between two looks, with a deadline
        }
    }

    /// Proposes to whoever leads until it is committed; only for commands that may be repeated.
    async fn propose(&self, command: Command) -> Option<Reply> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some((_, leader)) = self.leader()
                && let Ok(committed) = leader.propose(command.clone()).await
            {
                return Some(committed.reply);
            }
            tokio::time::sleep(Duration::from_millis(10)).await; // sleep: between two tries, with a deadline
        }
        None
    }

    async fn same_everywhere(&self) {
        self.until("same everywhere", |c| {
            let at: BTreeSet<_> =
                c.alive().map(|(_, s)| s.read(|state| (state.index(), state.digest()))).collect();
            at.len() == 1
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_voters_ends_although_its_leader_dies_half_way() {
    let mut cluster = TestCluster::start(2, |_| {}).await;
    for round in 0..3 {
        let newcomer = cluster.join(ServerRole::Voter).await;
        let member =
            |c: &TestCluster| c.status().iter().any(|s| s.id == newcomer as u64 && s.voter.is_some());
        cluster.until("it is a member", member).await;
        let (id, _) = cluster.leader().expect("leads");
        cluster.down(id).await;
        cluster.up(id).await;
        let voters = |c: &TestCluster| c.status().iter().filter(|s| s.voter == Some(true)).count();
        cluster.until("all vote", |c| voters(c) == round + 3).await;
        cluster.propose(hold(1)).await.expect("goes on");
    }
}

fn hold(job: u64) -> Command {
    Command::Hold { job: JobId(job) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_leader_has_all_that_was_acknowledged() {
    let mut cluster = TestCluster::start(3, |_| {}).await;
    for round in 0..3 {
        for job in 0..50 {
            cluster.propose(hold(job)).await.expect("committed");
        }
        let (id, leader) = cluster.leader().expect("leads");
        let (index, since) = leader.read(|state| (state.index(), state.leader_since_ms()));
        cluster.down(id).await;
        cluster.until("another leads", |c| c.leader().is_some()).await;
        let (_, next) = cluster.leader().expect("leads");
        let (start, current) = next.read(|state| (state.leader_since_ms(), state.index()));
        assert!(start > since && current > index, "it leads before its LeaderStart is applied");
        cluster.propose(hold(round)).await.expect("committed by the other two");
        let (next, leader) = cluster.leader().expect("leads");
        assert_ne!(next, id);
        assert!(leader.read(|state| state.index()) > index);
        cluster.up(id).await;
        cluster.same_everywhere().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_replaced_unawares_reads_nothing_and_commits_nothing() {
    let cluster = TestCluster::start(3, |_| {}).await;
    let (id, old) = cluster.leader().expect("leads");
    cluster.cut(id);
    cluster.until("another leads", |c| c.leader().is_some_and(|(next, _)| next != id)).await;
    let index = cluster.leader().expect("leads").1.propose(hold(7)).await.expect("committed").index;
    assert!(old.leadership().borrow().is_some(), "it does not know yet");
    assert!(old.read(|state| state.index()) < index);
    let logged = old.metrics().last_index;
    let mut reading = std::pin::pin!(async {
        let passed = old.read_barrier().await;
        passed.is_err() || old.read(|state| state.index()) >= index
    });
    // Until it hears of its successor it can only write down what the read waits for; the mutant must fail here.
    let written = cluster.until("the read is in its log", |_| old.metrics().last_index > logged);
    let early = tokio::select! {
        biased;
        current = &mut reading => Some(current),
        () = written => None,
    };
    cluster.heal();
    // What it proposed for the read cannot be committed in its term any more.
    let current = match early {
        Some(current) => current,
        None => reading.await,
    };
    assert!(current, "a read from the past");
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_in_flight_when_the_quorum_is_lost_is_answered_as_unknown() {
    let cluster = TestCluster::start(3, |_| {}).await;
    let (id, old) = cluster.leader().expect("leads");
    cluster.cut(id);
    // The cut takes effect within a moment, in which some may still be committed.
    let refused = async {
        loop {
            if let Err(error) = old.propose(hold(7)).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), refused).await.expect("in bounded time");
    assert!(!error.is_definite(), "it may happen yet: {error}");
    assert!(old.leadership().borrow().is_some(), "it does not know of a successor");
    cluster.heal();
    cluster.propose(hold(8)).await.expect("goes on");
    cluster.same_everywhere().await;
    assert_eq!(old.metrics().in_flight, 0, "what nobody waits for any more is settled too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lags_too_far_gets_a_snapshot() {
    let tune = |config: &mut ConsensusConfig| {
        config.snapshot_log_entries = 100;
        config.keep_entries = 10;
    };
    let mut cluster = TestCluster::start(3, tune).await;
    let (id, _) = cluster.leader().expect("leads");
    let lagging = id % 3 + 1;
    cluster.down(lagging).await;
    for job in 0..1000 {
        cluster.propose(hold(job)).await.expect("committed");
    }
    cluster.until("a snapshot", |c| c.leader().is_some_and(|(_, s)| s.metrics().snapshot_index > 800)).await;
    cluster.up(lagging).await;
    cluster.same_everywhere().await;
    let server = cluster.servers[lagging - 1].as_ref().expect("up");
    assert!(server.metrics().snapshot_index > 800, "{:?}", server.metrics());
    // It is a full member: with it and without another one, things go on.
    let (id, _) = cluster.leader().expect("leads");
    cluster.down(if id == lagging { id % 3 + 1 } else { id }).await;
    cluster.propose(hold(1)).await.expect("committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_server_is_called_now_and_then() {
    let mut cluster = TestCluster::start(3, |_| {}).await;
    let (id, leader) = cluster.leader().expect("leads");
    cluster.down(id % 3 + 1).await;
    cluster.net.in_vain.store(0, Relaxed);
    let began = Instant::now();
    let mut written = 0;
    while began.elapsed() < Duration::from_secs(3) {
        leader.propose(hold(1)).await.expect("committed by two");
        written += 1;
    }
    let calls = cluster.net.in_vain.load(Relaxed) as f64 / began.elapsed().as_secs_f64();
    println!("{calls:.0} calls a second in vain, beside {written} writes");
    // Heartbeats, the replication and the look at how the others stand each try a few times a second.
    assert!(calls < 60.0, "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_and_servers_come_and_go() {
    let mut cluster = TestCluster::start(3, |_| {}).await;
    let (id, leader) = cluster.leader().expect("leads");
    let next = id % 3 + 1;
    leader.transfer(next as u64, Duration::from_secs(5)).await.expect("taken over");
    cluster.until("the next leads", |c| c.leader().is_some_and(|(id, _)| id == next)).await;
    // A fourth learns, a fifth votes, the leader leaves.
    let fourth = cluster.join(ServerRole::Learner).await;
    let fifth = cluster.join(ServerRole::Voter).await;
    cluster.until("four vote", |c| c.status().iter().filter(|s| s.voter == Some(true)).count() == 4).await;
    let learner = cluster.status().into_iter().find(|s| s.id == fourth as u64).expect("there");
    assert_eq!(learner.voter, Some(false));
    let (gone, _) = cluster.leader().expect("leads");
    let leaving = cluster.servers[gone - 1].clone().expect("up");
    let reply = cluster.propose(Command::SetServer { id: gone as u64, role: ServerRole::Removed }).await;
    assert_eq!(reply, Some(Reply::Server { id: gone as u64 }));
    cluster
        .until("it is gone", |c| {
            let status = c.status();
            !status.is_empty() && status.iter().all(|s| s.id != gone as u64)
        })
        .await;
    // Whoever was removed while it was away hears of it when it calls.
    cluster.down(gone).await;
    cluster.up(gone).await;
    drop(leaving);
    let back = cluster.servers[gone - 1].clone().expect("up");
    let why = tokio::time::timeout(Duration::from_secs(20), back.expelled()).await.expect("is told");
    assert!(why.contains("removed from the cluster"), "{why}");
    let _ = fifth;
    cluster.down(gone).await;
    cluster.propose(hold(1)).await.expect("goes on");
    cluster.same_everywhere().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_while_it_runs_is_told() {
    let cluster = TestCluster::start(3, |_| {}).await;
    let (id, _) = cluster.leader().expect("leads");
    let gone = id % 3 + 1;
    let leaving = cluster.servers[gone - 1].clone().expect("up");
    cluster
        .propose(Command::SetServer { id: gone as u64, role: ServerRole::Removed })
        .await
        .expect("removed");
    let why = tokio::time::timeout(Duration::from_secs(30), leaving.expelled()).await.expect("is told");
    assert!(why.contains("removed from the cluster"), "{why}");
}

/// Its voice is needed for its own removal. If the other one refuses it too soon, nobody can ever decide anything again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_of_two_servers_may_leave() {
    for leads in [true, false] {
        let mut cluster = TestCluster::start(2, |_| {}).await;
        let (id, _) = cluster.leader().expect("leads");
        let gone = if leads { id } else { 3 - id };
        let leaving = cluster.servers[gone - 1].clone().expect("up");
        cluster
            .propose(Command::SetServer { id: gone as u64, role: ServerRole::Removed })
            .await
            .expect("removed");
        let why = tokio::time::timeout(Duration::from_secs(30), leaving.expelled()).await.expect("is told");
        assert!(why.contains("removed from the cluster"), "{why}");
        drop(leaving);
        cluster.down(gone).await;
        cluster.propose(hold(1)).await.expect("the other one goes on alone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_process_is_succeeded_long_before_silence_tells() {
    let slow = |config: &mut ConsensusConfig| {
        config.election_timeout_min = Duration::from_secs(10);
        config.election_timeout_max = Duration::from_secs(20);
    };
    let mut cluster = TestCluster::start(3, slow).await;
    let (id, _) = cluster.leader().expect("leads");
    cluster.down(id).await;
    let died = Instant::now();
    cluster.until("another leads", |c| c.leader().is_some_and(|(next, _)| next != id)).await;
    println!("succeeded after {:?}", died.elapsed());
    assert!(died.elapsed() < Duration::from_secs(20), "{:?}", died.elapsed());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("directory");
    for entry in std::fs::read_dir(from).expect("readable").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("known").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_data_directory_is_refused_and_told() {
    let mut cluster = TestCluster::start(3, |_| {}).await;
    let (leader, _) = cluster.leader().expect("leads");
    let victim = leader % 3 + 1;
    let old = TempDir::new().expect("temporary directory");
    cluster.down(victim).await;
    copy(cluster.dirs[victim - 1].path(), old.path());
    cluster.up(victim).await;
    cluster.propose(hold(1)).await.expect("committed");
    let starts = |c: &TestCluster| {
        let known =
            c.leader().and_then(|(_, l)| l.read(|state| state.server(victim as u64).map(|s| s.starts)));
        known.unwrap_or(0)
    };
    cluster.until("the start is recorded", |c| starts(c) == 2).await;
    cluster.down(victim).await;
    cluster.dirs[victim - 1] = old;
    cluster.up(victim).await;
    let back = cluster.servers[victim - 1].clone().expect("up");
    let why = tokio::time::timeout(Duration::from_secs(20), back.expelled()).await.expect("is told");
    assert!(why.contains("older copy"), "{why}");
    // The others go on, and take no acknowledgement of it for one.
    cluster.propose(hold(2)).await.expect("committed");
    let status = cluster.status().into_iter().find(|s| s.id == victim as u64).expect("there");
    assert!(status.log_index < cluster.leader().map(|(_, l)| l.read(|state| state.index())), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_all_others_refuse_knows_why() {
    let mut cluster = TestCluster::start(3, |_| {}).await;
    // At the same addresses, as this server would see it if it had forgotten the name of its own cluster.
    let other = TestCluster::start(3, |config| config.cluster_id = "other".into()).await;
    let victim = cluster.leader().expect("leads").0 % 3 + 1;
    let healthy = Arc::clone(&cluster.net);
    cluster.down(victim).await;
    cluster.net = Arc::clone(&other.net);
    cluster.up(victim).await;
    let why = |c: &TestCluster| c.servers[victim - 1].as_ref().and_then(Consensus::refused_by_all);
    cluster.until("all refuse it", |c| why(c).is_some()).await;
    let said = why(&cluster).expect("just now");
    assert!(said.contains("cluster test") && said.contains("cluster other"), "{said}");
    let status = cluster.servers[victim - 1].as_ref().expect("up").servers();
    assert!(status.iter().all(|server| server.refused.is_some()), "{status:?}");
    cluster.down(victim).await;
    cluster.net = healthy;
    cluster.up(victim).await;
    cluster.propose(hold(1)).await.expect("committed");
    cluster.same_everywhere().await;
    assert_eq!(why(&cluster), None);
}
