//! A cluster with TLS whose servers are on hosts of their own, and the checkers of what must hold after its links
//! were cut.

use super::cli::{self, Done};
use super::daemon::clean;
use super::http::{Answer, Http, Seat};
use super::netns::{Net, Space};
use super::process::Process;
use super::random::Random;
use super::{SOON, binary, eventually};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Cores of each agent.
const CORES: &str = "16";

/// Servers on hosts of a network, and agents outside.
pub(crate) struct Apart {
    // Before the directory and the network, so that they end before those go.
    servers: Vec<Process>,
    agents: Vec<Process>,
    token: String,
    tls: Option<Arc<rustls::ClientConfig>>,
    args: Vec<String>,
    /// Those that were not removed.
    pub(crate) members: Vec<usize>,
    pub(crate) net: Net,
    pub(crate) dir: tempfile::TempDir,
}

impl Apart {
    /// So many servers that vote, hosts for some more, and an agent.
    pub(crate) fn start(voters: usize, spare: usize, args: &[&str]) -> Apart {
        let (net, dir) = (Net::start(voters + spare), tempfile::tempdir().unwrap());
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let (token, tls, members) = (String::new(), None, Vec::new());
        let (servers, agents) = (Vec::new(), Vec::new());
        let mut cluster = Apart { servers, agents, token, tls, args, members, net, dir };
        let data = cluster.path("s1");
        cluster.type_in(&["cluster", "init", "--data-dir", data.to_str().unwrap()], "").code(0);
        cluster.launch(&[]);
        cluster.log_in();
        let tokens: Vec<PathBuf> = (1..voters).map(|_| cluster.join_token("server")).collect();
        for token in tokens {
            cluster.join(&token);
            cluster.until_voters(cluster.members.len());
        }
        // Once more, now that all of them are there: a login counts for the addresses that are known then.
        cluster.log_in();
        let outside = cluster.net.outside.clone();
        cluster.add_agent("n1", &outside);
        cluster
    }

    /// An agent in this network, once it is up.
    pub(crate) fn add_agent(&mut self, name: &str, space: &Space) {
        self.add_agent_with(name, space, &[]);
    }

    /// The same with more arguments.
    pub(crate) fn add_agent_with(&mut self, name: &str, space: &Space, args: &[&str]) {
        let token = self.join_token("agent");
        let mut command = self.command(space);
        command.args(["agent", "--name", name, "--cpus", CORES, "--server", &self.urls().join(",")]);
        command.arg("--data-dir").arg(self.path(name)).arg("--token-file").arg(token).args(args);
        self.agents.push(Process::spawn(name, command, &self.path(&format!("{name}.log"))));
        self.until_nodes_up(self.agents.len());
    }

    /// Waits until so many nodes are up.
    pub(crate) fn until_nodes_up(&self, count: usize) {
        let mut http = self.http();
        eventually("nodes are up", SOON, || {
            let answer = http.request("GET", "/v1/cluster", None).ok().filter(Answer::is_success)?;
            (answer.json()["nodes_up"] == count).then_some(())
        });
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, space: &Space) -> Command {
        let home = self.path("home");
        fs::create_dir_all(&home).unwrap();
        let mut command = clean(space.command(), &home);
        command.arg(binary());
        command
    }

    /// As the administrator, outside.
    fn type_in(&self, args: &[&str], stdin: &str) -> Done {
        self.type_at(&self.net.outside, args, stdin)
    }

    /// As the administrator in this network.
    pub(crate) fn type_at(&self, space: &Space, args: &[&str], stdin: &str) -> Done {
        cli::run_as(self.typed(space, args), &format!("taskyard {args:?}"), stdin)
    }

    /// The same for a command that goes on; what it says is in its log.
    pub(crate) fn leave_at(&self, space: &Space, name: &str, args: &[&str]) -> Process {
        Process::spawn(name, self.typed(space, args), &self.path(&format!("{name}.log")))
    }

    fn typed(&self, space: &Space, args: &[&str]) -> Command {
        let mut command = self.command(space);
        command.args(args).env("TASKYARD_SERVER", self.urls().join(","));
        command
    }

    /// What an agent has said, by the order in which they were added.
    pub(crate) fn agent_log(&self, agent: usize) -> String {
        self.agents[agent].log()
    }

    fn log_in(&mut self) {
        let data = self.path("s1");
        self.token = cli::log_in_first(&data, |args, stdin| self.type_in(args, stdin));
        let pem = fs::read_to_string(data.join("tls/ca.crt")).unwrap();
        self.tls = Some(Arc::new(taskyard_tls::web_roots(Some(&pem)).unwrap()));
    }

