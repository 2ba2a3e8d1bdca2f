//! Shares of short tasks that are prefetched, where reports and plans are slow.

use crate::testing::{apply, change_job, cluster, end_on};
use crate::{Budget, schedule};
use std::collections::BTreeMap;
use taskyard_model::{Assignment, JobId, NodeId, Plan, Policy, Recall, View};

/// How long a task runs, on average.
const LENGTH_MS: u64 = 5;

/// Tasks that run, by when they end.
#[derive(Default)]
struct Agent {
    running: Vec<(u64, JobId)>,
    /// How many tasks of each job have ended.
    ended: BTreeMap<JobId, u64>,
    started: u64,
}

impl Agent {
    /// Ends what is due. Prefetched work of the class takes over its slot; without any, the slot is free until the next plan.
    fn advance(&mut self, view: &mut View) {
        let now_ms = view.now_ms;
        let (ended, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(end, _)| *end <= now_ms);
        self.running = rest;
        for (_, job) in ended {
            *self.ended.entry(job).or_default() += 1;
            end_on(view, 0, view.jobs[&job].class);
            let prefetched = view.nodes[0].prefetched_jobs.get(&job).map_or(0, |job| job.count);
            if prefetched > 0 {
                self.take_over(view, job, prefetched);
            }
        }
    }

    fn take_over(&mut self, view: &mut View, job: JobId, prefetched: u32) {
        let node = NodeId(1);
        let incarnation = view.nodes[0].status.incarnation().unwrap();
        let assignment = |count, prefetch| Assignment { job, count, node, incarnation, prefetch };
        apply(view, &Plan { recalls: vec![Recall { job, node }], ..Plan::default() });
        apply(view, &Plan { assignments: vec![assignment(1, false)], ..Plan::default() });
        if prefetched > 1 {
            apply(view, &Plan { assignments: vec![assignment(prefetched - 1, true)], ..Plan::default() });
        }
        self.run(view, job);
    }

    /// Tasks are alike, but no two run equally long.
    fn run(&mut self, view: &View, job: JobId) {
        self.started += 1;
        let length_ms = 1 + (self.started * 7_919 / 13) % (2 * LENGTH_MS - 1);
        self.running.push((view.now_ms + length_ms, job));
    }

    fn start(&mut self, view: &mut View, plan: &Plan) {
        apply(view, plan);
        for a in plan.assignments.iter().filter(|a| !a.prefetch) {
            (0..a.count).for_each(|_| self.run(view, a.job));
        }
    }
}

/// Ada has all slots, and then eve comes: how many tasks of ada have ended since, when 600 of eve have. A plan is made
/// once in each round trip.
fn ended_meanwhile(policy: Policy, slots: u64, round_trip_ms: u64) -> u64 {
    let c = cluster().node("a", slots).default_queue(|q| q.policy = policy);
    let c = c.job(1_000_000).owner("ada").typical_ms(LENGTH_MS);
    let c = c.job(1_000_000).owner("eve").typical_ms(LENGTH_MS).with(|job| job.stopped = true);
    let mut view = c.view();
    let mut agent = Agent::default();
    let mut before = None;
    for step in 0..20_000 {
        view.now_ms += 1;
        agent.advance(&mut view);
        let ended = |job| agent.ended.get(&JobId(job)).copied().unwrap_or(0);
        if before.is_none() && ended(1) > 100 {
            before = Some(ended(1));
            change_job(&mut view, JobId(2), |job| job.stopped = false);
        }
        if ended(2) >= 600 {
            return ended(1) - before.unwrap();
        }
        if step % round_trip_ms == 0 {
            let plan = schedule(&view, Budget::default());
            agent.start(&mut view, &plan);
        }
    }
    panic!("{:?} have ended", agent.ended)
}

#[test]
fn users_share_slots_whatever_a_round_trip_takes() {
    for policy in [Policy::MultiFactor, Policy::Drf] {
        for slots in [1, 3, 4, 5] {
            for round_trip_ms in [1, 7, 90] {
                let ada = ended_meanwhile(policy, slots, round_trip_ms);
                let what = format!("{policy:?}, {slots} slots, {round_trip_ms} ms");
                assert!((400..900).contains(&ada), "{what}: {ada} beside 600");
            }
        }
    }
}
