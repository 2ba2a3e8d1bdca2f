//! What happens, as server-sent events: without gaps and repeats, or with a word about what is no longer kept. A server
//! that is cut off ends them, so that readers go on elsewhere.

use super::answer::invalid;
use super::input::Params;
use crate::app::App;
use crate::auth::{Caller, Visible};
use crate::events::{EventId, EventsSince};
use crate::failure::{ErrorResponse, namespace_not_found};
use crate::usecase::{api_events, job_not_found, may_serve};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use taskyard_api::{self as api, ApiError, EventKind, EventQuery, routes};
use taskyard_consensus::Consensus;
use taskyard_model::JobId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

/// Comments in between, so that neither side takes silence for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A server that has received nothing for this time knows of no events: longer than an election takes.
const CUT_OFF_AFTER_MS: u64 = 5_000;
/// How often a reader without events looks whether it is at such a server.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events turned into text while the state is locked.
const EVENTS_AT_ONCE: usize = 256;
/// How long a job or a namespace that this server has not heard of yet is waited for.
const NAMED_WITHIN: Duration = Duration::from_secs(2);
/// With it a client says after which event it goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// Follow events
///
/// Each event has an id (`index.seq`), which is the same on every server; `Last-Event-ID` continues after it.
#[utoipa::path(
    get, path = routes::EVENTS, operation_id = "follow_events", tag = "events",
    params(EventQuery, ("Last-Event-ID" = Option<String>, Header, description = "Continue after this event.")),
    responses((status = 200, description = "Events.", content_type = "text/event-stream", body = api::Event), ErrorResponse),
)]
pub(super) async fn follow(
    State(app): State<App>,
    by: Caller,
    Params(query): Params<EventQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, ErrorResponse> {
    may_serve(&app)?;
    if !headers.contains_key(LAST_EVENT_ID) {
        until_named_is_there(&app, &by.visible(), &query).await?;
    }
    let news = app.events.subscribe();
    let position = position(&query, &headers)?;
    let reader = EventReader {
        visible: by.visible().only(query.namespace),
        only: query.job.map(JobId),
        after: position.unwrap_or_else(|| app.events.newest()),
        // Who asks for what is new has missed nothing.
        tell_gap: position.is_some(),
        stopping: app.stopping(),
        news,
        ready: VecDeque::new(),
        app,
    };
    let events = futures_util::stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok::<_, Infallible>(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Waits until what the query names is there. A job that was just submitted may not have reached this server yet, so
/// one that does not lead gives it a moment; what is still missing then will not come.
async fn until_named_is_there(app: &App, visible: &Visible, query: &EventQuery) -> Result<(), ErrorResponse> {
    let mut applied = app.consensus.applied();
    let until = Instant::now() + NAMED_WITHIN;
    loop {
        applied.mark_unchanged();
        let Err(missing) = named_is_there(&app.consensus, visible, query) else { return Ok(()) };
        let leads = app.consensus.leadership().borrow().is_some();
        if leads || timeout_at(until, applied.changed()).await.is_err() {
            return Err(missing.into());
        }
    }
}

fn named_is_there(consensus: &Consensus, visible: &Visible, query: &EventQuery) -> Result<(), ApiError> {
    consensus.read(|state| {
        if let Some(name) = query.namespace.as_ref().filter(|name| !visible.knows(state, name)) {
            return Err(namespace_not_found(name));
        }
        match query.job.map(JobId) {
            Some(id) if state.job(id).is_none() || !visible.sees_job(state, id) => {
                Err(job_not_found(state, visible, id))
            }
            _ => Ok(()),
        }
    })
}

/// After which event to begin; `None` for only what is new.
fn position(query: &EventQuery, headers: &HeaderMap) -> Result<Option<EventId>, ErrorResponse> {
    if let Some(last) = headers.get(LAST_EVENT_ID) {
        let text = String::from_utf8_lossy(last.as_bytes());
        let api::EventId { index, seq } = api::EventId::parse(LAST_EVENT_ID, &text)?;
        return Ok(Some(EventId { index, seq }));
    }
    let Some(text) = &query.from else { return Ok(None) };
    let from = api::EventId::parse("from", text)?;
    if from.index == u64::MAX {
        return Err(invalid("from", text, "this is after the last event"));
    }
    Ok(Some(before(from)))
}

/// The last position before an event. The entry of index 0 makes none.
fn before(id: api::EventId) -> EventId {
    match (id.index, id.seq) {
        (0, _) => EventId { index: 0, seq: u32::MAX },
        (index, 0) => EventId { index: index - 1, seq: u32::MAX },
        (index, seq) => EventId { index, seq: seq - 1 },
    }
}

/// One stream.
struct EventReader {
    app: App,
    visible: Visible,
    only: Option<JobId>,
    /// The last event that was dealt with.
    after: EventId,
    tell_gap: bool,
    news: watch::Receiver<EventId>,
    stopping: watch::Receiver<bool>,
    ready: VecDeque<SseEvent>,
}

impl EventReader {
    /// The next event; `None` when the server stops, or is cut off: others may know more.
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if *self.stopping.borrow() {
                return None;
            }
            self.news.mark_unchanged();
            if self.fill() {
                continue;
            }
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                _ = self.stopping.wait_for(|s| *s) => return None,
                () = sleep(LOOK_EVERY) => {
                    if self.app.consensus.applied_age_ms() > CUT_OFF_AFTER_MS {
                        return None;
                    }
                }
            }
        }
    }

    /// Takes over some events; says whether there were any.
    fn fill(&mut self) -> bool {
        match self.app.events.since(self.after, EVENTS_AT_ONCE) {
            EventsSince::Events(events) => {
                let Some(last) = events.last() else { return false };
                self.after = last.id;
                let shown =
                    self.app.consensus.read(|state| api_events(state, &events, self.only, &self.visible));
                self.ready.extend(shown.iter().map(sse));
            }
            EventsSince::CompactedAt(at) => {
                self.after = at;
                if std::mem::replace(&mut self.tell_gap, true) {
                    self.ready.push_back(compacted(&self.app.consensus, at));
                }
            }
        }
        true
    }
}

