//! Why something waits. The full answer comes from a pass of the planner; lists get a word that costs next to nothing.

mod ended;
pub(super) mod forecast;
mod replans;

use super::present::{being_stopped, gate_word, job_state, next_try, stopping_tasks, task_state};
use super::select::index_of;
use super::submit::priority_unused;
use super::{after, find_job};
use crate::app::App;
use crate::auth::Visible;
use crate::failure::{Answer, refusal};
use crate::heavy::heavy;
use crate::history::{Replans, SeenReason};
use ended::{ended, ended_so, failed};
use forecast::Clock;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use taskyard_api::begin;
use taskyard_api::{Counterfactual, Explanation, NodeGroup, PastReason, ReasonCode, StoppingTasks};
use taskyard_consensus::Consensus;
use taskyard_model::{Cause, Causes, Gate, JobId, NodeId, Outcome, Reason, Rule, View};
use taskyard_sched::{
    self as planner, Dimension, ExpectedStart, Finding, counterfactuals, explain as ask_planner,
};
use taskyard_state::{Job, Phase, State};

/// Up to this number of nodes, a pass for one question is cheap.
const NODES_QUICK: usize = 256;

/// Different answers of nodes that one sentence has.
const RULES_SAID: usize = 3;

/// How many of the jobs that it waits for are named.
const AFTER_SHOWN: usize = 10;

/// Words for jobs that wait, from what the view says without a pass.
pub(crate) struct Quick<'v> {
    state: &'v State,
    visible: &'v Visible,
    no_nodes: bool,
}

impl<'v> Quick<'v> {
    pub(crate) fn new(state: &'v State, visible: &'v Visible) -> Quick<'v> {
        Quick { state, visible, no_nodes: state.view().nodes.iter().all(|n| !n.status.is_alive()) }
    }

    /// Why tasks of the job wait, if any do.
    pub(crate) fn word(&self, job: &Job) -> Option<String> {
        let id = job.head.id;
        if job.head.skip.is_some() {
            return after::skipped(self.state, self.visible, job);
        }
        if job.is_finished() {
            return job.has(Phase::Failed).then(|| failed(job)).flatten();
        }
        let view = self.state.view();
        let waiting = view.jobs.get(&id).filter(|_| job.count(Phase::Pending) > 0)?;
        if job.head.held {
            return Some("held".into());
        }
        if let Some(word) = gate_word(waiting.gate) {
            return Some(word);
        }
        if waiting.eligible == 0 {
            return Some("to be retried".into());
        }
        if waiting.placeable() == 0 {
            return Some("job limit".into());
        }
        if self.no_nodes {
            return Some("no agent".into());
        }
        let first = view.class(waiting.class).and_then(|class| class.waiting.get_min());
        match first.filter(|key| key.job != id) {
            Some(key) if self.visible.sees_job(self.state, key.job) => {
                Some(format!("behind job {}", key.job))
            }
            Some(_) => Some("behind another job".into()),
            None => Some("resources".into()),
        }
    }
}

/// Why a job waits, in a few words: from a pass where that is cheap.
pub(crate) async fn word(consensus: &Consensus, visible: &Visible, id: JobId) -> Answer<Option<String>> {
    let (word, view) = consensus.read(|state| {
        let job = state.job(id).ok_or_else(|| refusal::no_job(state, id))?;
        let view = state.view();
        let word = Quick::new(state, visible).word(job);
        let unsure = word.as_deref() == Some("resources") && view.nodes.len() <= NODES_QUICK;
        Ok::<_, taskyard_api::ApiError>((word, unsure.then(|| view.clone())))
    })?;
    let Some(view) = view else { return Ok(word) };
    let asked = heavy(move || planner::reason(&view, id)).await?;
    let reason = asked.map(|reason| consensus.read(|state| seen(state, visible, &reason)));
    Ok(reason.or(word))
}

/// What is asked about, as it was when the view was taken.
pub(super) struct Question {
    pub(super) explanation: Explanation,
    /// Whether the planner is to be asked.
    pub(super) waits: bool,
    /// All that waits of the job waits before its next try: only the job knows until when.
    resting: Option<Arc<Job>>,
    clock: Clock,
}

