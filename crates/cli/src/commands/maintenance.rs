//! Times in which nodes are to be maintained.

use super::queues::{as_option, deleted};
use crate::args::MaintenanceCommand;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::{Align, Format, Table, text};
use crate::time;
use taskyard_client::api::{Maintenance, MaintenanceSettings, validate};

pub(crate) async fn maintenance(
    ctx: &mut Context,
    command: Option<MaintenanceCommand>,
) -> Result<u8, Failure> {
    match command {
        None => {
            let windows = ctx.client.maintenance().await?.items;
            match ctx.out.format {
                Format::Table => maintenance_table(&windows, text::now_ms()).write(&mut ctx.out)?,
                _ => ctx.out.list(&windows, |window| window.name.clone())?,
            }
            Ok(exit::OK)
        }
        Some(MaintenanceCommand::Set { name, from, until, nodes }) => {
            let now = time::now()?;
            let ahead = |field, text: &str| time::ahead(field, text, &now).map_err(as_option);
            let from = from.as_deref().map(|text| ahead("from", text)).transpose()?;
            let settings = MaintenanceSettings { from, until: ahead("until", &until)?, nodes };
            validate::name("NAME", &name)?;
            settings.window(text::now_ms()).map_err(as_option)?;
            let window = ctx.client.set_maintenance(&name, &settings).await?;
            match ctx.out.format {
                Format::Table => maintenance_table(&[window], text::now_ms()).write(&mut ctx.out)?,
                Format::Ids => ctx.out.line(&window.name)?,
                Format::Json | Format::Jsonl => ctx.out.json(&window)?,
            }
            Ok(exit::OK)
        }
        Some(MaintenanceCommand::Delete { name }) => {
            let window = ctx.client.delete_maintenance(&name).await?;
            deleted(ctx, &window, "maintenance", &name)
        }
    }
}

fn maintenance_table(windows: &[Maintenance], now_ms: u64) -> Table {
    let mut table = Table::new(&[
        ("MAINTENANCE", Align::Flex),
        ("BEGINS", Align::Left),
        ("ENDS", Align::Left),
        ("NODES", Align::Right),
        ("RUNNING", Align::Right),
        ("WHICH", Align::Flex),
    ]);
    for window in windows {
        table.row(vec![
            window.name.clone(),
            when(window.from_at_ms, now_ms),
            when(window.until_at_ms, now_ms),
            window.nodes_count.to_string(),
            window.running.to_string(),
            window.nodes.clone().unwrap_or_else(|| "all".into()),
        ]);
    }
    table
}

/// `in 2h` or `5m ago`.
fn when(at_ms: u64, now_ms: u64) -> String {
    if at_ms > now_ms {
        format!("in {}", text::age(now_ms, at_ms))
    } else {
        format!("{} ago", text::age(at_ms, now_ms))
    }
}
