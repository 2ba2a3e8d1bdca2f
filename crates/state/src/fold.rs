//! Finished records as bytes: one column after the other, each as differences to the row before, in runs and varints. What is alike in a
//! block (fence, node, outcome, attempt) costs next to nothing; a task costs its start, run time, CPU time and memory: a few bytes.

use crate::phase::Phase;
use crate::record::TaskRecord;
use taskyard_model::{Fence, NodeId};

/// A column: how to read it from a record, and how to put it back. Values are differences of `u64` bit patterns, so any value round-trips.
type Column = (fn(&TaskRecord) -> u64, fn(&mut TaskRecord, u64));

const COLUMNS: [Column; 16] = [
    (|r| r.phase as u64, |r, v| r.phase = Phase::ALL[(v as usize).min(Phase::ALL.len() - 1)]),
    (|r| r.outcome.into(), |r, v| r.outcome = v as u8),
    (|r| r.cancelled.into(), |r, v| r.cancelled = v != 0),
    (|r| r.attempt.into(), |r, v| r.attempt = v as u16),
    (
        |r| (u64::from(r.fails) << 16) | u64::from(r.losses),
        |r, v| (r.fails, r.losses) = ((v >> 16) as u16, v as u16),
    ),
    (|r| r.node.0.into(), |r, v| r.node = NodeId(v as u32)),
    (|r| r.code as u32 as u64, |r, v| r.code = v as u32 as i32),
    (|r| r.fence.0, |r, v| r.fence = Fence(v)),
    (|r| r.started_wall_ms, |r, v| r.started_wall_ms = v),
    (|r| r.ran_ms, |r, v| r.ran_ms = v),
    (|r| r.cpu_ms.into(), |r, v| r.cpu_ms = v as u32),
    (|r| r.max_rss_kib.into(), |r, v| r.max_rss_kib = v as u32),
    (|r| r.limit_ms, |r, v| r.limit_ms = v),
    (|r| r.cut.written_bytes, |r, v| r.cut.written_bytes = v),
    (|r| r.cut.dropped_bytes, |r, v| r.cut.dropped_bytes = v),
    (|r| r.cut.disk_full.into(), |r, v| r.cut.disk_full = v != 0),
];

/// Packs records. Layout: number of rows; then per column pairs of (zigzag difference, how often it repeats), where a difference that stands
/// alone is marked by its lowest bit and has no count.
pub(crate) fn fold(records: &[TaskRecord]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len() * 8);
    put(&mut out, records.len() as u64);
    for (read, _) in COLUMNS {
        let mut last = 0u64;
        let mut run: Option<(u64, u64)> = None;
        for record in records {
            let value = read(record);
            let difference = zigzag(value.wrapping_sub(last) as i64);
            last = value;
            run = match run {
                Some((d, n)) if d == difference => Some((d, n + 1)),
                ended => {
                    put_run(&mut out, ended);
                    Some((difference, 1))
                }
            };
        }
        put_run(&mut out, run);
    }
    out.shrink_to_fit();
    out
}

/// The opposite of [`fold`].
///
/// # Panics
/// On bytes that `fold` did not make; snapshots carry a checksum, so that cannot come from outside.
pub(crate) fn unfold(bytes: &[u8]) -> Vec<TaskRecord> {
    let mut input = bytes;
    let rows = get(&mut input) as usize;
    let mut records = vec![TaskRecord::default(); rows];
    for (_, write) in COLUMNS {
        let mut last = 0u64;
        let mut row = 0;
        while row < rows {
            let (difference, times) = get_run(&mut input);
            for record in &mut records[row..row + times] {
                last = last.wrapping_add(unzigzag(difference) as u64);
                write(record, last);
            }
            row += times;
        }
    }
    records
}

fn put_run(out: &mut Vec<u8>, run: Option<(u64, u64)>) {
    let Some((difference, times)) = run else { return };
    let marked = u128::from(difference) << 1;
    if times == 1 {
        put_wide(out, marked | 1);
    } else {
        put_wide(out, marked);
        put(out, times);
    }
}

fn get_run(input: &mut &[u8]) -> (u64, usize) {
    let marked = get_wide(input);
    let difference = (marked >> 1) as u64;
    if marked & 1 == 1 { (difference, 1) } else { (difference, get(input) as usize) }
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

fn put(out: &mut Vec<u8>, n: u64) {
    put_wide(out, n.into());
}

fn get(input: &mut &[u8]) -> u64 {
    get_wide(input) as u64
}

fn put_wide(out: &mut Vec<u8>, mut n: u128) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn get_wide(input: &mut &[u8]) -> u128 {
    let mut n = 0u128;
    let mut shift = 0;
    loop {
        let (&byte, rest) = input.split_first().expect("a folded block ends where its last column does");
        *input = rest;
        n |= u128::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return n;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use taskyard_model::CutOutput;

    prop_compose! {
        fn record()(phase in 3usize..6, outcome in 0u8..11, cancelled: bool, attempt: u16, fails: u16, losses: u16, node: u32, code: i32,
                    fence: u64, started in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], ran_ms: u64, cpu_ms: u32, max_rss_kib: u32,
                    limit_ms: u64, written_bytes: u64, dropped_bytes: u64)
                    -> TaskRecord {
            TaskRecord { phase: Phase::ALL[phase], outcome, cancelled, backing_off: false, started_ms: 0, attempt, fails, losses, node: NodeId(node), code,
                         fence: Fence(fence), started_wall_ms: started, ran_ms, cpu_ms, max_rss_kib, limit_ms,
                         cut: CutOutput { written_bytes, dropped_bytes, disk_full: limit_ms % 2 == 1 } }
        }
    }

    proptest! {
        #[test]
        fn round_trips(records in prop::collection::vec(record(), 0..50)) {
            prop_assert_eq!(unfold(&fold(&records)), records);
        }
    }

    #[test]
    fn an_ordinary_task_costs_a_few_bytes() {
        let tasks: Vec<_> = (0..1_024u64)
            .map(|i| TaskRecord {
                phase: Phase::Succeeded,
                outcome: 0,
                attempt: 1,
                node: NodeId(1 + (i % 7 / 6) as u32),
                fence: Fence(900 + i / 100),
                started_wall_ms: 1_800_000_000_000 + i * 3 + (i * 7919) % 5,
                ran_ms: 1 + (i * 31) % 4,
                cpu_ms: 1,
                max_rss_kib: 1_900 + ((i * 37) % 40) as u32 * 4,
                ..TaskRecord::default()
            })
            .collect();
        let per_task = fold(&tasks).len() as u64 * 10 / 1_024;
        assert!(per_task <= 80, "{per_task} tenths of a byte");
    }
}
