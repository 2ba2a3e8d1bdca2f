//! Running the long-lived parts.

use crate::args::{AgentArgs, DevArgs, ServerArgs};
use crate::config::{self, ConfigError, DEFAULT_LISTEN};
use crate::fleet;
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use taskyard_agent::AgentError;
use taskyard_cli::exit;
use taskyard_model::Invalid;
use taskyard_server::{Server, ServerConfig, ServerError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// What `taskyard server`, `agent` and `dev` exit with when they cannot run.
const FAILED: u8 = 1;

/// `taskyard server`.
pub(crate) fn server(args: ServerArgs) -> ExitCode {
    log(LevelFilter::INFO);
    // For files that a library makes, such as those of a backup. Not in `dev`, whose tasks would inherit it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    raise_open_files();
    finish(config::server(args).map_err(Into::into).and_then(|config| {
        block_on(async move {
            let server = Server::start(config).await?;
            let stop = terminated();
            say(&format!("server ready at {}", server.url()));
            server.serve(stop).await?;
            Ok(())
        })
    }))
}

/// `taskyard agent`.
pub(crate) fn agent(args: AgentArgs, servers: Option<String>) -> ExitCode {
    log(LevelFilter::INFO);
    finish(config::agent(args, servers).map_err(Into::into).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let asked = watch::Sender::new(0);
            let (stop, hurry) = (asked_to_stop(&asked, 1), asked_to_stop(&asked, 2));
            tokio::select! {
                ended = taskyard_agent::run(config, stop, hurry) => ended,
                () = count_stops(&asked) => Ok(()),
            }
        })?;
        Ok(())
    }))
}

/// Becomes ready when somebody has asked so often.
fn asked_to_stop(asked: &watch::Sender<u32>, times: u32) -> impl Future<Output = ()> + Send + use<> {
    let mut asked = asked.subscribe();
    async move {
        if asked.wait_for(|n| *n >= times).await.is_err() {
            std::future::pending().await
        }
    }
}

/// Counts SIGTERM and SIGINT.
async fn count_stops(asked: &watch::Sender<u32>) {
    loop {
        terminated().await;
        asked.send_modify(|n| *n += 1);
    }
}

/// `taskyard dev`.
pub(crate) fn dev(args: DevArgs) -> ExitCode {
    log(LevelFilter::WARN);
    finish(run_dev(args))
}

fn run_dev(args: DevArgs) -> anyhow::Result<()> {
    let data_dir = args.data_dir.clone().unwrap_or_else(|| config::data_home().join("dev"));
    let listen = config::address(args.listen.as_deref().unwrap_or(DEFAULT_LISTEN))?;
    if let Some(size) = fleet::Size::of(&args, &data_dir)? {
        // One thread: the members end with the thread that started them.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(fleet::run(size, args, data_dir, listen));
    }
    let offer = args.offer;
    block_on(async move {
        let pair = Pair::start(ServerConfig::new(data_dir.join("server"), listen), &data_dir, offer).await?;
        let (ready, text) = (pair.ready(), welcome(&pair.url, &data_dir));
        let asked = watch::Sender::new(0);
        let greet = async {
            ready.await;
            say(&text);
            std::future::pending().await
        };
        tokio::select! {
            () = greet => Ok(()),
            ended = pair.run(asked_to_stop(&asked, 1), asked_to_stop(&asked, 2)) => ended,
            () = count_stops(&asked) => Ok(()),
        }
    })
}

/// What shows that a directory is that of `dev`, or of `--local`.
const OURS: [&str; 4] = ["server", "agent", "log", "endpoint"];

/// Makes the directory that holds those of server and agent, and closes it to other users.
pub(crate) fn claim(data_dir: &Path) -> anyhow::Result<()> {
    // The members look after their own, and output of tasks may be very much.
    if let Some(tightened) = taskyard_datadir::claim(data_dir, &OURS, &["server", "agent", "log", "jobs"])? {
        let mode = tightened.mode;
        tracing::warn!(first = %tightened.first.display(), "other users could read the data directory (mode {mode:04o}); its mode is now 0700");
    }
    Ok(())
}

fn welcome(url: &str, data_dir: &Path) -> String {
    // The commands look in the default place on their own.
    let found = data_dir == config::data_home().join("dev");
    let export = if found { String::new() } else { format!("  export TASKYARD_SERVER={url}\n") };
    format!(
        "taskyard dev is ready at {url}\n\
         data: {}\n\n\
         Now run, in another terminal:\n\
         {export}  \
         taskyard run -- echo hello\n  \
         taskyard submit --array 1-100 -- sh -c 'sleep 1; echo $TASKYARD_TASK'\n  \
         taskyard jobs\n\n\
         Stop with Ctrl-C; jobs and their state stay.",
        data_dir.display()
    )
}

/// A server and an agent in one process.
pub(crate) struct Pair {
    pub(crate) url: String,
    server: Server,
    agent: taskyard_agent::AgentConfig,
}

