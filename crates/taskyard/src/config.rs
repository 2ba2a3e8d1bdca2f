//! Settings of server and agent: defaults, then the file, then the environment, then flags; validated together, so
//! that one run shows every mistake.

use crate::args::{AgentArgs, OfferArgs, ServerArgs};
use crate::backup_config::{self, BackupFile};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use taskyard_client::api::body;
use taskyard_model::{Capacity, Invalid, limits, quantity, validate};
use taskyard_server::{AuthMode, ServerConfig};

/// Where `taskyard server` listens, and where agents look for it.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:7420";

/// A configuration file. Unknown fields are errors: a misspelt setting must not be silently without effect.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    server: ServerFile,
    #[serde(default)]
    agent: AgentFile,
    #[serde(default)]
    backup: BackupFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerFile {
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    lease: Option<String>,
    heartbeat: Option<String>,
    cluster_id: Option<String>,
    token_file: Option<PathBuf>,
    advertise: Option<String>,
    #[serde(default)]
    tls_names: Vec<String>,
    #[serde(default)]
    join: Vec<String>,
    #[serde(default)]
    learner: bool,
    auth: Option<String>,
    admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentFile {
    servers: Option<Vec<String>>,
    token_file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    name: Option<String>,
    cpus: Option<String>,
    mem: Option<String>,
    gpus: Option<String>,
    drain: Option<String>,
    output_limit: Option<String>,
    output_budget: Option<String>,
    #[serde(default)]
    resources: BTreeMap<String, u64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    /// The file is not what it should be.
    #[error("configuration file {path}: {cause}{hint}")]
    Parse { path: PathBuf, cause: Box<toml::de::Error>, hint: String },
    /// Values that make no sense.
    #[error("{0}")]
    Invalid(Problems),
}

/// A list of complaints.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Invalid>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i > 0 { "\n       " } else { "" })?;
        }
        Ok(())
    }
}

impl Problems {
    /// The value, or a complaint and the default.
    pub(crate) fn keep<T: Default>(&mut self, value: Result<T, Invalid>) -> T {
        value.unwrap_or_else(|problem| {
            self.0.push(problem);
            T::default()
        })
    }

    pub(crate) fn add(&mut self, problem: Invalid) {
        self.0.push(problem);
    }

    pub(crate) fn done<T>(self, value: T) -> Result<T, ConfigError> {
        if self.0.is_empty() { Ok(value) } else { Err(ConfigError::Invalid(self)) }
    }
}

/// Settings of a server.
pub(crate) fn server(args: ServerArgs) -> Result<ServerConfig, ConfigError> {
    let File { server: file, backup, .. } = read(args.config.as_deref())?;
    let mut problems = Problems::default();
    let listen = args.listen.or(file.listen).unwrap_or_else(|| DEFAULT_LISTEN.into());
    let listen = problems.keep(address(&listen).map(Some));
    let data_dir = args.data_dir.or(file.data_dir).unwrap_or_else(|| data_home().join("server"));
    let mut config = ServerConfig::new(data_dir, listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))));
    config.token_file = args.token_file.or(file.token_file);
    config.cluster_id = file.cluster_id;
    config.advertise =
        args.advertise.or(file.advertise).map(|url| problems.keep(base_url("advertise", &url)));
    let join = if args.join.is_empty() { file.join } else { args.join };
    config.join = join.iter().map(|url| problems.keep(base_url("join", url))).collect();
    let tls_names = if args.tls_names.is_empty() { file.tls_names } else { args.tls_names };
    config.tls_names = tls_names.into_iter().map(|name| problems.keep(host("tls_names", name))).collect();
    config.learner = args.learner || file.learner;
    if let Some(text) = args.lease.or(file.lease) {
        config.lease_ms = problems.keep(quantity::duration_ms("lease", &text));
    }
    if let Some(text) = args.heartbeat.or(file.heartbeat) {
        config.heartbeat_ms = problems.keep(quantity::duration_ms("heartbeat", &text));
    }
    let auth = args.auth.or(file.auth);
    config.auth_is_chosen = auth.is_some();
    if let Some(text) = auth {
        config.auth = problems.keep(AuthMode::parse("auth", &text));
    }
    config.admin_token_file = args.admin_token_file.or(file.admin_token_file);
    config.new_admin_token = args.new_admin_token;
    if let Some(text) = args.segment_size {
        config.segment_bytes = problems.keep(quantity::size_bytes("--segment-size", &text));
    }
    if let Some(text) = args.snapshot_after {
        config.snapshot_log_bytes = problems.keep(quantity::size_bytes("--snapshot-after", &text));
    }
    config.keep_entries = args.keep_entries.unwrap_or(config.keep_entries);
    config.backup = backup_config::backup(backup, &config.data_dir, &mut problems);
    problems.done(config)
}

