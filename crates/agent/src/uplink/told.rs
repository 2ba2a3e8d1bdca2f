//! What was logged lately: a server that is down, or refuses, is called again and again, and must not fill the log.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// The same of the same server is logged once in this time.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// When it was logged, by server and text. Holds what is younger than [`LOG_EVERY`] alone, so it stays small.
#[derive(Default)]
pub(super) struct Told(BTreeMap<(String, String), Instant>);

impl Told {
    /// Whether this was not logged lately; then it counts as logged now.
    pub(super) fn is_news(&mut self, server: &str, text: &str) -> bool {
        let now = Instant::now();
        self.0.retain(|_, at| now.duration_since(*at) < LOG_EVERY);
        let key = (server.to_owned(), text.to_owned());
        let is_news = !self.0.contains_key(&key);
        if is_news {
            self.0.insert(key, now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_told_once_a_minute() {
        let mut told = Told::default();
        let mut lines = 0;
        for _ in 0..180 {
            lines += u32::from(told.is_news("a", "refused"));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(lines, 3);
        assert!(
            told.is_news("a", "no connection") && told.is_news("b", "refused"),
            "other servers and reasons"
        );
    }
}
