//! One file for each kind of command. Each talks to the API, prints, and answers with an exit code.

pub(crate) mod access;
mod act;
pub(crate) mod backup;
mod check;
pub(crate) mod cluster;
mod complete;
pub(crate) mod events;
pub(crate) mod explain;
mod follow;
mod interrupt;
pub(crate) mod jobs;
mod logs;
mod maintenance;
mod manual;
pub(crate) mod nodes;
pub(crate) mod plan;
pub(crate) mod queues;
pub(crate) mod retention;
mod run;
pub(crate) mod show;
mod simulate;
mod submit;
pub(crate) mod tasks;
pub(crate) mod usage;
pub(crate) mod wait;

use crate::args::job::{JobArgs, Target};
use crate::args::{ClusterCommand, Command, Globals, SchemaKind};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::host::Host;
use crate::show::{Format, Presentation, output::say, safe, style};
use std::process::ExitCode;
use submit::PreparedJobs;
use taskyard_client::api::{ErrorCode, Invalid, schema};
use taskyard_client::{Env, Error};

/// Does what the command line says, says what went wrong, and answers with the exit code of the process.
pub async fn execute(command: Command, globals: Globals, host: &dyn Host) -> ExitCode {
    let is_run = matches!(command, Command::Run(_));
    let code = match dispatch(command, &globals, host).await.map_err(as_typed) {
        Ok(code) => code,
        Err(failure) if failure.is_broken_pipe() => exit::OK,
        Err(failure) => {
            tell(&failure);
            match failure {
                Failure::Code(code) => code,
                // A wrong command line is seen before anything runs, so it cannot be taken for a task's code.
                other if is_run && !matches!(other, Failure::Invalid(_)) => exit::RUN_FAILED,
                other => other.code(),
            }
        }
    };
    ExitCode::from(code)
}

/// Says what went wrong and what to do about it.
fn tell(failure: &Failure) {
    if matches!(failure, Failure::Code(_)) {
        return;
    }
    let text = safe::lines(&failure.to_string());
    say(&format!("{} {text}", style::paint(style::ERROR, "error:")));
    if let Failure::Client(error) = failure
        && let Some(remedy) = error.remedy()
    {
        say(&format!("  {} {remedy}", style::paint(style::DIM, "→")));
    }
}

/// Names the field of a refusal by the option that filled it. Jobs that are submitted know better themselves where
/// theirs came from.
fn as_typed(failure: Failure) -> Failure {
    let Failure::Client(Error::Api(error)) = &failure else { return failure };
    match (&error.field, &error.remedy) {
        (Some(field), Some(remedy)) if error.code == ErrorCode::Invalid => {
            let invalid = Invalid::new(field, error.value.as_deref().unwrap_or_default(), remedy);
            let typed = queues::as_option(invalid);
            if is_option(&crate::app(), &typed.field) { typed.into() } else { failure }
        }
        _ => failure,
    }
}

/// Whether some command has this option.
fn is_option(command: &clap::Command, flag: &str) -> bool {
    let has = |arg: &clap::Arg| arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long));
    command.get_arguments().any(has) || command.get_subcommands().any(|sub| is_option(sub, flag))
}