/// The table [backup] of a server's configuration file.
pub(crate) fn backup_table(path: Option<&Path>) -> Result<BackupFile, ConfigError> {
    Ok(read(path)?.backup)
}

/// Settings of an agent.
pub(crate) fn agent(
    args: AgentArgs,
    servers: Option<String>,
) -> Result<taskyard_agent::AgentConfig, ConfigError> {
    let file = read(args.config.as_deref())?.agent;
    let listed = |text: String| text.split(',').map(|s| s.trim().to_owned()).collect();
    let set = servers.or_else(|| std::env::var("TASKYARD_SERVER").ok().filter(|s| !s.is_empty())).map(listed);
    let servers =
        set.or_else(|| file.servers.clone()).unwrap_or_else(|| vec![format!("http://{DEFAULT_LISTEN}")]);
    let data_dir =
        args.data_dir.or_else(|| file.data_dir.clone()).unwrap_or_else(|| data_home().join("agent"));
    let token_file = args.token_file.or_else(|| file.token_file.clone());
    let drain = args.drain.or_else(|| file.drain.clone());
    let mut config = offer(args.offer, file, servers, data_dir)?;
    config.token_file = token_file;
    let mut problems = Problems::default();
    if let Some(text) = drain {
        config.drain = Duration::from_millis(problems.keep(quantity::duration_ms("drain", &text)));
    }
    problems.done(config)
}

/// Settings of the agent inside `dev` and `run --local`.
pub(crate) fn embedded_agent(
    flags: OfferArgs,
    server: String,
    data_dir: PathBuf,
) -> Result<taskyard_agent::AgentConfig, ConfigError> {
    offer(flags, AgentFile::default(), vec![server], data_dir)
}

fn offer(
    flags: OfferArgs,
    file: AgentFile,
    servers: Vec<String>,
    data_dir: PathBuf,
) -> Result<taskyard_agent::AgentConfig, ConfigError> {
    let mut problems = Problems::default();
    for server in &servers {
        if !server.starts_with("http://") && !server.starts_with("https://") {
            let remedy = "write https://HOST:PORT, or http://HOST:PORT without TLS";
            problems.0.push(Invalid::new("server", server, remedy));
        }
    }
    let name = flags.name.or(file.name).unwrap_or_else(host_name);
    problems.keep(validate::name("name", &name));
    let mut capacity = taskyard_agent::detect();
    if let Some(text) = flags.cpus.or(file.cpus) {
        let cpus = quantity::thousandths("cpus", &text).and_then(|cpu_milli| match cpu_milli {
            0 => Err(Invalid::new("cpus", &text, "write more than zero: a task takes 1 CPU by default")),
            cpu_milli => Ok(cpu_milli),
        });
        capacity.amounts.cpu_milli = problems.keep(cpus);
    }
    if let Some(text) = flags.mem.or(file.mem) {
        capacity.amounts.memory = problems.keep(quantity::size_bytes("mem", &text));
    }
    if let Some(text) = flags.gpus.or(file.gpus) {
        let gpus =
            text.parse().map_err(|_| Invalid::new("gpus", &text, "write the number of devices, such as 4"));
        capacity.gpus = problems.keep(gpus);
    }
    named(&mut capacity, file.resources, &flags.resources, &mut problems);
    problems.keep(capacity.check());
    let mut labels = file.labels;
    for key in labels.keys() {
        problems.keep(validate::name("label", key));
    }
    let typed =
        pairs("--label", &flags.labels, "write KEY=VALUE, such as zone=a", |value| Some(value.to_owned()));
    labels.extend(problems.keep(typed));
    let mut config = taskyard_agent::AgentConfig::new(servers, name, data_dir);
    if let Some(text) = flags.output_limit.or(file.output_limit) {
        config.output_bytes_max = problems.keep(output_size("output_limit", &text));
    }
    if let Some(text) = flags.output_budget.or(file.output_budget) {
        config.output_of_node_bytes_max = problems.keep(output_size("output_budget", &text));
    }
    config.capacity = capacity;
    config.labels = labels;
    problems.done(config)
}

