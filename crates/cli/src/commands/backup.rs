//! Backups: through a server, or read from where they are.

use crate::args::{BackupCommand, BackupFrom};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::host::{BackupAnswer, BackupAsk, BackupWhat, Host};
use crate::show::table::Facts;
use crate::show::{Align, Format, Out, Table, output::say, style, text};
use indicatif::{ProgressBar, ProgressStyle};
use taskyard_client::Error;
use taskyard_client::api::units::show_size;
use taskyard_client::api::{
    Backup, BackupProgress, BackupQuery, BackupRequest, BackupRestored, ErrorCode, Invalid,
};

/// What needs no server, if this does not.
pub(crate) fn offline(command: &BackupCommand) -> Option<BackupAsk> {
    let ask =
        |from: &BackupFrom, what| BackupAsk { from: from.from.clone(), config: from.config.clone(), what };
    match command {
        BackupCommand::Restore { backup, data_dir, from } => {
            let what = BackupWhat::Restore { name: backup.clone(), data_dir: data_dir.clone() };
            Some(ask(from, what))
        }
        BackupCommand::List(from) if from.is_place() => Some(ask(from, BackupWhat::List)),
        BackupCommand::Verify { backup, from } if from.is_place() => {
            Some(ask(from, BackupWhat::Verify { name: backup.clone() }))
        }
        _ => None,
    }
}

/// Does what needs no server.
pub(crate) async fn read(out: &mut Out, ask: BackupAsk, host: &dyn Host) -> Result<u8, Failure> {
    let shown = ProgressLine::new(out);
    let answer = host.backups(ask, &|progress| shown.tell(progress)).await;
    drop(shown);
    match answer.map_err(Error::Api) {
        Ok(BackupAnswer::Listed(backups)) => write_list(&backups, out)?,
        Ok(BackupAnswer::Verified(backup)) => write_one(&backup, out)?,
        Ok(BackupAnswer::Restored(restored)) => write_restored(&restored, out)?,
        Err(error) => return not_verified(error),
    }
    Ok(exit::OK)
}

pub(crate) async fn backup(ctx: &mut Context, command: BackupCommand) -> Result<u8, Failure> {
    match command {
        BackupCommand::Create { to } => {
            let shown = ProgressLine::new(&ctx.out);
            let made = ctx.client.create_backup(&BackupRequest { to }, |now| shown.tell(now)).await;
            drop(shown);
            write_one(&made?, &mut ctx.out)?;
        }
        BackupCommand::List(from) => {
            let query = BackupQuery { from: from.from };
            let listed =
                ctx.client.backups(&query).await.inspect_err(|error| hint_at_directory(&query, error))?;
            write_list(&listed.items, &mut ctx.out)?;
        }
        BackupCommand::Verify { backup, from } => {
            let (shown, query) = (ProgressLine::new(&ctx.out), BackupQuery { from: from.from });
            let verified = ctx.client.verify_backup(&backup, &query, |now| shown.tell(now)).await;
            drop(shown);
            match verified.inspect_err(|error| hint_at_directory(&query, error)) {
                Ok(backup) => write_one(&backup, &mut ctx.out)?,
                Err(error) => return not_verified(error),
            }
        }
        // Done before a server was looked for.
        BackupCommand::Restore { .. } => return Ok(exit::USAGE),
    }
    Ok(exit::OK)
}

/// A word without a slash names a store of the server. Where a directory here has that name, it may have been meant.
fn hint_at_directory(query: &BackupQuery, error: &Error) {
    let refused = matches!(error.code(), Some(ErrorCode::Invalid | ErrorCode::NotFound));
    if let Some(name) = query.from.as_deref().filter(|name| refused && std::path::Path::new(name).is_dir()) {
        say(&format!(
            "--from {name} names a store of the server; for the directory here write --from ./{name}"
        ));
    }
}

/// A backup that is damaged is the answer to the question, not a mistake in asking it.
fn not_verified(error: Error) -> Result<u8, Failure> {
    match error {
        Error::Api(error) if error.code == ErrorCode::Conflict => {
            say(&format!("{} {error}", style::paint(style::ERROR, "error:")));
            Ok(exit::TASK_FAILED)
        }
        error => Err(error.into()),
    }
}

/// How far it is, on a terminal.
struct ProgressLine(ProgressBar);

impl ProgressLine {
    fn new(out: &Out) -> ProgressLine {
        let shown = out.format == Format::Table && out.is_terminal;
        let bar = if shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "{msg:12} [{bar:30}] {binary_bytes}/{binary_total_bytes} {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        ProgressLine(bar)
    }

