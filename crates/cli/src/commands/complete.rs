//! Completion of a command line that is being typed. The scripts of the shells are a few lines that ask the hidden
//! command `complete`, so every shell knows the same, and values come from the cluster: its queues, jobs, nodes.

use super::Context;
use crate::exit::{self, Failure, STANDARD_OUTPUT};
use crate::host::Host;
use crate::show::Presentation;
use crate::{Globals, args::Shell};
use clap::{Arg, Command};
use std::io::Write;
use std::time::Duration;
use taskyard_client::Env;
use taskyard_client::api::{JobState, JobsQuery, TaskState};

/// A key that takes longer to have its effect seems broken.
const WITHIN: Duration = Duration::from_millis(800);
/// Newest jobs that are offered.
const JOBS_OFFERED: usize = 50;

/// The script of a shell.
pub(crate) fn script(shell: Shell) -> Result<u8, Failure> {
    let text = match shell {
        Shell::Bash => include_str!("complete/bash.sh"),
        Shell::Zsh => include_str!("complete/zsh.sh"),
        Shell::Fish => include_str!("complete/fish.fish"),
    };
    print(text)
}

/// Prints what may stand at a word, each with its meaning behind a tab. Whatever goes wrong, there is just nothing to
/// offer.
pub(crate) async fn complete(index: usize, words: &[String], host: &dyn Host) -> Result<u8, Failure> {
    let mut app = host.app();
    app.build();
    let asked = Completing::of(&app, index, words);
    let mut offers = match asked.want {
        Wanted::Known(offers) => offers,
        Wanted::Cluster(kind) => {
            let globals = Globals { server: server(words), ..Globals::default() };
            let found = tokio::time::timeout(WITHIN, from_cluster(kind, globals, host)).await;
            found.unwrap_or(Ok(Vec::new())).unwrap_or_default()
        }
        Wanted::Nothing => Vec::new(),
    };
    offers.retain(|offer| offer.value.starts_with(&asked.typed));
    let line = |offer: &Candidate| format!("{}{}\t{}\n", asked.before, offer.value, offer.meaning);
    print(&offers.iter().map(line).collect::<String>())
}

fn print(text: &str) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::io(STANDARD_OUTPUT))?;
    Ok(exit::OK)
}

/// Something that may stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    value: String,
    meaning: String,
}

impl Candidate {
    fn new(value: impl Into<String>, meaning: impl std::fmt::Display) -> Candidate {
        // A meaning is one line.
        let meaning = meaning.to_string();
        let meaning = meaning.lines().next().unwrap_or_default().replace('\t', " ");
        Candidate { value: value.into(), meaning }
    }
}

/// What the cluster knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClusterNames {
    Jobs,
    Queues,
    Pools,
    Nodes,
    Namespaces,
}

/// What may stand at a word.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Known(Vec<Candidate>),
    Cluster(ClusterNames),
    /// A file, or anything.
    Nothing,
}

/// What is asked for.
#[derive(Debug)]
struct Completing {
    want: Wanted,
    /// What of the value is typed.
    typed: String,
    /// What of the word stands before the value, as in `--queue=` or `running,`.
    before: String,
}

impl Completing {
    fn of(app: &Command, index: usize, words: &[String]) -> Completing {
        let word = words.get(index).cloned().unwrap_or_default();
        let done = words.get(1..index).unwrap_or_default();
        let nothing = Completing { want: Wanted::Nothing, typed: word.clone(), before: String::new() };
        // Behind -- stands somebody else's command line.
        if done.iter().any(|word| word == "--") {
            return nothing;
        }
        let command = command(app, done);
        // Bash takes `=` for a word of its own.
        let (word, done) = match done {
            [.., option] if word == "=" && option.starts_with("--") => (String::new(), done),
            [before @ .., equals] if equals == "=" => (word, before),
            _ => (word, done),
        };
        if let Some(arg) = done.last().and_then(|last| valued(command, last)) {
            return Completing::value(command, arg, word, String::new());
        }
        if let Some((option, value)) = word.split_once('=')
            && let Some(arg) = valued(command, option)
        {
            return Completing::value(command, arg, value.to_owned(), format!("{option}="));
        }
        if word.starts_with('-') {
            return Completing { want: Wanted::Known(options(command)), typed: word, before: String::new() };
        }
        let subcommands: Vec<Candidate> =
            visible(command).map(|sub| offer_of(sub.get_name(), sub.get_about())).collect();
        if !subcommands.is_empty() {
            return Completing { want: Wanted::Known(subcommands), typed: word, before: String::new() };
        }
        match command.get_positionals().find(|arg| !arg.is_hide_set()) {
            Some(arg) => Completing::value(command, arg, word, String::new()),
            None => nothing,
        }
    }

