//! Serves HTTP on connections, with a bound on how many there are and on how long one may keep silent: anyone who can
//! reach the port can open them.
//!
//! A connection that becomes a session of an agent or a server counts no longer: by then it is known who it is. Neither
//! does one that has shown a certificate, so that the cluster's own machines get in however many strangers there are.

use crate::failure::refused_for_room;
use crate::metrics::ServerMetrics;
use crate::secure::{Secure, SecureConnection, ShownCertificate};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::serve::Listener as _;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use taskyard_model::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// How long a caller is told that there is no room.
const REFUSAL_WITHIN: Duration = Duration::from_secs(2);

/// What callers may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionBounds {
    /// A connection without the whole head of a request for this time is closed.
    pub(crate) head_within: Duration,
    /// Connections at the same time.
    pub(crate) open_max: usize,
    /// Connections that are told at the same time that there is no room; others are closed without a word.
    pub(crate) refused_max: usize,
}

impl ConnectionBounds {
    /// Those of this process. Half of the files it may have open are left to the log, to snapshots and to other
    /// servers.
    pub(crate) fn of_process() -> ConnectionBounds {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let refused_max = limits::HTTP_REFUSALS_MAX.min(files / 8);
        let open_max = limits::HTTP_CONNECTIONS_MAX.min(files / 2 - refused_max);
        ConnectionBounds { head_within: Duration::from_millis(limits::HTTP_HEAD_MS), open_max, refused_max }
    }
}

/// Serves connections of a listener.
pub(crate) struct Serving {
    router: Router,
    metrics: ServerMetrics,
    http: http1::Builder,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

impl Serving {
    pub(crate) fn new(router: Router, metrics: ServerMetrics, bounds: ConnectionBounds) -> Serving {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(bounds.head_within);
        http.max_buf_size(limits::HTTP_BUFFER_BYTES_MAX);
        let [places, refusals] =
            [bounds.open_max, bounds.refused_max].map(|max| Arc::new(Semaphore::new(max)));
        Serving { router, metrics, http, places, refusals }
    }

    /// Until `stopped`; then no connection is accepted, each ends after its request, and this comes back when all have.
    pub(crate) async fn serve(self, mut listener: Secure, stopped: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
        let mut stopped = pin!(stopped);
        loop {
            let (connection, from) = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stopped => break,
            };
            let shown = ShownCertificate::by(&connection);
            let Some(place) = self.place(&shown) else {
                tracing::debug!(%from, "there is no room for another connection");
                self.refuse(connection);
                continue;
            };
            let served = self.connection(connection, shown, stopping.clone());
            let open = open.clone();
            tokio::spawn(async move {
                let _held = (place, open);
                served.await;
            });
        }
        drop((listener, open));
        stop.send_replace(true);
        // Nothing is sent on it: it ends with the last connection.
        let _ = all_closed.recv().await;
    }

    fn place(&self, shown: &ShownCertificate) -> Option<ConnectionSlot> {
        let counted = match &shown.0 {
            Some(_) => None,
            None => Some(Arc::clone(&self.places).try_acquire_owned().ok()?),
        };
        self.metrics.connections.inc();
        Some(ConnectionSlot { metrics: self.metrics.clone(), _counted: counted })
    }

    /// Serves one connection until it ends, or becomes a session.
    fn connection(
        &self,
        connection: SecureConnection,
        shown: ShownCertificate,
        mut stopping: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(shown.clone()));
            router.call(request)
        });
        let serving = self.http.serve_connection(TokioIo::new(connection), service).with_upgrades();
        async move {
            let mut serving = pin!(serving);
            let stopped = async { drop(stopping.wait_for(|stop| *stop).await) };
            let ended = tokio::select! {
                ended = serving.as_mut() => ended,
                () = stopped => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended");
            }
        }
    }

    /// Says that there is no room, and lets go.
    fn refuse(&self, mut connection: SecureConnection) {
        self.metrics.connections_refused.inc();
        let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _turn = turn;
            let told = async {
                let mut asked = [0; 1024];
                // Clients take an answer for a mistake that comes before they ask.
                if connection.read(&mut asked).await? == 0 {
                    return Ok(());
                }
                connection.write_all(refused_for_room().as_bytes()).await?;
                connection.shutdown().await?;
                // Closing while something still comes would destroy the answer before its reader has it.
                while connection.read(&mut asked).await? > 0 {}
                std::io::Result::Ok(())
            };
            let _ = tokio::time::timeout(REFUSAL_WITHIN, told).await;
        });
    }
}