/// A block of a disk is the least that can be kept.
fn output_size(field: &str, text: &str) -> Result<u64, Invalid> {
    let bytes = quantity::size_bytes(field, text)?;
    if bytes < limits::OUTPUT_BYTES_MIN {
        let least = quantity::show_size(limits::OUTPUT_BYTES_MIN);
        return Err(Invalid::new(field, text, format!("at least {least}")));
    }
    Ok(bytes)
}

fn named(capacity: &mut Capacity, file: BTreeMap<String, u64>, flags: &[String], problems: &mut Problems) {
    capacity.amounts.named.extend(file);
    let remedy = "write NAME=N with a whole number, such as licence=2";
    capacity.amounts.named.extend(problems.keep(pairs("--resource", flags, remedy, |n| n.parse().ok())));
}

/// Options of the form KEY=VALUE. Which of two values for one key is meant, nothing says.
fn pairs<T>(
    option: &str,
    texts: &[String],
    remedy: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<BTreeMap<String, T>, Invalid> {
    let mut all = BTreeMap::new();
    let mut given = BTreeMap::new();
    for text in texts {
        let pair = text.split_once('=').and_then(|(key, value)| Some((key, value, read(value)?)));
        let (key, shown, value) = pair.ok_or_else(|| Invalid::new(option, text, remedy))?;
        validate::name(option, key).map_err(|error| Invalid::new(option, text, error.remedy))?;
        if let Some(first) = given.insert(key, shown) {
            let remedy =
                format!("{key} is given twice, as \"{first}\" and as \"{shown}\"; leave one of them out");
            return Err(Invalid::new(option, text, remedy));
        }
        all.insert(key.to_owned(), value);
    }
    Ok(all)
}

fn read(path: Option<&Path>) -> Result<File, ConfigError> {
    let Some(path) = path else { return Ok(File::default()) };
    let text =
        std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
    toml::from_str(&text).map_err(|cause: toml::de::Error| {
        let meant = body::unknown_in(cause.message()).and_then(|(key, known)| body::near(key, &known));
        let hint = meant.map(|meant| format!("did you mean `{meant}`?\n")).unwrap_or_default();
        ConfigError::Parse { path: path.to_owned(), hint, cause: Box::new(cause) }
    })
}

/// An address of a server: `host:port` or `http://host:port`.
fn base_url(field: &str, text: &str) -> Result<String, Invalid> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        _ => ("http", text),
    };
    let rest = rest.trim_end_matches('/');
    let port = rest.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match port {
        Some((host, _)) if !host.is_empty() && !host.contains('/') => Ok(format!("{scheme}://{rest}")),
        _ => Err(Invalid::new(field, text, "write https://HOST:PORT, or http://HOST:PORT without TLS")),
    }
}