    /// A file with a token that lets one server or agent join.
    pub(crate) fn join_token(&self, kind: &str) -> PathBuf {
        let token = self.type_in(&["token", "create", "--kind", kind, "--join"], "").code(0).stdout;
        let path = self.path(&format!("{}.token", Random::fresh().below(u64::MAX)));
        fs::write(&path, token).unwrap();
        path
    }

    /// A further server on the next host, by way of those that are there.
    pub(crate) fn join(&mut self, token: &Path) -> usize {
        self.launch(&["--join", &self.urls().join(","), "--token-file", token.to_str().unwrap()]);
        self.servers.len() - 1
    }

    fn launch(&mut self, args: &[&str]) {
        let host = self.servers.len();
        let name = format!("s{}", host + 1);
        let mut command = self.command(&self.net.hosts[host]);
        command.args(["server", "--listen", &format!("{}:7420", Net::address(host))]);
        command.args(["--advertise", &url(host), "--data-dir"]).arg(self.path(&name));
        command.args(&self.args).args(args);
        self.servers.push(Process::spawn(&name, command, &self.path(&format!("{name}.log"))));
        self.members.push(host);
    }

    /// Lets a member go, whether or not it hears of it.
    pub(crate) fn remove(&mut self, server: usize) {
        self.members.retain(|member| *member != server);
        let mut http = self.http();
        let status = http.get("/v1/cluster");
        let servers = status["servers"].as_array().unwrap();
        let id = servers.iter().find(|s| s["url"] == url(server)).unwrap()["id"].clone();
        eventually("it is let go", SOON, || {
            let answer = http.request("DELETE", &format!("/v1/cluster/servers/{id}"), None);
            matches!(answer, Ok(answer) if answer.is_success() || answer.status == 404).then_some(())
        });
    }

    /// Waits until a server that was let go has heard of it and ended, whether it ran or was away.
    pub(crate) fn until_gone(&mut self, server: usize) {
        self.servers[server].wait(SOON);
        let log = self.servers[server].log();
        assert!(log.contains("was removed from the cluster"), "{log}");
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().copied().map(url).collect()
    }

    /// Of some servers, for a client in this network that waits so long.
    pub(crate) fn client(&self, space: &Space, servers: &[usize], patience: Duration) -> Http {
        let urls: Vec<String> = servers.iter().map(|server| url(*server)).collect();
        self.client_of(&urls.join(","), space, patience)
    }

    /// The same for addresses that lead to servers.
    pub(crate) fn client_of(&self, urls: &str, space: &Space, patience: Duration) -> Http {
        let mut http = Http::new(urls);
        http.credential = Some(self.token.clone());
        http.seat = Seat { space: Some(space.clone()), tls: self.tls.clone(), patience };
        http
    }

    /// Outside, where no link is ever cut.
    pub(crate) fn outside(&self, servers: &[usize]) -> Http {
        self.client(&self.net.outside, servers, Duration::from_secs(10))
    }

    pub(crate) fn http(&self) -> Http {
        self.outside(&self.members)
    }

    /// The cluster as this server knows it, right or not.
    pub(crate) fn seen_by(&self, server: usize) -> Value {
        self.outside(&[server]).get("/v1/cluster?consistency=stale")
    }

    /// Which of these servers leads by its own word, and its term.
    pub(crate) fn leader(&self, among: &[usize]) -> (usize, u64) {
        eventually("a server leads", SOON, || {
            among.iter().find_map(|server| {
                let answer = self.outside(&[*server]).request("GET", "/leaderz", None).ok()?;
                answer.is_success().then(|| (*server, self.seen_by(*server)["term"].as_u64().unwrap()))
            })
        })
    }

    /// Waits until so many servers vote and none is far behind.
    pub(crate) fn until_voters(&self, count: usize) {
        let mut http = self.http();
        eventually(&format!("{count} servers vote"), SOON, || {
            let answer = http.request("GET", "/v1/cluster", None).ok()?;
            let status = answer.is_success().then(|| answer.json())?;
            let servers = status["servers"].as_array()?;
            let near = |s: &&Value| s["lag"].as_u64().is_some_and(|lag| lag < 1_000);
            let votes = |s: &&Value| s["role"] == "leader" || s["role"] == "follower";
            (servers.iter().filter(votes).filter(near).count() == count && servers.len() == count)
                .then_some(())
        });
    }

