//! The servers of the cluster.

use crate::args::ClusterCommand;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::{Align, Format, Table, style, text};
use taskyard_client::api::{Membership, Page, Server, ServerChange, ServerState};

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
        ClusterCommand::Status(args) => return super::cluster::status(ctx, args.digest).await,
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
    let command = format!("taskyard server --join {}{learner}", urls.join(","));
    match ctx.out.format {
        Format::Json | Format::Jsonl => ctx.out.json(&serde_json::json!({ "command": command }))?,
        Format::Ids => ctx.out.line(&command)?,
        Format::Table => {
            ctx.out.line("on the new machine, with its own --listen and --data-dir, type:")?;
            ctx.out.line(&format!("  {command}"))?;
        }
    }
    Ok(exit::OK)
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
        ("HEARD", Align::Right),
    ]);
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    for server in servers {
        let heard = match (server.role, server.last_heard_age_ms) {
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
            heard,
        ]);
        if server.role == ServerState::Leader {
            table.paint(1, style::HEAD);
        }
    }
    table
}
