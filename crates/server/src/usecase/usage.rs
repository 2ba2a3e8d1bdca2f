//! What users and accounts are due, and what they and queues used. A caller who may not see it of all sees their own.

use super::{Attribution, change};
use crate::auth::Caller;
use crate::failure::Answer;
use crate::heavy::heavy;
use std::collections::BTreeMap;
use taskyard_api::begin::SubmittedSince;
use taskyard_api::{
    AccountAccess, Share, ShareChange, ShareSettings, Shares, Usage, UsageBy, UsageReport, UsageRow,
};
use taskyard_consensus::Consensus;
use taskyard_model::party::LEVEL_ONE;
use taskyard_model::{AccountId, AccountView, IdTable, PartyId, PartyView, QueueId, View};
use taskyard_sched::FairShares;
use taskyard_state::{AccountChange, Command, UsageBook, UsedBy};

const MILLION: u128 = 1_000_000;

/// Accounts with their users.
pub(crate) fn shares(consensus: &Consensus, by: &Caller) -> Shares {
    let own = (!by.may_all()).then(|| by.user());
    consensus.read(|state| {
        let mut shares = show_shares(state.view(), own);
        let ids: BTreeMap<&str, AccountId> =
            state.view().accounts.iter().map(|account| (account.name.as_str(), account.id)).collect();
        for share in shares.items.iter_mut().filter(|share| share.user.is_none()) {
            let id = share.account.as_deref().and_then(|name| ids.get(name));
            let users = id.and_then(|id| state.users_of(*id));
            share.allowed = users.map(|users| users.iter().cloned().collect());
        }
        shares
    })
}

/// Changes shares, who may charge an account, and how fast use is forgotten: each that is named is one change.
pub(crate) async fn set_shares(
    consensus: &Consensus,
    by: &Caller,
    settings: ShareSettings,
) -> Answer<Shares> {
    let ShareChange { weight, half_life_ms, access } = settings.check()?;
    let on = |object: String| Attribution::everywhere(by, object);
    if let Some((account, user, weight)) = weight {
        let named = settings.account.unwrap_or_default();
        let of_user = user.as_ref().map(|user| format!(" user {user}")).unwrap_or_default();
        let command = Command::SetShare { account, user, weight };
        change(consensus, on(format!("account {named}{of_user}")), command).await?;
    }
    if let Some(AccountAccess { account, everyone, grant, revoke }) = access {
        let on = on(format!("account {account}"));
        let access = AccountChange { everyone, grant, revoke };
        change(consensus, on, Command::SetAccount { name: account, change: access }).await?;
    }
    if let Some(ms) = half_life_ms {
        change(consensus, on("half-life".into()), Command::SetHalfLife { ms }).await?;
    }
    Ok(shares(consensus, by))
}

fn show_shares(view: &View, own: Option<&str>) -> Shares {
    let mut users: BTreeMap<_, Vec<&PartyView>> = BTreeMap::new();
    for party in view.parties.iter().filter(|party| own.is_none_or(|own| own == party.owner)) {
        users.entry(party.account).or_default().push(party);
    }
    let fair = FairShares::new(view);
    let mut items = Vec::new();
    for account in &view.accounts {
        let of_account = users.remove(&account.id).unwrap_or_default();
        // What the account used as a whole is not the user's to see.
        if own.is_none() {
            items.push(account_share(view, &fair, account));
        }
        items.extend(of_account.into_iter().map(|party| user_share(view, &fair, account, party)));
    }
    Shares { half_life_ms: view.half_life_ms, items }
}

fn account_share(view: &View, fair: &FairShares<'_>, account: &AccountView) -> Share {
    let usage = &account.usage;
    Share {
        account: Some(account.name.clone()).filter(|name| !name.is_empty()),
        user: None,
        weight: account.weight,
        due_ppm: part(account.weight.into(), fair.weights()),
        used_ppm: part(usage.counted(view.now_ms, view.half_life_ms), fair.used()),
        recent_milli: usage.level_at(view.now_ms, view.half_life_ms) / LEVEL_ONE,
        running_milli: usage.size,
        factor_milli: None,
        allowed: None,
    }
}

