//! Times in which nodes are to be maintained.

use super::queues::{as_option, deleted};
use crate::args::MaintenanceCommand;
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::{Align, Format, Table, output::say, text};
use crate::time;
use taskyard_client::api::{Invalid, Maintenance, MaintenanceSettings, validate};

pub(crate) async fn maintenance(
    ctx: &mut Context,
    command: Option<MaintenanceCommand>,
) -> Result<u8, Failure> {
    match command {
        None => {
            let windows = ctx.client.maintenance().await?.items;
            let none = "no maintenance is planned; plan it with `taskyard maintenance set`";
            let table = |windows: &[Maintenance]| maintenance_table(windows, text::now_ms());
            ctx.out.table_or_list(&windows, none, |window| window.name.clone(), table)?;
            Ok(exit::OK)
        }
        Some(MaintenanceCommand::Set { name, from, until, nodes }) => {
            let now = time::now()?;
            let ahead = |field, text: &str| time::ahead(field, text, &now).map_err(as_option);
            let from = from.as_deref().map(|text| ahead("from", text)).transpose()?;
            let settings = MaintenanceSettings { from, until: ahead("until", &until)?, nodes };
            validate::name("NAME", &name)?;
            settings.window(text::now_ms()).map_err(|error| as_option(as_typed(error, &until)))?;
            let window = ctx.client.set_maintenance(&name, &settings).await?;
            if window.nodes_count == 0 {
                say("no node is selected by this now");
            }
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

/// A refused end as it was typed: the settings have it as an instant in UTC.
fn as_typed(error: Invalid, until: &str) -> Invalid {
    if error.field == "until" { Invalid { value: until.to_owned(), ..error } } else { error }
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
        format!("in {}", text::ahead(now_ms, at_ms))
    } else {
        format!("{} ago", text::age(at_ms, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::{as_typed, when};
    use taskyard_client::api::MaintenanceSettings;

    #[test]
    fn a_refused_end_is_shown_as_it_was_typed() {
        let (from, until) = (Some("2026-07-01T16:00:00Z".into()), "2026-07-01T15:00:00Z".into());
        let refused = MaintenanceSettings { from, until, nodes: None }.window(0).unwrap_err();
        assert_eq!(as_typed(refused, "2026-07-01 17:00").value, "2026-07-01 17:00");
    }

    #[test]
    fn what_was_set_is_shown_as_it_was_set() {
        // A moment has passed since.
        assert_eq!(when(3_600_000, 120), "in 1h");
        assert_eq!(when(3_600_000, 1_800_000), "in 30m");
        assert_eq!(when(0, 300_000), "5m ago");
    }
}