    fn value(command: &Command, arg: &Arg, word: String, before: String) -> Completing {
        let want = want(command, arg);
        let is_list = arg.get_id() == "state";
        // Of a list the last one is typed.
        match word.rsplit_once(',').filter(|_| is_list) {
            Some((first, last)) => {
                Completing { want, typed: last.to_owned(), before: format!("{before}{first},") }
            }
            None => Completing { want, typed: word, before },
        }
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// The command that the words before name.
fn command<'a>(app: &'a Command, words: &[String]) -> &'a Command {
    let mut command = app;
    let mut is_value = false;
    for word in words {
        if !is_value
            && !word.starts_with('-')
            && let Some(sub) = command.find_subcommand(word)
        {
            command = sub;
        }
        is_value = valued(command, word).is_some();
    }
    command
}

/// The option of this name, if it takes a value.
fn valued<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let is_named = |arg: &&Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some_and(|short| word == format!("-{short}")),
    };
    command.get_arguments().find(is_named).filter(|arg| arg.get_action().takes_values())
}

fn options(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| Some(offer_of(&format!("--{}", arg.get_long()?), arg.get_help()))).collect()
}

fn offer_of(value: &str, meaning: Option<&clap::builder::StyledStr>) -> Candidate {
    Candidate::new(value, meaning.map(ToString::to_string).unwrap_or_default())
}

/// What kind of value an argument takes: by its name, which is that of the thing, or by what clap knows.
fn want(command: &Command, arg: &Arg) -> Wanted {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        return Wanted::Known(shown.map(|value| offer_of(value.get_name(), value.get_help())).collect());
    }
    let words = |all: &[&str]| Wanted::Known(all.iter().map(|word| Candidate::new(*word, "")).collect());
    let value_name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    match (arg.get_id().as_str(), value_name) {
        ("state", _) if command.get_name() == "tasks" => words(&TaskState::ALL.map(TaskState::name)),
        ("state", _) => words(&JobState::ALL.map(JobState::name)),
        ("output", _) => words(&["table", "wide", "json", "jsonl", "ids"]),
        ("on_agent_lost", _) => words(&["retry", "fail"]),
        ("queue", _) | (_, "QUEUE") => Wanted::Cluster(ClusterNames::Queues),
        ("pool", _) | (_, "POOL") => Wanted::Cluster(ClusterNames::Pools),
        ("namespace", _) | (_, "NAMESPACE") => Wanted::Cluster(ClusterNames::Namespaces),
        (_, "NODE") => Wanted::Cluster(ClusterNames::Nodes),
        (_, name) if name.starts_with("JOB") => Wanted::Cluster(ClusterNames::Jobs),
        _ => Wanted::Nothing,
    }
}

/// The servers that the command line names.
fn server(words: &[String]) -> Option<String> {
    let next =
        words.iter().skip_while(|word| *word != "--server").find(|word| *word != "--server" && *word != "=");
    next.cloned().or_else(|| words.iter().find_map(|word| word.strip_prefix("--server=")).map(str::to_owned))
}

