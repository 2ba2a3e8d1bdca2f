//! Why something waits, in the scheduler's own terms.

use crate::{Counterfactual, PastReason, PlannedStart, ReasonCode, Replan};
use serde::{Deserialize, Serialize};
use taskyard_model::Rule;
use utoipa::ToSchema;

/// Answer to "why is it waiting".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The job.
    pub job: u64,
    /// The task, if one was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// State of the task, else of the job.
    pub state: String,
    /// The kind of answer.
    pub reason: ReasonCode,
    /// The answer in one sentence.
    pub sentence: String,
    /// Jobs that must end first; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<crate::Predecessor>,
    /// Wall clock before which it does not start; only while that is ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_at_ms: Option<u64>,
    /// Time until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_in_ms: Option<u64>,
    /// Its place among the waiting jobs of its queue, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Jobs that go first, next one first; at most ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<u64>,
    /// How long it has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_ms: Option<u64>,
    /// Time until its next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// Each node's answer; nodes with the same answer together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeGroup>,
    /// Settings without effect, such as a priority in a queue whose policy ignores priorities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// When its next task is planned to start; only while one waits for the planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<PlannedStart>,
    /// Single changes with which it would start now; only while a task waits for the planner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counterfactuals: Vec<Counterfactual>,
    /// Earlier reasons for waiting, the latest first, as far as this leader remembers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastReason>,
    /// How its planned start has moved, the latest first, as far as this leader remembers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replans: Vec<Replan>,
    /// State index at which this was true.
    pub index: u64,
}

/// Nodes that give the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeGroup {
    /// Why they do not take it; missing for nodes that do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether waiting can change the answer.
    pub passing: bool,
    /// How many nodes.
    pub count: u64,
    /// Names of some of them; at most ten.
    pub nodes: Vec<String>,
}

impl NodeGroup {
    /// Names shown of one group.
    pub const NAMES_MAX: usize = 10;

    /// Groups the verdicts of nodes by what they say, keeping the order of first appearance.
    pub fn group<'a>(verdicts: impl IntoIterator<Item = (&'a str, Result<(), Rule>)>) -> Vec<NodeGroup> {
        let mut groups: Vec<NodeGroup> = Vec::new();
        for (name, verdict) in verdicts {
            let rule = verdict.as_ref().err().map(ToString::to_string);
            let at = groups.iter().position(|g| g.rule == rule).unwrap_or_else(|| {
                let passing = verdict.as_ref().err().is_none_or(Rule::is_passing);
                groups.push(NodeGroup { rule, passing, count: 0, nodes: Vec::new() });
                groups.len() - 1
            });
            let group = &mut groups[at];
            group.count += 1;
            if group.nodes.len() < NodeGroup::NAMES_MAX {
                group.nodes.push(name.to_owned());
            }
        }
        groups
    }
}
