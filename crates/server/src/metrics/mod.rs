//! What a server counts. Counting is cheap; everything that can be read off the state is read when asked
//! (`usecase::scrape`).

mod backup;

use backup::BackupMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;
use taskyard_api::ErrorCode;
use taskyard_model::Plan;

/// Counters that live as long as the process.
#[derive(Clone)]
pub(crate) struct ServerMetrics {
    requests: Family<RequestLabels, Counter>,
    overloaded: Counter,
    plan_passes: Counter,
    plan_seconds: Histogram,
    planned_tasks: Counter,
    recalls: Counter,
    /// Looks at why jobs wait.
    pub(crate) looks: Counter,
    /// Connections on which requests are sent.
    pub(crate) connections: Gauge,
    /// Callers for whom there was no room.
    pub(crate) connections_refused: Counter,
    pub(crate) backup: BackupMetrics,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    code: u16,
}

impl Default for ServerMetrics {
    fn default() -> ServerMetrics {
        ServerMetrics {
            requests: Family::default(),
            overloaded: Counter::default(),
            plan_passes: Counter::default(),
            // 10 µs to about 5 s.
            plan_seconds: Histogram::new(exponential_buckets(10e-6, 3.0, 13)),
            planned_tasks: Counter::default(),
            recalls: Counter::default(),
            looks: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            backup: BackupMetrics::default(),
        }
    }
}

impl ServerMetrics {
    /// A pass of the planner.
    pub(crate) fn planned(&self, took: Duration, plan: &Plan) {
        self.plan_passes.inc();
        self.plan_seconds.observe(took.as_secs_f64());
        self.planned_tasks.inc_by(plan.assignments.iter().map(|a| u64::from(a.count)).sum());
        self.recalls.inc_by(plan.recalls.len() as u64);
    }

    /// A request was answered. `route` is the path's pattern: what users write into paths must not make new series.
    pub(crate) fn answered(&self, method: &str, route: &str, code: u16) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), code };
        self.requests.get_or_create(&labels).inc();
        if code == ErrorCode::Overloaded.status() {
            self.overloaded.inc();
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register(
            "proposals_overloaded",
            "Requests refused because of overload",
            self.overloaded.clone(),
        );
        registry.register("plan_passes", "Passes of the planner", self.plan_passes.clone());
        registry.register_with_unit("plan", "Duration of a pass", Unit::Seconds, self.plan_seconds.clone());
        registry.register("planned_tasks", "Tasks in plans", self.planned_tasks.clone());
        registry.register("planned_recalls", "Recalls in plans", self.recalls.clone());
        registry.register(
            "reason_looks",
            "Times that reasons for waiting were recorded for explain",
            self.looks.clone(),
        );
        let open = "Open connections, not counting sessions of agents and servers";
        registry.register("http_connections", open, self.connections.clone());
        let refused = "Connections refused because there were too many";
        registry.register("http_connections_refused", refused, self.connections_refused.clone());
        self.backup.register(registry);
    }
}
