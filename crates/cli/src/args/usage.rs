//! Arguments of commands about shares and usage, with their examples.

use super::value;
use clap::{Args, Subcommand};

/// Of `shares`.
pub const SHARES: &str = "\
Examples:
  taskyard shares
  taskyard shares --output json

DUE is what the weights give, USED what was used lately and runs now, both of what all have used.
RECENT and RUNNING are in cores: memory counts as 4 GiB a core, a GPU as 8.";

/// Of `share`.
pub const SHARE: &str = "\
Examples:
  taskyard share set physics --weight 300
  taskyard share set physics --user ada --weight 50
  taskyard share set none --user ada --weight 50     work of ada that names no account
  taskyard share set --half-life 7d";

/// Of `account`.
pub const ACCOUNT: &str = "\
Examples:
  taskyard account grant physics ada bob     only who is named may charge it
  taskyard account revoke physics bob
  taskyard account open physics              everybody who may submit may

Work that names no account is always allowed. `taskyard shares` lists accounts and who may charge them.";

/// Of `usage`.
pub const USAGE: &str = "\
Examples:
  taskyard usage
  taskyard usage --by account --since 30d
  taskyard usage --by queue --since 2026-11-01 --output json

Whole days in UTC are counted, with what runs now. EFFICIENCY is the CPU time of what has ended, of
its cores times its run time; WAIT the mean time until a task's first start.";

/// What can be done to shares.
#[derive(Subcommand, Clone, Debug)]
pub enum ShareCommand {
    /// Set the weight of an account or a user, or the half-life of past usage
    #[command(after_help = SHARE)]
    Set {
        /// The account, or none for work that names no account
        #[arg(value_name = "ACCOUNT")]
        account: Option<String>,
        /// A user on that account, instead of the account as a whole
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// The weight among accounts, or among the users of the account; 100 where none is set
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
    /// Let users charge an account; with the first, only those who are named may
    #[command(after_help = ACCOUNT)]
    Grant {
        /// The account
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Names of users
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
    /// Let users no longer charge an account; what they submitted goes on
    #[command(after_help = ACCOUNT)]
    Revoke {
        /// The account
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// Names of users
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
    },
    /// Let everybody who may submit charge an account
    #[command(after_help = ACCOUNT)]
    Open {
        /// The account
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    /// Let nobody charge an account but those who are named
    #[command(after_help = ACCOUNT)]
    Close {
        /// The account
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
    /// From that day on: 30d (ago), yesterday, 2026-11-24
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub since: String,
}
