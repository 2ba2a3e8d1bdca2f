//! How a planned start has moved, in the words of the API.

use super::forecast::Clock;
use crate::auth::Visible;
use crate::history::SeenMoved;
use taskyard_api::{Replan, ReplanCause};
use taskyard_model::quantity::show_duration;
use taskyard_sched::{MoveCause, StartMove};
use taskyard_state::State;

/// One move as somebody may see it.
pub(super) fn show(state: &State, visible: &Visible, clock: Clock, seen: SeenMoved) -> Replan {
    let SeenMoved { since_ms, wall_ms, moved } = seen;
    let StartMove { from, to, why } = moved;
    let at = |state_ms: u64| (wall_ms.saturating_add(state_ms)).saturating_sub(since_ms);
    let node = to.and_then(|(_, node)| state.view().node(node)).map(|node| node.name.clone());
    let job = match why {
        MoveCause::Outranked(job) if visible.sees_job(state, job) => Some(job.0),
        _ => None,
    };
    let sentence = sentence(from.0, to.map(|to| to.0), to.is_some_and(|to| to.1 != from.1), node.as_deref());
    Replan {
        at_ms: wall_ms,
        ago_ms: clock.since(since_ms),
        from_at_ms: at(from.0),
        to_at_ms: to.map(|to| at(to.0)),
        node,
        cause: cause(why),
        job,
        sentence: format!("{sentence}: {}", because(why, job)),
    }
}

fn sentence(from_ms: u64, to_ms: Option<u64>, elsewhere: bool, node: Option<&str>) -> String {
    let Some(to_ms) = to_ms else { return "no longer planned".into() };
    let by = |ms: u64| show_duration(ms / 1_000 * 1_000);
    let moved = match (to_ms >= from_ms, to_ms.abs_diff(from_ms)) {
        (_, 0..1_000) => "moved".to_owned(),
        (true, later) => format!("delayed by {}", by(later)),
        (false, earlier) => format!("moved forward by {}", by(earlier)),
    };
    match node.filter(|_| elsewhere) {
        Some(node) => format!("{moved}, to node {node}"),
        None => moved,
    }
}

fn because(why: MoveCause, job: Option<u64>) -> String {
    match (why, job) {
        (MoveCause::EarlyEnd, _) => "work that it counted on ended early".into(),
        (MoveCause::LateEnd, _) => "work that it counts on runs longer than expected".into(),
        (MoveCause::Outranked(_), Some(job)) => format!("job {job} goes first"),
        (MoveCause::Outranked(_), None) => "another job goes first".into(),
        (MoveCause::Taken, _) => "other work has started there".into(),
        (MoveCause::NodeLost, _) => "the node takes no work".into(),
        (MoveCause::OtherRoom, _) => "there is room on another node".into(),
        (MoveCause::Unknown, _) => "it is unknown when there will be room".into(),
    }
}

fn cause(why: MoveCause) -> ReplanCause {
    match why {
        MoveCause::EarlyEnd => ReplanCause::EarlyEnd,
        MoveCause::LateEnd => ReplanCause::LateEnd,
        MoveCause::Outranked(_) => ReplanCause::Outranked,
        MoveCause::Taken => ReplanCause::Taken,
        MoveCause::NodeLost => ReplanCause::NodeLost,
        MoveCause::OtherRoom => ReplanCause::OtherRoom,
        MoveCause::Unknown => ReplanCause::Unknown,
    }
}