/// The name or the address of a host.
fn host(field: &str, text: String) -> Result<String, Invalid> {
    match taskyard_server::is_host(&text) {
        true => Ok(text),
        false => Err(Invalid::new(field, text, "write the name or the address of a host, without a port")),
    }
}

/// Parses an address to listen on.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Invalid> {
    text.parse()
        .map_err(|_| Invalid::new("listen", text, format!("write ADDRESS:PORT, such as {DEFAULT_LISTEN}")))
}

/// `$XDG_DATA_HOME/taskyard`, else `~/.local/share/taskyard`, else the working directory.
pub(crate) fn data_home() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_DATA_HOME")
        .or_else(|| set("HOME").map(|h| h.join(".local/share")))
        .unwrap_or_default()
        .join("taskyard")
}

/// The host's name in the form names have: lower case, what is not allowed as `-`.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c.to_ascii_lowercase() } else { '-' }
    };
    let name: String = name.trim().chars().map(allowed).take(limits::NAME_CHARS_MAX).collect();
    if name.is_empty() { "localhost".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_shown_at_once() {
        let args = AgentArgs {
            offer: OfferArgs {
                name: Some("No Name".into()),
                mem: Some("16".into()),
                labels: vec!["zone".into()],
                resources: vec!["licence=two".into()],
                ..OfferArgs::default()
            },
            ..AgentArgs::default()
        };
        let text = agent(args, Some("localhost".into())).err().unwrap().to_string();
        for part in ["localhost", "No Name", "16MiB", "KEY=VALUE", "licence=two"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_label_or_a_resource_has_one_key_and_one_value() {
        let told = |labels: &[&str], resources: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let offer = OfferArgs { labels: own(labels), resources: own(resources), ..OfferArgs::default() };
            let args = AgentArgs { offer, ..AgentArgs::default() };
            agent(args, Some("http://a:1".into()))
                .map(|config| config.labels)
                .map_err(|error| error.to_string())
        };
        assert_eq!(told(&["zone=a", "rack="], &["licence=1"]).unwrap()["zone"], "a");
        for (labels, resources, parts) in [
            (&["=b"][..], &[][..], ["--label: \"=b\"", "1 to 128"]),
            (&["zone=a", "zone=b"], &[], ["--label", "zone is given twice, as \"a\" and as \"b\""]),
            (&[], &["licence=1", "licence=2"], ["--resource", "given twice, as \"1\" and as \"2\""]),
            (&[], &["=2"], ["--resource: \"=2\"", "1 to 128"]),
        ] {
            let text = told(labels, resources).unwrap_err();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn flags_win_over_the_file_and_unknown_fields_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taskyard.toml");
        std::fs::write(&path, "[server]\nlisten = \"127.0.0.1:1\"\nlease = \"20s\"\n").unwrap();
        let args = ServerArgs {
            config: Some(path.clone()),
            listen: Some("127.0.0.1:2".into()),
            ..ServerArgs::default()
        };
        let config = server(args).unwrap();
        assert_eq!((config.listen.port(), config.lease_ms), (2, 20_000));
        let cases = [
            ("[server]\nlistne = \"127.0.0.1:1\"\n", "listne", "listen"),
            ("[sever]\nlisten = \"127.0.0.1:1\"\n", "sever", "server"),
            ("sever = [\"http://127.0.0.1:1\"]\n", "sever", "server"),
            ("[agent]\nlables = { zone = \"a\" }\n", "lables", "labels"),
            ("[backup]\nto = \"/b\"\n[backup.s3]\nendpiont = \"x\"\n", "endpiont", "endpoint"),
        ];
        for (text, key, meant) in cases {
            std::fs::write(&path, text).unwrap();
            let args = ServerArgs { config: Some(path.clone()), ..ServerArgs::default() };
            let error = server(args).err().unwrap().to_string();
            let parts = ["taskyard.toml", &format!("`{key}`"), &format!("did you mean `{meant}`?")];
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
