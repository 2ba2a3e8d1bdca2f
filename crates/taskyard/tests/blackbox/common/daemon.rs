//! Servers and agents as processes.

use super::http::{Answer, Failure, Http};
use super::process::{Process, is_root};
use super::random::Random;
use super::{SOON, binary, eventually};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// How to run a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerOptions {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(OsString, OsString)>,
    /// Who runs it, and its agents.
    pub(crate) user: User,
}

/// Who runs a process: whoever runs the tests, or somebody without rights.
#[derive(Clone, Debug, Default)]
pub(crate) enum User {
    #[default]
    Same,
    Other(u32),
    /// Whoever runs the tests, with another binary: of another version.
    With(PathBuf),
    /// Root in a pid namespace of its own, as a container starts it: without the right to make another, and in a
    /// session whose leader is outside.
    Contained,
}

/// Starts what follows as [`User::Contained`].
const CONTAIN: &[&str] =
    &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "setpriv", "--bounding-set=-sys_admin"];

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

impl User {
    /// Somebody who is not root.
    pub(crate) fn unprivileged() -> User {
        if is_root() { User::Other(NOBODY) } else { User::Same }
    }

    /// A command of the binary. Others may not be able to reach it where it was built, so it gets a name in `dir`.
    fn command(&self, dir: &Path) -> Command {
        let uid = match self {
            User::Same => return Command::new(binary()),
            User::With(other) => return Command::new(other),
            User::Contained => {
                let mut command = Command::new(CONTAIN[0]);
                command.args(&CONTAIN[1..]).arg(binary());
                return command;
            }
            User::Other(uid) => *uid,
        };
        let link = dir.join("taskyard");
        if !link.exists() && std::fs::hard_link(binary(), &link).is_err() {
            std::fs::copy(binary(), &link).unwrap();
        }
        let mut command = Command::new(link);
        // With the user, the groups of the test go too.
        command.uid(uid).gid(uid);
        command
    }

    /// Gives a file or directory to this user.
    pub(crate) fn own(&self, path: &Path) {
        if let User::Other(uid) = *self {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
        }
    }
}

impl ServerOptions {
    /// Small segments and early snapshots, so that a short test sees many of them.
    pub(crate) fn small() -> ServerOptions {
        ServerOptions::default().args(["--segment-size", "5MiB", "--snapshot-after", "1MiB"])
    }

    pub(crate) fn args<const N: usize>(mut self, args: [&str; N]) -> ServerOptions {
        self.args.extend(args.map(str::to_owned));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> ServerOptions {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }
}

/// A server that can be killed and started again at the same address.
pub(crate) struct Server {
    pub(crate) dir: PathBuf,
    pub(crate) url: String,
    pub(crate) options: ServerOptions,
    log: PathBuf,
    process: Process,
}

impl Server {
    /// Starts a server on `dir/data` and waits until it takes work.
    pub(crate) fn start(dir: &Path, options: ServerOptions) -> Server {
        Server::try_start(dir, options).unwrap_or_else(|log| panic!("the server ended: {log}"))
    }

    /// The same; if the server ends instead, what it said.
    pub(crate) fn try_start(dir: &Path, options: ServerOptions) -> Result<Server, String> {
        let mut server = Server::begin(dir, options);
        match server.try_ready() {
            Ok(()) => Ok(server),
            Err(_) => Err(server.log()),
        }
    }

    /// The same without waiting.
    pub(crate) fn begin(dir: &Path, options: ServerOptions) -> Server {
        // Not port 0: the address must stay free while the server is down, and one of the range from which the kernel
        // takes the clients' own ports would not.
        let mut random = Random::fresh();
        let port = std::iter::repeat_with(|| 10_000 + random.below(20_000) as u16)
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
        let address = format!("127.0.0.1:{}", port.unwrap());
        let (data, log) = (dir.join("data"), dir.join("server.log"));
        let process = spawn(&data, &address, &options, &log);
        Server { dir: data, url: format!("http://{address}"), options, log, process }
    }

