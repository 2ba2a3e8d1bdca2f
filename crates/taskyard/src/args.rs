//! Flags of the long-running parts. Those of the commands for people are in `taskyard-cli`.

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use taskyard_cli::Globals;
use taskyard_cli::args::{groups, value};

/// One durable, fair, explainable queue for a fleet of machines.
#[derive(Parser)]
#[command(name = "taskyard", version = env!("VERSION_AND_COMMIT"), disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The command line, with its commands in groups.
    pub(crate) fn grouped() -> clap::Command {
        groups::grouped(Cli::command())
    }

    /// That of this process; ends it where it only asks for help, or is wrong.
    pub(crate) fn of_process() -> Cli {
        let read = Cli::grouped().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
        read.unwrap_or_else(|error| end(&error))
    }
}

/// Shows help, the version or what is wrong with the command line, and ends the process. Help that cannot be written is
/// a failure as the output of any other command is.
pub(crate) fn end(error: &clap::Error) -> ! {
    let code = match error.print() {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "error: standard output: {cause}");
            i32::from(taskyard_cli::exit::USAGE)
        }
        _ => error.exit_code(),
    };
    std::process::exit(code)
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a server and an agent on this machine, for development and small workloads
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevArgs),
    /// Run a server
    #[command(after_help = SERVER_EXAMPLES)]
    Server(ServerArgs),
    /// Run an agent, which offers this machine's capacity to a cluster
    #[command(after_help = AGENT_EXAMPLES)]
    Agent(AgentArgs),
    /// Parent of an agent's tasks; started by the agent
    #[command(hide = true)]
    Keeper,
    /// Print the OpenAPI document of the HTTP API
    #[command(hide = true)]
    Openapi,
    /// Print index and digest of the state in the data directory of a stopped server
    #[command(after_help = DIGEST_EXAMPLES)]
    Digest(DigestArgs),
    /// Run many agents in one process without real tasks, to load-test servers
    #[command(hide = true)]
    Swarm(SwarmArgs),
    /// The commands for people
    #[command(flatten)]
    User(taskyard_cli::Command),
}

const DEV_EXAMPLES: &str = "\
Examples:
  taskyard dev                          # then, in another terminal:
  taskyard run -- echo hello
  taskyard submit --array 1-100 -- ./work.sh
  taskyard dev --data-dir /tmp/try --listen 127.0.0.1:0 --cpus 2
  taskyard dev --servers 3 --agents 4   # kill any: `taskyard cluster status` shows pids";

const SERVER_EXAMPLES: &str = "\
Examples:
  taskyard server
  taskyard server --data-dir /var/lib/taskyard --listen 127.0.0.1:7420
  taskyard server --listen 10.0.0.1:7420   # with TLS, after `taskyard cluster init`
  taskyard server --listen 10.0.0.2:7420 --join https://10.0.0.1:7420 --token-file server.token
  taskyard server --auth token          # the first token is in admin.token in the data directory
  taskyard server --config /etc/taskyard.toml

The configuration file has a table [server]; flags override the environment, which overrides it:
  [server]
  data_dir = \"/var/lib/taskyard\"
  listen = \"127.0.0.1:7420\"
  lease = \"15s\"
  heartbeat = \"1s\"
  auth = \"token\"
  admin_token_file = \"/etc/taskyard/admin.token\"
  [backup]
  to = \"/var/backups/taskyard\"         # or s3://bucket/prefix
  every = \"6h\"
  keep = 28";

const AGENT_EXAMPLES: &str = "\
Examples:
  taskyard agent
  taskyard agent --server http://127.0.0.1:7420 --cpus 8 --mem 16GiB
  taskyard agent --label zone=a --resource licence=2
  taskyard agent --server https://10.0.0.1:7420 --token-file agent.token
  taskyard agent --drain 10m            # after SIGTERM, tasks may run for ten more minutes
  taskyard agent --config /etc/taskyard.toml

