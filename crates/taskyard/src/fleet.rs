//! `taskyard dev --servers 3 --agents 4`: a cluster on one machine, each server and each agent a process of its own,
//! so that any of them can be killed to see what happens. What dies is started again.

use crate::args::{DevArgs, OfferArgs};
use crate::config;
use crate::serve::{say, terminated};
use anyhow::{Context, bail};
use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use taskyard_client::{Client, Patience, ServerList, ServerSource};
use taskyard_model::Invalid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a member that died stays away at least, so that people see it.
const RESTART_AFTER: Duration = Duration::from_secs(1);
/// Told to stop, a member that has not ended by then is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Until everything is there.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Set for the members: they end with the process that started them.
pub(crate) const PARENT: &str = "TASKYARD_DEV_PID";

/// How many servers and agents there are to be.
pub(crate) struct Size {
    servers: usize,
    agents: usize,
}

impl Size {
    /// As asked for; else as many as have data there already. `None`: one of each, which needs no other process.
    pub(crate) fn of(args: &DevArgs, data_dir: &Path) -> Result<Option<Size>, Invalid> {
        let there = |kind: &str| (2..).take_while(|n| member_dir(data_dir, kind, *n).exists()).count() + 1;
        let asked = |n: Option<u8>, kind: &str| n.map_or_else(|| there(kind), usize::from);
        let size = Size { servers: asked(args.servers, "server"), agents: asked(args.agents, "agent") };
        let servers = there("server");
        if size.servers < servers {
            // The others would count as voters that are down: perhaps no majority, and then no leader.
            let dir = data_dir.display();
            let remedy = format!("{dir} has {servers} servers; start it with --servers {servers}");
            return Err(Invalid::new("--servers", size.servers.to_string(), remedy));
        }
        Ok((args.servers.is_some() || args.agents.is_some() || size.servers > 1 || size.agents > 1)
            .then_some(size))
    }
}

/// The first ones keep the place of the only ones.
fn member_dir(data_dir: &Path, kind: &str, number: usize) -> PathBuf {
    if number == 1 { data_dir.join(kind) } else { data_dir.join(format!("{kind}-{number}")) }
}

/// One process to be kept alive.
struct Member {
    name: String,
    args: Vec<String>,
    log: PathBuf,
}

/// Runs the fleet until it is told to stop.
pub(crate) async fn run(
    size: Size,
    args: DevArgs,
    data_dir: PathBuf,
    listen: SocketAddr,
) -> anyhow::Result<()> {
    crate::serve::claim(&data_dir)?;
    taskyard_datadir::make_dir(&data_dir.join("log")).context("cannot make the log directory")?;
    let addresses = addresses(&data_dir, listen, size.servers)?;
    let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
    taskyard_datadir::replace(&data_dir.join("endpoint"), format!("{}\n", urls.join(",")).as_bytes())?;
    let stop = StopSenders { agents: watch::Sender::new(false), servers: watch::Sender::new(false) };
    let mut members = JoinSet::new();
    for (at, address) in addresses.iter().enumerate() {
        members.spawn(keep(server(&data_dir, at + 1, address, &urls), stop.servers.subscribe()));
    }
    let (cpus, memory) = share(size.agents);
    for number in 1..=size.agents {
        let member = agent(&data_dir, number, &urls, &args.offer, (cpus.clone(), memory.clone()));
        members.spawn(keep(member, stop.agents.subscribe()));
    }
    let ready = async {
        greet(&urls, &size, &data_dir).await?;
        std::future::pending().await
    };
    let mut result: anyhow::Result<()> = tokio::select! {
        () = terminated() => Ok(()),
        failed = ready => failed,
        Some(ended) = members.join_next() => ended.map_err(anyhow::Error::from).flatten(),
    };
    // Agents first, so that what they have to say is still heard.
    stop.agents.send_replace(true);
    let stopping = async {
        while members.len() > size.servers {
            if members.join_next().await.is_none() {
                return;
            }
        }
    };
    stopping.await;
    stop.servers.send_replace(true);
    while let Some(ended) = members.join_next().await {
        result = result.and(ended.map_err(anyhow::Error::from).flatten());
    }
    result
}

