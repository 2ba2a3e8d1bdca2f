//! What is ahead of a job, as `explain` and `plan` show it.

use super::{NOW, golden, some_predecessors};
use crate::commands::{explain, plan};
use CounterfactualOutcome::{NothingHelps, Starts};
use taskyard_client::api::{
    Counterfactual, CounterfactualOutcome, DelayedJob, Dimension, EndBasis, ExpectedEnd, Explanation,
    JobPlan, NodeGroup, PastReason, PlanVerdict, PlannedStart, ReasonCode, Replan, ReplanCause, StartKind,
    WorkState,
};

fn some_start() -> PlannedStart {
    let end = |jobs: &[u64], tasks, in_ms, work, by| ExpectedEnd {
        work,
        jobs: jobs.into(),
        tasks,
        in_ms,
        at_ms: 0,
        by,
    };
    PlannedStart {
        kind: StartKind::Forecast,
        in_ms: Some(3_900_000),
        // No wall clock here: it would show in the zone of the machine that tests.
        at_ms: None,
        node: Some("n1".into()),
        counts_on: vec![
            end(&[8], 1, 3_900_000, WorkState::Planned, EndBasis::Estimate),
            end(&[5, 6], 3, 240_000, WorkState::Running, EndBasis::Limit),
            end(&[], 1, 60_000, WorkState::Running, EndBasis::Overrun),
            end(&[4], 1, 30_000, WorkState::Starting, EndBasis::Limit),
        ],
        more: 2,
        reserved: vec![],
        reserved_in_ms: None,
    }
}

fn some_counterfactuals() -> Vec<Counterfactual> {
    let one = |dimension, name: Option<&str>, outcome, sentence: &str| Counterfactual {
        dimension,
        name: name.map(str::to_owned),
        outcome,
        requested: Some(4_000),
        with: None,
        node: None,
        smallest: true,
        sentence: sentence.into(),
    };
    vec![
        one(Dimension::Memory, None, NothingHelps, ""),
        one(Dimension::Cpu, None, Starts, "with 3 fewer CPUs it would start now on n1"),
        one(Dimension::Time, None, NothingHelps, ""),
        one(Dimension::Constraint, Some("zone == a"), NothingHelps, ""),
        one(Dimension::Constraint, Some("ssd"), Starts, "without \"ssd\" it would start now on edge"),
        one(Dimension::Return, Some("n2"), Starts, "if node n2 came back it would start now on n2"),
        one(Dimension::Return, Some("n3"), Starts, "if node n3 came back it would start now on n3"),
    ]
}

fn replan(ago_ms: u64, cause: ReplanCause, sentence: &str) -> Replan {
    let (at_ms, from_at_ms, to_at_ms) = (1_700_000_000_000 - ago_ms, 1_700_000_600_000, None);
    Replan { at_ms, ago_ms, from_at_ms, to_at_ms, node: None, cause, job: None, sentence: sentence.into() }
}

fn past(ago_ms: u64, reason: ReasonCode, sentence: &str) -> PastReason {
    PastReason { at_ms: NOW - ago_ms, ago_ms, reason, sentence: sentence.into() }
}

fn some_answer() -> Explanation {
    let group = |rule: Option<&str>, passing, count, nodes: &[&str]| NodeGroup {
        rule: rule.map(str::to_owned),
        passing,
        count,
        nodes: nodes.iter().map(|n| (*n).to_owned()).collect(),
    };
    Explanation {
        job: 12,
        task: None,
        state: "pending".into(),
        reason: ReasonCode::NoNodeFree,
        sentence: "every node that could run it is busy".into(),
        position: Some(3),
        behind: vec![8, 9],
        waiting_ms: Some(130_000),
        after: vec![],
        begin_at_ms: None,
        begin_in_ms: None,
        retry_in_ms: None,
        nodes: vec![
            group(Some("1 CPU free, 4 requested"), true, 12, &["n1", "n2", "n3"]),
            group(Some("constraint \"zone == a\" does not hold"), false, 1, &["edge"]),
            group(None, true, 1, &["n9"]),
        ],
        start: Some(some_start()),
        notes: vec![
            "priority 10 has no effect: the policy of queue default is fcfs, which ignores priorities".into(),
        ],
        counterfactuals: some_counterfactuals(),
        history: vec![
            past(12_000, ReasonCode::NoNodeFree, "every node that could run it is busy"),
            past(130_000, ReasonCode::Behind, "job 8 goes first"),
        ],
        replans: vec![
            replan(30_000, ReplanCause::EarlyEnd, "moved forward by 5m: work that it counted on ended early"),
            replan(660_000, ReplanCause::Outranked, "no longer planned: job 8 goes first"),
        ],
        index: 77,
    }
}

#[test]
fn explanations() {
    let answer = some_answer();
    golden("explain", 100, |out| explain::write(&answer, out).expect("written"));
    let waits = Explanation {
        reason: ReasonCode::After,
        sentence: "it waits until job 5 has succeeded (job 5 is running), and for 1 more job".into(),
        position: None,
        behind: vec![],
        after: some_predecessors(),
        nodes: vec![],
        start: None,
        notes: vec![],
        counterfactuals: vec![],
        history: vec![],
        replans: vec![],
        ..answer
    };
    golden("explain-after", 100, |out| explain::write(&waits, out).expect("written"));
}

#[test]
fn plans() {
    let answer = some_answer();
    let unknown =
        |kind| PlannedStart { kind, in_ms: None, node: None, counts_on: vec![], more: 0, ..some_start() };
    let delay = |job, by_ms| DelayedJob { job, in_ms: 3_600_000, by_ms };
    golden("explain-reserved", 100, |out| {
        let start = Some(PlannedStart { reserved: vec!["n1".into()], ..unknown(StartKind::EndsUnknown) });
        explain::write(&Explanation { start, ..answer.clone() }, out).expect("written");
    });
    let planned = JobPlan {
        verdict: PlanVerdict::Waits,
        tasks: 1,
        starts_now: 0,
        explanation: Explanation { history: vec![], replans: vec![], waiting_ms: Some(0), ..answer },
        delays: vec![delay(14, None), delay(15, Some(600_000))],
        delayed: 4,
        delays_complete: false,
        warnings: vec![],
    };
    golden("plan-waits", 100, |out| plan::write(&planned, out).expect("written"));
    let starts = JobPlan {
        verdict: PlanVerdict::Starts,
        tasks: 20,
        starts_now: 4,
        explanation: Explanation {
            start: Some(PlannedStart {
                kind: StartKind::Now,
                in_ms: Some(0),
                counts_on: vec![],
                more: 0,
                ..some_start()
            }),
            notes: vec![],
            counterfactuals: vec![],
            behind: vec![],
            position: Some(1),
            ..planned.explanation.clone()
        },
        delays: vec![],
        delayed: 0,
        delays_complete: true,
        ..planned.clone()
    };
    golden("plan-starts", 100, |out| plan::write(&starts, out).expect("written"));
    let never = JobPlan {
        verdict: PlanVerdict::Never,
        explanation: Explanation {
            reason: ReasonCode::NoNodeCould,
            sentence: "no node could ever run it".into(),
            start: Some(unknown(StartKind::Never)),
            ..planned.explanation.clone()
        },
        ..planned
    };
    golden("plan-never", 100, |out| plan::write(&never, out).expect("written"));
}
