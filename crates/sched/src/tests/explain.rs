//! Reasons, places and rules.

use crate::testing::{Cluster, cluster};
use crate::{Budget, Explanation, explain, schedule};
use taskyard_model::view::Window;
use taskyard_model::{Cause, Causes, Gate, JobId, NodeId, NodeState, Policy, QueueId, Reason, Rule};

fn ask(cluster: Cluster, job: u64) -> Explanation {
    explain(&cluster.view(), JobId(job))
}

#[track_caller]
fn check(cluster: Cluster, job: u64, reason: impl Into<Option<Reason>>) -> Explanation {
    let view = cluster.view();
    let explanation = explain(&view, JobId(job));
    assert_eq!(explanation.reason, reason.into());
    assert_eq!(crate::reason(&view, JobId(job)), explanation.reason, "the reason alone is the same");
    explanation
}

#[test]
fn reasons() {
    let c = || cluster().node("a", 2);
    check(c().job(1), 1, Reason::Next);
    check(c().job(1), 7, None);
    check(c().job(0), 1, None);
    check(c().job(1).with(|j| j.stopped = true), 1, Reason::Held);
    let gate = Gate::After { job: JobId(9), more: 2 };
    check(c().job(1).with(|j| j.gate = gate), 1, Reason::After { job: JobId(9), more: 2 });
    check(c().job(1).with(|j| j.gate = Gate::Begin { at_ms: 5 }), 1, Reason::NotBefore { at_ms: 5 });
    check(c().job(3).with(|j| j.max_running = Some(1)).runs("a", 1), 1, Reason::JobLimit { max_running: 1 });
    check(cluster().job(1), 1, Reason::NoNodes);
    check(c().down().job(1), 1, Reason::NoNodes);
    check(c().job(1).cpu_milli(2_001), 1, Reason::NoNodeCould);
    check(c().job(1).runs("a", 2), 1, free(&[Cause::Busy]));
    check(c().job(2).job(1), 2, Reason::Behind { job: JobId(1) });
}

fn free(causes: &[Cause]) -> Reason {
    Reason::NoNodeFree(Causes(causes.to_vec()))
}

#[test]
fn the_reason_names_the_cause() {
    let c = || cluster().node("a", 2);
    let reason = |c: Cluster| crate::reason(&c.view(), JobId(1)).unwrap().to_string();
    let every = |what: &str| format!("every node that could run it {what}");
    assert_eq!(reason(c().job(1).runs("a", 2)), every("is busy"));
    assert_eq!(reason(c().draining().job(1)), every("is draining"));
    // Another pool has a node that is up.
    let pool = taskyard_model::PoolId(2);
    let down = c().down().pool(|_| ()).node("b", 2).on_node(|n| n.pool = pool).job(1);
    assert_eq!(reason(down), every("is down"));
    let shut = c().on_node(|node| {
        node.maintenance = vec![Window { name: "disks".into(), from_wall_ms: 50, until_wall_ms: 90 }];
    });
    assert_eq!(
        reason(shut.job(1)),
        every("has maintenance that begins before the task is sure to have ended")
    );
    let apart = c().job(1).with(|j| j.affinity.apart = true).runs("a", 1);
    assert_eq!(reason(apart), every("already runs a task of the job, and its tasks must run apart"));
    let alone = c().job(1).exclusive().runs("a", 1);
    assert_eq!(reason(alone), every("runs a task that has the node to itself"));
    let mut not_empty = c().job(1).exclusive().job(0).runs("a", 1);
    assert_eq!(reason(not_empty.clone()), every("runs other work, and the task needs a node to itself"));
    // Nodes that were removed count for nothing.
    not_empty = not_empty.node("b", 2).down().on_node(|node| node.status.remove());
    assert_eq!(reason(not_empty), every("runs other work, and the task needs a node to itself"));
    let mixed = c().node("b", 2).draining().node("c", 2).down().job(1).runs("a", 2);
    assert_eq!(
        reason(mixed),
        "of the nodes that could run it, some are busy, some are draining and some are down"
    );
}

