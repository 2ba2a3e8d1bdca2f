//! The cluster and its servers.

use crate::args::ClusterCommand;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::host::{ClusterMade, Host};
use crate::show::table::Facts;
use crate::show::{Align, Format, Out, Table, style, text};
use std::path::Path;
use taskyard_client::api::{
    ClusterStatus, CreateToken, Membership, Page, Secret, Server, ServerChange, ServerState,
};

pub(crate) async fn cluster(ctx: &mut Context, command: ClusterCommand) -> Result<u8, Failure> {
    let id = |text: &str| -> Result<u64, Failure> {
        let id = text.strip_prefix('s').unwrap_or(text).parse();
        id.map_err(|_| {
            let remedy = "write the number of a server, as `taskyard cluster status` shows it";
            taskyard_client::api::Invalid::new("SERVER", text, remedy).into()
        })
    };
    let learner = ServerChange { role: Membership::Learner };
    let servers = match &command {
        // Done before a server was looked for: it needs none.
        ClusterCommand::Init { .. } => return Ok(exit::OK),
        ClusterCommand::Status(args) => return status(ctx, args.digest).await,
        ClusterCommand::Add { learner } => return add(ctx, *learner).await,
        ClusterCommand::Promote { id: number } => {
            ctx.client.update_server(id(number)?, &ServerChange { role: Membership::Voter }).await?
        }
        ClusterCommand::Demote { id: number } => ctx.client.update_server(id(number)?, &learner).await?,
        ClusterCommand::Remove { id: number } => ctx.client.remove_server(id(number)?).await?,
        ClusterCommand::Transfer { id: number } => ctx.client.transfer(id(number)?).await?,
    };
    show(ctx, &servers)
}

/// What to type on the machine that is to become a server.
async fn add(ctx: &mut Context, learner: bool) -> Result<u8, Failure> {
    let status = ctx.client.cluster(false).await?;
    let urls: Vec<&str> = status.servers.iter().map(|s| s.url.as_str()).collect();
    let learner = if learner { " --learner" } else { "" };
    let mut command = format!("taskyard server --join {}{learner}", urls.join(","));
    // With TLS it joins with a token, which is made here, if it is shown.
    let tls = urls.iter().any(|url| url.starts_with("https://"));
    if tls {
        command += " --token-file FILE --listen 0.0.0.0:7420 --advertise https://HOST:7420";
    }
    let token = match tls && ctx.out.format != Format::Ids {
        true => Some(ctx.client.create_token(&joining("server")).await?.secret),
        false => None,
    };
    let token = token.as_ref().map(Secret::expose);
    match ctx.out.format {
        Format::Json | Format::Jsonl => {
            ctx.out.json(&serde_json::json!({ "command": command, "token": token }))?;
        }
        Format::Ids => ctx.out.line(&command)?,
        Format::Table => {
            if let Some(token) = token {
                ctx.out.line(
                    "on the new machine put this token, which is valid once, for an hour, into a file:",
                )?;
                ctx.out.line(&format!("  {token}"))?;
            }
            ctx.out.line("on the new machine, with its own --listen and --data-dir, type:")?;
            ctx.out.line(&format!("  {command}"))?;
        }
    }
    Ok(exit::OK)
}

/// A token for a machine that joins.
fn joining(kind: &str) -> CreateToken {
    CreateToken { user: "joining".into(), kind: Some(kind.into()), join: true, ..CreateToken::default() }
}

/// Sets TLS up in a data directory of this machine.
pub(crate) fn init(data_dir: Option<&Path>, mut out: Out, host: &dyn Host) -> Result<u8, Failure> {
    let made = host.init_cluster(data_dir)?;
    let ClusterMade { data_dir: dir, authority, fingerprint } = &made;
    match out.format {
        Format::Json | Format::Jsonl => out.json(&made)?,
        Format::Ids => out.line(fingerprint)?,
        Format::Table => {
            let (dir, authority) = (dir.display(), authority.display());
            out.line(&format!("authority    {authority}\nfingerprint  {fingerprint}\n"))?;
            out.line("Now start the server, and log in where ca.crt is:")?;
            out.line(&format!(
                "  taskyard server --data-dir {dir} --listen 0.0.0.0:7420 --advertise https://HOST:7420"
            ))?;
            out.line(&format!(
                "  taskyard login --server https://HOST:7420 --ca {authority} < {dir}/admin.token"
            ))?;
        }
    }
    out.finish()?;
    Ok(exit::OK)
}

