//! The null driver: attempts end without a process. For benches and rehearsals, so it does in memory what the keeper
//! does with processes: it holds prepared attempts, and puts one in the place of each that ends.

use super::contract::{Driver, Wait};
use crate::clock::{Now, now};
use crate::orders::{DriverEvent, Ended, Lease, Limits, Order};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::time::Duration;
use taskyard_model::spec::Null;
use taskyard_model::{CutOutput, Driver as Settings, JobId, JobSpec, Outcome};

/// Held attempts of one group: each takes microseconds, so that fewer would be used up between two turns.
pub(crate) const PREPARED_MAX: u32 = 16_384;
/// Ends of one turn; the rest comes in the next, so that messages are answered in between.
const ENDS_PER_TURN_MAX: usize = 16_384;

struct NullRun {
    order: Order,
    null: Null,
}

#[derive(Default)]
pub(crate) struct NullDriver {
    jobs: HashMap<u64, Null>,
    held: HashMap<u32, VecDeque<NullRun>>,
    /// Runs that end now.
    ending: VecDeque<(NullRun, u64)>,
    /// Runs that end later, by time and key.
    timers: BinaryHeap<Reverse<(u64, u64)>>,
    timed: HashMap<u64, (NullRun, u64)>,
    events: Vec<DriverEvent>,
    /// State of a linear congruential generator: a cheap one, called for each attempt.
    lcg: u64,
    now: Now,
}

impl Driver for NullDriver {
    fn add_job(&mut self, job: JobId, spec: &JobSpec) -> io::Result<()> {
        // A simulated agent runs jobs of all drivers here.
        let null = if let Settings::Null(null) = &spec.driver { null.clone() } else { Null::default() };
        self.jobs.insert(job.0, null);
        Ok(())
    }

    fn set_limits(&mut self, _: JobId, _: Limits) {}

    fn drop_job(&mut self, job: JobId) {
        self.jobs.remove(&job.0);
    }

    fn forget(&mut self, job: JobId) {
        self.jobs.remove(&job.0);
    }

    fn prepare(&mut self, order: Order) {
        let null = self.jobs.get(&order.job).cloned().unwrap_or_default();
        let run = NullRun { order, null };
        if run.order.run {
            self.now = now();
            return self.begin(run);
        }
        // A random place in the queue makes ends come in another order than starts.
        self.lcg = self.lcg.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let queue = self.held.entry(run.order.group).or_default();
        queue.push_back(run);
        let (at, last) = ((self.lcg >> 33) as usize % queue.len(), queue.len() - 1);
        queue.swap(at, last);
    }

    fn start(&mut self, key: u64) {
        if let Some(run) = self.take_held(key) {
            self.now = now();
            self.begin(run);
        }
    }

    fn recall(&mut self, key: u64) {
        if self.take_held(key).is_some() {
            self.events.push(DriverEvent::Returned(key));
        }
    }

    fn stop(&mut self, key: u64, why: Outcome) {
        if self.take_held(key).is_some() {
            self.events.push(DriverEvent::Returned(key));
        } else if let Some((run, started)) = self.timed.remove(&key) {
            self.end(run, started, Some(why));
        }
    }

    /// Whatever is told to stop ends at once.
    fn kill(&mut self, _: u64) {}

    /// Without a process nothing lives on when the agent is gone.
    fn renew(&mut self, _: Lease) {}

    /// Nothing is written.
    fn publish(&mut self, _: u64) {}

    fn flush(&mut self) {}

    fn wait(&mut self) -> Wait<'_> {
        Box::pin(async {
            match self.due_ms() {
                None => std::future::pending().await,
                Some(0) => {}
                Some(due_ms) => {
                    let wait_ms = due_ms.saturating_sub(now().boot_ms);
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                }
            }
            Ok(self.turn(now()))
        })
    }
}

impl NullDriver {
    fn take_held(&mut self, key: u64) -> Option<NullRun> {
        self.held.values_mut().find_map(|queue| {
            let at = queue.iter().position(|run| run.order.key == key)?;
            queue.swap_remove_back(at)
        })
    }