/// What the planner said, as far as it must be looked at again with the state.
#[derive(Default)]
pub(super) struct PlannerAnswer {
    reason: Option<Reason>,
    start: Option<ExpectedStart>,
}

/// Why a job, or one task of it, waits, or what has become of it.
pub(crate) async fn explain(
    app: &App,
    visible: &Visible,
    id: JobId,
    task: Option<u64>,
) -> Answer<Explanation> {
    let index =
        task.map(|number| index_of(id, &find_job(&app.consensus, id)?.spec.array, number)).transpose()?;
    let (asked, view) = app.consensus.read(|state| {
        let job = state.job(id).ok_or_else(|| refusal::no_job(state, id))?;
        let asked = begin(state, visible, job, task.zip(index));
        let view = asked.waits.then(|| state.view().clone());
        Ok::<_, taskyard_api::ApiError>((asked, view))
    })?;
    let Question { explanation, resting, clock, .. } = asked;
    let look = clock.look(app.consensus.led_term());
    let (mut explanation, found) = match (view, resting) {
        (Some(view), _) => {
            let planned = app.history.planned(look);
            let work = move || (finish(explanation, clock, &view, id), Replans::of(&view, &planned));
            let (finished, replans) = heavy(work).await?;
            app.history.note_plans(look, replans);
            finished
        }
        (None, Some(job)) => {
            let now_ms = app.consensus.read(State::now_ms);
            let work = move || backing_off(explanation, &Waits::of_all(&job), now_ms);
            (heavy(work).await?, PlannerAnswer::default())
        }
        (None, None) => (explanation, PlannerAnswer::default()),
    };
    app.history.note(look, found.reason.clone().map(|reason| (id, reason)));
    let (history, moves) = (app.history.of(look, id), app.history.moves_of(look, id));
    app.consensus.read(|state| {
        name_and_hide(state, visible, &found, &mut explanation);
        let waits = explanation.waiting_ms.is_some();
        explanation.history = past(state, visible, clock, history.into_iter().filter(|_| waits));
        let moves = moves.into_iter().filter(|_| waits);
        explanation.replans = moves.map(|seen| replans::show(state, visible, clock, seen)).collect();
    });
    Ok(explanation)
}

/// Names the jobs that only the state knows, and takes out those that may not be seen.
pub(super) fn name_and_hide(
    state: &State,
    visible: &Visible,
    found: &PlannerAnswer,
    explanation: &mut Explanation,
) {
    explanation.behind.retain(|job| visible.sees_job(state, JobId(*job)));
    if let Some(reason @ Reason::Behind { .. }) = &found.reason {
        explanation.sentence = seen(state, visible, reason);
    }
    if let (Some(start), Some(shown)) = (&found.start, &mut explanation.start) {
        forecast::name_jobs(state, visible, start, shown);
    }
}

/// Earlier reasons, the latest first.
fn past(
    state: &State,
    visible: &Visible,
    clock: Clock,
    history: impl Iterator<Item = SeenReason>,
) -> Vec<PastReason> {
    let show = |was: SeenReason| PastReason {
        at_ms: was.wall_ms,
        ago_ms: clock.since(was.since_ms),
        reason: ReasonCode::from(&was.reason),
        sentence: seen(state, visible, &was.reason),
    };
    history.map(show).collect()
}

/// A reason without what may not be seen.
fn seen(state: &State, visible: &Visible, reason: &Reason) -> String {
    match reason {
        Reason::Behind { job } if !visible.sees_job(state, *job) => "another job goes first".into(),
        reason => reason.to_string(),
    }
}

/// What waits before its next try, and why.
struct Waits {
    what: &'static str,
    again_ms: Option<u64>,
}

impl Waits {
    /// One task.
    fn of(job: &Job, index: u32) -> Waits {
        let last = job.record(index).and_then(|record| record.outcome());
        let what = match last {
            Some(Outcome::NodeFault) => "its node could not start it (this costs no retry),",
            Some(outcome) if outcome.is_infrastructure() => {
                "it was lost with its node or agent (this costs no retry),"
            }
            _ => "it failed,",
        };
        Waits { what, again_ms: job.again_ms(index) }
    }

