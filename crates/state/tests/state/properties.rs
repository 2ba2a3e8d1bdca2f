//! `apply` at random: whatever agents and users do, the state stays whole.

use crate::world::{Held, World, array, finished, started};
use proptest::prelude::*;
use taskyard_model::report::{Item, Returned};
use taskyard_model::{ArraySpec, JobId, NodeId, Outcome, Plan, Recall};
use taskyard_state::{Change, Command};

#[derive(Clone, Debug)]
enum Step {
    Submit { count: u32, cpus: u64, gpu: u32, retries: u32, max_running: Option<u32>, max_fails: Option<u32> },
    Assign { job: u64, node: usize, count: u32, prefetch: bool },
    Finish { node: usize, which: usize, outcome: u8, take_over: bool },
    Return { node: usize, which: usize },
    Recall { job: u64, node: usize },
    Cancel { job: u64, first: Option<u32> },
    Hold { job: u64, held: bool },
    Lose { node: usize },
    Drain { node: usize, draining: bool },
    Health { node: usize, unfit: bool },
    Quarantine { node: usize, rival: bool },
    Leave { node: usize },
    Remove { node: usize, force: bool },
    Estimate { job: u64, ms: u64 },
    Restore,
    Time { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (prop_oneof![1u32..4, 1u32..40], 1u64..3, prop_oneof![3 => Just(0u32), 1 => Just(500u32)], 0u32..3, prop::option::of(1u32..5), prop::option::of(0u32..3))
            .prop_map(|(count, cpus, gpu, retries, max_running, max_fails)| Step::Submit { count, cpus, gpu, retries, max_running, max_fails }),
        6 => (1u64..8, 0usize..3, 1u32..9, any::<bool>()).prop_map(|(job, node, count, prefetch)| Step::Assign { job, node, count, prefetch }),
        6 => (0usize..3, 0usize..9, 0u8..8, any::<bool>())
            .prop_map(|(node, which, outcome, take_over)| Step::Finish { node, which, outcome, take_over }),
        1 => (0usize..3, 0usize..9).prop_map(|(node, which)| Step::Return { node, which }),
        1 => (1u64..8, 0usize..3).prop_map(|(job, node)| Step::Recall { job, node }),
        1 => (1u64..8, prop::option::of(0u32..40)).prop_map(|(job, first)| Step::Cancel { job, first }),
        1 => (1u64..8, any::<bool>()).prop_map(|(job, held)| Step::Hold { job, held }),
        1 => (0usize..3).prop_map(|node| Step::Lose { node }),
        1 => (0usize..3, any::<bool>()).prop_map(|(node, draining)| Step::Drain { node, draining }),
        1 => (0usize..3, any::<bool>()).prop_map(|(node, unfit)| Step::Health { node, unfit }),
        1 => (0usize..3, any::<bool>()).prop_map(|(node, rival)| Step::Quarantine { node, rival }),
        1 => (0usize..3).prop_map(|node| Step::Leave { node }),
        1 => (0usize..3, any::<bool>()).prop_map(|(node, force)| Step::Remove { node, force }),
        1 => (1u64..8, 0u64..900).prop_map(|(job, ms)| Step::Estimate { job, ms }),
        1 => Just(Step::Restore),
        1 => (0u64..5_000).prop_map(|ms| Step::Time { ms }),
    ]
}