#[test]
fn names_the_rule_for_each_node() {
    let c =
        cluster().node("a", 2).node("b", 4).down().node("c", 4).draining().node("d", 4).label("spot", "yes");
    let c = c.node("e", 1).node("f", 1).job(1).constraint("!spot").cpu_milli(1_500).runs("a", 1);
    let got = check(
        c,
        1,
        free(&[Cause::Busy, Cause::Unavailable(NodeState::Draining), Cause::Unavailable(NodeState::Down)]),
    );
    let rules: Vec<_> = got.nodes.iter().map(|(node, rule)| format!("{node} {rule}")).collect();
    assert_eq!(
        rules,
        [
            "1 0.5 CPUs free, 1.5 requested",
            "2 agent is not connected",
            "3 draining",
            "4 constraint \"!spot\" does not hold",
            "5 has 1 CPU, 1.5 requested",
            "6 has 1 CPU, 1.5 requested"
        ]
    );
    let (rule, nodes) = got.grouped().remove(0);
    assert!(matches!(rule, Rule::Capacity(_)));
    assert_eq!(nodes, [NodeId(5), NodeId(6)]);
}

#[test]
fn names_who_keeps_a_node() {
    let c = cluster().node("a", 4).default_queue(|q| q.max_wait_ms = 500);
    let c = c.job(1).submitted(1).cpu_milli(4_000).job(1).submitted(900).runs("a", 1);
    let got = check(c, 2, Reason::Behind { job: JobId(1) });
    assert_eq!(got.nodes, [(NodeId(1), Rule::ReservedFor(JobId(1)))]);
    assert_eq!(got.position.unwrap().first, [JobId(1)]);
}

#[test]
fn positions() {
    let c = cluster().node("a", 1).queue(|q| q.tier = 1).queue(|_| ()).queue(|q| q.tier = -1);
    let c = c.default_queue(|q| q.max_wait_ms = 990);
    let c = c.job(1).submitted(1).job(1).submitted(100).owner("eve").job(1).submitted(100);
    let c = c.job(1).in_queue(2).job(1).in_queue(3).job(1).in_queue(4).job(1).submitted(101);
    let position = ask(c.clone(), 3).position.unwrap();
    assert_eq!((position.ahead, position.more, position.rivals), (3, false, vec![QueueId(3)]));
    assert_eq!(position.first, [1, 4, 2].map(JobId));
    assert_eq!(ask(c, 1).position.unwrap().ahead, 0);
}

#[test]
fn positions_are_the_order_of_starts() {
    let policies = [Policy::Fcfs, Policy::Priority, Policy::MultiFactor, Policy::FairShare, Policy::Drf];
    for policy in policies {
        let c = cluster().node("a", 4).node("b", 1_000).draining().default_queue(|q| q.policy = policy);
        let wide = |c: Cluster, account: &str| {
            c.job(1).cpu_milli(4_000).account(account).owner(account).takes(60_000)
        };
        let c = wide(c, "x").with(|j| j.tasks = 0).runs("a", 1);
        let c = wide(wide(wide(wide(wide(c, "x"), "x"), "y"), "y"), "z");
        let c = c.job(40).account("w5").owner("w5").job(3).account("y").owner("y").with(|j| j.priority = 3);
        let mut view = wide(c, "w5").view();
        let mut jobs: Vec<JobId> = (2..=9).map(JobId).collect();
        jobs.sort_by_key(|job| explain(&view, *job).position.unwrap().ahead);
        view.nodes[1].status.resume();
        let plan = schedule(&view, Budget::default());
        let starts: Vec<JobId> = plan.assignments.iter().map(|a| a.job).collect();
        assert_eq!(jobs, starts, "{policy:?}");
    }
}

#[test]
fn reasons_of_many_jobs_are_those_of_each() {
    let c = cluster()
        .node("a", 2)
        .job(2)
        .takes(5)
        .job(1)
        .job(1)
        .cpu_milli(9_000)
        .job(1)
        .with(|j| j.stopped = true);
    let view = c.job(0).runs("a", 1).job(3).view();
    let all = crate::reasons(&view, (1..=9).map(JobId), u64::MAX);
    let each = (1..=9).map(JobId).filter_map(|job| Some((job, explain(&view, job).reason?)));
    assert_eq!(all, each.collect::<Vec<_>>());
    assert_eq!(all.iter().map(|(job, _)| job.0).collect::<Vec<_>>(), [1, 2, 3, 4, 6]);
    // The first class is looked at, whatever that costs; those after it are not.
    let few = crate::reasons(&view, (1..=9).map(JobId), 0);
    assert_eq!(few[..], all[..1]);
}