    /// All tasks of a job that wait.
    fn of_all(job: &Job) -> Waits {
        match job.tasks() {
            1 => Waits { again_ms: job.next_again_ms(), ..Waits::of(job, 0) },
            _ => Waits { what: "its waiting tasks failed or were lost,", again_ms: job.next_again_ms() },
        }
    }
}

/// Failed or lost, and not to be retried yet.
fn backing_off(mut explanation: Explanation, waits: &Waits, now_ms: u64) -> Explanation {
    let Waits { what, again_ms } = *waits;
    explanation.reason = ReasonCode::Backoff;
    explanation.sentence = format!("{what} and is {}", next_try(again_ms, now_ms));
    explanation.retry_in_ms = again_ms.map(|at| at.saturating_sub(now_ms));
    explanation
}

/// What can be said without the planner.
pub(super) fn begin(state: &State, visible: &Visible, job: &Arc<Job>, task: Option<(u64, u32)>) -> Question {
    let record = task.and_then(|(_, index)| job.record(index));
    let (mut name, phase) = match &record {
        Some(record) => (task_state(record.phase).name(), record.phase),
        None => (job_state(job).name(), phase_of(job)),
    };
    let only = record.or_else(|| job.record(0).filter(|_| job.tasks() == 1));
    let node = only.as_ref().filter(|r| r.attempt > 0).and_then(|r| state.node(r.node));
    let node = node.map_or_else(|| "a node".to_owned(), |n| n.head.registered.name.clone());
    let on_nodes = u64::from(job.count(Phase::Running) + job.count(Phase::Queued));
    let (reason, sentence) = match phase {
        Phase::Pending => (ReasonCode::Next, String::new()),
        Phase::Queued if record.is_some() => (
            ReasonCode::Prefetched,
            format!("it is prefetched to {node} and starts when a task like it ends there"),
        ),
        Phase::Queued => (
            ReasonCode::Prefetched,
            "its tasks are prefetched to nodes and start when tasks like them end there".into(),
        ),
        Phase::Running => {
            let stopping = stopping(state, job, task.map(|(_, index)| index));
            if stopping.as_ref().is_some_and(|stopping| record.is_some() || stopping.tasks == on_nodes) {
                name = "stopping";
            }
            let reason = if stopping.is_some() { ReasonCode::Stopping } else { ReasonCode::Running };
            (reason, running(job, only.as_ref().map(|_| node.as_str()), stopping))
        }
        Phase::Skipped => (ReasonCode::Finished, after::skipped_sentence(state, visible, job)),
        _ => (ReasonCode::Finished, only.as_ref().map_or_else(|| ended(job), ended_so)),
    };
    let mut after = after::predecessors(state, visible, job);
    after.retain(|p| p.waits || phase == Phase::Skipped);
    after.truncate(AFTER_SHOWN);
    let begin = job.head.begin.filter(|begin| !begin.passed && phase == Phase::Pending);
    let explanation = Explanation {
        job: job.head.id.0,
        task: task.map(|(number, _)| number),
        state: name.to_owned(),
        reason,
        sentence,
        position: None,
        behind: Vec::new(),
        waiting_ms: (!phase.is_terminal() && phase == Phase::Pending)
            .then(|| state.now_ms().saturating_sub(job.waiting_since_ms())),
        retry_in_ms: None,
        nodes: Vec::new(),
        notes: notes(state, job),
        start: None,
        counterfactuals: Vec::new(),
        history: Vec::new(),
        replans: Vec::new(),
        after,
        begin_at_ms: begin.map(|begin| begin.wall_ms),
        begin_in_ms: begin.map(|begin| begin.at_ms.saturating_sub(state.now_ms())),
        index: state.index(),
    };
    let clock = Clock::of(state);
    let pending = phase == Phase::Pending && !job.head.held && job.gate() == Gate::Open;
    if let Some((_, index)) = task.filter(|_| pending && record.is_some_and(|r| r.backing_off)) {
        let waits = Waits::of(job, index);
        let explanation = backing_off(explanation, &waits, state.now_ms());
        return Question { explanation, waits: false, resting: None, clock };
    }
    let resting = (pending && job.eligible() == 0).then(|| Arc::clone(job));
    Question { explanation, waits: phase == Phase::Pending && resting.is_none(), resting, clock }
}

