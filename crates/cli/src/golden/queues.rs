//! Queues, pools, shares and usage.

use super::golden;
use crate::commands::{queues, usage};
use taskyard_client::api::{Pool, Queue, Share, Shares, Usage, UsageBy, UsageReport, UsageRow};

fn queue() -> Queue {
    Queue {
        name: "default".into(),
        policy: "fcfs".into(),
        factors: None,
        tier: 0,
        weight: 1,
        aging_ms: 60_000,
        max_wait_ms: 86_400_000,
        pool: "default".into(),
        default_limit_ms: None,
        max_limit_ms: None,
        max_cpu_milli: None,
        max_memory_bytes: None,
        max_gpu_milli: None,
        max_tasks: None,
        max_grace_ms: 600_000,
        max_priority: 1_000,
        nodes: None,
        waiting_jobs: 0,
        waiting_tasks: 0,
        running_tasks: 0,
    }
}

#[test]
fn queue_tables() {
    let urgent = Queue { name: "urgent".into(), policy: "priority".into(), waiting_tasks: 15_000, ..queue() };
    golden("queues-80", 80, |out| {
        queues::queue_table(&[queue(), urgent.clone()]).write(out).expect("written");
    });
    let short = Queue {
        name: "short".into(),
        policy: "multi-factor".into(),
        pool: "fast".into(),
        max_limit_ms: Some(3_600_000),
        max_cpu_milli: Some(4_500),
        max_tasks: Some(1_000),
        max_grace_ms: 600_000,
        max_priority: 1_000,
        nodes: Some("zone in (a,b)".into()),
        running_tasks: 12,
        ..queue()
    };
    golden("queues-100", 100, |out| {
        queues::queue_table(&[queue(), urgent, short]).write(out).expect("written");
    });
}

#[test]
fn pool_tables() {
    let default = Pool {
        name: "default".into(),
        discipline: "easy".into(),
        placement: "least-loaded".into(),
        spread: None,
        nodes: None,
        reserve_after_ms: Some(600_000),
        nodes_up: 3,
        nodes_all: 4,
        queues: vec!["default".into(), "urgent".into()],
    };
    golden("pool", 100, |out| {
        queues::pool_table(std::slice::from_ref(&default)).write(out).expect("written");
    });
    let fast = Pool {
        name: "fast".into(),
        discipline: "conservative".into(),
        placement: "spread".into(),
        spread: Some("rack".into()),
        nodes: Some("zone == a".into()),
        reserve_after_ms: None,
        queues: vec!["short".into()],
        ..default.clone()
    };
    golden("pools", 100, |out| queues::pool_table(&[default, fast]).write(out).expect("written"));
}

#[test]
fn shares_and_usage() {
    let account = Share {
        account: Some("physics".into()),
        user: None,
        weight: 300,
        due_ppm: 750_000,
        used_ppm: 912_345,
        recent_milli: 11_460,
        running_milli: 12_000,
        factor_milli: None,
        allowed: None,
    };
    let ada = Share { user: Some("ada".into()), weight: 100, factor_milli: Some(407), ..account.clone() };
    let none = Share { account: None, weight: 100, due_ppm: 250_000, ..account.clone() };
    let bob = Share { user: Some("bob".into()), used_ppm: 0, factor_milli: Some(1_000), ..none.clone() };
    let shares = Shares { half_life_ms: 7 * 86_400_000, items: vec![none, bob, account, ada] };
    golden("shares", 100, |out| usage::write_shares(&shares, out).expect("written"));

    let took = Usage {
        cpu_allocated_ms: 3_600_000 * 1_250,
        gpu_allocated_ms: 0,
        memory_allocated_mib_ms: 3_600_000 * 1_024 * 80,
        cpu_used_ms: 3_600_000 * 801,
        efficiency_milli: Some(640),
        tasks_started: 12_001,
        mean_wait_ms: Some(250_000),
        tasks_ended: 11_990,
        tasks_failed: 7,
        tasks_running: 11,
    };
    let row = |name: Option<&str>, usage| UsageRow { name: name.map(str::to_owned), usage };
    let idle = Usage { efficiency_milli: None, mean_wait_ms: None, ..Usage::default() };
    let report = UsageReport {
        by: UsageBy::Account,
        from_at_ms: 0,
        to_at_ms: 1,
        items: vec![row(Some("physics"), took), row(None, idle)],
        total: took,
    };
    golden("usage", 100, |out| usage::write_usage(&report, out).expect("written"));
}
