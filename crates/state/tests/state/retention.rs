//! How finished jobs are forgotten.

use crate::world::{World, array};
use proptest::prelude::*;
use taskyard_model::{After, JobId, JobSpec, Need, Retention, limits};
use taskyard_state::{Command, Forgotten, KeepChange, Phase, Rejection, Reply, Submit};

impl World {
    fn keep(&mut self, change: KeepChange) {
        assert_eq!(self.apply(Command::SetRetention(change)), Reply::Done);
    }

    /// A job that ends at once.
    fn ended(&mut self, tasks: u32) -> JobId {
        let job = self.submit(|s| s.array = array(tasks));
        self.apply(Command::Cancel { job, tasks: vec![], now: false });
        job
    }

    fn end_many(&mut self, many: std::ops::Range<u64>, tasks: u32) {
        for _ in many {
            self.ended(tasks);
        }
    }

    /// Pulses until nothing is due any more; how many that took.
    fn pulse(&mut self) -> u32 {
        for pulses in 0.. {
            if self.state.next_deadline().is_none_or(|at| at > self.now_ms) {
                return pulses;
            }
            self.apply(Command::Pulse);
        }
        unreachable!()
    }

    fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.state.jobs_before(None).map(|job| job.head.id.0).collect();
        ids.reverse();
        ids
    }
}

#[test]
fn finished_jobs_go_when_their_time_is_over() {
    let mut w = World::default();
    let keep_ms = Retention::default().keep_ms;
    assert_eq!(w.state.next_deadline(), None);
    let first = w.ended(1);
    w.now_ms = 50;
    let (second, open) = (w.ended(2), w.submit(|_| {}));
    assert_eq!(w.state.next_deadline(), Some(keep_ms));
    let kept = w.state.kept();
    assert_eq!((kept.jobs, kept.tasks, kept.oldest_end_wall_ms), (2, 3, Some(1_000_000)));
    w.now_ms = keep_ms - 1;
    assert_eq!((w.pulse(), w.ids()), (0, vec![1, 2, 3]));
    w.now_ms = keep_ms;
    assert_eq!((w.pulse(), w.ids()), (1, vec![second.0, open.0]));
    assert!(
        w.state.was_forgotten(first) && !w.state.was_forgotten(second) && !w.state.was_forgotten(JobId(4))
    );
    w.keep(KeepChange { keep_ms: Some(keep_ms + 10), ..KeepChange::default() });
    assert_eq!(w.state.next_deadline(), Some(keep_ms + 60));
    w.now_ms = 10 * keep_ms;
    w.pulse();
    assert_eq!(
        (w.ids(), w.state.next_deadline()),
        (vec![open.0], None),
        "what has not ended is never forgotten"
    );
    w.check();
}

#[test]
fn the_oldest_make_room_but_the_last_stays() {
    let mut w = World::default();
    w.keep(KeepChange { max_tasks: Some(10), ..KeepChange::default() });
    w.end_many(0..4, 3);
    assert_eq!((w.ids(), w.state.kept().tasks), (vec![2, 3, 4], 9));
    w.ended(1_000);
    w.pulse();
    assert_eq!((w.ids(), w.state.kept().tasks), (vec![5], 1_000), "too large for the rule, but the last");
    w.ended(1);
    assert_eq!((w.ids(), w.state.kept().tasks), (vec![6], 1));
    w.keep(KeepChange { max_tasks: Some(1_000), max_jobs: Some(2), ..KeepChange::default() });
    w.end_many(0..5, 1);
    assert_eq!(w.ids(), [10, 11]);
    w.check();
}

#[test]
fn much_to_forget_is_forgotten_entry_by_entry() {
    let mut w = World::default();
    let jobs = 2 * u64::from(limits::FORGOTTEN_PER_ENTRY_MAX) + 10;
    w.end_many(0..jobs, 1);
    w.keep(KeepChange { max_jobs: Some(5), ..KeepChange::default() });
    assert_eq!(w.state.kept().jobs, jobs, "the rule alone forgets nothing");
    assert_eq!((w.pulse(), w.state.kept().jobs), (3, 5));
    w.check();
}