/// The attempts of a job that are being stopped, or that of one task.
fn stopping(state: &State, job: &Job, index: Option<u32>) -> Option<StoppingTasks> {
    let Some(index) = index else { return stopping_tasks(state, job) };
    let stopping = state.stopping(job).remove(&index)?;
    Some(StoppingTasks { tasks: 1, last: being_stopped(&stopping, state.now_ms(), state.wall_ms()) })
}

/// What there is to say of tasks that run: of one, on its node, or of all of a job.
fn running(job: &Job, one_on: Option<&str>, stopping: Option<StoppingTasks>) -> String {
    let (runs, held) = (job.count(Phase::Running), job.count(Phase::Queued));
    match (one_on, stopping) {
        (Some(_), Some(stopping)) => stopping.last.sentence,
        (Some(node), None) => format!("it runs on {node}"),
        (None, None) => format!("none of its tasks wait: {} are on nodes", runs + held),
        (None, Some(StoppingTasks { tasks, last })) => {
            format!(
                "none of its tasks wait: {} are on nodes, and {tasks} of them are being stopped: {}",
                runs + held,
                last.sentence
            )
        }
    }
}

/// What about a job that waits has no effect.
fn notes(state: &State, job: &Job) -> Vec<String> {
    unused_priority(state, job).into_iter().collect()
}

/// That a job that waits has a priority which its queue does not look at.
pub(super) fn unused_priority(state: &State, job: &Job) -> Option<String> {
    let queue = state.view().queue(job.head.queue).filter(|_| job.has(Phase::Pending))?;
    priority_unused(&queue.name, &queue.config, job.spec.priority)
}

/// The phase that matters for the question why it waits: as long as a task is pending, that one.
fn phase_of(job: &Job) -> Phase {
    [Phase::Pending, Phase::Queued, Phase::Running]
        .into_iter()
        .find(|phase| job.has(*phase))
        .unwrap_or_else(|| job.phase())
}

/// Asks the planner.
pub(super) fn finish(
    mut explanation: Explanation,
    clock: Clock,
    view: &View,
    id: JobId,
) -> (Explanation, PlannerAnswer) {
    let answer = ask_planner(view, id);
    let groups = answer.grouped();
    if let Some(place) = answer.position {
        explanation.position = Some(u64::from(place.ahead) + 1);
        explanation.behind = place.first.iter().map(|job| job.0).collect();
    }
    match &answer.reason {
        Some(reason) => {
            explanation.reason = ReasonCode::from(reason);
            explanation.sentence = sentence(reason, &groups);
            match reason {
                Reason::Backoff { until_ms } => {
                    explanation.retry_in_ms = Some(until_ms.saturating_sub(view.now_ms));
                }
                Reason::NotBefore { .. } => {
                    let at = explanation.begin_at_ms.map(begin::show_instant).unwrap_or_default();
                    explanation.sentence = format!("it starts no earlier than {at}");
                }
                Reason::After { .. } => explanation.sentence = after::waiting(&explanation.after),
                _ => {}
            }
        }
        None => {
            explanation.reason = ReasonCode::Backoff;
            explanation.sentence = "it failed, and waits before it is retried".into();
        }
    }
    let mut refused = answer.nodes.into_iter().peekable();
    let verdicts = view.nodes.iter().filter(|node| !node.status.is_gone()).map(|node| {
        let rule = refused.next_if(|(id, _)| *id == node.id).map(|(_, rule)| rule);
        (node.name.as_str(), rule.map_or(Ok(()), Err))
    });
    // Held, limited and resting jobs are not asked about nodes, and an empty list is not "every node would take it".
    if explanation.position.is_some() {
        explanation.nodes = NodeGroup::group(verdicts);
        explanation.nodes.sort_by_key(|group| Reverse(group.count));
    }
    explanation.start = answer.start.as_ref().map(|start| forecast::start(view, clock, start));
    if let Some(shown) = &mut explanation.start {
        forecast::keep(view, answer.kept, shown);
    }
    explanation.counterfactuals = what_would_help(view, id);
    (explanation, PlannerAnswer { reason: answer.reason, start: answer.start.and_then(Result::ok) })
}

