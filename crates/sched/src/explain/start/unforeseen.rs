//! Why the start of a job is unknown.

use taskyard_model::{ClassView, NodeView, View};

/// Why the start of a job is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unforeseen {
    /// Running work in its way has no expected end.
    EndsUnknown,
    /// Tasks of the job itself have none, and it runs apart from them.
    OwnEndsUnknown,
    /// Work that waits ahead of it has no expected length.
    LengthsUnknown,
    /// The nodes that could run it take no work: they are drained or down.
    NodesAway,
    /// There is too much ahead of it: [`taskyard_model::limits::PLANNED_TASKS_MAX`] tasks, or more work than a forecast
    /// may take.
    TooFarAhead,
    /// No node could ever run it.
    NoNodeCould,
}

/// What keeps the start of a class unknown for which a forecast found none, in a view where what starts now has
/// started.
pub(super) fn why(view: &View, class: &ClassView) -> Unforeseen {
    let could: Vec<&NodeView> =
        view.nodes.iter().filter(|node| view.could_hold(node, class).is_ok()).collect();
    let takes: Vec<&NodeView> = could.iter().copied().filter(|node| node.takes_work().is_ok()).collect();
    if could.is_empty() {
        Unforeseen::NoNodeCould
    } else if takes.is_empty() {
        Unforeseen::NodesAway
    } else if class.affinity.is_apart() && takes.iter().all(|node| is_apart_from(view, node, class)) {
        Unforeseen::OwnEndsUnknown
    } else if takes.iter().any(|node| ends_unknown(node)) {
        Unforeseen::EndsUnknown
    } else {
        Unforeseen::LengthsUnknown
    }
}

/// Whether a task of the class keeps others of it away from a node.
fn is_apart_from(view: &View, node: &NodeView, class: &ClassView) -> bool {
    let domain = class.affinity.domain(&node.labels);
    node.has(class.id) || domain.is_some_and(|domain| view.domains(class).any(|taken| taken == domain))
}

/// Whether something runs on a node that has neither an estimate nor a time limit.
fn ends_unknown(node: &NodeView) -> bool {
    node.running > node.ends.values().map(|ending| ending.count).sum()
}
