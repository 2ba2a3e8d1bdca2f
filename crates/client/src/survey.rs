//! Asks every known server how it is: to say what a call waits for, where to turn to, and why a call failed in the
//! end.

use crate::connection::Call;
use crate::health::of_unconnected;
use crate::{Client, Error, ServerHealth, Survey};
use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use std::time::Duration;
use taskyard_api::{ErrorBody, limits, routes};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a server may take to say how it is.
const HEALTH_WITHIN: Duration = Duration::from_millis(limits::HTTP_CLIENT_HEALTH_MS);
/// How long name and connection may take when it has not said so.
const CONNECT_WITHIN: Duration = Duration::from_millis(400);
/// An answer to that question is shorter.
const HEALTH_BYTES_MAX: usize = 64 << 10;

impl Client {
    /// Asks all servers at once.
    pub async fn survey(&self) -> Survey {
        let mut asked = JoinSet::new();
        for (nth, url) in self.found().urls.iter().cloned().enumerate() {
            let client = self.clone();
            asked.spawn(async move {
                let health = client.health(&url).await;
                (nth, url, health)
            });
        }
        let mut all = asked.join_all().await;
        all.sort_by_key(|(nth, ..)| *nth);
        Survey(all.into_iter().map(|(_, url, health)| (url, health)).collect())
    }

    /// Asks one server.
    pub(crate) async fn health(&self, url: &str) -> ServerHealth {
        let ask = async {
            let answer = match self.send(&Call::get(routes::READYZ.to_owned()), url).await {
                Ok(answer) => answer,
                Err(Error::Unreachable { survey, .. }) => {
                    return survey.0.into_iter().next().map_or(ServerHealth::Silent, |(_, health)| health);
                }
                Err(other) => return of_broken(url, &other.to_string()),
            };
            let status = answer.status();
            match Limited::new(answer.into_body(), HEALTH_BYTES_MAX).collect().await {
                Ok(body) => of_answer(status, &body.to_bytes()),
                Err(_) => ServerHealth::Stranger("its answer does not end".to_owned()),
            }
        };
        match timeout(HEALTH_WITHIN, ask).await {
            Ok(health) => health,
            Err(_) => how_far(url).await,
        }
    }
}

/// The connection was there, and then not.
fn of_broken(url: &str, cause: &str) -> ServerHealth {
    match url.strip_prefix("http://") {
        Some(rest) => ServerHealth::Stranger(format!(
            "it does not speak plain HTTP; if it uses TLS, write https://{rest}"
        )),
        None => ServerHealth::Stranger(cause.to_owned()),
    }
}

fn of_answer(status: StatusCode, body: &[u8]) -> ServerHealth {
    if status.is_success() && body.trim_ascii() == b"ready" {
        return ServerHealth::Ready;
    }
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        return ServerHealth::Unable(error.message);
    }
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ServerHealth::Unable(format!("a proxy answers {status}"))
        }
        _ => ServerHealth::Stranger(format!("{} answers {status}", routes::READYZ)),
    }
}

/// What kept an answer from coming in time.
async fn how_far(url: &str) -> ServerHealth {
    let uri: Option<hyper::Uri> = url.parse().ok();
    let address = uri.as_ref().and_then(|uri| Some((uri.host()?, uri.port_u16()?)));
    let Some((host, port)) = address else { return ServerHealth::Silent };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = match timeout(CONNECT_WITHIN, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(_)) => return ServerHealth::Unconnected("the name does not resolve".to_owned()),
        Err(_) => return ServerHealth::Unconnected("the name server does not answer".to_owned()),
    };
    match timeout(CONNECT_WITHIN, TcpStream::connect(&found[..])).await {
        Ok(Ok(_)) => ServerHealth::Silent,
        Ok(Err(error)) => of_unconnected(url, &error.to_string()),
        Err(_) => ServerHealth::Unconnected("no connection: the address does not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(of_answer(StatusCode::OK, b"ready\n"), ServerHealth::Ready);
        assert!(matches!(of_answer(StatusCode::OK, b"<html>"), ServerHealth::Stranger(_)));
        assert!(matches!(of_answer(StatusCode::NOT_FOUND, b""), ServerHealth::Stranger(_)));
        assert!(matches!(of_answer(StatusCode::BAD_GATEWAY, b"<html>"), ServerHealth::Unable(_)));
        let error = taskyard_api::ApiError::new(taskyard_api::ErrorCode::Unavailable, "no leader");
        let body = serde_json::to_vec(&ErrorBody { error }).unwrap();
        assert_eq!(
            of_answer(StatusCode::SERVICE_UNAVAILABLE, &body),
            ServerHealth::Unable("no leader".to_owned())
        );
    }
}