impl Pair {
    /// Recovers the state and binds; writes the `endpoint` file by which clients find it.
    pub(crate) async fn start(
        server: ServerConfig,
        data_dir: &Path,
        offer: crate::args::OfferArgs,
    ) -> anyhow::Result<Pair> {
        claim(data_dir)?;
        let server = Server::start(server).await?;
        let url = server.url().to_owned();
        let agent = config::embedded_agent(offer, url.clone(), data_dir.join("agent"))?;
        taskyard_datadir::replace(&data_dir.join("endpoint"), format!("{url}\n").as_bytes())?;
        Ok(Pair { url, server, agent })
    }

    /// Becomes ready when the agent has registered.
    pub(crate) fn ready(&self) -> impl Future<Output = ()> + Send + use<> {
        self.server.until_an_agent_is_there()
    }

    /// Runs both until `stop`: first the agent ends, so that what it has to say is still heard. With `hurry` it kills
    /// what still runs.
    pub(crate) async fn run(
        self,
        stop: impl Future<Output = ()> + Send,
        hurry: impl Future<Output = ()> + Send,
    ) -> anyhow::Result<()> {
        let (stop_agent, stop_server) = (watch::Sender::new(0), watch::Sender::new(false));
        let agent = spawn_agent(self.agent, &stop_agent);
        let mut stopped = stop_server.subscribe();
        let serving = self.server.serve(async move {
            let _ = stopped.wait_for(|s| *s).await;
        });
        let mut serving = std::pin::pin!(serving);
        let mut agent = std::pin::pin!(agent);
        tokio::select! {
            () = stop => {}
            served = &mut serving => return Ok(served?),
            ended = &mut agent => return ended,
        }
        stop_agent.send_replace(1);
        let hurried = async {
            hurry.await;
            stop_agent.send_replace(2);
            std::future::pending::<()>().await
        };
        let agent_ended = tokio::select! {
            ended = &mut agent => ended,
            served = &mut serving => return Ok(served?),
            () = hurried => Ok(()),
        };
        stop_server.send_replace(true);
        serving.await?;
        agent_ended
    }
}

/// The agent has a thread and a runtime of its own: it is one-threaded, and slow disks of the server must not delay it.
async fn spawn_agent(config: taskyard_agent::AgentConfig, asked: &watch::Sender<u32>) -> anyhow::Result<()> {
    let (stop, hurry) = (asked_to_stop(asked, 1), asked_to_stop(asked, 2));
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("agent".into()).spawn(move || {
        let run = || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { taskyard_agent::run(config, stop, hurry).await })?;
            Ok(())
        };
        // The receiver may have gone.
        let _ = done.send(run());
    })?;
    ended.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the agent ended unexpectedly")))
}

/// `taskyard openapi`.
pub(crate) fn openapi() -> ExitCode {
    match taskyard_server::openapi().to_pretty_json() {
        Ok(text) => finish(print(&text)),
        Err(error) => finish(Err(error.into())),
    }
}

/// Each agent is a connection or two, and many systems allow a process 1,024 files unless it asks for more.
pub(crate) fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// SIGTERM or SIGINT.
pub(crate) fn terminated() -> impl Future<Output = ()> + Send {
    // Heard from now on, not from the first look: a server that has just said that it is ready may be asked to stop
    // at once.
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut int)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}

pub(crate) fn log(default: LevelFilter) {
    // The Raft library tells its inner life. What of it matters to an operator is told in our words.
    let asked = std::env::var("TASKYARD_LOG").ok().filter(|text| !text.is_empty());
    let filter = asked.as_ref().and_then(|text| text.parse::<Targets>().ok());
    let ignored = asked.filter(|_| filter.is_none());
    let filter = filter
        .unwrap_or_else(|| Targets::new().with_default(default).with_target("openraft", LevelFilter::OFF));
    let ansi = std::io::stderr().is_terminal();
    // A second call, in tests, is harmless.
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
    if let Some(text) = ignored {
        tracing::error!(
            "TASKYARD_LOG: \"{text}\" is not a filter and is ignored; write a level, or as in info,audit=warn"
        );
    }
}

/// A line for people on standard output; a closed one is no reason to stop.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Whether the command line, the environment or a configuration file is wrong, so that nothing was begun.
fn is_of_settings(error: &anyhow::Error) -> bool {
    let of_server = |error: &ServerError| matches!(error, ServerError::Config(_));
    let of_agent = |error: &AgentError| matches!(error, AgentError::Incomplete(_));
    error.is::<ConfigError>()
        || error.is::<Invalid>()
        || error.downcast_ref().is_some_and(of_server)
        || error.downcast_ref().is_some_and(of_agent)
}

/// A result on standard output: without it the command has done nothing. A reader that has gone wanted no more.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(if is_of_settings(&error) { exit::USAGE } else { FAILED })
        }
    }
}