    pub(crate) fn http(&self) -> Http {
        Http::new(&self.url)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Stops it in its tracks, or lets it go on.
    pub(crate) fn pause(&self, pause: bool) {
        super::process::signal(self.pid(), if pause { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// Kills it at once.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(&mut self) {
        let status = self.process.stop();
        assert!(status.success(), "the server ended with {status}:\n{}", self.log_tail());
    }

    /// Starts it again on the same directory and address, and waits until it takes work.
    pub(crate) fn restart(&mut self) {
        self.launch();
        self.ready();
    }

    /// Starts it again without waiting.
    pub(crate) fn launch(&mut self) {
        assert!(self.process.ended().is_some(), "it still runs");
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        self.process = spawn(&self.dir, &address, &self.options, &self.log);
    }

    /// Waits until it takes work; fails with its log if it ends instead.
    pub(crate) fn ready(&mut self) {
        if let Err(status) = self.try_ready() {
            panic!("the server ended with {status}:\n{}", self.log_tail());
        }
    }

    /// Waits until it takes work, or has ended.
    pub(crate) fn try_ready(&mut self) -> Result<(), ExitStatus> {
        let mut http = self.http();
        eventually("the server takes work or ends", SOON, || {
            if let Some(status) = self.process.ended() {
                return Some(Err(status));
            }
            let ready = matches!(http.request("GET", "/readyz", None), Ok(answer) if answer.is_success());
            ready.then_some(Ok(()))
        })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    pub(crate) fn wait_end(&mut self, within: Duration) -> ExitStatus {
        self.process.wait(within)
    }

    pub(crate) fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }
}

fn spawn(data: &Path, address: &str, options: &ServerOptions, log: &Path) -> Process {
    let mut command = clean(options.user.command(data.parent().unwrap()), data);
    command.arg("server").arg("--data-dir").arg(data).args(["--listen", address]).args(&options.args);
    command.envs(options.env.iter().map(|(name, value)| (name, value)));
    Process::spawn("server", command, log)
}

/// Without the settings of the person who runs the tests, but for the mutant that is to be caught.
pub(crate) fn clean(mut command: Command, home: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_taskyard = name.starts_with("TASKYARD_") && name != "TASKYARD_MUTANT";
        if of_taskyard || name.starts_with("XDG_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home);
    // A line for each request would hide what a failing test wants to know.
    command.env("TASKYARD_LOG", std::env::var("TEST_LOG").unwrap_or("info,audit=warn,openraft=error".into()));
    command
}

/// An agent with its keeper.
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    url: String,
    args: Vec<String>,
    pub(crate) user: User,
    log: PathBuf,
    pub(crate) process: Process,
}

impl Agent {
    /// Starts an agent on `dir/NAME`; use [`Cluster::wait_nodes`] to wait for it.
    pub(crate) fn start(server: &Server, name: &str, args: &[&str]) -> Agent {
        let dir = server.dir.parent().unwrap();
        Agent::of(dir, &server.url, server.options.user.clone(), name, args)
    }

    /// The same with several servers to go to, separated by commas.
    pub(crate) fn of(dir: &Path, url: &str, user: User, name: &str, args: &[&str]) -> Agent {
        let (data, log) = (dir.join(name), dir.join(format!("{name}.log")));
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let process = spawn_agent(name, &data, url, &args, &user, &log);
        Agent { name: name.to_owned(), dir: data, url: url.to_owned(), args, user, log, process }
    }

    /// Starts it again on the same directory.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.ended().is_some(), "it still runs");
        self.process = spawn_agent(&self.name, &self.dir, &self.url, &self.args, &self.user, &self.log);
    }
}

fn spawn_agent(name: &str, data: &Path, url: &str, args: &[String], user: &User, log: &Path) -> Process {
    let mut command = clean(user.command(data.parent().unwrap()), data);
    command.args(["agent", "--server", url, "--name", name]).arg("--data-dir").arg(data).args(args);
    Process::spawn(name, command, log)
}

/// A server and some agents in a temporary directory.
pub(crate) struct Cluster {
    // Before the directory, so that they end before it goes.
    pub(crate) agents: Vec<Agent>,
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
}

impl Cluster {
    /// A directory in which tasks may write.
    pub(crate) fn workplace(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir(&path).unwrap();
        self.server.options.user.own(&path);
        path
    }

    /// `nodes` agents `n1`, `n2`, … that offer so many CPUs each.
    pub(crate) fn start(nodes: usize, cpus: &str, options: ServerOptions) -> Cluster {
        Cluster::start_in(tempfile::tempdir().unwrap(), nodes, cpus, options)
    }

    /// The same in a given directory.
    pub(crate) fn start_in(
        dir: tempfile::TempDir,
        nodes: usize,
        cpus: &str,
        options: ServerOptions,
    ) -> Cluster {
        options.user.own(dir.path());
        let server = Server::start(dir.path(), options);
        let mut cluster = Cluster { agents: Vec::new(), server, dir };
        for n in 1..=nodes {
            cluster.add_agent(&format!("n{n}"), &["--cpus", cpus]);
        }
        cluster.wait_nodes(nodes);
        cluster
    }

    pub(crate) fn add_agent(&mut self, name: &str, args: &[&str]) {
        self.agents.push(Agent::start(&self.server, name, args));
    }

    /// Waits until so many nodes are up.
    pub(crate) fn wait_nodes(&self, nodes: usize) {
        let mut http = self.server.http();
        eventually(&format!("{nodes} nodes are up"), SOON, || {
            let up = http.get("/v1/nodes")["items"].as_array()?.iter().filter(|n| n["state"] == "up").count();
            (up == nodes).then_some(())
        });
    }

    /// Submits a job; its id.
    pub(crate) fn submit(&self, spec: Value) -> u64 {
        submit(&mut self.server.http(), spec)
    }

    /// Waits until the job has ended; its details.
    pub(crate) fn wait(&self, job: u64) -> Value {
        let mut http = self.server.http();
        eventually(&format!("job {job} ends"), SOON, || {
            let detail = http.get(&format!("/v1/jobs/{job}?wait_ms=5000"));
            is_finished(&detail["state"]).then_some(detail)
        })
    }

    /// Waits until the task is in this state; the task.
    pub(crate) fn wait_task(&self, job: u64, task: u64, state: &str) -> Value {
        let mut http = self.server.http();
        eventually(&format!("task {job}.{task} is {state}"), SOON, || {
            let found = http.get(&format!("/v1/jobs/{job}/tasks/{task}"));
            (found["state"] == state).then_some(found)
        })
    }

    /// What the task wrote to standard output.
    pub(crate) fn output(&self, job: u64, task: u64) -> String {
        self.server.http().ask("GET", &format!("/v1/jobs/{job}/tasks/{task}/logs"), None).text()
    }
}

/// Submits a job; its id.
pub(crate) fn submit(http: &mut Http, spec: Value) -> u64 {
    let body = serde_json::json!({ "spec": spec });
    http.must("POST", "/v1/jobs", Some(&body))["job"].as_u64().unwrap()
}

pub(crate) fn is_finished(state: &Value) -> bool {
    matches!(state.as_str(), Some("succeeded" | "failed" | "cancelled" | "skipped"))
}

/// All rows of a list, page by page.
pub(crate) fn all_pages(http: &mut Http, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = String::new();
    loop {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut page = http.get(&format!("{path}{join}limit=10000{after}"));
        rows.append(page["items"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return rows,
        }
    }
}

/// Copies all that is in a directory.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// What came of a request that may have to be repeated.
pub(crate) enum Outcome {
    /// Done.
    Done(Value),
    /// Certainly not done.
    Refused(Value),
    /// Nobody knows.
    Unknown,
}

/// Sorts an answer, or its absence, by what it says about the effect.
pub(crate) fn outcome(answer: Result<Answer, Failure>) -> Outcome {
    match answer {
        Ok(answer) if answer.is_success() => Outcome::Done(answer.json()),
        // Something between here and the servers speaks.
        Ok(answer) if answer.status >= 502 && !answer.text().starts_with('{') => Outcome::Unknown,
        Ok(answer) => {
            let error = answer.error();
            if error["definite"] == true { Outcome::Refused(error) } else { Outcome::Unknown }
        }
        Err(Failure::Refused(error)) => Outcome::Refused(Value::String(error.to_string())),
        Err(Failure::Lost(_)) => Outcome::Unknown,
    }
}
