//! Jobs that wait for the end of others: by hand, and at random.

use crate::world::{World, array};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use taskyard_model::{After, Begin, Gate, JobId, JobSpec, Need, NodeId, Outcome};
use taskyard_state::{Change, Command, Entry, Event, Phase, Rejection, Reply, Skip, State, Submit};

fn after(need: Need, job: JobId) -> After {
    After { job, need }
}

impl World {
    fn submit_after(&mut self, all: &[After]) -> JobId {
        self.submit(|s| s.after = all.to_vec())
    }

    fn job_phase(&self, job: JobId) -> Phase {
        self.state.job(job).unwrap().phase()
    }

    fn run(&mut self, job: JobId, node: NodeId, outcome: Outcome) {
        assert_eq!(self.assign(job, node, 1, false), 1, "job {job} may start");
        self.finish(node, 0, outcome);
    }
}

#[test]
fn a_job_starts_when_its_predecessors_have_ended_as_needed() {
    let mut w = World::default();
    let node = w.register("a", 4);
    let (first, second) = (w.submit(|_| {}), w.submit(|_| {}));
    let both = w.submit_after(&[after(Need::Ok, first), after(Need::Any, second)]);
    assert_eq!(w.state.view().jobs[&both].gate, Gate::After { job: first, more: 1 });
    assert_eq!(w.assign(both, node, 1, false), 0, "no task starts before its predecessors' end");
    w.now_ms = 70;
    w.run(first, node, Outcome::Succeeded);
    assert_eq!(w.assign(both, node, 1, false), 0);
    w.now_ms = 90;
    w.run(second, node, Outcome::Exited);
    assert_eq!(w.state.view().jobs[&both].submitted_ms, 90, "it waits for a place from now on");
    w.run(both, node, Outcome::Succeeded);
    assert_eq!(w.job_phase(both), Phase::Succeeded);
    w.check();
}

#[test]
fn each_need_meets_each_end() {
    let ends: [(Phase, [Phase; 3]); 4] = [
        (Phase::Succeeded, [Phase::Pending, Phase::Pending, Phase::Skipped]),
        (Phase::Failed, [Phase::Skipped, Phase::Pending, Phase::Pending]),
        (Phase::Cancelled, [Phase::Skipped, Phase::Pending, Phase::Pending]),
        (Phase::Skipped, [Phase::Skipped, Phase::Pending, Phase::Skipped]),
    ];
    for (end, want) in ends {
        for early in [true, false] {
            let mut w = World::default();
            let node = w.register("a", 4);
            let root = w.submit(|_| {});
            let job = if end == Phase::Skipped { w.submit_after(&[after(Need::Fail, root)]) } else { root };
            let needs = Need::NAMES.map(|(_, need)| need);
            let mut waiting: Vec<JobId> = Vec::new();
            if early {
                waiting.extend(needs.map(|need| w.submit_after(&[after(need, job)])));
            }
            match end {
                Phase::Failed => w.run(root, node, Outcome::Exited),
                Phase::Cancelled => drop(w.apply(Command::Cancel { job, tasks: vec![], now: false })),
                _ => w.run(root, node, Outcome::Succeeded),
            }
            assert_eq!(w.job_phase(job), end);
            if !early {
                waiting.extend(needs.map(|need| w.submit_after(&[after(need, job)])));
            }
            let got: Vec<Phase> = waiting.iter().map(|id| w.job_phase(*id)).collect();
            assert_eq!(got, want, "after {end:?}, submitted {}", if early { "before" } else { "after it" });
            for id in waiting.into_iter().filter(|id| w.job_phase(*id) == Phase::Skipped) {
                assert_eq!(w.state.job(id).unwrap().head.skip, Some(Skip { job, phase: end }));
            }
            w.check();
        }
    }
}

#[test]
fn a_predecessor_that_is_not_there_is_refused() {
    let mut w = World::default();
    let job = w.submit(|_| {});
    for id in [0, job.0 + 1, 99] {
        let refused = w.try_submit(|s| s.after = vec![after(Need::Any, JobId(id))]);
        let no = Rejection::NoPredecessor { job: JobId(id), was_there: false };
        assert_eq!(refused, Reply::Rejected(no));
    }
    assert_eq!(w.submit(|_| {}), JobId(job.0 + 1), "a refused job takes no id");
    w.check();
}

