//! One request at a time over kept connections, with failover and retry.

use crate::health::{self, Survey};
use crate::server_list::ServerList;
use crate::{Credentials, Error, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client as Http, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use taskyard_api::{ApiError, ErrorBody, ErrorCode, Invalid, routes};
use tokio::time::Instant;

const CONNECT: Duration = Duration::from_secs(3);
pub(crate) const ANSWER: Duration = Duration::from_secs(30);
/// When, and how often, a silent connection is tested.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_TRIES: u32 = 3;
/// A connection that takes nothing for this time is dead.
const UNTAKEN_MAX: Duration = Duration::from_secs(15);
pub(crate) const STALL: Duration = Duration::from_millis(taskyard_api::limits::HTTP_CLIENT_STALL_MS);
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Larger than any answer of the API with its pages; guards against a stranger at the address.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How long a call goes on trying.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// While no server has answered yet in this process: short, so that a missing server is told at once.
    pub first: Duration,
    /// After that: long enough for a restart or a change of leader.
    pub later: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { first: Duration::ZERO, later: Duration::from_secs(20) }
    }
}

/// Hears what a call waits for.
pub type Notice = dyn Fn(&str) + Send + Sync;

/// A client. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client(Arc<ClientInner>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("found", &self.0.found).finish_non_exhaustive()
    }
}

struct ClientInner {
    http: Http<HttpsConnector<HttpConnector>, Full<Bytes>>,
    found: ServerList,
    user: HeaderValue,
    credentials: Credentials,
    patience: Patience,
    /// Which address answered last.
    current: AtomicUsize,
    answered: AtomicBool,
    /// Whether a call was answered that may have changed something.
    changed: AtomicBool,
    /// Reads may be answered from what the asked server knows, however old.
    stale: AtomicBool,
    /// How old the oldest such answer was; [`FRESH`] if there was none.
    age_ms: AtomicU64,
    notice: OnceLock<Box<Notice>>,
    /// What was said last, so that nothing is said twice.
    noticed: Mutex<String>,
}

/// No answer from the past.
const FRESH: u64 = u64::MAX;

/// One call, ready to be sent as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Time the server is asked to take, beyond what any answer may take.
    pub(crate) extra: Duration,
}

impl Call {
    pub(crate) fn new(method: Method, path: String) -> Call {
        Call { method, path, body: None, headers: Vec::new(), extra: Duration::ZERO }
    }

    /// Whether more than a question is asked.
    fn may_change(&self) -> bool {
        self.method != Method::GET && ![routes::PLAN, routes::CHECK].contains(&self.path.as_str())
    }

    pub(crate) fn get(path: String) -> Call {
        Call::new(Method::GET, path)
    }

    pub(crate) fn json(method: Method, path: String, body: &impl serde::Serialize) -> Call {
        // Bodies are types of the API, whose maps all have string keys: they always serialise.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Call { body: Some(body.into()), ..Call::new(method, path) }
    }
}

impl Client {
    /// A client of these servers in the name of `user`, without a credential.
    pub fn new(found: ServerList, user: &str, patience: Patience) -> Result<Client> {
        Client::with(found, user, patience, Credentials::default())
    }