/// An open connection.
struct ConnectionSlot {
    metrics: ServerMetrics,
    _counted: Option<OwnedSemaphorePermit>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    const SOON: Duration = Duration::from_secs(20);

    struct Bench {
        address: SocketAddr,
        metrics: ServerMetrics,
        stop: oneshot::Sender<()>,
        serving: JoinHandle<()>,
    }

    impl Bench {
        async fn start(head_within: Duration, open_max: usize) -> Bench {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let address = listener.local_addr().expect("known");
            let router = Router::new().route("/", get(async || "hello"));
            let metrics = ServerMetrics::default();
            let serving = Serving::new(
                router,
                metrics.clone(),
                ConnectionBounds { head_within, open_max, refused_max: 8 },
            );
            let (stop, stopped) = oneshot::channel();
            let stopped = async move { drop(stopped.await) };
            let serving = tokio::spawn(serving.serve(Secure::new(listener, address, None), stopped));
            Bench { address, metrics, stop, serving }
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.expect("connected")
        }

        async fn until_open(&self, count: i64) {
            let reached = async {
                while self.metrics.connections.get() != count {
                    tokio::time::sleep(Duration::from_millis(5)).await; // sleep: between two looks, with a deadline
                }
            };
            tokio::time::timeout(SOON, reached).await.expect("that number is open");
        }

        async fn stop(self) {
            self.stop.send(()).expect("it serves");
            tokio::time::timeout(SOON, self.serving).await.expect("it stops").expect("no panic");
        }
    }

    /// All that comes until the other side closes.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await.expect("it is closed").expect("read");
        String::from_utf8(text).expect("text")
    }

    async fn answer(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
        let mut text = Vec::new();
        while !text.ends_with(b"hello") {
            let mut byte = [0];
            let read = tokio::time::timeout(SOON, stream.read(&mut byte)).await.expect("an answer");
            assert_eq!(read.expect("read"), 1, "{}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        String::from_utf8(text).expect("text")
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_whole_is_not_waited_for() {
        let bench = Bench::start(Duration::from_millis(200), 10).await;
        let (mut silent, mut slow, mut idle) =
            (bench.connect().await, bench.connect().await, bench.connect().await);
        assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
        slow.write_all(b"GET / HTTP/1.1\r\nhost: local").await.expect("written");
        // Each byte that comes would renew a timer that only waits for the next one.
        let (mut from, mut to) = slow.split();
        let dribbling = async {
            while to.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await; // sleep: the pace of the caller is the subject
            }
        };
        let mut text = Vec::new();
        let closed = async {
            // It may be reset, since something still comes.
            let _ = from.read_to_end(&mut text).await;
        };
        let closed = async {
            tokio::select! { () = dribbling => {}, () = closed => {} }
        };
        tokio::time::timeout(SOON, closed).await.expect("the slow one is closed");
        assert_eq!(rest(&mut silent).await, "");
        assert_eq!(rest(&mut idle).await, "", "an answer before does not help");
        bench.until_open(0).await;
        bench.stop().await;
    }

    #[tokio::test]
    async fn past_the_bound_callers_are_told_and_later_ones_find_room() {
        let bench = Bench::start(SOON, 2).await;
        let (first, mut second) = (bench.connect().await, bench.connect().await);
        bench.until_open(2).await;
        let mut third = bench.connect().await;
        third.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("written");
        let said = rest(&mut third).await;
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains("\r\nretry-after: "), "{said}");
        let (_, body) = said.split_once("\r\n\r\n").expect("a body");
        let body: taskyard_api::ErrorBody = serde_json::from_str(body).expect("an error of the API");
        assert!(body.error.definite && body.error.retry_after_ms.is_some(), "{body:?}");
        assert_eq!(bench.metrics.connections_refused.get(), 1);
        assert!(answer(&mut second).await.ends_with("hello"), "those that are there are served");
        drop(first);
        bench.until_open(1).await;
        assert!(answer(&mut bench.connect().await).await.ends_with("hello"));
        drop(second);
        bench.stop().await;
    }

    #[tokio::test]
    async fn a_stop_lets_requests_end_and_waits_for_nobody_who_is_idle() {
        let bench = Bench::start(SOON, 10).await;
        let mut idle = bench.connect().await;
        answer(&mut idle).await;
        let silent = bench.connect().await;
        bench.until_open(2).await;
        bench.stop().await;
        assert_eq!(rest(&mut idle).await, "");
        drop(silent);
    }
}