struct StopSenders {
    agents: watch::Sender<bool>,
    servers: watch::Sender<bool>,
}

fn server(data_dir: &Path, number: usize, address: &SocketAddr, urls: &[String]) -> Member {
    let dir = member_dir(data_dir, "server", number);
    let mut args = vec!["server".into(), "--data-dir".into(), dir.display().to_string()];
    args.extend(["--listen".into(), address.to_string()]);
    if number > 1 {
        args.extend(["--join".into(), urls[0].clone()]);
    }
    member(data_dir, "server", number, args)
}

fn agent(
    data_dir: &Path,
    number: usize,
    urls: &[String],
    offer: &OfferArgs,
    (cpus, memory): (String, String),
) -> Member {
    let dir = member_dir(data_dir, "agent", number);
    let mut args = vec!["agent".into(), "--data-dir".into(), dir.display().to_string()];
    args.extend(["--server".into(), urls.join(",")]);
    let name = offer.name.as_deref().unwrap_or("agent");
    args.extend(["--name".into(), format!("{name}-{number}")]);
    args.extend(["--cpus".into(), offer.cpus.clone().unwrap_or(cpus)]);
    args.extend(["--mem".into(), offer.mem.clone().unwrap_or(memory)]);
    args.extend(offer.gpus.iter().flat_map(|gpus| ["--gpus".into(), gpus.clone()]));
    let sizes = [("--output-limit", &offer.output_limit), ("--output-budget", &offer.output_budget)];
    args.extend(sizes.into_iter().flat_map(|(flag, size)| Some([flag.into(), size.clone()?])).flatten());
    args.extend(offer.resources.iter().flat_map(|r| ["--resource".into(), r.clone()]));
    args.extend(offer.labels.iter().flat_map(|l| ["--label".into(), l.clone()]));
    member(data_dir, "agent", number, args)
}

fn member(data_dir: &Path, kind: &str, number: usize, args: Vec<String>) -> Member {
    let name = format!("{kind}-{number}");
    let log = data_dir.join("log").join(format!("{name}.log"));
    Member { name, args, log }
}

/// What each of several agents offers of one machine; a core at least, which is what a task asks for that says nothing.
fn share(agents: usize) -> (String, String) {
    let all = taskyard_agent::detect().amounts;
    let cpus = (all.cpu_milli / 1_000 / agents as u64).max(1);
    let memory = (all.memory / agents as u64) >> 20;
    (cpus.to_string(), format!("{memory}MiB"))
}

/// Where the servers listen: consecutive ports; for port 0 free ones, which are kept, because the servers know each
/// other by them.
fn addresses(data_dir: &Path, listen: SocketAddr, servers: usize) -> anyhow::Result<Vec<SocketAddr>> {
    if listen.port() != 0 {
        let last = usize::from(listen.port()) + servers - 1;
        if last > usize::from(u16::MAX) {
            bail!(
                "listen: \"{listen}\": the servers take {servers} ports from this one on; choose a lower one"
            );
        }
        return Ok((0..servers as u16).map(|n| SocketAddr::new(listen.ip(), listen.port() + n)).collect());
    }
    let file = data_dir.join("ports");
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let mut ports: Vec<u16> = kept.split_whitespace().flat_map(str::parse).take(servers).collect();
    // All are held until all are chosen.
    let mut held = Vec::new();
    while ports.len() < servers {
        let free = TcpListener::bind(listen).context("no free port")?;
        ports.push(free.local_addr()?.port());
        held.push(free);
    }
    let text: Vec<String> = ports.iter().map(u16::to_string).collect();
    taskyard_datadir::replace(&file, text.join(" ").as_bytes())?;
    Ok(ports.into_iter().map(|port| SocketAddr::new(listen.ip(), port)).collect())
}