#[test]
fn skips_cascade_down_a_long_chain_in_one_entry() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let first = w.submit(|_| {});
    let mut last = first;
    for _ in 0..20_000 {
        last = w.submit_after(&[after(Need::Ok, last)]);
    }
    let report = w.submit_after(&[after(Need::Any, last)]);
    w.run(first, node, Outcome::Exited);
    assert_eq!((w.job_phase(last), w.job_phase(report)), (Phase::Skipped, Phase::Pending));
    w.run(report, node, Outcome::Succeeded);
}

#[test]
fn a_waiting_job_can_be_held_cancelled_and_skipped_as_an_array() {
    let mut w = World::default();
    let node = w.register("a", 1);
    let first = w.submit(|_| {});
    let ok = |s: &mut JobSpec| s.after = vec![after(Need::Ok, first)];
    let held = w.submit(|s| {
        ok(s);
        s.hold = true;
    });
    let cancelled = w.submit(ok);
    let large = w.submit(|s| {
        ok(s);
        s.array = array(10_000_000);
    });
    w.apply(Command::Release { job: held });
    assert_eq!(w.assign(held, node, 1, false), 0, "a release opens no other door");
    w.apply(Command::Hold { job: held });
    w.apply(Command::Cancel { job: cancelled, tasks: vec![], now: false });
    w.apply(Command::Cancel { job: large, tasks: vec![(7, 2)], now: false });
    assert_eq!(w.job_phase(cancelled), Phase::Cancelled);
    w.run(first, node, Outcome::Exited);
    assert_eq!(w.job_phase(held), Phase::Skipped, "a hold keeps nothing alive that can never run");
    assert_eq!(w.job_phase(cancelled), Phase::Cancelled, "terminal is for ever");
    let job = w.state.job(large).unwrap();
    assert_eq!(
        (job.phase(), job.count(Phase::Skipped), job.count(Phase::Cancelled)),
        (Phase::Skipped, 9_999_998, 2)
    );
    assert_eq!([6, 7, 9].map(|i| w.phase(large, i)), [Phase::Skipped, Phase::Cancelled, Phase::Skipped]);
    assert_eq!(w.apply(Command::Release { job: held }), Reply::Rejected(Rejection::JobFinished(held)));
}

