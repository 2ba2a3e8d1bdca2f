//! The router over a real one-server log in a directory of its own. No loop of a leader runs here: tests plan and
//! report by hand, so that nothing depends on time.

mod access;
mod agent;
mod document;
mod follow;
mod matrix;
mod possible;
mod refused;
mod served;
mod usage;
mod waiting;

use super::router;
use crate::app::App;
use crate::config::{AuthMode, ServerConfig};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, header};
use serde_json::Value;
use taskyard_api::routes;
use taskyard_model::report::Item;
use taskyard_model::{
    AttemptEnd, Capacity, CutOutput, Finish, Incarnation, JobId, NodeId, Outcome, Report, TaskRef, limits,
};
use taskyard_sched::{Budget, schedule};
use taskyard_state::{Command, Register, Reply};
use tower::ServiceExt;

/// A server without its loops and without a socket.
struct Bench {
    app: App,
    router: Router,
    node: Option<(NodeId, Incarnation)>,
    _dirs: [tempfile::TempDir; 2],
}

impl Bench {
    async fn start() -> Bench {
        Bench::start_with(AuthMode::None).await
    }

    async fn start_with(auth: AuthMode) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:7420".parse().unwrap();
        let mut config = ServerConfig::new(dir.path().to_owned(), address);
        config.segment_bytes = 8 << 20;
        config.auth = auth;
        let store = tempfile::tempdir().unwrap();
        let location = taskyard_backup::Location::parse("to", store.path().to_str().unwrap()).unwrap();
        config.backup.stores.insert("default".into(), location);
        // Nodes here are registered for less.
        config.lease_ms = 20_000;
        let app = App::start(config, address).await.unwrap();
        app.consensus.leadership().wait_for(Option::is_some).await.unwrap();
        Bench { router: router(app.clone()), app, node: None, _dirs: [dir, store] }
    }

    /// Waits for what the log does by itself.
    async fn until(&self, what: &str, mut is: impl FnMut(&taskyard_state::State) -> bool) {
        let mut applied = self.app.consensus.applied();
        let waiting = async {
            while !self.app.consensus.read(&mut is) {
                applied.changed().await.unwrap();
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(10), waiting).await;
        assert!(waited.is_ok(), "{what}");
    }

    /// With a node of four cores.
    async fn with_node() -> Bench {
        Bench::start().await.and_node().await
    }

    /// With a node, and asking for tokens.
    async fn with_tokens() -> Bench {
        Bench::start_with(AuthMode::Token).await.and_node().await
    }

    async fn and_node(self) -> Bench {
        let mut bench = self;
        let mut capacity = Capacity::default();
        capacity.amounts.cpu_milli = 4_000;
        capacity.amounts.memory = 8 << 30;
        let register = Register {
            name: "n1".into(),
            agent_uuid: "a".into(),
            boot_id: "b".into(),
            capacity,
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            isolation: "process-group".into(),
            lease_ms: 15_000,
            joined: None,
            replaces: None,
            unfit: None,
        };
        let Reply::Registered { node, incarnation } =
            bench.propose(Command::Register(Box::new(register))).await
        else {
            panic!("not registered")
        };
        bench.node = Some((node, incarnation));
        bench
    }

    async fn propose(&self, command: Command) -> Reply {
        self.app.consensus.propose(command).await.unwrap().reply
    }

    /// One pass of the planner.
    async fn plan(&self) {
        let plan = self.app.consensus.read(|state| schedule(state.view(), Budget::default()));
        if !plan.is_empty() {
            self.propose(Command::CommitPlan(plan)).await;
        }
    }

    /// Ends the current attempt of a task with an exit code.
    async fn finish(&self, job: u64, index: u32, code: i32) {
        let (node, incarnation) = self.node.unwrap();
        let id = JobId(job);
        let fence = self.app.consensus.read(|state| state.job(id).unwrap().record(index).unwrap().fence);
        let end = AttemptEnd {
            outcome: if code == 0 { Outcome::Succeeded } else { Outcome::Exited },
            code,
            started_wall_ms: 1_000,
            ran_ms: 20,
            cpu_ms: 10,
            max_rss_kib: 900,
            limit_ms: 0,
            cut: CutOutput::default(),
        };
        let finish = Finish { task: TaskRef { job: id, index }, fence, end };
        self.propose(Command::Report(Report { node, incarnation, items: vec![Item::Finished(finish)] }))
            .await;
    }

    async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path).header(routes::USER_HEADER, "ada");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(body.map_or_else(Body::empty, |b| b.to_owned().into())).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Status and JSON of an answer.
    async fn call(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), limits::MESSAGE_BYTES_MAX).await.unwrap();
        // Of an answer in lines the last counts.
        let last = bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let whole = serde_json::from_slice(&bytes).or_else(|_| serde_json::from_slice(last));
        (status, whole.unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, json) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {json:#}");
        json
    }

    async fn post(&self, path: &str, body: &str) -> Value {
        let (status, json) = self.call("POST", path, Some(body)).await;
        assert_eq!(status, 200, "{path} {body}: {json:#}");
        json
    }

    /// Submits a job with these fields beside its command.
    async fn submit(&self, fields: &str) -> u64 {
        let body = format!("{{\"spec\": {{\"command\": [\"true\"] {fields}}}}}");
        self.post("/v1/jobs", &body).await["job"].as_u64().unwrap()
    }

    async fn stop(self) {
        self.app.stop();
        self.app.consensus.shutdown().await;
    }
}

/// Numbers of the items of a page.
fn numbers(page: &Value, field: &str) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_u64().unwrap()).collect()
}