pub(crate) async fn status(ctx: &mut Context, digest: bool) -> Result<u8, Failure> {
    let status = ctx.client.cluster(digest).await?;
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&status)?,
        Format::Ids => ctx.out.line(&status.cluster_id)?,
        Format::Table => {
            let url = ctx.client.found().urls.join(", ");
            write_status(&status, &url, &mut ctx.out)?;
        }
    }
    Ok(exit::OK)
}

pub(crate) fn write_status(s: &ClusterStatus, url: &str, out: &mut Out) -> Result<(), Failure> {
    let mut facts = Facts::default();
    facts.painted("cluster", s.cluster_id.clone(), style::HEAD);
    let leader = match s.leader {
        Some(leader) if leader == s.server => "the leader".to_owned(),
        Some(leader) => format!("led by server {leader}"),
        None => "without a leader now".to_owned(),
    };
    // The answer may have come through another server than the one that was asked.
    let at = s.servers.iter().find(|server| server.id == s.server).map_or(url, |server| &server.url);
    facts.add("server", format!("{} at {at}, version {}, {leader}", s.server, s.version));
    facts.add("nodes", format!("{} up of {}", s.nodes_up, s.nodes));
    facts.add("capacity", text::resources(&s.capacity));
    facts.add("free", text::resources(&s.free));
    facts.add("jobs", format!("{} not finished", s.jobs_active));
    facts.add(
        "tasks",
        format!(
            "{} running, {} prefetched, {} pending",
            s.tasks_running, s.tasks_prefetched, s.tasks_pending
        ),
    );
    facts.add("log", format!("index {}, term {}", s.applied_index, s.term));
    facts.add("digest", s.digest.clone().unwrap_or_default());
    facts.write(out)?;
    if s.servers.len() > 1 {
        out.line("")?;
        server_table(&s.servers).write(out)?;
    }
    Ok(())
}

fn show(ctx: &mut Context, servers: &Page<Server>) -> Result<u8, Failure> {
    match ctx.out.format {
        Format::Table => server_table(&servers.items).write(&mut ctx.out)?,
        _ => ctx.out.list(&servers.items, |server| server.id.to_string())?,
    }
    Ok(exit::OK)
}

pub(crate) fn server_table(servers: &[Server]) -> Table {
    let mut table = Table::new(&[
        ("SERVER", Align::Right),
        ("ROLE", Align::Left),
        ("ADDRESS", Align::Flex),
        ("PID", Align::Right),
        ("VERSION", Align::Left),
        ("LOG", Align::Right),
        ("BEHIND", Align::Right),
        ("LAST SEEN", Align::Right),
        ("REFUSED", Align::Flex),
    ])
    .less_important(&["VERSION", "PID", "LOG"]);
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    for server in servers {
        let seen = match (server.role, server.last_seen_age_ms) {
            (_, Some(0)) => "answers".to_owned(),
            (_, Some(age)) => format!("{} ago", text::age(0, age)),
            (_, None) => "never".to_owned(),
        };
        table.row(vec![
            server.id.to_string(),
            server.role.name().to_owned(),
            server.url.clone(),
            number(server.pid.map(u64::from)),
            server.version.clone().unwrap_or_default(),
            number(server.log_index),
            number(server.lag),
            seen,
            server.refused.clone().unwrap_or_default(),
        ]);
        if server.role == ServerState::Leader {
            table.paint(1, style::HEAD);
        }
    }
    table
}