#[derive(Clone, Debug)]
enum Step {
    Submit {
        tasks: u32,
        after: Vec<(u64, usize)>,
        hold: bool,
        begin: Option<Begin>,
    },
    /// Some of the nth job that has not ended.
    Assign {
        nth: usize,
        count: u32,
        prefetch: bool,
    },
    Finish {
        which: usize,
        good: bool,
    },
    Cancel {
        job: u64,
        first: Option<u32>,
    },
    Hold {
        job: u64,
        held: bool,
    },
    Lose,
    Time {
        ms: u64,
        wall_ms: u64,
        leads: bool,
    },
    Move {
        job: u64,
        begin: Begin,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop::collection::vec((1u64..5, 0usize..3), 0..3);
    let begin = || {
        prop_oneof![(0u64..200).prop_map(Begin::After), (0u64..300).prop_map(|at| Begin::At(1_000_000 + at))]
    };
    let maybe = prop::option::weighted(0.2, begin());
    prop_oneof![
        4 => (1u32..4, after, prop::bool::weighted(0.1), maybe).prop_map(|(tasks, after, hold, begin)| Step::Submit { tasks, after, hold, begin }),
        9 => (0usize..6, 1u32..4, prop::bool::weighted(0.2)).prop_map(|(nth, count, prefetch)| Step::Assign { nth, count, prefetch }),
        8 => (0usize..4, prop::bool::weighted(0.8)).prop_map(|(which, good)| Step::Finish { which, good }),
        1 => (1u64..16, prop::option::of(0u32..4)).prop_map(|(job, first)| Step::Cancel { job, first }),
        1 => (1u64..16, any::<bool>()).prop_map(|(job, held)| Step::Hold { job, held }),
        1 => Just(Step::Lose),
        2 => (0u64..60, 0u64..60, any::<bool>()).prop_map(|(ms, wall_ms, leads)| Step::Time { ms, wall_ms, leads }),
        1 => (1u64..16, begin()).prop_map(|(job, begin)| Step::Move { job, begin }),
    ]
}

impl World {
    fn take_step(&mut self, node: &mut NodeId, step: &Step) {
        match step {
            Step::Submit { tasks, after: back, hold, begin } => {
                let last = self.state.last_job().map_or(0, |id| id.0);
                let mut all: Vec<After> = Vec::new();
                for &(back, need) in back {
                    let job = JobId((last + 1).saturating_sub(back));
                    if job.0 > 0 && all.iter().all(|a| a.job != job) {
                        all.push(after(Need::NAMES[need].1, job));
                    }
                }
                self.submit(|s| (s.array, s.after, s.hold, s.begin) = (array(*tasks), all, *hold, *begin));
            }
            &Step::Assign { nth, count, prefetch } => {
                let job = self.state.view().jobs.keys().nth(nth).copied();
                job.map(|job| self.assign(job, *node, count, prefetch));
            }
            &Step::Finish { which, good } => {
                let running: Vec<usize> = self.agents[node]
                    .held
                    .iter()
                    .enumerate()
                    .filter(|(_, h)| h.running)
                    .map(|(i, _)| i)
                    .collect();
                if let Some(at) = running.get(which) {
                    self.finish(*node, *at, if good { Outcome::Succeeded } else { Outcome::Exited });
                }
            }
            &Step::Cancel { job, first } => {
                let tasks = first.map(|f| vec![(f, 2)]).unwrap_or_default();
                self.apply(Command::Cancel { job: JobId(job), tasks, now: false });
            }
            &Step::Hold { job, held } => {
                let job = JobId(job);
                self.apply(if held { Command::Hold { job } } else { Command::Release { job } });
            }
            &Step::Time { ms, wall_ms, leads } => {
                self.now_ms += ms;
                if leads {
                    self.wall_ahead_ms += wall_ms;
                    self.apply(Command::LeaderStart { server: 1, nonce: 1 });
                }
                self.apply(Command::Pulse);
            }
            &Step::Move { job, begin } => {
                let change = Change { begin: Some(begin), ..Change::default() };
                self.apply(Command::Update { job: JobId(job), change });
            }
            Step::Lose => *node = self.register("a", 3),
        }
    }
}

/// I9 with begins among it, and its other half: what can never start does not wait. The world checks each start against the ends it has seen.
#[test]
fn no_task_starts_before_its_predecessors_have_ended_as_needed() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (starts, skips) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let steps = prop::collection::vec(step(), 1..200);
    let all = runner.run(&steps, |steps| {
        let mut w = World::default();
        let mut node = w.register("a", 3);
        for step in &steps {
            w.take_step(&mut node, step);
        }
        w.check();
        starts.set(starts.get() + w.starts_checked);
        skips.set(skips.get() + w.ended.values().filter(|p| **p == Phase::Skipped).count());
        Ok(())
    });
    all.unwrap();
    println!("{} starts with predecessors, {} skipped jobs", starts.get(), skips.get());
    assert!(starts.get() > 200 && skips.get() > 200, "the property saw too little to say anything");
}

/// What an end costs follows those who wait for it, not how many jobs there are: seen as entries that touch nothing else.
#[test]
fn an_end_tells_only_its_dependants() {
    let mut state = State::new();
    let mut index = 0;
    let mut apply = |state: &mut State, command| {
        index += 1;
        state.apply(index, &Entry { now_ms: index, wall_ms: index, command })
    };
    let mut submit = |state: &mut State, all: Vec<After>| {
        let spec = JobSpec { after: all, ..JobSpec::command(vec!["true".into()]) };
        let submit = Submit { spec, owner: "ann".into(), request_id: String::new(), retry_of: None };
        apply(state, Command::Submit(Box::new(submit)))
    };
    for _ in 0..3 {
        submit(&mut state, vec![]);
    }
    for _ in 0..50 {
        submit(&mut state, vec![after(Need::Ok, JobId(1))]);
    }
    submit(&mut state, vec![after(Need::Ok, JobId(2))]);
    let ended = apply(&mut state, Command::Cancel { job: JobId(2), tasks: vec![], now: false });
    let finished: Vec<u64> = ended
        .events
        .iter()
        .filter_map(|e| if let Event::JobFinished { job, .. } = e { Some(job.0) } else { None })
        .collect();
    assert_eq!(finished, [2, 54]);
}
