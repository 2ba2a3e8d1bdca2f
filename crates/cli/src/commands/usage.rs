//! Shares of accounts and users, and what was used.

use super::queues::as_option;
use crate::args::{AccountCommand, ShareCommand, UsageArgs};
use crate::context::Context;
use crate::exit::{self, Failure};
use crate::show::output::say;
use crate::show::{Align, Format, Out, Table, text};
use crate::time;
use taskyard_client::api::units::show_duration;
use taskyard_client::api::{
    Invalid, NO_ACCOUNT, Quantity, Share, ShareSettings, Shares, Usage, UsageBy, UsageQuery, UsageReport,
};

const HOUR_MS: u64 = 3_600_000;
const MIB_OF_GIB: u64 = 1_024;

pub(crate) async fn shares(ctx: &mut Context) -> Result<u8, Failure> {
    let shares = ctx.client.shares().await?;
    show_shares(ctx, &shares)
}

pub(crate) async fn share(ctx: &mut Context, command: ShareCommand) -> Result<u8, Failure> {
    let ShareCommand::Set { account, user, weight, half_life } = command;
    let half_life = half_life.map(Quantity);
    let settings = ShareSettings { account, user, weight, half_life, ..ShareSettings::default() };
    settings.check().map_err(as_typed)?;
    let shares = ctx.client.set_shares(&settings).await?;
    show_shares(ctx, &shares)
}

pub(crate) async fn account(ctx: &mut Context, command: AccountCommand) -> Result<u8, Failure> {
    let none = ShareSettings::default();
    let settings = match command {
        AccountCommand::List => return list_accounts(ctx).await,
        AccountCommand::Grant { account, users } => {
            ShareSettings { account: Some(account), grant: users, ..none }
        }
        AccountCommand::Revoke { account, users } => {
            tell_not_granted(ctx, &account, &users).await?;
            ShareSettings { account: Some(account), revoke: users, ..none }
        }
        AccountCommand::Open { account } => {
            ShareSettings { account: Some(account), everyone: Some(true), ..none }
        }
        AccountCommand::Close { account } => {
            ShareSettings { account: Some(account), everyone: Some(false), ..none }
        }
    };
    settings.check().map_err(|invalid| match invalid.field.as_str() {
        "account" => invalid.in_field("ACCOUNT"),
        _ => invalid.in_field("USER"),
    })?;
    let shares = ctx.client.set_shares(&settings).await?;
    let is_it = |share: &&Share| share.user.is_none() && share.account == settings.account;
    match (ctx.out.format, shares.items.iter().find(is_it)) {
        (Format::Table, Some(share)) => {
            let line = format!("account {} may be charged by {}", account_of(share), allowed(share));
            ctx.out.line(&line)?;
            Ok(exit::OK)
        }
        _ => show_shares(ctx, &shares),
    }
}

/// Revoking what was never granted changes nothing, and is likely to be a slip in a name.
async fn tell_not_granted(ctx: &Context, account: &str, users: &[String]) -> Result<(), Failure> {
    let shares = ctx.client.shares().await?.items;
    let is_it = |share: &&Share| share.user.is_none() && share.account.as_deref() == Some(account);
    let Some(granted) = shares.iter().find(is_it).and_then(|share| share.allowed.as_ref()) else {
        return Ok(());
    };
    for user in users.iter().filter(|user| !granted.contains(user)) {
        say(&format!("account {account} was not granted to {user}"));
    }
    Ok(())
}

/// The accounts, without the work that names none.
async fn list_accounts(ctx: &mut Context) -> Result<u8, Failure> {
    let mut accounts = ctx.client.shares().await?.items;
    accounts.retain(|share| share.user.is_none() && share.account.is_some());
    let none = "no accounts yet: each appears with its first job, or with `taskyard account grant`";
    ctx.out.table_or_list(&accounts, none, |share| account_of(share).to_owned(), account_table)?;
    Ok(exit::OK)
}

fn account_table(accounts: &[Share]) -> Table {
    let mut table =
        Table::new(&[("ACCOUNT", Align::Flex), ("WEIGHT", Align::Right), ("ALLOWED", Align::Flex)]);
    for share in accounts {
        table.row(vec![account_of(share).to_owned(), share.weight.to_string(), allowed(share)]);
    }
    table
}

/// Who may charge an account, in words.
fn allowed(share: &Share) -> String {
    match share.allowed.as_deref() {
        None => "everybody".to_owned(),
        Some([]) => "no user".to_owned(),
        Some(users) => users.join(", "),
    }
}

/// Names what is missing as it is typed.
fn as_typed(invalid: Invalid) -> Invalid {
    match invalid.field.as_str() {
        "account" => invalid.in_field("ACCOUNT".to_owned()),
        "share" => Invalid { remedy: "set ACCOUNT with --weight, or --half-life".into(), ..invalid },
        _ => as_option(invalid),
    }
}