fn user_share(view: &View, fair: &FairShares<'_>, account: &AccountView, party: &PartyView) -> Share {
    let usage = &party.usage;
    let of_account = u128::from(part(account.weight.into(), fair.weights()));
    let due = of_account * u128::from(party.weight) / u128::from(account.weights.max(1));
    Share {
        account: Some(account.name.clone()).filter(|name| !name.is_empty()),
        user: Some(party.owner.clone()),
        weight: party.weight,
        due_ppm: u32::try_from(due).unwrap_or(u32::MAX),
        used_ppm: part(usage.counted(view.now_ms, view.half_life_ms), fair.used()),
        recent_milli: usage.level_at(view.now_ms, view.half_life_ms) / LEVEL_ONE,
        running_milli: usage.size,
        factor_milli: u32::try_from(fair.thousandths(party)).ok(),
        allowed: None,
    }
}

/// In millionths; nothing of nothing.
fn part(of: u64, all: u64) -> u32 {
    let millionths = u128::from(of) * MILLION / u128::from(all.max(1));
    u32::try_from(millionths).unwrap_or(u32::MAX)
}

/// What was used since a day, summed up. The sums are made beside the state, not under its lock.
pub(crate) async fn usage(
    consensus: &Consensus,
    by: &Caller,
    sum_by: UsageBy,
    since: SubmittedSince,
) -> Answer<UsageReport> {
    let (book, names) = consensus.read(|state| (state.usage(), Names::of(state.view(), sum_by)));
    let own = (!by.may_all()).then(|| by.user().to_owned());
    heavy(move || report(&book, &names, own.as_deref(), sum_by, since)).await
}

/// Whose work each party's is, and what its rows are called.
struct Names {
    owners: IdTable<PartyId, String>,
    accounts: IdTable<PartyId, String>,
    queues: IdTable<QueueId, String>,
}

impl Names {
    fn of(view: &View, by: UsageBy) -> Names {
        let account = |party: &PartyView| view.accounts[party.account].name.clone();
        let accounts = view.parties.iter().filter(|_| by == UsageBy::Account).map(account);
        Names {
            owners: view.parties.iter().map(|party| party.owner.clone()).collect(),
            accounts: accounts.collect(),
            queues: view.queues.iter().map(|queue| queue.name.clone()).collect(),
        }
    }
}

fn report(
    book: &UsageBook,
    names: &Names,
    own: Option<&str>,
    by: UsageBy,
    since: SubmittedSince,
) -> UsageReport {
    let from_ms = since.instant(book.wall_ms);
    let (mut rows, mut total) = (BTreeMap::<&str, UsedBy>::new(), UsedBy::default());
    for ((party, queue), used) in book.since(from_ms) {
        let Some(owner) = names.owners.get(party).filter(|owner| own.is_none_or(|own| own == *owner)) else {
            continue;
        };
        let name = match by {
            UsageBy::User => Some(owner),
            UsageBy::Account => names.accounts.get(party),
            UsageBy::Queue => names.queues.get(queue),
        };
        let row = rows.entry(name.map_or("", String::as_str)).or_default();
        for sum in [row, &mut total] {
            sum.used.add(&used.used);
            sum.running += used.running;
        }
    }
    let row = |(name, sum): (&str, UsedBy)| {
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        UsageRow { name, usage: show(&sum) }
    };
    let mut items: Vec<UsageRow> = rows.into_iter().map(row).collect();
    items.sort_by(|a, b| b.usage.cpu_allocated_ms.cmp(&a.usage.cpu_allocated_ms).then(a.name.cmp(&b.name)));
    let (from_at_ms, to_at_ms) = (book.begins_wall_ms(from_ms), book.wall_ms);
    UsageReport { by, from_at_ms, to_at_ms, items, total: show(&total) }
}

fn show(sum: &UsedBy) -> Usage {
    let used = &sum.used;
    let per = |of: u64, all: u64| (all > 0).then(|| of / all);
    let efficiency = u128::from(used.cpu_used_ms) * MILLION / u128::from(used.cpu_ran_milli_ms.max(1));
    Usage {
        cpu_allocated_ms: used.cpu_milli_ms / 1_000,
        gpu_allocated_ms: used.gpu_milli_ms / 1_000,
        memory_allocated_mib_ms: used.memory_mib_ms,
        cpu_used_ms: used.cpu_used_ms,
        efficiency_milli: u64::try_from(efficiency).ok().filter(|_| used.cpu_ran_milli_ms > 0),
        tasks_started: used.started,
        mean_wait_ms: per(used.wait_ms, used.started),
        tasks_ended: used.ended,
        tasks_failed: used.failed,
        tasks_running: sum.running,
    }
}