/// Starts a member, and again whenever it ends, until it is told to stop.
async fn keep(member: Member, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut before = String::new();
    loop {
        let mut child = member.start()?;
        let ended = tokio::select! {
            ended = child.wait() => Some(ended?),
            () = told(&mut stop) => None,
        };
        let Some(ended) = ended else { return end(&member, child).await };
        let how = format!("{} ended ({ended}); starting it again", member.name);
        // The same again and again says nothing new.
        if how != before {
            tracing::warn!(log = %member.log.display(), "{how}");
            before = how;
        }
        tokio::select! {
            () = tokio::time::sleep(RESTART_AFTER) => {}
            () = told(&mut stop) => return Ok(()),
        }
    }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Member {
    fn start(&self) -> anyhow::Result<Child> {
        let log = || taskyard_datadir::open(&self.log, OpenOptions::new().create(true).append(true));
        let failed = || format!("cannot start {}", self.name);
        let program = std::env::current_exe().with_context(failed)?;
        let mut command = Command::new(program);
        command.args(&self.args).env(PARENT, std::process::id().to_string());
        command.stdin(Stdio::null()).stdout(log().with_context(failed)?).stderr(log().with_context(failed)?);
        command.kill_on_drop(true).spawn().with_context(failed)
    }
}

async fn end(member: &Member, mut child: Child) -> anyhow::Result<()> {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_err() {
        tracing::warn!("{} did not stop in time; killing it", member.name);
        child.kill().await?;
    }
    Ok(())
}

/// Waits until every server votes and every agent is up, and says what to type.
async fn greet(urls: &[String], size: &Size, data_dir: &Path) -> anyhow::Result<()> {
    let found = ServerList { urls: urls.to_vec(), source: ServerSource::Flag };
    let client = Client::new(found, "dev", Patience { first: READY_WITHIN, later: READY_WITHIN })?;
    let deadline = tokio::time::Instant::now() + READY_WITHIN;
    loop {
        let status = client.cluster(false).await?;
        let servers =
            status.servers.iter().filter(|s| s.pid.is_some() && s.lag.is_some_and(|lag| lag < 100)).count();
        if servers >= size.servers && status.nodes_up >= size.agents as u64 {
            break;
        }
        if tokio::time::Instant::now() > deadline {
            bail!(
                "{servers} of {} servers and {} of {} agents are up after {}s; see {}",
                size.servers,
                status.nodes_up,
                size.agents,
                READY_WITHIN.as_secs(),
                data_dir.join("log").display()
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    say(&welcome(urls, size, data_dir));
    Ok(())
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn welcome(urls: &[String], size: &Size, data_dir: &Path) -> String {
    let found = data_dir == config::data_home().join("dev");
    let export = if found { String::new() } else { format!("  export TASKYARD_SERVER={}\n", urls.join(",")) };
    format!(
        "taskyard dev is ready: {} and {}, each its own process\n\
         servers: {}\n\
         data: {}, logs of each process in log/\n\n\
         Now run, in another terminal:\n\
         {export}  \
         taskyard cluster status\n  \
         taskyard submit --array 1-1000 -- sh -c 'sleep 0.1; echo $TASKYARD_TASK'\n  \
         kill -9 PID                          any of these processes; it is restarted\n\n\
         Stop with Ctrl-C; jobs and their state stay.",
        count(size.servers, "server"),
        count(size.agents, "agent"),
        urls.join(" "),
        data_dir.display()
    )
}

/// In a member: ends with the process that started it, however that ends.
pub(crate) fn end_with_parent() {
    let Ok(parent) = std::env::var(PARENT) else { return };
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    // It may have ended before the signal was asked for.
    let is_parent = rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent);
    if !is_parent {
        std::process::exit(1);
    }
}