impl World {
    fn step(&mut self, nodes: &mut [NodeId], step: &Step) {
        match *step {
            Step::Submit { count, cpus, gpu, retries, max_running, max_fails } => drop(self.submit(|s| {
                s.array = ArraySpec { max_running, ..array(count) };
                s.request.amounts.cpu_milli = cpus * 1_000;
                s.request.gpu_milli = gpu;
                s.retry = taskyard_model::Retry { max: retries, backoff_ms: 700 };
                s.max_fails = max_fails;
                s.estimate_ms = (retries > 0).then_some(u64::from(count) * 100);
                s.time_limit_ms = max_running.map(|n| u64::from(n) * 300);
            })),
            Step::Estimate { job, ms } => {
                let change = Change { estimate_ms: Some(ms), ..Change::default() };
                self.apply(Command::Update { job: JobId(job), change });
            }
            Step::Assign { job, node, count, prefetch } => {
                self.assign(JobId(job), nodes[node], count, prefetch);
            }
            Step::Finish { node, which, outcome, take_over } => {
                self.finish_one(nodes[node], which, outcome, take_over)
            }
            Step::Return { node, which } => {
                let held = &mut self.agents.get_mut(&nodes[node]).unwrap().held;
                if let Some(at) =
                    held.iter().enumerate().filter(|(_, h)| !h.running).map(|(i, _)| i).nth(which)
                {
                    let h = held.remove(at);
                    self.report(nodes[node], vec![Item::Returned(Returned { task: h.task, fence: h.fence })]);
                }
            }
            Step::Recall { job, node } => {
                let recalls = vec![Recall { job: JobId(job), node: nodes[node] }];
                self.apply(Command::CommitPlan(Plan { assignments: vec![], recalls }));
            }
            Step::Cancel { job, first } => {
                let tasks = first.map(|f| vec![(f, 2)]).unwrap_or_default();
                self.apply(Command::Cancel { job: JobId(job), tasks, now: false });
            }
            Step::Hold { job, held } => {
                let job = JobId(job);
                self.apply(if held { Command::Hold { job } } else { Command::Release { job } });
            }
            Step::Lose { node } => nodes[node] = self.register(["a", "b", "c"][node], 1 + node as u64),
            Step::Drain { node, draining } => drop(self.apply(drain(nodes[node], draining))),
            Step::Health { node, unfit } => {
                let unfit = unfit.then(|| "no keeper".to_owned());
                let (node, incarnation) = (nodes[node], self.agents[&nodes[node]].incarnation);
                drop(self.apply(Command::NodeHealth { node, incarnation, unfit }))
            }
            Step::Quarantine { node, rival } => {
                let rival = rival.then(|| "other".to_owned());
                let (node, incarnation) = (nodes[node], self.agents[&nodes[node]].incarnation);
                drop(self.apply(Command::Quarantine { node, incarnation, rival }))
            }
            Step::Leave { node } => nodes[node] = self.leave(nodes[node], node),
            Step::Remove { node, force } => {
                drop(self.apply(Command::RemoveNode { name: ["a", "b", "c"][node].into(), force }))
            }
            Step::Restore => {
                self.index += 1 << 40;
                self.apply(Command::Restored { cluster: "next".into(), at: self.index });
            }
            Step::Time { ms } => {
                self.now_ms += ms;
                self.apply(Command::Pulse);
            }
        }
    }

    /// An agent leaves, and comes back.
    fn leave(&mut self, id: NodeId, at: usize) -> NodeId {
        let incarnation = self.agents[&id].incarnation;
        self.apply(Command::Left { node: id, incarnation });
        self.register(["a", "b", "c"][at], 1 + at as u64)
    }

    /// One running attempt ends; perhaps a held one of its class takes its place.
    fn finish_one(&mut self, node: NodeId, which: usize, outcome: u8, take_over: bool) {
        let state = &self.state;
        let class = |h: &Held| state.view().jobs.get(&h.task.job).map(|j| j.class);
        let held = self.agents[&node].held.clone();
        let Some(at) = held.iter().enumerate().filter(|(_, h)| h.running).map(|(i, _)| i).nth(which) else {
            return;
        };
        let heir = held.iter().position(|h| !h.running && class(h) == class(&held[at])).filter(|_| take_over);
        let mut items = vec![finished(held[at], Outcome::from_u8(outcome).unwrap())];
        let mine = &mut self.agents.get_mut(&node).unwrap().held;
        if let Some(heir) = heir {
            items.push(started(mine[heir]));
            mine[heir].running = true;
        }
        mine.remove(at);
        self.report(node, items);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens: nothing is oversubscribed (amounts would underflow), terminal is for ever, the view is the view made anew, and a
    /// snapshot reads back.
    #[test]
    fn invariants_hold(steps in prop::collection::vec(step(), 1..160)) {
        let mut w = World::default();
        let mut nodes = [w.register("a", 1), w.register("b", 2), w.register("c", 3)];
        for step in &steps {
            w.step(&mut nodes, step);
        }
        w.check();
    }
}

fn drain(node: NodeId, draining: bool) -> Command {
    Command::Drain { node, draining, reason: String::new(), by: "op".into() }
}
