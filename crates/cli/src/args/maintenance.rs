//! Of `maintenance`.

use clap::Subcommand;

/// Of `maintenance` alone.
pub const MAINTENANCE: &str = "\
Examples:
  taskyard maintenance
  taskyard maintenance set kernel --from +2h --until +6h --nodes 'zone == a'";

/// Of `maintenance set`.
const SET: &str = "\
Examples:
  taskyard maintenance set kernel --from +2h --until +6h --nodes 'zone == a'
  taskyard maintenance set move --from '2030-11-24 18:00' --until '2030-11-25 06:00' --nodes rack";

/// Of `maintenance delete`.
const DELETE: &str = "\
Examples:
  taskyard maintenance delete kernel";

/// What can be done to times of maintenance.
#[derive(Subcommand, Clone, Debug)]
pub enum MaintenanceCommand {
    /// Plan maintenance: tasks start there only if their time limit ends before it begins
    #[command(after_help = SET)]
    Set {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
        /// Start: 18:00, 'tomorrow 6:00', '2026-11-24 18:00', or +2h [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// End, in the same form
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Nodes, as in --constraint of submit [default: all]
        #[arg(long, value_name = "CONSTRAINT")]
        nodes: Option<String>,
    },
    /// Cancel planned maintenance
    #[command(after_help = DELETE)]
    Delete {
        /// Name
        #[arg(value_name = "NAME")]
        name: String,
    },
}
