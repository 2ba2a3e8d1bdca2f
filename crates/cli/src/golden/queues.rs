//! Queues, pools, shares and usage.

use super::golden;
use crate::commands::queues;
use taskyard_client::api::{Pool, Queue};

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
        queues: vec!["short".into()],
        ..default.clone()
    };
    golden("pools", 100, |out| queues::pool_table(&[default, fast]).write(out).expect("written"));
}