    fn tell(&self, now: &BackupProgress) {
        self.0.set_message(now.phase.clone());
        self.0.set_length(now.of);
        self.0.set_position(now.bytes);
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn write_list(backups: &[Backup], out: &mut Out) -> Result<(), Failure> {
    let none = "no backups there; make one with `taskyard backup create`";
    out.table_or_list(backups, none, |backup| backup.name.clone(), backup_table)?;
    if out.format == Format::Table {
        let problems = backups.iter().filter_map(|backup| Some((&backup.name, backup.problem.as_ref()?)));
        problems.for_each(|(name, problem)| say(&format!("{name}: {problem}")));
    }
    Ok(())
}

pub(crate) fn backup_table(backups: &[Backup]) -> Table {
    let mut table = Table::new(&[
        ("BACKUP", Align::Left),
        ("STATE", Align::Left),
        ("INDEX", Align::Right),
        ("JOBS", Align::Right),
        ("TASKS", Align::Right),
        ("NODES", Align::Right),
        ("SIZE", Align::Right),
        ("CLUSTER", Align::Flex),
        ("VERSION", Align::Left),
    ])
    .less_important(&["VERSION", "CLUSTER", "NODES", "TASKS", "JOBS", "INDEX"]);
    for backup in backups {
        let of = |fact: fn(&taskyard_client::api::BackupContent) -> String| {
            backup.content.as_ref().map(fact).unwrap_or_default()
        };
        table.row(vec![
            backup.name.clone(),
            backup.state.name().to_owned(),
            of(|c| c.index.to_string()),
            of(|c| c.jobs.to_string()),
            of(|c| c.tasks.to_string()),
            of(|c| c.nodes.to_string()),
            of(|c| show_size(c.bytes)),
            of(|c| c.cluster_id.clone()),
            of(|c| c.version.clone()),
        ]);
        table.paint(1, style::state(backup.state.name()));
    }
    table
}

fn write_one(backup: &Backup, out: &mut Out) -> Result<(), Failure> {
    match out.format {
        Format::Json | Format::Jsonl => out.json(backup),
        Format::Ids => out.line(&backup.name),
        Format::Table => facts(backup, text::time).write(out),
    }
}

/// `time` says a moment in words, which depend on the zone of the machine.
pub(crate) fn facts(backup: &Backup, time: impl Fn(u64) -> String) -> Facts {
    let mut facts = Facts::default();
    facts.painted("backup", backup.name.clone(), style::HEAD);
    facts.add("state", backup.state.name());
    if let Some(content) = &backup.content {
        facts.add("cluster", &content.cluster_id);
        facts.add("made", time(content.made_at_ms));
        facts.add("index", content.index.to_string());
        facts.add("digest", &content.digest);
        facts.add("jobs", content.jobs.to_string());
        facts.add("tasks", content.tasks.to_string());
        facts.add("nodes", content.nodes.to_string());
        facts.add(
            "size",
            format!("{} ({} of state)", show_size(content.bytes), show_size(content.state_bytes)),
        );
        facts.add("version", &content.version);
    }
    facts
}

fn write_restored(restored: &BackupRestored, out: &mut Out) -> Result<(), Failure> {
    match out.format {
        Format::Json | Format::Jsonl => return out.json(restored),
        Format::Ids => return out.line(&restored.cluster_id),
        Format::Table => {}
    }
    let mut facts = facts(&restored.backup, text::time);
    facts.painted("new cluster", restored.cluster_id.clone(), style::HEAD);
    facts.add("data directory", &restored.data_dir);
    facts.write(out)?;
    let dir = &restored.data_dir;
    let authority = match (restored.tokens, restored.tls) {
        (0, _) | (_, true) => String::new(),
        _ => format!(
            "The cluster required credentials, and no backup holds its authority. With TLS, copy tls/ca.crt and tls/ca.key from the data directory of\n\
             an old server to {dir}/tls, or make a new authority: taskyard cluster init --data-dir {dir}\n\
             Without TLS add --auth token to the command below.\n"
        ),
    };
    say(&format!(
        "{authority}Make sure that no server of the old cluster runs. Then start this one, and each agent with a new data directory:\n  \
         taskyard server --data-dir {dir}"
    ));
    Ok(())
}

/// A restore needs to know from where; a configuration file may say it.
pub(crate) fn check(command: &BackupCommand) -> Result<(), Invalid> {
    match command {
        BackupCommand::Restore { from: BackupFrom { from: None, config: None }, .. } => Err(Invalid::new(
            "--from",
            "",
            "name the place of the backups: a path, file:///path or s3://bucket/prefix",
        )),
        _ => Ok(()),
    }
}
