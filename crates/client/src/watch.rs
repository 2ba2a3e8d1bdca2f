//! Looks after a call that gets no answer: says what it waits for, and gives it up where its server is gone.

use crate::connection::{ANSWER, Call, STALL};
use crate::health::{ServerHealth, Survey};
use crate::{Client, Error};
use hyper::Method;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at a server that is not well, and at one that is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_AT_READY_EVERY: Duration = Duration::from_secs(10);
/// A server that has been gone for this long loses its call, though no other server is ready.
const GONE_FOR: Duration = Duration::from_secs(8);

impl Client {
    /// Comes back when the call is to be given up.
    pub(crate) async fn look_after(&self, call: &Call, url: &str) -> Error {
        let began = Instant::now();
        let limit = ANSWER + call.extra;
        let (mut rest, mut gone_since) = (STALL, None);
        loop {
            sleep(rest.min(limit.saturating_sub(began.elapsed()))).await;
            if began.elapsed() >= limit {
                return Error::Indefinite { cause: format!("{url} took more than {limit:?}") };
            }
            rest = LOOK_EVERY;
            if self.health(url).await == ServerHealth::Ready {
                // A call that asks the server to take its time is no reason to ask it often.
                rest = if call.extra.is_zero() { LOOK_EVERY } else { LOOK_AT_READY_EVERY };
                gone_since = None;
                continue;
            }
            let survey = self.survey().await;
            let health = survey.0.iter().find(|(at, _)| at == url).map(|(_, health)| health.clone());
            let Some(health) = health.filter(|health| *health != ServerHealth::Ready) else { continue };
            if !survey.any_ready() {
                self.notice(&format!("waiting: {survey}"));
            }
            let is_gone = !matches!(health, ServerHealth::Unable(_));
            // A look at a server that is silent takes seconds itself.
            let gone_for = is_gone.then(|| gone_since.get_or_insert_with(Instant::now).elapsed());
            if !is_gone {
                gone_since = None;
            }
            let can_move = is_gone || call.method == Method::GET;
            let ready = survey.beside(url, |health| *health == ServerHealth::Ready);
            // One that does not reach the leader can answer a stale read.
            let answers = || survey.beside(url, |health| matches!(health, ServerHealth::Unable(_)));
            let better = ready.or_else(|| answers().filter(|_| is_gone && self.may_be_stale(call)));
            if let Some(better) = better.filter(|_| can_move) {
                self.prefer(better);
                return self.lost(url, health);
            }
            if gone_for.is_some_and(|gone_for| gone_for >= GONE_FOR) {
                return self.lost(url, health);
            }
        }
    }

    /// Comes back when the server of a silent stream is gone, saying how.
    pub(crate) async fn until_gone(&self, url: &str) -> String {
        let mut gone = 0;
        loop {
            sleep(if gone == 0 { LOOK_AT_READY_EVERY } else { LOOK_EVERY }).await;
            let health = self.health(url).await;
            gone = if matches!(health, ServerHealth::Ready | ServerHealth::Unable(_)) { 0 } else { gone + 1 };
            if gone > 1 {
                return format!("{url} {health}");
            }
        }
    }

    fn lost(&self, url: &str, health: ServerHealth) -> Error {
        match health {
            // It may have read the request.
            ServerHealth::Silent | ServerHealth::Unable(_) => {
                Error::Indefinite { cause: format!("{url} {health}") }
            }
            health => Error::Unreachable {
                survey: Survey::of_one(url, health),
                source_of: self.found().source.clone(),
            },
        }
    }
}