/// With which change of one thing the job's next task would start now.
fn what_would_help(view: &View, id: JobId) -> Vec<Counterfactual> {
    // What somebody else would have to do is named only if it helps.
    let is_said = |found: &planner::Counterfactual| match found.dimension {
        Dimension::Queue(_)
        | Dimension::Resume(_)
        | Dimension::Return(_)
        | Dimension::Limit
        | Dimension::Window(_) => found.finding != Finding::NothingHelps,
        _ => true,
    };
    let class = view.jobs.get(&id).and_then(|job| view.class(job.class));
    let terms = class.map(|class| class.constraint.0.iter().map(ToString::to_string).collect::<Vec<_>>());
    let terms = terms.unwrap_or_default();
    let found = counterfactuals(view, id).into_iter().filter(is_said);
    found.map(|found| forecast::counterfactual(view, &terms, found)).collect()
}

/// The reason, with what nodes say about it: the commonest rule, or how many nodes are kept by which cause.
fn sentence(reason: &Reason, groups: &[(Rule, Vec<NodeId>)]) -> String {
    match reason {
        Reason::NoNodeCould if groups.is_empty() => reason.to_string(),
        Reason::NoNodeCould => format!("{reason}: {}", nearest_first(groups)),
        Reason::NoNodeFree(Causes(causes)) if causes.len() > 1 => counted(groups),
        Reason::NoNodeFree(Causes(causes)) => {
            let detail = causes
                .first()
                .filter(|cause| matches!(cause, Cause::Busy | Cause::Maintenance | Cause::InMaintenance));
            let rule = groups.iter().find(|(rule, _)| detail.is_some() && rule.cause() == detail.copied());
            rule.map_or_else(|| reason.to_string(), |(rule, _)| format!("{reason}: {rule}"))
        }
        _ => reason.to_string(),
    }
}

/// What nodes that could never run it say: first those that have the most of what is too little, then the commonest.
fn nearest_first(groups: &[(Rule, Vec<NodeId>)]) -> String {
    let part = |rule: &Rule| match rule {
        Rule::Capacity(short) => u128::from(short.there) * 1_000 / u128::from(short.asked.max(1)),
        _ => 0,
    };
    let mut groups: Vec<&(Rule, Vec<NodeId>)> = groups.iter().collect();
    groups.sort_by_key(|(rule, ids)| Reverse((part(rule), ids.len())));
    let one = |(rule, ids): &&(Rule, Vec<NodeId>)| match ids.len() {
        1 => format!("1 node: {rule}"),
        several => format!("{several} nodes: {rule}"),
    };
    let rest: usize = groups.iter().skip(RULES_SAID).map(|(_, ids)| ids.len()).sum();
    let mut said: Vec<String> = groups.iter().take(RULES_SAID).map(one).collect();
    said.extend((rest > 0).then(|| format!("{rest} others")));
    said.join("; ")
}

/// How many of the nodes that could run something are kept by which cause, the commonest first.
fn counted(groups: &[(Rule, Vec<NodeId>)]) -> String {
    let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
    for (rule, nodes) in groups {
        if let Some(cause) = rule.cause() {
            *counts.entry(cause).or_default() += nodes.len();
        }
    }
    let all: usize = counts.values().sum();
    let mut counts: Vec<(Cause, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(cause, count)| (Reverse(*count), *cause));
    let one = |(cause, count): &(Cause, usize)| format!("{count} {}", cause.predicate(*count > 1));
    let each: Vec<String> = counts.iter().map(one).collect();
    format!("{all} nodes could run it: {}", each.join(", "))
}