    /// The same with credentials: where one goes with a request, it says who asks.
    pub fn with(
        found: ServerList,
        user: &str,
        patience: Patience,
        credentials: Credentials,
    ) -> Result<Client> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        // Long polls and followed logs are silent for long; this tells a dead peer from a patient one.
        connector.set_keepalive(Some(KEEPALIVE_AFTER));
        connector.set_keepalive_interval(Some(KEEPALIVE_EVERY));
        connector.set_keepalive_retries(Some(KEEPALIVE_TRIES));
        connector.set_tcp_user_timeout(Some(UNTAKEN_MAX));
        connector.enforce_http(false);
        let secure = HttpsConnectorBuilder::new().with_tls_config(tls(&found, &credentials)?).https_or_http();
        let connector = secure.enable_http1().wrap_connector(connector);
        let mut pool = Http::builder(TokioExecutor::new());
        let idle = Duration::from_millis(taskyard_api::limits::HTTP_CLIENT_IDLE_MS);
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(idle);
        let http = pool.build(connector);
        let user = HeaderValue::from_str(user).unwrap_or(HeaderValue::from_static("unknown"));
        let (current, answered) = (AtomicUsize::new(0), AtomicBool::new(false));
        let changed = AtomicBool::new(false);
        let (stale, age_ms) = (AtomicBool::new(false), AtomicU64::new(FRESH));
        Ok(Client(Arc::new(ClientInner {
            http,
            found,
            user,
            credentials,
            patience,
            current,
            answered,
            changed,
            stale,
            age_ms,
            notice: OnceLock::new(),
            noticed: Mutex::new(String::new()),
        })))
    }

    /// Whether a call of this client was answered that may have changed something.
    pub fn has_changed_something(&self) -> bool {
        self.0.changed.load(Ordering::Relaxed)
    }

    /// The address that answered last.
    pub(crate) fn current(&self) -> String {
        let at = self.0.current.load(Ordering::Relaxed);
        self.0.found.urls.get(at).cloned().unwrap_or_default()
    }

    /// The addresses and where they came from.
    pub fn found(&self) -> &ServerList {
        &self.0.found
    }

    /// The user in whose name it asks.
    pub fn user(&self) -> &str {
        self.0.user.to_str().unwrap_or("unknown")
    }

    /// From now on reads are answered by whichever server is asked, also while no other one answers it.
    pub fn allow_stale(&self) {
        self.0.stale.store(true, Ordering::Relaxed);
    }

    /// From now on `notice` hears what a call waits for that gets no answer; only the first one given counts.
    pub fn on_wait(&self, notice: Box<Notice>) {
        let _ = self.0.notice.set(notice);
    }

    /// Says what a call waits for, unless that was said last.
    pub(crate) fn notice(&self, text: &str) {
        let Some(notice) = self.0.notice.get() else { return };
        let mut noticed = self.0.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if *noticed != text {
            text.clone_into(&mut noticed);
            notice(text);
        }
    }

    /// How old what was read was at most, as the servers said: only after [`Client::allow_stale`].
    pub fn stale_ms(&self) -> Option<u64> {
        Some(self.0.age_ms.load(Ordering::Relaxed)).filter(|age| *age != FRESH)
    }

    /// Whether any server may answer, leader or not.
    pub(crate) fn may_be_stale(&self, call: &Call) -> bool {
        let route = call.path.split('?').next().unwrap_or_default();
        let reads_the_state = call.method == Method::GET && !routes::OF_EACH_SERVER.contains(&route);
        reads_the_state && self.0.stale.load(Ordering::Relaxed)
    }

    /// Calls go to this server next, unless they have just been there.
    pub(crate) fn prefer(&self, url: &str) {
        if let Some(at) = self.0.found.urls.iter().position(|known| known == url) {
            self.0.current.store(at, Ordering::Relaxed);
        }
    }

    /// Where a call goes.
    fn path_of(&self, call: &Call) -> String {
        if !self.may_be_stale(call) {
            return call.path.clone();
        }
        let separator = if call.path.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}=stale", call.path, routes::CONSISTENCY)
    }

    fn note_age(&self, answer: &Response<Incoming>) {
        let age = answer.headers().get(routes::AGE_HEADER).and_then(|age| age.to_str().ok()?.parse().ok());
        if let Some(age) = age {
            let oldest = |known: u64| Some(if known == FRESH { age } else { known.max(age) });
            let _ = self.0.age_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, oldest);
        }
    }

    /// Whether requests carry a credential, so that the server knows better who asks.
    pub fn has_credential(&self) -> bool {
        self.0.found.urls.iter().any(|url| self.0.credentials.has(url))
    }

    /// Calls and reads the JSON of the answer.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let (url, bytes) = self.retrying(&call, collect).await?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Protocol { url, cause: e.to_string() })
    }

    /// Calls and reads the answer as text.
    pub(crate) async fn text(&self, call: Call) -> Result<String> {
        let (_, bytes) = self.retrying(&call, collect).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Calls and hands over the answer with its body unread.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response<Incoming>> {
        self.retrying(call, |_, answer| async { Ok(answer) }).await
    }

    /// Tries server after server, with pauses between rounds, until one answers for good or the patience is spent.
    async fn retrying<T, F, Fut>(&self, call: &Call, read: F) -> Result<T>
    where
        F: Fn(String, Response<Incoming>) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        // Counted from the first failure: a long poll may have gone well for long before it.
        let mut failing: Option<Instant> = None;
        let mut pause = BACKOFF_FIRST;
        // Once a try may have taken effect, a later refusal to connect does not make the call definite again.
        let mut perhaps: Option<Error> = None;
        loop {
            let error = match self.round(call, &read, &mut perhaps).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let patience = match self.0.answered.load(Ordering::Relaxed) {
                true => self.0.patience.later,
                false => self.0.patience.first,
            };
            let wait = asked_pause(&error).unwrap_or(pause);
            let failing = failing.get_or_insert_with(Instant::now);
            if error.is_lasting() && perhaps.is_none() && self.0.found.urls.len() == 1 {
                return Err(error);
            }
            if !error.is_passing() || failing.elapsed() + wait > patience {
                return Err(self.given_up(call, error, perhaps).await);
            }
            if failing.elapsed() >= STALL {
                self.tell_wait(&error).await;
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// Says what is wrong while a call is tried again.
    async fn tell_wait(&self, error: &Error) {
        let survey = if error.is_of_servers() { self.survey().await } else { Survey::default() };
        if survey.0.is_empty() || survey.any_ready() {
            self.notice(&format!("waiting: {error}"));
        } else {
            self.notice(&format!("waiting: {survey}"));
        }
    }

    /// What to report after the last try.
    async fn given_up(&self, call: &Call, error: Error, perhaps: Option<Error>) -> Error {
        if !error.is_passing() {
            return error;
        }
        let is_read = call.method == Method::GET;
        let survey = if error.is_of_servers() { self.survey().await } else { Survey::default() };
        // Where nothing of ours has ever answered, nothing of ours has happened.
        let nothing_happened = is_read || (survey.is_strange() && !self.0.answered.load(Ordering::Relaxed));
        let error = match perhaps {
            Some(perhaps) if !nothing_happened && error.is_definite() => perhaps,
            _ => error,
        };
        if survey.0.is_empty() || survey.any_ready() || !(error.is_definite() || nothing_happened) {
            return match error {
                // A read has no effect that could be in doubt.
                Error::Indefinite { cause } if is_read => Error::Unread { cause },
                other => other,
            };
        }
        Error::Unreachable { survey, source_of: self.0.found.source.clone() }
    }

    async fn round<T, F, Fut>(&self, call: &Call, read: &F, perhaps: &mut Option<Error>) -> Result<T>
    where
        F: Fn(String, Response<Incoming>) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let urls = &self.0.found.urls;
        let first = self.0.current.load(Ordering::Relaxed);
        let mut last = Error::NoServer;
        let mut untried: VecDeque<usize> = (0..urls.len()).map(|i| (first + i) % urls.len()).collect();
        while !untried.is_empty() {
            // A try that got no answer may have found a server that gives one.
            let preferred = self.0.current.load(Ordering::Relaxed);
            let next = untried.iter().position(|at| *at == preferred).unwrap_or_default();
            let Some(at) = untried.remove(next) else { break };
            match self.once(call, &urls[at], read).await {
                Ok(value) => {
                    self.0.current.store(at, Ordering::Relaxed);
                    return Ok(value);
                }
                // Another address may be right.
                Err(error @ Error::Protocol { .. }) if !untried.is_empty() => last = error,
                Err(error) if !error.is_passing() => return Err(error),
                Err(error) if !error.is_definite() && call.method != Method::GET => {
                    last = clone(&error);
                    *perhaps = Some(error);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn once<T, F, Fut>(&self, call: &Call, url: &str, read: &F) -> Result<T>
    where
        F: Fn(String, Response<Incoming>) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let sent = async {
            let answer = self.send(call, url).await?;
            if answer.status().is_success() {
                self.0.answered.store(true, Ordering::Relaxed);
                self.0.changed.fetch_or(call.may_change(), Ordering::Relaxed);
                self.note_age(&answer);
                return read(url.to_owned(), answer).await;
            }
            let error = refusal(url, answer).await;
            // A stranger's answer says nothing about our servers.
            self.0.answered.fetch_or(error.code().is_some(), Ordering::Relaxed);
            Err(error)
        };
        tokio::select! {
            result = sent => result,
            error = self.look_after(call, url) => Err(error),
        }
    }

    /// Sends it once.
    pub(crate) async fn send(&self, call: &Call, url: &str) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{url}{}", self.path_of(call)))
            .header(routes::USER_HEADER, &self.0.user);
        if let Some(credential) = self.0.credentials.header(url)? {
            request = request.header(AUTHORIZATION, credential);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = Full::new(call.body.clone().unwrap_or_default());
        let request =
            request.body(body).map_err(|e| Error::Protocol { url: url.to_owned(), cause: e.to_string() })?;
        self.0.http.request(request).await.map_err(|error| {
            let cause = root_cause(&error);
            if error.is_connect() {
                let health = health::of_unconnected(url, &cause);
                let source_of = self.0.found.source.clone();
                return Error::Unreachable { survey: Survey::of_one(url, health), source_of };
            }
            Error::Indefinite { cause }
        })
    }
}

/// Whom to trust. The system's authorities are read only where there is somebody to trust.
fn tls(found: &ServerList, credentials: &Credentials) -> Result<ClientConfig> {
    let config = match found.urls.iter().any(|url| url.starts_with("https://")) {
        true => taskyard_tls::web_roots(credentials.authorities(&found.urls).as_deref()),
        false => taskyard_tls::no_roots(),
    };
    config.map_err(|error| Error::Config(Invalid::new("ca", "", error.to_string())))
}

/// How long the server asked to wait.
fn asked_pause(error: &Error) -> Option<Duration> {
    match error {
        Error::Api(ApiError { retry_after_ms: Some(ms), .. }) => Some(Duration::from_millis(*ms)),
        _ => None,
    }
}

/// Errors that a round may have to report later as well.
fn clone(error: &Error) -> Error {
    match error {
        Error::Api(error) => Error::Api(error.clone()),
        Error::Indefinite { cause } => Error::Indefinite { cause: cause.clone() },
        other => Error::Indefinite { cause: other.to_string() },
    }
}

async fn collect(url: String, answer: Response<Incoming>) -> Result<(String, Bytes)> {
    match Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await {
        Ok(body) => Ok((url, body.to_bytes())),
        Err(error) => Err(Error::Indefinite { cause: error.to_string() }),
    }
}

/// The error of an answer that is no success.
async fn refusal(url: &str, answer: Response<Incoming>) -> Error {
    let status = answer.status();
    let body = match collect(url.to_owned(), answer).await {
        Ok((_, body)) => body,
        Err(error) => return error,
    };
    if let Ok(ErrorBody { error }) = serde_json::from_slice(&body) {
        return Error::Api(error);
    }
    // Something between here and the server speaks: what it says of load and absence still holds.
    let code = match status {
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::Overloaded,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        // The request may have reached a server before the answer was lost.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => ErrorCode::Indefinite,
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthenticated,
        StatusCode::FORBIDDEN => ErrorCode::Denied,
        _ => {
            let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Error::Protocol {
                url: url.to_owned(),
                cause: format!("{status} {text}").trim_end().to_owned(),
            };
        }
    };
    Error::Api(ApiError::new(code, format!("{url} answers {status}")))
}

/// The innermost error says what happened; the outer ones only where.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