    /// How long it takes from now until one of these servers, asked in turn, acknowledges a write.
    pub(crate) fn until_written(&self, servers: &[usize]) -> Duration {
        let began = Instant::now();
        let mut clients: Vec<Http> = servers
            .iter()
            .map(|server| self.client(&self.net.outside, &[*server], Duration::from_secs(1)))
            .collect();
        let mut turn = 0;
        eventually("a write is acknowledged", SOON, || {
            turn += 1;
            let at = turn % clients.len();
            write(&mut clients[at]).then_some(())
        });
        began.elapsed()
    }

    /// I16: within 30 s of the last fault's end every server takes writes, whoever leads. How long each took.
    pub(crate) fn check_writes_again(&self, servers: &[usize], healed: Instant) -> Vec<Duration> {
        let mut took = Vec::new();
        for server in servers {
            let mut http = self.outside(&[*server]);
            let left = SOON.saturating_sub(healed.elapsed());
            eventually(&format!("server {server} takes writes again"), left, || {
                write(&mut http).then_some(())
            });
            took.push(healed.elapsed());
        }
        assert!(took.iter().all(|took| *took < SOON), "{took:?}");
        took
    }

    /// I12: at one index these servers have the same state. The index.
    pub(crate) fn check_digests(&self, servers: &[usize]) -> u64 {
        let index = |status: &Value| status["applied_index"].as_u64().unwrap();
        let seen = eventually("servers with the same index", SOON, || {
            let ask =
                |server: &usize| self.outside(&[*server]).get("/v1/cluster?consistency=stale&digest=true");
            let seen: Vec<Value> = servers.iter().map(ask).collect();
            seen.iter().all(|status| index(status) == index(&seen[0])).then_some(seen)
        });
        assert!(seen[0]["digest"].is_string() && seen.len() > 1, "nothing was compared: {seen:?}");
        assert!(
            seen.iter().all(|status| status["digest"] == seen[0]["digest"]),
            "different states: {seen:#?}"
        );
        index(&seen[0])
    }

    /// Keeps a book of terms and leaders from now on.
    pub(crate) fn watch(&self) -> Watch {
        let servers = self.net.hosts.iter().enumerate();
        let clients = servers.map(|(n, _)| self.client(&self.net.outside, &[n], Duration::from_secs(1)));
        Watch::start(clients.collect())
    }
}

fn url(server: usize) -> String {
    format!("https://{}:7420", Net::address(server))
}

/// Whether a write is acknowledged. None has the effect of one before, and there may be only so many queues.
fn write(http: &mut Http) -> bool {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = format!("/v1/queues/w{}", number % 100);
    let Ok(answer) = http.request("PUT", &path, Some(&json!({ "max_wait": format!("{}s", number + 1) })))
    else {
        return false;
    };
    let well = answer.is_success() || answer.status == 429 || answer.status >= 500;
    assert!(well, "it is the write that is wrong: {}", answer.text());
    answer.is_success()
}

/// Who led in each term, in the words of all servers.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<BTreeMap<u64, BTreeSet<u64>>>>,
}

impl Watch {
    fn start(clients: Vec<Http>) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let follow = |mut http: Http| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut seen: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
                let mut last = (0, None);
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(100)); // sleep: between two questions
                    let Ok(answer) = http.request("GET", "/v1/cluster?consistency=stale", None) else {
                        continue;
                    };
                    let status = if answer.is_success() { answer.json() } else { continue };
                    let term = status["term"].as_u64().unwrap();
                    // An answer has the term first and the leader later: if the next one has the same term, the two
                    // belong together.
                    let known = seen.entry(last.0).or_default();
                    known.extend(last.1.filter(|_| last.0 == term));
                    last = (term, status["leader"].as_u64());
                }
                seen.retain(|term, _| *term > 0);
                seen
            })
        };
        let threads = clients.into_iter().map(follow).collect();
        Watch { stop, threads }
    }

    /// No term had two leaders. The number of terms, and of those with a leader.
    pub(crate) fn check(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for thread in self.threads.drain(..) {
            for (term, leaders) in thread.join().unwrap() {
                all.entry(term).or_default().extend(leaders);
            }
        }
        assert!(all.values().all(|leaders| leaders.len() <= 1), "a term with two leaders: {all:?}");
        let led = all.values().filter(|leaders| !leaders.is_empty()).count();
        assert!(led > 0, "nobody was seen leading");
        (all.len(), led)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