The configuration file has a table [agent]; flags override the environment, which overrides it:
  [agent]
  servers = [\"http://127.0.0.1:7420\"]
  token_file = \"/etc/taskyard/agent.token\"
  name = \"rack1-07\"
  cpus = \"8\"
  mem = \"16GiB\"
  drain = \"10m\"
  output_limit = \"256MiB\"               # captured output per stream of a task
  output_budget = \"10GiB\"              # captured output of the node
  labels = { zone = \"a\" }
  resources = { licence = 2 }";

const DIGEST_EXAMPLES: &str = "\
Examples:
  taskyard digest --data-dir COPY        # of a copy of the data directory, or of a stopped server
  taskyard digest --data-dir COPY --at 1200

Equal digests at an equal index mean equal states. `taskyard status --digest` asks a running server.";

/// Flags of `taskyard server`.
#[derive(Args, Default)]
pub(crate) struct ServerArgs {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "TASKYARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Directory for the log and snapshots [default: ~/.local/share/taskyard/server]
    #[arg(long, value_name = "DIR", env = "TASKYARD_SERVER_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one; without TLS, loopback only [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDRESS", env = "TASKYARD_LISTEN")]
    pub(crate) listen: Option<String>,
    /// Join the cluster of these servers; needed only at the first start
    #[arg(long, value_name = "URLS", value_delimiter = ',', env = "TASKYARD_JOIN")]
    pub(crate) join: Vec<String>,
    /// With --join: file with the join token, or without TLS the server token
    #[arg(long, value_name = "FILE", env = "TASKYARD_SERVER_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// With --join: join as a learner, which replicates the log and does not vote
    #[arg(long)]
    pub(crate) learner: bool,
    /// Address for other servers and agents, as https://HOST:PORT [default: where it listens]
    #[arg(long, value_name = "URL", env = "TASKYARD_ADVERTISE")]
    pub(crate) advertise: Option<String>,
    /// Additional host name or address for the server's certificate; may be repeated
    #[arg(long = "tls-name", value_name = "HOST")]
    pub(crate) tls_names: Vec<String>,
    /// Authentication: none (anyone may do anything) or token [default: none, or token with TLS]
    #[arg(long, value_name = "MODE", env = "TASKYARD_AUTH")]
    pub(crate) auth: Option<String>,
    /// File for the first administrator token; an existing one is used [default: admin.token in the data directory]
    #[arg(long, value_name = "FILE", env = "TASKYARD_ADMIN_TOKEN_FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Create a new administrator token at this start, for when all others are lost
    #[arg(long)]
    pub(crate) new_admin_token: bool,
    /// Time without contact after which an agent stops its tasks [default: 15s]
    #[arg(long, value_name = "DURATION", env = "TASKYARD_LEASE", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) lease: Option<String>,
    /// Interval of agents' heartbeats [default: 1s]
    #[arg(long, value_name = "DURATION", env = "TASKYARD_HEARTBEAT", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) heartbeat: Option<String>,
    /// Size of a log segment [default: 64MiB]
    #[arg(long, value_name = "SIZE", hide = true, value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) segment_size: Option<String>,
    /// Amount of log between snapshots [default: 64MiB]
    #[arg(long, value_name = "SIZE", hide = true, value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) snapshot_after: Option<String>,
    /// Log entries to keep behind a snapshot [default: 4096]
    #[arg(long, value_name = "ENTRIES", hide = true)]
    pub(crate) keep_entries: Option<u64>,
}

/// Flags of `taskyard digest`.
#[derive(Args)]
pub(crate) struct DigestArgs {
    /// Data directory; a torn end of its log is cleared, as at a start
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Log entry to stop at [default: the last]
    #[arg(long, value_name = "INDEX")]
    pub(crate) at: Option<u64>,
}

/// Flags of `taskyard swarm`.
#[derive(Args)]
pub(crate) struct SwarmArgs {
    /// Number of agents
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) agents: usize,
    /// Cores that each agent offers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) cpus: u64,
}

/// What a node offers; each overrides what is detected.
#[derive(Args, Clone, Default)]
pub(crate) struct OfferArgs {
    /// Name of the node [default: the host name]
    #[arg(long, value_name = "NAME", env = "TASKYARD_NODE_NAME")]
    pub(crate) name: Option<String>,
    /// Cores to offer, such as 8 or 0.5 [default: all]
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) cpus: Option<String>,
    /// Memory to offer, such as 16GiB [default: all]
    #[arg(long, value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) mem: Option<String>,
    /// GPUs to offer [default: all]
    #[arg(long, value_name = "N", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) gpus: Option<String>,
    /// Captured output to keep per stream of a task; beyond it, the middle is dropped [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) output_limit: Option<String>,
    /// Maximum captured output of the node; beyond it, the oldest is dropped [default: 10GiB, at most a quarter of
    /// the disk]
    #[arg(long, value_name = "SIZE", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) output_budget: Option<String>,
    /// Named resource and its amount; may be repeated
    #[arg(long = "resource", value_name = "NAME=N")]
    pub(crate) resources: Vec<String>,
    /// Label for constraints; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
}

/// Flags of `taskyard agent`.
#[derive(Args, Default)]
pub(crate) struct AgentArgs {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "TASKYARD_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Directory for the journal and captured output [default: ~/.local/share/taskyard/agent]
    #[arg(long, value_name = "DIR", env = "TASKYARD_AGENT_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// File with the join token; without TLS, the agent's token, read at each connection
    #[arg(long, value_name = "FILE", env = "TASKYARD_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Time that running tasks may continue after the agent is told to stop; a second signal kills them [default: 0s]
    #[arg(long, value_name = "DURATION", env = "TASKYARD_DRAIN", value_parser = value::amount, allow_hyphen_values = true)]
    pub(crate) drain: Option<String>,
    #[command(flatten)]
    pub(crate) offer: OfferArgs,
}

/// `taskyard agent` without the rest of the command line.
#[derive(Parser)]
#[command(name = "agent", bin_name = "taskyard agent", version = env!("VERSION_AND_COMMIT"), after_help = AGENT_EXAMPLES)]
#[command(about = "Run an agent, which offers this machine's capacity to a cluster")]
pub(crate) struct AgentAlone {
    /// Servers to connect to, as http://host:port, separated by commas [env: TASKYARD_SERVER=] [default:
    /// http://127.0.0.1:7420]
    #[arg(long, value_name = "URLS")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) args: AgentArgs,
}

/// Flags of `taskyard dev`.
#[derive(Args, Default)]
pub(crate) struct DevArgs {
    /// Data directory [default: ~/.local/share/taskyard/dev]
    #[arg(long, value_name = "DIR", env = "TASKYARD_DEV_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Loopback address to listen on; port 0 picks a free one [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Number of servers, each its own process [default: as in the data directory, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=7))]
    pub(crate) servers: Option<u8>,
    /// Number of agents, each its own process [default: as in the data directory, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) agents: Option<u8>,
    #[command(flatten)]
    pub(crate) offer: OfferArgs,
}
