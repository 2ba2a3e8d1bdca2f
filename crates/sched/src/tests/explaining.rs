//! Reasons, places and rules.

use crate::testing::{Cluster, cluster};
use crate::{Explanation, explain};
use taskyard_model::{Gate, JobId, NodeId, QueueId, Reason, Rule};

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
    check(c().job(1).runs("a", 2), 1, Reason::NoNodeFree);
    check(c().job(2).job(1), 2, Reason::Behind { job: JobId(1) });
}

#[test]
fn names_the_rule_for_each_node() {
    let c =
        cluster().node("a", 2).node("b", 4).down().node("c", 4).draining().node("d", 4).label("spot", "yes");
    let c = c.node("e", 1).node("f", 1).job(1).constraint("!spot").cpu_milli(1_500).runs("a", 1);
    let got = check(c, 1, Reason::NoNodeFree);
    let rules: Vec<_> = got.nodes.iter().map(|(node, rule)| format!("{node} {rule}")).collect();
    assert_eq!(
        rules,
        [
            "1 0.5 of cpu free, 1.5 asked",
            "2 agent is not connected",
            "3 draining",
            "4 constraint \"!spot\" does not hold",
            "5 has 1 of cpu, 1.5 asked",
            "6 has 1 of cpu, 1.5 asked"
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
    assert_eq!(got.place.unwrap().first, [JobId(1)]);
}

#[test]
fn places() {
    let c = cluster().node("a", 1).queue(|q| q.tier = 1).queue(|_| ()).queue(|q| q.tier = -1);
    let c = c.default_queue(|q| q.max_wait_ms = 990);
    let c = c.job(1).submitted(1).job(1).submitted(100).owner("eve").job(1).submitted(100);
    let c = c.job(1).in_queue(2).job(1).in_queue(3).job(1).in_queue(4).job(1).submitted(101);
    let place = ask(c.clone(), 3).place.unwrap();
    assert_eq!((place.ahead, place.more, place.rivals), (3, false, vec![QueueId(3)]));
    assert_eq!(place.first, [1, 4, 2].map(JobId));
    assert_eq!(ask(c, 1).place.unwrap().ahead, 0);
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