async fn dispatch(command: Command, globals: &Globals, host: &dyn Host) -> Result<u8, Failure> {
    let look = look(&command, globals)?;
    // These need no server, or find it for themselves.
    match command {
        Command::Completions { shell } => return complete::script(shell),
        Command::Complete { index, words } => return complete::complete(index, &words, host).await,
        Command::Man { command, dir } => return manual::man(&command, dir.as_deref(), host),
        Command::Schema { kind: SchemaKind::Job } => return job_schema(),
        // These go about the credential, so they do not begin with it.
        Command::Login(args) => return access::login(globals, &args).await,
        Command::Logout => return access::logout(globals),
        Command::Simulate(args) if !args.from_cluster => {
            let mut out = crate::show::Out::of_process(look);
            let code = simulate::offline(&args, &mut out).await?;
            out.finish()?;
            return Ok(code);
        }
        Command::Cluster(ClusterCommand::Init { data_dir }) => {
            return cluster::init(data_dir.as_deref(), crate::show::Out::of_process(look), host);
        }
        _ => {}
    }
    if let Command::Backup(command) = &command {
        backup::check(command)?;
        if let Some(ask) = backup::offline(command) {
            let mut out = crate::show::Out::of_process(look);
            let code = backup::read(&mut out, ask, host).await?;
            out.finish()?;
            return Ok(code);
        }
    }
    let around = Env::of_process()?;
    let namespace = around.default_namespace()?;
    let namespace = namespace.as_deref();
    let prepare = |file: Option<&str>, target: &Target, job: &JobArgs| match file {
        Some(path) => submit::prepare_all(path, job, namespace),
        None => submit::prepare(target, job, namespace).map(PreparedJobs::one),
    };
    // A mistake in the command line is told even where no server is.
    let prepared = match &command {
        Command::Run(args) => prepare(None, &args.target, &args.job)?,
        Command::Submit(args) => prepare(args.from_json.as_deref(), &args.target, &args.job)?,
        Command::Plan(args) => prepare(args.from_json.as_deref(), &args.target, &args.job)?,
        _ => PreparedJobs::default(),
    };
    let mut ctx = Context::new(globals, look, &around, host).await?;
    let may_be_nothing = acts_on_jobs(&command);
    let is_run = matches!(command, Command::Run(_));
    let result = with_server(&mut ctx, command, prepared).await;
    if result.is_ok() && may_be_nothing && ctx.out.format == Format::Json && ctx.out.is_empty() {
        ctx.out.text("[]\n")?;
    }
    let flushed = ctx.out.finish();
    if let Some(age) = ctx.client.stale_ms() {
        say(&format!("stale answer of one server, up to {age} ms old"));
    }
    ctx.close().await;
    let done = result.and_then(|code| flushed.map(|()| code));
    let is_lost = |failure: &Failure| failure.is_lost_output() && !failure.is_broken_pipe();
    // A run says what happens to its job.
    if !is_run && done.as_ref().is_err_and(is_lost) && ctx.client.has_changed_something() {
        say("the command has taken effect; only its answer could not be written");
    }
    done
}

/// How the command is to print; what it cannot do is refused.
fn look(command: &Command, globals: &Globals) -> Result<Presentation, Invalid> {
    let submits = matches!(command, Command::Run(_) | Command::Submit(_));
    let look = Presentation::parse(globals.output.as_deref(), globals.columns.as_deref(), submits)?;
    if let Some(format) = globals.output.as_deref().filter(|_| prints_as_it_is(command)) {
        return Err(Invalid::new(
            "--output",
            format,
            "this command prints text as it is; leave out --output",
        ));
    }
    if let Some(names) = globals.columns.as_deref().filter(|_| !has_table(command)) {
        return Err(Invalid::new("--columns", names, "this command prints no table"));
    }
    Ok(look)
}

/// Whether it does something to jobs, of which there may be none.
fn acts_on_jobs(command: &Command) -> bool {
    matches!(
        command,
        Command::Wait(_)
            | Command::Cancel(_)
            | Command::Retry(_)
            | Command::Hold(_)
            | Command::Release(_)
            | Command::Update(_)
    )
}

/// Whether it prints what a task or a document says, in no format of ours.
fn prints_as_it_is(command: &Command) -> bool {
    matches!(
        command,
        Command::Run(_)
            | Command::Logs(_)
            | Command::Man { .. }
            | Command::Completions { .. }
            | Command::Schema { .. }
    )
}

/// Whether it prints a table whose columns can be chosen.
fn has_table(command: &Command) -> bool {
    use crate::args::{AccountCommand, BackupCommand, NamespaceCommand, TokenCommand};
    if let Command::Nodes { nodes } = command {
        return nodes.is_empty();
    }
    matches!(
        command,
        Command::Jobs(_)
            | Command::Tasks(_)
            | Command::Queues
            | Command::Pools
            | Command::Shares
            | Command::Usage(_)
            | Command::Maintenance { command: None }
            | Command::Token(TokenCommand::List)
            | Command::Namespace(NamespaceCommand::List)
            | Command::Account(AccountCommand::List)
            | Command::Backup(BackupCommand::List(_))
    )
}