async fn from_cluster(
    kind: ClusterNames,
    globals: Globals,
    host: &dyn Host,
) -> Result<Vec<Candidate>, Failure> {
    let around = Env::of_process()?;
    let ctx = Context::new(&globals, Presentation::default(), &around, host).await?;
    let client = &ctx.client;
    Ok(match kind {
        ClusterNames::Queues => {
            names(client.queues().await?.items, |queue| Candidate::new(queue.name, queue.policy))
        }
        ClusterNames::Pools => {
            names(client.pools().await?.items, |pool| Candidate::new(pool.name, pool.discipline))
        }
        ClusterNames::Nodes => names(client.nodes().await?.items, |node| Candidate::new(node.name, "")),
        ClusterNames::Namespaces => {
            names(client.namespaces().await?.items, |one| Candidate::new(one.name, ""))
        }
        ClusterNames::Jobs => {
            let namespace = ctx.within(None);
            let query = JobsQuery { namespace, limit: Some(JOBS_OFFERED), ..JobsQuery::default() };
            let jobs = client.jobs(&query).await?.items;
            let job = |job: &taskyard_client::api::JobSummary| {
                Candidate::new(job.id.to_string(), format!("{}, {}", job.name, job.state.name()))
            };
            let fixed = [Candidate::new("last", "your newest job")];
            fixed.into_iter().chain(jobs.iter().map(job)).collect()
        }
    })
}

fn names<T>(items: Vec<T>, offer: impl Fn(T) -> Candidate) -> Vec<Candidate> {
    items.into_iter().map(offer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Completing {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut app = crate::app();
        app.build();
        Completing::of(&app, words.len() - 1, &words)
    }

    fn values(line: &str) -> Vec<String> {
        match asked(line).want {
            Wanted::Known(offers) => offers.into_iter().map(|offer| offer.value).collect(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn what_may_stand_there() {
        assert!(values("taskyard su").contains(&"submit".to_owned()));
        assert!(!values("taskyard c").contains(&"complete".to_owned()), "it is hidden");
        assert!(values("taskyard node ").contains(&"drain".to_owned()));
        let options = values("taskyard submit --");
        assert!(options.contains(&"--array".to_owned()) && options.contains(&"--server".to_owned()));
        assert!(!options.contains(&"--driver".to_owned()), "it is hidden");
        assert_eq!(values("taskyard schema "), ["job", "api"]);
        assert_eq!(values("taskyard jobs --output "), ["table", "wide", "json", "jsonl", "ids"]);
        assert!(values("taskyard tasks 12 --state ").contains(&"prefetched".to_owned()));
        assert!(values("taskyard jobs --state ").contains(&"held".to_owned()));
    }

    #[test]
    fn what_the_cluster_knows() {
        for (line, kind, typed, before) in [
            ("taskyard submit --queue ", ClusterNames::Queues, "", ""),
            ("taskyard submit --queue ba", ClusterNames::Queues, "ba", ""),
            ("taskyard submit --queue=ba", ClusterNames::Queues, "ba", "--queue="),
            ("taskyard submit --queue = ba", ClusterNames::Queues, "ba", ""),
            ("taskyard submit --queue =", ClusterNames::Queues, "", ""),
            ("taskyard --server x:1 queue delete b", ClusterNames::Queues, "b", ""),
            ("taskyard node drain n1 ", ClusterNames::Nodes, "", ""),
            ("taskyard show ", ClusterNames::Jobs, "", ""),
            ("taskyard cancel --output json 1", ClusterNames::Jobs, "1", ""),
            ("taskyard pool delete ", ClusterNames::Pools, "", ""),
            ("taskyard jobs --namespace t", ClusterNames::Namespaces, "t", ""),
        ] {
            let asked = asked(line);
            assert_eq!(asked.want, Wanted::Cluster(kind), "{line}");
            assert_eq!((asked.typed.as_str(), asked.before.as_str()), (typed, before), "{line}");
        }
        let list = asked("taskyard jobs --state=held,ru");
        assert_eq!((list.typed.as_str(), list.before.as_str()), ("ru", "--state=held,"));
        for line in ["taskyard submit -- su", "taskyard submit x", "taskyard submit --cpus ", "nothing"] {
            assert!(matches!(asked(line).want, Wanted::Nothing | Wanted::Known(_)), "{line}");
        }
    }

    #[test]
    fn the_server_that_is_named() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(server(&words("t --server a:1 show")).as_deref(), Some("a:1"));
        assert_eq!(server(&words("t --server=a:1 show")).as_deref(), Some("a:1"));
        assert_eq!(server(&words("t --server = a:1 show")).as_deref(), Some("a:1"));
        assert_eq!(server(&words("t show")), None);
    }
}