    fn begin(&mut self, run: NullRun) {
        if run.null.run_ms == 0 {
            self.ending.push_back((run, self.now.wall_ms));
        } else {
            let key = run.order.key;
            self.timers.push(Reverse((self.now.boot_ms + u64::from(run.null.run_ms), key)));
            self.timed.insert(key, (run, self.now.wall_ms));
        }
    }

    fn end(&mut self, run: NullRun, started_wall_ms: u64, why: Option<Outcome>) {
        let failed = mix(run.order.number) % 1_000 < u64::from(run.null.fail_per_mille);
        let (outcome, code) = match why {
            Some(why) => (why, 0),
            None if failed => (Outcome::Exited, 1),
            None => (Outcome::Succeeded, 0),
        };
        let next = self.held.get_mut(&run.order.group).and_then(VecDeque::pop_front);
        self.events.push(DriverEvent::Ended(Ended {
            key: run.order.key,
            outcome,
            code,
            started_wall_ms,
            ran_ms: u64::from(run.null.run_ms),
            cpu_ms: 0,
            max_rss_kib: 0,
            limit_ms: 0,
            cut: CutOutput::default(),
            next: next.as_ref().map(|next| next.order.key),
        }));
        if let Some(next) = next {
            self.begin(next);
        }
    }

    /// When [`NullDriver::turn`] has something to do.
    fn due_ms(&self) -> Option<u64> {
        if !self.ending.is_empty() || !self.events.is_empty() {
            return Some(0);
        }
        self.timers.peek().map(|Reverse((due, _))| *due)
    }

    /// What has ended by now.
    fn turn(&mut self, now: Now) -> Vec<DriverEvent> {
        self.now = now;
        while let Some(Reverse((due, key))) = self.timers.peek().copied()
            && due <= now.boot_ms
        {
            self.timers.pop();
            if let Some((run, started)) = self.timed.remove(&key) {
                self.end(run, started, None);
            }
        }
        while self.events.len() < ENDS_PER_TURN_MAX
            && let Some((run, started)) = self.ending.pop_front()
        {
            self.end(run, started, None);
        }
        std::mem::take(&mut self.events)
    }
}

/// Spreads consecutive numbers (the finalizer of splitmix64).
fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(key: u64, run: bool) -> Order {
        Order {
            key,
            job: 1,
            number: key,
            attempt: 1,
            fence: 1,
            group: 0,
            run,
            index: key as u32,
            entry: None,
            gpus: vec![],
        }
    }

    #[test]
    fn chains_shuffles_and_fails_about_as_many_as_asked() {
        let mut driver = NullDriver::default();
        let now = Now::default();
        driver.jobs.insert(1, Null { fail_per_mille: 20, run_ms: 0 });
        for key in 0..10_000 {
            driver.prepare(order(key, key == 9_999));
        }
        let mut keys = Vec::new();
        let mut failed = 0;
        let mut expected = Some(9_999);
        for event in driver.turn(now) {
            let DriverEvent::Ended(ended) = event else { panic!("{event:?}") };
            assert_eq!(Some(ended.key), expected, "each takes the place of the one before");
            expected = ended.next;
            keys.push(ended.key);
            failed += u32::from(ended.outcome == Outcome::Exited);
        }
        assert!((150..250).contains(&failed), "{failed}");
        assert!(!keys[1..].is_sorted());
        keys.sort_unstable();
        assert_eq!(keys, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn runs_take_their_time() {
        let mut driver = NullDriver::default();
        driver.jobs.insert(1, Null { fail_per_mille: 0, run_ms: 50 });
        driver.prepare(order(1, true));
        let due_ms = driver.due_ms().expect("it ends");
        let at = |boot_ms| Now { boot_ms, wall_ms: 0 };
        assert_eq!(driver.turn(at(due_ms - 1)).len(), 0);
        assert_eq!(driver.turn(at(due_ms)).len(), 1);
    }
}