fn sse(event: &api::Event) -> SseEvent {
    let data = serde_json::to_string(event).unwrap_or_default();
    SseEvent::default().id(event.id().to_string()).event(event.kind.name()).data(data)
}

/// Says that events up to and including this one are gone. It has no id: it is none of them, and no reader can continue
/// after it.
fn compacted(consensus: &Consensus, at: EventId) -> SseEvent {
    let wall_ms = consensus.read(taskyard_state::State::wall_ms);
    let id = api::EventId { index: at.index, seq: at.seq };
    let event = api::Event::new(id, wall_ms, EventKind::CompactedAt);
    let data = serde_json::to_string(&event).unwrap_or_default();
    SseEvent::default().event(event.kind.name()).data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        let at = |from: Option<&str>, last: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(last) = last {
                headers.insert(LAST_EVENT_ID, last.parse().unwrap());
            }
            let query = EventQuery { from: from.map(str::to_owned), ..EventQuery::default() };
            let found = position(&query, &headers).map_err(|e| e.0.field.unwrap_or_default())?;
            Ok::<_, String>(found.map(|id| (id.index, id.seq)))
        };
        assert_eq!(at(None, None), Ok(None));
        assert_eq!(at(Some("7"), None), Ok(Some((6, u32::MAX))), "inclusive");
        assert_eq!(at(Some("7.2"), None), Ok(Some((7, 1))));
        assert_eq!(at(Some("0"), None), Ok(Some((0, u32::MAX))));
        assert_eq!(at(Some("7"), Some("9.1")), Ok(Some((9, 1))), "exclusive, and it goes first");
        assert_eq!(at(Some("x"), None), Err("from".into()));
        assert_eq!(at(None, Some("x")), Err(LAST_EVENT_ID.into()));
    }
}
