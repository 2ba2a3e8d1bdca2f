//! Events of the state in the words of the API. What an event leaves out is looked up in the state of now, and only
//! where that cannot have changed since: numbers of tasks and names of nodes.

use super::present::Around;
use crate::auth::{ObjectKind, Visible};
use crate::events::StampedEvent;
use taskyard_api::{self as api, EventKind};
use taskyard_model::JobId;
use taskyard_state::{Event, State};

/// Turns events into those of the API, leaving out what may not be seen, and other jobs' when one is asked for.
pub(crate) fn api_events(
    state: &State,
    events: &[StampedEvent],
    only: Option<JobId>,
    visible: &Visible,
) -> Vec<api::Event> {
    let wanted = events.iter().filter(|e| only.is_none() || job_of(&e.event) == only);
    let seen = wanted.filter(|e| match (job_of(&e.event), &e.event) {
        (Some(job), _) => visible.sees_job(state, job),
        (None, Event::QueueChanged { .. } | Event::QueueDeleted { .. } | Event::SharesChanged) => {
            visible.sees_all(ObjectKind::Queue)
        }
        (None, Event::PoolChanged { .. } | Event::PoolDeleted { .. }) => visible.sees_all(ObjectKind::Pool),
        (None, Event::RetentionChanged) => visible.sees_all(ObjectKind::Retention),
        (None, _) => visible.sees_all(ObjectKind::Node),
    });
    seen.map(|event| api_event(state, event)).collect()
}

fn job_of(event: &Event) -> Option<JobId> {
    match event {
        Event::JobSubmitted { job, .. }
        | Event::JobChanged { job, .. }
        | Event::Tasks { job, .. }
        | Event::JobFinished { job, .. } => Some(*job),
        Event::NodeChanged { .. }
        | Event::QueueChanged { .. }
        | Event::QueueDeleted { .. }
        | Event::PoolChanged { .. }
        | Event::PoolDeleted { .. }
        | Event::SharesChanged
        | Event::MaintenanceChanged { .. }
        | Event::RetentionChanged => None,
    }
}

fn api_event(state: &State, stamped: &StampedEvent) -> api::Event {
    let id = api::EventId { index: stamped.id.index, seq: stamped.id.seq };
    let mut event = api::Event::new(id, stamped.at_ms, EventKind::Unknown);
    event.job = job_of(&stamped.event).map(|job| job.0);
    match &stamped.event {
        Event::JobSubmitted { tasks, .. } => {
            event.kind = EventKind::JobSubmitted;
            event.tasks = Some((*tasks).into());
        }
        Event::JobChanged { what, .. } => event.kind = job_change(what),
        Event::JobFinished { phase, .. } => {
            event.kind = EventKind::JobFinished;
            event.state = Some(phase.name().to_owned());
        }
        Event::Tasks { job, first, count, phase } => {
            event.kind = EventKind::TasksChanged;
            event.task = state.job(*job).map(|job| job.spec.array.number(*first));
            event.tasks = Some((*count).into());
            event.state = Some(phase.name().to_owned());
        }
        Event::NodeChanged { node, change, why } => {
            event.reason = Some(why.clone()).filter(|why| !why.is_empty());
            event.kind = EventKind::from(*change);
            event.node = Around::of(state, [*node]).names.remove(node);
        }
        Event::MaintenanceChanged { window } => {
            event.kind = EventKind::MaintenanceSet;
            event.maintenance = Some(window.clone());
        }
        Event::SharesChanged => event.kind = EventKind::SharesSet,
        Event::RetentionChanged => event.kind = EventKind::RetentionSet,
        Event::PoolChanged { pool } => {
            (event.kind, event.pool) = (EventKind::PoolSet, Some(pool.clone()));
        }
        Event::PoolDeleted { pool } => {
            (event.kind, event.pool) = (EventKind::PoolDeleted, Some(pool.clone()));
        }
        Event::QueueChanged { queue } => {
            (event.kind, event.queue) = (EventKind::QueueSet, Some(queue.clone()));
        }
        Event::QueueDeleted { queue } => {
            (event.kind, event.queue) = (EventKind::QueueDeleted, Some(queue.clone()));
        }
    }
    event
}

fn job_change(what: &str) -> EventKind {
    match what {
        "held" => EventKind::JobHeld,
        "released" => EventKind::JobReleased,
        "updated" => EventKind::JobUpdated,
        "skipped" => EventKind::JobSkipped,
        "cancelled" => EventKind::JobCancelled,
        "max_fails" => EventKind::JobFailing,
        _ => EventKind::Unknown,
    }
}
