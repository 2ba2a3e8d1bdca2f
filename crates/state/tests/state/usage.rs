//! Usage accounting against what is counted by hand.

use crate::world::{Held, World, array};
use std::collections::BTreeMap;
use taskyard_model::report::Item;
use taskyard_model::{AttemptEnd, CutOutput, Finish, NodeId, Outcome, PartyId, QueueConfig, QueueId, Start};
use taskyard_state::{Command, Reply, State, Used, UsedBy};

const DAY_MS: u64 = 86_400_000;
/// How far the world's wall clock is ahead of its state time.
const WALL_MS: u64 = 1_000_000;

type Sums = BTreeMap<(PartyId, QueueId), Used>;

/// A world in which everything is counted a second time.
struct Counted {
    w: World,
    nodes: Vec<NodeId>,
    by_hand: Sums,
    random: u64,
}

impl Counted {
    fn new(seed: u64) -> Counted {
        let mut w = World::default();
        let nodes = ["a", "b"].map(|name| w.register(name, 4)).into();
        w.apply(Command::SetQueue { name: "q".into(), config: QueueConfig::default() });
        Counted { w, nodes, by_hand: Sums::new(), random: seed | 1 }
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    /// Time passes: what the nodes have given away is counted. The next entry brings the state there.
    fn wait(&mut self, ms: u64) {
        let view = self.w.state.view();
        for node in &view.nodes {
            for (class, there) in &node.by_class {
                let class = view.class(*class).unwrap();
                let used = self.by_hand.entry((class.party, class.queue)).or_default();
                let amounts = &class.request.amounts;
                used.cpu_milli_ms += u64::from(there.running) * amounts.cpu_milli * ms;
                used.memory_mib_ms += u64::from(there.running) * amounts.memory.div_ceil(1 << 20) * ms;
                used.gpu_milli_ms += u64::from(there.running) * u64::from(class.request.gpu_milli) * ms;
            }
        }
        self.w.now_ms += ms;
        self.w.apply(Command::Tick);
    }

    /// Whose task it is, cores of it in thousandths, and since when its job waits.
    fn of(&self, held: Held) -> ((PartyId, QueueId), u64, u64) {
        let view = self.w.state.view();
        let job = self.w.state.job(held.task.job).unwrap();
        let class = view.class(view.jobs[&held.task.job].class).unwrap();
        ((class.party, class.queue), class.request.amounts.cpu_milli, job.waiting_since_ms())
    }

    fn attempt(&self, held: Held) -> u32 {
        self.w.state.job(held.task.job).unwrap().record(held.task.index).unwrap().attempt.into()
    }

    fn assign(&mut self, prefetch: bool) {
        let Some(job) = self.w.state.last_job() else { return };
        let job = taskyard_model::JobId(1 + self.below(job.0));
        let at = self.below(2) as usize;
        let node = self.nodes[at];
        let count = 1 + self.below(3) as u32;
        let before = self.w.agents[&node].held.len();
        self.w.assign(job, node, count, prefetch);
        for held in self.w.agents[&node].held[before..].iter().copied() {
            let (whose, _, since) = self.of(held);
            if held.running && self.attempt(held) == 1 {
                let used = self.by_hand.entry(whose).or_default();
                used.started += 1;
                used.wait_ms += self.w.now_ms - since;
            }
        }
    }

    /// Ends a running attempt; a held one of the same class goes on in its place: it starts, or starts and ends.
    fn finish(&mut self) {
        let at = self.below(2) as usize;
        let node = self.nodes[at];
        let running: Vec<Held> = self.w.agents[&node].held.iter().copied().filter(|h| h.running).collect();
        if running.is_empty() {
            return;
        }
        let done = running[self.below(running.len() as u64) as usize];
        let mut items = vec![self.end(done, false)];
        let class = |held: &Held| self.w.state.view().jobs[&held.task.job].class;
        let next = self.w.agents[&node].held.iter().copied().find(|h| !h.running && class(h) == class(&done));
        let held = &mut self.w.agents.get_mut(&node).unwrap().held;
        held.retain(|h| (h.task, h.fence) != (done.task, done.fence));
        if let Some(next) = next {
            let at = self.w.agents[&node].held.iter().position(|h| h.task == next.task).unwrap();
            if self.below(2) == 0 {
                items.push(self.end(next, true));
                self.w.agents.get_mut(&node).unwrap().held.remove(at);
            } else {
                self.starts(next, 0);
                self.w.agents.get_mut(&node).unwrap().held[at].running = true;
                items.push(Item::Started(Start { task: next.task, fence: next.fence, started_wall_ms: 9 }));
            }
        }
        let reported = items.len() as u64;
        assert_eq!(self.w.report(node, items), Reply::Changed { tasks: reported });
    }

    fn starts(&mut self, held: Held, ran_ms: u64) {
        let (whose, _, since) = self.of(held);
        if self.attempt(held) == 1 {
            let waited = (self.w.now_ms - since).saturating_sub(ran_ms);
            let used = self.by_hand.entry(whose).or_default();
            used.started += 1;
            used.wait_ms += waited;
        }
    }

    fn end(&mut self, held: Held, was_prefetched: bool) -> Item {
        let fails = self.below(4) == 0;
        let (outcome, ran_ms) = (if fails { Outcome::Exited } else { Outcome::Succeeded }, self.below(90));
        let end = AttemptEnd {
            outcome,
            code: 1,
            started_wall_ms: 9,
            ran_ms,
            cpu_ms: 7,
            max_rss_kib: 1,
            limit_ms: 0,
            cut: CutOutput::default(),
        };
        if was_prefetched {
            self.starts(held, ran_ms);
        }
        let (whose, cpu_milli, _) = self.of(held);
        let job = self.w.state.job(held.task.job).unwrap();
        let record = job.record(held.task.index).unwrap();
        let last = !fails || u32::from(record.fails) >= job.spec.retry.max;
        let used = self.by_hand.entry(whose).or_default();
        used.cpu_used_ms += end.cpu_ms;
        used.cpu_ran_milli_ms += ran_ms * cpu_milli;
        used.ended += u64::from(last);
        used.failed += u64::from(last && fails);
        Item::Finished(Finish { task: held.task, fence: held.fence, end })
    }

    fn submit(&mut self) {
        let (account, queue, gpus) = (self.below(3), self.below(2), self.below(5));
        let (cpus, memory, retries) = (1 + self.below(2), self.below(3 << 20), self.below(2) as u32);
        self.w.submit(|spec| {
            spec.account = ["physics", "maths"].get(account as usize).map(|name| (*name).to_owned());
            spec.queue = if queue == 0 { "default" } else { "q" }.into();
            spec.request.amounts.cpu_milli = cpus * 500;
            spec.request.amounts.memory = memory;
            spec.request.gpu_milli = if gpus == 0 { 300 } else { 0 };
            spec.retry.max = retries;
            spec.array = array(4);
        });
    }

    fn step(&mut self) {
        match self.below(12) {
            0 => self.submit(),
            1..=3 => self.assign(false),
            4..=5 => self.assign(true),
            6..=9 => self.finish(),
            10 if self.below(8) == 0 => self.lose(),
            _ => {
                let ms = [1, 40, 5_000, 40_000_000][self.below(4) as usize];
                self.wait(ms);
            }
        }
    }

    /// An agent is lost, and another life of it begins. Its tasks are tried again, so nothing has ended.
    fn lose(&mut self) {
        let at = self.below(2) as usize;
        let (node, incarnation) = (self.nodes[at], self.w.agents[&self.nodes[at]].incarnation);
        self.w.apply(Command::Lost { node, incarnation, silent_ms: 0 });
        self.nodes[at] = self.w.register(["a", "b"][at], 4);
    }

    fn check(&self) {
        let mine: Sums = self.by_hand.iter().filter(|(_, used)| **used != Used::default()).map(own).collect();
        let all = sums(&self.w.state, 0);
        assert_eq!(all.into_iter().filter(|(_, used)| *used != Used::default()).collect::<Sums>(), mine);
    }
}

fn own((whose, used): (&(PartyId, QueueId), &Used)) -> ((PartyId, QueueId), Used) {
    (*whose, *used)
}

fn sums(state: &State, since_wall_ms: u64) -> Sums {
    state.usage().since(since_wall_ms).into_iter().map(|(whose, by)| (whose, by.used)).collect()
}

#[test]
fn sums_are_what_is_counted_by_hand() {
    let (mut ended, mut waited) = (0, 0);
    for seed in 1..=60_u64 {
        let mut counted = Counted::new(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        (0..3).for_each(|_| counted.submit());
        for step in 0..250 {
            counted.step();
            counted.check();
            if step % 50 == 0 {
                counted.w.check();
            }
        }
        ended += counted.by_hand.values().map(|used| used.ended).sum::<u64>();
        waited += counted.by_hand.values().map(|used| used.wait_ms).sum::<u64>();
    }
    assert!(ended > 500 && waited > 0, "{ended} tasks ended");
}

#[test]
fn what_runs_over_midnight_counts_on_both_days() {
    let mut w = World::default();
    let node = w.register("a", 2);
    let job = w.submit(|_| {});
    w.assign(job, node, 1, false);
    let midnight = DAY_MS - WALL_MS;
    w.now_ms = midnight + 1_500;
    w.apply(Command::Tick);
    let cpu = |w: &World, since| sums(&w.state, since).values().map(|used| used.cpu_milli_ms).sum::<u64>();
    let all = 1_000 * (midnight + 1_500);
    assert_eq!((cpu(&w, 0), cpu(&w, DAY_MS), cpu(&w, 2 * DAY_MS)), (all, 1_500_000, 0), "while it runs");
    assert_eq!(w.state.usage().since(0).values().map(|by: &UsedBy| by.running).sum::<u64>(), 1);
    w.finish(node, 0, Outcome::Succeeded);
    assert_eq!((cpu(&w, 0), cpu(&w, DAY_MS)), (all, 1_500_000), "and when it has ended");
    let ended = |since| sums(&w.state, since).values().map(|used| used.ended).sum::<u64>();
    assert_eq!((ended(0), ended(DAY_MS + 7), ended(2 * DAY_MS)), (1, 1, 0));
    assert_eq!(w.state.usage().begins_wall_ms(DAY_MS + 7), DAY_MS);
    w.check();
}