#[test]
fn a_request_id_outlives_its_job() {
    let mut w = World::default();
    w.keep(KeepChange { keep_ms: Some(limits::RETENTION_KEEP_MS_MIN), ..KeepChange::default() });
    let submit = Submit {
        spec: JobSpec::command(vec!["x".into()]),
        owner: "ann".into(),
        request_id: "k".into(),
        retry_of: None,
    };
    let submit = Command::Submit(Box::new(submit));
    w.apply(submit.clone());
    w.apply(Command::Cancel { job: JobId(1), tasks: vec![], now: false });
    w.now_ms = 24 * 3_600_000;
    w.pulse();
    assert!(w.state.was_forgotten(JobId(1)));
    assert_eq!(w.apply(submit.clone()), Reply::Submitted { job: JobId(1), tasks: 0, duplicate: true });
    w.now_ms = limits::REQUEST_ID_KEPT_MS;
    w.pulse();
    assert_eq!(w.apply(submit), Reply::Submitted { job: JobId(2), tasks: 1, duplicate: false });
    w.check();
}

#[test]
fn a_predecessor_may_be_forgotten_once_its_end_was_told() {
    let mut w = World::default();
    w.keep(KeepChange { max_jobs: Some(1), ..KeepChange::default() });
    let first = w.submit(|_| {});
    let after = vec![After { job: first, need: Need::Any }];
    let waiting = w.submit(|s| s.after = after.clone());
    w.apply(Command::Cancel { job: first, tasks: vec![], now: false });
    w.ended(1);
    assert!(w.state.was_forgotten(first));
    assert_eq!(w.state.job(waiting).unwrap().eligible(), 1);
    let no = Rejection::NoPredecessor { job: first, was_there: true };
    assert_eq!(w.try_submit(|s| s.after = after), Reply::Rejected(no));
    let node = w.register("a", 1);
    w.ended.insert(first, Phase::Cancelled);
    assert_eq!(w.assign(waiting, node, 1, false), 1);
    w.check();
}

#[test]
fn agents_learn_of_gaps_between_what_is_kept() {
    let mut w = World::default();
    assert_eq!(w.state.forgotten(), Forgotten { before: JobId(1), gaps: vec![] });
    w.keep(KeepChange { max_jobs: Some(2), ..KeepChange::default() });
    w.end_many(0..2, 1);
    let long = w.submit(|_| {});
    w.end_many(0..5, 1);
    assert_eq!(w.ids(), [3, 7, 8]);
    assert_eq!(w.state.forgotten(), Forgotten { before: long, gaps: vec![(JobId(4), JobId(6))] });
    w.keep(KeepChange { max_jobs: Some(1), ..KeepChange::default() });
    w.now_ms = 100 * 86_400_000;
    w.pulse();
    assert_eq!(w.state.forgotten(), Forgotten { before: long, gaps: vec![(JobId(4), JobId(8))] });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// After the pulses that are due the rule holds, what has not ended is there, and a snapshot reads back to the same.
    #[test]
    fn the_rule_holds(steps in prop::collection::vec((0u8..4, 1u64..12, 0u64..200_000), 1..80)) {
        let mut w = World::default();
        let mut open = std::collections::BTreeSet::new();
        for (what, n, ms) in steps {
            match what {
                0 => drop(open.insert(w.submit(|s| s.array = array(n as u32)).0)),
                1 => {
                    let some = open.iter().nth(n as usize).copied();
                    if let Some(job) = some.filter(|job| open.remove(job)) {
                        w.apply(Command::Cancel { job: JobId(job), tasks: vec![], now: false });
                    }
                }
                2 => w.end_many(0..1, n as u32),
                _ => w.keep(KeepChange {
                    keep_ms: Some(60_000 + ms),
                    max_jobs: Some(n),
                    max_tasks: Some(3 * n),
                    ..KeepChange::default()
                }),
            }
            w.now_ms += ms / 4;
            w.pulse();
            let (rule, kept, ids) = (w.state.retention(), w.state.kept(), w.ids());
            prop_assert!(kept.jobs <= rule.max_jobs && (kept.tasks <= rule.max_tasks || kept.jobs == 1));
            prop_assert!(kept.oldest_end_wall_ms.is_none_or(|end| end + rule.keep_ms > 1_000_000 + w.now_ms));
            prop_assert_eq!(kept.jobs + open.len() as u64, ids.len() as u64);
            prop_assert!(open.iter().all(|id| ids.contains(id)));
        }
        w.check();
    }
}