async fn with_server(ctx: &mut Context, command: Command, mut prepared: PreparedJobs) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => match prepared.jobs.pop() {
            Some(job) => run::run(ctx, job, args.detach_on_disconnect).await,
            // A run is always prepared.
            None => Ok(exit::USAGE),
        },
        Command::Submit(args) => submit::submit(ctx, &args, prepared).await,
        Command::Plan(args) => plan::plan(ctx, prepared, args.from_json.is_some()).await,
        Command::Jobs(args) => jobs::jobs(ctx, args).await,
        Command::Show(args) => show::show(ctx, &args.target).await,
        Command::Tasks(args) => tasks::tasks(ctx, args).await,
        Command::Logs(args) => logs::logs(ctx, args).await,
        Command::Wait(args) => wait::wait(ctx, args).await,
        Command::Cancel(args) => act::cancel(ctx, args).await,
        Command::Retry(args) => act::retry(ctx, args).await,
        Command::Hold(args) => act::hold(ctx, &args.targets, true).await,
        Command::Release(args) => act::hold(ctx, &args.targets, false).await,
        Command::Update(args) => act::update(ctx, args).await,
        Command::Explain(args) => explain::explain(ctx, &args.target).await,
        Command::Simulate(args) => simulate::from_cluster(ctx, &args).await,
        Command::Nodes { nodes } if nodes.is_empty() => nodes::nodes(ctx).await,
        Command::Nodes { nodes } => nodes::show_nodes(ctx, &nodes).await,
        Command::Node(command) => nodes::node(ctx, command).await,
        Command::Queues => queues::queues(ctx).await,
        Command::Queue(command) => queues::queue(ctx, command).await,
        Command::Maintenance { command } => maintenance::maintenance(ctx, command).await,
        Command::Pools => queues::pools(ctx).await,
        Command::Pool(command) => queues::pool(ctx, command).await,
        Command::Shares => usage::shares(ctx).await,
        Command::Share(command) => usage::share(ctx, command).await,
        Command::Account(command) => usage::account(ctx, command).await,
        Command::Usage(args) => usage::usage(ctx, args).await,
        Command::Cluster(command) => cluster::cluster(ctx, command).await,
        Command::Backup(command) => backup::backup(ctx, command).await,
        Command::Retention { command } => retention::retention(ctx, command).await,
        Command::Status(args) => cluster::status(ctx, args.digest).await,
        Command::Events(args) => events::events(ctx, args).await,
        Command::Whoami => access::whoami(ctx).await,
        Command::Token(command) => access::token(ctx, command).await,
        Command::Namespace(command) => access::namespace(ctx, command).await,
        Command::Schema { .. } => {
            let text = ctx.client.openapi().await?;
            ctx.out.line(text.trim_end())?;
            Ok(exit::OK)
        }
        // Done before a server was looked for.
        Command::Completions { .. }
        | Command::Complete { .. }
        | Command::Man { .. }
        | Command::Login(_)
        | Command::Logout => Ok(exit::USAGE),
    }
}

fn job_schema() -> Result<u8, Failure> {
    let mut out =
        crate::show::Out::of_process(Presentation { format: Format::Json, ..Presentation::default() });
    out.json(&schema::job_file())?;
    out.finish()?;
    Ok(exit::OK)
}

/// Does something to each of several things. One that is not there or refuses does not keep the rest from it; the
/// first failure's code counts.
pub(crate) struct Each {
    worst: Option<u8>,
}

impl Each {
    pub(crate) fn new() -> Each {
        Each { worst: None }
    }

    /// Takes a result. Only what says nothing about the other things (no connection, no right) ends the command.
    pub(crate) fn take<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let failure = Failure::Client(error);
                match failure.code() {
                    code @ (exit::USAGE | exit::NOT_FOUND) => {
                        tell(&as_typed(failure));
                        self.worst.get_or_insert(code);
                        Ok(None)
                    }
                    _ => Err(failure),
                }
            }
        }
    }

    pub(crate) fn code(self) -> u8 {
        self.worst.unwrap_or(exit::OK)
    }
}
