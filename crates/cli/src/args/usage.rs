//! Arguments of commands about shares and usage, with their examples.

use super::value;
use clap::{Args, Subcommand};

/// Of `shares`.
pub const SHARES: &str = "\
Examples:
  taskyard shares
  taskyard shares --output json

DUE is a user's share by weight. USED is their part of recent and running usage.
RECENT and RUNNING are in cores: 4 GiB of memory count as one core, a GPU as 8.";

/// Of `share`.
pub const SHARE: &str = "\
Examples:
  taskyard share set physics --weight 300
  taskyard share set physics --user ada --weight 50
  taskyard share set none --user ada --weight 50     ada's jobs without an account
  taskyard share set --half-life 7d";

/// Of `account`.
pub const ACCOUNT: &str = "\
Examples:
  taskyard account list
  taskyard account grant physics ada bob     only granted users may charge it
  taskyard account revoke physics bob
  taskyard account open physics              every submitter may charge it

Jobs that name no account are always allowed. `taskyard shares` shows the usage of accounts.";

/// Of `usage`.
pub const USAGE: &str = "\
Examples:
  taskyard usage
  taskyard usage --by account --since 30d
  taskyard usage --by queue --since 2026-11-01 --output json

Usage covers whole days in UTC, up to now. EFFICIENCY is the CPU time of ended tasks, divided by
their cores times their run time. WAIT is the mean time until a task's first start.";

/// What can be done to shares.
#[derive(Subcommand, Clone, Debug)]
pub enum ShareCommand {
    /// Set the weight of an account or a user, or the half-life of past usage
    #[command(after_help = SHARE)]
    Set {
        /// Account, or none for jobs without an account
        #[arg(value_name = "ACCOUNT")]
        account: Option<String>,
        /// User of that account, instead of the whole account
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Weight among accounts, or among the users of the account [default: 100]
        #[arg(long, value_name = "N", value_parser = value::count::<u32>, allow_hyphen_values = true)]
        weight: Option<u32>,
        /// Half-life of past usage
        #[arg(long, value_name = "TIME", value_parser = value::amount, allow_hyphen_values = true)]
        half_life: Option<String>,
    },
}

/// Who may charge an account.
#[derive(Subcommand, Clone, Debug)]
pub enum AccountCommand {
    /// List accounts, and who may charge them
    #[command(after_help = ACCOUNT)]
    List,
    /// Grant an account to users; then only granted users may charge it
    #[command(after_help = ACCOUNT)]
    Grant {
        /// Name of the account
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Names of users
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
    /// Revoke an account from users; jobs already submitted continue
    #[command(after_help = ACCOUNT)]
    Revoke {
        /// Name of the account
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Names of users
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
    /// Open an account to every submitter
    #[command(after_help = ACCOUNT)]
    Open {
        /// Name of the account
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Close an account: only users with a grant may charge it
    #[command(after_help = ACCOUNT)]
    Close {
        /// Name of the account
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
}

/// Arguments of `usage`.
#[derive(Args, Clone, Debug, Default)]
pub struct UsageArgs {
    /// Group by user, account or queue
    #[arg(long, value_name = "WHAT", default_value = "user")]
    pub by: String,
    /// First day: 30d (ago), yesterday, 2026-11-24
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub since: String,
}