fn show_shares(ctx: &mut Context, shares: &Shares) -> Result<u8, Failure> {
    if shares.items.is_empty() {
        say("no accounts or users yet: each appears with its first job, or with `taskyard share set`");
    }
    match ctx.out.format {
        Format::Json => ctx.out.json(shares)?,
        Format::Table if shares.items.is_empty() => {}
        Format::Table => write_shares(shares, &mut ctx.out)?,
        _ => ctx.out.list(&shares.items, |share| account_of(share).to_owned())?,
    }
    Ok(exit::OK)
}

fn account_of(share: &Share) -> &str {
    share.account.as_deref().unwrap_or(NO_ACCOUNT)
}

pub(crate) fn write_shares(shares: &Shares, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("ACCOUNT", Align::Flex),
        ("USER", Align::Flex),
        ("WEIGHT", Align::Right),
        ("DUE", Align::Right),
        ("USED", Align::Right),
        ("RECENT", Align::Right),
        ("RUNNING", Align::Right),
        ("FACTOR", Align::Right),
        ("ALLOWED", Align::Flex),
    ])
    .less_important(&["RECENT", "RUNNING", "FACTOR"]);
    for share in &shares.items {
        table.row(vec![
            account_of(share).to_owned(),
            share.user.clone().unwrap_or_default(),
            share.weight.to_string(),
            percent(share.due_ppm.into(), 1_000_000),
            percent(share.used_ppm.into(), 1_000_000),
            tenths(share.recent_milli, 1_000),
            tenths(share.running_milli, 1_000),
            share
                .factor_milli
                .map(|factor| format!("{}.{:03}", factor / 1_000, factor % 1_000))
                .unwrap_or_default(),
            share.allowed.as_ref().map(|_| allowed(share)).unwrap_or_default(),
        ]);
    }
    table.write(out)?;
    say(&format!("past usage counts half after {}", show_duration(shares.half_life_ms)));
    Ok(())
}

/// A part in percent, with one decimal.
fn percent(part: u64, all: u64) -> String {
    format!("{}%", tenths(part.saturating_mul(100), all))
}

/// With one decimal, rounded.
fn tenths(of: u64, unit: u64) -> String {
    let tenths = (u128::from(of) * 10 + u128::from(unit) / 2) / u128::from(unit);
    format!("{}.{}", tenths / 10, tenths % 10)
}

pub(crate) async fn usage(ctx: &mut Context, args: UsageArgs) -> Result<u8, Failure> {
    let by = UsageBy::parse("--by", &args.by)?;
    let since = time::behind("--since", &args.since, &time::now()?)?;
    let query = UsageQuery { by: Some(by.name().to_owned()), since: Some(since) };
    let report = ctx.client.usage(&query).await?;
    if report.items.is_empty() {
        say(&format!("no usage since {}", text::time(report.from_at_ms)));
    }
    match ctx.out.format {
        Format::Json => ctx.out.json(&report)?,
        Format::Table if report.items.is_empty() => {}
        Format::Table => {
            write_usage(&report, &mut ctx.out)?;
            say(&format!("from {} to {}", text::time(report.from_at_ms), text::time(report.to_at_ms)));
        }
        _ => ctx.out.list(&report.items, |row| row.name.clone().unwrap_or_else(|| NO_ACCOUNT.to_owned()))?,
    }
    Ok(exit::OK)
}

pub(crate) fn write_usage(report: &UsageReport, out: &mut Out) -> Result<(), Failure> {
    let name = match report.by {
        UsageBy::User => "USER",
        UsageBy::Account => "ACCOUNT",
        UsageBy::Queue => "QUEUE",
    };
    let mut table = Table::new(&[
        (name, Align::Flex),
        ("CPU H", Align::Right),
        ("GPU H", Align::Right),
        ("GIB H", Align::Right),
        ("CPU USED", Align::Right),
        ("EFFICIENCY", Align::Right),
        ("WAIT", Align::Right),
        ("RUNNING", Align::Right),
        ("ENDED", Align::Right),
        ("FAILED", Align::Right),
    ])
    .less_important(&["GIB H", "RUNNING", "CPU USED", "WAIT", "GPU H"]);
    for row in &report.items {
        table.row(usage_row(row.name.as_deref().unwrap_or(NO_ACCOUNT), &row.usage));
    }
    if report.items.len() > 1 {
        table.row(usage_row("all", &report.total));
    }
    table.write(out)
}

fn usage_row(name: &str, usage: &Usage) -> Vec<String> {
    let unless_none = |ms: u64, unit: u64| if ms == 0 { String::new() } else { tenths(ms, unit) };
    vec![
        name.to_owned(),
        tenths(usage.cpu_allocated_ms, HOUR_MS),
        unless_none(usage.gpu_allocated_ms, HOUR_MS),
        unless_none(usage.memory_allocated_mib_ms, HOUR_MS * MIB_OF_GIB),
        tenths(usage.cpu_used_ms, HOUR_MS),
        usage.efficiency_milli.map(|milli| percent(milli, 1_000)).unwrap_or_default(),
        usage.mean_wait_ms.map(text::span).unwrap_or_default(),
        usage.tasks_running.to_string(),
        usage.tasks_ended.to_string(),
        usage.tasks_failed.to_string(),
    ]
}
